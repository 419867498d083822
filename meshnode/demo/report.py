"""Prints the story: acts, a line for each thing a device came to know, tables, the summary.

On a terminal with colours, in a pipe as plain aligned lines. Decides nothing and asks nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from meshnode.demo.witness import Change, summary

__all__ = ["Report", "short"]

_NAME_WIDTH: Final = 9
_TEXT_CHARACTERS_MAX: Final = 40
_CELL_CHARACTERS_MAX: Final = 60
_CUT_COLUMNS: Final = 2
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


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
        self._write(f"\n[bold cyan]{escape(title)}[/]")

    def scene(self, words: str) -> None:
        """Tell what the story does with people, places and coverage."""
        self._line("", f"[italic]{escape(words)}[/]")

    def says(self, device: str, words: str) -> None:
        """Tell what a device told."""
        self._line(device, escape(words))

    def change(self, change: Change) -> None:
        """Tell what a device came to know; notes of a backlog are counted in tables only."""
        message = change.message
        if message.get("kind") == "note":
            return
        if change.what == "meets":
            self._line(change.device, f"meets {escape(change.name)}")
            return
        text = escape(short(message["text"]))
        sos = "[bold red]SOS[/] " if message["kind"] == "sos" else ""
        if change.what == "shows":
            to = escape(message["to"])
            self._line(
                change.device, f"[green]shows[/] {sos}«{text}» from {escape(change.name)} to {to}"
            )
        else:
            state = escape(summary(message))
            self._line(change.device, f"[yellow]knows[/] {sos}«{text}»: {state}")

    def _line(self, device: str, markup: str) -> None:
        self._write(
            f"[dim]{self._elapsed_s():6.1f} s[/]  [bold]{device:<{_NAME_WIDTH}}[/] {markup}"
        )

    def _write(self, markup: str) -> None:
        if self._console is not None:
            self._console.print(markup, soft_wrap=True)
            return
        self._stream.write(f"{Text.from_markup(markup).plain.rstrip()}\n")
        self._stream.flush()

    # --- tables -----------------------------------------------------------------------------

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print rows under the names of their columns."""
        cells = [[short(cell, _CELL_CHARACTERS_MAX) for cell in row] for row in rows]
        if self._console is not None:
            table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
            for position, column in enumerate(columns):
                # A narrow terminal cuts the words of messages, which its author's line told before.
                is_cut = position < _CUT_COLUMNS
                table.add_column(
                    escape(column),
                    no_wrap=is_cut,
                    overflow="ellipsis" if is_cut else "fold",
                    header_style="dim",
                )
            for row in cells:
                table.add_row(*(escape(cell) for cell in row))
            self._console.print()
            self._console.print(table)
            return
        lines = [list(columns), *cells]
        widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
        self._stream.write("\n")
        for line in lines:
            padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            self._stream.write(f"  {'  '.join(padded).rstrip()}\n")
        self._stream.flush()

    def text(self, words: str = "") -> None:
        """Print one line as it is."""
        self._write(escape(words))
