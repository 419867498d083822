"""Which device fails when: drawn from the faults of a scenario, the scenario and the seed.

Each kind of fault is drawn from a stream of its own, and a smaller count gives the first ones of
a larger one: so a failing run can be made smaller fault by fault. Source: DESIGN D11.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from sims.draws import Draw
from sims.scenario import ClockStep, Scenario

__all__ = [
    "QUIET_SHARE",
    "Behaviour",
    "Drift",
    "FaultPlan",
    "FullDisk",
    "Hostile",
    "Loss",
    "Partition",
    "StepCrash",
    "draw_plan",
]

_STEPS: Final = (1, 3, 10, 30, 100, 300)
"""A crash comes after up to so many steps of the device's tasks."""
_DOWN_S: Final = (10.0, 60.0, 900.0)
_JUMPS_S: Final = (-240.0, -60.0, -5.0, 5.0, 60.0, 240.0)
"""Within what every peer accepts: a stamp may be ten minutes ahead."""
_NEAR_S: Final = 3.0
"""Most happens within seconds after a contact begins or a message is written."""
_FULL_S: Final = (60.0, 600.0, 3_600.0)
_PARTITION_S: Final = (30.0, 300.0, 1_800.0)
QUIET_SHARE: Final = 0.1
"""In this last part of a run no disk is full, and links that are made have no faults."""


class Behaviour(Enum):
    """What a hostile device does to those who meet it."""

    REPLAY = "replay"
    """Sends whatever it ever saw, again and in another order."""
    FORGE = "forge"
    """Sends bundles of others with something changed in them, and bundles it made up."""
    HOARD = "hoard"
    """Says that it stored what it was given, and stores nothing."""
    GARBAGE = "garbage"
    """Puts random bytes among its frames."""
    FLOOD = "flood"
    """Writes without end, signed properly."""


@dataclass(frozen=True, slots=True)
class StepCrash:
    """A device loses its power at one of its awaits, or in one of its commits."""

    from_s: float
    """Counting begins at this virtual time, seconds."""
    device: str
    """Which."""
    steps: int
    """It happens at the so manieth step of its tasks, or the so manieth commit; from 1."""
    down_s: float
    """How long it is off, seconds."""
    is_torn: bool = False
    """In a commit, of which only a part reaches the disk."""


@dataclass(frozen=True, slots=True)
class FullDisk:
    """The disk of a device takes nothing more for a while."""

    start_s: float
    """From then on, virtual seconds."""
    end_s: float
    """Until then."""
    device: str
    """Which."""


@dataclass(frozen=True, slots=True)
class Partition:
    """One device does not reach another, which may reach it."""

    start_s: float
    """From then on, virtual seconds."""
    end_s: float
    """Until then."""
    source: str
    """Whose words do not arrive."""
    target: str
    """Who does not hear them."""
    is_dial_only: bool
    """Links that exist work both ways; only a dial from source to target is not answered."""


@dataclass(frozen=True, slots=True)
class Drift:
    """A wall clock that is too fast or too slow."""

    device: str
    """Whose."""
    rate_ppm: float
    """What it gains, parts per million; below 0 it loses."""


@dataclass(frozen=True, slots=True)
class Hostile:
    """An enrolled device that misbehaves."""

    device: str
    """Which."""
    behaviour: Behaviour
    """How."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A device goes away for good."""

    at_s: float
    """When, virtual seconds."""
    device: str
    """Which."""


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Everything that the seed decides to go wrong."""

    step_crashes: tuple[StepCrash, ...] = ()
    """In no order; two of one device may fall together, and then the later one is no more."""
    full_disks: tuple[FullDisk, ...] = ()
    """In no order."""
    clock_jumps: tuple[ClockStep, ...] = ()
    """Beside those of the scenario."""
    drifts: tuple[Drift, ...] = ()
    """One per device whose clock is not right."""
    partitions: tuple[Partition, ...] = ()
    """In no order."""
    hostile: tuple[Hostile, ...] = ()
    """One per device that misbehaves."""
    lost: tuple[Loss, ...] = ()
    """One per device that goes away."""

    @property
    def on_disk(self) -> frozenset[str]:
        """Devices whose store outlives their process."""
        return frozenset(
            {each.device for each in self.step_crashes} | {each.device for each in self.lost}
        )

    @property
    def hostile_names(self) -> frozenset[str]:
        """Devices that misbehave."""
        return frozenset(each.device for each in self.hostile)


def draw_plan(scenario: Scenario, seed: int) -> FaultPlan:
    """Return what goes wrong in `scenario` under `seed`."""
    faults = scenario.faults
    names = [device.name for device in scenario.devices]
    honest = list(names)
    hostile = tuple(_hostile(Draw(seed, "faults/hostile"), names, faults.hostile_devices))
    for each in hostile:
        honest.remove(each.device)
    return FaultPlan(
        step_crashes=(
            *_crashes(Draw(seed, "faults/crashes"), scenario, names, faults.crashes, False),
            *_crashes(Draw(seed, "faults/torn"), scenario, names, faults.torn_writes, True),
        ),
        full_disks=tuple(_full(Draw(seed, "faults/disks"), scenario, names, faults.full_disks)),
        clock_jumps=tuple(_jumps(Draw(seed, "faults/clocks"), scenario, names)),
        drifts=tuple(_drifts(Draw(seed, "faults/drift"), names, faults.drift_ppm)),
        partitions=tuple(_partitions(Draw(seed, "faults/partitions"), scenario, names)),
        hostile=hostile,
        lost=tuple(_lost(Draw(seed, "faults/lost"), scenario, honest)),
    )


def _hostile(draw: Draw, names: Sequence[str], count: int) -> Iterator[Hostile]:
    """Yield devices other than the first, so that somebody honest is always left."""
    behaviours = draw.sample(list(Behaviour), len(Behaviour))
    for place, name in enumerate(draw.sample(names[1:], count)):
        yield Hostile(name, behaviours[place % len(behaviours)])


def _moment_s(draw: Draw, scenario: Scenario, share: float = 1 - QUIET_SHARE) -> float:
    """Return a time, mostly one at which something goes on."""
    busy = [contact.start_s for contact in scenario.contacts]
    busy += [message.at_s for message in scenario.messages]
    drawn = draw.uniform(0.0, scenario.duration_s * share)
    near_s = draw.uniform(0.0, _NEAR_S)
    chosen_s = draw.choice(busy) if busy else drawn
    if draw.chance(0.25) or chosen_s > scenario.duration_s * share:
        return drawn
    return chosen_s + near_s


def _crashes(
    draw: Draw, scenario: Scenario, names: Sequence[str], count: int, is_torn: bool
) -> Iterator[StepCrash]:
    for _ in range(count):
        from_s, device = _moment_s(draw, scenario), draw.choice(names)
        steps = draw.whole(1, 5) if is_torn else draw.whole(1, draw.choice(_STEPS))
        yield StepCrash(from_s, device, steps, draw.choice(_DOWN_S), is_torn)


def _full(draw: Draw, scenario: Scenario, names: Sequence[str], count: int) -> Iterator[FullDisk]:
    for _ in range(count):
        start_s, device = _moment_s(draw, scenario, 0.8), draw.choice(names)
        end_s = min(start_s + draw.choice(_FULL_S), scenario.duration_s * (1 - QUIET_SHARE))
        yield FullDisk(start_s, max(start_s, end_s), device)


def _jumps(draw: Draw, scenario: Scenario, names: Sequence[str]) -> Iterator[ClockStep]:
    for _ in range(scenario.faults.clock_jumps):
        at_s = draw.uniform(0.0, scenario.duration_s)
        yield ClockStep(at_s, draw.choice(names), draw.choice(_JUMPS_S))


def _drifts(draw: Draw, names: Sequence[str], most_ppm: float) -> Iterator[Drift]:
    for name in names if most_ppm else ():
        yield Drift(name, draw.uniform(-most_ppm, most_ppm))


def _partitions(draw: Draw, scenario: Scenario, names: Sequence[str]) -> Iterator[Partition]:
    for _ in range(scenario.faults.partitions if len(names) > 1 else 0):
        chosen = draw.choice(scenario.contacts) if scenario.contacts else None
        pair = draw.sample((chosen.a, chosen.b) if chosen else names, 2)
        start_s = draw.uniform(0.0, scenario.duration_s)
        if chosen is not None:
            start_s = chosen.start_s + draw.uniform(0.0, (chosen.end_s - chosen.start_s) / 2)
        end_s = min(start_s + draw.choice(_PARTITION_S), scenario.duration_s)
        yield Partition(start_s, end_s, pair[0], pair[1], draw.chance(0.5))


def _lost(draw: Draw, scenario: Scenario, honest: Sequence[str]) -> Iterator[Loss]:
    """Yield honest devices other than the first; a hostile one is nobody's loss."""
    for name in draw.sample(honest[1:], scenario.faults.lost_devices):
        yield Loss(scenario.duration_s * draw.uniform(0.2, 0.9), name)
