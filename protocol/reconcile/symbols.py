"""The mapping of an id to its coded symbols, its check, and symbols as columns on the wire.

Source: wire-format 5.3-5.6; Yang, Gilad, Alizadeh, SIGCOMM 2024.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

from protocol.errors import LimitExceededError, MalformedError
from protocol.ids import ShortId
from protocol.limits import SKETCH_SYMBOLS

__all__ = [
    "SYMBOL_BYTES",
    "SymbolBlock",
    "check_of",
    "decode_symbols_untrusted",
    "encode_columns",
    "indices",
    "mix",
    "set_hash_of",
]

SYMBOL_BYTES = 13
"""One coded symbol on the wire."""
_MASK = 0xFFFF_FFFF_FFFF_FFFF
_CHECK_FACTOR = 0xBF58_476D_1CE4_E5B9
_STEP_FACTOR = 0xDA94_2042_E4DD_58B5
_TWO_32 = float(1 << 32)


@dataclass(frozen=True, slots=True)
class SymbolBlock:
    """Consecutive coded symbols of the far set."""

    first: int
    """Number of the first symbol."""
    sums: array[int]
    """'Q', XOR of ids."""
    checks: array[int]
    """'I', XOR of checks."""
    counts: bytes
    """How many ids each symbol holds, modulo 256."""


def mix(short_id: ShortId) -> int:
    """Return the 64-bit mix of an id that set hashes and checks are made of."""
    return ((short_id ^ (short_id >> 29)) * _CHECK_FACTOR) & _MASK


def check_of(short_id: ShortId) -> int:
    """Return the 32-bit check of an id."""
    return mix(short_id) >> 32


def set_hash_of(ids: Iterable[ShortId]) -> int:
    """Return the XOR of the mixed ids; 0 for the empty set, its own inverse."""
    total = 0
    for short_id in ids:
        total ^= mix(short_id)
    return total


def indices(short_id: ShortId, end: int) -> Iterator[int]:
    """Yield the numbers below `end` of the symbols that hold an id: about 2 ln(end) of them."""
    index, state = 0, short_id or 1
    while index < end:
        yield index
        state = state * _STEP_FACTOR & _MASK
        index += max(1, ceil((index + 1.5) * (_TWO_32 / sqrt(state + 1.0) - 1.0)))


def encode_columns(cells: Sequence[int], counts: Iterable[int]) -> bytes:
    """Return the columns of clause 5.5 for symbols with sum and check in one number each."""
    wide = array("Q", [cell >> 32 for cell in cells])
    narrow = array("I", [cell & 0xFFFF_FFFF for cell in cells])
    if sys.byteorder == "little":
        wide.byteswap()
        narrow.byteswap()
    return wide.tobytes() + narrow.tobytes() + bytes([count & 0xFF for count in counts])


def decode_symbols_untrusted(columns: bytes, count: int, first: int) -> SymbolBlock:
    """Read `count` symbols from number `first` on. Raises: MalformedError, LimitExceededError."""
    if first + count > SKETCH_SYMBOLS:
        raise LimitExceededError("symbols", SKETCH_SYMBOLS, first + count)
    if len(columns) != count * SYMBOL_BYTES:
        raise MalformedError("the symbol columns have a wrong length")
    sums, checks = array("Q", columns[: count * 8]), array("I", columns[count * 8 : count * 12])
    if sys.byteorder == "little":
        sums.byteswap()
        checks.byteswap()
    return SymbolBlock(first, sums, checks, columns[count * 12 :])
