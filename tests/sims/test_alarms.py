"""The scenario of an SOS in a white zone, under faults; and checkers that notice what is broken."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from protocol.alarms import Outcome, Step
from protocol.identity import Role
from sims.alarm_checkers import ALARM_CHECKERS, shown_alarms
from sims.checkers import check_world
from sims.fault_plan import Behaviour, Hostile
from sims.reading import load_scenario, read_scenario
from sims.record import WorldRecord
from sims.scenario import ScenarioError
from sims.world import run_world
from sims.writing import scenario_to_toml

pytestmark = pytest.mark.slow
SCENARIO = load_scenario("sos_in_a_white_zone")


@cache
def world(seed: int) -> WorldRecord:
    """Run the scenario once for each seed."""
    return run_world(SCENARIO, seed)


@pytest.mark.parametrize("seed", [1, 3, 6])
def test_every_alarm_reaches_everybody_and_all_say_the_same(seed: int) -> None:
    found = world(seed)
    assert check_world(found) == []
    cuts = sum(line.event == "power_cut" for line in found.lines)
    assert cuts >= 3, "the faults happened"
    for device in found.devices:
        shown = shown_alarms(found, device)
        if device.ending.role is Role.RELAY:
            assert shown == {}
            continue
        assert [each.state for each in shown.values()] == [Step.CLOSED] * 2, device.name
        assert {each.outcome for each in shown.values()} == {Outcome.OVER}
        taken = sorted(len(each.taken) for each in shown.values())
        assert taken == [0, 2], "both who go are seen by all"


def broken(found: WorldRecord, name: str, **changes: object) -> WorldRecord:
    """Return a world in which one device is otherwise."""
    devices = tuple(
        replace(each, **changes) if each.name == name else each  # type: ignore[arg-type]
        for each in found.devices
    )
    return replace(found, devices=devices)


def breaches(found: WorldRecord, checker: str) -> list[tuple[str, str]]:
    """Return what one checker of alarms finds."""
    return list(ALARM_CHECKERS[checker](found))


def test_a_step_that_a_device_forgot_is_noticed() -> None:
    found = world(1)
    assert breaches(found, "no step of an alarm lost") == []
    forgot = broken(found, "carla", alarms={})
    assert any("forgot" in words for _name, words in breaches(forgot, "no step of an alarm lost"))
    nowhere = found
    for device in found.devices:
        nowhere = broken(nowhere, device.name, held={})
    assert any("lost" in words for _name, words in breaches(nowhere, "no step of an alarm lost"))


def test_a_screen_that_rings_twice_is_noticed() -> None:
    found = world(1)
    rung = [
        line
        for line in found.lines
        if line.event == "alarm_changed" and line.node == "codt" and dict(line.fields)["is_new"]
    ]
    assert len(rung) == 2
    twice = replace(found, lines=(*found.lines, rung[0]))
    assert [name for name, _words in breaches(twice, "an alarm rings once")] == ["codt"]


def test_devices_that_say_different_things_are_noticed() -> None:
    found = world(1)
    codt = next(each for each in found.devices if each.name == "codt")
    halved = {name: steps[:1] for name, steps in codt.alarms.items()}
    assert breaches(broken(found, "codt", alarms=halved), "alarms agree")
    assert breaches(broken(found, "codt", alarms={}), "alarms agree")


def test_who_can_no_longer_learn_of_an_alarm_is_excused() -> None:
    found = world(1)
    ignorant = broken(found, "codt", alarms={})
    over = ignorant
    for device in found.devices:
        over = broken(over, device.name, held={})
    assert breaches(over, "alarms agree") == [], "every raising came to its end"
    raisers = {found.name_of(raiser) for each in found.devices for raiser, _alarm in each.alarms}
    liars = tuple(Hostile(name, Behaviour.HOARD) for name in sorted(raisers))
    lied = replace(ignorant, plan=replace(found.plan, hostile=liars))
    assert breaches(lied, "alarms agree") == [], "they tell whom they like"


def test_answers_are_written_and_read_again() -> None:
    assert read_scenario(scenario_to_toml(SCENARIO).encode(), SCENARIO.name) == SCENARIO


def test_an_answer_that_cannot_be_is_refused() -> None:
    text = scenario_to_toml(SCENARIO)
    with pytest.raises(ScenarioError, match="step is one of"):
        read_scenario(text.replace('step = "on_scene"', 'step = "asleep"').encode(), "x")
    with pytest.raises(ScenarioError, match="no device is called"):
        read_scenario(text.replace('to = "anna"\nstep', 'to = "zoé"\nstep').encode(), "x")
