"""Positions from gpsd: its JSON protocol over TCP (gpsd_json(5)), watched, never polled."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

import trio

from meshnode.errors import SensorError
from meshnode.sensors.base import Sensor, SensorSink
from meshnode.sensors.bounds import (
    CONNECT_S_MAX,
    FIX_SILENT_S,
    GPSD_LINE_BYTES_MAX,
    GPSD_SILENT_S_MAX,
    STREAM_FRESH_S,
)
from meshnode.sensors.lines import Lines
from meshnode.sensors.readings import PositionReading, SensorKind, number

__all__ = ["GPSD_PORT", "Gpsd", "read_report_untrusted"]

GPSD_PORT: Final = 2947
"""Port of gpsd when nothing else is configured. Source: gpsd(8)."""
_WATCH: Final = b'?WATCH={"enable":true,"json":true};\n'
_READ_BYTES: Final = 4_096
_MODE_2D: Final = 2


class Gpsd(Sensor):
    """A gpsd, here or on another machine."""

    kinds = frozenset({SensorKind.POSITION})
    fresh_s = STREAM_FRESH_S

    def __init__(self, name: str, host: str, port: int) -> None:
        self.name = name
        self._host = host
        self._port = port

    async def run(self, sink: SensorSink) -> None:
        """See `Sensor.run`."""
        stream = await self._connect()
        async with stream:
            lines = Lines(GPSD_LINE_BYTES_MAX)
            silent_s = 0
            while True:
                data = b""
                with trio.move_on_after(FIX_SILENT_S) as silence:
                    data = await self._receive(stream)
                if silence.cancelled_caught:
                    silent_s += FIX_SILENT_S
                    self._bear_silence(silent_s, sink)
                    continue
                silent_s = 0
                for line in lines.feed(data):
                    self._hear(line, sink)
                await sink.pace(len(data))

    def _bear_silence(self, silent_s: int, sink: SensorSink) -> None:
        error = SensorError("silent", "gpsd is silent: does it have a receiver?")
        if silent_s >= GPSD_SILENT_S_MAX:
            raise error
        sink.explain(error)

    async def _connect(self) -> trio.SocketStream:
        where = f"gpsd on {self._host} port {self._port}"
        try:
            with trio.fail_after(CONNECT_S_MAX):
                stream = await trio.open_tcp_stream(self._host, self._port)
        except (OSError, trio.TooSlowError) as error:
            raise SensorError("missing", f"{where} does not answer: does it run?") from error
        try:
            with trio.fail_after(CONNECT_S_MAX):
                await stream.send_all(_WATCH)
        except (trio.BrokenResourceError, trio.TooSlowError) as error:
            await trio.aclose_forcefully(stream)
            raise SensorError("gone", f"{where} closed the connection") from error
        except trio.Cancelled:
            await trio.aclose_forcefully(stream)
            raise
        return stream

    async def _receive(self, stream: trio.SocketStream) -> bytes:
        try:
            data = await stream.receive_some(_READ_BYTES)
        except trio.BrokenResourceError as error:
            raise SensorError("gone", "gpsd went away") from error
        if not data:
            raise SensorError("gone", "gpsd went away")
        return bytes(data)

    def _hear(self, line: bytes | None, sink: SensorSink) -> None:
        if line is None:
            sink.refuse(SensorError("line", "a line has no end"))
        elif line.strip():
            sink.take(lambda: self._reading(line, sink))

    def _reading(self, line: bytes, sink: SensorSink) -> PositionReading | None:
        report = read_report_untrusted(line)
        if report.get("class") != "TPV":
            return None
        mode = report.get("mode")
        if not isinstance(mode, int) or mode < _MODE_2D:
            sink.explain(SensorError("no-fix", "the receiver has no fix"))
            return None
        # The first reports of a fix lack the time; the next ones have it.
        if "time" not in report or "lat" not in report:
            return None
        return PositionReading(
            latitude=number(report["lat"], "latitude"),
            longitude=number(report.get("lon"), "longitude"),
            accuracy_m=_accuracy(report),
            taken_ms=sink.runtime.now_ms(),
            source=self.name,
            speed_m_s=_optional(report, "speed", "speed"),
            course_deg=_optional(report, "track", "course"),
            told_ms=_told_ms(report["time"]),
        )


def read_report_untrusted(line: bytes) -> dict[str, Any]:
    """Return one report as its fields. Raises: SensorError for anything that is none."""
    try:
        report = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SensorError("sentence", "a report cannot be read") from error
    if not isinstance(report, dict):
        raise SensorError("sentence", "a report cannot be read")
    return report


def _optional(report: dict[str, Any], field: str, what: str) -> float | None:
    return number(report[field], what) if field in report else None


def _accuracy(report: dict[str, Any]) -> float:
    """Return the radius that gpsd estimates (95 %), metres; 0 where it does not."""
    found = [report[name] for name in ("eph", "epx", "epy") if name in report]
    if "eph" in report:
        return number(report["eph"], "accuracy")
    return max((number(each, "accuracy") for each in found), default=0.0)


def _told_ms(text: object) -> int:
    """Return an ISO 8601 time as Unix milliseconds. Raises: SensorError."""
    try:
        told = datetime.fromisoformat(str(text))
        return max(1, round(told.replace(tzinfo=told.tzinfo or UTC).timestamp() * 1000))
    except (ValueError, OverflowError) as error:
        raise SensorError("time", "a report has no time that exists") from error
