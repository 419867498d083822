"""The oracle against the obvious one, and at the edges of contacts and lifetimes."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import sims.oracle
from sims.contacts import ContactPlan, TraceError, Workload, make_plan, make_workload
from sims.oracle import best_arrivals, sum_up
from tests.reference import reachability

Row = tuple[float, ...]
Floats = NDArray[np.float64]
# The first call of each compiled function compiles it.
pytestmark = pytest.mark.slow

NODES = 6
# Few times, so that ends, starts, creations and deadlines fall together.
TIMES = st.integers(0, 12).map(float) | st.floats(0, 12).map(lambda time: round(time, 2))
PAIRS = st.lists(st.integers(0, NODES - 1), min_size=2, max_size=2, unique=True)


def plan_of(*rows: Row, nodes: int = NODES) -> ContactPlan:
    return make_plan(nodes, np.array(rows, dtype=float).reshape(-1, 4))


def workload_of(*rows: Row, nodes: int = NODES) -> Workload:
    """Rows are created_s, source, destination, size_bytes, lifetime_s, priority."""
    names = tuple(f"m{number}" for number in range(len(rows)))
    return make_workload(names, np.array(rows, dtype=float).reshape(-1, 6), nodes, "messages")


@st.composite
def contacts(draw: st.DrawFn) -> Row:
    start, length = draw(TIMES), draw(st.sampled_from([0.5, 1.0, 2.0, 5.0]))
    return (start, start + length, *draw(PAIRS))


@st.composite
def messages(draw: st.DrawFn) -> Row:
    size = draw(st.integers(1, 40))
    lifetime = draw(st.sampled_from([0.5, 1.0, 3.0, 20.0]))
    return (draw(TIMES), *draw(PAIRS), size, lifetime, draw(st.integers(0, 2)))


PLANS = st.lists(contacts(), max_size=25).map(lambda rows: plan_of(*rows))
WORKLOADS = st.lists(messages(), max_size=12).map(lambda rows: workload_of(*rows))


def assert_same(found: Floats | Sequence[float], expected: Floats | Sequence[float]) -> None:
    np.testing.assert_array_equal(np.array(found), np.array(expected))


@given(PLANS, WORKLOADS, st.sampled_from([0.0, 1.0, 10.0, 1e9]))
def test_is_what_the_obvious_oracle_says(
    plan: ContactPlan, workload: Workload, rate: float
) -> None:
    assert_same(
        best_arrivals(plan, workload, rate), reachability.best_arrivals(plan, workload, rate)
    )


@given(st.integers(0, 2**32 - 1))
def test_many_messages_and_long_lists_of_open_contacts(seed: int) -> None:
    draw = np.random.default_rng(seed)
    start = np.round(draw.uniform(0, 40, 60), 1)
    pairs = np.array([draw.choice(9, 2, replace=False) for _ in range(60)])
    plan = make_plan(9, np.column_stack((start, start + draw.choice([1, 9], 60), pairs)))
    ends = np.array([draw.choice(9, 2, replace=False) for _ in range(150)])
    rows = np.column_stack(
        (
            np.round(draw.uniform(0, 40, 150), 1),
            ends,
            draw.integers(1, 9, 150),
            draw.choice([2, 30], 150),
            draw.integers(0, 3, 150),
        )
    )
    workload = workload_of(*rows, nodes=9)
    assert_same(best_arrivals(plan, workload), reachability.best_arrivals(plan, workload))


@given(PLANS, WORKLOADS)
def test_a_lower_rate_never_helps(plan: ContactPlan, workload: Workload) -> None:
    at_once, fast, slow = (best_arrivals(plan, workload, rate) for rate in (0.0, 20.0, 5.0))
    for sooner, later in ((at_once, fast), (fast, slow)):
        has_both = ~np.isnan(later)
        assert not np.isnan(sooner[has_both]).any()
        assert (sooner[has_both] <= later[has_both]).all()


def test_crosses_a_path_of_open_contacts_at_one_instant() -> None:
    plan = plan_of((0, 10, 0, 1), (0, 10, 2, 1), (0, 10, 2, 3))
    assert_same(best_arrivals(plan, workload_of((4, 0, 3, 1, 5, 1))), [4])


@pytest.mark.parametrize(
    ("created", "arrival"), [(1.0, 2.0), (2.0, 2.0), (4.5, 4.5), (5.0, math.nan)]
)
def test_a_contact_can_be_used_from_its_start_until_before_its_end(
    created: float, arrival: float
) -> None:
    plan = plan_of((2, 5, 0, 1))
    assert_same(best_arrivals(plan, workload_of((created, 0, 1, 1, 9, 1))), [arrival])


def test_two_contacts_that_touch_do_not_meet() -> None:
    plan = plan_of((0, 5, 0, 1), (5, 9, 1, 2))
    assert_same(best_arrivals(plan, workload_of((5, 0, 2, 1, 9, 1))), [math.nan])
    assert_same(best_arrivals(plan, workload_of((4, 0, 2, 1, 9, 1))), [5])


def test_arrives_at_the_end_of_its_lifetime_and_not_later() -> None:
    plan = plan_of((5, 9, 0, 1))
    workload = workload_of((0, 0, 1, 1, 5, 1), (0, 0, 1, 1, 4.99, 1))
    assert_same(best_arrivals(plan, workload), [5, math.nan])


def test_a_transfer_fits_wholly_into_one_contact() -> None:
    plan = plan_of((0, 4, 0, 1), (10, 20, 0, 1))
    sizes = workload_of((0, 0, 1, 40, 99, 1), (0, 0, 1, 41, 99, 1), (0, 0, 1, 101, 99, 1))
    assert_same(best_arrivals(plan, sizes, 10.0), [4.0, 14.1, math.nan])


@pytest.mark.parametrize("rate", [-1.0, math.nan, math.inf])
def test_refuses_a_rate_that_is_none(rate: float) -> None:
    with pytest.raises(TraceError, match="bytes per second"):
        best_arrivals(plan_of(), workload_of(), rate)


def test_sweeps_more_than_once_where_the_tables_would_be_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw = np.random.default_rng(5)
    start = draw.uniform(0, 50, 40)
    pairs = np.array([draw.choice(NODES, 2, replace=False) for _ in range(40)])
    plan = plan_of(*np.column_stack((start, start + 3, pairs)))
    ends = np.array([draw.choice(NODES, 2, replace=False) for _ in range(200)])
    rest = np.tile([1, 2, 1], (200, 1))
    workload = workload_of(*np.column_stack((draw.uniform(0, 40, 200), ends, rest)))
    expected = best_arrivals(plan, workload)
    monkeypatch.setattr(sims.oracle, "_BITS_BYTES_MAX", 1)
    assert_same(best_arrivals(plan, workload), expected)
    assert 0 < np.isnan(expected).sum() < 200


def test_sums_up_shares_and_delays() -> None:
    workload = workload_of(
        (0, 0, 1, 1, 9, 0), (1, 0, 1, 1, 9, 1), (2, 0, 1, 1, 9, 1), (3, 0, 1, 1, 9, 1)
    )
    found = sum_up(workload, np.array([4.0, math.nan, 2.5, 4.0]))
    assert (found.messages, found.delivered, found.share) == (4, 3, 0.75)
    assert found.share_of[:2] == (1.0, 2 / 3)
    assert math.isnan(found.share_of[2])
    assert found.delays_s.tolist() == [0.5, 1.0, 4.0]
    assert found.delay_median_s == 1.0


def test_sums_up_nothing() -> None:
    found = sum_up(workload_of(), np.empty(0))
    assert found.messages == 0
    assert math.isnan(found.share)
    assert math.isnan(found.delay_median_s)


def test_runs_without_the_compiler_too() -> None:
    code = """
import numpy as np
from sims.contacts import make_plan, make_workload
from sims.oracle import best_arrivals
plan = make_plan(3, np.array([[0, 4, 0, 1], [3, 8, 1, 2]], dtype=float))
rows = np.array([[1, 0, 2, 10, 9, 1], [5, 0, 2, 10, 9, 1]], dtype=float)
workload = make_workload(("a", "b"), rows, 3, "messages")
print(best_arrivals(plan, workload).tolist(), best_arrivals(plan, workload, 10.0).tolist())
"""
    told = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout == "[3.0, nan] [4.0, nan]\n"
