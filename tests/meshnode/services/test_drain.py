"""How fast a battery empties: against a slow rule, and over what a device goes through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.services.drain import Drain
from meshnode.services.readings import BatteryRead
from protocol.states import (
    DRAIN_DPCT_H_MAX,
    EMPTY_AHEAD_MS_MAX,
    battery_fields,
    read_battery_untrusted,
)

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
START_MS = 1_800_000_000_000


def read(
    drain: Drain, minutes: float, level: float, *, charging: bool = False
) -> tuple[float, int]:
    """Read a battery so long after the start; return drain in % per hour, and when it is empty."""
    at_ms = START_MS + round(minutes * MINUTE_MS)
    found = drain.of(BatteryRead(level, charging, at_ms), at_ms)
    return found.drain_dpct_h / 10, found.empty_ms


def test_twelve_percent_an_hour_is_empty_in_five_from_sixty() -> None:
    drain = Drain()
    assert read(drain, 0, 66) == (0, 0)
    per_hour, empty_ms = read(drain, 30, 60)
    assert per_hour == 12
    assert empty_ms == START_MS + 30 * MINUTE_MS + 5 * HOUR_MS


@pytest.mark.parametrize(("minutes", "known"), [(9.9, False), (10, True)])
def test_a_short_stretch_says_nothing(minutes: float, known: bool) -> None:
    drain = Drain()
    read(drain, 0, 66)
    assert (read(drain, minutes, 64)[0] > 0) is known


def test_what_is_charged_has_no_forecast_and_begins_anew() -> None:
    drain = Drain()
    read(drain, 0, 66)
    read(drain, 60, 50)
    assert read(drain, 61, 50, charging=True) == (0, 0)
    assert read(drain, 65, 60) == (0, 0)
    # Charged while nobody looked, too.
    read(drain, 80, 55)
    assert read(drain, 95, 90) == (0, 0)


def test_what_was_more_than_an_hour_ago_counts_no_more() -> None:
    drain = Drain()
    for minutes in range(0, 61, 10):
        read(drain, minutes, 100 - minutes / 2)
    for minutes in range(70, 131, 10):
        per_hour, _ = read(drain, minutes, 70 - (minutes - 60) / 10)
    assert per_hour == 6


def test_a_clock_that_was_set_back_begins_anew() -> None:
    drain = Drain()
    read(drain, 60, 66)
    assert read(drain, 0, 60) == (0, 0)


@given(st.lists(st.tuples(st.integers(-20, 90), st.integers(-5, 105), st.booleans()), max_size=40))
def test_whatever_is_read_fits_the_wire(steps: list[tuple[int, int, bool]]) -> None:
    drain, minutes = Drain(), 60
    for step, level, charging in steps:
        minutes = max(0, minutes + step)
        at_ms = START_MS + minutes * MINUTE_MS
        found = drain.of(BatteryRead(level, charging, at_ms), at_ms)
        assert read_battery_untrusted(battery_fields(found)) == found
        assert found.drain_dpct_h <= DRAIN_DPCT_H_MAX
        assert found.empty_ms <= at_ms + EMPTY_AHEAD_MS_MAX


@given(st.lists(st.integers(0, 30), min_size=2, max_size=60), st.integers(0, 100))
def test_the_slope_is_that_of_the_last_hour(falls_dpct: list[int], start: int) -> None:
    """The slow rule: first and last reading of the hour before the last one."""
    drain, level, seen = Drain(), float(start), list[tuple[int, float]]()
    for minute, fall in enumerate(falls_dpct):
        level = max(0.0, level - fall / 10)
        seen.append((minute, level))
        found, _empty = read(drain, minute, level)
    last_minute, last = seen[-1]
    hour = [each for each in seen if last_minute - each[0] <= 60]
    minutes, fell = last_minute - hour[0][0], hour[0][1] - last
    expected = 60 * fell / minutes if minutes >= 10 and fell >= 1 else 0
    assert found == pytest.approx(expected, abs=0.051)
