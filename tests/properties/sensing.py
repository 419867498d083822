"""Functions that read what sources of sensors say, with seeds; a part of the table of parsers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from meshnode.errors import SensorError
from meshnode.metrics import Metrics
from meshnode.runtime import system_runtime
from meshnode.sensors import gpsd, nmea, replay, termux
from meshnode.sensors.base import SensorSink
from meshnode.sensors.readings import SensorKind
from tests.properties.table import Parser

__all__ = ["SENSOR_PARSERS"]

_ERRORS = (SensorError,)
_RMC = b"$GPRMC,081836,A,3751.65,S,14507.36,E,000.0,360.0,130998,011.3,E*62"
_GGA = b"$GPGGA,184353.07,1929.045,S,02410.506,E,1,04,2.6,100.00,M,-33.9,M,,0000*6D"
_TPV = b'{"class":"TPV","mode":3,"time":"2026-01-01T00:00:00Z","lat":44.9,"lon":6.64,"eph":9}'
_LOCATION = b'{"latitude":44.9,"longitude":6.64,"accuracy":9.0,"elapsedMs":12,"speed":1}'
_BATTERY = b'{"percentage":80,"plugged":"UNPLUGGED","current":-500000,"voltage":4000}'
_CELLS = b'[{"type":"lte","registered":true,"dbm":-90,"level":3}]'
_LINE = b'{"at_s":0,"kind":"position","latitude":44.9,"longitude":6.64}'


def _sink() -> SensorSink:
    return SensorSink("test", system_runtime(), Metrics(), lambda _reading: None)


def _gpsd(data: bytes) -> object:
    return gpsd.Gpsd("gpsd", "127.0.0.1", 1)._reading(data, _sink())


def _termux(sensor: termux._Termux) -> Callable[[bytes], object]:
    def read(data: bytes) -> object:
        return sensor._read(termux.read_json_untrusted(data, "command"), _sink())

    return read


def _replayed(kind: SensorKind) -> Callable[[bytes], object]:
    sensor = replay.Replay("replay", Path(), kind)

    def read(data: bytes) -> object:
        fields: dict[str, Any] = replay.read_line_untrusted(data)
        return sensor._reading(fields, _sink())

    return read


SENSOR_PARSERS: tuple[Parser, ...] = (
    Parser(
        "meshnode.sensors.nmea.parse_sentence_untrusted",
        nmea.parse_sentence_untrusted,
        (_RMC, _GGA),
        _ERRORS,
    ),
    Parser(
        "meshnode.sensors.gpsd.read_report_untrusted", gpsd.read_report_untrusted, (_TPV,), _ERRORS
    ),
    Parser("meshnode.sensors.gpsd report", _gpsd, (_TPV,), _ERRORS),
    Parser(
        "meshnode.sensors.termux.read_json_untrusted",
        lambda data: termux.read_json_untrusted(data, "command"),
        (_LOCATION, _BATTERY, _CELLS),
        _ERRORS,
    ),
    Parser(
        "meshnode.sensors.termux location",
        _termux(termux.TermuxPosition("t", 60)),
        (_LOCATION,),
        _ERRORS,
    ),
    Parser(
        "meshnode.sensors.termux battery",
        _termux(termux.TermuxBattery("t", 60)),
        (_BATTERY,),
        _ERRORS,
    ),
    Parser(
        "meshnode.sensors.termux cells", _termux(termux.TermuxCoverage("t", 60)), (_CELLS,), _ERRORS
    ),
    Parser(
        "meshnode.sensors.replay.read_line_untrusted",
        replay.read_line_untrusted,
        (_LINE,),
        _ERRORS,
    ),
    *(
        Parser(
            f"meshnode.sensors.replay {kind.value}",
            _replayed(kind),
            (json.dumps(fields).encode(),),
            _ERRORS,
        )
        for kind, fields in (
            (SensorKind.POSITION, json.loads(_LINE)),
            (SensorKind.BATTERY, {"level_pct": 5, "is_charging": True, "power_w": 1}),
            (SensorKind.COVERAGE, {"bearer": "4G", "signal_pct": 5, "operator": "T"}),
        )
    ),
)
