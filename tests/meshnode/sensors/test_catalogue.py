"""Sensors from the settings: what is taken, what is refused, and by which sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshnode.config import read_settings
from meshnode.errors import ConfigError
from meshnode.sensors.bounds import SENSORS_OF_KIND_MAX
from meshnode.sensors.readings import SensorKind


def read(**sections: list[str]) -> list[tuple[str, str, SensorKind]]:
    lines = [f"{name} = {texts!r}" for name, texts in sections.items()]
    settings = read_settings("\n".join(["[sensors]", *lines]).encode())
    return [
        (type(each).__name__, each.name, next(iter(each.kinds)))
        for each in settings.sensors.sensors(Path("/home"))
    ]


def test_an_empty_file_looks_at_the_battery_alone() -> None:
    assert read() == [("SysfsBattery", "sysfs", SensorKind.BATTERY)]


def test_every_source_can_be_written() -> None:
    found = read(
        position=[
            "gpsd",
            "gpsd:2948",
            "gpsd:boat",
            "gpsd:boat:2948",
            "nmea-udp:0.0.0.0:10110",
            "nmea-udp:[::]:10110",
            "nmea-serial:/dev/ttyUSB0:38400",
            "replay:day.jsonl",
        ],
        battery=["sysfs", "upower", "termux", "replay:day.jsonl"],
        coverage=["modemmanager", "termux", "replay:day.jsonl"],
    )
    assert len(found) == 15
    assert [kind for _, _, kind in found] == sorted(
        (kind for _, _, kind in found), key=list(SensorKind).index
    )


@pytest.mark.parametrize(
    ("kind", "text", "sentence"),
    [
        ("position", "galileo", "is unknown; sources are gpsd, nmea-udp"),
        ("position", "sysfs", "is unknown"),
        ("position", "termux:gps", "takes nothing behind its name"),
        ("position", "gpsd:host:0", "no port that exists"),
        ("position", "gpsd:host:65536", "no port that exists"),
        ("position", "gpsd:host:99999999999999999999", "no port that exists"),
        ("position", "gpsd:host:x", "no port that exists"),
        ("position", "nmea-serial:ttyUSB0", "names no device"),
        ("position", "nmea-serial:/dev/ttyUSB0:1234", "has another speed than 4800"),
        ("position", "nmea-serial:/dev/ttyUSB0:²", "has another speed than 4800"),
        ("position", "replay:", "names no file"),
        ("battery", "gpsd", "is unknown; sources are sysfs, upower, termux, replay"),
        ("coverage", "", "is unknown"),
    ],
)
def test_what_is_written_wrong_is_explained(kind: str, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(**{kind: [text]})
    assert caught.value.key == f"sensors.{kind}"
    assert sentence in caught.value.reason


def test_there_is_a_bound_and_no_source_twice() -> None:
    most = [f"gpsd:host{number}" for number in range(SENSORS_OF_KIND_MAX)]
    assert len(read(position=most)) == SENSORS_OF_KIND_MAX + 1
    with pytest.raises(ConfigError, match="at most 8"):
        read(position=[*most, "gpsd"])
    with pytest.raises(ConfigError, match="twice"):
        read(position=["gpsd", "gpsd"])
