"""The mapping of an id to its coded symbols, its check, and symbols as columns on the wire.

Source: wire-format 5.3-5.6; Yang, Gilad, Alizadeh, SIGCOMM 2024.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil, sqrt

from protocol.errors import LimitExceededError, MalformedError
from protocol.ids import ShortId
from protocol.limits import SKETCH_SYMBOLS

__all__ = [
    "SymbolBlock",
    "check_of",
    "decode_symbols_untrusted",
    "encode_columns",
    "indices",
    "mix",
    "set_hash_of",
]

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
    counts: tuple[int, ...]
    """How many ids each symbol holds."""


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


def _expected(n: int, index: int) -> int:
    return n if index == 0 else (4 * n + index + 2) // (2 * index + 4)


def encode_columns(
    sums: array[int], checks: array[int], counts: Iterable[int], n: int, first: int
) -> bytes:
    """Return the columns of clause 5.5 for symbols of a set of `n` ids from number `first` on."""
    wide, narrow = array("Q", sums), array("I", checks)
    if sys.byteorder == "little":
        wide.byteswap()
        narrow.byteswap()
    out = bytearray(wide.tobytes() + narrow.tobytes())
    for index, count in enumerate(counts, first):
        value = count - _expected(n, index)
        zigzag = value << 1 if value >= 0 else (-value << 1) - 1
        while zigzag > 0x7F:
            out.append(zigzag & 0x7F | 0x80)
            zigzag >>= 7
        out.append(zigzag)
    return bytes(out)


def decode_symbols_untrusted(columns: bytes, count: int, n: int, first: int) -> SymbolBlock:
    """Read `count` symbols of a set of `n` ids. Raises: MalformedError, LimitExceededError."""
    if first + count > SKETCH_SYMBOLS:
        raise LimitExceededError("symbols", SKETCH_SYMBOLS, first + count)
    if len(columns) < count * 13:
        raise MalformedError("the symbol columns are too short")
    sums, checks = array("Q", columns[: count * 8]), array("I", columns[count * 8 : count * 12])
    if sys.byteorder == "little":
        sums.byteswap()
        checks.byteswap()
    counts, position = [], count * 12
    for index in range(first, first + count):
        value, position = _varint_untrusted(columns, position)
        delta = value >> 1 if value & 1 == 0 else -((value + 1) >> 1)
        counts.append(delta + _expected(n, index))
    if position != len(columns):
        raise MalformedError("the symbol columns are too long")
    return SymbolBlock(first, sums, checks, tuple(counts))


def _varint_untrusted(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(data) or shift > 42:
            raise MalformedError("a symbol count is cut short or too long")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and shift:
                raise MalformedError("a symbol count is not in its shortest form")
            return value, position
        shift += 7
