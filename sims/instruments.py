"""What a scenario says of receivers and batteries: when one lies or is silent, how another empties.

Plain records with their checks, read and written with the rest of a scenario. What they do while a
world runs stands in `sims.sensing` and `sims.draining`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sims.errors import ScenarioError

__all__ = [
    "BATTERY_WORDS",
    "PLACE_WORDS",
    "SENSOR_WORDS",
    "BatteryPlan",
    "SensorPlan",
    "check_instruments",
    "with_instruments",
]

PLACE_WORDS: Final = (
    "elsewhere",
    "garbled",
    "no_fix",
    "repeated",
    "wrong_date",
    "silent",
    "unplugged",
)
"""What a receiver says instead of where it is."""
BATTERY_WORDS: Final = ("battery_nonsense", "battery_silent")
"""What a gauge says instead of how full the battery is."""
SENSOR_WORDS: Final = (*PLACE_WORDS, *BATTERY_WORDS)
PCT_H_MAX: Final = 1_000.0
"""A battery that is empty or full in six minutes."""


@dataclass(frozen=True, slots=True)
class SensorPlan:
    """A sensor of a device says something else than what is, or nothing."""

    start_s: float
    """From then on, virtual seconds."""
    end_s: float
    """Until then; before and after it tells the truth."""
    device: str
    """Whose."""
    says: str
    """One of `SENSOR_WORDS`."""


@dataclass(frozen=True, slots=True)
class BatteryPlan:
    """The battery of a device: an empty one takes its power, a charger gives it back."""

    device: str
    """Whose."""
    level_pct: float = 100.0
    """At the begin, percent."""
    drain_pct_h: float = 12.0
    """What it loses in an hour while the device is on, percent."""
    told_pct: float = 0.0
    """What it loses with each position and each state that the device tells, percent."""
    charge_start_s: float = 0.0
    """When it is plugged in, virtual seconds."""
    charge_end_s: float = 0.0
    """Until when; the same as the start for never."""
    charge_pct_h: float = 60.0
    """What a charger gives in an hour beside what is lost, percent."""


def with_instruments(
    sensors: Sequence[SensorPlan], batteries: Sequence[BatteryPlan]
) -> frozenset[str]:
    """Return the devices whose nodes read sensors of their own."""
    return frozenset({each.device for each in sensors} | {each.device for each in batteries})


def check_instruments(
    sensors: Sequence[SensorPlan],
    batteries: Sequence[BatteryPlan],
    names: Collection[str],
    duration_s: float,
) -> None:
    """Refuse what cannot be. Raises: ScenarioError, which names an event and its number."""
    for number, sensor in enumerate(sensors, start=1):
        place = f"sensor {number}"
        _check_device(place, sensor.device, names)
        if not 0 <= sensor.start_s < sensor.end_s <= duration_s:
            raise ScenarioError(place, f"ends after its start, both from 0 to {duration_s} s")
        if sensor.says not in SENSOR_WORDS:
            raise ScenarioError(place, f"says is one of {', '.join(SENSOR_WORDS)}")
    seen = set[str]()
    for number, battery in enumerate(batteries, start=1):
        place = f"battery {number}"
        _check_device(place, battery.device, names)
        if battery.device in seen:
            raise ScenarioError(place, f"'{battery.device}' has one battery")
        seen.add(battery.device)
        for sentence in _impossible(battery, duration_s):
            raise ScenarioError(place, sentence)


def _impossible(battery: BatteryPlan, duration_s: float) -> Iterator[str]:
    if not 0 < battery.level_pct <= 100:
        yield "level_pct is above 0, at most 100"
    for name in ("drain_pct_h", "charge_pct_h"):
        if not 0 <= getattr(battery, name) <= PCT_H_MAX:
            yield f"{name} is from 0 to {PCT_H_MAX:g}"
    if not 0 <= battery.told_pct <= 100:
        yield "told_pct is from 0 to 100"
    if not 0 <= battery.charge_start_s <= battery.charge_end_s <= duration_s:
        yield f"a charge ends after its start, both from 0 to {duration_s} s"


def _check_device(place: str, name: str, names: Collection[str]) -> None:
    if name not in names:
        known = ", ".join(sorted(names))
        raise ScenarioError(place, f"no device is called '{name}'; devices are {known}")
