"""What goes to a peer in which order, and what is asked of whom."""

from __future__ import annotations

from unittest.mock import patch

import pytest
import trio
from trio.testing import MockClock

from meshnode import planning as module
from meshnode.outbox import Priority
from meshnode.planning import Planning
from protocol.limits import ASKED_MS, TrafficClass
from protocol.reconcile.interest import Interest
from protocol.routing.gain import Gain
from sims.fleet import ZONE
from tests.meshnode.rig import ZONE_SCOPE, Rig, squad_scope

A, B, C = bytes([1]) * 16, bytes([2]) * 16, bytes([3]) * 16


def planning(rig: Rig, name: str = "box") -> Planning:
    """Return a fresh planning over one store."""
    member = rig[name]
    return Planning(member.store, member.machine.runtime, Gain())


async def test_urgent_bundles_go_first_and_nobody_gets_its_own(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, box = met["anna"], met["box"]
    await anna.send(met["bruno"].scope, "low", Priority.LOW)
    await anna.send(squad_scope(), "normal")
    await anna.send(ZONE_SCOPE, "help", Priority.SOS)
    await met.carry("anna", "box")
    ids = await box.ids()
    items = await planning(met).plan(A, ids)
    classes = [item.traffic_class for item in items]
    assert classes[0] is TrafficClass.SOS
    assert classes[-1] is TrafficClass.BULK
    assert classes == sorted(classes)
    assert {item.short_id for item in items} == set(ids)
    own = {bundle.header.id for bundle in await anna.held() if bundle.header.author == anna.id}
    assert len(await planning(met).plan(anna.id, ids)) == len(ids) - len(own)


async def test_pages_give_everything_once(autojump_clock: MockClock, met: Rig) -> None:
    for number in range(7):
        await met["anna"].send(squad_scope(), f"{number} " * (1 + 200 * (number % 2)))
    await met.carry("anna", "box")
    interest = Interest(ZONE, TrafficClass.MESSAGE)
    seen: list[int] = []
    cursor: int | None = None
    with patch.object(module, "PLAN_IDS_MAX", 3):
        while True:
            items, cursor = await planning(met).plan_all(A, interest, cursor)
            seen += [item.short_id for item in items]
            if cursor is None:
                break
    held = await met["box"].ids()
    assert sorted(seen) == sorted(set(seen))
    assert set(seen) <= set(held)
    everything, _ = await planning(met).plan_all(A, interest, None)
    assert set(seen) == {item.short_id for item in everything}


async def test_what_is_held_or_dropped_is_not_asked_for(
    autojump_clock: MockClock, met: Rig
) -> None:
    held = await met["box"].ids()
    assert await planning(met).missing([*held, 5, 6], A) == [5, 6]


async def test_one_bundle_is_asked_of_one_peer(autojump_clock: MockClock, rig: Rig) -> None:
    room = planning(rig)
    assert await room.missing([5, 6], A) == [5, 6]
    assert await room.missing([5, 6, 7], B) == [7]
    assert await room.missing([5], A) == [5], "the same peer may be asked again"
    room.settled([5])
    assert await room.missing([5, 6], C) == [5]


async def test_what_a_peer_owed_when_it_left_is_asked_of_who_has_it(
    autojump_clock: MockClock, rig: Rig
) -> None:
    room = planning(rig)
    await room.missing([5, 6, 7], A)
    await room.missing([6, 7], B)
    await room.missing([7], C)
    found = room.forget(A)
    assert found == {B: [6, 7]}
    assert room.forget(A) == {}
    assert await room.missing([5, 6, 7], C) == [5, 6, 7]


async def test_a_peer_that_answers_nothing_keeps_nothing_from_us(
    autojump_clock: MockClock, rig: Rig
) -> None:
    room = planning(rig)
    await room.missing([5, 6], A)
    assert await room.missing([5], B) == []
    await trio.sleep(ASKED_MS / 1000 - 1)
    assert room.overdue() == {}
    await trio.sleep(2)
    assert room.overdue() == {B: [5]}
    assert room.overdue() == {}
    assert await room.missing([5], B) == [5]


async def test_without_anybody_else_nothing_is_overdue(autojump_clock: MockClock, rig: Rig) -> None:
    room = planning(rig)
    await room.missing([5], A)
    await trio.sleep(10 * ASKED_MS / 1000)
    assert room.overdue() == {}


async def test_what_came_meanwhile_is_not_asked_again(autojump_clock: MockClock, rig: Rig) -> None:
    room = planning(rig)
    await room.missing([5, 6], A)
    await room.missing([5, 6], B)
    room.settled([5])
    await trio.sleep(2 * ASKED_MS / 1000)
    assert room.overdue() == {B: [6]}


async def test_memory_of_questions_is_bounded(
    autojump_clock: MockClock, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ASKED_MAX", 2)
    room = planning(rig)
    # What is not remembered is asked of both: that costs bytes, never a bundle.
    assert await room.missing([1, 2, 3], A) == [1, 2, 3]
    assert await room.missing([1, 2, 3], B) == [3]
