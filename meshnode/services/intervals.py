"""How often a device tells of itself, by its battery, its motion and its role: one table.

Less battery never means more often, more motion never more rarely, and whoever has an open SOS
tells as often as others take, whatever the battery.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Final

from protocol.identity import Role

__all__ = [
    "INTERVALS",
    "LOW_PCT",
    "RESERVE_PCT",
    "SHORTEST_S",
    "Band",
    "Crew",
    "Interval",
    "Motion",
    "band_of",
    "crew_of",
    "interval_of",
    "stretch_of",
]

SHORTEST_S: Final = 30.0
"""Others take no more reports of one author, seconds, for each squad."""
LOW_PCT: Final = 40
"""Below this a device saves, percent."""
RESERVE_PCT: Final = 15
"""Below this a device keeps what it has for messages and an SOS, percent."""


class Band(IntEnum):
    """How much is in the battery; a greater one is fuller."""

    RESERVE = 0
    LOW = 1
    GOOD = 2


class Motion(IntEnum):
    """What a device does; a greater one wants to be told more often."""

    REST = 0
    CHANGED = 1
    MOVING = 2


class Crew(Enum):
    """Whose device it is."""

    LEADER = "leader"
    AGENT = "agent"
    CARRIER = "carrier"


@dataclass(frozen=True, slots=True)
class Interval:
    """From one report to the next."""

    position_s: float
    """Of where the device is, seconds."""
    state_s: float
    """Of its battery and network, seconds."""


INTERVALS: Final[Mapping[tuple[Crew, Band], Mapping[Motion, Interval]]] = MappingProxyType(
    {
        (crew, band): MappingProxyType(
            {
                motion: Interval(*pair)
                for motion, pair in zip(
                    (Motion.MOVING, Motion.CHANGED, Motion.REST), row, strict=True
                )
            }
        )
        for crew, band, row in (
            (Crew.LEADER, Band.GOOD, ((30, 30), (30, 30), (300, 300))),
            (Crew.LEADER, Band.LOW, ((45, 60), (60, 60), (300, 300))),
            (Crew.LEADER, Band.RESERVE, ((60, 120), (120, 120), (300, 600))),
            (Crew.AGENT, Band.GOOD, ((30, 30), (30, 30), (300, 300))),
            (Crew.AGENT, Band.LOW, ((60, 120), (120, 120), (300, 600))),
            (Crew.AGENT, Band.RESERVE, ((120, 300), (300, 300), (600, 840))),
            (Crew.CARRIER, Band.GOOD, ((30, 30), (30, 30), (300, 300))),
            (Crew.CARRIER, Band.LOW, ((120, 300), (300, 300), (300, 600))),
            (Crew.CARRIER, Band.RESERVE, ((300, 600), (600, 600), (600, 840))),
        )
    }
)
"""Seconds of position and state: moving, at rest where a value changed, at rest. A leader is looked
for most. A box or gateway carries for all, so it saves first. A battery is told before the board
calls its value stale, 15 minutes; a place at rest with little battery is not."""


_STRETCH: Final[Mapping[Band, float]] = MappingProxyType(
    {Band.GOOD: 1.0, Band.LOW: 2.0, Band.RESERVE: 4.0}
)
"""Times the set interval. Asking for battery and coverage costs a process or a thread each."""


def band_of(level_pct: float | None, *, is_charging: bool) -> Band:
    """Return the band of a battery; what charges, or tells none, need not save."""
    if level_pct is None or is_charging or level_pct >= LOW_PCT:
        return Band.GOOD
    return Band.LOW if level_pct >= RESERVE_PCT else Band.RESERVE


def stretch_of(level_pct: float | None, *, is_charging: bool) -> float:
    """Return how much longer than set a source that tells no place is left in peace."""
    return _STRETCH[band_of(level_pct, is_charging=is_charging)]


def crew_of(role: Role | None) -> Crew:
    """Return the row of a role; whoever is in no roster yet counts as an agent."""
    if role is Role.LEADER:
        return Crew.LEADER
    return Crew.AGENT if role in (Role.AGENT, None) else Crew.CARRIER


def interval_of(
    crew: Crew, band: Band, motion: Motion, *, squads: int, is_in_alarm: bool
) -> Interval:
    """Return how often to tell; to several squads more rarely, because others count each report."""
    shortest_s = SHORTEST_S * squads
    if is_in_alarm:
        return Interval(shortest_s, shortest_s)
    found = INTERVALS[crew, band][motion]
    return Interval(max(shortest_s, found.position_s), max(shortest_s, found.state_s))
