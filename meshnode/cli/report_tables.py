"""A report of an archive as tables of words, and as one long table for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from meshnode.cli.language import say

__all__ = [
    "OUTCOMES",
    "SPOKEN",
    "UNKNOWN",
    "Section",
    "as_csv",
    "day_text",
    "delay_text",
    "name_text",
    "sections",
]

Json = dict[str, Any]
UNKNOWN: Final = "–"
"""Stands where nothing is known, or too few devices told of it; zero is another thing."""
OUTCOMES: Final = {
    "acknowledged": "acknowledged",
    "at_centre": "at the centre",
    "pending": "under way",
    "unknown": "unknown",
}
"""Outcomes of messages, in words."""
_BREAKDOWNS: Final = {
    "by_day": "day",
    "by_class": "class",
    "by_zone": "zone",
    "by_addressee": "addressee",
}
_NAMES: Final = {
    "other": "others together",
    "squad_1_4": "squads of 1 to 4",
    "squad_5_9": "squads of 5 to 9",
    "squad_10_19": "squads of 10 to 19",
    "squad_20_more": "squads of 20 and more",
    "squad_unknown": "squads that are not known here",
    "centre": "the centre",
    "zone": "the whole zone",
    "device": "one device",
}
_PERCENTILES: Final = ("p50_s", "p90_s", "p99_s")
_TITLES: Final = {
    ("arrivals", ""): "Arrivals",
    ("arrivals", "by_day"): "Arrivals by day",
    ("arrivals", "by_class"): "Arrivals by class",
    ("arrivals", "by_zone"): "Arrivals by zone",
    ("arrivals", "by_addressee"): "Arrivals by addressee",
    ("delivery", ""): "Messages",
    ("delivery", "by_day"): "Messages by day",
    ("delivery", "by_class"): "Messages by class",
    ("delivery", "by_zone"): "Messages by zone",
    ("delivery", "by_addressee"): "Messages by addressee",
}
_ARRIVALS: Final = (
    "devices",
    "bundles",
    "half within",
    "90 % within",
    "99 % within",
    "clock ahead",
)
_DELIVERY: Final = ("devices", "messages", *OUTCOMES.values())
_NOWHERE: Final = (("unplaced", "no place near"), ("elsewhere", "elsewhere"))
_WAITS: Final = ("half", "90 %", "99 %")
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60))
SPOKEN: Final = frozenset(
    {
        *_BREAKDOWNS.values(),
        *_NAMES.values(),
        *_TITLES.values(),
        *_ARRIVALS,
        *_DELIVERY,
        *_WAITS,
        *(words for _name, words in _NOWHERE),
        *(unit for unit, _length_s in _UNITS),
    }
)
"""Words that are put together here, in English."""


@dataclass(frozen=True, slots=True)
class Section:
    """One table of a report."""

    part: str
    """`arrivals`, `delivery`, `alarms` or `coverage`."""
    by: str
    """Breakdown; empty where there is one row for all."""
    title: str
    """Heading, in the language in use."""
    columns: tuple[str, ...]
    """Headings of the columns."""
    rows: tuple[tuple[str, ...], ...]
    """Cells, in words."""


def sections(report: Json) -> list[Section]:
    """Return the tables of a report in their order; of what too few devices told there is none."""
    found = [_arrivals(report["arrivals"], by) for by in ("", *_BREAKDOWNS)]
    found += [_delivery(report["delivery"], by) for by in ("", *_BREAKDOWNS)]
    found += [_alarms(report["alarms"]), _coverage(report["coverage"])]
    return [each for each in found if each.rows]


def _arrivals(part: Json, by: str) -> Section:
    rows = tuple(
        (
            name_text(each),
            str(each["devices"]),
            str(each["bundles"]),
            *(delay_text(each["delays"][name]) for name in _PERCENTILES),
            str(each["ahead"]),
        )
        for each in _groups(part, by)
    )
    return _section("arrivals", by, _ARRIVALS, rows)


def _delivery(part: Json, by: str) -> Section:
    rows = tuple(
        (
            name_text(each),
            str(each["devices"]),
            str(each["messages"]),
            *(_share(each[name], each["messages"]) for name in OUTCOMES),
        )
        for each in _groups(part, by)
    )
    return _section("delivery", by, _DELIVERY, rows)


def _alarms(alarms: Json | None) -> Section:
    rows: tuple[tuple[str, ...], ...] = ()
    if alarms is not None:
        rows = (
            (say("raised"), str(alarms["raised"])),
            (say("taken"), str(alarms["taken"])),
            (say("ended, no taking known"), str(alarms["closed_untaken"])),
            (say("neither taking nor end known"), str(alarms["open_untaken"])),
            *_waits(say("waited, by the gateway's clock"), alarms["heard"]),
            *_waits(say("waited, by the clocks of both"), alarms["told"]),
        )
    return Section("alarms", "", say("Alarms"), (say("alarms"), say("figure")), rows)


def _waits(words: str, delays: Json) -> Iterator[tuple[str, str]]:
    for name, said in zip(_PERCENTILES, _WAITS, strict=True):
        yield f"{words} ({say(said)})", delay_text(delays[name])


def _coverage(coverage: Json) -> Section:
    cells: list[tuple[str, Json]] = [
        (f"{each['south']:.1f} {each['west']:.1f}", each) for each in coverage["cells"]
    ]
    for name, words in _NOWHERE:
        if coverage[name] is not None:
            cells.append((say(words), coverage[name]))
    bearers: list[str] = list(cells[0][1]["bearers"]) if cells else []
    rows = tuple(
        (
            name,
            str(each["devices"]),
            str(each["looks"]),
            *(_share(each["bearers"][bearer], each["looks"]) for bearer in bearers),
        )
        for name, each in cells
    )
    named = (say("no network") if each == "none" else each for each in bearers)
    columns = (say("square (south, west)"), say("devices"), say("looks"), *named)
    return Section("coverage", "", say("Networks by place"), columns, rows)


def _groups(part: Json, by: str) -> list[Json]:
    if by:
        return list(part[by])
    return [] if part["total"] is None else [{"name": "", **part["total"]}]


def _section(
    part: str, by: str, columns: tuple[str, ...], rows: tuple[tuple[str, ...], ...]
) -> Section:
    of = say(_BREAKDOWNS[by]) if by else say("all")
    return Section(part, by, say(_TITLES[part, by]), (of, *map(say, columns)), rows)


def name_text(group: Json) -> str:
    """Return the name of a group, in words."""
    name: str = group["name"]
    if "day_ms" in group:
        return day_text(group["day_ms"])
    return say(_NAMES.get(name, name)) if name else say("all")


def day_text(at_ms: int) -> str:
    """Return the day of a moment, UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()


def delay_text(seconds: int | None) -> str:
    """Return a delay in words."""
    if seconds is None:
        return UNKNOWN
    for unit, length_s in _UNITS:
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:.1f} {say(unit)}"
    return f"{seconds} s"


def _share(count: int, total: int) -> str:
    return f"{count} ({100 * count / total:.0f} %)" if total else UNKNOWN


def as_csv(report: Json) -> str:
    """Return each figure on a line of its own: part, by, name, measure, value; unknown is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("part", "by", "name", "measure", "value"))
    for part in ("arrivals", "delivery"):
        for by in ("", *_BREAKDOWNS):
            for group in _groups(report[part], by):
                name = day_text(group["day_ms"]) if "day_ms" in group else group["name"]
                _write(writer, (part, by.removeprefix("by_"), name), group)
    _write(writer, ("alarms", "", ""), report["alarms"] or {})
    for cell in report["coverage"]["cells"]:
        name = f"{cell['south']:.1f} {cell['west']:.1f}"
        _write(writer, ("coverage", "square", name), cell)
    for name in ("unplaced", "elsewhere"):
        _write(writer, ("coverage", "square", name), report["coverage"][name] or {})
    return out.getvalue()


def _write(writer: Any, place: tuple[str, str, str], values: Json, before: str = "") -> None:
    for name, value in values.items():
        if name in ("name", "day_ms"):
            continue
        if isinstance(value, dict):
            _write(writer, place, value, f"{name} ")
        else:
            writer.writerow((*place, before + name, "" if value is None else value))
