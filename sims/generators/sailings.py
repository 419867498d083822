"""Sailings: what a timetable says of a boat, and what the boat does instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sims.generators.movement import Journey

if TYPE_CHECKING:
    from sims.generators.movement import Point

__all__ = ["Sailing", "plan_sailings", "sail"]

_DAY_S: Final = 86_400.0
_LEAVES_S: Final = (5 * 3_600.0, 10 * 3_600.0)
"""When boats leave their home port."""
_STAY_S: Final = (3_600.0, 10_800.0)
"""How long they stay at the other one."""
_TURN_S: Final = 1_200.0
"""A boat that is late leaves again after this."""
_STRAY_M: Final = 2_000.0
"""By how much the ways of two sailings differ half-way."""
_OFFSHORE_SHARE: Final = 0.1
"""A boat between two ports of one coast keeps off by this share of the way to the middle."""
_PACE: Final = (0.9, 1.05)
"""Wind and sea slow a boat, or help it."""


@dataclass(frozen=True, slots=True)
class Sailing:
    """One published way of a boat from port to port."""

    leaves_s: float
    """Seconds from the begin of the plan."""
    arrives_s: float
    """Seconds likewise."""
    start: int
    """Number of the port it leaves, from 0."""
    end: int
    """Number of the port it is bound for."""


def plan_sailings(
    ports: list[Point], boats: int, speed_m_s: float, duration_s: float, random: np.random.Generator
) -> list[list[Sailing]]:
    """Return the timetable of each boat: out in the morning, home the same day or later.

    A boat has one line and one hour. Sailings come in pairs, out and home; none leaves after
    `duration_s`.
    """
    plan = []
    for boat in range(boats):
        home = boat % len(ports)
        other = (home + 1 + int(random.integers(len(ports) - 1))) % len(ports)
        way_s = _distance_m(ports[home], ports[other]) / speed_m_s
        hour_s, stay_s = float(random.uniform(*_LEAVES_S)), float(random.uniform(*_STAY_S))
        sailings: list[Sailing] = []
        # The night at home has some hours, so that what is late can be made good.
        days = int(np.ceil((2 * way_s + stay_s + 4 * 3_600) / _DAY_S))
        first = int(random.integers(days))
        for day in range(first, int(np.ceil(duration_s / _DAY_S)), days):
            out_s = day * _DAY_S + hour_s
            back_s = out_s + way_s + stay_s
            if back_s < duration_s:
                sailings.append(Sailing(out_s, out_s + way_s, home, other))
                sailings.append(Sailing(back_s, back_s + way_s, other, home))
        plan.append(sailings or [Sailing(hour_s, hour_s + way_s, home, other)])
    return plan


def sail(
    sailings: list[Sailing],
    berths: list[Point],
    middle_m: float,
    habits: tuple[float, float],
    chances: tuple[float, float],
    random: np.random.Generator,
) -> Journey:
    """Return what a boat really does.

    Args:
        middle_m: how far north the middle between the coasts is.
        habits: speed in m/s and mean delay in seconds.
        chances: shares of cancelled sailings, out and home together, and of diverted ones.
    """
    speed_m_s, late_s = habits
    cancelled_share, diverted_share = chances
    here = sailings[0].start
    journey = Journey(0.0, berths[here])
    for place in range(0, len(sailings), 2):
        out, *home = sailings[place : place + 2]
        if random.random() < cancelled_share:
            continue
        end = out.end
        if len(berths) > 2 and random.random() < diverted_share:
            others = [port for port in range(len(berths)) if port not in (out.start, out.end)]
            end = others[int(random.integers(len(others)))]
        for each, bound in ((out, end), *((back, back.end) for back in home)):
            delay_s = float(random.exponential(late_s)) if late_s else 0.0
            journey.stay(max(each.leaves_s + delay_s, journey.now_s + _TURN_S))
            assert journey.place is not None, "a boat is always somewhere"
            pace = float(random.uniform(*_PACE))
            journey.go(_half_way(journey.place, berths[bound], middle_m, random), speed_m_s * pace)
            journey.go(berths[bound], speed_m_s * pace)
    return journey


def _half_way(start: Point, end: Point, middle_m: float, random: np.random.Generator) -> Point:
    """Return a point half-way, off the coast."""
    stray = random.uniform(-_STRAY_M, _STRAY_M, 2)
    north = (start[1] + end[1]) / 2
    north += (middle_m - north) * _OFFSHORE_SHARE
    return (start[0] + end[0]) / 2 + float(stray[0]), north + float(stray[1])


def _distance_m(one: Point, other: Point) -> float:
    return float(np.hypot(one[0] - other[0], one[1] - other[1]))
