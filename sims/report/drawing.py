"""Draws charts as SVG that can stand in a page: no display, no file, no date, no address.

The only file that knows matplotlib. Colours become variables of the page, so that a chart follows
its light or dark theme; letters stay letters, so that they are read, searched and spoken.
"""

from __future__ import annotations

import io
import re
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure as Canvas

from sims.report.ticks import Tick

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = [
    "COLOURS",
    "SERIES_COLOURS",
    "SERIES_MARKERS",
    "Bars",
    "Colour",
    "Frame",
    "Line",
    "Marker",
    "bar_chart",
    "interval_chart",
    "line_chart",
]

Colour: TypeAlias = Literal[
    "ink", "faint", "red", "blue", "green", "purple", "amber", "grey", "cyan", "pink"
]
Marker: TypeAlias = Literal["", "o", "s", "^", "D", "v", "P", "X"]
Floats: TypeAlias = "NDArray[np.float64]"

COLOURS: Final[dict[Colour, tuple[str, str]]] = {
    "ink": ("#1c2128", "#e6edf3"),
    "faint": ("#d8dee4", "#3d444d"),
    "red": ("#c4320a", "#ff8f6b"),
    "blue": ("#0b63b0", "#6cb6ff"),
    "green": ("#1a7f4b", "#57d08b"),
    "purple": ("#7a4ca0", "#c9a2f0"),
    "amber": ("#9a6700", "#e3b341"),
    "grey": ("#6e7781", "#9aa4ae"),
    "cyan": ("#0f7c8a", "#56d4dd"),
    "pink": ("#b0306a", "#ff9bce"),
}
"""Each colour on a light and on a dark page; all have a contrast of 3 and more to it."""

SERIES_COLOURS: Final[tuple[Colour, ...]] = (
    "blue",
    "red",
    "green",
    "purple",
    "amber",
    "cyan",
    "pink",
    "grey",
)
"""For series that have no colour of their own, in this order."""

SERIES_MARKERS: Final[tuple[Marker, ...]] = ("o", "s", "^", "D", "v", "P", "X")
"""For such series, in this order."""

_LABEL_CHARACTERS_MAX: Final = 20
_BAR_INCHES: Final = 0.27
_WIDTH_INCHES: Final = 3.8
"""Narrow, so that letters are readable when the page is as wide as a phone."""
_HEIGHT_INCHES: Final = 2.7


@dataclass(frozen=True, slots=True)
class Line:
    """One curve of a chart."""

    label: str
    """What the legend calls it."""
    x: Floats
    """Shape (n_points,), rising."""
    y: Floats
    """Shape (n_points,); NaN leaves a gap."""
    colour: Colour
    """Of the curve."""
    is_dashed: bool = False
    """Whether it is a bound or a reference, not a result."""
    marker: Marker = ""
    """Shape put on some points, so that colour is not the only difference."""
    low: Floats | None = None
    """Lower edge of a band around it."""
    high: Floats | None = None
    """Upper edge of that band."""


@dataclass(frozen=True, slots=True)
class Bars:
    """One series of a chart of bars, stacked on those before it."""

    label: str
    """What the legend calls it."""
    values: Floats
    """Shape (n_bars,), 0 or above."""
    colour: Colour
    """Of the bars."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What is written around a chart."""

    x_label: str
    """What the horizontal axis counts."""
    y_label: str
    """What the vertical axis counts."""
    x_ticks: tuple[Tick, ...] = field(default=())
    """Places and texts along the horizontal axis."""
    y_ticks: tuple[Tick, ...] = field(default=())
    """Places and texts along the vertical axis."""
    is_log_x: bool = False
    """Whether equal steps to the right multiply."""
    is_step: bool = False
    """Whether a curve stays level until its next point."""


def line_chart(name: str, lines: Sequence[Line], frame: Frame) -> str:
    """Return curves as SVG. `name` is unique in the page. Cost: about 50 ms."""
    canvas = Canvas(figsize=(_WIDTH_INCHES, _HEIGHT_INCHES), layout="constrained")
    with mpl.rc_context(_settings(name)):
        axes = canvas.add_subplot()
        if frame.is_log_x:
            axes.set_xscale("log")
        for line in lines:
            _draw_line(axes, line, frame.is_step)
        _dress(axes, frame)
        return _finish(canvas, name)


def _draw_line(axes: Axes, line: Line, is_step: bool) -> None:
    if line.low is not None and line.high is not None:
        axes.fill_between(
            line.x, line.low, line.high, color=COLOURS[line.colour][0], alpha=0.18, linewidth=0
        )
    axes.plot(
        line.x,
        line.y,
        color=COLOURS[line.colour][0],
        linestyle=(0, (4, 2)) if line.is_dashed else "-",
        linewidth=1.4 if line.is_dashed else 2.0,
        drawstyle="steps-post" if is_step else "default",
        marker=line.marker or None,
        markersize=4.5,
        markevery=max(len(line.x) // 8, 1),
        clip_on=False,
    )


def bar_chart(
    name: str, labels: Sequence[str], series: Sequence[Bars], frame: Frame, texts: Sequence[str]
) -> str:
    """Return bars that lie on their sides, the first on top, as SVG; `texts` stand behind them."""
    height = max(1.15 + _BAR_INCHES * len(labels), 1.7)
    canvas = Canvas(figsize=(_WIDTH_INCHES, height), layout="constrained")
    with mpl.rc_context(_settings(name)):
        axes = canvas.add_subplot()
        places = np.arange(len(labels), dtype=np.float64)
        left = np.zeros(len(labels))
        for each in series:
            axes.barh(
                places, each.values, 0.68, left=left, color=COLOURS[each.colour][0], linewidth=0
            )
            left = left + each.values
        for place, end, text in zip(places, left, texts, strict=True):
            axes.annotate(
                _shown(text), (end, place), (4, 0), textcoords="offset points", va="center"
            ).set_color(COLOURS["ink"][0])
        ticks = tuple(
            (float(place), _shown(text)) for place, text in zip(places, labels, strict=True)
        )
        _dress(axes, Frame(frame.x_label, frame.y_label, frame.x_ticks, ticks))
        axes.set_ylim(len(labels) - 0.45, -0.55)
        # Room for the text behind the longest bar.
        axes.set_xlim(0, max(float(left.max(initial=0.0)), 1e-12) * 1.22)
        axes.grid(visible=False, axis="y")
        return _finish(canvas, name)


def interval_chart(
    name: str, labels: Sequence[str], rows: Sequence[tuple[float, float, float]], frame: Frame
) -> str:
    """Return one row for each (low, middle, high) with a line at 0, the first on top, as SVG."""
    height = max(1.15 + _BAR_INCHES * len(labels), 1.7)
    canvas = Canvas(figsize=(_WIDTH_INCHES, height), layout="constrained")
    with mpl.rc_context(_settings(name)):
        axes = canvas.add_subplot()
        axes.axvline(0.0, color=COLOURS["ink"][0], linewidth=1.2)
        for place, (low, middle, high) in enumerate(rows):
            is_clear = low > 0 or high < 0
            colour = COLOURS["blue" if is_clear else "grey"][0]
            axes.plot([low, high], [place, place], color=colour, linewidth=2.4)
            axes.plot([middle], [place], color=colour, marker="o", markersize=6)
        ticks = tuple((float(place), _shown(text)) for place, text in enumerate(labels))
        _dress(axes, Frame(frame.x_label, frame.y_label, frame.x_ticks, ticks))
        axes.set_ylim(len(labels) - 0.45, -0.55)
        axes.grid(visible=False, axis="y")
        return _finish(canvas, name)


def _dress(axes: Axes, frame: Frame) -> None:
    ink, faint = COLOURS["ink"][0], COLOURS["faint"][0]
    axes.set_xlabel(_shown(frame.x_label, 60), color=ink)
    axes.set_ylabel(_shown(frame.y_label, 60), color=ink)
    for axis, ticks in ((axes.xaxis, frame.x_ticks), (axes.yaxis, frame.y_ticks)):
        axis.set_ticks([place for place, _ in ticks], [text for _, text in ticks])
        axis.set_ticks([], minor=True)
    if frame.x_ticks:
        axes.set_xlim(frame.x_ticks[0][0], None)
    if frame.y_ticks:
        axes.set_ylim(frame.y_ticks[0][0], max(frame.y_ticks[-1][0], axes.get_ylim()[1]))
    axes.tick_params(colors=ink, length=3, color=faint)
    axes.grid(visible=True, color=faint, linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(faint)


def _shown(text: str, longest: int = _LABEL_CHARACTERS_MAX) -> str:
    """Return a text that fits, on one line, without characters that no page may hold."""
    clean = "".join("\ufffd" if unicodedata.category(each)[0] == "C" else each for each in text)
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"


def _settings(name: str) -> dict[Any, Any]:
    """Return the settings of one chart, whatever those of the machine are."""
    return {
        **mpl.rcParamsDefault,
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "font.family": ["DejaVu Sans"],
        "font.size": 9.5,
        "text.parse_math": False,
        "text.usetex": False,
    }


# --- from a file of its own to a part of a page --------------------------------------------------


def _finish(canvas: Canvas, name: str) -> str:
    file = io.StringIO()
    with warnings.catch_warnings():
        # A letter that this machine cannot measure is still drawn by the browser.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        canvas.savefig(
            file, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
    return _as_part(file.getvalue(), name)


def _as_part(svg: str, name: str) -> str:
    text = svg[svg.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<svg [^>]*?viewBox=\"([^\"]*)\"[^>]*>", r'<svg viewBox="\1">', text, count=1)
    # Two charts of one page must not share a name.
    text = re.sub(r'\bid="([^"]*)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(?:xlink:)?href="#([^"]*)"', rf'href="#{name}-\1"', text)
    text = re.sub(r"url\(#([^)]*)\)", rf"url(#{name}-\1)", text)
    text = re.sub(r"'DejaVu Sans'(?:, [^;\"]*)?", "system-ui, sans-serif", text)
    for colour, (light, _) in COLOURS.items():
        text = text.replace(light, f"var(--{colour})")
    return re.sub(r"\n\s*", "\n", text).strip()
