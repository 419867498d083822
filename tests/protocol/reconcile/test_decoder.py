"""The decoder finds every difference or says that it cannot, whatever the symbols are."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.limits import SKETCH_SYMBOLS
from protocol.reconcile.decoder import Decoder
from protocol.reconcile.sketch import Sketch, SketchSnapshot, encode_symbols
from protocol.reconcile.symbols import (
    SymbolBlock,
    check_of,
    decode_symbols_untrusted,
    indices,
    set_hash_of,
)
from tests.protocol.reconcile.sets import numbers
from tests.reference.reconcile import difference


def block(snapshot: SketchSnapshot, first: int, count: int) -> SymbolBlock:
    return decode_symbols_untrusted(encode_symbols(snapshot, first, count), count, first)


def decode(ours: Sequence[int], theirs: Sequence[int], step: int = 0) -> Decoder:
    """Feed as many symbols as the decoder asks for, or `step` at a time."""
    far = Sketch.build(theirs).snapshot()
    decoder = Decoder(Sketch.build(ours).snapshot(), far.n, far.set_hash)
    count = step or 64
    while count and not decoder.is_done and decoder.symbols + count <= SKETCH_SYMBOLS:
        decoder.feed(block(far, decoder.symbols, count))
        count = step or decoder.next_count()
    return decoder


@pytest.mark.parametrize(
    ("ours", "theirs"), [(0, 0), (1, 0), (0, 1), (1, 1), (30, 0), (0, 200), (90, 110), (700, 400)]
)
def test_both_halves_are_found(ours: int, theirs: int) -> None:
    common = numbers("common", 6_000)
    mine, yours = numbers("ours", ours), numbers("theirs", theirs)
    decoder = decode(common + mine, common + yours)
    assert decoder.is_done
    assert not decoder.has_failed
    have, need = difference(common + mine, common + yours)
    assert sorted(decoder.have) == sorted(have)
    assert sorted(decoder.need) == sorted(need)


@given(
    st.sets(st.integers(1, 2**64 - 1), max_size=30),
    st.sets(st.integers(1, 2**64 - 1), max_size=30),
    st.integers(1, 40),
)
def test_symbols_may_come_in_any_portions(ours: set[int], theirs: set[int], step: int) -> None:
    decoder = decode(sorted(ours), sorted(theirs), step)
    assert decoder.is_done
    assert (set(decoder.have), set(decoder.need)) == difference(ours, theirs)
    assert len(decoder.have) + len(decoder.need) == len(ours ^ theirs)


def test_two_ids_that_walk_alike_are_never_told_apart() -> None:
    """0 counts as 1 where the walk starts: such a pair is left to the list."""
    decoder = decode([], [0, 1], 64)
    assert not decoder.is_done
    assert decoder.symbols == SKETCH_SYMBOLS
    assert decoder.next_count() == 0


def test_the_estimate_follows_from_the_first_flight() -> None:
    common, mine, yours = numbers("c", 5_000), numbers("m", 500), numbers("y", 500)
    far = Sketch.build(common + yours).snapshot()
    decoder = Decoder(Sketch.build(common + mine).snapshot(), far.n, far.set_hash)
    assert decoder.estimate().differences == 1
    decoder.feed(block(far, 0, 64))
    assert 500 < decoder.estimate().differences < 2_000


def test_sizes_prove_a_least_number_of_differences() -> None:
    far = Sketch.build(numbers("far", 900)).snapshot()
    decoder = Decoder(Sketch.build(numbers("far", 900)[:200]).snapshot(), far.n, far.set_hash)
    assert decoder.estimate().differences == 700


def test_symbols_come_in_order() -> None:
    far = Sketch.build(numbers("far", 900)).snapshot()
    decoder = Decoder(Sketch().snapshot(), far.n, far.set_hash)
    with pytest.raises(ValueError, match="order"):
        decoder.feed(block(far, 1, 10))


def test_symbols_of_another_set_are_noticed() -> None:
    far = Sketch.build(numbers("far", 30)).snapshot()
    for n, set_hash in ((far.n, far.set_hash ^ 1), (far.n + 256, far.set_hash)):
        decoder = Decoder(Sketch().snapshot(), n, set_hash)
        decoder.feed(block(far, 0, 64))
        assert not decoder.is_done
        assert decoder.has_failed or decoder.symbols == 64
    decoder = Decoder(Sketch().snapshot(), far.n, far.set_hash ^ 1)
    decoder.feed(block(far, 0, 64))
    assert decoder.has_failed
    assert decoder.next_count() == 0


@pytest.mark.slow
def test_counts_beyond_a_byte_are_read_right() -> None:
    """Two thousand ids more at one end: the counts of early symbols differ by more than 256."""
    theirs = numbers("far", 12_000)
    decoder = decode(theirs[:10_000], theirs)
    assert decoder.is_done
    assert sorted(decoder.need) == sorted(theirs[10_000:])


SYMBOL = st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(0, 255))


@given(
    st.lists(SYMBOL, min_size=1, max_size=80),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**64 - 1),
)
def test_random_symbols_never_hang_and_are_never_believed(
    lines: list[tuple[int, int, int]], n: int, set_hash: int
) -> None:
    decoder = Decoder(Sketch.build(numbers("near", 100)).snapshot(), n, set_hash)
    sums, checks = array("Q", [each[0] for each in lines]), array("I", [each[1] for each in lines])
    decoder.feed(SymbolBlock(0, sums, checks, bytes(each[2] for each in lines)))
    assert len(decoder.have) + len(decoder.need) <= len(lines)
    assert 0 <= decoder.next_count() <= SKETCH_SYMBOLS


@pytest.mark.slow
@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=64), st.data())
def test_symbols_made_to_last_end(ids: list[int], data: st.DataObject) -> None:
    """Every symbol looks like one id: peeling one breaks or makes others, as long as it can."""
    chosen = [data.draw(st.sampled_from(ids)) for _ in range(64)]
    signs = bytes(data.draw(st.sampled_from([1, 255])) for _ in range(64))
    decoder = Decoder(Sketch().snapshot(), 0, set_hash_of(ids))
    decoder.feed(SymbolBlock(0, array("Q", chosen), array("I", map(check_of, chosen)), signs))
    found = decoder.have + decoder.need
    assert len(found) == len(set(found)) <= 64
    assert 0 <= decoder.next_count() <= SKETCH_SYMBOLS


A, C, D = 0xCA08_EA5B_CA49_CC18, 0x90A3_6E71_19D7_9A02, 0xDD0F_507F_9A43_018F
F, G = 0x9180_2B16_907C_57ED, 0xDC2C_1518_13E8_CC60
"""Searched for: G is the XOR of C, D and F, and its check that of their checks."""


def test_symbols_that_give_more_ids_away_than_they_are_end_the_decoding() -> None:
    """Symbol 1 gives A, is emptied, and once C, D and F are found it gives G: five of four."""
    assert G == C ^ D ^ F
    assert check_of(G) == check_of(C) ^ check_of(D) ^ check_of(F)
    order = [(A, 1, 1), (C, 1, 2), (D, -1, 3), (F, 1, 0)]
    cells, counts = [0] * 4, [0] * 4
    for turn, (short_id, sign, _place) in enumerate(order):
        for _id, _sign, place in order[turn:]:
            # What is given away earlier hides what a symbol gives away later.
            if place in list(indices(short_id, 4)):
                cells[place] ^= short_id << 32 | check_of(short_id)
                counts[place] += sign
    decoder = Decoder(Sketch().snapshot(), 2, 0)
    sums, checks = [each >> 32 for each in cells], [each & 0xFFFF_FFFF for each in cells]
    far = SymbolBlock(0, array("Q", sums), array("I", checks), bytes(each % 256 for each in counts))
    decoder.feed(far)
    assert {*decoder.have, *decoder.need} == {A, C, D, F}
    assert decoder.has_failed
    assert decoder.next_count() == 0
