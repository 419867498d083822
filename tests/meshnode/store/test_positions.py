"""Positions at rest: the newest for a squad, all for the centre, and nothing after their end."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from meshnode.store import positions
from meshnode.store.engine import Store, Transaction, open_store
from meshnode.store.positions import PositionRecord, ShiftEnd
from protocol.bundle import Scope
from protocol.shifts import position_subject
from sims.runtime import Machine, Tracer

SQUAD = Scope.for_squad(1, b"squad-id")
OTHER = Scope.for_squad(1, b"squad-i2")


@pytest.fixture
async def store(autojump_clock: MockClock) -> AsyncIterator[Store]:
    """Give an empty store in memory."""
    async with open_store(None, Machine(1, "x", Tracer()).runtime) as opened:
        yield opened


def record(
    taken_ms: int, *, author: int = 1, scope: Scope = SQUAD, shift: bytes = b"shift-id"
) -> PositionRecord:
    """Return a position that ends 1,000 ms after it was taken."""
    return PositionRecord(
        bytes([author]) * 16,
        scope.encode(),
        shift,
        taken_ms,
        taken_ms + 1_000,
        7,
        2**64 - 1,
        b"body",
    )


async def put(store: Store, *records: PositionRecord, is_archive: bool = False) -> list[bool]:
    """Keep positions one after the other."""

    def keep(tx: Transaction) -> list[bool]:
        return [positions.put(tx, each, is_archive=is_archive) for each in records]

    return await store.write(keep)


async def taken(store: Store, now_ms: int = 0) -> list[int]:
    """Return the times of the newest positions."""
    found = await store.read(lambda conn: positions.positions(conn, now_ms, 10))
    return [each.taken_ms for each in found]


async def test_a_squad_keeps_the_newest_of_each(store: Store) -> None:
    news = await put(store, record(5), record(9), record(7), record(9), record(6, author=2))
    assert news == [True, True, False, False, True]
    assert await taken(store) == [9, 6]
    found = await store.read(lambda conn: positions.of_author(conn, bytes([1]) * 16, 10))
    assert found == [record(9)]


async def test_the_centre_keeps_all_once(store: Store) -> None:
    news = await put(store, record(5), record(9), record(7), record(9), is_archive=True)
    assert news == [True, True, True, False]
    found = await store.read(lambda conn: positions.of_author(conn, bytes([1]) * 16, 10))
    assert [each.taken_ms for each in found] == [9, 7, 5]
    assert await taken(store) == [9], "and shows the newest"


async def test_what_is_over_is_not_shown_and_then_erased(store: Store) -> None:
    await put(store, record(5), record(900, author=2))
    assert await taken(store, now_ms=1_004) == [900, 5]
    assert await taken(store, now_ms=1_005) == [900]
    assert await store.write(lambda tx: positions.erase_old(tx, 1_004)) == 0
    assert await store.write(lambda tx: positions.erase_old(tx, 1_005)) == 1
    assert await store.write(lambda tx: positions.erase_old(tx, 1_005)) == 0


async def test_the_end_of_a_shift_takes_its_own_rows_alone(store: Store) -> None:
    await put(store, record(5), record(6, scope=OTHER), record(7, author=2))
    end = ShiftEnd(bytes([1]) * 16, position_subject(SQUAD, b"shift-id"), 50)
    other = ShiftEnd(bytes([1]) * 16, position_subject(OTHER, b"shift-id"), 60)

    def note(tx: Transaction) -> None:
        positions.note_end(tx, end)
        positions.note_end(tx, other)
        positions.note_end(tx, end)

    await store.write(note)
    assert await store.read(positions.ends_next) == 50
    assert await store.read(lambda conn: positions.due(conn, 49)) == []
    assert await store.read(lambda conn: positions.due(conn, 60)) == [other, end]
    squad = SQUAD.encode()
    assert await store.read(lambda conn: positions.due(conn, 60, end.author, squad)) == [end]
    assert await store.read(lambda conn: positions.due(conn, 60, bytes(16), squad)) == []
    assert await store.write(lambda tx: positions.erase_shift(tx, end, is_own=False)) == 2
    assert await taken(store) == [7, 6]
    assert await store.read(positions.ends_next) == 60


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 20)), max_size=20), st.booleans())
def test_what_is_shown_is_the_maximum_of_what_came(
    came: list[tuple[int, int]], is_archive: bool
) -> None:
    async def run() -> None:
        async with open_store(None, Machine(1, "x", Tracer()).runtime) as store:
            records = [record(taken_ms, author=author) for author, taken_ms in came]
            await put(store, *records, is_archive=is_archive)
            expected = {
                author: max(taken_ms for other, taken_ms in came if other == author)
                for author, _taken_ms in came
            }
            assert sorted(await taken(store)) == sorted(expected.values())

    trio.run(run, clock=MockClock(autojump_threshold=0))
