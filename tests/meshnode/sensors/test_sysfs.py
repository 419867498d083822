"""The battery from files of the kernel, in folders that stand for them."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from meshnode.sensors.hub import SensorHub
from meshnode.sensors.readings import SensorKind
from meshnode.sensors.sysfs import SysfsBattery
from tests.meshnode.sensors.stand import running


def supply(root: Path, name: str, **files: object) -> None:
    folder = root / name
    folder.mkdir(exist_ok=True)
    for file, text in {"type": "Battery", **files}.items():
        (folder / file).write_text(f"{text}\n")


async def looked(hub: SensorHub) -> SensorHub:
    await trio.sleep(61)
    return hub


async def test_a_laptop_with_two_batteries_has_one_level(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    supply(tmp_path, "AC", type="Mains", online=1)
    supply(
        tmp_path, "BAT0", capacity=50, status="Discharging", energy_full=60_000, power_now=7_000_000
    )
    supply(tmp_path, "BAT1", capacity=100, status="Not charging", energy_full=20_000)
    supply(tmp_path, "mouse", scope="Device", capacity=3, status="Discharging")
    async with running(SysfsBattery("sysfs", 60, tmp_path)) as (hub, _):
        await looked(hub)
        assert hub.battery is not None
        assert hub.battery.level_pct == 62.5
        assert hub.battery.power_w == 7.0
        assert hub.battery.is_charging


async def test_a_phone_measures_its_current(tmp_path: Path, autojump_clock: MockClock) -> None:
    files = {"capacity": 40, "current_now": -500_000, "voltage_now": 4_000_000}
    supply(tmp_path, "battery", status="Charging", **files)
    async with running(SysfsBattery("sysfs", 60, tmp_path)) as (hub, _):
        await looked(hub)
        assert hub.battery is not None
        assert (hub.battery.power_w, hub.battery.is_charging) == (-2.0, True)
        supply(tmp_path, "battery", status="Discharging", **files)
        await looked(hub)
        assert (hub.battery.power_w, hub.battery.is_charging) == (2.0, False)


async def test_a_machine_without_a_battery_says_so(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    for root in (tmp_path, tmp_path / "none"):
        async with running(SysfsBattery("sysfs", 60, root)) as (hub, metrics):
            await looked(hub)
            assert hub.battery is None
            assert str(hub.reports()[0].trouble) == "this device has no battery"
            assert metrics.value("sensor_refusals") == metrics.value("rooms_restarted") == 0


@pytest.mark.parametrize("level", ["-5", "250", "nan", "much", "9" * 5_000, "", "\0\0"])
async def test_a_level_that_is_nonsense_is_refused_and_the_next_one_taken(
    tmp_path: Path, autojump_clock: MockClock, level: str
) -> None:
    supply(tmp_path, "BAT0", capacity=level, status="Discharging")
    async with running(SysfsBattery("sysfs", 60, tmp_path)) as (hub, metrics):
        await looked(hub)
        assert hub.age_s(SensorKind.BATTERY) is None
        assert metrics.value("sensor_refusals") == 2
        supply(tmp_path, "BAT0", capacity=77, status="Unknown")
        await looked(hub)
        assert hub.battery is not None
        assert hub.battery.level_pct == 77


async def test_an_odd_battery_does_not_spoil_a_good_average_unseen(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    supply(tmp_path, "BAT0", capacity=50, status="Discharging")
    supply(tmp_path, "BAT1", capacity=140, status="Discharging")
    async with running(SysfsBattery("sysfs", 60, tmp_path)) as (hub, metrics):
        await looked(hub)
        assert hub.battery is None
        assert metrics.value("sensor_refusals") > 0
