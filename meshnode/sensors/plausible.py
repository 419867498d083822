"""What cannot be, seen over time: a device that jumps, a clock years off, a plug that flutters.

Pure: readings and monotonic seconds in, readings or SensorError out. One guard per source, since a
source that lies must not speak for another. A liar that moves slowly passes; see known attacks.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from meshnode.errors import SensorError
from meshnode.sensors.bounds import (
    BATTERY_FLIP_S_MIN,
    JUMP_AGREEING_COUNT,
    JUMP_AGREEING_S,
    SOURCE_CLOCK_MS_MAX,
    SPEED_M_S_MAX,
)
from meshnode.sensors.readings import BatteryReading, PositionReading

__all__ = ["ChargingGuard", "MotionGuard", "distance_m"]

_EARTH_M: Final = 6_371_009
"""Mean radius of the Earth. Source: IUGG."""
_SLACK_M_MAX: Final = 1_000
"""Inexact fixes may lie this much apart beyond what speed explains."""
_STEP_S_MIN: Final = 1.0
"""Readings that came in one burst were taken a moment apart."""


def distance_m(here: PositionReading, there: PositionReading) -> float:
    """Return the way between two positions on a sphere, metres; within 0.6 % of the ellipsoid."""
    lat_a, lat_b = math.radians(here.latitude), math.radians(there.latitude)
    d_lat, d_lon = lat_b - lat_a, math.radians(there.longitude - here.longitude)
    chord = math.sin(d_lat / 2) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin(d_lon / 2) ** 2
    return 2 * _EARTH_M * math.asin(min(1.0, math.sqrt(chord)))


class MotionGuard:
    """Judges the positions of one source against each other and against our clock."""

    def __init__(self) -> None:
        self._good: tuple[PositionReading, float] | None = None
        self._rival: tuple[PositionReading, float] | None = None
        self._doubted_s = math.inf
        """When the first jump after the last good reading came; what is in reach grows no more."""
        self._rival_since_s = 0.0
        self._rivals = 0

    def judge(self, reading: PositionReading, at_s: float) -> PositionReading | None:
        """Return the reading, or None for one that the source repeats; `at_s` is monotonic.

        Raises: SensorError for a date off by more than a day, and for a jump, unless the readings
        of JUMP_AGREEING_S, JUMP_AGREEING_COUNT at least, agree with it.
        """
        if reading.told_ms and abs(reading.told_ms - reading.taken_ms) > SOURCE_CLOCK_MS_MAX:
            days = abs(reading.told_ms - reading.taken_ms) // SOURCE_CLOCK_MS_MAX
            raise SensorError("date", f"its date is {days} days from this device's clock")
        if self._good is not None:
            if reading.told_ms and reading.told_ms == self._good[0].told_ms:
                return None
            until_s = min(at_s, self._doubted_s)
            if not _is_reachable(self._good, reading, until_s):
                self._doubted_s = until_s
                if not self._agrees(reading, at_s):
                    raise SensorError("jump", "the position jumped faster than 1,000 km/h")
        self._good, self._rival, self._doubted_s = (reading, at_s), None, math.inf
        return reading

    def _agrees(self, reading: PositionReading, at_s: float) -> bool:
        """Tell whether enough readings in a row say that the device is where this one puts it."""
        if self._rival is None or not _is_reachable(self._rival, reading, at_s):
            self._rivals, self._rival_since_s = 0, at_s
        self._rival = (reading, at_s)
        self._rivals += 1
        is_long = at_s - self._rival_since_s >= JUMP_AGREEING_S
        return is_long and self._rivals >= JUMP_AGREEING_COUNT


def _is_reachable(
    before: tuple[PositionReading, float], reading: PositionReading, at_s: float
) -> bool:
    here, then_s = before
    slack_m = min(here.accuracy_m + reading.accuracy_m, _SLACK_M_MAX)
    way_m = distance_m(here, reading) - slack_m
    return way_m <= SPEED_M_S_MAX * max(at_s - then_s, _STEP_S_MIN)


class ChargingGuard:
    """Lets charging turn on or off at most every BATTERY_FLIP_S_MIN, whatever the plug does."""

    def __init__(self) -> None:
        self._is_charging: bool | None = None
        self._seen: bool | None = None
        self._turned_s = self._shown_s = -math.inf

    def judge(self, reading: BatteryReading, at_s: float) -> BatteryReading:
        """Return the reading with the steady state of charging; `at_s` is monotonic."""
        is_steady = at_s - self._turned_s >= BATTERY_FLIP_S_MIN
        if self._seen is not None and reading.is_charging != self._seen:
            self._turned_s = at_s
        self._seen = reading.is_charging
        if self._is_charging is None:
            self._is_charging = reading.is_charging
        elif (
            reading.is_charging is not self._is_charging
            and is_steady
            and at_s - self._shown_s >= BATTERY_FLIP_S_MIN
        ):
            self._is_charging, self._shown_s = reading.is_charging, at_s
        return replace(reading, is_charging=self._is_charging)
