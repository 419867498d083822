"""The small numbers by which a person names what is on this device: messages and files."""

from __future__ import annotations

from typing import Final

__all__ = ["local_number"]

_DIGITS_MAX: Final = 15
"""More is none of anything here, and may be more than the database can look for."""


def local_number(text: str) -> int | None:
    """Return the local number that `text` is; None where it is anything else."""
    return int(text) if text.isdecimal() and len(text) <= _DIGITS_MAX else None
