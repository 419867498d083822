"""What every sensor must do: touch nothing when made, end when told, never raise but SensorError.

Each stands once where its source is there, as a fake or the real thing, and once where it is not.
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio

from meshnode.errors import SensorError
from meshnode.metrics import Metrics
from meshnode.runtime import system_runtime
from meshnode.sensors.base import Sensor, SensorSink
from meshnode.sensors.gpsd import Gpsd
from meshnode.sensors.modemmanager import ModemManagerCoverage
from meshnode.sensors.nmea_lines import SerialNmea, UdpNmea
from meshnode.sensors.readings import Reading, SensorKind, kind_of
from meshnode.sensors.replay import Replay
from meshnode.sensors.sysfs import SysfsBattery
from meshnode.sensors.termux import TermuxBattery, TermuxCoverage, TermuxPosition
from meshnode.sensors.upower import UPowerBattery
from tests.meshnode.sensors.nmea_text import rmc
from tests.meshnode.sensors.stand import FakeSensor, position
from tests.patience import HANGS_S

pytestmark = [pytest.mark.real, pytest.mark.slow]


@dataclass(frozen=True)
class Stand:
    """One implementation, and what lets it speak."""

    make: Callable[[Path], Sensor]
    speaks: Callable[[Sensor, Path], object] = lambda _sensor, _folder: None
    """Called again and again while it runs; makes its source say something."""
    prepare: Callable[[Path], object] = lambda _folder: None
    """Called before, where its source has to be there."""
    needs_more: bool = False
    """Its source is a daemon, so only tests/real lets it speak."""


def _script(folder: Path, name: str, value: object) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(value)}\nEND\n")
    path.chmod(0o700)


def _fake(_: Path) -> Sensor:
    return FakeSensor()


def _fake_speaks(sensor: Sensor, _: Path) -> None:
    assert isinstance(sensor, FakeSensor)
    now_ms = system_runtime().now_ms()
    sensor.says(position(taken_ms=now_ms))


def _udp_speaks(sensor: Sensor, _: Path) -> None:
    import socket

    assert isinstance(sensor, UdpNmea)
    now = datetime.now(UTC)  # The sensor compares with the real clock.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as boat:
        if sensor.port:
            boat.sendto(rmc(44.9, 6.64, now), ("127.0.0.1", sensor.port))


def _location(folder: Path) -> None:
    _script(folder, "termux-location", {"latitude": 44.9, "longitude": 6.64, "accuracy": 9.0})


def _charge(folder: Path) -> None:
    _script(folder, "termux-battery-status", {"percentage": 80, "plugged": "UNPLUGGED"})


def _cells(folder: Path) -> None:
    _script(folder, "termux-telephony-deviceinfo", {"network_operator_name": "Test"})
    _script(folder, "termux-telephony-cellinfo", [{"type": "lte", "registered": True, "level": 3}])


def _supply(folder: Path) -> None:
    (folder / "BAT0").mkdir()
    for name, text in {"type": "Battery", "capacity": "80", "status": "Full"}.items():
        (folder / "BAT0" / name).write_text(text)


def _day(folder: Path) -> None:
    line = {"at_s": 0, "kind": "battery", "level_pct": 80, "is_charging": False}
    (folder / "day.jsonl").write_text(json.dumps(line))


STANDS = {
    "fake": Stand(_fake, _fake_speaks),
    "gpsd": Stand(lambda _: Gpsd("gpsd", "127.0.0.1", 1), needs_more=True),
    "nmea-udp": Stand(lambda _: UdpNmea("udp", "127.0.0.1", 0), _udp_speaks),
    "nmea-serial": Stand(lambda folder: SerialNmea("s", f"{folder}/tty", 4800), needs_more=True),
    "termux position": Stand(lambda _: TermuxPosition("t", 60), prepare=_location),
    "termux battery": Stand(lambda _: TermuxBattery("t", 60), prepare=_charge),
    "termux coverage": Stand(lambda _: TermuxCoverage("t", 60), prepare=_cells),
    "sysfs": Stand(lambda folder: SysfsBattery("s", 60, folder), prepare=_supply),
    "replay": Stand(
        lambda folder: Replay("r", folder / "day.jsonl", SensorKind.BATTERY), prepare=_day
    ),
    "upower": Stand(
        lambda folder: UPowerBattery("u", 60, f"unix:path={folder}/bus"), needs_more=True
    ),
    "modemmanager": Stand(
        lambda folder: ModemManagerCoverage("m", 60, f"unix:path={folder}/bus"), needs_more=True
    ),
}


@pytest.fixture(params=sorted(STANDS))
def stand(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    # Commands of the test before those of the machine; the real Termux is nowhere here.
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return STANDS[str(request.param)]


@contextmanager
def descriptors_kept() -> Iterator[None]:
    # What others left to the collector may be closed at any moment.
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    yield
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def sink_of(sensor: Sensor) -> tuple[SensorSink, list[Reading], Metrics]:
    passed: list[Reading] = []
    metrics = Metrics()
    return SensorSink(sensor.name, system_runtime(), metrics, passed.append), passed, metrics


def test_making_one_touches_nothing_and_says_what_it_gives(stand: Stand, tmp_path: Path) -> None:
    with descriptors_kept():
        sensor = stand.make(tmp_path)
    assert sensor.name
    assert sensor.kinds
    assert sensor.fresh_s > 0


async def test_it_ends_when_told_and_leaves_nothing_open(stand: Stand, tmp_path: Path) -> None:
    stand.prepare(tmp_path)
    sensor = stand.make(tmp_path)
    with descriptors_kept():
        await run_once(stand, sensor, 0.2)


async def test_where_its_source_is_missing_it_says_so_and_no_more(
    stand: Stand, tmp_path: Path
) -> None:
    sensor = stand.make(tmp_path)
    sink, passed, metrics = sink_of(sensor)
    reason = "missing"
    with trio.fail_after(HANGS_S), trio.move_on_after(0.5):
        try:
            await sensor.run(sink)
        except SensorError as error:
            reason = error.reason
    assert reason == "missing"
    assert passed == []
    assert metrics.value("sensor_readings") == 0


async def test_what_it_says_is_of_its_kind_and_dated_by_this_device(
    stand: Stand, tmp_path: Path
) -> None:
    if stand.needs_more:
        return  # tests/real/test_sensors.py lets these speak with their daemons.
    stand.prepare(tmp_path)
    sensor = stand.make(tmp_path)
    sink, passed, metrics = sink_of(sensor)
    began_ms = system_runtime().now_ms()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sensor.run, sink)
        with trio.fail_after(HANGS_S):
            while not passed:
                stand.speaks(sensor, tmp_path)
                await trio.sleep(0.05)
        nursery.cancel_scope.cancel()
    assert {kind_of(each) for each in passed} <= sensor.kinds
    assert all(began_ms - 1_000 <= each.taken_ms <= system_runtime().now_ms() for each in passed)
    assert metrics.value("sensor_readings") == len(passed) == sink.accepted
    assert sink.refused == 0


async def run_once(stand: Stand, sensor: Sensor, within_s: float) -> None:
    """Run a sensor for a while; where its source is a daemon, it may say that there is none."""
    with trio.fail_after(HANGS_S), trio.move_on_after(within_s):
        try:
            await sensor.run(sink_of(sensor)[0])
        except SensorError:
            if not stand.needs_more:
                raise


async def test_it_runs_again_after_it_ended(stand: Stand, tmp_path: Path) -> None:
    stand.prepare(tmp_path)
    sensor = stand.make(tmp_path)
    with descriptors_kept():
        for _ in range(2):
            await run_once(stand, sensor, 0.1)
