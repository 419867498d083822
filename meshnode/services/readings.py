"""The newest that a device knows of itself, wherever it comes from: sensors, a replay, a person.

What gives readings need not know this room: it has three attributes, and what they hold has the
names below. Nothing of it is trusted: whoever tells it to others bounds and dates it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

__all__ = [
    "BatteryRead",
    "BatterySeen",
    "CoverageRead",
    "CoverageSeen",
    "FixedReadings",
    "Network",
    "PlaceRead",
    "PlaceSeen",
    "Readings",
]


class PlaceSeen(Protocol):
    """Where a device is."""

    @property
    def latitude(self) -> float:
        """Degrees, north positive."""

    @property
    def longitude(self) -> float:
        """Degrees, east positive."""

    @property
    def accuracy_m(self) -> float:
        """Radius in metres; 0 where it is not known."""

    @property
    def taken_ms(self) -> int:
        """By the device's own clock, Unix milliseconds."""


class BatterySeen(Protocol):
    """How a battery is."""

    @property
    def level_pct(self) -> float:
        """0 to 100."""

    @property
    def is_charging(self) -> bool:
        """True while power comes from outside."""

    @property
    def taken_ms(self) -> int:
        """By the device's own clock, Unix milliseconds."""


class CoverageSeen(Protocol):
    """What network there is."""

    @property
    def bearer(self) -> Any:
        """An enumeration whose values are those of `Network`."""

    @property
    def signal_pct(self) -> float | None:
        """0 to 100; None where it is not known."""

    @property
    def operator(self) -> str:
        """Name of the network; empty where it is not known."""

    @property
    def taken_ms(self) -> int:
        """By the device's own clock, Unix milliseconds."""


class Readings(Protocol):
    """The newest of each kind, None where nothing is known; asked as often as anybody likes."""

    @property
    def position(self) -> PlaceSeen | None:
        """Where the device is."""

    @property
    def battery(self) -> BatterySeen | None:
        """How its battery is."""

    @property
    def coverage(self) -> CoverageSeen | None:
        """What network it has."""


class Network(Enum):
    """By what a device reaches others beyond its squad; the value is what people read."""

    NONE = "none"
    TWO_G = "2G"
    THREE_G = "3G"
    FOUR_G = "4G"
    FIVE_G = "5G"
    LAN = "LAN"


@dataclass(frozen=True, slots=True)
class PlaceRead:
    """A place somebody fed in."""

    latitude: float = field(repr=False)
    """Degrees, north positive."""
    longitude: float = field(repr=False)
    """Degrees, east positive."""
    accuracy_m: float
    """Radius in metres; 0 where it is not known."""
    taken_ms: int
    """Unix milliseconds."""


@dataclass(frozen=True, slots=True)
class BatteryRead:
    """A battery somebody looked at."""

    level_pct: float
    """0 to 100."""
    is_charging: bool
    """True while power comes from outside."""
    taken_ms: int
    """Unix milliseconds."""


@dataclass(frozen=True, slots=True)
class CoverageRead:
    """A network somebody saw."""

    bearer: Network
    """Which kind."""
    signal_pct: float | None
    """0 to 100; None where it is not known."""
    operator: str = field(repr=False)
    """Its name; empty where it is not known."""
    taken_ms: int
    """Unix milliseconds."""
    signal_dbm: int | None = None
    """-150 to 0; told instead of percent where it is known."""


@dataclass(slots=True)
class FixedReadings:
    """Readings that stay until somebody sets others."""

    position: PlaceSeen | None = field(default=None, repr=False)
    """Where the device is."""
    battery: BatterySeen | None = None
    """How its battery is."""
    coverage: CoverageSeen | None = None
    """What network it has."""
