"""A dense city: teams on foot in a grid of streets, many short contacts, and dead cells.

Teams begin and end their shifts at a station and walk from crossing to crossing in between. Cells
of the network are squares; dead ones stand for stations underground, courtyards and cellars:
there devices have no network, and walls all around. It is a model, not a measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sims.generators.meetings import coverage, join_rows, meetings
from sims.generators.movement import Movement, track
from sims.generators.scene import Crew, Scene, make_scene
from sims.tables import read_record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sims.generators.movement import Floats
    from sims.generators.radio import Radio
    from sims.tables import Table

__all__ = ["City", "make_city", "read_city"]

_BOUNDS: Final = {
    "streets": (2, 1_000),
    "block_m": (20.0, 1_000.0),
    "agents": (1, 20_000),
    "team": (1, 20),
    "stations": (1, 100),
    "shifts": (1, 3),
    "dead_share": (0.0, 1.0),
    "cell_m": (20.0, 10_000.0),
    "walk_m_s": (0.2, 3.0),
    "pause_s": (0.0, 3_600.0),
}
_DAY_S: Final = 86_400.0
_HOME_S: Final = 300.0
"""Teams are brought back to their station in this time."""
_SPREAD_M: Final = 10.0
"""People of a team walk this far from each other."""


@dataclass(frozen=True, slots=True)
class City:
    """How large the city is, and who works in it."""

    streets: int = 20
    """Blocks along each side."""
    block_m: float = 120.0
    """From one crossing to the next."""
    agents: int = 150
    """Of all shifts together."""
    team: int = 2
    """People who walk together."""
    stations: int = 3
    """Stations with network, each with a box; teams belong to them in turn."""
    shifts: int = 3
    """How many shifts share the day; teams belong to them in turn."""
    dead_share: float = 0.3
    """Share of the cells that have no network."""
    cell_m: float = 240.0
    """Side of a cell."""
    walk_m_s: float = 1.2
    """Speed on foot."""
    pause_s: float = 60.0
    """Mean stop at a crossing."""

    @property
    def nodes(self) -> int:
        """How many devices that comes to."""
        return 1 + self.stations + self.agents


def read_city(table: Table) -> City:
    """Return the settings in `[city]`. Raises: ScenarioError."""
    return read_record(table, City(), _BOUNDS)


def make_city(
    settings: City, radio: Radio, duration_s: float, random: np.random.Generator
) -> Scene:
    """Return teams in a city; equal for equal settings and state of `random`.

    Nodes are, in this order: gateway, stations, agents. Cost: about 2 s for 1,000 agents and a
    day at steps of 30 s.
    """
    ground, people = random.spawn(2)
    stations = ground.integers(0, settings.streets + 1, (settings.stations, 2))
    cells = int(np.ceil((settings.streets * settings.block_m + 2 * _SPREAD_M) / settings.cell_m))
    is_dead = ground.random((cells + 1, cells + 1)) < settings.dead_share
    crew, movement, duty = _populate(settings, stations, duration_s, people)

    def is_under_walls(east: Floats, north: Floats) -> NDArray[np.bool_]:
        row, column = (
            np.clip(np.nan_to_num(each) / settings.cell_m, 0, cells).astype(np.intp)
            for each in (north, east)
        )
        return np.asarray(is_dead[row, column])

    def is_covered(_times_s: Floats, east: Floats, north: Floats) -> NDArray[np.bool_]:
        is_on = ~is_under_walls(east, north)
        is_on[:, : 1 + settings.stations] = True
        return is_on

    rows = join_rows(
        [
            coverage(movement, is_covered, radio.step_s, duration_s),
            meetings(
                movement,
                lambda east, north: np.where(is_under_walls(east, north), *radio.range_m),
                radio.step_s,
                duration_s,
            ),
        ]
    )
    return make_scene(crew, rows, duty, duration_s, track(movement, duration_s))


def _populate(
    settings: City,
    stations: NDArray[np.int64],
    duration_s: float,
    random: np.random.Generator,
) -> tuple[Crew, Movement, Floats]:
    """Return all nodes, their paths and their duty."""
    crew, duty = Crew(), []
    crew.add("gateway", "gateway")
    knots = [np.array([[0.0, np.nan, np.nan]])]
    for number, place in enumerate(stations, start=1):
        crew.add(f"station {number}", "relay", f"station {number}")
        knots.append(np.array([[0.0, *(place * settings.block_m)]]))
    length_s = _DAY_S / settings.shifts
    for first in range(0, settings.agents, settings.team):
        number = first // settings.team
        station = number % len(stations)
        days = np.arange(-1, np.ceil(duration_s / _DAY_S)) * _DAY_S
        starts_s = days + (number // len(stations) % settings.shifts) * length_s
        starts_s = starts_s[(starts_s >= 0) & (starts_s < duration_s)]
        walks = [_walk(settings, stations[station], start, length_s, random) for start in starts_s]
        for place in range(min(settings.team, settings.agents - first)):
            role = "leader" if place == 0 else "agent"
            node = crew.add(f"agent {first + place + 1}", role, f"station {station + 1}")
            duty += [(start, min(start + length_s, duration_s), node) for start in starts_s]
            shift = np.array([0.0, *random.uniform(-_SPREAD_M, _SPREAD_M, 2)])
            away = np.array([[0.0, np.nan, np.nan]])
            knots.append(np.concatenate([away, *(walk + shift for walk in walks)]))
    counts = np.cumsum([0, *(len(each) for each in knots)], dtype=np.int64)
    times_s, east, north = np.concatenate(knots).T
    movement = Movement(counts, times_s.copy(), east.copy(), north.copy())
    return crew, movement, np.array(duty, dtype=np.float64).reshape(-1, 3)


def _walk(
    settings: City,
    station: NDArray[np.int64],
    start_s: float,
    length_s: float,
    random: np.random.Generator,
) -> Floats:
    """Return the knots of one shift of a team, from and to its station, and away around it."""
    leg_s = settings.block_m / settings.walk_m_s
    legs = max(1, int(length_s / leg_s))
    ways = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])[random.integers(0, 4, legs)]
    # Who would leave the city turns round at its border.
    size = settings.streets
    crossings = np.concatenate(([station], station + np.cumsum(ways, axis=0)))
    crossings = size - np.abs(crossings % (2 * size) - size)
    pauses_s = random.exponential(settings.pause_s, legs + 1) if settings.pause_s else 0.0
    leaves_s = start_s + np.cumsum(np.full(legs + 1, leg_s) + pauses_s) - leg_s
    arrives_s = np.concatenate(([start_s], leaves_s[:-1] + leg_s))
    stops = np.stack((arrives_s, leaves_s), axis=1).ravel()
    places = np.repeat(crossings * settings.block_m, 2, axis=0)
    is_early = stops < start_s + length_s - _HOME_S
    end_s = start_s + length_s
    home = station * settings.block_m
    return np.concatenate(
        [
            np.array([[start_s, np.nan, np.nan]]),
            np.column_stack((stops, places))[is_early] + np.array([1e-3, 0.0, 0.0]),
            np.array([[end_s - 2e-3, *home], [end_s - 1e-3, np.nan, np.nan]]),
        ]
    )
