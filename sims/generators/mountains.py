"""Squads in mountains: shifts on foot, a vehicle box each, posts, and network in patches.

A landscape is made from the seed. Posts lie in its valleys, roads join them, masts stand above
some of them. A shift musters at its base, drives along a road, walks from there from place to
place and drives home; the vehicle meanwhile fetches and brings at a post. Who sees no mast has no
network: that is what makes valleys dark. It is a model of the shape of such days, not a
measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sims.generators.meetings import coverage, join_rows, meetings
from sims.generators.movement import Journey, make_movement, track
from sims.generators.patrols import Base, Patrols, Shifts
from sims.generators.radio import draw_outages, is_within
from sims.generators.scene import Crew, Scene, make_scene
from sims.generators.terrain import Terrain, find_road, make_terrain, seen_from
from sims.tables import read_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sims.generators.meetings import Covered, Reach
    from sims.generators.movement import Floats, Movement, Point
    from sims.generators.radio import Radio
    from sims.tables import Table

__all__ = ["Mountains", "make_mountains", "read_mountains"]

_BOUNDS: Final = {
    "size_km": (4.0, 200.0),
    "relief_m": (50.0, 5_000.0),
    "valley_km": (1.0, 50.0),
    "posts": (1, 60),
    "masts": (0, 30),
    "squads": (1, 1_000),
    "agents_per_squad": (1, 50),
    "night_share": (0.0, 1.0),
    "shift_h": (2.0, 11.0),
    "coverage_share": (0.0, 1.0),
    "post_outage_share": (0.0, 0.9),
    "walk_m_s": (0.2, 3.0),
    "drive_m_s": (1.0, 30.0),
}
_POST_M: Final = 300.0
"""The network of a post reaches this far."""
_OUTAGE_S: Final = 3_600.0
_MAST_M: Final = 25.0
_DEVICE_M: Final = 1.5
_SHADOW: Final = 0.4
"""Of the logarithm of distance: trees, walls and rocks that a grid does not show."""
_DARK_M: Final = 100_000.0
"""No mast reaches farther."""
_BLUR_M: Final = 250.0
_ROADS_PER_POST: Final = 3
_TREE_LINE: Final = (0.35, 0.65)
"""Share of the relief below which all is forest, and above which all is open."""


@dataclass(frozen=True, slots=True)
class Mountains:
    """How large the region is, and who works in it."""

    size_km: float = 24.0
    """Length of each side."""
    relief_m: float = 1_800.0
    """From the lowest point to the highest."""
    valley_km: float = 6.0
    """About the distance between two large valleys."""
    posts: int = 4
    """Villages and posts with network of their own; squads are based there."""
    masts: int = 4
    """Masts above posts, whose network reaches into what sees them."""
    squads: int = 6
    """Squads, each with a vehicle."""
    agents_per_squad: int = 10
    """Day and night shift together."""
    night_share: float = 0.3
    """Share of each squad that works at night."""
    shift_h: float = 10.0
    """Length of a shift."""
    coverage_share: float = 0.07
    """Share of duty away from posts that agents have network for, as far as masts are in sight.
    The reach of masts follows from it."""
    post_outage_share: float = 0.03
    """Share of time in which a post has no network."""
    walk_m_s: float = 0.9
    """Speed on foot, as the crow flies."""
    drive_m_s: float = 8.0
    """Speed on roads."""

    @property
    def nodes(self) -> int:
        """How many devices that comes to."""
        return 1 + self.posts + self.squads * (1 + self.agents_per_squad)


def read_mountains(table: Table) -> Mountains:
    """Return the settings in `[mountains]`. Raises: ScenarioError."""
    return read_record(table, Mountains(), _BOUNDS)


def make_mountains(
    settings: Mountains, radio: Radio, duration_s: float, random: np.random.Generator
) -> Scene:
    """Return squads in a landscape; equal for equal settings and state of `random`.

    Nodes are, in this order: gateway, posts, vehicles, agents squad by squad. Cost: about 1 s for
    70 devices and four days, O(n_nodes × n_steps).
    """
    ground, people, air = random.spawn(3)
    terrain = make_terrain(
        settings.size_km * 1e3, settings.relief_m, settings.valley_km * 1e3, ground
    )
    posts = _place_posts(terrain, settings.posts, ground)
    bases = [_base(terrain, posts, place) for place in range(len(posts))]
    shifts = Shifts(
        settings.shift_h * 3_600.0,
        duration_s,
        settings.night_share,
        settings.walk_m_s,
        settings.drive_m_s,
        terrain.size_m,
    )
    crew, journeys, duty = _populate(settings, bases, shifts, people)
    movement = make_movement(journeys)
    is_covered = _covered(settings, terrain, posts, movement, duration_s, air)
    rows = join_rows(
        [
            coverage(movement, is_covered, radio.step_s, duration_s),
            meetings(movement, _reach(terrain, settings.relief_m, radio), radio.step_s, duration_s),
        ]
    )
    return make_scene(crew, rows, duty, duration_s, track(movement, duration_s))


def _populate(
    settings: Mountains, bases: list[Base], shifts: Shifts, random: np.random.Generator
) -> tuple[Crew, list[Journey], Floats]:
    """Return all nodes, their paths and their duty."""
    crew, journeys = Crew(), [Journey()]
    crew.add("gateway", "gateway")
    for number, base in enumerate(bases, start=1):
        crew.add(f"post {number}", "relay", f"post {number}")
        journeys.append(Journey(0.0, base.place))
    squads = []
    for number in range(1, settings.squads + 1):
        base = bases[(number - 1) % len(bases)]
        squads.append(Patrols(base, shifts, settings.agents_per_squad, random))
        crew.add(f"squad {number} vehicle", "relay", f"squad {number}")
        journeys.append(squads[-1].vehicle)
    duty = []
    for number, squad in enumerate(squads, start=1):
        for place, agent in enumerate(squad.agents, start=1):
            role = "leader" if place == 1 else "agent"
            node = crew.add(f"squad {number} agent {place}", role, f"squad {number}")
            duty += [(start_s, end_s, float(node)) for start_s, end_s in squad.duty[place - 1]]
            journeys.append(agent)
    return crew, journeys, np.array(duty).reshape(-1, 3)


def _place_posts(terrain: Terrain, count: int, random: np.random.Generator) -> list[Point]:
    """Return low places that keep apart from each other and from the border."""
    last = len(terrain.height_m) - 1
    rows, columns = random.integers(last // 10, last - last // 10, (2, 40 * count))
    order = np.argsort(terrain.height_m[rows, columns], kind="stable")
    apart_m = terrain.size_m / np.sqrt(count)
    posts: list[Point] = []
    while len(posts) < count:
        for place in (terrain.point(rows[i], columns[i]) for i in order):
            if len(posts) < count and all(_distance_m(place, each) >= apart_m for each in posts):
                posts.append(place)
        apart_m *= 0.8
    return posts


def _base(terrain: Terrain, posts: list[Point], number: int) -> Base:
    """Return a post with the roads to those next to it."""
    place = posts[number]
    others = sorted(
        (each for each in posts if each != place), key=lambda each: _distance_m(place, each)
    )
    # A region with a single post has a road to its middle.
    ends = others[:_ROADS_PER_POST] or [(terrain.size_m / 2, terrain.size_m / 2)]
    return Base(place, [find_road(terrain, place, each) for each in ends])


def _reach(terrain: Terrain, relief_m: float, radio: Radio) -> Reach:
    """Return the range of devices: short in the forest, long above the trees."""
    low, high = radio.range_m
    first, last = (share * relief_m for share in _TREE_LINE)
    openness = np.clip((terrain.height_m - first) / (last - first), 0.0, 1.0)
    ranges = low + (high - low) * openness
    return lambda east, north: np.asarray(ranges[terrain.index(east, north)])


def _covered(
    settings: Mountains,
    terrain: Terrain,
    posts: list[Point],
    movement: Movement,
    duration_s: float,
    random: np.random.Generator,
) -> Covered:
    """Return who has network where and when."""
    nearest = _nearest(terrain, posts)
    weakness = _weakness_m(terrain, posts[: settings.masts], random)
    times_s = np.arange(0.0, duration_s, 300.0)
    east, north = (each[:, 1 + len(posts) + settings.squads :] for each in movement.at(times_s))
    is_afield = ~np.isnan(east) & (nearest(east, north)[1] > _POST_M)
    reach_m = _limit(weakness[terrain.index(east, north)][is_afield], settings.coverage_share)
    is_lit = weakness <= reach_m
    outages = [
        draw_outages(settings.post_outage_share, _OUTAGE_S, duration_s, random) for _ in posts
    ]

    def is_covered(times_s: Floats, east: Floats, north: Floats) -> NDArray[np.bool_]:
        is_down = np.stack([is_within(times_s, each) for each in outages], axis=1)
        post, distance_m = nearest(east, north)
        has_post = (distance_m <= _POST_M) & ~np.take_along_axis(is_down, post, axis=1)
        return np.asarray(has_post | is_lit[terrain.index(east, north)])

    return is_covered


def _weakness_m(terrain: Terrain, posts: list[Point], random: np.random.Generator) -> Floats:
    """Return for each point the distance to the best mast in sight, longer in its shadows.

    Beyond `_DARK_M` where none is in sight. Shape as the heights. A ridge does not cut off
    sharply: each point takes the mean of the logarithm around it.
    """
    best = np.full(terrain.height_m.shape, np.inf)
    rows, columns = np.indices(best.shape)
    for post in posts:
        row, column = _above(terrain, post)
        is_seen = seen_from(terrain, terrain.point(row, column), _MAST_M, _DEVICE_M)
        distance_m = np.hypot(rows - row, columns - column) * terrain.spacing_m + 1.0
        distance_m *= np.exp(random.normal(0.0, _SHADOW, best.shape))
        best = np.where(is_seen, np.minimum(best, distance_m), best)
    level = np.log(np.minimum(best, 10 * _DARK_M))
    return np.exp(_blurred(level, round(_BLUR_M / terrain.spacing_m)))


def _blurred(values: Floats, around: int) -> Floats:
    """Return the mean over all points up to `around` points away in each direction."""
    wide = np.pad(values, around, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(wide, (2 * around + 1, 2 * around + 1))
    return np.asarray(windows.mean(axis=(2, 3)))


def _above(terrain: Terrain, place: Point) -> tuple[int, int]:
    """Return the highest point within 1.5 km."""
    row, column = (int(each) for each in terrain.index(np.array(place[0]), np.array(place[1])))
    away = round(1_500 / terrain.spacing_m)
    low_row, low_column = max(0, row - away), max(0, column - away)
    part = terrain.height_m[low_row : row + away + 1, low_column : column + away + 1]
    up, right = np.unravel_index(np.argmax(part), part.shape)
    return low_row + int(up), low_column + int(right)


def _limit(weakness_m: Floats, share: float) -> float:
    """Return the reach at which `share` of the samples is covered, or all that see a mast."""
    seen = np.sort(weakness_m[weakness_m < _DARK_M])
    count = min(len(seen), round(share * len(weakness_m)))
    return float(seen[count - 1]) if count else 0.0


def _nearest(
    terrain: Terrain, posts: list[Point]
) -> Callable[[Floats, Floats], tuple[NDArray[np.intp], Floats]]:
    """Return what gives, for east and north, the number of the nearest post and its distance.

    For those away it gives any post and no number.
    """
    rows, columns = np.indices(terrain.height_m.shape)
    places = np.array(posts)
    nearest, best_m = np.zeros(rows.shape, np.intp), np.full(rows.shape, np.inf)
    for number, (east, north) in enumerate(posts):
        away_m = np.hypot(rows * terrain.spacing_m - north, columns * terrain.spacing_m - east)
        nearest[away_m < best_m] = number
        best_m = np.minimum(best_m, away_m)

    def find(east: Floats, north: Floats) -> tuple[NDArray[np.intp], Floats]:
        post = nearest[terrain.index(east, north)]
        return post, np.hypot(east - places[post, 0], north - places[post, 1])

    return find


def _distance_m(one: Point, other: Point) -> float:
    return float(np.hypot(one[0] - other[0], one[1] - other[1]))
