"""Which symbols hold an id, and symbols as columns on the wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import LimitExceededError, MalformedError
from protocol.limits import SKETCH_SYMBOLS
from protocol.reconcile import symbols
from protocol.reconcile.symbols import SYMBOL_BYTES
from tests.reference import derivations

IDS = st.integers(0, 2**64 - 1)


@given(IDS, st.integers(0, 5_000))
def test_an_id_is_where_the_page_says(short_id: int, end: int) -> None:
    assert list(symbols.indices(short_id, end)) == derivations.symbols_of(short_id, end)


def test_an_id_is_in_the_first_symbol_and_in_two_ln_of_the_others() -> None:
    walks = [
        list(symbols.indices(number * 0x9E37_79B9_7F4A_7C15 % 2**64, 4_096))
        for number in range(400)
    ]
    assert all(walk[0] == 0 for walk in walks)
    assert 13 < sum(map(len, walks)) / len(walks) < 17


@given(IDS)
def test_the_check_is_the_upper_half_of_the_mix(short_id: int) -> None:
    assert symbols.mix(short_id) == derivations.mixed(short_id)
    assert symbols.check_of(short_id) == derivations.mixed(short_id) >> 32


@given(st.lists(IDS, max_size=20))
def test_the_set_hash_is_its_own_inverse_and_knows_no_order(ids: list[int]) -> None:
    assert symbols.set_hash_of(ids) == symbols.set_hash_of(reversed(ids))
    assert symbols.set_hash_of(ids + ids) == 0


COLUMNS = st.lists(
    st.tuples(IDS, st.integers(0, 2**32 - 1), st.integers(-(2**40), 2**40)), max_size=30
)


@given(COLUMNS, st.integers(0, SKETCH_SYMBOLS - 30))
def test_columns_are_read_back(lines: list[tuple[int, int, int]], first: int) -> None:
    cells = [short_id << 32 | check for short_id, check, _count in lines]
    raw = symbols.encode_columns(cells, [each[2] for each in lines])
    assert len(raw) == SYMBOL_BYTES * len(lines)
    block = symbols.decode_symbols_untrusted(raw, len(lines), first)
    assert block.first == first
    assert list(zip(block.sums, block.checks, strict=True)) == [each[:2] for each in lines]
    assert list(block.counts) == [each[2] % 256 for each in lines]


def test_columns_are_big_endian() -> None:
    raw = symbols.encode_columns([1 << 32 | 3, 2 << 32 | 4], [5, 256 + 6])
    assert raw == bytes(7) + b"\1" + bytes(7) + b"\2" + b"\0\0\0\3" + b"\0\0\0\4" + b"\5\6"


@pytest.mark.parametrize("size", [0, 1, 38, 40, 3 * 14])
def test_columns_have_one_length(size: int) -> None:
    symbols.decode_symbols_untrusted(bytes(39), 3, 0)
    with pytest.raises(MalformedError):
        symbols.decode_symbols_untrusted(bytes(size), 3, 0)


def test_symbols_end_with_the_sketch() -> None:
    symbols.decode_symbols_untrusted(bytes(13), 1, SKETCH_SYMBOLS - 1)
    for first, count in ((SKETCH_SYMBOLS, 1), (0, SKETCH_SYMBOLS + 1), (2**60, 1)):
        with pytest.raises(LimitExceededError):
            symbols.decode_symbols_untrusted(bytes(13 * count), count, first)
