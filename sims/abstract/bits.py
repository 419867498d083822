"""Sets of messages as bits: one row of 64-bit words for each node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from sims.compiled import leaf

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Bits", "add", "has", "lowest", "make_bits", "remove"]

Bits: TypeAlias = "NDArray[np.uint64]"
"""Shape (n_rows, n_words)."""

_ONE = np.uint64(1)
_BYTE = np.uint64(0xFF)
_EIGHT = np.uint64(8)
_LAST = np.uint64(63)


def make_bits(rows: int, messages: int) -> Bits:
    """Return empty sets for `rows` rows over `messages` messages."""
    return np.zeros((rows, max(1, (messages + 63) >> 6)), np.uint64)


@leaf
def has(bits: Bits, row: int, message: int) -> bool:
    """Tell whether a message is in the set of a row."""
    return bool((bits[row, message >> 6] >> (np.uint64(message) & _LAST)) & _ONE == _ONE)


@leaf
def add(bits: Bits, row: int, message: int) -> None:
    """Put a message into the set of a row."""
    bits[row, message >> 6] |= _ONE << (np.uint64(message) & _LAST)


@leaf
def remove(bits: Bits, row: int, message: int) -> None:
    """Take a message out of the set of a row."""
    bits[row, message >> 6] &= ~(_ONE << (np.uint64(message) & _LAST))


@leaf
def lowest(word: Any) -> int:
    """Return the place of the lowest bit that is set; `word` is not 0."""
    place = 0
    while word & _BYTE == 0:
        word >>= _EIGHT
        place += 8
    while word & _ONE == 0:
        word >>= _ONE
        place += 1
    return place
