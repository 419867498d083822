"""A landscape of ridges and valleys from a seed, its roads, and who sees whom in it.

Heights stand on a square grid; between its points the nearest one counts. It knows no node.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sims.generators.movement import Floats, Point

__all__ = ["Terrain", "find_road", "make_terrain", "seen_from"]

_SPACING_M: Final = 100.0
"""Of the grid: a ridge or a valley is several times wider."""
_POINTS_MAX: Final = 400
"""Along each side; a larger region has a coarser grid."""
_OCTAVES: Final = 4
_ROAD_POINTS: Final = 60
"""Along each side of the coarser grid on which roads are looked for."""
_GRADE_COST: Final = 12.0
"""A road of 10 % grade counts 2.2 times its length: roads keep to valleys and cross at passes."""
_EARTH_M: Final = 8_495_000.0
"""4/3 of the radius of the Earth: radio waves bend a little along with it."""
_RAY_SAMPLES: Final = 64


@dataclass(frozen=True, slots=True)
class Terrain:
    """Heights on a grid."""

    height_m: Floats
    """Shape (n_points, n_points): first index north, second east; metres above the lowest."""
    spacing_m: float
    """Between two points of the grid."""

    @property
    def size_m(self) -> float:
        """Length of each side."""
        return self.spacing_m * (len(self.height_m) - 1)

    def index(self, east_m: Floats, north_m: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the nearest points of the grid, as an index of `height_m`; those away get 0."""
        last = len(self.height_m) - 1
        row = np.clip(np.rint(np.nan_to_num(north_m) / self.spacing_m), 0, last).astype(np.intp)
        column = np.clip(np.rint(np.nan_to_num(east_m) / self.spacing_m), 0, last).astype(np.intp)
        return row, column

    def point(self, row: int, column: int) -> Point:
        """Return where a point of the grid is."""
        return float(column) * self.spacing_m, float(row) * self.spacing_m


def make_terrain(
    size_m: float, relief_m: float, valley_m: float, random: np.random.Generator
) -> Terrain:
    """Return a landscape of `size_m` × `size_m`.

    Args:
        relief_m: from the lowest point to the highest.
        valley_m: about the distance from one large valley to the next.
    Smooth noise is folded, which makes sharp ridges; each octave has half the width and less than
    half the height of the one before, and rough ground only where the one before is high.
    """
    points = min(_POINTS_MAX, int(size_m / _SPACING_M) + 1)
    spacing_m = size_m / (points - 1)
    height = np.zeros((points, points))
    weight = np.ones_like(height)
    for octave in range(_OCTAVES):
        noise = _noise(points, spacing_m / valley_m * 2**octave, random)
        ridge = (1.0 - np.abs(noise)) ** 2 * weight
        height += ridge * 0.45**octave
        weight = np.clip(ridge, 0.0, 1.0)
    height -= height.min()
    return Terrain(height * (relief_m / height.max()), spacing_m)


def _noise(points: int, step: float, random: np.random.Generator) -> Floats:
    """Return gradient noise between -1 and 1 on a grid whose points are `step` cells apart."""
    cells = int(np.ceil(points * step)) + 2
    angle = random.uniform(0.0, 2 * np.pi, (cells, cells))
    place = np.arange(points) * step
    cell = place.astype(np.intp)
    part = place - cell
    blend = part**3 * (part * (part * 6 - 15) + 10)

    def corner(up: int, right: int) -> Floats:
        turned = angle[np.ix_(cell + up, cell + right)]
        away_up, away_right = (part - up)[:, None], (part - right)[None, :]
        return np.asarray(np.sin(turned) * away_up + np.cos(turned) * away_right)

    low = corner(0, 0) + blend[None, :] * (corner(0, 1) - corner(0, 0))
    high = corner(1, 0) + blend[None, :] * (corner(1, 1) - corner(1, 0))
    # The largest value of such noise is the root of one half.
    return np.asarray(np.clip((low + blend[:, None] * (high - low)) * np.sqrt(2.0), -1.0, 1.0))


def seen_from(terrain: Terrain, mast: Point, mast_m: float, device_m: float) -> NDArray[np.bool_]:
    """Return from which points of the grid a mast is in sight, shape as `height_m`.

    `mast_m` and `device_m` are heights above ground. The ray is compared with the ground at
    64 places, the curve of the Earth counted in. Cost: O(64 n_points²).
    """
    rows, columns = np.indices(terrain.height_m.shape)
    row, column = (int(each) for each in terrain.index(np.array(mast[0]), np.array(mast[1])))
    top_m = terrain.height_m[row, column] + mast_m
    eye_m = terrain.height_m + device_m
    distance_m = np.hypot(rows - row, columns - column) * terrain.spacing_m
    is_seen = np.ones(terrain.height_m.shape, np.bool_)
    for part in np.linspace(0.0, 1.0, _RAY_SAMPLES, endpoint=False)[1:]:
        on_row = np.rint(row + (rows - row) * part).astype(np.intp)
        on_column = np.rint(column + (columns - column) * part).astype(np.intp)
        bulge_m = distance_m**2 * part * (1.0 - part) / (2 * _EARTH_M)
        ray_m = top_m + (eye_m - top_m) * part - bulge_m
        # The ground on which a device stands does not hide it.
        is_own = (on_row == rows) & (on_column == columns)
        is_seen &= is_own | (terrain.height_m[on_row, on_column] <= ray_m)
    return is_seen


def find_road(terrain: Terrain, start: Point, end: Point) -> list[Point]:
    """Return the points of the cheapest road from `start` to `end`, both among them.

    Cost of a piece is its length and more where it is steep. Source: Dijkstra 1959.
    """
    stride = max(1, len(terrain.height_m) // _ROAD_POINTS)
    height = terrain.height_m[::stride, ::stride]
    spacing_m = terrain.spacing_m * stride
    goal, first = _node(end, spacing_m, len(height)), _node(start, spacing_m, len(height))
    best: dict[tuple[int, int], float] = {first: 0.0}
    came: dict[tuple[int, int], tuple[int, int]] = {}
    queue = [(0.0, first)]
    while queue:
        cost, here = heapq.heappop(queue)
        if here == goal:
            break
        if cost > best[here]:
            continue
        for there, more in _next(height, here, spacing_m):
            if cost + more < best.get(there, np.inf):
                best[there] = cost + more
                came[there] = here
                heapq.heappush(queue, (cost + more, there))
    nodes = []
    while goal != first:
        goal = came[goal]
        nodes.append(goal)
    middle = [(column * spacing_m, row * spacing_m) for row, column in reversed(nodes[:-1])]
    return [start, *middle, end]


def _node(place: Point, spacing_m: float, points: int) -> tuple[int, int]:
    east, north = (min(points - 1, max(0, round(each / spacing_m))) for each in place)
    return north, east


def _next(
    height: Floats, here: tuple[int, int], spacing_m: float
) -> list[tuple[tuple[int, int], float]]:
    """Return the neighbours of a node and what the way to each costs, metres."""
    found = []
    for up, right in ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)):
        row, column = here[0] + up, here[1] + right
        if 0 <= row < len(height) and 0 <= column < len(height):
            length_m = spacing_m * float(np.hypot(up, right))
            grade = abs(float(height[row, column]) - float(height[here])) / length_m
            found.append(((row, column), length_m * (1.0 + _GRADE_COST * grade)))
    return found
