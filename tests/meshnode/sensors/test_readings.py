"""Readings refuse what cannot be, at each bound and one above."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshnode.errors import SensorError
from meshnode.sensors.bounds import (
    ACCURACY_M_MAX,
    BATTERY_POWER_W_MAX,
    OPERATOR_CHARS_MAX,
    SPEED_M_S_MAX,
)
from meshnode.sensors.readings import (
    BatteryReading,
    CoverageBearer,
    CoverageReading,
    PositionReading,
    SensorKind,
    kind_of,
    number,
    printable,
)
from tests.meshnode.sensors.stand import NOW_MS, battery, coverage, position

GOOD_POSITION: dict[str, Any] = {
    "latitude": 44.9,
    "longitude": 6.64,
    "accuracy_m": 5.0,
    "taken_ms": NOW_MS,
    "source": "test",
}
GOOD_BATTERY: dict[str, Any] = {
    "level_pct": 50.0,
    "is_charging": True,
    "taken_ms": NOW_MS,
    "source": "test",
}
GOOD_COVERAGE: dict[str, Any] = {
    "bearer": CoverageBearer.FOUR_G,
    "signal_pct": 50.0,
    "operator": "Test",
    "is_registered": True,
    "taken_ms": NOW_MS,
    "source": "test",
}
BOUNDS = [
    (PositionReading, GOOD_POSITION, "latitude", -90, 90),
    (PositionReading, GOOD_POSITION, "longitude", -180, 180),
    (PositionReading, GOOD_POSITION, "accuracy_m", 0, ACCURACY_M_MAX),
    (PositionReading, GOOD_POSITION, "speed_m_s", 0, SPEED_M_S_MAX),
    (PositionReading, GOOD_POSITION, "course_deg", 0, 360),
    (BatteryReading, GOOD_BATTERY, "level_pct", 0, 100),
    (BatteryReading, GOOD_BATTERY, "power_w", -BATTERY_POWER_W_MAX, BATTERY_POWER_W_MAX),
    (CoverageReading, GOOD_COVERAGE, "signal_pct", 0, 100),
]


@pytest.mark.parametrize(("record", "good", "field", "low", "high"), BOUNDS)
def test_each_field_takes_its_bounds_and_nothing_beyond(
    record: Any, good: dict[str, Any], field: str, low: float, high: float
) -> None:
    for value in (low, high):
        assert getattr(record(**{**good, field: value}), field) == value
    wrong = [math.nextafter(low, -math.inf), math.nextafter(high, math.inf)]
    wrong += [math.nan, math.inf, -math.inf]
    for value in wrong:
        with pytest.raises(SensorError):
            record(**{**good, field: value})
    for odd in ("1", True, b"1", 10**400):
        with pytest.raises(SensorError):
            record(**{**good, field: odd})


def test_null_island_is_no_place() -> None:
    for latitude, longitude in ((0.0, 0.0), (-0.0, 0.00009), (0.00005, -0.00005)):
        with pytest.raises(SensorError) as caught:
            PositionReading(**{**GOOD_POSITION, "latitude": latitude, "longitude": longitude})
        assert caught.value.reason == "null-island"
    PositionReading(**{**GOOD_POSITION, "latitude": 0.0, "longitude": 6.64})
    PositionReading(**{**GOOD_POSITION, "latitude": 0.0001, "longitude": 0.0})


def test_the_name_of_an_operator_commands_no_screen() -> None:
    longest = "x" * OPERATOR_CHARS_MAX
    assert CoverageReading(**{**GOOD_COVERAGE, "operator": longest}).operator == longest
    for name in (longest + "x", "a\x1b[2J", "a\u202eb", "\n"):
        with pytest.raises(SensorError):
            CoverageReading(**{**GOOD_COVERAGE, "operator": name})
        CoverageReading(**{**GOOD_COVERAGE, "operator": printable(name)})


@given(st.text())
@example("A" * (OPERATOR_CHARS_MAX - 1) + " mobile")
def test_any_name_can_be_made_printable(name: str) -> None:
    cleaned = printable(name)
    assert cleaned == printable(cleaned)
    assert CoverageReading(**{**GOOD_COVERAGE, "operator": cleaned}).operator == cleaned


@given(st.floats(allow_nan=True) | st.integers() | st.text() | st.booleans() | st.none())
def test_a_number_is_finite_or_an_error(value: object) -> None:
    with suppress(SensorError):
        assert math.isfinite(number(value, "thing"))


def test_a_position_shows_itself_in_no_repr() -> None:
    shown = repr(position(44.9876, 6.6543))
    assert "44.9" not in shown
    assert "6.65" not in shown


def test_each_reading_has_its_kind() -> None:
    assert kind_of(position()) is SensorKind.POSITION
    assert kind_of(battery()) is SensorKind.BATTERY
    assert kind_of(coverage()) is SensorKind.COVERAGE
