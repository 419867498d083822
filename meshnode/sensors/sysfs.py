"""The battery as the Linux kernel tells it: files below /sys/class/power_supply."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from meshnode.errors import SensorError
from meshnode.sensors.base import Sensor, SensorSink
from meshnode.sensors.bounds import BATTERY_MISSING_S, POWER_SUPPLIES_MAX, SYSFS_FILE_BYTES_MAX
from meshnode.sensors.readings import BatteryReading, SensorKind, number

__all__ = ["SysfsBattery"]

_MICRO: Final = 1_000_000
_FED: Final = frozenset({"Charging", "Full", "Not charging"})
"""States in which power comes from outside; 'not charging' is a battery spared at 80 %."""


@dataclass(frozen=True, slots=True)
class _Cell:
    """One battery of this device."""

    level_pct: float
    weight: float
    """Its capacity, in whatever unit all of them share; 1 where it is not told."""
    is_fed: bool
    power_w: float | None


class SysfsBattery(Sensor):
    """All batteries of this device as one; batteries of mice and headsets are left out."""

    kinds = frozenset({SensorKind.BATTERY})

    def __init__(
        self, name: str, interval_s: float, root: Path = Path("/sys/class/power_supply")
    ) -> None:
        self.name = name
        self.fresh_s = 3 * interval_s
        self._interval_s = interval_s
        self._root = root

    async def run(self, sink: SensorSink) -> None:
        """See `Sensor.run`."""
        while True:
            try:
                cells = await sink.runtime.run_blocking(_look, self._root)
            except SensorError as error:
                sink.refuse(error)
            else:
                if cells:
                    sink.take(lambda found=cells: self._reading(found, sink))  # type: ignore[misc]
                else:
                    sink.explain(SensorError("missing", "this device has no battery"))
                    await trio.sleep(max(0.0, BATTERY_MISSING_S - self._interval_s))
            await trio.sleep(sink.rest_s(self._interval_s))

    def _reading(self, cells: list[_Cell], sink: SensorSink) -> BatteryReading:
        powers = [each.power_w for each in cells if each.power_w is not None]
        whole = sum(each.weight for each in cells)
        return BatteryReading(
            level_pct=sum(each.level_pct * each.weight for each in cells) / whole,
            is_charging=any(each.is_fed for each in cells),
            taken_ms=sink.runtime.now_ms(),
            source=self.name,
            power_w=sum(powers) if powers else None,
        )


def _look(root: Path) -> list[_Cell]:
    """Return the batteries below `root`. Raises: SensorError for one that tells nonsense."""
    return list(_cells(root))


def _cells(root: Path) -> Iterator[_Cell]:
    try:
        folders = sorted(root.iterdir())[:POWER_SUPPLIES_MAX]
    except OSError:
        return
    for folder in folders:
        if _text(folder / "type") != "Battery" or _text(folder / "scope") == "Device":
            continue
        if _text(folder / "present") == "0":
            continue
        state = _text(folder / "status")
        level = _figure(folder / "capacity")
        if level is None:
            raise SensorError("level", "the battery tells no level")
        if not 0 <= level <= 100:
            # Before it is averaged away with the others.
            raise SensorError("level", "battery level is out of its bounds")
        full = _figure(folder / "energy_full") or _figure(folder / "charge_full") or 0.0
        yield _Cell(level, full if full > 0 else 1.0, state in _FED, _power(folder, state))


def _power(folder: Path, state: str) -> float | None:
    """Return what a battery gives, watts, negative while it is filled; None where not told."""
    power = _figure(folder / "power_now")
    if power is None:
        current, voltage = _figure(folder / "current_now"), _figure(folder / "voltage_now")
        if current is None or voltage is None:
            return None
        power = current * voltage / _MICRO
    # Drivers differ in the sign; the state tells the direction.
    watts = abs(power) / _MICRO
    return -watts if state == "Charging" else watts


def _figure(path: Path) -> float | None:
    """Return the number in a file, None without one. Raises: SensorError for other words."""
    text = _text(path)
    if not text:
        return None
    try:
        return number(float(text), path.name)
    except ValueError as error:
        raise SensorError(path.name, f"{path.name} of the battery is no number") from error


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(SYSFS_FILE_BYTES_MAX).decode("ascii", "replace").strip()
    except OSError:
        return ""
