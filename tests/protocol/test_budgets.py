"""Tariffs: what a line of settings says, steps, periods, and that nothing passes a bound."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.budgets import (
    NOTHING_SPENT,
    Period,
    Spent,
    Tariff,
    bearer_of,
    pace_ms,
    period_end_ms,
    period_start_ms,
    read_tariff,
    steps_left,
    steps_of,
    with_steps,
)

SATELLITE = "/dev/ttyUSB0 per=month bytes=20000 euros=30 step=50 price=0.06 sos=5000"


def test_a_line_of_settings_is_read() -> None:
    tariff = read_tariff(SATELLITE)
    assert tariff == Tariff("/dev/ttyUSB0", Period.MONTH, 20_000, 30_000_000, 50, 60_000, 5_000)
    assert tariff.is_serial
    assert (steps_of(tariff, 1), steps_of(tariff, 50), steps_of(tariff, 51)) == (1, 1, 2)
    assert steps_left(tariff, NOTHING_SPENT, is_sos=False) == 300
    assert steps_left(tariff, NOTHING_SPENT, is_sos=True) == 400


def test_the_first_tariff_that_fits_is_taken() -> None:
    exact, any_mobile = read_tariff("wwan0 per=day bytes=10"), read_tariff("wwan* per=day bytes=20")
    assert bearer_of((exact, any_mobile), "wwan0") is exact
    assert bearer_of((exact, any_mobile), "wwan1") is any_mobile
    assert bearer_of((exact, any_mobile), "wlan0") is None
    assert not any_mobile.is_serial


@pytest.mark.parametrize(
    "text",
    [
        "",
        "per=day bytes=10",
        "w*an per=day bytes=10",
        "wwan0 bytes=10",
        "wwan0 per=year bytes=10",
        "wwan0 per=day",
        "wwan0 per=day bytes=0",
        "wwan0 per=day bytes=-1",
        "wwan0 per=day bytes=10 bytes=20",
        "wwan0 per=day bytes=10 colour=red",
        "wwan0 per=day bytes=10 step=20",
        "wwan0 per=day bytes=10 price=0.0000001",
        "wwan0 per=day bytes=10 euros=NaN",
        "wwan0 per=day bytes=10 euros=-1",
        "wwan0 per=day bytes=10 sos=11",
        "wwan0 per=day bytes=1000 step=50 price=1 euros=2 sos=500",
        "w" * 65 + " per=day bytes=10",
    ],
)
def test_a_line_that_is_wrong_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_tariff(text)


@given(st.text(max_size=80))
def test_any_text_is_a_tariff_or_a_named_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert read_tariff(text).bytes_max > 0


@given(
    tariff=st.builds(
        Tariff,
        name=st.just("wwan0"),
        period=st.sampled_from(Period),
        bytes_max=st.integers(1, 10**6),
        microeuros_max=st.integers(0, 10**6),
        step_bytes=st.integers(1, 1_000),
        step_microeuros=st.integers(0, 1_000),
        sos_bytes=st.integers(0, 10**6),
    ),
    bursts=st.lists(st.tuples(st.integers(1, 3_000), st.booleans()), max_size=60),
)
def test_bursts_that_are_allowed_pass_no_bound_and_leave_the_part_of_sos(
    tariff: Tariff, bursts: list[tuple[int, bool]]
) -> None:
    spent = NOTHING_SPENT
    for size_bytes, is_sos in bursts:
        steps = steps_of(tariff, size_bytes)
        assert (steps - 1) * tariff.step_bytes < size_bytes <= steps * tariff.step_bytes
        if steps > steps_left(tariff, spent, is_sos=is_sos):
            continue
        before_sos = steps_left(tariff, spent, is_sos=True)
        spent = with_steps(tariff, spent, steps)
        assert spent.billed_bytes <= tariff.bytes_max
        assert not tariff.step_microeuros or spent.microeuros <= tariff.microeuros_max
        if not is_sos:
            kept = min(before_sos, steps_of(tariff, tariff.sos_bytes))
            assert steps_left(tariff, spent, is_sos=True) >= kept


def test_what_is_given_back_never_goes_below_nothing() -> None:
    tariff = read_tariff(SATELLITE)
    assert with_steps(tariff, Spent(100, 120_000), -1) == Spent(50, 60_000)
    assert with_steps(tariff, Spent(50, 60_000), -3) == NOTHING_SPENT


@pytest.mark.parametrize(
    ("period", "start"),
    [
        (Period.DAY, datetime(2026, 11, 27, tzinfo=UTC)),
        (Period.WEEK, datetime(2026, 11, 23, tzinfo=UTC)),
        (Period.MONTH, datetime(2026, 11, 1, tzinfo=UTC)),
    ],
)
def test_periods_begin_at_midnight_of_utc(period: Period, start: datetime) -> None:
    now = datetime(2026, 11, 27, 23, 59, 59, 999_000, tzinfo=UTC)
    now_ms = round(now.timestamp() * 1000)
    assert period_start_ms(period, now_ms) == round(start.timestamp() * 1000)
    assert period_start_ms(Period.DAY, now_ms + 1) == round(start.timestamp() * 1000) + (
        86_400_000 * (28 - start.day)
    )


@given(st.integers(0, 4 * 10**12), st.sampled_from(Period))
def test_a_period_has_begun_and_is_its_own_start(now_ms: int, period: Period) -> None:
    start_ms = period_start_ms(period, now_ms)
    assert start_ms <= now_ms < start_ms + 31 * 86_400_000
    assert period_start_ms(period, start_ms) == start_ms


@given(st.sampled_from(Period), st.integers(0, 4_000_000_000_000))
def test_a_period_ends_where_the_next_one_begins(period: Period, now_ms: int) -> None:
    end_ms = period_end_ms(period, now_ms)
    assert now_ms < end_ms
    assert period_start_ms(period, end_ms) == end_ms
    assert period_start_ms(period, end_ms - 1) == period_start_ms(period, now_ms)


MOST_MS = 600_000


@given(
    st.integers(0, 5_000),
    st.integers(1_000, 40 * 86_400_000),
    st.lists(st.integers(1, 12), min_size=1, max_size=4),
    st.integers(0, 30_000),
)
def test_at_its_pace_a_budget_lasts_to_the_end_of_its_period(
    left_steps: int, left_ms: int, costs: list[int], share_ms: int
) -> None:
    """What was spent is never ahead of the clock, but for the first burst and where it is rare."""
    whole_steps, whole_ms, at_ms, is_rare = left_steps, left_ms, 0, False
    for turn in range(400):
        steps = costs[turn % len(costs)]
        if left_steps < steps or at_ms >= whole_ms:
            break
        wait_ms = pace_ms(steps, left_steps, whole_ms - at_ms, MOST_MS)
        assert 0 <= wait_ms <= MOST_MS, "while any is left, one is sent"
        is_rare = is_rare or wait_ms == MOST_MS
        left_steps -= steps
        # Never oftener than the line allows.
        at_ms += max(wait_ms, share_ms)
        spent = whole_steps - left_steps
        assert is_rare or spent * whole_ms <= at_ms * whole_steps


def test_the_pace_at_its_bounds() -> None:
    assert pace_ms(0, 0, 1_000, MOST_MS) == 0, "what costs nothing waits for nothing"
    assert pace_ms(3, 0, 1_000, MOST_MS) == MOST_MS
    assert pace_ms(3, 300, 30_000_000, MOST_MS) == 300_000
    assert pace_ms(3, 300, 0, MOST_MS) == 0
    assert pace_ms(3, 10**9, 86_400_000, MOST_MS) == 1
