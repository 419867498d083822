"""Where the next network is, by what squads learned: chances with their doubt, and the way there.

The chance of a cell is the mean of a Beta distribution with Jeffreys' prior; what it is at least is
the lower bound of Wilson's score interval. A place that nobody looked at is unknown, which is not
the same as without network. Source: L. D. Brown, T. T. Cai, A. DasGupta, Interval estimation for a
binomial proportion, Statistical Science 16 (2001); E. B. Wilson, Probable inference, the law of
succession, and statistical inference, JASA 22 (1927).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from protocol.cells import Part, cell_of, rectangle_of
from protocol.coverage import Totals
from protocol.states import Bearer

__all__ = [
    "REACH_M",
    "SURE_LOOKS",
    "Forecast",
    "Outlook",
    "Spot",
    "Verdict",
    "forecast",
    "outlooks",
    "spots_near",
    "wilson_low",
]

REACH_M: Final = 20_000
"""A network further away than this is no way out of a white zone on foot, metres."""
SURE_LOOKS: Final = 6
"""With fewer looks a cell is shown as little known."""
_LIKELY: Final = 0.5
"""A network is likely where its chance is at least this, by the lower bound."""
_Z: Final = 1.6448536269514722
"""Of a one-sided bound that holds 95 times in 100."""
_METRES_PER_E7: Final = 0.0111320
_AROUND_E7: Final = 3_600_000_000


class Verdict(Enum):
    """What is foretold for a place; the value is what programs read."""

    LIKELY = "likely"
    """A cell in reach where a network works more often than not, as far as can be told."""
    POSSIBLE = "possible"
    """Networks were met in reach, but seldom, or too few looked."""
    NONE = "none"
    """Squads looked in reach, often, and never found one."""
    UNKNOWN = "unknown"
    """Nobody looked in reach, or hardly."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known of one cell at one time of the day."""

    cell: int = field(repr=False)
    """Its id."""
    looks: int
    """How often somebody looked."""
    worked: int
    """How often a network worked, whichever."""
    by: Mapping[Bearer, int]
    """How often each bearer worked; those that did alone."""
    is_other_part: bool
    """True where nobody looked in the part of the day asked for, and this is of the whole day."""

    @property
    def chance(self) -> float:
        """How likely it is that a network works there, 0 to 1."""
        return (self.worked + 0.5) / (self.looks + 1)

    @property
    def at_least(self) -> float:
        """What the chance is at least, in 95 of 100 such cells."""
        return wilson_low(self.worked, self.looks)

    @property
    def bearer(self) -> Bearer:
        """The one that worked most often, of equal ones the fastest; NONE where none did."""
        return max(self.by, key=lambda each: (self.by[each], each), default=Bearer.NONE)

    @property
    def is_sure(self) -> bool:
        """False where too few looked."""
        return self.looks >= SURE_LOOKS


@dataclass(frozen=True, slots=True)
class Spot:
    """A cell as it lies from a place."""

    outlook: Outlook
    """What is known of it."""
    distance_m: float
    """To its nearest edge, 0 within it."""
    bearing_deg: float
    """To its middle, degrees from true north."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is foretold for a place."""

    verdict: Verdict
    """In a word."""
    here: Outlook | None
    """The cell of the place itself; None where nobody looked."""
    best: Spot | None
    """Where to go; None where no network was ever met in reach."""


def wilson_low(worked: int, tried: int) -> float:
    """Return the lower bound of the chance of what worked so often, 0 to 1; 0 for never."""
    if not worked:
        return 0.0
    share, square = worked / tried, _Z * _Z
    middle = share + square / (2 * tried)
    doubt = _Z * math.sqrt(share * (1 - share) / tried + square / (4 * tried * tried))
    return max(0.0, (middle - doubt) / (1 + square / tried))


def outlooks(totals: Totals, part: Part | None) -> dict[int, Outlook]:
    """Return what is known of each cell, in one part of the day or in all of it. Cost: O(n)."""
    whole = _gathered(totals.items())
    if part is None:
        return {cell: _outlook(cell, by, is_other=False) for cell, by in whole.items()}
    chosen = _gathered((key, by) for key, by in totals.items() if key[1] is part)
    return {
        cell: _outlook(cell, chosen.get(cell, by), is_other=cell not in chosen)
        for cell, by in whole.items()
    }


def _gathered(
    items: Iterable[tuple[tuple[int, Part], dict[Bearer, tuple[int, int]]]],
) -> dict[int, dict[Bearer, tuple[int, int]]]:
    found: dict[int, dict[Bearer, tuple[int, int]]] = {}
    for (cell, _part), by in items:
        counts = found.setdefault(cell, {})
        for bearer, (tried, worked) in by.items():
            before = counts.get(bearer, (0, 0))
            counts[bearer] = before[0] + tried, before[1] + worked
    return found


def _outlook(cell: int, by: Mapping[Bearer, tuple[int, int]], *, is_other: bool) -> Outlook:
    worked = {bearer: counts[1] for bearer, counts in sorted(by.items()) if counts[1]}
    looks = sum(tried for tried, _worked in by.values())
    return Outlook(cell, looks, sum(worked.values()), worked, is_other)


def spots_near(
    known: Mapping[int, Outlook], latitude_e7: int, longitude_e7: int, reach_m: float
) -> list[Spot]:
    """Return the cells in reach of a place, the nearest first. Cost: O(n log n)."""
    found = [_spot(each, latitude_e7, longitude_e7) for each in known.values()]
    near = [each for each in found if each.distance_m <= reach_m]
    return sorted(near, key=lambda each: (each.distance_m, each.outlook.cell))


def _spot(outlook: Outlook, latitude_e7: int, longitude_e7: int) -> Spot:
    """See where a cell lies, on a plane that touches the Earth at the place: true for 50 km."""
    bounds = rectangle_of(outlook.cell)
    around_m = _METRES_PER_E7 * math.cos(math.radians(latitude_e7 / 1e7))
    south, north = bounds.south - latitude_e7, bounds.north - latitude_e7
    half = (bounds.east - bounds.west) / 2
    middle = (bounds.west + bounds.east) / 2 - longitude_e7
    middle = (middle + _AROUND_E7 / 2) % _AROUND_E7 - _AROUND_E7 / 2
    up = max(south, -north, 0) * _METRES_PER_E7
    across = max(abs(middle) - half, 0) * around_m
    bearing = math.degrees(math.atan2(middle * around_m, (south + north) / 2 * _METRES_PER_E7))
    return Spot(outlook, math.hypot(up, across), bearing % 360)


def forecast(
    known: Mapping[int, Outlook],
    latitude_e7: int,
    longitude_e7: int,
    course_deg: float | None = None,
) -> Forecast:
    """Return the next network from a place: the nearest likely one, else the best that may be.

    With a course, what lies abeam counts as half as far again, and what lies astern as twice as
    far. Cost: O(n log n).
    """
    near = spots_near(known, latitude_e7, longitude_e7, REACH_M)
    here = known.get(cell_of(latitude_e7, longitude_e7))
    likely = [each for each in near if each.outlook.at_least >= _LIKELY]
    if likely:
        best = min(likely, key=lambda each: (_way_m(each, course_deg), each.outlook.cell))
        return Forecast(Verdict.LIKELY, here, best)
    met = [each for each in near if each.outlook.worked]
    if met:
        # How far one goes for one success, where each try takes the way there.
        best = min(
            met, key=lambda e: ((_way_m(e, course_deg) + 1) / e.outlook.chance, e.distance_m)
        )
        return Forecast(Verdict.POSSIBLE, here, best)
    is_known = any(each.outlook.is_sure for each in near)
    return Forecast(Verdict.NONE if is_known else Verdict.UNKNOWN, here, None)


def _way_m(spot: Spot, course_deg: float | None) -> float:
    if course_deg is None:
        return spot.distance_m
    turn = math.cos(math.radians(spot.bearing_deg - course_deg))
    return spot.distance_m * (1.5 - 0.5 * turn)
