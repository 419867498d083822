"""Moments that people type: a date, or a date and a time, of this computer's place."""

from __future__ import annotations

from datetime import datetime

from meshnode.cli.texts import TextError

__all__ = ["moment_ms"]


def moment_ms(text: str) -> int:
    """Return a moment such as `2026-05-01`, `2026-05-01T08:00` or with `+02:00`, Unix milliseconds.

    Raises: TextError.
    """
    try:
        found = datetime.fromisoformat(text.strip())
        return round(found.astimezone().timestamp() * 1000)
    except (ValueError, OverflowError, OSError) as error:
        raise TextError(
            f"'{text[:40]}' is no moment: write it like 2026-05-01 or 2026-05-01T08:00"
        ) from error
