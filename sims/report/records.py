"""What a page is made of: tables, figures, and legends. Knows neither HTML nor a simulator."""

from __future__ import annotations

from dataclasses import dataclass

from sims.report.drawing import Bars, Colour, Line, Marker
from sims.report.words import Cell

__all__ = ["Figure", "Key", "Table", "bar_keys", "line_keys"]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of figures or texts under named columns."""

    columns: tuple[str, ...]
    """Names with unit, as in a file of data; the page shows them in the reader's language."""
    rows: tuple[tuple[Cell, ...], ...]
    """Each with one field for each column; None where nothing is known."""


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of a legend."""

    label: str
    """What it stands for."""
    colour: Colour
    """Of the curve or the bar."""
    is_line: bool = False
    """Whether it is a curve."""
    is_dashed: bool = False
    """Whether that curve is dashed."""
    marker: Marker = ""
    """Shape on the curve."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with everything that stands for it where it cannot be seen."""

    name: str
    """Unique in the page; name of its file of data."""
    title: str
    """Heading."""
    about: str
    """What it shows and what it comes to, in a sentence or two; read instead of the chart."""
    svg: str
    """The chart; empty where a table says it better."""
    keys: tuple[Key, ...]
    """The legend."""
    table: Table
    """What is drawn, as data."""


def line_keys(lines: list[Line]) -> tuple[Key, ...]:
    """Return the legend of curves."""
    return tuple(Key(each.label, each.colour, True, each.is_dashed, each.marker) for each in lines)


def bar_keys(series: list[Bars]) -> tuple[Key, ...]:
    """Return the legend of bars; none for a single series, which the axis names."""
    return tuple(Key(each.label, each.colour) for each in series) if len(series) > 1 else ()
