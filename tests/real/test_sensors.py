"""Sensors on what they were written for: the real gpsd, a message bus, a terminal line."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from meshnode.metrics import Metrics
from meshnode.runtime import system_runtime
from meshnode.sensors.base import Sensor
from meshnode.sensors.gpsd import Gpsd
from meshnode.sensors.hub import SensorHub
from meshnode.sensors.modemmanager import ModemManagerCoverage
from meshnode.sensors.nmea_lines import SerialNmea
from meshnode.sensors.readings import CoverageBearer, SensorKind
from meshnode.sensors.upower import UPowerBattery
from tests.meshnode.sensors.nmea_text import gga, rmc
from tests.patience import HANGS_S
from tests.real.daemons import Mock, gpsd, mocked, private_bus

pytestmark = [pytest.mark.real, pytest.mark.slow]

MODEM_PATH: Final = "/org/freedesktop/ModemManager1/Modem/0"
MODEM: Final = "org.freedesktop.ModemManager1.Modem"
NETWORK: Final = "org.freedesktop.ModemManager1.Modem.Modem3gpp"
SERVICE: Final = "org.freedesktop.ModemManager1"
DISPLAY: Final = "/org/freedesktop/UPower/devices/DisplayDevice"


@asynccontextmanager
async def running(sensor: Sensor) -> AsyncIterator[tuple[SensorHub, Metrics]]:
    metrics = Metrics()
    hub = SensorHub([sensor], system_runtime(), metrics)
    with trio.fail_after(3 * HANGS_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hub.run)
            yield hub, metrics
            nursery.cancel_scope.cancel()


async def until(is_so: Callable[[], bool]) -> None:
    with trio.fail_after(HANGS_S):
        while not is_so():  # noqa: ASYNC110  # A daemon decides.
            await trio.sleep(0.02)


async def test_a_position_comes_from_the_real_gpsd() -> None:
    with gpsd() as (port, feed, _), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as boat:

        async def talk() -> None:
            while True:
                now = datetime.now(UTC)  # gpsd compares with the real clock.
                for line in (gga(44.9, 6.64, now), rmc(44.9, 6.64, now, knots=10, course=90)):
                    boat.sendto(line, ("127.0.0.1", feed))
                await trio.sleep(0.2)

        async with running(Gpsd("gpsd", "127.0.0.1", port)) as (hub, metrics):
            async with trio.open_nursery() as nursery:
                began_s = trio.current_time()
                nursery.start_soon(talk)
                with trio.fail_after(HANGS_S):
                    await hub.wait(SensorKind.POSITION, 0)
                print(f"first position from gpsd after {trio.current_time() - began_s:.2f} s")
                await until(lambda: hub.position is not None and hub.position.speed_m_s is not None)
                nursery.cancel_scope.cancel()
            found = hub.position
            assert found is not None
            assert found.latitude == pytest.approx(44.9, abs=1e-4)
            assert found.longitude == pytest.approx(6.64, abs=1e-4)
            assert found.speed_m_s == pytest.approx(5.14, abs=0.1)
            assert found.course_deg == pytest.approx(90, abs=1)
            assert 0 <= found.accuracy_m < 1_000
            assert metrics.value("sensor_refusals") == 0


async def test_a_gpsd_that_dies_is_told_and_dialled_again() -> None:
    with gpsd() as (port, _, process):
        async with running(Gpsd("gpsd", "127.0.0.1", port)) as (hub, metrics):
            await until(lambda: hub.reports()[0].is_running)
            await trio.sleep(0.2)
            process.kill()
            await until(lambda: metrics.value("sensor_failures") > 0)
            trouble = hub.reports()[0].trouble
            assert trouble is not None
            assert trouble.reason in ("gone", "missing")
            assert hub.position is None


async def test_a_position_comes_over_a_terminal_line() -> None:
    ours, theirs = os.openpty()
    try:
        sensor = SerialNmea("serial", os.ttyname(theirs), 38_400)
        async with running(sensor) as (hub, metrics):
            await until(lambda: hub.reports()[0].is_running)
            await trio.sleep(0.1)
            now = datetime.now(UTC)  # The sensor compares with the real clock.
            line = rmc(44.9, 6.64, now)
            os.write(ours, b"noise without end" * 40 + b"\n" + line[:20])
            await trio.sleep(0.05)
            os.write(ours, line[20:])
            with trio.fail_after(HANGS_S):
                await hub.wait(SensorKind.POSITION, 0)
            assert metrics.value("sensor_refusals") == 1
            os.close(ours)
            ours = -1
            await until(lambda: metrics.value("sensor_failures") > 0)
    finally:
        os.close(theirs)
        if ours >= 0:
            os.close(ours)


async def test_upower_tells_of_the_battery_and_of_its_changes(tmp_path: Path) -> None:
    with (
        private_bus(tmp_path) as address,
        mocked(address, "org.freedesktop.UPower", DISPLAY, "--template", "upower") as power,
    ):

        def set_up(state: int, level: float, rate: float) -> None:
            body = (2, state, level, 40.0, 80.0, rate, 3600, 0, True, "battery", 1)
            power.call("/org/freedesktop/UPower", "SetupDisplayDevice", "uuddddxxbsu", *body)

        set_up(2, 50.0, 8.0)
        async with running(UPowerBattery("upower", 3600, address)) as (hub, _):
            with trio.fail_after(HANGS_S):
                seen = await hub.wait(SensorKind.BATTERY, 0)
            assert hub.battery is not None
            assert (hub.battery.level_pct, hub.battery.is_charging) == (50, False)
            assert hub.battery.power_w == 8
            await trio.sleep(0.5)
            seen = hub.generation(SensorKind.BATTERY)
            await trio.to_thread.run_sync(set_up, 1, 51.0, 30.0)
            with trio.fail_after(HANGS_S):
                await hub.wait(SensorKind.BATTERY, seen)
            await until(lambda: hub.battery is not None and hub.battery.power_w == -30)
            assert hub.battery.is_charging
            power.update(DISPLAY, f"{'org.freedesktop.UPower'}.Device", Percentage=("d", 250.0))
            await until(lambda: hub.reports()[0].refused > 0)
            assert hub.battery.level_pct == 51


def add_modem(manager: Mock, technology: int, state: int, operator: str) -> None:
    radio = {
        "State": ("i", 8),
        "AccessTechnologies": ("u", technology),
        "SignalQuality": ("(ub)", (62, True)),
    }
    network = {"RegistrationState": ("u", state), "OperatorName": ("s", operator)}
    root = "/org/freedesktop/ModemManager1"
    manager.call(root, "AddObject", "ssa{sv}a(ssss)", MODEM_PATH, MODEM, radio, [])
    manager.call(MODEM_PATH, "AddProperties", "sa{sv}", NETWORK, network)
    # What the real service says of an object that appeared; this release of the mock leaves it out.
    told = [("o", MODEM_PATH), ("a{sa{sv}}", {MODEM: radio, NETWORK: network})]
    signal = ("org.freedesktop.DBus.ObjectManager", "InterfacesAdded", "oa{sa{sv}}", told)
    manager.call(root, "EmitSignal", "sssav", *signal)


async def test_modemmanager_tells_of_coverage_that_comes_and_goes(tmp_path: Path) -> None:
    root = "/org/freedesktop/ModemManager1"
    with private_bus(tmp_path) as address:
        played = mocked(address, SERVICE, root, "-m", SERVICE, root, f"{SERVICE}.Manager")
        with played as manager:
            sensor = ModemManagerCoverage("modemmanager", 3600, address)
            async with running(sensor) as (hub, metrics):
                await until(lambda: hub.reports()[0].trouble is not None)
                assert "no modem" in str(hub.reports()[0].trouble)
                add_modem(manager, 1 << 14, 1, "Customs\x1b Test")
                await until(lambda: hub.coverage is not None and hub.coverage.is_registered)
                found: Any = hub.coverage
                assert found.bearer is CoverageBearer.FOUR_G
                assert (found.signal_pct, found.operator) == (62, "Customs Test")
                await trio.sleep(0.5)
                seen = hub.generation(SensorKind.COVERAGE)
                manager.update(MODEM_PATH, NETWORK, RegistrationState=("u", 2))
                with trio.fail_after(HANGS_S):
                    await hub.wait(SensorKind.COVERAGE, seen)
                # What was told before may have been taken in later than it was looked at.
                await until(
                    lambda: hub.coverage is not None and hub.coverage.bearer is CoverageBearer.NONE
                )
                await trio.sleep(0.5)
                seen = hub.generation(SensorKind.COVERAGE)
                began_s = trio.current_time()
                manager.update(MODEM_PATH, NETWORK, RegistrationState=("u", 5))
                with trio.fail_after(HANGS_S):
                    await hub.wait(SensorKind.COVERAGE, seen)
                print(f"coverage is back after {trio.current_time() - began_s:.3f} s")
                await until(lambda: hub.coverage is not None and hub.coverage.is_registered)
                manager.process.kill()
                await until(lambda: metrics.value("sensor_failures") > 0)


async def test_a_machine_without_a_bus_says_so(tmp_path: Path) -> None:
    for sensor in (
        UPowerBattery("upower", 60, f"unix:path={tmp_path / 'none'}"),
        ModemManagerCoverage("modemmanager", 60, "nonsense"),
    ):
        async with running(sensor) as (hub, _):
            await until(lambda hub=hub: hub.reports()[0].trouble is not None)  # type: ignore[misc]
            trouble = hub.reports()[0].trouble
            assert trouble is not None
            assert trouble.reason == "missing"
