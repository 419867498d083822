"""Each checker of stores passes what is sound, and finds each kind of breach in a changed copy."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import cache

import pytest

from protocol.identity import Role
from sims.fleet import DevicePlan
from sims.record import DeviceRecord, WorldRecord
from sims.scenario import Contact, Scenario, WrittenMessage
from sims.store_checkers import STORE_CHECKERS, carriers_hold, nothing_comes_back, shares_kept
from sims.world import run_world

pytestmark = pytest.mark.slow

_SCENARIO = Scenario(
    name="meeting",
    about="Two phones and a box meet, and one is away.",
    duration_s=400.0,
    devices=(
        DevicePlan("box", Role.RELAY, ("Queyras",)),
        DevicePlan("one", Role.AGENT, ("Queyras",)),
        DevicePlan("two", Role.AGENT, ("Queyras",)),
        DevicePlan("away", Role.AGENT, ("Queyras",)),
    ),
    contacts=(
        Contact(1.0, 50.0, "one", "away"),
        Contact(60.0, 400.0, "one", "box"),
        Contact(61.0, 400.0, "one", "two"),
    ),
    messages=(
        WrittenMessage(100.0, "one", "two", "arrives"),
        WrittenMessage(110.0, "one", "away", "is on its way"),
    ),
)


@cache
def _world() -> WorldRecord:
    return run_world(_SCENARIO, 1)


def _changed(world: WorldRecord, name: str, *statements: str) -> WorldRecord:
    """Return a copy in whose store at `name` something else stands."""

    def change(device: DeviceRecord) -> DeviceRecord:
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
            database.deserialize(device.image[:18] + b"\x01\x01" + device.image[20:])
            for statement in statements:
                assert database.execute(statement).rowcount > 0, statement
            return replace(device, image=database.serialize())

    devices = tuple(change(each) if each.name == name else each for each in world.devices)
    return replace(world, devices=devices)


def test_a_sound_world_passes() -> None:
    world = _world()
    assert {name: list(check(world)) for name, check in STORE_CHECKERS.items()} == {
        name: [] for name in STORE_CHECKERS
    }


_DROP_TOMBSTONES = "DELETE FROM tombstone"


@pytest.mark.parametrize(
    ("check", "name", "statements", "words"),
    [
        (nothing_comes_back, "one", [_DROP_TOMBSTONES], "does not remember it"),
        (nothing_comes_back, "two", [_DROP_TOMBSTONES], "does not remember it"),
        (
            nothing_comes_back,
            "box",
            ["INSERT INTO tombstone SELECT short_id, expires_ms, 5 FROM bundle LIMIT 1"],
            "holds 1 bundles that it had dropped",
        ),
        (carriers_hold, "two", [_DROP_TOMBSTONES], "does not have it"),
        (carriers_hold, "box", ["DELETE FROM bundle WHERE is_own = 0"], "does not have it"),
        (shares_kept, "box", ["UPDATE interest SET count = count + 1"], "other totals"),
        (shares_kept, "box", ["DELETE FROM interest"], "other totals"),
        (shares_kept, "one", ["UPDATE bundle SET size_bytes = 1900000000"], "what is reserved"),
        (shares_kept, "one", ["UPDATE bundle SET size_bytes = 2100000000"], "in a store of"),
        (
            shares_kept,
            "one",
            ["UPDATE bundle SET traffic_class = 3, size_bytes = 300000000"],
            "class STATE, whose share is 600000000",
        ),
    ],
)
def test_a_breach_is_found(
    check: Callable[[WorldRecord], object], name: str, statements: list[str], words: str
) -> None:
    found = list(check(_changed(_world(), name, *statements)))  # type: ignore[call-overload]
    assert any(device == name and words in sentence for device, sentence in found), found


def test_what_has_served_is_forgotten_rightly() -> None:
    world = _changed(_world(), "two", _DROP_TOMBSTONES)
    late = tuple(
        replace(each, ending=replace(each.ending, now_ms=each.ending.now_ms + 20 * 86_400_000))
        for each in world.devices
    )
    later = replace(world, devices=late)
    assert list(nothing_comes_back(later)) == []
    assert list(carriers_hold(later)) == []
