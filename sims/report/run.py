"""The report on one run, or on several policies over one region."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from sims.abstract.records import Fate, Outcome
from sims.region import Region
from sims.report.animation import animation_of, thinned_note
from sims.report.measures import CLASSES, Run, delays_of, make_run, stretch_of
from sims.report.page import Page, embedded_json, figure_part, table_part, write_page
from sims.report.records import Figure, Table
from sims.report.run_charts import run_figures
from sims.report.story import advice, headline, summary
from sims.report.words import Cell, Language, ReportError, Words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sims.costs import CostAccount
    from sims.energy import EnergyUse

__all__ = ["run_report"]

MESSAGES_LISTED_MAX: Final = 2_000
"""Rows of the table of messages; where there are more, it lists those that did not arrive first."""


def run_report(
    region: Region,
    outcomes: Outcome | Sequence[Outcome],
    arrivals_s: NDArray[np.float64] | None,
    path: Path,
    *,
    energy: EnergyUse | None = None,
    account: CostAccount | None = None,
    language: Language = "en",
) -> Path:
    """Write the report on a run and return the page's place.

    With several outcomes the page is about the first; the others stand beside it where delays and
    totals are compared. `arrivals_s` is the best possible arrival of each message, shape
    (n_messages,), NaN where there is none in time; energy and costs get their place where they were
    accounted. `path` ends in `.html`, or is a folder that gets
    the page and all data. Equal input gives equal bytes. Raises: ReportError. Cost: about 2 s, and
    up to 3 MB.
    """
    words = Words(language)
    results = (outcomes,) if isinstance(outcomes, Outcome) else tuple(outcomes)
    if not results:
        raise ReportError("a report needs at least one outcome: simulate the region first")
    runs = [make_run(region, each, arrivals_s) for each in results]
    runs[0] = make_run(region, results[0], arrivals_s, energy, account)
    names = _names(results)
    figures = run_figures(runs, names, words)
    messages = _messages(runs[0], words)
    options = _options(runs[0], words)
    parts = [_summary_part(runs[0], words)]
    if len(runs) > 1:
        parts.append(_outcomes_part(runs, names, words))
    parts += [
        _animation_part(runs[0], words),
        f"<h2>{escape(words('figures'))}</h2>",
        '<div class="figures">',
        *(figure_part(each, words) for each in figures),
        "</div>",
        f"<h2>{escape(words('messages.title'))}</h2>",
        figure_part(messages, words),
        f"<h2>{escape(words('options.title'))}</h2>",
        table_part(options.table, words, options.title),
        f"<p>{escape(words('options.about'))}</p>",
    ]
    title = words("run.title", name=region.name)
    page = Page(
        title, words, tuple(parts), (*figures, messages, options), ("tables.js", "player.js")
    )
    return write_page(page, path)


def _names(outcomes: Sequence[Outcome]) -> list[str]:
    """Return a name for each outcome: its policy, and what else is needed to tell them apart."""
    names = [str(each.options.policy) for each in outcomes]
    if len(set(names)) < len(names):
        names = [
            f"{each.options.policy}, {each.options.buffer_bytes} B, {each.options.seed}"
            for each in outcomes
        ]
    if len(set(names)) < len(names):
        names = [f"{name} ({number})" for number, name in enumerate(names, start=1)]
    return names


def _summary_part(run: Run, words: Words) -> str:
    tiles = "".join(
        f"<li><strong>{escape(value)}</strong>{escape(label)}</li>"
        for value, label in headline(run, words)
    )
    sentences = "".join(f"<p>{escape(each)}</p>\n" for each in summary(run, words))
    changes = "".join(f"<li>{escape(each)}</li>" for each in advice(run, words))
    return (
        f'<ul class="tiles">{tiles}</ul>\n<div class="story"><section class="summary">'
        f"<h2>{escape(words('summary.title'))}</h2>\n{sentences}</section>\n"
        f'<section class="advice"><h2>{escape(words("advice.title"))}</h2>\n'
        f"<ul>{changes}</ul></section></div>"
    )


def _outcomes_part(runs: Sequence[Run], names: Sequence[str], words: Words) -> str:
    rows = []
    for run, name in zip(runs, names, strict=True):
        delays = delays_of(run, run.outcome.delivered_s)[run.delivered]
        arrived = len(delays)
        shares = [_share(run, run.of_class(number), words) for number in range(len(CLASSES))]
        beyond = (run.outcome.transfers - arrived) / arrived if arrived else None
        middle = words.duration(float(np.median(delays)) if arrived else np.nan)
        rows.append((name, arrived, *shares, beyond, middle))
    columns = ("policy", "delivered", *CLASSES, "overhead", "delay_median")
    title = words("outcomes.title")
    return f"<h2>{escape(title)}</h2>\n" + table_part(Table(columns, tuple(rows)), words, title)


def _share(run: Run, chosen: NDArray[np.bool_], words: Words) -> str:
    total = int(chosen.sum())
    return words.percent(int(run.delivered[chosen].sum()) / total) if total else "–"


# --- animation -----------------------------------------------------------------------------------


def _animation_part(run: Run, words: Words) -> str:
    data = animation_of(run, words)
    kind = str(data["kind"])
    about = words(f"{kind}.about")
    note = thinned_note(data, words)
    speeds = "".join(
        f'<option value="{seconds}"{" selected" if seconds == 60 else ""}>'
        f"{escape(words('player.speed', time=words.duration(seconds)))}</option>"
        for seconds in (20, 60, 180)
    )
    return (
        f"<h2>{escape(words(f'{kind}.title'))}</h2>\n"
        f'<figure class="figure player" id="animation">\n{_player_legend(words, kind)}'
        f'<canvas role="img" aria-label="{escape(about)}" aria-describedby="status"></canvas>\n'
        f'<div class="controls"><button type="button" id="play">{escape(words("player.play"))}'
        f'</button><input type="range" id="time" min="0" max="1000" value="0" step="1" '
        f'aria-label="{escape(words("player.time"))}"><select id="speed" '
        f'aria-label="{escape(words("player.speed_label"))}">{speeds}</select></div>\n'
        f'<output class="status" id="status" for="time"></output>\n'
        f"<noscript><p>{escape(words('player.noscript'))}</p></noscript>\n"
        f"<figcaption>{escape(about)} {escape(note)}</figcaption>\n</figure>\n"
        f"{embedded_json('animation-data', data)}"
    )


def _player_legend(words: Words, kind: str) -> str:
    roles = (("pink", "gateway"), ("amber", "relay"), ("cyan", "leader"), ("grey", "agent"))
    items = [(colour, words(f"role.{role}")) for colour, role in roles]
    if kind == "timeline":
        items = [("faint", words("timeline.met"))]
    items += [
        (colour, words(f"player.{name}"))
        for colour, name in zip(("red", "blue", "green"), CLASSES, strict=True)
    ]
    return (
        '<ul class="legend">'
        + "".join(
            f'<li><svg class="swatch round" viewBox="0 0 14 12" fill="var(--{colour})" '
            f'aria-hidden="true"><circle cx="7" cy="6" r="5"/></svg>{escape(label)}</li>'
            for colour, label in items
        )
        + "</ul>\n"
    )


# --- tables --------------------------------------------------------------------------------------


def _messages(run: Run, words: Words) -> Figure:
    region, outcome, workload = run.region, run.outcome, run.region.workload
    delays = delays_of(run, outcome.delivered_s)
    best = delays_of(run, run.arrivals_s) if run.arrivals_s is not None else delays * np.nan
    stretch = stretch_of(run)
    order = np.argsort(outcome.fate == Fate.DELIVERED, kind="stable")[:MESSAGES_LISTED_MAX]
    rows: list[tuple[Cell, ...]] = [
        (
            workload.names[each],
            words(f"class.{CLASSES[workload.priority[each]]}"),
            region.labels[workload.source[each]],
            region.labels[workload.destination[each]],
            int(workload.size_bytes[each]),
            float(workload.created_s[each]),
            words(f"fate.{Fate(int(outcome.fate[each])).name.lower()}"),
            _known(delays[each]),
            _known(best[each]),
            _known(stretch[each]),
            int(outcome.hops[each]),
            region.labels[outcome.died_at[each]] if outcome.died_at[each] >= 0 else None,
        )
        for each in np.sort(order).tolist()
    ]
    columns = (
        *("message", "class", "source", "destination", "size_bytes", "written_s", "fate"),
        *("delay_s", "best_delay_s", "times_as_long", "hops", "died_at"),
    )
    about = words("messages.about", shown=words.number(len(rows)), all=words.number(len(workload)))
    return Figure("messages", words("messages.table"), about, "", (), Table(columns, tuple(rows)))


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _options(run: Run, words: Words) -> Figure:
    options, outcome = run.outcome.options, run.outcome
    none = words("options.unbounded")
    yes_no = {True: words("yes"), False: words("no"), None: words("options.of_policy")}
    rows: tuple[tuple[Cell, ...], ...] = (
        (words("column.policy"), str(options.policy)),
        (
            words("options.buffer"),
            words.size(options.buffer_bytes) if options.buffer_bytes else none,
        ),
        (
            words("options.rate"),
            f"{words.size(options.rate_bytes_s)}/s" if options.rate_bytes_s else none,
        ),
        (words("column.seed"), str(options.seed)),
        (words("options.copies"), words.number(options.copies)),
        (words("options.receipts"), yes_no[options.has_receipts]),
        (words("options.resume"), yes_no[options.has_resume]),
        (words("options.transfers"), words.number(outcome.transfers)),
        (words("options.cut"), words.number(int(outcome.cut_transfers))),
        (words("options.digest"), outcome.digest),
    )
    title = words("options.title")
    return Figure("options", title, title, "", (), Table(("option", "value"), rows))
