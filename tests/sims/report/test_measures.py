"""Figures of a run against slow obvious versions."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims.abstract.records import Fate
from sims.report.measures import (
    death_places,
    make_run,
    mean_open,
    open_by_hour,
    share_until,
    stretch_of,
)
from tests.sims.report.sample import sample_arrivals, sample_outcome, sample_region

whole_s = st.integers(0, 60).map(float)
intervals = st.lists(st.tuples(whole_s, st.integers(1, 40).map(float)), max_size=8)


@given(intervals, st.sets(whole_s, min_size=2, max_size=6))
def test_mean_open_counts_each_second(found: list[tuple[float, float]], edges: set[float]) -> None:
    ordered = sorted(edges)
    start = np.array([begin for begin, _ in found])
    end = np.array([begin + length for begin, length in found])
    got = mean_open(start, end, np.array(ordered))
    for place, mean in enumerate(got):
        seconds = range(int(ordered[place]), int(ordered[place + 1]))
        open_at = [
            sum(begin <= second < begin + length for begin, length in found) for second in seconds
        ]
        assert mean == pytest.approx(sum(open_at) / len(open_at), abs=1e-9)


@given(st.lists(st.one_of(whole_s, st.just(math.nan)), max_size=20), st.lists(whole_s, max_size=5))
def test_share_until_counts(times: list[float], grid: list[float]) -> None:
    got = share_until(np.array(times), len(times), np.array(grid))
    assert got.tolist() == [sum(time <= at for time in times) / max(len(times), 1) for at in grid]


def test_hours_add_up_to_all_time_in_contact() -> None:
    region = sample_region()
    run = make_run(region, sample_outcome(region, sample_arrivals(region)), None)
    every, gateway = open_by_hour(run)
    seconds = sum(
        min(float(end), region.duration_s) - min(float(start), region.duration_s)
        for start, end in zip(region.plan.start_s, region.plan.end_s, strict=True)
    )
    assert every.sum() * 3600 * 2 == pytest.approx(seconds)
    assert (gateway <= every + 1e-9).all()
    short = make_run(dataclasses.replace(region, duration_s=5400.0), run.outcome, None)
    assert np.isfinite(open_by_hour(short)[0]).tolist() == [True] * 2 + [False] * 22


def test_stretch_compares_with_the_best() -> None:
    region = sample_region()
    arrivals = sample_arrivals(region)
    run = make_run(region, sample_outcome(region, arrivals), arrivals)
    for each, got in enumerate(stretch_of(run)):
        wrote = region.workload.created_s[each]
        taken, best = run.outcome.delivered_s[each] - wrote, arrivals[each] - wrote
        if math.isnan(taken) or math.isnan(best):
            assert math.isnan(got)
        else:
            assert got == pytest.approx(max(taken, 1) / max(best, 1))
            assert got >= 1


def test_a_death_counts_where_it_happened() -> None:
    region = sample_region()
    run = make_run(region, sample_outcome(region, sample_arrivals(region)), None)
    expected = [[0] * len(Fate) for _ in region.labels]
    for each, number in enumerate(run.outcome.fate.tolist()):
        if number == Fate.NEVER_LEFT:
            expected[region.workload.source[each]][number] += 1
        elif number in (Fate.EXPIRED, Fate.EVICTED) and run.outcome.died_at[each] >= 0:
            expected[run.outcome.died_at[each]][number] += 1
    assert death_places(run).tolist() == expected


def test_an_arrival_after_the_lifetime_is_none() -> None:
    region = sample_region()
    late = region.workload.created_s + region.workload.lifetime_s + 1
    run = make_run(region, sample_outcome(region, sample_arrivals(region)), late)
    assert run.possible is not None
    assert not run.possible.any()
