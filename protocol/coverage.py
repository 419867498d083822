"""What networks a shift met, counted by cell, part of the day and bearer; and how such counts join.

A contribution says how often a device looked and how often a network was there; not who looked,
nor when within six hours of the day, nor in which order. Contributions are kept apart by an id and
joined as a set, so one that comes twice, by whatever way, counts once. Source: wire-format 4.41.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from protocol import canonical
from protocol.canonical import Value
from protocol.cells import CELLS, Part, rectangle_of
from protocol.errors import LimitExceededError, MalformedError
from protocol.ids import NodeId
from protocol.states import Bearer

__all__ = [
    "CONTRIBUTIONS_MAX",
    "ID_BYTES",
    "KEPT_SQUARES_MAX",
    "LOOKS_MAX",
    "LOOKS_MIN",
    "LOOK_EVERY_MS",
    "NAME_BYTES",
    "SQUARES_MAX",
    "WINDOW_DAYS",
    "Contribution",
    "Count",
    "Held",
    "Square",
    "Tally",
    "Totals",
    "contribution_fields",
    "contribution_id",
    "is_above",
    "join",
    "published",
    "read_contribution_untrusted",
    "summed",
]

NAME_BYTES: Final = 16
"""A contribution's name, random."""
ID_BYTES: Final = 16
"""What it is kept by."""
LOOKS_MAX: Final = 15
"""Looks of one contribution at one cell in one part of the day: whoever stands still counts no
more than whoever stayed a quarter of an hour."""
LOOKS_MIN: Final = 3
"""A cell that was looked at less often in one part of the day is not told: a way leads through such
cells, and says little of them."""
LOOK_EVERY_MS: Final = 60_000
"""Looks at one cell are so far apart, at least."""
SQUARES_MAX: Final = 128
"""Cells of one contribution, each part of the day by itself: a walk of twelve hours has sixty."""
KEPT_SQUARES_MAX: Final = 2 * SQUARES_MAX
"""Squares that a shift counts, before those with too few looks are left out."""
WINDOW_DAYS: Final = 60
"""An older contribution counts no more: antennas come and go, and so do leaves."""
CONTRIBUTIONS_MAX: Final = 512
"""Contributions that a device keeps, the newest: a squad of eight for its sixty days."""
_DAY_MAX: Final = 2**20 - 1
_ID: Final = b"meshnode coverage 1\0"
_WORKED_SHIFT: Final = 4
_BEARER_SHIFT: Final = 8
_COUNT_MAX: Final = (max(Bearer) << _BEARER_SHIFT) + (LOOKS_MAX << _WORKED_SHIFT) + LOOKS_MAX
Totals: TypeAlias = dict[tuple[int, Part], dict[Bearer, tuple[int, int]]]
"""By cell and part of the day, for each bearer: how often it was tried, and how often it worked."""


@dataclass(frozen=True, slots=True)
class Count:
    """What became of one bearer at one cell."""

    bearer: Bearer
    """The best that was there; NONE where there was no network."""
    tried: int
    """Looks that found it, 1 to `LOOKS_MAX`."""
    worked: int
    """Of these, how often nothing kept data from flowing; 0 for NONE."""


@dataclass(frozen=True, slots=True)
class Square:
    """One cell in one part of the day, as one device met it in one shift."""

    cell: int = field(repr=False)
    """Its id."""
    part: Part
    """When in the day."""
    counts: tuple[Count, ...]
    """One for each bearer that was met, ascending; all together `LOOKS_MAX` looks at most."""

    @property
    def looks(self) -> int:
        """How often the device looked."""
        return sum(each.tried for each in self.counts)


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one shift adds to the map."""

    day: int
    """On which it was told, days since 1970 in UTC."""
    squares: tuple[Square, ...] = field(repr=False)
    """1 to `SQUARES_MAX`, ascending by cell and part of the day."""


Held: TypeAlias = Mapping[bytes, Contribution]
"""Contributions by their ids."""


def contribution_id(author: NodeId, name: bytes) -> bytes:
    """Return the 16 bytes by which a contribution is kept.

    Nobody can take the id of another author's contribution; and from the id alone, once the name
    is gone, nobody finds the author. Source: wire-format 4.42.
    """
    return hashlib.sha256(_ID + author + name).digest()[:ID_BYTES]


class Tally:
    """Counts the looks of one shift; bounded, however long it is and far it goes."""

    def __init__(self, squares: Iterable[Square] = ()) -> None:
        """Go on from `squares`, which an earlier tally of this shift gave."""
        self._counts: Totals = {
            (square.cell, square.part): {c.bearer: (c.tried, c.worked) for c in square.counts}
            for square in squares
        }
        self._looked_ms: dict[int, int] = {}

    def look(self, cell: int, part: Part, bearer: Bearer, at_ms: int, *, has_worked: bool) -> bool:
        """Count one look; False where it came too early, or the cell or the shift has enough."""
        before_ms = self._looked_ms.get(cell)
        if before_ms is not None and abs(at_ms - before_ms) < LOOK_EVERY_MS:
            return False
        counts = self._counts.get((cell, part), {})
        is_full = not counts and len(self._counts) >= KEPT_SQUARES_MAX
        if is_full or sum(tried for tried, _worked in counts.values()) >= LOOKS_MAX:
            return False
        tried, worked = counts.get(bearer, (0, 0))
        counts[bearer] = tried + 1, worked + (has_worked and bearer is not Bearer.NONE)
        self._counts[cell, part] = counts
        self._looked_ms[cell] = at_ms
        return True

    def squares(self) -> tuple[Square, ...]:
        """Return what was counted, ascending; cells with too few looks as well."""
        return tuple(
            Square(cell, part, tuple(Count(each, *by[each]) for each in sorted(by)))
            for (cell, part), by in sorted(self._counts.items())
        )


def published(squares: Iterable[Square]) -> tuple[Square, ...]:
    """Return what of a shift is told to others: cells looked at often, at most `SQUARES_MAX`."""
    enough = [each for each in squares if each.looks >= LOOKS_MIN]
    most = sorted(enough, key=lambda each: (-each.looks, each.cell, each.part))[:SQUARES_MAX]
    return tuple(sorted(most, key=lambda each: (each.cell, each.part)))


# --- joining ---------------------------------------------------------------------------------


def join(one: Held, other: Held) -> dict[bytes, Contribution]:
    """Return the contributions of both, at most `CONTRIBUTIONS_MAX`, the newest by day and id.

    Commutative, associative and idempotent: a union, in which of two contributions with one id the
    greater stays, cut to its newest. Cost: O(n log n).
    """
    found = dict(one)
    for key, each in other.items():
        kept = found.get(key)
        if kept is None or is_above(each, kept):
            found[key] = each
    newest = sorted(found, key=lambda key: (found[key].day, key), reverse=True)
    return {key: found[key] for key in sorted(newest[:CONTRIBUTIONS_MAX])}


def is_above(one: Contribution, other: Contribution) -> bool:
    """True if of two contributions with one id the first stays: one author told two things."""
    return _rank(one) > _rank(other)


def _rank(each: Contribution) -> tuple[int, bytes]:
    return each.day, canonical.encode(contribution_fields(each))


def summed(contributions: Iterable[Contribution], today: int) -> Totals:
    """Return what all contributions of the last `WINDOW_DAYS` say together.

    `today` is in days since 1970; whatever is dated after it counts, too: clocks differ.
    """
    found: Totals = {}
    for each in contributions:
        for square in each.squares if each.day > today - WINDOW_DAYS else ():
            counts = found.setdefault((square.cell, square.part), {})
            for count in square.counts:
                tried, worked = counts.get(count.bearer, (0, 0))
                counts[count.bearer] = tried + count.tried, worked + count.worked
    return found


# --- on the wire -----------------------------------------------------------------------------


def contribution_fields(contribution: Contribution) -> tuple[Value, ...]:
    """Return day and squares as they stand in the record. Source: wire-format 4.41."""
    squares: list[Value] = []
    before = 0
    for square in contribution.squares:
        packed = [_packed(each) for each in square.counts]
        squares.append((square.cell - before, int(square.part), *packed))
        before = square.cell
    return contribution.day, squares


def _packed(count: Count) -> int:
    return count.bearer << _BEARER_SHIFT | count.tried << _WORKED_SHIFT | count.worked


def read_contribution_untrusted(day: Value, squares: Value, looks_min: int) -> Contribution:
    """Return the contribution of two fields, none of whose squares has fewer looks than that.

    Raises: MalformedError, LimitExceededError.
    """
    read = list[Square]()
    for item in canonical.as_array(squares, "squares", KEPT_SQUARES_MAX, 1):
        square = _square(item, read[-1].cell if read else 0)
        if read and (square.cell, square.part) <= (read[-1].cell, read[-1].part):
            raise MalformedError("squares are out of order")
        if square.looks < looks_min:
            raise MalformedError("a square has too few looks to be told")
        read.append(square)
    return Contribution(canonical.as_uint(day, "day", _DAY_MAX), tuple(read))


def _square(item: Value, before: int) -> Square:
    fields = canonical.as_array(item, "square", 2 + len(Bearer), 3)
    cell = before + canonical.as_uint(fields[0], "step", CELLS - 1)
    try:
        rectangle_of(cell)
    except ValueError as error:
        raise MalformedError("no cell has this id") from error
    part = Part(canonical.as_uint(fields[1], "part", max(Part)))
    counts = tuple(_count(each) for each in fields[2:])
    bearers = [each.bearer for each in counts]
    if bearers != sorted(set(bearers)):
        raise MalformedError("bearers are out of order")
    square = Square(cell, part, counts)
    if square.looks > LOOKS_MAX:
        raise LimitExceededError("looks", LOOKS_MAX, square.looks)
    return square


def _count(item: Value) -> Count:
    packed = canonical.as_uint(item, "count", _COUNT_MAX)
    count = Count(
        Bearer(packed >> _BEARER_SHIFT),
        packed >> _WORKED_SHIFT & LOOKS_MAX,
        packed & LOOKS_MAX,
    )
    if not count.tried or count.worked > count.tried:
        raise MalformedError("a bearer was never tried, or worked more often than it was tried")
    if count.bearer is Bearer.NONE and count.worked:
        raise MalformedError("no network cannot work")
    return count
