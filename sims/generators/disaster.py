"""After a disaster: every cell of the network is down, teams move between shelters.

Before it strikes all have network. Then nobody has, but for one satellite post at the first
shelter, some hours later; cells come back one by one. Teams search around a shelter and move on
to another, couriers drive from shelter to shelter. It is a model, not a measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sims.generators.meetings import coverage, join_rows, meetings
from sims.generators.movement import Journey, make_movement, track
from sims.generators.scene import Crew, Scene, make_scene, whole_time
from sims.tables import read_record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sims.generators.meetings import Covered
    from sims.generators.movement import Floats, Point
    from sims.generators.radio import Radio
    from sims.tables import Table

__all__ = ["Disaster", "make_disaster", "read_disaster"]

_BOUNDS: Final = {
    "size_km": (1.0, 200.0),
    "shelters": (2, 500),
    "teams": (1, 2_000),
    "agents_per_team": (1, 20),
    "couriers": (0, 200),
    "strikes_h": (0.0, 2_000.0),
    "satellite_after_h": (0.0, 2_000.0),
    "cell_km": (0.2, 50.0),
    "back_after_h": (0.0, 2_000.0),
    "back_spread_h": (0.0, 2_000.0),
    "walk_m_s": (0.2, 3.0),
    "drive_m_s": (1.0, 30.0),
}
_DAY_S: Final = 86_400.0
_NIGHT_S: Final = (21 * 3_600.0, 30 * 3_600.0)
"""Teams rest from nine in the evening to six in the morning."""
_SEARCH_M: Final = 1_500.0
"""Teams search within this distance of their shelter."""
_STOP_S: Final = (600.0, 1_800.0)
_SHELTER_STOP_S: Final = (1_800.0, 5_400.0)
_COURIER_STOP_S: Final = (600.0, 1_200.0)
_SEARCHES: Final = (2, 5)
"""Places that a team searches before it goes to a shelter; the second is not reached."""
_SPOT_M: Final = 20.0


@dataclass(frozen=True, slots=True)
class Disaster:
    """How large the area is, who works in it and when the network comes back."""

    size_km: float = 12.0
    """Length of each side."""
    shelters: int = 6
    """Each has a box and somebody in charge; the first has the satellite post."""
    teams: int = 10
    """Teams on foot and by car."""
    agents_per_team: int = 5
    """People of a team, who stay together."""
    couriers: int = 2
    """Cars with a box that drive from shelter to shelter, day and night."""
    strikes_h: float = 2.0
    """When all cells go down, hours from the begin."""
    satellite_after_h: float = 4.0
    """How much later the satellite post works."""
    cell_km: float = 2.0
    """Side of a cell."""
    back_after_h: float = 24.0
    """How long after the strike the first cells may come back."""
    back_spread_h: float = 36.0
    """Mean time from then until a cell is back."""
    walk_m_s: float = 0.8
    """Speed on foot."""
    drive_m_s: float = 6.0
    """Speed between shelters."""

    @property
    def nodes(self) -> int:
        """How many devices that comes to."""
        return 2 + 2 * self.shelters + self.couriers + self.teams * self.agents_per_team


def read_disaster(table: Table) -> Disaster:
    """Return the settings in `[disaster]`. Raises: ScenarioError."""
    return read_record(table, Disaster(), _BOUNDS)


def make_disaster(
    settings: Disaster, radio: Radio, duration_s: float, random: np.random.Generator
) -> Scene:
    """Return an area after a disaster; equal for equal settings and state of `random`.

    Nodes are, in this order: gateway, satellite post, shelters, couriers, people in charge of
    shelters, teams. Cost: about 1 s for 70 devices and four days.
    """
    ground, people = random.spawn(2)
    places = ground.uniform(0.1, 0.9, (settings.shelters, 2)) * settings.size_km * 1e3
    shelters = [(float(east), float(north)) for east, north in places]
    crew, journeys = _populate(settings, shelters, duration_s, people)
    movement = make_movement(journeys)
    low, high = radio.range_m
    boxes = 2 + settings.shelters + settings.couriers
    reach_m = np.where(np.arange(movement.nodes) < boxes, high, (low + high) / 2)
    rows = join_rows(
        [
            coverage(movement, _covered(settings, ground), radio.step_s, duration_s),
            meetings(
                movement,
                lambda east, _north: np.broadcast_to(reach_m, east.shape),
                radio.step_s,
                duration_s,
            ),
        ]
    )
    duty = whole_time(crew.roles, duration_s)
    return make_scene(crew, rows, duty, duration_s, track(movement, duration_s))


def _populate(
    settings: Disaster, shelters: list[Point], duration_s: float, random: np.random.Generator
) -> tuple[Crew, list[Journey]]:
    """Return all nodes and their paths."""
    crew, journeys = Crew(), [Journey()]
    crew.add("gateway", "gateway")
    crew.add("satellite post", "relay", "shelter 1")
    journeys.append(Journey(0.0, _spot(shelters[0], random)))
    for number, shelter in enumerate(shelters, start=1):
        crew.add(f"shelter {number}", "relay", f"shelter {number}")
        journeys.append(Journey(0.0, shelter))
    for number in range(1, settings.couriers + 1):
        crew.add(f"courier {number}", "relay", f"courier {number}")
        journeys.append(_courier(settings, shelters, duration_s, random))
    for number, shelter in enumerate(shelters, start=1):
        crew.add(f"shelter {number} desk", "leader", f"shelter {number}")
        journeys.append(Journey(0.0, _spot(shelter, random)))
    for number in range(1, settings.teams + 1):
        team = _team(settings, shelters, duration_s, random)
        for place in range(1, settings.agents_per_team + 1):
            role = "leader" if place == 1 else "agent"
            crew.add(f"team {number} agent {place}", role, f"team {number}")
            shift = random.uniform(-_SPOT_M, _SPOT_M, 2)
            member = Journey()
            member.knots = [(t, x + float(shift[0]), y + float(shift[1])) for t, x, y in team.knots]
            journeys.append(member)
    return crew, journeys


def _courier(
    settings: Disaster, shelters: list[Point], duration_s: float, random: np.random.Generator
) -> Journey:
    """Return a drive from shelter to shelter; every second stop is at the satellite post."""
    journey = Journey(0.0, shelters[int(random.integers(len(shelters)))])
    is_home = True
    while journey.now_s < duration_s:
        journey.stay(journey.now_s + float(random.uniform(*_COURIER_STOP_S)))
        other = 1 + int(random.integers(len(shelters) - 1))
        journey.go(_spot(shelters[other if is_home else 0], random), settings.drive_m_s)
        is_home = not is_home
    return journey


def _team(
    settings: Disaster, shelters: list[Point], duration_s: float, random: np.random.Generator
) -> Journey:
    """Return the days of a team: it searches, moves on to another shelter, and rests at night."""
    here = int(random.integers(len(shelters)))
    journey = Journey(0.0, shelters[here])
    while journey.now_s < duration_s:
        journey.stay(journey.now_s + float(random.uniform(*_SHELTER_STOP_S)))
        time_s = (journey.now_s - _NIGHT_S[1]) % _DAY_S
        if time_s >= _NIGHT_S[0] - _NIGHT_S[1] + _DAY_S:
            journey.stay(journey.now_s + _DAY_S - time_s)
        for _ in range(int(random.integers(*_SEARCHES))):
            east, north = random.uniform(-_SEARCH_M, _SEARCH_M, 2) / np.sqrt(2)
            place = shelters[here][0] + float(east), shelters[here][1] + float(north)
            journey.go(place, settings.walk_m_s)
            journey.stay(journey.now_s + float(random.uniform(*_STOP_S)))
        here = int(random.integers(len(shelters)))
        journey.go(shelters[here], settings.drive_m_s)
    return journey


def _covered(settings: Disaster, random: np.random.Generator) -> Covered:
    """Return who has network where and when."""
    cells = int(np.ceil(settings.size_km / settings.cell_km)) + 1
    strikes_s = settings.strikes_h * 3_600.0
    spread_s = settings.back_spread_h * 3_600.0
    first_s = strikes_s + settings.back_after_h * 3_600.0
    back_s = first_s + random.exponential(1.0, (cells, cells)) * spread_s
    satellite_s = strikes_s + settings.satellite_after_h * 3_600.0

    def is_covered(times_s: Floats, east: Floats, north: Floats) -> NDArray[np.bool_]:
        row, column = (
            np.clip(np.nan_to_num(each) / settings.cell_km / 1e3, 0, cells - 1).astype(np.intp)
            for each in (north, east)
        )
        now_s = times_s[:, None]
        is_on = (now_s < strikes_s) | (now_s >= back_s[row, column])
        is_on[:, 1] |= times_s >= satellite_s
        return np.asarray(is_on)

    return is_covered


def _spot(place: Point, random: np.random.Generator) -> Point:
    east, north = random.uniform(-_SPOT_M, _SPOT_M, 2)
    return place[0] + float(east), place[1] + float(north)
