"""Single rules of the simulator, each in the smallest region that shows it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sims.abstract.engine import simulate
from sims.abstract.records import Fate, Options, PolicyName
from sims.abstract.state import SimulationError
from tests.sims.abstract.regions import region_of

# The first run compiles the simulator.
pytestmark = pytest.mark.slow

URGENT, NORMAL, BULK = 0, 1, 2
EVERY_POLICY = list(PolicyName)


def times(found: np.ndarray) -> list[float | None]:
    """Return times with None for what did not come."""
    return [None if math.isnan(each) else float(each) for each in found]


@pytest.mark.parametrize("policy", EVERY_POLICY)
def test_a_transfer_that_ends_with_its_contact_counts_and_one_byte_more_does_not(
    policy: PolicyName,
) -> None:
    region = region_of([(10, 14, 0, 1)], [(0, 0, 1, 4_000, 99, NORMAL)])
    assert times(simulate(region, Options(policy, rate_bytes_s=1_000.0)).delivered_s) == [14.0]
    region = region_of([(10, 14, 0, 1)], [(0, 0, 1, 4_001, 99, NORMAL)])
    found = simulate(region, Options(policy, rate_bytes_s=1_000.0))
    assert times(found.delivered_s) == [None]
    assert found.sent_bytes.tolist()[:2] == [4_000, 0]
    assert found.cut_transfers == 1
    assert found.fate[0] == Fate.NEVER_LEFT


@pytest.mark.parametrize("policy", EVERY_POLICY)
def test_arriving_at_the_end_of_a_life_counts(policy: PolicyName) -> None:
    for lifetime_s, expected in ((14.0, [14.0]), (13.5, [None])):
        region = region_of([(10, 20, 0, 1)], [(0, 0, 1, 4_000, lifetime_s, NORMAL)])
        found = simulate(region, Options(policy, rate_bytes_s=1_000.0))
        assert times(found.delivered_s) == expected


@pytest.mark.parametrize("policy", EVERY_POLICY)
@pytest.mark.parametrize(("has_resume", "expected"), [(True, 21.0), (False, None)])
def test_a_cut_transfer_goes_on_at_the_next_contact(
    policy: PolicyName, has_resume: bool, expected: float | None
) -> None:
    region = region_of([(0, 3, 0, 1), (20, 23, 0, 1)], [(0, 0, 1, 4_000, 99, NORMAL)])
    options = Options(policy, rate_bytes_s=1_000.0, has_resume=has_resume)
    assert times(simulate(region, options).delivered_s) == [expected]


def test_a_transfer_goes_on_with_another_holder() -> None:
    contacts = [(0, 5, 0, 1), (10, 13, 0, 2), (20, 23, 1, 2)]
    region = region_of(contacts, [(0, 0, 2, 4_000, 99, NORMAL)])
    found = simulate(region, Options(PolicyName.EPIDEMIC, rate_bytes_s=1_000.0))
    assert times(found.delivered_s) == [21.0]
    assert found.sent_bytes.tolist()[:2] == [7_000, 1_000]


@pytest.mark.parametrize("policy", EVERY_POLICY)
def test_a_node_serves_one_transfer_at_a_time(policy: PolicyName) -> None:
    contacts = [(0, 20, 0, 1), (0, 20, 0, 2)]
    messages = [(0, 0, 1, 4_000, 99, NORMAL), (0, 0, 2, 4_000, 99, NORMAL)]
    found = simulate(region_of(contacts, messages), Options(policy, rate_bytes_s=1_000.0))
    assert times(found.delivered_s) == [4.0, 8.0]


def test_what_is_urgent_cuts_what_is_not() -> None:
    messages = [(0, 0, 1, 40_000, 99, BULK), (10, 0, 1, 1_000, 99, URGENT)]
    region = region_of([(0, 60, 0, 1)], messages)
    found = simulate(region, Options(PolicyName.GAIN, rate_bytes_s=1_000.0))
    assert times(found.delivered_s) == [41.0, 11.0]
    found = simulate(region, Options(PolicyName.EPIDEMIC, rate_bytes_s=1_000.0))
    assert times(found.delivered_s) == [40.0, 41.0]


def test_receipts_purge_what_was_delivered() -> None:
    contacts = [(0, 1, 0, 1), (2, 3, 0, 2), (4, 5, 1, 2), (6, 7, 1, 3)]
    region = region_of(contacts, [(0, 0, 2, 100, 99, NORMAL)])
    kept = simulate(region, Options(PolicyName.EPIDEMIC))
    purged = simulate(region, Options(PolicyName.EPIDEMIC, has_receipts=True))
    assert (kept.transfers, purged.transfers) == (3, 2)
    assert purged.samples.largest_bytes[-1] == 0 < kept.samples.largest_bytes[-1]


def test_policies_of_the_books_drop_the_oldest() -> None:
    messages = [(time, 0, 1, 400, 99, NORMAL) for time in (0, 1, 2)]
    found = simulate(region_of([(5, 9, 0, 1)], messages), Options(PolicyName.EPIDEMIC, 1_000))
    assert found.fate.tolist() == [Fate.EVICTED, Fate.DELIVERED, Fate.DELIVERED]
    assert found.died_at.tolist() == [0, -1, -1]
    assert found.evictions.tolist()[:2] == [1, 0]


def test_an_own_urgent_message_is_not_dropped_for_own_photos() -> None:
    messages = [
        (0, 0, 1, 1_000, 99, URGENT),
        (1, 0, 1, 30_000, 99, BULK),
        (2, 0, 1, 30_000, 99, BULK),
        (3, 0, 1, 39_500, 99, BULK),
    ]
    found = simulate(region_of([(50, 90, 0, 1)], messages), Options(PolicyName.GAIN, 40_000))
    # The last does not fit beside the urgent one, so it is not taken.
    expected = [Fate.DELIVERED, Fate.EVICTED, Fate.DELIVERED, Fate.EVICTED]
    assert found.fate.tolist() == expected


def test_a_step_sends_no_more_than_there_is() -> None:
    # Half a second of data in steps of 10 s, of which the contact leaves 9.
    region = region_of([(0, 9, 0, 1), (20, 30, 0, 1)], [(0, 0, 1, 500, 99, NORMAL)])
    options = Options(PolicyName.DIRECT, rate_bytes_s=1_000.0, quantum_s=10.0)
    found = simulate(region, options)
    assert found.sent_bytes.tolist()[:2] == [500, 0]
    assert times(found.delivered_s) == [20.0]
    again = simulate(region, Options(PolicyName.DIRECT, rate_bytes_s=1_000.0, quantum_s=4.5))
    assert times(again.delivered_s) == [4.5]


def test_small_messages_take_nothing_from_the_budget_of_a_large_one() -> None:
    # Node 2 gets four small ones and no more; node 1 is so full that large copies are counted.
    messages = [
        (0, 0, 5, 20_000, 900, BULK),
        (0, 1, 5, 165_000, 900, BULK),
        *[(0, 0, 5, 500, 900, NORMAL)] * 4,
    ]
    region = region_of([(0, 2, 0, 2), (10, 35, 0, 1)], messages)
    found = simulate(region, Options(PolicyName.GAIN, 200_000, 1_000.0))
    assert found.transfers_of.tolist() == [1, 0, 2, 2, 2, 2]


def test_nothing_happens_in_an_empty_region() -> None:
    for policy in PolicyName:
        found = simulate(region_of([], []), Options(policy))
        assert found.transfers == 0
        assert found.delivered_s.shape == (0,)


def test_a_copy_that_comes_too_late_is_none() -> None:
    region = region_of([(0, 9, 0, 1), (9, 20, 1, 2)], [(0, 0, 2, 4_000, 9.5, NORMAL)])
    found = simulate(region, Options(PolicyName.EPIDEMIC, rate_bytes_s=1_000.0))
    assert found.fate.tolist() == [Fate.EXPIRED]
    assert found.transfers_of.tolist() == [2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(buffer_bytes=-1), "buffer and rate"),
        (Options(rate_bytes_s=math.nan), "buffer and rate"),
        (Options(quantum_s=-1.0), "quantum_s"),
        (Options(copies=0), "copies are between 1 and"),
        (Options(copies=30_001), "copies are between 1 and"),
    ],
)
def test_refuses_options_that_cannot_be(options: Options, words: str) -> None:
    with pytest.raises(SimulationError, match=words):
        simulate(region_of([], []), options)


def test_refuses_a_table_of_too_many_nodes() -> None:
    region = region_of([(0, 1, 0, 1)], [], nodes=10_001)
    with pytest.raises(SimulationError, match="at most 10000 nodes"):
        simulate(region, Options(PolicyName.PROPHET))
