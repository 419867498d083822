"""A phone's position, battery and coverage from the commands of Termux:API.

They print one JSON value each, hang at times, and need permissions that they do not always ask
for. One call of a kind at a time, each with a time limit. Source: ecosystem 3.5.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Final

import trio

from meshnode.errors import SensorError
from meshnode.sensors.base import Sensor, SensorSink
from meshnode.sensors.bounds import (
    TERMUX_BYTES_MAX,
    TERMUX_LOCATION_S_MAX,
    TERMUX_S_MAX,
)
from meshnode.sensors.commands import output_of
from meshnode.sensors.readings import (
    BatteryReading,
    CoverageBearer,
    CoverageReading,
    PositionReading,
    Reading,
    SensorKind,
    number,
    printable,
)

__all__ = ["TermuxBattery", "TermuxCoverage", "TermuxPosition", "read_json_untrusted"]

_MICRO: Final = 1_000_000
_CURRENT_UA_MAX: Final = 20_000_000
"""Beyond it stands what phones say that measure no current."""
_BEARERS: Final = {
    CoverageBearer.TWO_G: {"gprs", "edge", "gsm", "cdma", "1xrtt", "idem", "iden"},
    CoverageBearer.THREE_G: {
        *("umts", "wcdma", "hsdpa", "hsupa", "hspa", "hspap", "hspa+", "ehrpd"),
        *("evdo_0", "evdo_a", "evdo_b", "tdscdma", "td_scdma"),
    },
    CoverageBearer.FOUR_G: {"lte", "lte_ca", "iwlan"},
    CoverageBearer.FIVE_G: {"nr", "5g", "nr_nsa"},
}
"""What Android calls its radio technologies."""
_BEARER_OF: Final = {word: bearer for bearer, words in _BEARERS.items() for word in words}
_RANKED: Final = tuple(CoverageBearer)
_SIGNAL_STEPS: Final = 4
"""Android's level of a signal goes from 0 to 4."""
_DBM_LOW: Final = -120.0
_DBM_HIGH: Final = -50.0
"""From nothing to full, for phones that give no level."""


def read_json_untrusted(printed: bytes, command: str) -> Any:
    """Return what a command printed. Raises: SensorError for anything but JSON."""
    if not printed.strip():
        raise SensorError("permission", f"{command} printed nothing: was its permission given?")
    try:
        return json.loads(printed)
    except (ValueError, RecursionError) as error:
        raise SensorError("garbage", f"{command} printed no JSON") from error


class _Termux(Sensor):
    """Asks one command again and again; an answer that is none is told, and asked for again."""

    argv: tuple[str, ...]
    limit_s: float = TERMUX_S_MAX

    def __init__(self, name: str, interval_s: float) -> None:
        self.name = name
        self.fresh_s = 3 * interval_s + self.limit_s
        self._interval_s = interval_s

    async def run(self, sink: SensorSink) -> None:
        """See `Sensor.run`."""
        while True:
            try:
                printed = await output_of(self.argv, self.limit_s, TERMUX_BYTES_MAX)
            except SensorError as error:
                if error.reason == "missing":
                    raise
                sink.refuse(error)
            else:
                self._hear(printed, sink)
            await trio.sleep(sink.rest_s(self._interval_s))

    def _hear(self, printed: bytes, sink: SensorSink) -> None:
        sink.take(lambda: self._read(read_json_untrusted(printed, self.argv[0]), sink))

    @abstractmethod
    def _read(self, found: Any, sink: SensorSink) -> Reading:
        """Return what the answer says. Raises: SensorError."""


def _fields(found: Any, command: str) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise SensorError("garbage", f"{command} printed another kind of answer")
    if "error" in found or "API_ERROR" in found:
        raise SensorError("permission", f"{command} was refused: was its permission given?")
    return found


class TermuxPosition(_Termux):
    """`termux-location`: a fix of the phone, asked for each time."""

    kinds = frozenset({SensorKind.POSITION})
    argv = ("termux-location", "-p", "gps", "-r", "once")
    limit_s = TERMUX_LOCATION_S_MAX

    def _read(self, found: Any, sink: SensorSink) -> PositionReading:
        fields = _fields(found, self.argv[0])
        # How old the fix is on the phone's own clock, so that a cached one is not shown as new.
        age_ms = number(fields.get("elapsedMs", 0), "age of the position")
        if age_ms < 0:
            raise SensorError("time", "the position comes from the future")
        speed, bearing = fields.get("speed"), fields.get("bearing")
        return PositionReading(
            latitude=number(fields.get("latitude"), "latitude"),
            longitude=number(fields.get("longitude"), "longitude"),
            accuracy_m=number(fields.get("accuracy", 0.0), "accuracy"),
            taken_ms=round(sink.runtime.now_ms() - age_ms),
            source=self.name,
            speed_m_s=None if speed is None else number(speed, "speed"),
            course_deg=None if bearing is None else number(bearing, "course"),
        )


class TermuxBattery(_Termux):
    """`termux-battery-status`."""

    kinds = frozenset({SensorKind.BATTERY})
    argv = ("termux-battery-status",)

    def _read(self, found: Any, sink: SensorSink) -> BatteryReading:
        fields = _fields(found, self.argv[0])
        return BatteryReading(
            level_pct=number(fields.get("percentage"), "battery level"),
            is_charging=str(fields.get("plugged", "")).upper().startswith("PLUGGED")
            or str(fields.get("status", "")).upper() in ("CHARGING", "FULL"),
            taken_ms=sink.runtime.now_ms(),
            source=self.name,
            power_w=_power(fields),
        )


def _power(fields: Mapping[str, Any]) -> float | None:
    """Return what the battery gives, watts; None where the phone does not measure it.

    `current` is in microamperes and positive while charging; many phones give a sentinel instead,
    and few give `voltage`, in millivolts.
    """
    current, voltage = fields.get("current"), fields.get("voltage")
    if current is None or voltage is None:
        return None
    current_ua, voltage_mv = number(current, "current"), number(voltage, "voltage")
    if abs(current_ua) > _CURRENT_UA_MAX:
        return None
    return -current_ua / _MICRO * voltage_mv / 1000


class TermuxCoverage(_Termux):
    """`termux-telephony-cellinfo`, which tells the cells that the phone hears."""

    kinds = frozenset({SensorKind.COVERAGE})
    argv = ("termux-telephony-cellinfo",)

    def __init__(self, name: str, interval_s: float) -> None:
        super().__init__(name, interval_s)
        self._operator = ""

    async def run(self, sink: SensorSink) -> None:
        """See `Sensor.run`; the operator's name is asked for once, and does without an answer."""
        argv = ("termux-telephony-deviceinfo",)
        try:
            printed = await output_of(argv, self.limit_s, TERMUX_BYTES_MAX)
            found = _fields(read_json_untrusted(printed, argv[0]), argv[0])
            self._operator = printable(str(found.get("network_operator_name", "")))
        except SensorError as error:
            sink.refuse(error)
        await super().run(sink)

    def _read(self, found: Any, sink: SensorSink) -> CoverageReading:
        if not isinstance(found, list):
            found = [_fields(found, self.argv[0])]
        cells = [each for each in found if isinstance(each, dict) and each.get("registered")]
        best = max(cells, key=_rank, default=None)
        bearer = CoverageBearer.NONE if best is None else _bearer(best)
        return CoverageReading(
            bearer=bearer,
            signal_pct=None if best is None else _signal(best),
            operator=self._operator if best is not None else "",
            is_registered=bearer is not CoverageBearer.NONE,
            taken_ms=sink.runtime.now_ms(),
            source=self.name,
        )


def _bearer(cell: Mapping[str, Any]) -> CoverageBearer:
    return _BEARER_OF.get(str(cell.get("type", "")).lower(), CoverageBearer.NONE)


def _rank(cell: Mapping[str, Any]) -> int:
    return _RANKED.index(_bearer(cell))


def _signal(cell: Mapping[str, Any]) -> float | None:
    """Return the strength of a cell, percent; None where it tells none that makes sense."""
    level, dbm = cell.get("level"), cell.get("dbm")
    if level is not None:
        return min(100.0, number(level, "signal") * 100 / _SIGNAL_STEPS)
    if dbm is None or abs(number(dbm, "signal")) > 200:
        # Android says 2147483647 for what it does not know.
        return None
    share = (number(dbm, "signal") - _DBM_LOW) / (_DBM_HIGH - _DBM_LOW)
    return round(100 * min(1.0, max(0.0, share)))
