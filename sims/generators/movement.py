"""Where nodes are: paths of straight legs, sampled at any times.

Positions are metres east and north of the region's origin. It knows no terrain and no role.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from sims.region import Tracks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Floats", "Journey", "Movement", "Point", "make_movement", "track"]

Floats: TypeAlias = "NDArray[np.float64]"
Point: TypeAlias = "tuple[float, float]"
"""Metres east and north."""

_TRACK_TIMES_MAX = 2_000
"""A map needs no more; it bounds what a region keeps in memory."""
_INSTANT_S = 1e-3
"""A node appears and vanishes within this."""


@dataclass(frozen=True, slots=True)
class Movement:
    """The paths of all nodes, one after the other. Arrays have shape (n_knots,)."""

    first: NDArray[np.int64]
    """Shape (n_nodes + 1,): the knots of node i are `first[i]` to before `first[i + 1]`."""
    times_s: Floats
    """Rising within a node."""
    east_m: Floats
    """NaN where the node is away: off, or out of the region."""
    north_m: Floats
    """NaN likewise."""

    @property
    def nodes(self) -> int:
        """How many nodes."""
        return len(self.first) - 1

    def at(self, times_s: Floats) -> tuple[Floats, Floats]:
        """Return east and north at `times_s`, each of shape (n_times, n_nodes); NaN where away.

        Before its first and after its last knot a node stays where that is.
        Cost: O(n_nodes × n_times), some 20 µs for each node.
        """
        shape = (self.nodes, len(times_s))
        east, north = np.empty(shape), np.empty(shape)
        for node, (low, high) in enumerate(zip(self.first[:-1], self.first[1:], strict=True)):
            knots = self.times_s[low:high]
            east[node] = np.interp(times_s, knots, self.east_m[low:high])
            north[node] = np.interp(times_s, knots, self.north_m[low:high])
        return east.T, north.T


class Journey:
    """Writes the path of one node, leg by leg."""

    def __init__(self, start_s: float = 0.0, place: Point | None = None) -> None:
        self.now_s = start_s
        """Up to here the path is written, seconds."""
        self.place = place
        """Where the node is then; None while it is away."""
        self.knots: list[tuple[float, float, float]] = []
        """Time, east and north of each knot."""
        self._note()

    def stay(self, until_s: float) -> None:
        """Stay, or stay away, until then."""
        if until_s > self.now_s:
            self.now_s = until_s
            self._note()

    def go(self, place: Point, speed_m_s: float) -> None:
        """Move there in a straight line."""
        assert self.place is not None, "who is away appears before it moves"
        distance_m = np.hypot(place[0] - self.place[0], place[1] - self.place[1])
        self.place = place
        self.now_s += max(float(distance_m) / speed_m_s, _INSTANT_S)
        self._note()

    def follow(self, places: Sequence[Point], speed_m_s: float) -> None:
        """Move from place to place."""
        for place in places:
            self.go(place, speed_m_s)

    def appear(self, place: Point) -> None:
        """Be at a place."""
        self._switch(place)

    def vanish(self) -> None:
        """Be away from now on."""
        self._switch(None)

    def _switch(self, place: Point | None) -> None:
        self.place = place
        self.now_s += _INSTANT_S
        self._note()

    def _note(self) -> None:
        east, north = (np.nan, np.nan) if self.place is None else self.place
        self.knots.append((self.now_s, east, north))


def make_movement(journeys: Sequence[Journey]) -> Movement:
    """Return the movement in which node i goes on the i-th journey."""
    sizes = [len(each.knots) for each in journeys]
    knots = np.array([knot for each in journeys for knot in each.knots]).reshape(-1, 3)
    first = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
    return Movement(first, knots[:, 0].copy(), knots[:, 1].copy(), knots[:, 2].copy())


def track(movement: Movement, duration_s: float, every_s: float = 300.0) -> Tracks:
    """Return where nodes are, every `every_s`, or less often where that would be too often."""
    times_s = np.arange(0.0, duration_s, max(every_s, duration_s / _TRACK_TIMES_MAX))
    east, north = movement.at(times_s)
    return Tracks(times_s, east.astype(np.float32), north.astype(np.float32))
