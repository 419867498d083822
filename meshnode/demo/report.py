"""Prints the story: acts, a line for each thing a device came to know, tables, the summary.

On a terminal with colours, in a pipe as plain aligned lines. Decides nothing and asks nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, TextIO, TypeAlias

from rich.console import Console
from rich.table import Table
from rich.text import Text

from meshnode.demo.witness import Change, summary

__all__ = ["Report", "short"]

_NAME_WIDTH: Final = 9
_TEXT_CHARACTERS_MAX: Final = 40
_CELL_CHARACTERS_MAX: Final = 60
_CUT_COLUMNS: Final = 2
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What commands a terminal, ends a line or turns the direction of writing."""

_Part: TypeAlias = str | tuple[str, str]
"""Words, or words and their style. Never markup: people's texts hold brackets too."""


def short(text: str, characters_max: int = _TEXT_CHARACTERS_MAX) -> str:
    """Return `text` on one line, cut at `characters_max`, without what commands a terminal."""
    line = _CONTROLS.sub(" ", text)
    return line if len(line) <= characters_max else f"{line[: characters_max - 1]}…"


class Report:
    """Writes to one stream."""

    def __init__(self, stream: TextIO, elapsed_s: Callable[[], float]) -> None:
        self._stream = stream
        self._elapsed_s = elapsed_s
        self._console = Console(file=stream, highlight=False) if stream.isatty() else None

    # --- the story --------------------------------------------------------------------------

    def act(self, title: str) -> None:
        """Begin an act."""
        self._write("\n", (title, "bold cyan"))

    def scene(self, words: str) -> None:
        """Tell what the story does with people, places and coverage."""
        self._line("", (words, "italic"))

    def says(self, device: str, words: str) -> None:
        """Tell what a device told."""
        self._line(device, words)

    def change(self, change: Change) -> None:
        """Tell what a device came to know; notes of a backlog are counted in tables only."""
        message = change.message
        if message.get("kind") == "note":
            return
        if change.what == "meets":
            self._line(change.device, f"meets {change.name}")
            return
        sos: _Part = ("SOS ", "bold red") if message["kind"] == "sos" else ""
        quoted = f"«{short(message['text'])}»"
        if change.what == "shows":
            way = f" from {change.name} to {message['to']}"
            self._line(change.device, ("shows ", "green"), sos, quoted, way)
        else:
            self._line(change.device, ("knows ", "yellow"), sos, f"{quoted}: {summary(message)}")

    def _line(self, device: str, *parts: _Part) -> None:
        moment = f"{self._elapsed_s():6.1f} s  "
        self._write((moment, "dim"), (f"{device:<{_NAME_WIDTH}} ", "bold"), *parts)

    def _write(self, *parts: _Part) -> None:
        text = Text.assemble(*parts)
        if self._console is not None:
            self._console.print(text, soft_wrap=True)
            return
        self._stream.write(f"{text.plain}\n")
        self._stream.flush()

    def text(self, words: str = "") -> None:
        """Print one line as it is."""
        self._write(words)

    # --- tables -----------------------------------------------------------------------------

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print rows under the names of their columns."""
        cells = [[short(cell, _CELL_CHARACTERS_MAX) for cell in row] for row in rows]
        self._write()
        if self._console is not None:
            self._console.print(_drawn(columns, cells))
            return
        lines = [list(columns), *cells]
        widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
        for line in lines:
            padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            self._write(f"  {'  '.join(padded).rstrip()}")


def _drawn(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for position, column in enumerate(columns):
        # A narrow terminal cuts the words of a message; the line of its author told them before.
        is_cut = position < _CUT_COLUMNS
        table.add_column(
            column,
            no_wrap=is_cut,
            overflow="ellipsis" if is_cut else "fold",
            header_style="dim",
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table
