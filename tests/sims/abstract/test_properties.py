"""What holds of every run, whatever the region, the policy, the stores and the rates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sims.abstract.engine import simulate
from sims.abstract.records import Fate, Options, PolicyName
from sims.contacts import Workload
from sims.oracle import best_arrivals
from sims.region import Region
from tests.sims.abstract.regions import REGIONS, options_of, some_region

# The first run compiles the simulator.
pytestmark = pytest.mark.slow

OPTIONS = st.sampled_from(list(PolicyName)).flatmap(options_of)
EVERYBODY = [PolicyName.EPIDEMIC, PolicyName.GAIN]
"""The policies that give everything to everybody where nothing is scarce."""


@pytest.mark.parametrize("policy", EVERYBODY)
@pytest.mark.parametrize("has_receipts", [False, True])
@given(region=REGIONS)
def test_is_the_oracle_where_stores_and_rates_have_no_bound(
    policy: PolicyName, has_receipts: bool, region: Region
) -> None:
    options = Options(policy, buffer_bytes=0, rate_bytes_s=0.0, has_receipts=has_receipts)
    np.testing.assert_array_equal(
        simulate(region, options).delivered_s, best_arrivals(region.plan, region.workload)
    )


@pytest.mark.parametrize("policy", EVERYBODY)
def test_is_the_oracle_on_a_larger_region_too(policy: PolicyName) -> None:
    region = some_region(11, nodes=40, contacts=600, messages=200)
    best_s = best_arrivals(region.plan, region.workload)
    options = Options(policy, buffer_bytes=0, rate_bytes_s=0.0)
    np.testing.assert_array_equal(simulate(region, options).delivered_s, best_s)
    assert 20 < np.isnan(best_s).sum() < 180


@given(region=REGIONS, options=OPTIONS)
def test_nothing_comes_before_the_oracle(region: Region, options: Options) -> None:
    # Bytes of cut transfers count later, which the oracle with a rate does not know of.
    rate = 0.0 if options.has_resume else options.rate_bytes_s
    best_s = best_arrivals(region.plan, region.workload, rate)
    found_s = simulate(region, options).delivered_s
    has_come = ~np.isnan(found_s)
    assert (found_s[has_come] >= best_s[has_come]).all()


@given(region=REGIONS, options=OPTIONS)
def test_what_was_delivered_was_so_in_its_life_and_by_transfers(
    region: Region, options: Options
) -> None:
    workload, found = region.workload, simulate(region, options)
    has_come = ~np.isnan(found.delivered_s)
    np.testing.assert_array_equal(has_come, found.fate == Fate.DELIVERED)
    then_s, created_s = found.delivered_s[has_come], workload.created_s[has_come]
    assert (then_s >= created_s).all()
    assert (then_s <= created_s + workload.lifetime_s[has_come]).all()
    assert (found.transfers_of[has_come] >= 1).all()
    assert (found.hops[has_come] >= 1).all()
    assert (found.hops[~has_come] == 0).all()
    np.testing.assert_array_equal(found.died_at >= 0, found.fate == Fate.EVICTED)
    assert (found.transfers_of[found.fate == Fate.EXPIRED] >= 1).all()


@given(region=REGIONS, options=OPTIONS)
def test_no_store_is_ever_above_its_bound(region: Region, options: Options) -> None:
    found = simulate(region, options)
    bound = options.buffer_bytes or region.workload.size_bytes.sum()
    assert (found.samples.largest_bytes <= bound).all()
    assert (found.samples.mean_bytes <= found.samples.largest_bytes).all()
    assert (found.samples.mean_bytes >= 0).all()
    if not options.buffer_bytes:
        assert not found.evictions.any()


@given(region=REGIONS, options=OPTIONS)
def test_what_is_sent_is_received(region: Region, options: Options) -> None:
    found, sizes = simulate(region, options), region.workload.size_bytes
    assert found.sent_bytes.sum() == found.received_bytes.sum()
    assert (found.sent_bytes >= 0).all()
    assert (found.received_bytes >= 0).all()
    completed = (found.transfers_of * sizes).sum()
    assert found.sent_bytes.sum() >= completed
    if found.cut_transfers == 0:
        assert found.sent_bytes.sum() == completed
    in_contact_s = found.contact_s
    assert (in_contact_s <= region.plan.span_s).all()
    if options.rate_bytes_s:
        busy_s = (found.sent_bytes + found.received_bytes) / options.rate_bytes_s
        assert (busy_s <= in_contact_s).all()


@given(region=REGIONS, options=options_of(PolicyName.DIRECT))
def test_direct_delivery_sends_nothing_twice(region: Region, options: Options) -> None:
    found = simulate(region, options)
    assert (found.transfers_of <= 1).all()
    assert (found.hops <= 1).all()


@given(region=REGIONS, options=options_of(PolicyName.SPRAY))
def test_spray_makes_no_more_copies_than_it_may(region: Region, options: Options) -> None:
    found = simulate(region, replace(options, buffer_bytes=0))
    # Each hand-over but that to the destination makes one copy more. The destination gets one.
    assert (found.transfers_of <= options.copies).all()


@given(region=REGIONS, options=OPTIONS)
def test_the_same_run_twice_is_the_same(region: Region, options: Options) -> None:
    assert simulate(region, options).digest == simulate(region, options).digest


def _with_priorities(region: Region, priority: list[int]) -> Region:
    workload = replace(region.workload, priority=np.array(priority, np.int8))
    return replace(region, workload=workload)


def _alone(workload: Workload, number: int) -> Workload:
    some = slice(number, number + 1)
    return Workload(
        workload.names[some],
        workload.created_s[some],
        workload.source[some],
        workload.destination[some],
        workload.size_bytes[some],
        workload.lifetime_s[some],
        workload.priority[some],
    )


@given(region=REGIONS, options=options_of(PolicyName.GAIN), data=st.data())
def test_an_urgent_message_moves_as_if_there_were_no_other(
    region: Region, options: Options, data: st.DataObject
) -> None:
    urgent = data.draw(st.integers(0, len(region.workload) - 1))
    region = _with_priorities(
        region, [0 if each == urgent else 1 + each % 2 for each in range(len(region.workload))]
    )
    options = replace(options, buffer_bytes=0)
    alone = replace(region, workload=_alone(region.workload, urgent))
    found, expected = simulate(region, options), simulate(alone, options)
    np.testing.assert_array_equal(found.delivered_s[urgent], expected.delivered_s[0])
    assert found.transfers_of[urgent] == expected.transfers_of[0]


@given(region=REGIONS, options=options_of(PolicyName.GAIN))
def test_no_urgent_message_dies_for_others(region: Region, options: Options) -> None:
    is_urgent = region.workload.priority == 0
    assume(is_urgent.any())
    buffer_bytes = int(region.workload.size_bytes[is_urgent].sum())
    found = simulate(region, replace(options, buffer_bytes=buffer_bytes))
    assert not (found.fate[is_urgent] == Fate.EVICTED).any()
