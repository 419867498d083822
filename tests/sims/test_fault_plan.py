"""Which device fails when: what the seed draws, and that a smaller count draws less of the same."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sims.chaos import random_scenario
from sims.fault_plan import QUIET_SHARE, FaultPlan, draw_plan
from sims.faults import NO_FAULTS, Faults
from sims.scenario import Scenario
from tests.sims.test_faults import SOME

DAY = random_scenario(5, devices=6, hours=4)


def plan(faults: Faults, seed: int = 1, scenario: Scenario = DAY) -> FaultPlan:
    """Return what goes wrong in a day."""
    return draw_plan(replace(scenario, faults=faults), seed)


def test_without_faults_nothing_goes_wrong() -> None:
    assert plan(NO_FAULTS) == FaultPlan()


@given(faults=SOME, seed=st.integers(0, 2**32))
def test_every_plan_fits_its_scenario(faults: Faults, seed: int) -> None:
    found = plan(replace(faults, crashes=faults.crashes % 9, torn_writes=2), seed)
    names = {device.name for device in DAY.devices}
    assert len(found.step_crashes) == faults.crashes % 9 + 2
    assert all(each.steps >= 1 and each.down_s >= 10 for each in found.step_crashes)
    assert found.on_disk <= names
    assert all(each.source != each.target for each in found.partitions)
    assert all(each.start_s <= each.end_s <= DAY.duration_s for each in found.partitions)
    quiet_s = DAY.duration_s * (1 - QUIET_SHARE)
    assert all(each.start_s <= each.end_s <= quiet_s for each in found.full_disks)
    assert all(abs(each.rate_ppm) <= faults.drift_ppm for each in found.drifts)
    lost = {each.device for each in found.lost}
    assert not lost & found.hostile_names
    assert len(found.hostile) == min(faults.hostile_devices, len(names) - 1)


@given(seed=st.integers(0, 2**32))
def test_a_smaller_count_gives_the_first_ones(seed: int) -> None:
    many = Faults(
        crashes=5,
        torn_writes=4,
        full_disks=3,
        clock_jumps=4,
        partitions=5,
        hostile_devices=3,
        lost_devices=2,
    )
    few = replace(many, crashes=2, torn_writes=0, full_disks=1, clock_jumps=1, partitions=3)
    large, small = plan(many, seed), plan(few, seed)
    assert small.step_crashes == large.step_crashes[:2]
    assert small.full_disks == large.full_disks[:1]
    assert small.clock_jumps == large.clock_jumps[:1]
    assert small.partitions == large.partitions[:3]
    assert (small.hostile, small.lost) == (large.hostile, large.lost)
    assert plan(replace(many, hostile_devices=1), seed).hostile == large.hostile[:1]
    assert plan(replace(many, lost_devices=1), seed).lost == large.lost[:1]


def test_a_world_without_contacts_has_faults_too() -> None:
    lonely = replace(DAY, contacts=(), messages=())
    found = plan(Faults(crashes=3, partitions=2, full_disks=1), 4, lonely)
    assert (len(found.step_crashes), len(found.partitions), len(found.full_disks)) == (3, 2, 1)


def test_another_seed_gives_another_plan() -> None:
    assert plan(Faults(crashes=3), 1) != plan(Faults(crashes=3), 2)
