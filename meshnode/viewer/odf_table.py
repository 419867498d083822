"""A table of ODF as its elements come: repeated cells and rows are counted before they are made.

An empty cell or row that is repeated a million times, as every spreadsheet ends, costs nothing; one
that holds something and is repeated so is refused. A table inside a cell is read as text of it.
"""

from __future__ import annotations

from collections.abc import Iterable

from meshnode.viewer.bounds import (
    DOCUMENT_CELLS_MAX,
    DOCUMENT_CHARACTERS_MAX,
    DOCUMENT_COLUMNS_MAX,
)
from meshnode.viewer.document import Cell, Picture, PictureCell, Table
from protocol.errors import LimitExceededError

__all__ = ["TableReader", "repeats"]

_REPEATS_MAX = 2**31


def repeats(told: str | None, most: int = _REPEATS_MAX) -> int:
    """Return how often something stands there, 1 to `most`; 1 where nothing sensible is told."""
    if told is None or not (told.isascii() and told.isdecimal()) or len(told) > 9:
        return 1
    return max(1, min(int(told), most))


class TableReader:
    """Reads one table after the other."""

    def __init__(self) -> None:
        self._depth = 0
        self._cells = self._characters = 0
        self._name = ""
        self._rows: list[tuple[Cell, ...]] = []
        self._row: list[Cell] = []
        self._parts: list[str | Picture] = []
        self._is_in_cell = False
        self._row_repeats = self._cell_repeats = 1
        self._empty_cells = 0
        self._has_gap = False

    @property
    def is_open(self) -> bool:
        """True inside a table."""
        return self._depth > 0

    @property
    def is_in_cell(self) -> bool:
        """True inside a cell."""
        return self._is_in_cell

    def begin(self, name: str) -> None:
        """Begin a table; one inside another is a part of its cell."""
        self._depth += 1
        if self._depth == 1:
            self._name, self._rows, self._row, self._parts = name, [], [], []
            self._has_gap = False

    def begin_row(self, told: str | None) -> None:
        """Begin a row that is repeated."""
        if self._depth == 1:
            self._row, self._empty_cells, self._row_repeats = [], 0, repeats(told)

    def begin_cell(self, told: str | None) -> None:
        """Begin a cell that is repeated."""
        if self._depth == 1:
            self._parts, self._cell_repeats = [], repeats(told)
            self._is_in_cell = True

    def add(self, line: Iterable[str | Picture]) -> None:
        """Add a line to the cell: its texts and pictures."""
        parts = [each for each in line if each]
        if parts and self._parts:
            self._parts.append("\n")
        self._parts += parts

    def end_cell(self) -> None:
        """End a cell. Raises: LimitExceededError."""
        if self._depth != 1:
            return
        cell, self._parts, self._is_in_cell = _cell(self._parts), [], False
        if not cell:
            self._empty_cells += self._cell_repeats
            return
        columns = len(self._row) + self._empty_cells + self._cell_repeats
        if columns > DOCUMENT_COLUMNS_MAX:
            raise LimitExceededError("table columns", DOCUMENT_COLUMNS_MAX, columns)
        # A picture is shown once, however often its cell is repeated.
        again = [_text_of(cell)] * (self._cell_repeats - 1)
        self._row += [*[""] * self._empty_cells, cell, *again]
        self._empty_cells = 0

    def end_row(self) -> None:
        """End a row. Raises: LimitExceededError."""
        if self._depth != 1:
            return
        if not self._row:
            self._has_gap = bool(self._rows)
            return
        self._cells += len(self._row) * self._row_repeats
        if self._cells > DOCUMENT_CELLS_MAX:
            raise LimitExceededError("table cells", DOCUMENT_CELLS_MAX, self._cells)
        texts = tuple(map(_text_of, self._row))
        self._characters += sum(map(len, texts)) * self._row_repeats
        if self._characters > DOCUMENT_CHARACTERS_MAX:
            raise LimitExceededError("table characters", DOCUMENT_CHARACTERS_MAX, self._characters)
        if self._has_gap:
            # However many rows were empty, one tells that there was a gap.
            self._rows.append(())
        self._has_gap = False
        self._rows += [tuple(self._row), *[texts] * (self._row_repeats - 1)]
        self._row = []

    def end(self) -> Table | None:
        """End a table; return it if it is the outermost one and holds something."""
        self._depth -= 1
        if self._depth or not self._rows:
            return None
        return Table(self._name, tuple(self._rows))


def _cell(parts: list[str | Picture]) -> Cell:
    if any(isinstance(each, Picture) for each in parts):
        return PictureCell(tuple(parts))
    return "".join(each for each in parts if isinstance(each, str))


def _text_of(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell.text
