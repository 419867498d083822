"""A report in plain values, with nothing in it that few devices could be told by; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from meshnode.gateway.report.alarms import AlarmFigures
from meshnode.gateway.report.counting import OUTCOMES, Counting
from meshnode.gateway.report.coverage import BEARERS, CELL_DEGREES, Coverages
from meshnode.gateway.report.groups import (
    DEVICES_MIN,
    Arrivals,
    Delivery,
    Looks,
    merged,
    percentile_s,
    shown,
)
from meshnode.vault.kinds import DAY_MS

__all__ = ["BREAKDOWNS", "REST", "Found", "figures"]

Json = dict[str, Any]
G = TypeVar("G", Arrivals, Delivery)

BREAKDOWNS: Final = ("by_day", "by_class", "by_zone", "by_addressee")
"""By what arrivals and deliveries are told apart."""
REST: Final = "other"
"""Name of the group of all that are too small."""
_PERCENTILES: Final = (50, 90, 99)


@dataclass(slots=True)
class Found:
    """All that was counted for a report."""

    first_day: int
    """Since 1970, UTC."""
    last_day: int
    """The last one that counts."""
    made_ms: int
    """Unix milliseconds."""
    counting: Counting
    """Arrivals and deliveries."""
    alarms: AlarmFigures
    """Alarms of the period."""
    coverage: Coverages
    """Looks at the network."""
    looked_at: float = 1.0
    """Share of the devices whose places and states were opened, of the day with the least."""
    receipts_unreadable: int = field(default=0)
    """Receipts that said nothing that can be read."""


def figures(found: Found) -> Json:
    """Return the report. Every group in it is of DEVICES_MIN devices or more.

    What too few devices told is None; that is not the same as nothing.
    """
    counting = found.counting
    return {
        "since_ms": found.first_day * DAY_MS,
        "until_ms": (found.last_day + 1) * DAY_MS,
        "made_ms": found.made_ms,
        "devices_min": DEVICES_MIN,
        "arrivals": _told(counting.arrivals, Arrivals, _arrivals),
        "delivery": _told(counting.delivery, Delivery, _delivery),
        "alarms": _alarms(found.alarms),
        "coverage": _coverage(found.coverage, found.looked_at),
        "receipts_unreadable": found.receipts_unreadable,
    }


def _told(
    groups: dict[str, dict[str, G]], empty: Callable[[], G], say: Callable[[G], Json]
) -> Json:
    total = merged(groups.get("total", {}).values(), empty())
    is_enough = len(total.devices) >= DEVICES_MIN
    told: Json = {"total": say(total) if is_enough else None}
    for breakdown in BREAKDOWNS:
        kept, rest = shown(groups.get(breakdown, {}), empty())
        rows: list[Json] = [{"name": each, **say(kept[each])} for each in sorted(kept, key=_order)]
        if breakdown == "by_day":
            rows = [{**row, "day_ms": int(row["name"]) * DAY_MS} for row in rows]
        told[breakdown] = rows if rest is None else [*rows, {"name": REST, **say(rest)}]
    return told


def _order(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdecimal() else (0, name)


def _arrivals(group: Arrivals) -> Json:
    is_enough = len(group.timed) >= DEVICES_MIN
    return {
        "devices": len(group.devices),
        "bundles": group.bundles,
        "ahead": group.ahead,
        "delays": _percentiles(group.delays if is_enough else Counter()),
    }


def _delivery(group: Delivery) -> Json:
    return {
        "devices": len(group.devices),
        "messages": group.outcomes.total(),
        **{outcome: group.outcomes[outcome] for outcome in OUTCOMES},
    }


def _percentiles(delays: Counter[int]) -> Json:
    return {f"p{each}_s": percentile_s(delays, each) for each in _PERCENTILES}


def _alarms(found: AlarmFigures) -> Json | None:
    if len(found.devices) < DEVICES_MIN:
        return None
    return {
        "raised": found.raised,
        "taken": found.taken,
        "closed_untaken": found.closed_untaken,
        "open_untaken": found.open_untaken,
        "ahead": found.ahead,
        "told": _percentiles(found.told),
        "heard": _percentiles(found.heard),
    }


def _coverage(found: Coverages, looked_at: float) -> Json:
    kept, rest = shown(found.squares, Looks())
    rows: list[Json] = []
    elsewhere: Json | None = None if rest is None else _looks(rest)
    for square in sorted(each for each in kept if each is not None):
        corner = {"south": square.south / 10, "west": square.west / 10}
        rows.append({**corner, **_looks(kept[square])})
    unplaced = kept.get(None)
    return {
        "cell_degrees": CELL_DEGREES,
        "looked_at": looked_at,
        "cells": rows,
        "unplaced": None if unplaced is None else _looks(unplaced),
        "elsewhere": elsewhere,
    }


def _looks(looks: Looks) -> Json:
    return {
        "devices": len(looks.devices),
        "looks": looks.bearers.total(),
        "bearers": {name: looks.bearers[name] for name in BEARERS.values()},
    }
