"""Numbers of one author's bundles in pages of 1,024, named by runs; shared by several bodies.

Source: wire-format 4.12, 4.30 and 4.32.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from protocol import canonical
from protocol.canonical import Value
from protocol.errors import MalformedError
from protocol.ids import NodeId

__all__ = [
    "PAGE",
    "READ_PAGES_MAX",
    "RUNS_MAX",
    "ReadPage",
    "Runs",
    "as_read_pages",
    "as_runs",
    "page_of",
    "runs_of",
    "seqs_of",
]

PAGE = 1024
"""Bundles of one author that one page covers."""
RUNS_MAX = PAGE // 2
"""Runs of one page: more would touch."""
READ_PAGES_MAX: Final = 64
"""Pages that one read receipt tells about: a squad's authors of many days."""

Runs: TypeAlias = tuple[tuple[int, int], ...]
"""(first, count), first counted from the page's start; ascending, disjoint, not adjacent."""


@dataclass(frozen=True, slots=True)
class ReadPage:
    """What the reader says of one page of one author's messages."""

    author: NodeId
    """Whose messages, 16 bytes."""
    incarnation: int
    """Of that author's store."""
    page: int
    """Covers seqs 1024 × page to 1024 × page + 1023."""
    read: Runs = field(repr=False)
    """Shown to a person."""
    withdrawn: Runs = field(repr=False)
    """Taken back by their author before anybody saw them, and never shown."""


def page_of(seq: int) -> int:
    """Return the page that `seq` belongs to."""
    return seq // PAGE


def runs_of(page: int, seqs: Iterable[int]) -> Runs:
    """Return the runs that name `seqs`, all of one page. Raises: ValueError for one beyond it."""
    runs: list[tuple[int, int]] = []
    for seq in sorted(set(seqs)):
        if page_of(seq) != page:
            raise ValueError(f"number {seq} does not belong to page {page}")
        offset = seq - page * PAGE
        if runs and sum(runs[-1]) == offset:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((offset, 1))
    return tuple(runs)


def seqs_of(page: int, runs: Runs) -> Iterator[int]:
    """Yield the numbers that runs name, ascending; at most 1,024."""
    base = page * PAGE
    for first, count in runs:
        yield from range(base + first, base + first + count)


def as_runs(value: Value, minimum: int = 1) -> Runs:
    """Return decoded runs, at least `minimum` of them. Raises: MalformedError."""
    checked: list[tuple[int, int]] = []
    end = -1
    for run in canonical.as_array(value, "runs", RUNS_MAX, minimum):
        first, count = canonical.as_array(run, "run", 2)
        first = canonical.as_uint(first, "run start", PAGE - 1)
        count = canonical.as_uint(count, "run length", PAGE - first, 1)
        if first <= end:
            raise MalformedError("runs overlap, touch, or are out of order")
        checked.append((first, count))
        end = first + count
    return tuple(checked)


def as_read_pages(value: Value) -> tuple[ReadPage, ...]:
    """Return the pages of a read receipt. Raises: MalformedError, LimitExceededError."""
    pages: list[ReadPage] = []
    last: tuple[bytes, int, int] | None = None
    for item in canonical.as_array(value, "read pages", READ_PAGES_MAX, 1):
        whose, incarnation, page, read, withdrawn = canonical.as_array(item, "read page", 5)
        place = (
            canonical.as_bytes(whose, "author", 16),
            canonical.as_uint(incarnation, "incarnation", 2**32 - 1),
            canonical.as_uint(page, "page", 2**54 - 1),
        )
        if last is not None and place <= last:
            raise MalformedError("read pages are out of order")
        last = place
        each = ReadPage(*place, as_runs(read, 0), as_runs(withdrawn, 0))
        if not each.read and not each.withdrawn:
            raise MalformedError("a read page says nothing")
        pages.append(each)
    return tuple(pages)
