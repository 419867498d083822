"""An SOS at a border and a file for an agent of the other zone, in a world of real nodes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from meshnode.store.records import MessageState
from sims.alarm_checkers import alarms_agree
from sims.checkers import check_world
from sims.reading import load_scenario, read_scenario
from sims.record import WorldRecord
from sims.scenario import Contact
from sims.world import run_world
from sims.writing import scenario_to_toml
from tests.sims.test_world import ran

SCENARIO = load_scenario("border_of_two_zones")
SOS = "Chute sous la crête, côté italien"
PLAN = "Plan of the upper path, for you as the nearest"


@pytest.fixture(scope="module")
def world() -> WorldRecord:
    return ran(SCENARIO.name)


def at_s(world: WorldRecord, node: str, event: str) -> list[float]:
    return [e.at_ms / 1000 for e in world.lines if (e.node, e.event) == (node, event)]


@pytest.mark.slow
def test_every_promise_holds_over_two_zones(world: WorldRecord) -> None:
    assert check_world(world) == []
    assert [e for e in world.lines if e.event == "power_cut"], "power fails on the way"


@pytest.mark.slow
def test_its_own_zone_reads_an_sos_that_the_other_zone_carries(world: WorldRecord) -> None:
    by_name = {device.name: device for device in world.devices}
    readers = {name for name, each in by_name.items() if each.alarms}
    assert readers == {"anna", "bruno", "gateway A", "operator A"}
    # Dora met Anna first, and brought it to her box; Bruno has it from there, whose zone is his.
    assert at_s(world, "bruno", "alarm_changed")[0] < 3_010
    assert at_s(world, "operator A", "alarm_changed")[0] < 3_610, "through both gateways"
    (sos,) = (e.message for e in world.sent if e.text == SOS)
    for name in ("dora", "gateway B", "box B", "box A"):
        assert SOS.encode() not in by_name[name].image
        assert any(held.id == sos for held in by_name[name].held.values()), f"{name} carries it"
    states = {len(each.alarms[key]) for each in by_name.values() for key in each.alarms}
    assert states == {4}, "raised, taken, seen, closed: all four steps are with each reader"
    (story,) = (each for each in by_name["anna"].outgoing if each.message.id == sos)
    assert story.message.state is MessageState.DELIVERED


@pytest.mark.slow
def test_a_file_reaches_an_agent_of_the_other_zone_by_carriers_of_both(world: WorldRecord) -> None:
    by_name = {device.name: device for device in world.devices}
    assert [each.text for each in by_name["dora"].incoming] == [PLAN]
    found = {}
    for name, device in by_name.items():
        with closing(sqlite3.connect(":memory:")) as connection:
            # Without its log, as a plain file: bytes 18 and 19 say so.
            connection.deserialize(device.image[:18] + b"\1\1" + device.image[20:])
            found[name] = connection.execute("SELECT state, size_bytes FROM attachment").fetchall()
    assert found["dora"] == found["operator A"] == [("complete", 700_000)]
    assert not any(rows for name, rows in found.items() if name not in ("dora", "operator A"))
    (story,) = by_name["operator A"].outgoing
    assert story.message.state is MessageState.DELIVERED


@pytest.mark.slow
def test_a_radio_of_the_other_zone_sends_an_sos_on() -> None:
    """Anna is heard by Dora alone, whose zone cannot read it, and Dora by a box."""
    contacts = tuple(each for each in SCENARIO.contacts if {each.a, each.b} != {"anna", "dora"})
    hearings = (Contact(1_900, 2_500, "anna", "dora"), Contact(1_900, 2_500, "dora", "box B"))
    faults = replace(SCENARIO.faults, crashes=0, torn_writes=0)
    short = replace(
        SCENARIO,
        duration_s=3_090.0,
        contacts=tuple(
            replace(e, end_s=min(e.end_s, 3_090.0)) for e in contacts if e.start_s < 3_090
        ),
        messages=tuple(e for e in SCENARIO.messages if e.at_s < 3_090),
        answers=tuple(e for e in SCENARIO.answers if e.at_s < 3_090),
        hearings=hearings,
        faults=faults,
    )
    world = run_world(short, 1)
    assert check_world(world) == []
    (raised,) = short.messages
    heard = [each for each in at_s(world, "dora", "bundles_stored") if each > raised.at_s]
    assert min(heard) < 2_070
    assert at_s(world, "bruno", "alarm_changed")[0] < 3_010


@pytest.mark.slow
def test_what_one_zone_alone_knows_is_no_disagreement_and_what_both_should_is(
    world: WorldRecord,
) -> None:
    for name, count in (("dora", 0), ("bruno", 1)):
        device = next(each for each in world.devices if each.name == name)
        changed = replace(device, alarms={})
        others = tuple(changed if each is device else each for each in world.devices)
        found = [where for where, _ in alarms_agree(_quiet(replace(world, devices=others)))]
        assert len(found) == count, name


def _quiet(world: WorldRecord) -> WorldRecord:
    """Return a world whose links were never bad, so that lasting contacts must agree."""
    faults = replace(SCENARIO.faults, loss=0.0)
    return replace(world, scenario=replace(world.scenario, faults=faults))


def test_zones_are_written_and_read_again() -> None:
    assert read_scenario(scenario_to_toml(SCENARIO).encode(), SCENARIO.name) == SCENARIO
