"""Radios that cost money, in a world: a budget holds through crashes, and an SOS has its part."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from sims.budget_checkers import billed_of, no_bearer_over_its_budget
from sims.checkers import check_world
from sims.reading import load_scenario, read_scenario
from sims.record import WorldRecord
from sims.scenario import Scenario, ScenarioError, check_scenario
from sims.tariffs import tariff_of
from sims.world import run_world
from sims.writing import scenario_to_toml

SCENARIO = load_scenario("sos_by_satellite")


@cache
def ran() -> WorldRecord:
    """Run the included scenario once."""
    return run_world(SCENARIO, 1)


def with_budget(scenario: Scenario, budget: str) -> Scenario:
    """Give the first device another budget."""
    first, *others = scenario.devices
    return replace(scenario, devices=(replace(first, radio_budget=budget), *others))


@pytest.mark.slow
def test_an_alarm_gets_through_when_positions_have_used_up_their_part() -> None:
    world = ran()
    assert check_world(world) == []
    assert sum(line.event == "power_cut" for line in world.lines) >= 2, "the faults happened"
    (raised,) = SCENARIO.messages
    refused = [each.at_ms for each in world.lines if each.event == "budget_refused"]
    assert min(refused) < 1000 * raised.at_s, "the ordinary part was used up"
    (shift,) = SCENARIO.shifts
    lasted_s = min(refused) / 1000 - shift.start_s
    assert lasted_s > 1_200, "at one position in 30 s it is gone after 270 s"
    seen = [
        each.at_ms
        for each in world.lines
        if (each.event, each.node) == ("alarm_changed", "marsouin")
    ]
    after_s = min(seen) / 1000 - raised.at_s
    assert after_s < 60
    for device in SCENARIO.devices:
        tariff = tariff_of(device.radio_budget)
        if tariff is not None:
            (billed,) = billed_of(world, device.name, tariff).values()
            assert 0 < billed <= tariff.bytes_max
            print(f"\n{device.name}: {billed} of {tariff.bytes_max} bytes billed", end="")
    print(f"; the alarm was there after {after_s:.1f} s, the ordinary part lasted {lasted_s:.0f} s")


@pytest.mark.slow
def test_a_budget_that_was_exceeded_would_be_found() -> None:
    world = ran()
    changed = replace(world, scenario=with_budget(world.scenario, "per=day bytes=500 step=50"))
    assert {name for name, _sentence in no_bearer_over_its_budget(changed)} == {"ondine"}


@pytest.mark.slow
def test_what_was_billed_and_not_booked_would_be_found() -> None:
    world = ran()
    (line, *_) = [each for each in world.lines if each.event == "air_billed"]
    more = replace(world, lines=(*world.lines, *[line] * 150))
    found = list(no_bearer_over_its_budget(more))
    assert {name for name, _sentence in found} == {line.node}
    assert any("had booked" in sentence for _name, sentence in found)


def test_a_budget_is_written_and_read_again() -> None:
    text = scenario_to_toml(SCENARIO)
    assert read_scenario(text.encode(), SCENARIO.name) == SCENARIO


@pytest.mark.parametrize("budget", ["per=hour bytes=10", "much"])
def test_a_budget_that_says_nothing_is_refused(budget: str) -> None:
    with pytest.raises(ScenarioError, match="radio_budget"):
        check_scenario(with_budget(SCENARIO, budget))


def test_a_budget_without_a_radio_is_refused() -> None:
    with pytest.raises(ScenarioError, match="hearing"):
        check_scenario(replace(SCENARIO, hearings=()))
