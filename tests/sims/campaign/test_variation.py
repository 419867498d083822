"""Changes of a region do what they say, no more, and the same for the same seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims.campaign.parameters import Parameters
from sims.campaign.sources import region_hash
from sims.campaign.variation import MESSAGES_MAX, vary
from sims.contacts import ContactPlan, TraceError, make_plan, make_workload
from sims.region import Region, plain_region
from tests.sims.campaign.parts import NODES, small_campaign

SEEDS = st.integers(0, 2**63 - 1)
SHARES = st.floats(0, 1)


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Region:
    """Return the small trace with two gateways."""
    found = small_campaign(tmp_path_factory.mktemp("trace")).source.region(1)
    return replace(found, roles=("gateway",) * 2 + ("agent",) * (NODES - 2))


def contacts(plan: ContactPlan) -> set[tuple[float, float, int, int]]:
    """Return the contacts of a plan as a set."""
    columns = (plan.start_s.tolist(), plan.end_s.tolist(), plan.a.tolist(), plan.b.tolist())
    return set(zip(*columns, strict=True))


@given(seed=SEEDS)
def test_nothing_is_changed_by_default(region: Region, seed: int) -> None:
    assert region_hash(vary(region, Parameters(), seed)) == region_hash(region)


@given(
    seed=SEEDS,
    parameters=st.builds(
        Parameters,
        load_scale=st.floats(0.01, 5),
        lifetime_scale=st.floats(0.01, 5),
        dead_share=SHARES,
        cancelled_share=SHARES,
        jitter_s=st.floats(0, 1e5),
    ),
)
def test_a_changed_region_is_sound_and_repeatable(
    region: Region, seed: int, parameters: Parameters
) -> None:
    found = vary(region, parameters, seed)
    assert region_hash(vary(region, parameters, seed)) == region_hash(found)
    plan, workload = found.plan, found.workload
    # What is sound can be made anew without a complaint, and stays as it is.
    again = make_plan(plan.nodes, np.column_stack((plan.start_s, plan.end_s, plan.a, plan.b)))
    assert contacts(again) == contacts(plan)
    assert len(workload) == round(parameters.load_scale * len(region.workload))
    assert len(set(workload.names)) == len(workload)
    assert np.all(np.diff(workload.created_s) >= 0)
    assert np.all(workload.source != workload.destination)


@given(seed=SEEDS, shares=st.tuples(SHARES, SHARES))
def test_a_larger_share_takes_more_of_the_same(
    region: Region, seed: int, shares: tuple[float, float]
) -> None:
    less, more = sorted(shares)
    for name in ("dead_share", "cancelled_share"):
        large, small = (
            contacts(vary(region, Parameters(**{name: each}), seed).plan)  # type: ignore[arg-type]
            for each in (less, more)
        )
        assert small <= large <= contacts(region.plan)
    few, many = (vary(region, Parameters(load_scale=0.1 + 3 * s), seed) for s in (less, more))
    assert set(few.workload.names) <= set(many.workload.names)


def test_dead_nodes_meet_nobody_and_gateways_live(region: Region) -> None:
    plan = vary(region, Parameters(dead_share=0.3), 1).plan
    alive = {*plan.a.tolist(), *plan.b.tolist()}
    assert len(alive) == NODES - 3
    assert {0, 1} <= alive
    last = vary(region, Parameters(dead_share=1.0), 1).plan
    assert contacts(last) == {each for each in contacts(region.plan) if set(each[2:]) == {0, 1}}


def test_cancelled_contacts_are_about_their_share(region: Region) -> None:
    left = len(vary(region, Parameters(cancelled_share=0.25), 1).plan)
    assert 0.65 < left / len(region.plan) < 0.85
    assert not len(vary(region, Parameters(cancelled_share=1.0), 1).plan)


def test_jitter_moves_contacts_and_keeps_their_length(region: Region) -> None:
    plan = vary(region, Parameters(jitter_s=2.0), 1).plan
    assert len(plan) == len(region.plan)
    assert (plan.end_s - plan.start_s) == pytest.approx(15.0)
    assert np.abs(np.sort(plan.start_s) - region.plan.start_s).max() <= 2.0
    assert contacts(plan) != contacts(region.plan)


def test_more_load_repeats_messages_at_times_of_others(region: Region) -> None:
    workload = vary(region, Parameters(load_scale=2.5), 1).workload
    assert len(workload) == 150
    assert set(region.workload.names) < set(workload.names)
    assert {name.partition("#")[0] for name in workload.names} == set(region.workload.names)
    assert set(workload.created_s.tolist()) == set(region.workload.created_s.tolist())
    ends = {
        name: (source, destination, size, priority)
        for name, source, destination, size, priority in zip(
            region.workload.names,
            region.workload.source.tolist(),
            region.workload.destination.tolist(),
            region.workload.size_bytes.tolist(),
            region.workload.priority.tolist(),
            strict=True,
        )
    }
    for place, name in enumerate(workload.names):
        columns = (workload.source, workload.destination, workload.size_bytes, workload.priority)
        assert tuple(int(column[place]) for column in columns) == ends[name.partition("#")[0]]


def test_lifetimes_are_scaled(region: Region) -> None:
    workload = vary(region, Parameters(lifetime_scale=0.5), 1).workload
    assert set(workload.lifetime_s.tolist()) == {1_000.0}


def test_too_many_messages_are_refused(region: Region) -> None:
    copies = MESSAGES_MAX // 1_000 + 1
    names = tuple(f"m{number}" for number in range(copies))
    table = np.tile([0.0, 1.0, 2.0, 5.0, 9.0, 1.0], (copies, 1))
    workload = make_workload(names, table, NODES, "messages")
    with pytest.raises(TraceError, match="10001000 messages"):
        vary(plain_region("x", region.plan, workload), Parameters(load_scale=1_000.0), 1)


def test_a_region_without_messages_or_contacts_stays_so(region: Region) -> None:
    empty = make_workload((), np.empty((0, 6)), NODES, "messages")
    quiet = replace(region, plan=make_plan(NODES, np.empty((0, 4))), workload=empty)
    wild = Parameters(
        load_scale=3.0, lifetime_scale=2.0, dead_share=0.5, cancelled_share=0.5, jitter_s=9.0
    )
    found = vary(quiet, wild, 1)
    assert len(found.plan) == len(found.workload) == 0
