"""Draws the plots of a report as SVG: letters stay letters, colours are those of the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any, Final

from meshnode.cli.language import say
from meshnode.cli.report_tables import OUTCOMES, delay_text, name_text

__all__ = ["delay_plot", "delivery_plot", "place_plot"]

Json = dict[str, Any]
_LABEL: Final = 150
_BAR: Final = 420
_ROW: Final = 22
_END: Final = 110
_WIDTH: Final = _LABEL + _BAR + _END
_PERCENTILES: Final = (("p50_s", "half within", 5), ("p90_s", "90 % within", 4))
_SQUARE: Final = 26
_SQUARES_MAX: Final = 60
"""Squares from west to east, and from south to north, that one plot has room for."""


def delay_plot(groups: Sequence[Json]) -> str:
    """Return delays as marks on a scale on which equal steps multiply; empty without any."""
    rows = [each for each in groups if each["delays"]["p50_s"] is not None]
    if not rows:
        return ""
    longest_s = max(each["delays"]["p90_s"] or each["delays"]["p50_s"] for each in rows)
    longest = math.log1p(max(longest_s, 60))
    parts = []
    for at, each in enumerate(rows):
        middle = _ROW * at + 14
        parts.append(_text(_LABEL - 8, middle, name_text(each), "end"))
        parts.append(_line(_LABEL, middle - 4, _LABEL + _BAR))
        for place, (name, words, size) in enumerate(_PERCENTILES):
            seconds = each["delays"][name]
            if seconds is None:
                continue
            x = _LABEL + _BAR * math.log1p(seconds) / longest
            said = f"{name_text(each)}, {say(words)} {delay_text(seconds)}"
            shape = (
                f'<circle cx="{x:.1f}" cy="{middle - 4}" r="{size}" class="c0">'
                if place == 0
                else f'<rect x="{x - size:.1f}" y="{middle - 4 - size}" width="{2 * size}" '
                f'height="{2 * size}" class="c1">'
            )
            tag = "circle" if place == 0 else "rect"
            parts.append(f"{shape}<title>{escape(said)}</title></{tag}>")
        last = each["delays"]["p90_s"] or each["delays"]["p50_s"]
        parts.append(_text(_LABEL + _BAR + 10, middle, delay_text(last)))
    key = f"● {say('half within')}   ■ {say('90 % within')}"
    parts.append(_text(_LABEL, _ROW * len(rows) + 14, key))
    return _svg(_WIDTH, _ROW * len(rows) + 24, say("Delays"), parts)


def delivery_plot(groups: Sequence[Json]) -> str:
    """Return shares of what became of messages, one bar for each group; empty without any."""
    rows = [each for each in groups if each["messages"]]
    if not rows:
        return ""
    parts = []
    for at, each in enumerate(rows):
        top, x = _ROW * at, float(_LABEL)
        parts.append(_text(_LABEL - 8, top + 14, name_text(each), "end"))
        for place, (name, words) in enumerate(OUTCOMES.items()):
            width = _BAR * each[name] / each["messages"]
            said = f"{name_text(each)}, {say(words)}: {each[name]}"
            parts.append(
                f'<rect x="{x:.1f}" y="{top + 3}" width="{width:.1f}" height="15" class="c{place}">'
                f"<title>{escape(said)}</title></rect>"
            )
            x += width
        share = 100 * (each["acknowledged"] + each["at_centre"]) / each["messages"]
        parts.append(_text(_LABEL + _BAR + 10, top + 14, f"{share:.0f} %"))
    bottom, x = _ROW * len(rows) + 8, 0
    for place, words in enumerate(OUTCOMES.values()):
        parts.append(f'<rect x="{x}" y="{bottom}" width="12" height="12" class="c{place}"/>')
        parts.append(_text(x + 17, bottom + 11, say(words)))
        x += _WIDTH // len(OUTCOMES)
    return _svg(_WIDTH, bottom + 20, say("Messages"), parts)


def place_plot(cells: Sequence[Json]) -> str:
    """Return squares, the darker the oftener there was no network; empty without any.

    Squares far from the others are left to the table: the plot is of the largest part around.
    """
    if not cells:
        return ""
    first = max(cells, key=lambda each: int(each["looks"]))
    reach = _SQUARES_MAX / 20
    near = [
        each
        for each in cells
        if abs(each["south"] - first["south"]) < reach and abs(each["west"] - first["west"]) < reach
    ]
    west = min(each["west"] for each in near)
    north = max(each["south"] for each in near)
    parts = []
    for each in near:
        x = round((each["west"] - west) * 10) * _SQUARE
        y = round((north - each["south"]) * 10) * _SQUARE
        share = each["bearers"]["none"] / each["looks"]
        said = say(
            "{south} {west}: no network in {share} % of {looks} looks",
            south=f"{each['south']:.1f}",
            west=f"{each['west']:.1f}",
            share=f"{100 * share:.0f}",
            looks=each["looks"],
        )
        parts.append(
            f'<rect x="{x}" y="{y}" width="{_SQUARE - 1}" height="{_SQUARE - 1}" class="none" '
            f'style="fill-opacity:{0.1 + 0.9 * share:.2f}"><title>{escape(said)}</title></rect>'
        )
        parts.append(_text(x + _SQUARE // 2, y + 17, f"{100 * share:.0f}", "middle"))
    width = max(round((each["west"] - west) * 10) for each in near) * _SQUARE + _SQUARE
    height = max(round((north - each["south"]) * 10) for each in near) * _SQUARE + _SQUARE
    return _svg(width, height, say("Networks by place"), parts)


def _svg(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(words)}</text>'


def _line(left: float, y: float, right: float) -> str:
    return f'<line x1="{left}" y1="{y}" x2="{right}" y2="{y}"/>'
