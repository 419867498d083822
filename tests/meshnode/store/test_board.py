"""Rows of states, points and tracks: the newest wins in any order, and each ends in time."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import permutations

import pytest

from meshnode.store import board
from meshnode.store import positions as kept
from meshnode.store.board import PointRecord, StateRecord, TrackRecord
from meshnode.store.engine import open_store
from meshnode.store.positions import ShiftEnd
from protocol.bundle import Scope
from protocol.shifts import position_subject
from tests.meshnode.store.parts import NOW_MS, inline_runtime, node

SQUAD = Scope.for_squad(1, b"squad-id")
BASE = StateRecord(node(1), SQUAD.encode(), 5 << 16, 7, 1, NOW_MS, NOW_MS + 50, b"base")
NEWER = (
    replace(BASE, seq=2, body=b"a greater number"),
    replace(BASE, incarnation=8, body=b"a later store"),
    replace(BASE, stamp=(5 << 16) + 1, incarnation=1, body=b"a later stamp"),
)
"""Each is newer than those before it."""


@pytest.mark.parametrize("order", list(permutations((BASE, *NEWER))), ids=lambda _: "")
async def test_the_newest_stays_whatever_came_first(order: tuple[StateRecord, ...]) -> None:
    ranks = (BASE, *NEWER)
    async with open_store(None, inline_runtime()) as store:
        best = -1
        for record in order:
            rank = ranks.index(record)
            is_new = await store.write(partial(board.put_state, record=record))
            assert is_new is (rank > best)
            best = max(best, rank)
            assert not await store.write(partial(board.put_state, record=record))
        assert await store.read(lambda c: board.states(c, NOW_MS, 9)) == [NEWER[-1]]


async def test_the_greatest_stamp_and_number_are_kept_as_they_are() -> None:
    record = replace(BASE, stamp=2**64 - 1, seq=2**64 - 1, incarnation=2**32 - 1)
    async with open_store(None, inline_runtime()) as store:
        await store.write(lambda tx: board.put_state(tx, BASE))
        assert await store.write(lambda tx: board.put_state(tx, record))
        assert await store.read(lambda c: board.states(c, NOW_MS, 9)) == [record]


async def test_each_ends_at_its_time() -> None:
    point = PointRecord(b"shift-id", NOW_MS, NOW_MS + 50, b"point")
    track = TrackRecord(node(1), SQUAD.encode(), b"shift-id", NOW_MS, NOW_MS + 50, 7, 1, b"way")
    async with open_store(None, inline_runtime()) as store:
        await store.write(lambda tx: board.put_state(tx, BASE))
        await store.write(lambda tx: board.put_point(tx, point))
        await store.write(lambda tx: board.put_track(tx, track))
        assert await store.write(lambda tx: board.erase_old(tx, NOW_MS + 49)) == 0
        assert await store.read(lambda c: board.states(c, NOW_MS + 49, 9)) == [BASE]
        assert await store.read(lambda c: board.tracks_of(c, node(1), NOW_MS, 0, 9)) == [track]
        assert await store.read(lambda c: board.states(c, NOW_MS + 50, 9)) == []
        assert await store.write(lambda tx: board.erase_old(tx, NOW_MS + 50)) == 3
        assert await store.read(lambda c: board.tracks_of(c, node(1), 0, 0, 9)) == []
        assert await store.read(lambda c: board.points(c, b"shift-id", 9)) == []


async def test_the_end_of_a_shift_takes_state_and_points() -> None:
    end = ShiftEnd(node(1), position_subject(SQUAD, b"shift-id"), NOW_MS + 50)
    other = replace(BASE, author=node(2))
    async with open_store(None, inline_runtime()) as store:
        for record in (BASE, other):
            await store.write(partial(board.put_state, record=record))
        for shift_id in (b"shift-id", b"shift-i2"):
            point = PointRecord(shift_id, NOW_MS, NOW_MS + 50, b"point")
            assert await store.write(partial(board.put_point, record=point))
            assert not await store.write(partial(board.put_point, record=point))
        await store.write(lambda tx: kept.erase_shift(tx, end, is_own=True))
        assert await store.read(lambda c: board.states(c, NOW_MS, 9)) == [other]
        assert await store.read(lambda c: board.points_count(c, b"shift-id")) == 0
        assert await store.read(lambda c: board.points_count(c, b"shift-i2")) == 1


async def test_points_that_were_sent_go_and_later_ones_stay() -> None:
    made = [PointRecord(b"shift-id", NOW_MS + n, NOW_MS + 50, bytes([n])) for n in range(5)]
    async with open_store(None, inline_runtime()) as store:
        for point in reversed(made):
            await store.write(partial(board.put_point, record=point))
        assert await store.read(lambda c: board.points(c, b"shift-id", 9)) == made
        assert await store.read(lambda c: board.points(c, b"shift-id", 2)) == made[:2]
        assert await store.write(lambda tx: board.take_points(tx, b"shift-id", NOW_MS + 2)) == 3
        assert await store.read(lambda c: board.points(c, b"shift-id", 9)) == made[3:]


async def test_a_track_of_one_bundle_is_kept_once() -> None:
    track = TrackRecord(node(1), SQUAD.encode(), b"shift-id", NOW_MS, NOW_MS + 50, 7, 1, b"way")
    async with open_store(None, inline_runtime()) as store:
        assert await store.write(lambda tx: board.put_track(tx, track))
        assert not await store.write(lambda tx: board.put_track(tx, track))
        assert await store.read(lambda c: board.tracks_of(c, node(1), 0, NOW_MS + 1, 9)) == []
