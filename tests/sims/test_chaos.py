"""Random days: they can be run, they have what makes a day, and their name gives them back."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.identity import Role
from sims.chaos import random_scenario, scenario_named
from sims.scenario import ScenarioError, check_scenario


@settings(max_examples=20)
@given(
    seed=st.integers(0, 2**32), devices=st.integers(4, 16), hours=st.sampled_from([1.0, 3.5, 24.0])
)
def test_every_day_can_be_run_and_is_found_by_its_name(
    seed: int, devices: int, hours: float
) -> None:
    scenario = random_scenario(seed, devices, hours)
    assert check_scenario(scenario) is scenario
    assert scenario_named(scenario.name) == scenario
    assert len(scenario.devices) == devices
    assert len({message.text for message in scenario.messages}) == len(scenario.messages)
    assert scenario.faults.crashes
    assert scenario.faults.partitions
    assert scenario.faults.clock_jumps
    assert scenario.faults.corruption
    assert scenario.faults.hostile_devices


def test_a_usual_day_has_a_plain_name() -> None:
    assert random_scenario(7).name == "chaos:7"
    assert random_scenario(7, 5).name == "chaos:7:5:24.0"


def test_days_have_everything_that_nodes_meet() -> None:
    days = [random_scenario(seed) for seed in range(20)]
    messages = [message for day in days for message in day.messages]
    assert all(40 <= len(day.messages) <= 120 for day in days)
    assert {message.priority for message in messages} == {"sos", "normal", "low"}
    assert {None, 600} < {message.lifetime_s for message in messages}
    kinds = Counter(message.to.partition(":")[0].partition(" ")[0] for message in messages)
    assert {"codt", "squad", "zone", "phone", "gateway"} <= set(kinds)
    lengths = [each.end_s - each.start_s for day in days for each in day.contacts]
    assert min(lengths) < 5 < 1_200 < max(lengths)
    roles = Counter(device.role for device in days[0].devices)
    assert roles == {Role.GATEWAY: 1, Role.RELAY: 1, Role.LEADER: 2, Role.AGENT: 6}
    counted = ("torn_writes", "full_disks", "lost_devices", "loss", "slow_links", "jitter_s")
    for name in (*counted, "mtu_bytes", "drift_ppm"):
        found = {bool(getattr(day.faults, name)) for day in days}
        assert found == {True, False}, name


@pytest.mark.parametrize(("devices", "hours"), [(3, 24), (65, 24), (10, 0.5), (10, 1_000)])
def test_a_day_that_cannot_be_is_refused(devices: int, hours: float) -> None:
    with pytest.raises(ScenarioError, match="4 to 64 devices, 1 to 240 hours"):
        random_scenario(1, devices, hours)


@pytest.mark.parametrize("name", ["chaos:", "chaos:x", "chaos:1:5", "chaos:1:5:x", "chaos:-1"])
def test_a_wrong_name_is_explained(name: str) -> None:
    with pytest.raises(ScenarioError):
        scenario_named(name)


def test_another_name_is_none_of_these() -> None:
    assert scenario_named("two_nodes") is None
