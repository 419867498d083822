"""The days of one squad: who musters when, where its vehicle drives and where its patrols walk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from sims.generators.movement import Journey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sims.generators.movement import Point

__all__ = ["Base", "Patrols", "Shifts"]

_DAY_S: Final = 86_400.0
_DAY_START_S: Final = 7 * 3_600.0
_NIGHT_START_S: Final = 19 * 3_600.0
_START_SPREAD_S: Final = 1_800.0
_MUSTER_S: Final = 900.0
"""People are at the base this long before they leave and after they are back."""
_PATROL_AGENTS: Final = 3
"""People who walk together."""
_LAG_S: Final = 90.0
"""Mean time by which people of a patrol walk behind its first."""
_LAG_S_MAX: Final = 300.0
_STOP_S: Final = (600.0, 2_400.0)
"""How long a patrol stays at a place."""
_LEG_M: Final = (800.0, 2_500.0)
"""From one place to the next."""
_SPOT_M: Final = 25.0
"""People, boxes and cars at one place stand this far from its middle at most."""
_TRAILHEAD: Final = (0.15, 0.6)
"""How far along a road a patrol starts, as a share of its length."""


@dataclass(frozen=True, slots=True)
class Base:
    """A post and the roads that begin there."""

    place: Point
    """Where it is."""
    roads: list[list[Point]]
    """Each begins at the post and leads to another."""


@dataclass(frozen=True, slots=True)
class Shifts:
    """What the shifts of all squads have in common."""

    length_s: float
    """Of a shift; at most 11 h, so that a vehicle serves day and night."""
    duration_s: float
    """Of the whole plan."""
    night_share: float
    """Share of a squad that works at night."""
    walk_m_s: float
    """Speed on foot."""
    drive_m_s: float
    """Speed on roads."""
    size_m: float
    """Nobody leaves the square of this side."""


@dataclass(slots=True)
class Patrols:
    """One squad: the journeys of its vehicle and its people over the whole plan."""

    base: Base
    """Where it musters."""
    shifts: Shifts
    """When and how fast."""
    people: int
    """How many agents it has."""
    random: np.random.Generator
    """Decides roads, places and times."""
    vehicle: Journey = field(init=False)
    """Path of its box."""
    agents: list[Journey] = field(init=False)
    """Path of each agent, who is away between shifts."""
    duty: list[list[tuple[float, float]]] = field(init=False)
    """Begin and end of each shift of each agent, seconds."""

    def __post_init__(self) -> None:
        """Write the journeys."""
        self.vehicle = Journey(0.0, self._spot(self.base.place))
        self.agents = [Journey() for _ in range(self.people)]
        self.duty = [[] for _ in range(self.people)]
        by_night = round(self.people * self.shifts.night_share)
        teams = (range(by_night, self.people), range(by_night))
        for start_s, team in self._starts(teams):
            if team:
                self._shift(start_s, list(team))

    def _starts(self, teams: tuple[range, range]) -> Iterator[tuple[float, range]]:
        """Yield begin and team of each shift; the night before the first day is the first."""
        for day in range(-1, int(np.ceil(self.shifts.duration_s / _DAY_S))):
            for hour_s, team in zip((_DAY_START_S, _NIGHT_START_S), teams, strict=True):
                later_s = self.random.uniform(-_START_SPREAD_S, _START_SPREAD_S)
                start_s = day * _DAY_S + hour_s + float(later_s)
                # A shift that began long before the plan does would begin in the middle.
                if 0 <= start_s < self.shifts.duration_s:
                    yield max(start_s, self.vehicle.now_s), team

    def _shift(self, start_s: float, team: list[int]) -> None:
        end_s = start_s + self.shifts.length_s
        for agent in team:
            self.agents[agent].stay(start_s)
            self.agents[agent].appear(self._spot(self.base.place))
            self.agents[agent].stay(start_s + _MUSTER_S)
            self.duty[agent].append((start_s, min(end_s, self.shifts.duration_s)))
        self.vehicle.stay(start_s + _MUSTER_S)
        road = self._road()
        drive_s = _length_m(road) / self.shifts.drive_m_s
        back_s = max(end_s - _MUSTER_S - drive_s, start_s + _MUSTER_S + drive_s)
        self._ride([self.vehicle, *(self.agents[agent] for agent in team)], road)
        for first in range(0, len(team), _PATROL_AGENTS):
            self._walk(team[first : first + _PATROL_AGENTS], road[-1], back_s)
        self._errand(road, back_s)
        home = [*reversed(road[:-1])]
        self._ride([self.vehicle, *(self.agents[agent] for agent in team)], home)
        for agent in team:
            self.agents[agent].stay(end_s)
            self.agents[agent].vanish()

    def _road(self) -> list[Point]:
        """Return the way to where today's patrols start."""
        road = self.base.roads[int(self.random.integers(len(self.base.roads)))]
        share = float(self.random.uniform(*_TRAILHEAD))
        return road[: max(2, int(share * len(road)) + 1)]

    def _ride(self, travellers: list[Journey], road: list[Point]) -> None:
        """Take all along the road in one car."""
        start_s = max(each.now_s for each in travellers)
        for each in travellers:
            each.stay(start_s)
            each.go(road[0], self.shifts.drive_m_s)
        start_s = max(each.now_s for each in travellers)
        for each in travellers:
            each.stay(start_s)
            each.follow(road[1:], self.shifts.drive_m_s)

    def _errand(self, road: list[Point], back_s: float) -> None:
        """Half of the vehicles fetch something at the base while patrols walk."""
        drive_s = 2 * _length_m(road) / self.shifts.drive_m_s
        spare_s = back_s - self.vehicle.now_s - drive_s
        if spare_s > 3_600 and self.random.random() < 0.5:
            self.vehicle.stay(self.vehicle.now_s + float(self.random.uniform(0.2, 0.6)) * spare_s)
            self._ride([self.vehicle], [*reversed(road[:-1])])
            self.vehicle.stay(self.vehicle.now_s + 900.0)
            self._ride([self.vehicle], road)
        self.vehicle.stay(back_s)

    def _walk(self, patrol: list[int], start: Point, back_s: float) -> None:
        """Walk from place to place and back; who is behind its first stays behind."""
        leader = self.agents[patrol[0]]
        places: list[tuple[Point, float]] = []
        here, now_s = start, leader.now_s
        while True:
            there = self._next_place(here)
            stop_s = float(self.random.uniform(*_STOP_S))
            there_s = now_s + _distance_m(here, there) / self.shifts.walk_m_s + stop_s
            home_s = _distance_m(there, start) / self.shifts.walk_m_s
            if there_s + home_s + _LAG_S_MAX > back_s:
                break
            places.append((there, stop_s))
            here, now_s = there, there_s
        for agent in patrol:
            journey = self.agents[agent]
            lag_s = min(float(self.random.exponential(_LAG_S)), _LAG_S_MAX)
            journey.stay(journey.now_s + (0.0 if agent == patrol[0] else lag_s))
            for place, stop_s in places:
                journey.go(self._spot(place), self.shifts.walk_m_s)
                journey.stay(journey.now_s + stop_s)
            journey.go(self._spot(start), self.shifts.walk_m_s)
            journey.stay(back_s)

    def _next_place(self, here: Point) -> Point:
        angle = float(self.random.uniform(0.0, 2 * np.pi))
        leg_m = float(self.random.uniform(*_LEG_M))
        east = here[0] + leg_m * float(np.cos(angle))
        north = here[1] + leg_m * float(np.sin(angle))
        size_m = self.shifts.size_m
        return min(max(east, 0.0), size_m), min(max(north, 0.0), size_m)

    def _spot(self, place: Point) -> Point:
        east, north = self.random.uniform(-_SPOT_M, _SPOT_M, 2) / np.sqrt(2)
        return place[0] + float(east), place[1] + float(north)


def _length_m(road: list[Point]) -> float:
    return float(np.hypot(*np.diff(np.array(road), axis=0).T).sum())


def _distance_m(one: Point, other: Point) -> float:
    return float(np.hypot(one[0] - other[0], one[1] - other[1]))
