"""What a check is: it judges the facts of one home and finds a fault with its cure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias

from meshnode.config import Settings
from meshnode.enrol import DeviceIdentity
from meshnode.errors import ConfigError
from meshnode.machine import Machine
from protocol.errors import MeshError

__all__ = ["Check", "Facts", "Finding", "Level", "Plan"]


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    UNKNOWN = "unknown"
    """It could not be looked at, which is no fault of its own: another finding says why."""
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    name: str
    """The check, one stable word."""
    level: Level
    """How bad it is."""
    sentence: str
    """What is so."""
    fix: str = ""
    """What to do about it; empty where all is well."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a squad is about to do without a network."""

    hours: float
    """How long it will be away."""
    place: tuple[float, float] | None = field(default=None, repr=False)
    """Latitude and longitude of where it goes, degrees; None where that was not said."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the checks judge."""

    home: Path
    """Folder of the node."""
    now_ms: int
    """Time of the examination, Unix milliseconds."""
    machine: Machine
    """Asked by the checks that need it."""
    settings: Settings | ConfigError
    """The settings, or what is wrong with them."""
    identity: DeviceIdentity | MeshError
    """Who the device is, or what is wrong with that."""
    status: dict[str, Any] | MeshError | None
    """As `Api.status`; what is wrong with the node; None where there is nothing to open."""
    is_running: bool = False
    """A running node answered."""
    store_ms: int = 0
    """When the store was last written before this examination, Unix milliseconds; 0 for never."""
    peers: tuple[dict[str, Any], ...] = ()
    """As `Api.peers`."""
    readiness: dict[str, Any] | None = None
    """As `Api.readiness`; None while the device is locked, or where nobody leaves."""
    battery: tuple[dict[str, Any], ...] | None = None
    """Its sources as in `Api.sensors`; None where nobody leaves, or nothing could be asked."""
    is_on_shift: bool = False
    """The agent's shift is open."""
    plan: Plan | None = None
    """What the squad is about to do; None where nobody leaves."""

    @property
    def is_relay(self) -> bool:
        """True for a device that was enrolled to carry alone; False where that is not known."""
        return isinstance(self.status, dict) and self.status["role"] == "relay"


Check: TypeAlias = Callable[[Facts], Finding]
"""One named check."""
