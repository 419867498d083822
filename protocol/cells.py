"""The fixed grid of the Earth that coverage is counted on: cells of about 500 m, parts of a day.

Whole numbers alone, so that every device gives one place the same cell, whatever its processor
makes of a cosine: the width of a row comes from Bhaskara's rational cosine, which is off by 0.0017
at most. Source: wire-format 4.41; R. C. Gupta, Bhaskara I's approximation to sine, Indian Journal
of History of Science 2 (1967).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

__all__ = ["CELLS", "Part", "Rectangle", "cell_of", "columns_of", "part_of", "rectangle_of"]

_ROWS: Final = 40_000
_ROW_E7: Final = 45_000
"""Height of a row, ten-millionths of a degree: 500 m."""
_COLUMNS: Final = 80_000
"""Cells around the equator, and numbers that each row takes of the ids."""
_LATITUDE_E7_MAX: Final = 900_000_000
_LONGITUDE_E7_MAX: Final = 1_800_000_000
_AROUND_E7: Final = 2 * _LONGITUDE_E7_MAX
_SQUARE: Final = 4 * _ROWS**2
"""In Bhaskara's (32,400 - 4 x²) / (32,400 + x²) with x in units of half a row, not degrees."""
CELLS: Final = _ROWS * _COLUMNS
"""Every cell id is below this."""
_DAY_MS: Final = 86_400_000


class Part(IntEnum):
    """A quarter of a day, by the mean sun at the place."""

    NIGHT = 0
    """From 0 to 6 hours."""
    MORNING = 1
    """From 6 to 12 hours."""
    AFTERNOON = 2
    """From 12 to 18 hours."""
    EVENING = 3
    """From 18 to 24 hours."""


_PART_MS: Final = _DAY_MS // len(Part)


@dataclass(frozen=True, slots=True)
class Rectangle:
    """The bounds of a cell, ten-millionths of a degree."""

    south: int = field(repr=False)
    """Its lower edge, inclusive."""
    west: int = field(repr=False)
    """Its left edge, inclusive; never beyond the date line."""
    north: int = field(repr=False)
    """Its upper edge."""
    east: int = field(repr=False)
    """Its right edge; always greater than `west`."""


def columns_of(row: int) -> int:
    """Return into how many cells a row around the Earth is cut, 1 to 80,000."""
    half_rows = 2 * row + 1 - _ROWS
    square = half_rows * half_rows
    return max(1, _COLUMNS * (_SQUARE - 4 * square) // (_SQUARE + square))


def cell_of(latitude_e7: int, longitude_e7: int) -> int:
    """Return the id of the cell that a place lies in, 0 to `CELLS` - 1.

    Ten-millionths of a degree; the two date lines are one. Raises: ValueError off the map.
    """
    if abs(latitude_e7) > _LATITUDE_E7_MAX or abs(longitude_e7) > _LONGITUDE_E7_MAX:
        raise ValueError("a place is off the map")
    row = min(_ROWS - 1, (latitude_e7 + _LATITUDE_E7_MAX) // _ROW_E7)
    around = (longitude_e7 + _LONGITUDE_E7_MAX) % _AROUND_E7
    return row * _COLUMNS + around * columns_of(row) // _AROUND_E7


def rectangle_of(cell: int) -> Rectangle:
    """Return the bounds of a cell. Raises: ValueError for an id that no cell has."""
    row, column = divmod(cell, _COLUMNS)
    if not 0 <= row < _ROWS or column >= columns_of(row):
        raise ValueError("no cell has this id")
    columns = columns_of(row)
    south = row * _ROW_E7 - _LATITUDE_E7_MAX
    # Rounded up, so that a place on the edge is in the cell whose western edge it is.
    west, east = (-(-each * _AROUND_E7 // columns) for each in (column, column + 1))
    return Rectangle(south, west - _LONGITUDE_E7_MAX, south + _ROW_E7, east - _LONGITUDE_E7_MAX)


def part_of(at_ms: int, longitude_e7: int) -> Part:
    """Return the part of the day at a time, Unix milliseconds, by the mean sun at a longitude.

    No law and no season moves it, so a place has the same parts all year.
    """
    local_ms = at_ms + longitude_e7 * _DAY_MS // _AROUND_E7
    return Part(local_ms % _DAY_MS // _PART_MS)
