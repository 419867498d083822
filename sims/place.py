"""One device in a world: who it is, its machine, and what runs on it just now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio

from meshnode.node import Node
from meshnode.sensors.base import Sensor
from meshnode.store.engine import Store
from protocol.envelope import Sealer
from sims.disk import DiskImage
from sims.fault_plan import Behaviour
from sims.fleet import Device
from sims.power import Battery
from sims.record import DeviceRecord
from sims.runtime import Machine

__all__ = ["Place"]


@dataclass(slots=True)
class Place:
    """One device in the world."""

    device: Device
    """Who it is."""
    machine: Machine
    """Its clock, power and entropy."""
    sealer: Sealer
    """For the node's rooms with keys."""
    path: Path | None
    """Where its store is; None for memory."""
    behaviour: Behaviour | None = None
    """How it misbehaves; None for an honest one."""
    store: Store | None = None
    """Its open store, while it has power."""
    node: Node | None = None
    """The running node, if it runs."""
    started: trio.Event = field(default_factory=trio.Event)
    """Set while a node runs."""
    stop: trio.CancelScope = field(default_factory=trio.CancelScope)
    """Ends the running node."""
    image: DiskImage | None = None
    """Its disk at the moment at which its power went, until it starts again."""
    is_furnished: bool = False
    """Its enrolment is in its store."""
    is_lost: bool = False
    """It went away for good."""
    back_s: float = 0.0
    """Virtual time at which it has power again after its last crash."""
    up_since_ms: int | None = None
    """When its node was last started, virtual milliseconds; None while it does not run."""
    record: DeviceRecord | None = None
    """What is left of it at the end."""
    battery: Battery | None = None
    """What it runs on; None for one that is never empty."""
    truth: Callable[[float], tuple[float, float]] | None = None
    """Its latitude and longitude at a virtual time, degrees; None where it has no sensors."""
    make_sensors: Callable[[], Sequence[Sensor]] = tuple
    """Makes the sensors of its node, at each start."""

    @property
    def name(self) -> str:
        """As the scenario names it."""
        return self.machine.name
