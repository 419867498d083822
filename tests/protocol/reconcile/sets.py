"""Ids from seeds: the same in every run, spread like hashes."""

from __future__ import annotations

import hashlib
from array import array

__all__ = ["numbers"]


def numbers(seed: str, count: int) -> list[int]:
    """Return `count` ids; other seeds give others."""
    return list(array("Q", hashlib.shake_128(seed.encode()).digest(8 * count)))
