"""The sensors of simulated devices: a receiver that speaks NMEA 0183, and the gauge of a battery.

They hand to the node's own hub what a scenario lets them say, true or not; lines, checksums and
bounds are those of the field. Source: NMEA 0183 sentences RMC and GGA.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial, reduce
from typing import Final

import trio

from meshnode.errors import SensorError
from meshnode.sensors.base import Sensor, SensorSink
from meshnode.sensors.bounds import FIX_SILENT_S, NMEA_LINE_BYTES_MAX, STREAM_FRESH_S
from meshnode.sensors.lines import Lines
from meshnode.sensors.nmea import FixMerger, no_position
from meshnode.sensors.readings import BatteryReading, SensorKind
from sims.instruments import (
    BATTERY_WORDS,
    PLACE_WORDS,
    BatteryPlan,
    SensorPlan,
    with_instruments,
)
from sims.place import Place
from sims.power import Battery
from sims.scenario import Scenario

__all__ = ["Gauge", "Receiver", "furnish_instruments", "off_m", "whereabouts"]

METRES_PER_DEGREE: Final = 111_320.0
AROUND_S: Final = 1_800.0
"""Once around the circle."""
_MIDDLE: Final = (44.89, 6.64)
_SPEAKS_EVERY_S: Final = 4.0
"""Real ones speak each second; a quarter of it costs a quarter, and is fresh enough."""
_ASKED_EVERY_S: Final = 60.0
_GPS_WEEKS_LOST_MS: Final = 1024 * 7 * 86_400_000
"""What an old receiver is behind once its count of weeks began anew."""
_NO_LEVEL_PCT: Final = 255.0
"""What a driver without a battery was seen to say."""


def whereabouts(speed_m_s: float, passed_s: float) -> tuple[float, float]:
    """Return latitude and longitude of who goes around in a circle, degrees."""
    radius_deg = speed_m_s * AROUND_S / math.tau / METRES_PER_DEGREE
    angle = math.tau * passed_s / AROUND_S
    return _MIDDLE[0] + radius_deg * math.sin(angle), _MIDDLE[1] + radius_deg * math.cos(angle)


def off_m(told: tuple[float, float], true: tuple[float, float]) -> float:
    """Return how far two places are from each other, metres, on a flat map."""
    east = math.cos(math.radians(true[0]))
    return METRES_PER_DEGREE * math.hypot(told[0] - true[0], (told[1] - true[1]) * east)


def _said(plans: Sequence[SensorPlan], words: Sequence[str]) -> str:
    """Return what a sensor says now; empty for the truth."""
    now_s = trio.current_time()
    found = [e.says for e in plans if e.says in words and e.start_s <= now_s < e.end_s]
    return found[-1] if found else ""


def furnish_instruments(place: Place, scenario: Scenario) -> None:
    """Give a device the sensors and the battery that its scenario says; none where it says none."""
    if place.name not in with_instruments(scenario.sensors, scenario.batteries):
        return
    plans = [each for each in scenario.sensors if each.device == place.name]
    speeds = [each.speed_m_s for each in scenario.shifts if each.device == place.name]
    battery = Battery(BatteryPlan(place.name, drain_pct_h=0.0))
    for each in scenario.batteries:
        if each.device == place.name:
            place.battery = battery = Battery(each)
    truth = partial(whereabouts, speeds[0] if speeds else 0.0)
    place.truth = truth
    place.make_sensors = lambda: (Receiver(plans, truth), Gauge(plans, battery))


class Receiver(Sensor):
    """A receiver on a line, with the faults of its plans."""

    name = "receiver"
    kinds = frozenset({SensorKind.POSITION})
    fresh_s = STREAM_FRESH_S

    def __init__(
        self, plans: Sequence[SensorPlan], truth: Callable[[float], tuple[float, float]]
    ) -> None:
        """`truth` gives latitude and longitude, degrees, at a virtual time in seconds."""
        self._plans = plans
        self._truth = truth
        self._count = 0

    async def run(self, sink: SensorSink) -> None:
        """See `Sensor.run`."""
        merger, lines = FixMerger(self.name), Lines(NMEA_LINE_BYTES_MAX)
        heard_s, stuck = trio.current_time(), b""
        while True:
            says = _said(self._plans, PLACE_WORDS)
            if says == "unplugged":
                raise SensorError("gone", "the receiver went away: is it plugged in?")
            if says != "repeated":
                stuck = self._sentences(says, sink.runtime.now_ms())
            data = b"" if says == "silent" else stuck
            heard_s = trio.current_time() if data else heard_s
            if trio.current_time() - heard_s > FIX_SILENT_S:
                sink.explain(no_position())
            for line in lines.feed(data):
                assert line is not None, "sentences are shorter than a line may be"
                merger.hear(line, sink, trio.current_time())
            await trio.sleep(_SPEAKS_EVERY_S)

    def _sentences(self, says: str, now_ms: int) -> bytes:
        self._count += 1
        place = self._truth(trio.current_time())
        if says == "elsewhere":
            # Another place each time, hundreds of kilometres away: none agrees with the one before.
            place = (place[0] + 2 + self._count % 7, place[1] - 3 * (self._count % 5))
        told_ms = now_ms - _GPS_WEEKS_LOST_MS if says == "wrong_date" else now_ms
        text = _sentences(place, told_ms, has_fix=says != "no_fix")
        # A digit of each place is another one, as a bad contact makes it; the checksum stays.
        return text.replace(b",N,", b"7,N,") if says == "garbled" else text


def _sentences(place: tuple[float, float], told_ms: int, *, has_fix: bool) -> bytes:
    """Return a GGA and an RMC of one moment, with their ends."""
    at = datetime.fromtimestamp(told_ms / 1000, UTC)
    clock, day = at.strftime("%H%M%S.00"), at.strftime("%d%m%y")
    where = (
        f"{_angle(place[0], 2)},{'SN'[place[0] >= 0]},{_angle(place[1], 3)},{'WE'[place[1] >= 0]}"
    )
    if not has_fix:
        gga, rmc = f"GPGGA,{clock},,,,,0,00,,,M,,M,,", f"GPRMC,{clock},V,,,,,,,{day},,,N"
    else:
        gga = f"GPGGA,{clock},{where},1,08,1.0,900.0,M,,M,,"
        rmc = f"GPRMC,{clock},A,{where},2.0,0.0,{day},,,A"
    return b"".join(_sentence(each) for each in (gga, rmc))


def _angle(degrees: float, digits: int) -> str:
    minutes = abs(degrees) * 60
    return f"{int(minutes // 60):0{digits}d}{minutes % 60:08.5f}"


def _sentence(body: str) -> bytes:
    checksum = reduce(lambda left, right: left ^ right, body.encode())
    return f"${body}*{checksum:02X}\r\n".encode()


class Gauge(Sensor):
    """What tells how full a battery is, asked as often as the node wants to know."""

    name = "gauge"
    kinds = frozenset({SensorKind.BATTERY})
    fresh_s = 2.5 * _ASKED_EVERY_S

    def __init__(self, plans: Sequence[SensorPlan], battery: Battery) -> None:
        self._plans = plans
        self._battery = battery

    async def run(self, sink: SensorSink) -> None:
        """See `Sensor.run`."""
        while True:
            says = _said(self._plans, BATTERY_WORDS)
            if says == "battery_silent":
                sink.explain(SensorError("silent", "the battery does not answer"))
            else:
                sink.take(lambda says=says: self._reading(sink, says))  # type: ignore[misc]
            await trio.sleep(sink.rest_s(_ASKED_EVERY_S))

    def _reading(self, sink: SensorSink, says: str) -> BatteryReading:
        level_pct = _NO_LEVEL_PCT if says else float(round(self._battery.level_pct))
        is_charging = self._battery.is_charging
        return BatteryReading(level_pct, is_charging, sink.runtime.now_ms(), self.name)
