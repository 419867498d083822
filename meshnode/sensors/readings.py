"""What sensors say, checked: no reading exists that is out of its bounds.

A reading holds what a person would believe, in the units of people, and when this device took it.
Where it is, and how fast, is in no repr.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

from meshnode.errors import SensorError
from meshnode.sensors.bounds import (
    ACCURACY_M_MAX,
    BATTERY_POWER_W_MAX,
    OPERATOR_CHARS_MAX,
    SPEED_M_S_MAX,
)

__all__ = [
    "BatteryReading",
    "CoverageBearer",
    "CoverageReading",
    "PositionReading",
    "Reading",
    "SensorKind",
    "kind_of",
    "number",
    "printable",
]

_NULL_ISLAND_DEG: Final = 1e-4
"""Receivers without a fix say 0/0; within 11 m of it lies nothing but a buoy."""


class SensorKind(Enum):
    """What a reading is about; the value is the name of its setting."""

    POSITION = "position"
    BATTERY = "battery"
    COVERAGE = "coverage"


class CoverageBearer(Enum):
    """By what this device reaches a network; the value is what people read."""

    NONE = "none"
    TWO_G = "2G"
    THREE_G = "3G"
    FOUR_G = "4G"
    FIVE_G = "5G"
    LAN = "LAN"


def number(value: object, what: str) -> float:
    """Return `value` as a finite float. Raises: SensorError for anything that is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SensorError(what, f"{what} is no number")
    try:
        found = float(value)
    except OverflowError as error:
        raise SensorError(what, f"{what} is no number that exists") from error
    if not math.isfinite(found):
        raise SensorError(what, f"{what} is no number that exists")
    return found


def printable(text: str) -> str:
    """Return a name as it may be shown: no control characters, and not longer than is allowed."""
    whole = "".join(each for each in text if each.isprintable()).strip()
    # The cut may fall behind a space.
    return whole[:OPERATOR_CHARS_MAX].rstrip()


def _within(value: float | None, what: str, low: float, high: float) -> None:
    """Raise SensorError unless `value` is None or between the bounds."""
    if value is not None and not low <= number(value, what) <= high:
        raise SensorError(what, f"{what} is out of its bounds")


@dataclass(frozen=True, slots=True)
class PositionReading:
    """Where this device is. Raises: SensorError for what no position can be."""

    latitude: float = field(repr=False)
    """Degrees, -90 to 90, north positive."""
    longitude: float = field(repr=False)
    """Degrees, -180 to 180, east positive."""
    accuracy_m: float
    """Radius in metres, 0 to ACCURACY_M_MAX; 0 where it is not known."""
    taken_ms: int
    """By this device's clock, Unix milliseconds."""
    source: str
    """Name of the sensor."""
    speed_m_s: float | None = field(default=None, repr=False)
    """Over ground, metres per second, 0 to SPEED_M_S_MAX; None where it is not known."""
    course_deg: float | None = field(default=None, repr=False)
    """Over ground, degrees from true north, 0 to 360; None where it is not known."""
    told_ms: int = 0
    """By the source's own clock, Unix milliseconds; 0 where it tells no time."""

    def __post_init__(self) -> None:
        _within(self.latitude, "latitude", -90, 90)
        _within(self.longitude, "longitude", -180, 180)
        _within(self.accuracy_m, "accuracy", 0, ACCURACY_M_MAX)
        _within(self.speed_m_s, "speed", 0, SPEED_M_S_MAX)
        _within(self.course_deg, "course", 0, 360)
        if max(abs(self.latitude), abs(self.longitude)) < _NULL_ISLAND_DEG:
            raise SensorError(
                "null-island", "the position is 0/0, which a source without a fix says"
            )


@dataclass(frozen=True, slots=True)
class BatteryReading:
    """How full this device's battery is. Raises: SensorError for what no battery can say."""

    level_pct: float
    """Charge, 0 to 100 percent."""
    is_charging: bool
    """True while power comes from outside, also when the battery is full."""
    taken_ms: int
    """By this device's clock, Unix milliseconds."""
    source: str
    """Name of the sensor."""
    power_w: float | None = None
    """What the battery gives (positive) or takes (negative), watts; None where not known."""

    def __post_init__(self) -> None:
        _within(self.level_pct, "battery level", 0, 100)
        _within(self.power_w, "battery power", -BATTERY_POWER_W_MAX, BATTERY_POWER_W_MAX)


@dataclass(frozen=True, slots=True)
class CoverageReading:
    """What network this device is on. Raises: SensorError for what no modem can say."""

    bearer: CoverageBearer
    """The best that is there."""
    signal_pct: float | None
    """Strength, 0 to 100 percent; None where it is not known."""
    operator: str
    """Name of the mobile network as it calls itself; empty where there is none."""
    is_registered: bool
    """True where the network took this device in: data can flow."""
    taken_ms: int
    """By this device's clock, Unix milliseconds."""
    source: str
    """Name of the sensor."""

    def __post_init__(self) -> None:
        _within(self.signal_pct, "signal", 0, 100)
        if self.operator != printable(self.operator):
            raise SensorError("operator", "the operator's name is too long or commands a screen")


Reading: TypeAlias = PositionReading | BatteryReading | CoverageReading


def kind_of(reading: Reading) -> SensorKind:
    """Return what a reading is about."""
    match reading:
        case PositionReading():
            return SensorKind.POSITION
        case BatteryReading():
            return SensorKind.BATTERY
        case CoverageReading():
            return SensorKind.COVERAGE
