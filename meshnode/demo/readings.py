"""What the devices of the demonstration sense: files of readings that their nodes replay.

The nodes read them as they would read gpsd and a battery; nothing else tells them of a place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from meshnode.files import write_private

__all__ = ["DAY_FILE", "SENSORS", "Sensed", "readings", "settings_of", "write_readings"]

DAY_FILE: Final = "day.jsonl"
"""The readings of one device, in its home."""
_EVERY_S: Final = 2
_LAST_S: Final = 600
"""Longer than the demonstration takes on a slow machine."""


@dataclass(frozen=True, slots=True)
class Sensed:
    """Where a device is all day, and how it is."""

    latitude: float
    """Degrees."""
    longitude: float
    """Degrees."""
    battery_pct: float
    """Charge."""
    network: str
    """Bearer of the mobile network; `none` in a white zone."""


SENSORS: Final[Mapping[str, Sensed]] = MappingProxyType(
    {
        "alice": Sensed(44.6832, 7.0135, 83.0, "none"),
        "bruno": Sensed(44.6841, 7.0171, 41.0, "none"),
        "chloe": Sensed(44.6715, 6.9874, 67.0, "3G"),
    }
)
"""Who senses anything: the squad at the Col Agnel."""


def settings_of(name: str) -> str:
    """Return the settings of the sensors of a device; empty for one without."""
    if name not in SENSORS:
        return ""
    source = f'["replay:{DAY_FILE}"]'
    return f"[sensors]\nposition = {source}\nbattery = {source}\ncoverage = {source}\n"


def readings(sensed: Sensed) -> str:
    """Return the lines of the file of one device."""
    lines: list[dict[str, Any]] = [
        {"at_s": 0, "kind": "battery", "level_pct": sensed.battery_pct, "is_charging": False},
        {"at_s": 0, "kind": "coverage", "bearer": sensed.network},
    ]
    lines += [
        {
            "at_s": at_s,
            "kind": "position",
            "latitude": sensed.latitude,
            "longitude": sensed.longitude,
            "accuracy_m": 8,
        }
        for at_s in range(0, _LAST_S, _EVERY_S)
    ]
    return "".join(f"{json.dumps(line)}\n" for line in lines)


def write_readings(home: Path, name: str) -> None:
    """Write the readings of a device into its home, if it senses anything. Raises: OSError."""
    if name in SENSORS:
        write_private(home / DAY_FILE, readings(SENSORS[name]).encode())
