"""What a report counts, said slowly and obviously: lists, sets of ids, and sorting. Decision 61."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

__all__ = ["authors", "breakdown", "group_delays", "look_cells", "percentile", "waiting"]

LEAST = 5
Row = dict[str, Any]


def percentile(values: Sequence[int], per_cent: int) -> int | None:
    """Return the smallest value that so many per cent do not exceed, three digits of it."""
    if sum(1 for _ in values) * (100 - per_cent) < 100:
        return None
    ordered = sorted(values)
    value = ordered[math.ceil(len(ordered) * per_cent / 100) - 1]
    text = str(value)
    return int(text[:3] + "0" * (len(text) - 3)) if len(text) > 3 else value


def breakdown(
    rows: Iterable[Row], name: Callable[[Row], Any]
) -> tuple[dict[Any, list[Row]], list[Row]]:
    """Return the rows by name, and those of groups of few authors, until these are many, too."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(name(row), []).append(row)
    rest: list[Row] = []
    for key in [key for key, own in groups.items() if len(authors(own)) < LEAST]:
        rest += groups.pop(key)
    while rest and len(authors(rest)) < LEAST and groups:
        rest += groups.pop(min(groups, key=lambda key: (len(authors(groups[key])), repr(key))))
    return groups, rest if len(authors(rest)) >= LEAST else []


def authors(rows: Iterable[Row]) -> set[bytes]:
    """Return who wrote them."""
    return {row["author"] for row in rows}


def group_delays(rows: Sequence[Row]) -> tuple[int, int, int, tuple[int | None, ...]]:
    """Return devices, bundles, those ahead, and three percentiles of whole seconds."""
    timed = [row for row in rows if row["arrived_ms"] >= row["created_ms"] - 5_000]
    delays = [max(0, row["arrived_ms"] - row["created_ms"]) // 1000 for row in timed]
    if len(authors(timed)) < LEAST:
        delays = []
    figures = tuple(percentile(delays, each) for each in (50, 90, 99))
    return len(authors(rows)), len(rows), len(rows) - len(timed), figures


def waiting(raised: dict[Any, list[Row]], took: dict[Any, list[Row]]) -> list[int]:
    """Return how long each alarm waited by the gateway's clock, whole seconds."""
    found = []
    for key, steps in raised.items():
        if key in took:
            first = min(row["at_ms"] for row in steps)
            found.append(max(0, min(row["at_ms"] for row in took[key]) - first) // 1000)
    return found


def look_cells(looks: Iterable[Row], places: Sequence[Row]) -> list[Row]:
    """Return each look with the square where its device was, None where nobody knows."""
    made = []
    for look in looks:
        near = [
            (abs(place["taken_ms"] - look["read_ms"]), place["taken_ms"], place["square"])
            for place in places
            if place["author"] == look["author"]
            and abs(place["taken_ms"] - look["read_ms"]) <= 900_000
        ]
        made.append({**look, "square": min(near)[2] if near else None})
    return made
