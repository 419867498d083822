"""Contact plans and workloads as arrays, and the CSV files that hold them.

A contact is a half-open interval in which two nodes reach each other, both ways. What stands here
knows neither a node nor a policy: oracle, abstract simulator, generators and importers share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from protocol.errors import MeshError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "CONTACT_COLUMNS",
    "MESSAGE_COLUMNS",
    "ContactPlan",
    "TraceError",
    "Workload",
    "make_plan",
    "make_workload",
    "read_contacts",
    "read_messages",
    "write_contacts",
    "write_messages",
]

Floats: TypeAlias = "NDArray[np.float64]"
Nodes: TypeAlias = "NDArray[np.int32]"
Table: TypeAlias = "NDArray[np.float64]"

CONTACT_COLUMNS: Final = "t_start,t_end,a,b"
MESSAGE_COLUMNS: Final = "id,t,src,dst,size,ttl,prio"
NODES_MAX: Final = 1_000_000
"""Of one plan: more than any fleet, and node numbers stay small enough for arrays of them."""
FILE_BYTES_MAX: Final = 2_000_000_000
"""Of one file: 10⁸ contacts."""


class TraceError(MeshError):
    """A file of contacts, messages or tracks says what cannot be; `place` names where."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ContactPlan:
    """Who reaches whom when. Arrays have shape (n_contacts,), ordered by start, end, a and b."""

    nodes: int
    """Nodes are numbered from 0 to one below this."""
    start_s: Floats
    """Seconds from the begin of the plan."""
    end_s: Floats
    """The interval is half-open; above the start."""
    a: Nodes
    """The smaller node number."""
    b: Nodes
    """The larger one."""

    def __len__(self) -> int:
        return len(self.a)

    @property
    def span_s(self) -> float:
        """End of the last contact, seconds; 0 without any."""
        return float(self.end_s.max()) if len(self) else 0.0


@dataclass(frozen=True, slots=True)
class Workload:
    """Who writes what to whom and when. Arrays have shape (n_messages,), ordered by time."""

    names: tuple[str, ...]
    """As the file calls them."""
    created_s: Floats
    """Seconds from the begin of the plan."""
    source: Nodes
    """Who writes."""
    destination: Nodes
    """Who shall have it; never the source."""
    size_bytes: NDArray[np.int64]
    """Above 0."""
    lifetime_s: Floats
    """Delivered means: there at or before `created_s + lifetime_s`."""
    priority: NDArray[np.int8]
    """0 urgent, 1 normal, 2 bulk."""

    def __len__(self) -> int:
        return len(self.names)


def make_plan(nodes: int, table: Table, place: str = "contacts") -> ContactPlan:
    """Return the plan with the rows (start_s, end_s, a, b) of `table`, shape (n_contacts, 4).

    Contacts of one pair that overlap or touch are joined. Raises: TraceError that names the row,
    numbered from 1.
    """
    rows = np.asarray(table, dtype=np.float64).reshape(-1, 4)
    _check_contacts(nodes, rows, place)
    low, high = rows[:, 2:].min(axis=1), rows[:, 2:].max(axis=1)
    start, end, low, high = _joined(rows[:, 0], rows[:, 1], low, high)
    order = np.lexsort((high, low, end, start))
    return ContactPlan(
        nodes,
        np.ascontiguousarray(start[order]),
        np.ascontiguousarray(end[order]),
        low[order].astype(np.int32),
        high[order].astype(np.int32),
    )


def _joined(
    start: Floats, end: Floats, low: Floats, high: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Join the intervals of each pair that overlap or touch."""
    order = np.lexsort((start, high, low))
    start, end, low, high = start[order], end[order], low[order], high[order]
    if not len(start):
        return start, end, low, high
    pair = np.concatenate(([0], np.cumsum((np.diff(low) != 0) | (np.diff(high) != 0))))
    # The latest end so far within the pair: by rank, so that pairs are kept apart exactly.
    times, rank = np.unique(end, return_inverse=True)
    shift = pair * len(times)
    reach = times[np.maximum.accumulate(rank + shift) - shift]
    is_first = np.concatenate(([True], (np.diff(pair) != 0) | (start[1:] > reach[:-1])))
    firsts = np.flatnonzero(is_first)
    return start[firsts], np.maximum.reduceat(end, firsts), low[firsts], high[firsts]


def make_workload(names: tuple[str, ...], table: Table, nodes: int, place: str) -> Workload:
    """Return the workload with rows (created_s, source, destination, size_bytes, lifetime_s,
    priority) of `table`, shape (n_messages, 6). Raises: TraceError that names the row.
    """
    rows = np.asarray(table, dtype=np.float64).reshape(-1, 6)
    _check_messages(names, rows, nodes, place)
    order = np.argsort(rows[:, 0], kind="stable")
    rows = rows[order]
    return Workload(
        tuple(names[index] for index in order),
        rows[:, 0].copy(),
        rows[:, 1].astype(np.int32),
        rows[:, 2].astype(np.int32),
        rows[:, 3].astype(np.int64),
        rows[:, 4].copy(),
        rows[:, 5].astype(np.int8),
    )


# --- files -----------------------------------------------------------------------------------


def read_contacts(path: Path, nodes: int | None = None) -> ContactPlan:
    """Return the plan in a CSV file with the columns `t_start,t_end,a,b`.

    `nodes` is how many there are; without it one more than the largest number. Raises: TraceError
    that names the line. Cost: about 1 s for 10⁶ contacts.
    """
    table = _read_table(path, CONTACT_COLUMNS, 4)
    if nodes is None:
        largest = table[:, 2:].max() if len(table) else 0.0
        nodes = int(largest) + 1 if 0 <= largest < NODES_MAX else 1
    return make_plan(nodes, table, str(path))


def read_messages(path: Path, nodes: int) -> Workload:
    """Return the workload in a CSV file with the columns `id,t,src,dst,size,ttl,prio`.

    Raises: TraceError that names the line.
    """
    lines = _read_lines(path)
    _check_head(lines, MESSAGE_COLUMNS, path)
    names, rows = [], []
    for number, line in enumerate(lines[1:], start=2):
        name, *figures = line.split(",")
        names.append(name.strip())
        rows.append(_figures(figures, 6, f"{path} line {number}"))
    return make_workload(tuple(names), np.array(rows, dtype=np.float64), nodes, str(path))


def write_contacts(plan: ContactPlan, path: Path) -> None:
    """Write a plan as CSV. Raises: TraceError."""
    columns = (plan.start_s.tolist(), plan.end_s.tolist(), plan.a.tolist(), plan.b.tolist())
    lines = [f"{start:.10g},{end:.10g},{a},{b}" for start, end, a, b in zip(*columns, strict=True)]
    _write_lines(path, CONTACT_COLUMNS, lines)


def write_messages(workload: Workload, path: Path) -> None:
    """Write a workload as CSV. Raises: TraceError."""
    columns = (
        workload.names,
        workload.created_s.tolist(),
        workload.source.tolist(),
        workload.destination.tolist(),
        workload.size_bytes.tolist(),
        workload.lifetime_s.tolist(),
        workload.priority.tolist(),
    )
    lines = [
        f"{name},{created:.10g},{source},{destination},{size},{lifetime:.10g},{priority}"
        for name, created, source, destination, size, lifetime, priority in zip(
            *columns, strict=True
        )
    ]
    _write_lines(path, MESSAGE_COLUMNS, lines)


def _write_lines(path: Path, head: str, lines: list[str]) -> None:
    try:
        path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    except OSError as error:
        raise TraceError(str(path), f"cannot be written: {error.strerror}") from error


def _read_table(path: Path, head: str, width: int) -> Table:
    """Return the figures of a CSV file, shape (n_rows, width)."""
    lines = _read_lines(path)
    _check_head(lines, head, path)
    if len(lines) == 1:
        return np.empty((0, width))
    try:
        table = np.loadtxt(lines[1:], delimiter=",", ndmin=2)
    except ValueError:
        table = np.empty((0, 0))
    if table.shape != (len(lines) - 1, width):
        # The library does not say where; this does, at leisure.
        for number, line in enumerate(lines[1:], start=2):
            _figures(line.split(","), width, f"{path} line {number}")
        raise TraceError(str(path), f"does not have {width} numbers in each line")
    return table


def _read_lines(path: Path) -> list[str]:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise TraceError(str(path), f"has more than {FILE_BYTES_MAX} bytes")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise TraceError(str(path), f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TraceError(str(path), "is not text in UTF-8") from error
    # An empty line in the middle is an error with its number; those at the end are nothing.
    return text.rstrip().splitlines()


def _check_head(lines: list[str], head: str, path: Path) -> None:
    found = lines[0].replace(" ", "") if lines else ""
    if found != head:
        raise TraceError(f"{path} line 1", f"the first line is '{head}'")


def _figures(words: list[str], width: int, place: str) -> list[float]:
    if len(words) != width:
        raise TraceError(place, f"has {len(words)} numbers instead of {width}")
    try:
        return [float(word) for word in words]
    except ValueError as error:
        raise TraceError(place, "holds something that is no number") from error


# --- checks ----------------------------------------------------------------------------------


def _check_contacts(nodes: int, rows: Table, place: str) -> None:
    if not 1 <= nodes <= NODES_MAX:
        raise TraceError(place, f"there are between 1 and {NODES_MAX} nodes")
    _refuse((~np.isfinite(rows)).any(axis=1), place, "holds something that is no number")
    _refuse(rows[:, 0] < 0, place, "starts before 0")
    _refuse(rows[:, 1] <= rows[:, 0], place, "ends before it starts")
    for column in (2, 3):
        _check_nodes(rows[:, column], nodes, place)
    _refuse(rows[:, 2] == rows[:, 3], place, "a node does not meet itself")


def _check_messages(names: tuple[str, ...], rows: Table, nodes: int, place: str) -> None:
    assert len(names) == len(rows), "one name for each message"
    _refuse((~np.isfinite(rows)).any(axis=1), place, "holds something that is no number")
    _refuse(rows[:, 0] < 0, place, "is written before 0")
    for column in (1, 2):
        _check_nodes(rows[:, column], nodes, place)
    _refuse(rows[:, 1] == rows[:, 2], place, "a node does not write to itself")
    _refuse((rows[:, 3] < 1) | (rows[:, 3] > 2**40), place, "size is between 1 byte and 1 TB")
    _refuse(rows[:, 4] <= 0, place, "its lifetime is above 0 s")
    _refuse(~np.isin(rows[:, 5], (0, 1, 2)), place, "prio is 0 urgent, 1 normal or 2 bulk")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise TraceError(place, f"two messages are called '{twice}'")


def _check_nodes(numbers: Floats, nodes: int, place: str) -> None:
    is_wrong = (numbers < 0) | (numbers >= nodes) | (numbers != np.floor(numbers))
    _refuse(is_wrong, place, f"node numbers are whole, from 0 to {nodes - 1}")


def _refuse(is_wrong: Any, place: str, reason: str) -> None:
    """Raise TraceError for the first row that is wrong; a file's first row is its line 2."""
    if is_wrong.any():
        row = int(np.flatnonzero(is_wrong)[0])
        where = f"{place} line {row + 2}" if place.endswith(".csv") else f"{place} {row + 1}"
        raise TraceError(where, reason)
