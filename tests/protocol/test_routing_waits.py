"""Expected waits and chances: ranges, what they rise and fall with, and figures by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.routing.waits import FADING, NEVER_S, UNKNOWN_S, chance, pair_wait_s, relayed_wait_s

TIMES = st.floats(0.0, 1e8)
WAITS = TIMES | st.just(NEVER_S)


@given(TIMES, WAITS)
def test_a_chance_is_from_0_to_1(remaining_s: float, wait_s: float) -> None:
    assert 0.0 <= chance(remaining_s, wait_s) <= 1.0
    assert chance(-remaining_s, wait_s) == 0.0


@given(TIMES, TIMES, WAITS)
def test_a_chance_rises_with_time(one_s: float, other_s: float, wait_s: float) -> None:
    less_s, more_s = sorted((one_s, other_s))
    assert chance(less_s, wait_s) <= chance(more_s, wait_s)


@given(TIMES, WAITS, WAITS)
def test_a_chance_falls_with_the_wait(remaining_s: float, one_s: float, other_s: float) -> None:
    less_s, more_s = sorted((one_s, other_s))
    assert chance(remaining_s, more_s) <= chance(remaining_s, less_s)


def test_chances_by_hand() -> None:
    assert chance(100.0, 100.0) == 0.5
    assert chance(300.0, 100.0) == 0.75
    assert chance(100.0, 0.0) == 1.0
    # Who was never met may be met all the same, but it is less likely than with anybody known.
    assert chance(3600.0, NEVER_S) == chance(3600.0, UNKNOWN_S) < 0.01


def test_a_wait_is_half_the_gap_where_gaps_are_equal() -> None:
    # Ten gaps of 60 s and contacts without length: whoever comes by waits 30 s on average.
    assert pair_wait_s(10 * 60.0**2 / 2, 600.0) == 30.0
    # One gap of 100 s and one of 500 s: (5,000 + 125,000) / 600.
    assert pair_wait_s(100.0**2 / 2 + 500.0**2 / 2, 600.0) == pytest.approx(216.667, abs=1e-3)


@given(st.lists(st.floats(1.0, 1e5), min_size=1, max_size=20))
def test_a_wait_is_never_below_half_the_mean_gap(gaps_s: list[float]) -> None:
    observed_s = sum(gaps_s)
    wait_s = pair_wait_s(sum(gap**2 / 2 for gap in gaps_s), observed_s)
    assert wait_s >= observed_s / len(gaps_s) / 2 * (1 - 1e-9)
    assert wait_s <= max(gaps_s) / 2 * (1 + 1e-9)


@given(WAITS, TIMES, WAITS)
def test_a_wait_that_was_heard_of_fades_unless_news_is_better(
    known_s: float, meeting_s: float, onward_s: float
) -> None:
    found_s = relayed_wait_s(known_s, meeting_s, onward_s)
    assert found_s <= known_s * FADING
    assert found_s <= meeting_s + onward_s
    assert found_s in (known_s * FADING, meeting_s + onward_s)


def test_relayed_waits_by_hand() -> None:
    assert relayed_wait_s(NEVER_S, 60.0, 40.0) == 100.0
    assert relayed_wait_s(100.0, 60.0, 90.0) == 102.0
