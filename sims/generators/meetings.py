"""Contacts from positions: who is within range of whom, step by step.

Positions are looked at every `step_s`; a contact lasts from the first step at which two nodes
reach each other to the step after the last one. Nodes are sorted into square cells as wide as the
longest range, so that only neighbours are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from sims.contacts import TraceError
from sims.generators.movement import Floats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sims.generators.movement import Movement

__all__ = ["CONTACTS_MAX", "Covered", "Reach", "always", "coverage", "join_rows", "meetings"]

Reach: TypeAlias = "Callable[[Floats, Floats], Floats]"
"""Gives the range of each node in metres for its east and north, shape (n_times, n_nodes)."""
Covered: TypeAlias = "Callable[[Floats, Floats, Floats], NDArray[np.bool_]]"
"""Says for times, shape (n_times,), and for east and north, shape (n_times, n_nodes), who has
network at each, shape (n_times, n_nodes)."""
_Groups: TypeAlias = "tuple[NDArray[np.int64], NDArray[np.intp], NDArray[np.intp]]"
_Found: TypeAlias = "tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]"

CONTACTS_MAX: Final = 50_000_000
"""Of one region: 1.6 GB while it is made."""
_CANDIDATES_MAX: Final = 10_000_000
"""Pairs compared together: half a gigabyte."""
_SAMPLES_PER_CHUNK: Final = 1_000_000
"""Positions looked at together: 100 MB with what is made of them."""
_HALF: Final = ((0, 0), (1, 0), (-1, 1), (0, 1), (1, 1))
"""A cell and those of its neighbours that have not seen it yet."""
_CELL_MAX: Final = 2**20
"""Cells in each direction: with 1 m of range still a region of 1,000 km."""


def meetings(movement: Movement, reach: Reach, step_s: float, duration_s: float) -> Floats:
    """Return the contacts as rows (start_s, end_s, a, b), a below b, shape (n_contacts, 4).

    Two nodes reach each other where they are no farther apart than the shorter of their ranges.
    Raises: TraceError where there are more contacts, or more nodes in one place, than memory holds.
    Cost: O(n_nodes × n_steps + pairs in neighbouring cells), about 1 s for 10⁷ positions.
    """
    rows: list[Floats] = []
    count = 0
    for first, times_s in _chunks(movement.nodes, step_s, duration_s):
        east, north = movement.at(times_s)
        for later, step, a, b in _pairs(east, north, reach(east, north)):
            code = a.astype(np.int64) * movement.nodes + b
            rows.append(_intervals(first + later + step, code, movement.nodes, step_s))
            count += len(rows[-1])
            if count > CONTACTS_MAX:
                raise TraceError(
                    "contacts", f"are more than {CONTACTS_MAX}: make the region larger"
                )
    return join_rows(rows)


def coverage(movement: Movement, is_covered: Covered, step_s: float, duration_s: float) -> Floats:
    """Return when each node has network, as contacts with node 0: rows (start_s, end_s, 0, node).

    Those who are away have none. Cost: that of `is_covered`, and O(n_nodes × n_steps).
    """
    rows = []
    for first, times_s in _chunks(movement.nodes, step_s, duration_s):
        east, north = movement.at(times_s)
        is_on = is_covered(times_s, east, north) & ~np.isnan(east)
        is_on[:, 0] = False
        step, node = np.nonzero(is_on)
        rows.append(_intervals(first + step, node, movement.nodes, step_s))
    return join_rows(rows)


def always(pairs: list[tuple[int, int]], duration_s: float) -> Floats:
    """Return the contacts of pairs that reach each other all the time, shape (n_pairs, 4)."""
    return np.array([(0.0, duration_s, a, b) for a, b in pairs]).reshape(-1, 4)


def join_rows(rows: list[Floats]) -> Floats:
    """Return all rows of contacts, shape (n_contacts, 4)."""
    return np.concatenate([np.empty((0, 4)), *rows])


def _count(step_s: float, duration_s: float) -> int:
    return max(1, int(np.ceil(duration_s / step_s)))


def _chunks(nodes: int, step_s: float, duration_s: float) -> Iterator[tuple[int, Floats]]:
    """Yield the number of the first step and the times of each chunk."""
    count = _count(step_s, duration_s)
    size = max(1, _SAMPLES_PER_CHUNK // max(1, nodes))
    for first in range(0, count, size):
        yield first, np.arange(first, min(first + size, count), dtype=np.float64) * step_s


def _pairs(east: Floats, north: Floats, reach: Floats) -> Iterator[_Found]:
    """Yield first step, and step from there, smaller and larger node of all who reach each other.

    A crowd is taken in fewer steps at once. Raises: TraceError for one that is too large for that.
    """
    spans = [(0, len(east))]
    while spans:
        low, high = spans.pop()
        cells = _Cells.of(east[low:high], north[low:high], reach[low:high])
        if cells.candidates <= _CANDIDATES_MAX:
            yield (low, *cells.pairs())
        elif high - low > 1:
            middle = (low + high) // 2
            spans += [(middle, high), (low, middle)]
        else:
            reason = (
                f"come to more than {_CANDIDATES_MAX} pairs in one place: make the region larger"
            )
            raise TraceError("contacts", reason)


@dataclass(frozen=True, slots=True)
class _Cells:
    """All who are there at some steps, sorted by cell. Arrays have shape (n_present,)."""

    cell: NDArray[np.int64]
    """Number of the cell, rising; each step has its own."""
    x: Floats
    """Metres east."""
    y: Floats
    """Metres north."""
    reach: Floats
    """Range, metres."""
    node: NDArray[np.int64]
    """Which node."""
    step: NDArray[np.int64]
    """At which step."""
    shifts: list[int]
    """By how much the number of each cell of `_HALF` differs."""
    groups: _Groups
    """The cells that are not empty, where each begins and how long it is."""

    @staticmethod
    def of(east: Floats, north: Floats, reach: Floats) -> _Cells:
        """Sort positions of shape (n_times, n_nodes); those who are away are left out."""
        step, node = np.nonzero(~np.isnan(east))
        x, y, far = east[step, node], north[step, node], reach[step, node]
        width = max(float(far.max(initial=0.0)), 1.0)
        column, row = (
            np.clip((each - each.min(initial=np.inf)) // width, 0, _CELL_MAX).astype(np.int64)
            for each in (x, y)
        )
        # One beyond each border is left free, so that a neighbour never wraps into the next row.
        columns, rows = int(column.max(initial=0)) + 3, int(row.max(initial=0)) + 3
        cell = (step * rows + row + 1) * columns + column + 1
        order = np.argsort(cell, kind="stable")
        cell = cell[order]
        shifts = [up * columns + right for right, up in _HALF]
        groups = np.unique(cell, return_index=True, return_counts=True)
        return _Cells(
            cell, x[order], y[order], far[order], node[order], step[order], shifts, groups
        )

    @property
    def candidates(self) -> int:
        """How many pairs have to be compared, at most."""
        cells, _, length = self.groups
        return sum(
            int((length * _at(self.groups, cells + shift)[1]).sum()) for shift in self.shifts
        )

    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return step, smaller and larger node of all who reach each other."""
        found = [np.empty((2, 0), np.int64)]
        for shift in self.shifts:
            one, other = _candidates(self.cell, self.groups, shift)
            limit = np.minimum(self.reach[one], self.reach[other])
            apart = (self.x[one] - self.x[other]) ** 2 + (self.y[one] - self.y[other]) ** 2
            is_near = apart <= limit**2
            found.append(np.stack((one[is_near], other[is_near])))
        one, other = np.concatenate(found, axis=1)
        a, b = self.node[one], self.node[other]
        return self.step[one], np.minimum(a, b), np.maximum(a, b)


def _at(groups: _Groups, cells: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where the members of each of `cells` begin, and how many there are."""
    known, begin, length = groups
    if not len(known):
        return np.zeros(len(cells), np.intp), np.zeros(len(cells), np.intp)
    index = np.minimum(np.searchsorted(known, cells), len(known) - 1)
    return begin[index], np.where(known[index] == cells, length[index], 0)


def _candidates(
    cell: NDArray[np.int64], groups: _Groups, shift: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places in the sorted `cell` of all pairs whose cells are `shift` apart.

    With a shift of 0 the pairs are those within a cell, each once.
    """
    here = np.arange(len(cell))
    low, count = _at(groups, cell + shift)
    if shift == 0:
        low, count = here + 1, low + count - here - 1
    one = np.repeat(here, count)
    within = np.arange(len(one)) - np.repeat(np.cumsum(count) - count, count)
    return one, np.repeat(low, count) + within


def _intervals(
    step: NDArray[np.int64], code: NDArray[np.int64], base: int, step_s: float
) -> Floats:
    """Join consecutive steps of one code; return rows (start_s, end_s, a, b), code a · base + b."""
    if not len(step):
        return np.empty((0, 4))
    order = np.lexsort((step, code))
    step, code = step[order], code[order]
    is_first = np.concatenate(([True], (np.diff(code) != 0) | (np.diff(step) != 1)))
    begins = np.flatnonzero(is_first)
    ends = np.concatenate((begins[1:], [len(step)])) - 1
    start_s, end_s = step[begins] * step_s, (step[ends] + 1) * step_s
    return np.stack((start_s, end_s, code[begins] // base, code[begins] % base), axis=1)
