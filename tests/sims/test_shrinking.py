"""A failing scenario is made as small as it can be, by the same steps each time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sims.chaos import random_scenario
from sims.faults import Faults
from sims.scenario import Scenario, check_scenario
from sims.shrinking import shrink

_DAY = replace(random_scenario(5), faults=Faults(crashes=9, torn_writes=4, loss=0.5))


class _Rule:
    """A failure that needs two messages, one contact, five crashes and the first 2,000 s."""

    def __init__(self, scenario: Scenario) -> None:
        self.runs = 0
        late = [each for each in scenario.contacts if each.end_s > 2_000]
        self.contact = (late[0].a, late[0].b)
        self.texts = {scenario.messages[2].text, scenario.messages[-1].text}

    def __call__(self, scenario: Scenario, seed: int) -> bool:
        check_scenario(scenario)
        self.runs += 1
        return (
            seed == 7
            and self.texts <= {each.text for each in scenario.messages}
            and any((each.a, each.b) == self.contact for each in scenario.contacts)
            and scenario.faults.crashes >= 5
            and scenario.duration_s > 2_000
        )


def test_only_what_it_takes_is_left() -> None:
    rule = _Rule(_DAY)
    small = shrink(_DAY, 7, rule, 2_000)
    assert rule(small, 7)
    assert {each.text for each in small.messages} == rule.texts
    assert [(each.a, each.b) for each in small.contacts] == [rule.contact]
    named = {name for each in small.messages for name in (each.sender, each.to)} | {*rule.contact}
    assert {each.name for each in small.devices} <= named
    assert not small.crashes
    assert not small.clock_steps
    assert small.faults == Faults(crashes=5)
    latest_s = max(each.at_s for each in small.messages)
    assert small.duration_s <= max(2_300, latest_s * 1.2)


def test_the_same_arguments_give_the_same_result() -> None:
    first, second = (shrink(_DAY, 7, _Rule(_DAY), 150) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("budget", [0, 1, 17])
def test_the_budget_is_kept(budget: int) -> None:
    rule = _Rule(_DAY)
    small = shrink(_DAY, 7, rule, budget)
    assert rule.runs <= budget
    assert rule(small, 7)


def test_what_never_passes_ends_with_next_to_nothing() -> None:
    small = shrink(_DAY, 7, lambda _scenario, _seed: True, 1_000)
    assert len(small.devices) == 1
    assert not small.contacts
    assert not small.messages
    assert small.faults == Faults()
    assert small.duration_s == 60
