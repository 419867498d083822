"""Readings from a file, each at its time after the start: for demonstrations and tests.

One JSON object a line: `at_s`, `kind`, and the fields of the reading by their names. `at_s` never
goes back. Source: docs/how-to/connect-sensors.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import trio

from meshnode.errors import SensorError
from meshnode.sensors.base import Sensor, SensorSink
from meshnode.sensors.bounds import (
    REPLAY_BYTES_MAX,
    REPLAY_LINE_BYTES_MAX,
    REPLAY_S_MAX,
    STREAM_FRESH_S,
)
from meshnode.sensors.readings import (
    BatteryReading,
    CoverageBearer,
    CoverageReading,
    PositionReading,
    Reading,
    SensorKind,
    number,
)

__all__ = ["Replay", "read_line_untrusted"]

_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "position": frozenset({"latitude", "longitude", "accuracy_m", "speed_m_s", "course_deg"}),
    "battery": frozenset({"level_pct", "is_charging", "power_w"}),
    "coverage": frozenset({"bearer", "signal_pct", "operator", "is_registered"}),
}
_BEARERS: Final = {each.value: each for each in CoverageBearer}


class Replay(Sensor):
    """The readings of one kind in a file; it ends with the last of them."""

    fresh_s = STREAM_FRESH_S

    def __init__(self, name: str, path: Path, kind: SensorKind) -> None:
        self.name = name
        self.kinds = frozenset({kind})
        self._kind = kind
        self._path = path

    async def run(self, sink: SensorSink) -> None:
        """See `Sensor.run`."""
        lines = await sink.runtime.run_blocking(_read, self._path)
        start_s, last_s = trio.current_time(), 0.0
        for line in lines:
            if not line.strip():
                continue
            try:
                fields = read_line_untrusted(line)
                at_s = number(fields.get("at_s"), "at_s")
                if not last_s <= at_s <= REPLAY_S_MAX:
                    raise SensorError("at_s", "a line of the replay file goes back in time")
            except SensorError as error:
                sink.refuse(error)
                continue
            last_s = at_s
            if fields.get("kind") == self._kind.value:
                await trio.sleep_until(start_s + at_s)
                sink.take(lambda fields=fields: self._reading(fields, sink))  # type: ignore[misc]
        sink.explain(SensorError("end", "the replay file is at its end"))

    def _reading(self, fields: Mapping[str, Any], sink: SensorSink) -> Reading:
        values = {name: fields[name] for name in _FIELDS[self._kind.value] if name in fields}
        now_ms = sink.runtime.now_ms()
        try:
            match self._kind:
                case SensorKind.POSITION:
                    values.setdefault("accuracy_m", 0.0)
                    return PositionReading(**values, taken_ms=now_ms, source=self.name)
                case SensorKind.BATTERY:
                    _require_bool(values, "is_charging")
                    return BatteryReading(**values, taken_ms=now_ms, source=self.name)
                case SensorKind.COVERAGE:
                    return self._coverage(values, now_ms)
        except TypeError as error:
            raise SensorError("sentence", "a line of the replay file lacks a field") from error

    def _coverage(self, values: dict[str, Any], now_ms: int) -> CoverageReading:
        bearer = values.pop("bearer", None)
        if not isinstance(bearer, str) or bearer not in _BEARERS:
            raise SensorError("bearer", "a line of the replay file names no bearer")
        values.setdefault("signal_pct", None)
        values["operator"] = str(values.get("operator", ""))
        values.setdefault("is_registered", bearer != CoverageBearer.NONE.value)
        _require_bool(values, "is_registered")
        return CoverageReading(**values, bearer=_BEARERS[bearer], taken_ms=now_ms, source=self.name)


def read_line_untrusted(line: bytes) -> dict[str, Any]:
    """Return the fields of one line. Raises: SensorError for anything else."""
    if len(line) > REPLAY_LINE_BYTES_MAX:
        raise SensorError("line", "a line has no end")
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SensorError("sentence", "a line of the replay file is no JSON") from error
    if not isinstance(fields, dict):
        raise SensorError("sentence", "a line of the replay file is no JSON object")
    return fields


def _require_bool(values: Mapping[str, Any], name: str) -> None:
    if not isinstance(values.get(name), bool):
        raise SensorError(name, f"{name} is true or false")


def _read(path: Path) -> list[bytes]:
    """Return the lines of a file. Raises: SensorError."""
    try:
        with path.open("rb") as file:
            raw = file.read(REPLAY_BYTES_MAX + 1)
    except OSError as error:
        raise SensorError("missing", f"{path} cannot be read: {error.strerror}") from error
    if len(raw) > REPLAY_BYTES_MAX:
        raise SensorError("missing", f"{path} has more than {REPLAY_BYTES_MAX} bytes")
    return raw.split(b"\n")
