"""The report on a campaign: what its sentences, curves and rows say along each parameter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

from sims.campaign.parameters import PARAMETERS
from sims.campaign.results import FIGURES, CampaignResults
from sims.report.page import Page, figure_part, table_part, write_page
from sims.report.records import Figure, Table
from sims.report.sweeps import (
    Estimate,
    Row,
    estimate,
    flat_rows,
    shown_value,
    sweep_figures,
    usual_values,
    values_of,
    varying,
)
from sims.report.words import Cell, Language, ReportError, Words

__all__ = ["campaign_report", "rows_figure", "settings_part"]

ROWS_LISTED_MAX: Final = 2_000
"""Rows of the table in the page; the file of data has all."""


def campaign_report(results: CampaignResults, path: Path, *, language: Language = "en") -> Path:
    """Write the report on a campaign, complete or not, and return the page's place.

    `path` ends in `.html`, or is a folder that gets the page and all data. Equal input gives equal
    bytes. Raises: ReportError, also if no job succeeded. Cost: about 0.2 s for each figure.
    """
    words = Words(language)
    rows = flat_rows(results)
    if not rows:
        raise ReportError(f"campaign '{results.name}' has no successful job: run it first")
    figures = sweep_figures(rows, words)
    table = rows_figure(results, words)
    sentences = "".join(f"<p>{escape(each)}</p>\n" for each in _summary(results, rows, words))
    head = f"<h2>{escape(words('summary.title'))}</h2>"
    parts = (
        f'<section class="summary">{head}\n{sentences}</section>',
        f"<h2>{escape(words('figures'))}</h2>",
        '<div class="figures">',
        *(figure_part(each, words) for each in figures),
        "</div>",
        f"<h2>{escape(words('rows.title'))}</h2>",
        figure_part(table, words, ROWS_LISTED_MAX),
        settings_part(results, rows, words),
    )
    title = words("campaign.title", name=results.name)
    return write_page(Page(title, words, parts, (*figures, table)), path)


def _summary(results: CampaignResults, rows: Sequence[Row], words: Words) -> list[str]:
    told = [results.about] if results.about else []
    told.append(
        words(
            "campaign.setting",
            scenario=results.scenario,
            done=words.number(len(results.rows) - results.failed),
            jobs=words.number(results.jobs),
            seeds=words.number(len({row["seed"] for row in rows})),
        )
    )
    if results.failed or not results.is_complete:
        missing = results.jobs - len(results.rows)
        told.append(
            words(
                "campaign.missing",
                failed=words.number(results.failed),
                missing=words.number(missing),
            )
        )
    ranked = _ranking(rows)
    told.append(
        words(
            "campaign.best",
            ranking=words.listing([f"{name} {_plus_minus(each, words)}" for name, each in ranked]),
        )
    )
    told += _effects(rows, ranked[0][0], words)
    return told


def _ranking(rows: Sequence[Row]) -> list[tuple[str, Estimate]]:
    """Return the policies with their share of the possible at the usual values, best first."""
    usual = {name: value for name, value in usual_values(rows).items() if name != "policy"}
    found = [
        (name, _of_oracle(rows, {**usual, "policy": name})) for name in values_of(rows, "policy")
    ]
    return sorted(found, key=lambda each: -each[1].mean if each[1].runs else math.inf)


def _of_oracle(rows: Sequence[Row], point: dict[str, str]) -> Estimate:
    chosen = [row for row in rows if all(row[name] == value for name, value in point.items())]
    return estimate([float(each) for row in chosen if isinstance(each := row["of_oracle"], float)])


def _plus_minus(each: Estimate, words: Words) -> str:
    text = words.percent(each.mean)
    return f"{text} ± {words.percent(each.half)}" if math.isfinite(each.half) else text


def _effects(rows: Sequence[Row], policy: str, words: Words) -> list[str]:
    usual = usual_values(rows)
    told = []
    for axis in [name for name in varying(rows) if name != "policy"]:
        values = values_of(rows, axis)
        ends = [
            _of_oracle(rows, {**usual, "policy": policy, axis: value})
            for value in (values[0], values[-1])
        ]
        told.append(
            words(
                "campaign.effect",
                axis=words.noun(axis),
                low=shown_value(axis, values[0], words),
                high=shown_value(axis, values[-1], words),
                policy=policy,
                first=_plus_minus(ends[0], words),
                last=_plus_minus(ends[1], words),
            )
        )
    return told


def rows_figure(results: CampaignResults, words: Words, prefix: str = "") -> Figure:
    """Return all rows as a table, the failed ones among them."""
    several = {
        name
        for place, name in enumerate(PARAMETERS)
        if len({row.parameters.texts()[place] for row in results.rows}) > 1
    }
    names = [name for name in PARAMETERS if name in several]
    table: list[tuple[Cell, ...]] = []
    for row in results.rows:
        parameters = dict(zip(PARAMETERS, row.parameters.texts(), strict=True))
        figures = [_figure(row.figures, name) for name in FIGURES]
        table.append((row.seed, *(parameters[name] for name in names), *figures, row.error))
    columns = ("seed", *names, *FIGURES, "error")
    about = words("rows.about", rows=words.number(len(table)))
    title = words("rows.title")
    return Figure(f"{prefix}rows", title, about, "", (), Table(columns, tuple(table)))


def _figure(figures: object, name: str) -> Cell:
    value: Cell = None if figures is None else getattr(figures, name)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def settings_part(results: CampaignResults, rows: Sequence[Row], words: Words) -> str:
    """Return a table of what was the same in all runs."""
    moving = varying(rows)
    same: list[tuple[Cell, ...]] = [
        (words.heading(name), shown_value(name, str(rows[0][name]), words))
        for name in PARAMETERS
        if name not in moving
    ]
    same += [
        (words("settings.scenario"), f"{results.scenario} ({results.scenario_hash})"),
        (words("settings.version"), results.version),
        (words("options.digest"), results.digest or "–"),
    ]
    title = words("settings.title")
    table = Table(("option", "value"), tuple(same))
    return f"<h2>{escape(title)}</h2>\n{table_part(table, words, title)}"
