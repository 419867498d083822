"""The figures of one run: each a chart, a sentence and a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from sims.abstract.records import Fate
from sims.report.drawing import (
    SERIES_COLOURS,
    SERIES_MARKERS,
    Bars,
    Colour,
    Frame,
    Line,
    Marker,
    bar_chart,
    line_chart,
)
from sims.report.measures import (
    CLASSES,
    STRETCH_EDGES,
    Run,
    death_places,
    delays_of,
    open_by_hour,
    share_until,
    stretch_of,
)
from sims.report.records import Figure, Table, bar_keys, line_keys
from sims.report.ticks import count_ticks, delay_ticks, share_ticks, size_ticks, time_ticks
from sims.report.words import DAY_S, Cell, Words

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "CLASS_COLOURS",
    "CLASS_MARKERS",
    "FATE_COLOURS",
    "rate_figures",
    "run_figures",
]

CLASS_COLOURS: Final[tuple[Colour, ...]] = ("red", "blue", "green")
CLASS_MARKERS: Final[tuple[Marker, ...]] = ("o", "s", "^")
FATE_COLOURS: Final[tuple[Colour, ...]] = ("green", "purple", "amber", "red", "grey")
ENERGY_COLOURS: Final[tuple[Colour, ...]] = ("amber", "cyan", "purple", "grey")
"""Of searching, hosting, being a client, and bytes."""

POINTS_MAX: Final = 200
"""Of one curve: more than a screen shows."""
PLACES_MAX: Final = 12
"""Bars of a chart of nodes or groups; the table has all."""


def run_figures(runs: Sequence[Run], names: Sequence[str], words: Words) -> tuple[Figure, ...]:
    """Return the figures of the first run; the others stand beside it where that tells something.

    Cost: about 1 s, most of it drawing.
    """
    run = runs[0]
    figures = [_over_time(run, words), _delays(runs, names, words)]
    if run.arrivals_s is not None:
        figures.append(_stretch(run, words))
    figures += [_fates(run, words), _places(run, words), _buffers(run, words)]
    figures += rate_figures(run, words)
    if run.energy is not None:
        figures.append(_energy(run, words))
    return (*figures, _day(run, words))


def _over_time(run: Run, words: Words) -> Figure:
    workload = run.region.workload
    last = max(run.region.duration_s, float(np.nanmax(run.outcome.delivered_s, initial=0.0)), 1.0)
    grid = np.linspace(0.0, last, POINTS_MAX + 1)
    lines, columns, ends = [], ["time_s"], []
    for number, name in enumerate(CLASSES):
        chosen = run.of_class(number)
        total = int(chosen.sum())
        if not total:
            continue
        label, colour = words(f"class.{name}"), CLASS_COLOURS[number]
        share = share_until(run.outcome.delivered_s[chosen], total, grid)
        lines.append(Line(label, grid, share, colour, marker=CLASS_MARKERS[number]))
        columns.append(f"delivered_{name}")
        ends.append(f"{label} {words.percent(share[-1])}")
        if run.arrivals_s is not None:
            best = share_until(run.arrivals_s[chosen], total, grid)
            lines.append(Line(words("best_of", name=label), grid, best, colour, is_dashed=True))
            columns.append(f"possible_{name}")
    frame = Frame(
        words("axis.time"),
        words("axis.share"),
        time_ticks(last, words),
        share_ticks(words),
        is_step=True,
    )
    about = words(
        "delivery_over_time.about",
        messages=words.number(len(workload)),
        ends=words.listing(ends) or "–",
    )
    return Figure(
        "delivery_over_time",
        words("delivery_over_time.title"),
        about,
        line_chart("delivery_over_time", lines, frame),
        line_keys(lines),
        _curves(columns, grid, lines),
    )


def _curves(columns: Sequence[str], grid: NDArray[np.float64], lines: Sequence[Line]) -> Table:
    """Return curves over one grid as a table, without points that repeat those on both sides."""
    values = np.column_stack([grid, *(line.y for line in lines)])
    level = (values[1:-1, 1:] == values[:-2, 1:]) & (values[1:-1, 1:] == values[2:, 1:])
    kept = np.concatenate(([True], ~level.all(axis=1), [True]))
    return Table(
        tuple(columns), tuple(tuple(_known(cell) for cell in row) for row in values[kept].tolist())
    )


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _delays(runs: Sequence[Run], names: Sequence[str], words: Words) -> Figure:
    run = runs[0]
    taken = [delays_of(each, each.outcome.delivered_s) for each in runs]
    best = delays_of(run, run.arrivals_s) if run.arrivals_s is not None else np.empty(0)
    known = np.concatenate([each[np.isfinite(each)] for each in (*taken, best)])
    ticks = delay_ticks(
        float(np.quantile(known, 0.01)) if len(known) else 1.0,
        float(known.max(initial=1.0)),
        words,
    )
    grid = np.geomspace(ticks[0][0], max(ticks[-1][0], ticks[0][0] * 2), POINTS_MAX + 1)
    total = len(run.region.workload)
    lines = [
        Line(
            name,
            grid,
            share_until(each, total, grid),
            SERIES_COLOURS[index % 8],
            marker=SERIES_MARKERS[index % 7],
        )
        for index, (name, each) in enumerate(zip(names, taken, strict=True))
    ]
    if run.arrivals_s is not None:
        best_share = share_until(best, total, grid)
        lines.append(Line(words("best"), grid, best_share, "ink", is_dashed=True))
    frame = Frame(
        words("axis.delay"),
        words("axis.share"),
        ticks,
        share_ticks(words),
        is_log_x=True,
        is_step=True,
    )
    own = taken[0][np.isfinite(taken[0])]
    about = words(
        "delays.about",
        median=words.duration(float(np.median(own)) if len(own) else np.nan),
        slow=words.duration(float(np.quantile(own, 0.9)) if len(own) else np.nan),
    )
    columns = ["delay_s", *names] + ([] if run.arrivals_s is None else ["possible"])
    return Figure(
        "delays",
        words("delays.title"),
        about,
        line_chart("delays", lines, frame),
        line_keys(lines),
        _curves(columns, grid, lines),
    )


def _stretch(run: Run, words: Words) -> Figure:
    stretch = stretch_of(run)
    known = stretch[np.isfinite(stretch)]
    groups = np.searchsorted(np.array(STRETCH_EDGES), known, side="left")
    counts = np.bincount(groups, minlength=len(STRETCH_EDGES) + 1)
    lost = int((run.possible & ~run.delivered).sum()) if run.possible is not None else 0
    edges = [words.figure(each) for each in STRETCH_EDGES]
    labels = [words("stretch.first", high=edges[0])]
    labels += [words("stretch.up_to", high=each) for each in edges[1:]]
    labels += [words("stretch.more", low=edges[-1]), words("stretch.lost")]
    values = np.append(counts, lost)
    return Figure(
        "stretch",
        words("stretch.title"),
        words(
            "stretch.about",
            quick=words.percent(counts[0] / max(len(known), 1)),
            median=words.number(float(np.median(known)) if len(known) else np.nan, 1),
        ),
        bar_chart(
            "stretch",
            labels,
            [Bars("", values.astype(np.float64), "blue")],
            Frame(words("axis.messages"), "", count_ticks(float(values.max()), words)),
            [words.number(each) for each in values],
        ),
        (),
        Table(("times_as_long", "messages"), tuple(zip(labels, map(int, values), strict=True))),
    )


def _fates(run: Run, words: Words) -> Figure:
    counts = np.array(
        [
            [int((run.of_class(number) & (run.outcome.fate == fate)).sum()) for fate in Fate]
            for number in range(len(CLASSES))
        ]
    )
    labels = [words(f"fate.{fate.name.lower()}") for fate in Fate]
    sums = counts.sum(axis=0)
    series = [
        Bars(words(f"class.{name}"), counts[number].astype(np.float64), CLASS_COLOURS[number])
        for number, name in enumerate(CLASSES)
    ]
    told = [
        f"{label.lower()} {words.number(each)}"
        for label, each in zip(labels, sums, strict=True)
        if each
    ]
    return Figure(
        "fates",
        words("fates.title"),
        words("fates.about", fates=words.listing(told) or "–"),
        bar_chart(
            "fates",
            labels,
            series,
            Frame(words("axis.messages"), "", count_ticks(float(sums.max()), words)),
            [words.number(each) for each in sums],
        ),
        bar_keys(series),
        Table(
            ("fate", *CLASSES, "all"),
            tuple(
                (label, *map(int, column), int(column.sum()))
                for label, column in zip(labels, counts.T, strict=True)
            ),
        ),
    )


def _places(run: Run, words: Words) -> Figure:
    region, counts = run.region, death_places(run)
    fates = [fate for fate in Fate if fate not in (Fate.DELIVERED, Fate.UNDER_WAY)]
    rows: list[tuple[Cell, ...]] = [
        (
            region.labels[node],
            region.groups[node],
            *(int(counts[node, fate]) for fate in fates),
            int(counts[node].sum()),
        )
        for node in np.argsort(-counts.sum(axis=1), kind="stable").tolist()
        if counts[node].any()
    ]
    names, sums = _gathered(run, counts)
    series = [
        Bars(
            words(f"fate.{fate.name.lower()}"),
            sums[:PLACES_MAX, fate].astype(np.float64),
            FATE_COLOURS[fate],
        )
        for fate in fates
    ]
    totals = sums[:PLACES_MAX].sum(axis=1)
    about = words("places.none")
    if len(names):
        about = words("places.about", place=names[0], count=words.number(totals[0]))
    return Figure(
        "death_places",
        words("places.title"),
        about,
        bar_chart(
            "death_places",
            names[:PLACES_MAX],
            series,
            Frame(words("axis.messages"), "", count_ticks(float(totals.max(initial=0)), words)),
            [words.number(each) for each in totals],
        )
        if len(names)
        else "",
        bar_keys(series) if len(names) else (),
        Table(("node", "group", *(fate.name.lower() for fate in fates), "all"), tuple(rows)),
    )


def _gathered(run: Run, counts: NDArray[np.int64]) -> tuple[list[str], NDArray[np.int64]]:
    """Return groups with their sums, most first; nodes where there is no more than one group."""
    region = run.region
    names = list(region.labels)
    if len(set(region.groups) - {""}) > 1:
        names = [group or label for group, label in zip(region.groups, names, strict=True)]
    places = sorted(set(names))
    number = {name: index for index, name in enumerate(places)}
    sums = np.zeros((len(places), counts.shape[1]), np.int64)
    np.add.at(sums, [number[name] for name in names], counts)
    order = [each for each in np.argsort(-sums.sum(axis=1), kind="stable") if sums[each].any()]
    return [places[each] for each in order], sums[order]


def _buffers(run: Run, words: Words) -> Figure:
    samples, bound = run.outcome.samples, run.outcome.options.buffer_bytes
    kept = np.unique(np.linspace(0, max(len(samples.times_s) - 1, 0), POINTS_MAX).astype(int))
    kept = kept[: len(samples.times_s)]
    times = samples.times_s[kept]
    lines = [
        Line(words("buffers.mean"), times, samples.mean_bytes[kept], "blue"),
        Line(words("buffers.largest"), times, samples.largest_bytes[kept], "red", marker="o"),
    ]
    peak = float(samples.largest_bytes.max(initial=0.0))
    if bound:
        limit = np.full(len(times), float(bound))
        lines.append(Line(words("buffers.bound"), times, limit, "ink", is_dashed=True))
    frame = Frame(
        words("axis.time"),
        words("axis.stored"),
        time_ticks(float(times.max(initial=1.0)), words),
        size_ticks(max(peak, float(bound)), words),
    )
    about = words(
        "buffers.about",
        peak=words.size(peak),
        mean=words.size(float(samples.mean_bytes.mean()) if len(times) else 0.0),
        evictions=words.number(int(run.outcome.evictions.sum())),
    )
    columns = ["time_s", "mean_bytes", "largest_bytes"] + (["bound_bytes"] if bound else [])
    values = np.column_stack([times, *(line.y for line in lines)])
    return Figure(
        "buffers",
        words("buffers.title"),
        about,
        line_chart("buffers", lines, frame),
        line_keys(lines),
        Table(tuple(columns), tuple(map(tuple, values.tolist()))),
    )


def rate_figures(run: Run, words: Words) -> list[Figure]:
    """Return what a delivered message costs in transfers and in bytes, by class and for all."""
    workload, outcome = run.region.workload, run.outcome
    chosen = [*(run.of_class(number) for number in range(3)), np.ones(len(workload), bool)]
    labels = [*(words(f"class.{name}") for name in CLASSES), words("class.all")]
    moved = outcome.transfers_of.astype(np.int64) * workload.size_bytes
    figures = []
    for name, column, amount, ticks in (
        ("transfers", "transfers_per_delivered", outcome.transfers_of, count_ticks),
        ("bytes", "bytes_per_delivered", moved, size_ticks),
    ):
        sums = np.array([float(amount[each].sum()) for each in chosen])
        arrived = np.array([int(run.delivered[each].sum()) for each in chosen])
        rates = np.divide(sums, arrived, out=np.full(4, np.nan), where=arrived > 0)
        text = words.figure if name == "transfers" else words.size
        shown = [text(each) if np.isfinite(each) else "–" for each in rates.tolist()]
        figures.append(
            Figure(
                f"{name}_per_delivered",
                words(f"{name}.title"),
                words(f"{name}.about", rate=shown[-1]),
                bar_chart(
                    f"{name}_per_delivered",
                    labels,
                    [Bars("", np.nan_to_num(rates), "blue")],
                    Frame(
                        words(f"axis.{name}"), "", ticks(float(np.nanmax(rates, initial=0)), words)
                    ),
                    shown,
                ),
                (),
                Table(
                    ("class", "delivered", f"{name}_all", column),
                    tuple(
                        (label, int(count), int(total), _known(rate))
                        for label, count, total, rate in zip(
                            labels, arrived, sums, rates.tolist(), strict=True
                        )
                    ),
                ),
            )
        )
    return figures


def _energy(run: Run, words: Words) -> Figure:
    assert run.energy is not None
    region, energy = run.region, run.energy
    parts = {name: getattr(energy, f"{name}_j") for name in ("scan", "host", "client", "byte")}
    order = np.argsort(-energy.per_day_j, kind="stable")
    shown = order[: PLACES_MAX - 2]
    labels = [words("energy.mean"), *(region.labels[node] for node in shown)]
    series = [
        Bars(
            words(f"energy.{name}"),
            np.append(spent[run.carried].mean(), spent[shown]) / 1000,
            ENERGY_COLOURS[index],
        )
        for index, (name, spent) in enumerate(parts.items())
    ]
    totals = np.append(energy.mean_j, energy.per_day_j[shown]) / 1000
    columns = ("node", "role", "group", "energy_j_day", *(f"{name}_j_day" for name in parts))
    every = (energy.per_day_j, *parts.values())
    return Figure(
        "energy",
        words("energy.title"),
        words(
            "energy.about",
            mean=words.figure(energy.mean_j / 1000),
            worst=words.figure(energy.worst_j / 1000),
            node=region.labels[energy.worst_node],
            share=words.percent(energy.worst_battery_share),
        ),
        bar_chart(
            "energy",
            labels,
            series,
            Frame(words("axis.energy"), "", count_ticks(float(totals.max()), words)),
            [words.figure(each) for each in totals.tolist()],
        ),
        bar_keys(series),
        Table(
            columns,
            tuple(
                (
                    region.labels[node],
                    region.roles[node],
                    region.groups[node],
                    *(float(spent[node]) for spent in every),
                )
                for node in order.tolist()
            ),
        ),
    )


def _day(run: Run, words: Words) -> Figure:
    every, gateway = open_by_hour(run)
    hours = np.arange(24.0)
    edges = np.append(hours, 24.0) * (DAY_S / 24)
    lines = [
        Line(words("day.all"), edges, np.append(every, every[-1]), "blue"),
        Line(words("day.gateway"), edges, np.append(gateway, gateway[-1]), "pink", marker="D"),
    ]
    largest = float(np.nanmax(np.concatenate([every, gateway]), initial=0.0))
    ticks = tuple((each * 3600.0, f"{each:02d}:00") for each in range(0, 25, 6))
    frame = Frame(
        words("axis.hour"), words("axis.open"), ticks, count_ticks(largest, words), is_step=True
    )
    busiest = int(np.nanargmax(every)) if np.isfinite(every).any() else 0
    silent = int((gateway == 0).sum())
    return Figure(
        "contacts_by_hour",
        words("day.title"),
        words(
            "day.about",
            hour=f"{busiest:02d}:00",
            count=words.figure(float(every[busiest])),
            silent=words.number(silent),
        ),
        line_chart("contacts_by_hour", lines, frame),
        line_keys(lines),
        Table(
            ("hour", "contacts_open", "gateway_contacts_open"),
            tuple(
                (int(hour), _known(one), _known(other))
                for hour, one, other in zip(hours, every.tolist(), gateway.tolist(), strict=True)
            ),
        ),
    )
