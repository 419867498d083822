"""The report on two campaigns side by side: differences with intervals, then both as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from itertools import zip_longest
from pathlib import Path
from typing import Final

from sims.campaign.compare import HIGHER_IS_BETTER, Comparison, Difference
from sims.campaign.results import CampaignResults
from sims.report.campaign import rows_figure, settings_part
from sims.report.drawing import Frame, interval_chart
from sims.report.page import Page, figure_part, table_part, write_page
from sims.report.records import Figure, Table
from sims.report.sweeps import MEASURES, flat_rows, largest_of, shown_value, sweep_figures
from sims.report.ticks import signed_ticks
from sims.report.words import Cell, Language, ReportError, Words

__all__ = ["comparison_report"]

DRAWN: Final = ("of_oracle", "delivered_urgent", "overhead", "delay_median_s", "sent_bytes")
"""Figures with a chart of their differences; the table has all."""
POINTS_MAX: Final = 24
"""Rows of such a chart: points of the grid."""


def comparison_report(
    a: CampaignResults,
    b: CampaignResults,
    comparison: Comparison,
    path: Path,
    *,
    language: Language = "en",
) -> Path:
    """Write two campaigns side by side and return the page's place.

    `comparison` is what `sims.campaign.compare.compare` says of them. `path` ends in `.html`, or
    is a folder that gets the page and all data. Equal input gives equal bytes. Raises: ReportError,
    also if a campaign has no successful job.
    """
    words = Words(language)
    sides = [(side, flat_rows(side)) for side in (a, b)]
    for side, rows in sides:
        if not rows:
            raise ReportError(f"campaign '{side.name}' has no successful job: run it first")
    figures = list(_difference_figures(comparison, words))
    table, verdicts = _differences(comparison, words), _verdicts(comparison, words)
    ceilings = {each: max(largest_of(rows, each) for _, rows in sides) for each in MEASURES}
    left, right = (
        sweep_figures(rows, words, prefix, ceilings)
        for (_, rows), prefix in zip(sides, ("a_", "b_"), strict=True)
    )
    all_rows = [rows_figure(a, words, "a_"), rows_figure(b, words, "b_")]
    parts = [
        _summary_part(comparison, words),
        f"<h2>{escape(verdicts.title)}</h2>",
        table_part(verdicts.table, words, verdicts.title),
        f"<p>{escape(verdicts.about)}</p>",
        f"<h2>{escape(words('figures'))}</h2>",
        '<div class="figures">',
        *(figure_part(each, words) for each in figures),
        "</div>",
        figure_part(table, words),
        f"<h2>{escape(words('comparison.sides'))}</h2>",
        f'<div class="pair"><h3>{escape(a.name)}</h3><h3>{escape(b.name)}</h3></div>',
        *_pairs(left, right, words),
        *_pairs([all_rows[0]], [all_rows[1]], words),
        *(settings_part(side, rows, words) for side, rows in sides),
    ]
    title = words("comparison.title", a=a.name, b=b.name)
    every = (verdicts, *figures, table, *left, *right, *all_rows)
    return write_page(Page(title, words, tuple(parts), every), path)


def _pairs(left: list[Figure], right: list[Figure], words: Words) -> Iterator[str]:
    """Yield what shows the same of both sides in one row of the page."""
    beside = {each.name.removeprefix("b_"): each for each in right}
    matched = [(each, beside.pop(each.name.removeprefix("a_"), None)) for each in left]
    for first, second in [*matched, *zip_longest([], beside.values())]:
        cells = [figure_part(each, words) if each else "<div></div>" for each in (first, second)]
        yield f'<div class="pair">{cells[0]}{cells[1]}</div>'


def _summary_part(comparison: Comparison, words: Words) -> str:
    told = [
        words(
            "comparison.pairs",
            a=comparison.a,
            b=comparison.b,
            pairs=words.number(comparison.pairs),
            unpaired=words.number(comparison.unpaired_a + comparison.unpaired_b),
        )
    ]
    if comparison.contrast:
        contrasts = [
            words(
                "comparison.contrast",
                name=words.noun(name),
                a=shown_value(name, first, words),
                b=shown_value(name, second, words),
            )
            for name, first, second in comparison.contrast
        ]
        told.append(words("comparison.contrasts", contrasts=words.listing(contrasts)))
    if not comparison.is_same_scenario:
        told.append(words("comparison.other_scenario"))
    sentences = "".join(f"<p>{escape(each)}</p>\n" for each in told)
    title = escape(words("summary.title"))
    return f'<section class="summary"><h2>{title}</h2>\n{sentences}</section>'


def _verdicts(comparison: Comparison, words: Words) -> Figure:
    """Return at how many points of the grid which side is better, by figure."""
    rows: list[tuple[Cell, ...]] = []
    for figure in HIGHER_IS_BETTER:
        found = [each.better for each in comparison.differences if each.figure == figure]
        counts = [found.count(each) for each in ("a", "b", "same", "open")]
        rows += [(words.noun(figure), *counts)] if found else []
    columns = ("figure", "better_a", "better_b", "better_same", "better_open")
    title = words("verdicts.title")
    about = words("verdicts.about", a=comparison.a, b=comparison.b)
    return Figure("verdicts", title, about, "", (), Table(columns, tuple(rows)))


def _difference_figures(comparison: Comparison, words: Words) -> Iterator[Figure]:
    for figure in DRAWN:
        found = [each for each in comparison.differences if each.figure == figure][:POINTS_MAX]
        if not found:
            continue
        labels = [_point(each, words) for each in found]
        rows = [
            (
                each.mean if each.low is None else each.low,
                each.mean,
                each.mean if each.high is None else each.high,
            )
            for each in found
        ]
        largest = max(max(abs(low), abs(high)) for low, _, high in rows)
        ticks = signed_ticks(largest, _signed(figure, words))
        name = f"difference_{figure}"
        yield Figure(
            name,
            words("difference.title", figure=words.noun(figure)),
            words("difference.about", a=comparison.a, b=comparison.b),
            interval_chart(name, labels, rows, Frame(words("axis.difference"), "", ticks)),
            (),
            Table(
                ("setting", "first", "second", "difference", "low", "high", "better"),
                tuple(
                    (label, each.mean_a, each.mean_b, each.mean, each.low, each.high, each.better)
                    for label, each in zip(labels, found, strict=True)
                ),
            ),
        )


def _signed(figure: str, words: Words) -> Callable[[float], str]:
    def text(value: float) -> str:
        size = abs(value)
        if figure in ("of_oracle", "delivered_urgent"):
            shown = words.percent(size)
        elif figure == "delay_median_s":
            shown = words.duration(size)
        else:
            shown = words.size(size) if figure == "sent_bytes" else words.figure(size)
        return ("−" if value < 0 else "+") + shown

    return text


def _point(each: Difference, words: Words) -> str:
    return ", ".join(shown_value(name, value, words) for name, value in each.point) or words(
        "difference.all"
    )


def _differences(comparison: Comparison, words: Words) -> Figure:
    names = [name for name, _ in comparison.differences[0].point] if comparison.differences else []
    rows: list[tuple[Cell, ...]] = [
        (
            *(value for _, value in each.point),
            each.figure,
            each.pairs,
            each.mean_a,
            each.mean_b,
            each.mean,
            each.low,
            each.high,
            each.better,
        )
        for each in comparison.differences
    ]
    columns = ("figure", "pairs", "first", "second", "difference", "low", "high", "better")
    title = words("difference.table")
    about = words("difference.rows", a=comparison.a, b=comparison.b)
    return Figure("differences", title, about, "", (), Table((*names, *columns), tuple(rows)))
