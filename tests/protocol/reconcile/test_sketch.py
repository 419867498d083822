"""A sketch is a function of its set, whatever way the set came about."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from protocol.limits import SKETCH_SYMBOLS
from protocol.reconcile.sketch import Sketch, SketchSnapshot, encode_symbols
from protocol.reconcile.symbols import set_hash_of
from tests.reference import derivations

IDS = st.integers(0, 2**64 - 1)
SETS = st.sets(IDS, max_size=20)


@given(SETS)
def test_a_sketch_is_what_the_page_says(ids: set[int]) -> None:
    snapshot = Sketch.build(ids, 200).snapshot()
    assert encode_symbols(snapshot, 0, 200) == derivations.symbol_columns(sorted(ids), 200)
    assert (snapshot.n, snapshot.set_hash) == (len(ids), set_hash_of(ids))
    part = encode_symbols(snapshot, 50, 30)
    assert part[: 8 * 30] == derivations.symbol_columns(sorted(ids), 200)[8 * 50 : 8 * 80]


@given(SETS, SETS)
def test_what_was_taken_out_leaves_no_trace(stay: set[int], go: set[int]) -> None:
    sketch = Sketch(300)
    for short_id in sorted(stay | go, key=hash):
        sketch.add(short_id)
    for short_id in go - stay:
        sketch.remove(short_id)
    assert sketch.snapshot() == Sketch.build(stay, 300).snapshot()
    assert (sketch.n, sketch.set_hash) == (len(stay), set_hash_of(stay))


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=40))
def test_whenever_somebody_looks_the_symbols_are_those_of_the_set(
    steps: list[tuple[int, bool]],
) -> None:
    sketch, held = Sketch(100), set[int]()
    for short_id, has_look in steps:
        if short_id in held:
            sketch.remove(short_id)
        else:
            sketch.add(short_id)
        held ^= {short_id}
        if has_look:
            assert sketch.snapshot() == Sketch.build(held, 100).snapshot()
    assert sketch.copy().snapshot() == Sketch.build(held, 100).snapshot()


def test_additions_of_one_id_may_be_told_before_the_removal_between_them() -> None:
    sketch = Sketch(100)
    sketch.add_many([7, 8, 7])
    sketch.remove_many([7, 8])
    assert sketch.snapshot() == Sketch.build([7], 100).snapshot()


def test_many_changes_do_not_wait_for_a_look() -> None:
    sketch = Sketch.build(range(10_000), 50)
    sketch.remove_many(range(3, 10_000))
    assert sketch.snapshot() == Sketch.build(range(3), 50).snapshot()


def test_nothing_changes_a_snapshot_or_a_copy() -> None:
    sketch = Sketch.build(range(100))
    snapshot, copy = sketch.snapshot(), sketch.copy()
    sketch.add(1_000)
    copy.remove(7)
    assert snapshot == Sketch.build(range(100)).snapshot()
    assert sketch.snapshot() == Sketch.build([*range(100), 1_000]).snapshot()
    assert copy.snapshot() == Sketch.build([each for each in range(100) if each != 7]).snapshot()


def test_a_sketch_has_the_size_that_sessions_speak_of() -> None:
    empty = Sketch().snapshot()
    assert empty.symbols == len(empty.cells) == len(empty.counts) == SKETCH_SYMBOLS
    assert isinstance(empty, SketchSnapshot)
    assert encode_symbols(empty, 0, 3) == bytes(39)
