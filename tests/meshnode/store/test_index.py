"""Sketches and totals: equal to the table at any time, and put right at open where they lie."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.store.engine import Store, open_store
from meshnode.store.index import Changes, Index, Totals
from protocol.limits import Kind, TrafficClass
from protocol.reconcile.interest import Interest
from protocol.reconcile.sketch import Sketch
from tests.meshnode.store.parts import add, check, drop, held, record, rows, runtime

_ONE = Interest(1, TrafficClass.MESSAGE)
_IDS = st.integers(0, 2**64 - 1)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE interest SET count = count + 1",
        "UPDATE interest SET set_hash = set_hash + 1",
        "UPDATE interest SET size_bytes = 0",
        "DELETE FROM interest",
        "INSERT INTO interest VALUES (7, 2, 1, 5, 656)",
        "DELETE FROM bundle WHERE seq = 2",
    ],
)
async def test_a_damaged_row_is_put_right(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "store.sqlite"
    async with open_store(path, runtime()) as store:
        await add(store, record(1), record(2), record(3))
    connection = sqlite3.connect(path)
    connection.execute(damage)
    connection.commit()
    connection.close()
    async with open_store(path, runtime()) as store:
        assert store.rebuilt_count == 1
        await check(store)
        await add(store, record(4))
        await check(store)
    async with open_store(path, runtime()) as store:
        assert store.rebuilt_count == 0


async def test_an_interest_that_becomes_empty_is_forgotten(store: Store) -> None:
    await add(store, record(1), record(2, Kind.SOS))
    assert set(store.sketches) == {_ONE, Interest(1, TrafficClass.SOS)}
    await drop(store, record(1).short_id)
    assert set(store.sketches) == {Interest(1, TrafficClass.SOS)}
    assert await rows(store, "SELECT zone, traffic_class FROM interest") == [(1, 1)]
    await add(store, record(3))
    assert await held(store) == {record(2, Kind.SOS).short_id, record(3).short_id}


async def test_nobody_else_can_change_the_sketches(store: Store) -> None:
    with pytest.raises(TypeError):
        store.sketches[_ONE] = Sketch()  # type: ignore[index]


@given(
    steps=st.lists(
        st.tuples(st.booleans(), st.sets(_IDS, min_size=1, max_size=4), st.integers(0, 1)),
        max_size=8,
    )
)
def test_changes_one_by_one_or_merged_lead_to_the_same(
    steps: list[tuple[bool, set[int], int]],
) -> None:
    one_by_one, at_once = Index(), Index()
    merged = Changes()
    held: dict[Interest, set[int]] = {}
    for is_added, ids, zone in steps:
        interest = Interest(zone + 1, TrafficClass.MESSAGE)
        here = held.setdefault(interest, set())
        change = Changes()
        touched = sorted(ids - here if is_added else ids & here)
        if not touched:
            continue
        if is_added:
            change.add(interest, touched, 100 * len(touched))
            here.update(touched)
        else:
            change.remove(interest, touched, 100 * len(touched))
            here.difference_update(touched)
        one_by_one.apply(change)
        merged.merge(change)
    at_once.apply(merged, is_hurried=True)
    expected = {each: Sketch.build(sorted(ids)) for each, ids in held.items() if ids}
    for index in (one_by_one, at_once):
        assert index.sketches.keys() == expected.keys()
        for each, sketch in index.sketches.items():
            # Said first: to tell two lists of thousands apart takes hours.
            is_equal = sketch.snapshot() == expected[each].snapshot()
            assert is_equal, each
        assert index.totals == {
            each: Totals(sketch.n, sketch.set_hash, 100 * sketch.n)
            for each, sketch in expected.items()
        }
