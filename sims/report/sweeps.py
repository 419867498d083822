"""What a campaign came to along each parameter of its grid: means over seeds with intervals.

One parameter varies at a time; the others stay at their usual value, which is the default where
the grid has it, else the first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sims.abstract.records import PolicyName
from sims.campaign.parameters import PARAMETERS, Parameters, text_of
from sims.campaign.results import FIGURES, CampaignResults
from sims.campaign.student import t_quantile
from sims.report.drawing import (
    SERIES_COLOURS,
    SERIES_MARKERS,
    Bars,
    Frame,
    Line,
    bar_chart,
    line_chart,
)
from sims.report.records import Figure, Table, line_keys
from sims.report.ticks import Tick, count_ticks, share_ticks, size_ticks, time_ticks
from sims.report.words import Cell, Words

__all__ = [
    "Estimate",
    "Row",
    "estimate",
    "flat_rows",
    "largest_of",
    "shown_value",
    "sweep_figures",
    "usual_values",
    "values_of",
    "varying",
]

Row = Mapping[str, Cell]
"""One job: seed, parameters as text, figures as numbers."""

CONFIDENCE: Final = 0.95
_POLICIES: Final = tuple(map(str, PolicyName))
"""A policy has the same colour and marker in all reports."""
CLASSES: Final = ("urgent", "normal", "bulk")
CLASS_SHARES: Final = tuple(
    f"of_oracle_{name}" if f"oracle_{name}" in FIGURES else f"delivered_{name}" for name in CLASSES
)
"""Of each class: the share of what was possible where a campaign holds that, else of all."""
SHARES: Final = ("of_oracle", *CLASS_SHARES)
MEASURES: Final = (*SHARES, "overhead", "delay_median_s", "sent_bytes")
"""What is drawn along each parameter."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds."""

    mean: float
    """NaN where no run has the figure."""
    half: float
    """Half the width of its 95 % interval; NaN with fewer than two runs."""
    runs: int
    """How many runs have the figure."""


def estimate(values: Sequence[float]) -> Estimate:
    """Return the mean of the finite values with its interval by the t distribution."""
    known = np.array([each for each in values if math.isfinite(each)])
    if len(known) < 2:
        return Estimate(float(known[0]) if len(known) else math.nan, math.nan, len(known))
    half = t_quantile(CONFIDENCE, len(known) - 1) * known.std(ddof=1) / math.sqrt(len(known))
    return Estimate(float(known.mean()), float(half), len(known))


def flat_rows(results: CampaignResults) -> list[Row]:
    """Return the rows of the jobs that did not fail, with the share of the possible by class."""
    rows = list[Row]()
    for row in results.rows:
        if row.figures is None:
            continue
        figures: dict[str, Cell] = {name: getattr(row.figures, name) for name in FIGURES}
        for name in CLASSES:
            if f"oracle_{name}" in FIGURES:
                possible = _number(figures[f"oracle_{name}"])
                share = _number(figures[f"delivered_{name}"])
                figures[f"of_oracle_{name}"] = share / possible if possible > 0 else math.nan
        parameters = dict(zip(PARAMETERS, row.parameters.texts(), strict=True))
        rows.append({"seed": row.seed, **parameters, **figures})
    return rows


def _number(value: Cell) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def varying(rows: Sequence[Row]) -> list[str]:
    """Return the parameters with more than one value, in the order of the record."""
    return [name for name in PARAMETERS if len({row[name] for row in rows}) > 1]


def values_of(rows: Sequence[Row], name: str) -> list[str]:
    """Return the values of a parameter as text: rising numbers, without bound as the last."""
    return sorted({str(row[name]) for row in rows}, key=lambda text: _rank(name, text))


def _rank(name: str, text: str) -> tuple[float, str]:
    try:
        value = float(text)
    except ValueError:
        return 0.0, text
    is_unbounded = value == 0 and name in ("buffer_bytes", "rate_bytes_s")
    return math.inf if is_unbounded else value, text


def usual_values(rows: Sequence[Row]) -> dict[str, str]:
    """Return the value of each varying parameter that stays while others vary."""
    usual = {}
    for name in varying(rows):
        values, default = values_of(rows, name), text_of(getattr(Parameters(), name))
        usual[name] = default if default in values else values[0]
    return usual


def shown_value(name: str, text: str, words: Words) -> str:
    """Return a value as people read it."""
    rank = _rank(name, text)[0]
    if math.isinf(rank):
        return words("options.unbounded")
    if name == "buffer_bytes":
        return words.size(rank)
    if name == "rate_bytes_s":
        return f"{words.size(rank)}/s"
    if name.endswith("_share"):
        return words.percent(rank, 0)
    if name.endswith("_scale"):
        return f"{words.figure(rank)}×"
    if name.endswith("_s"):
        return words.duration(rank)
    words_of = {"true": words("yes"), "false": words("no"), "policy": words("options.of_policy")}
    return words_of.get(text, text)


def largest_of(rows: Sequence[Row], measure: str) -> float:
    """Return the largest value of a measure, 0 without any."""
    return max((v for row in rows if math.isfinite(v := _number(row[measure]))), default=0.0)


def sweep_figures(
    rows: Sequence[Row], words: Words, prefix: str = "", ceilings: Mapping[str, float] | None = None
) -> list[Figure]:
    """Return a figure for each measure along each varying parameter; by policy where only that
    varies. `prefix` keeps names of two campaigns apart; `ceilings` gives both the same scales.
    """
    tops = dict(ceilings or {measure: largest_of(rows, measure) for measure in MEASURES})
    axes = [name for name in varying(rows) if name != "policy"]
    if not axes:
        return [_by_policy(rows, each, words, (prefix, tops[each])) for each in MEASURES]
    return [
        _swept(rows, axis, measure, words, (prefix, tops[measure]))
        for axis in sorted(axes, key=lambda name: name != "buffer_bytes")
        for measure in MEASURES
        if axis == "buffer_bytes" or measure not in SHARES[2:]
    ]


def _swept(
    rows: Sequence[Row], axis: str, measure: str, words: Words, scale: tuple[str, float]
) -> Figure:
    prefix, top = scale
    usual = {name: value for name, value in usual_values(rows).items() if name != axis}
    policies, values = values_of(rows, "policy"), values_of(rows, axis)
    usual.pop("policy", None)
    lines, table = [], list[tuple[Cell, ...]]()
    places = np.arange(len(values), dtype=np.float64)
    for policy in policies:
        index = _POLICIES.index(policy)
        found = [_at(rows, {**usual, "policy": policy, axis: value}, measure) for value in values]
        means = np.array([each.mean for each in found])
        halves = np.nan_to_num(np.array([each.half for each in found]))
        bounds = (means - halves, means + halves)
        lines.append(
            Line(
                policy,
                places,
                means,
                SERIES_COLOURS[index % 8],
                False,
                SERIES_MARKERS[index % 7],
                *bounds,
            )
        )
        table += [
            (policy, value, _known(each.mean), _known(each.half), each.runs)
            for value, each in zip(values, found, strict=True)
        ]
    name = f"{prefix}{measure}_by_{axis}"
    x_ticks = tuple((float(at), shown_value(axis, text, words)) for at, text in enumerate(values))
    frame = Frame(
        words.noun(axis), words(f"measure.{measure}"), x_ticks, _ticks(measure, top, words)
    )
    title = words("sweep.title", measure=words(f"measure.{measure}"), axis=words.noun(axis))
    about = words("sweep.about", others=_others(usual, words)) + " " + words(f"about.{measure}")
    svg = line_chart(name, lines, frame)
    columns = ("policy", axis, "mean", "interval", "runs")
    return Figure(name, title, about, svg, line_keys(lines), Table(columns, tuple(table)))


def _by_policy(rows: Sequence[Row], measure: str, words: Words, scale: tuple[str, float]) -> Figure:
    prefix, top = scale
    policies = values_of(rows, "policy")
    found = [_at(rows, {"policy": policy}, measure) for policy in policies]
    ticks = _ticks(measure, top, words)
    texts = [_with_interval(each, measure, words) for each in found]
    name = f"{prefix}{measure}_by_policy"
    bars = Bars("", np.nan_to_num(np.array([each.mean for each in found])), "blue")
    label = words(f"measure.{measure}")
    title = words("sweep.title", measure=label, axis=words.noun("policy"))
    about = words("sweep.about", others=_others({}, words)) + " " + words(f"about.{measure}")
    svg = bar_chart(name, policies, [bars], Frame(label, "", ticks), texts)
    table: tuple[tuple[Cell, ...], ...] = tuple(
        (policy, _known(each.mean), _known(each.half), each.runs)
        for policy, each in zip(policies, found, strict=True)
    )
    columns = ("policy", "mean", "interval", "runs")
    return Figure(name, title, about, svg, (), Table(columns, table))


def _at(rows: Sequence[Row], point: Mapping[str, str], measure: str) -> Estimate:
    chosen = [row for row in rows if all(row[name] == value for name, value in point.items())]
    return estimate([_number(row[measure]) for row in chosen])


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _others(usual: Mapping[str, str], words: Words) -> str:
    told = [
        f"{words.noun(name)} {shown_value(name, value, words)}" for name, value in usual.items()
    ]
    return words("sweep.others", values=words.listing(told)) if told else ""


def _with_interval(each: Estimate, measure: str, words: Words) -> str:
    text = _text(measure, words)
    return text(each.mean) + (f" ± {text(each.half)}" if math.isfinite(each.half) else "")


def _text(measure: str, words: Words) -> Callable[[float], str]:
    if measure in SHARES:
        return words.percent
    return {"sent_bytes": words.size, "delay_median_s": words.duration}.get(measure, words.figure)


def _ticks(measure: str, top: float, words: Words) -> tuple[Tick, ...]:
    if measure in SHARES:
        return share_ticks(words)
    if measure == "delay_median_s":
        return time_ticks(top, words)
    return size_ticks(top, words) if measure == "sent_bytes" else count_ticks(top, words)
