"""How a running node tells people what happens: lines on a screen, or objects in a journal."""

from __future__ import annotations

import sys
from typing import Protocol

import typer

from meshnode.cli.show import local_time, safe
from meshnode.runtime import Runtime, Trace

__all__ = ["JsonTelling", "PlainTelling", "Telling"]


class Telling(Protocol):
    """Takes sentences that hold no text of a message and no place."""

    def tell(self, words: str) -> None:
        """Tell one thing that happened."""
        ...

    def ring(self, words: str) -> None:
        """Tell an alarm, so that nobody passes over it."""
        ...


class PlainTelling:
    """Lines on stderr, for people."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def tell(self, words: str) -> None:
        """Tell one thing that happened."""
        typer.echo(self._line(words), err=True)

    def ring(self, words: str) -> None:
        """Tell an alarm between bars, and with the bell."""
        bar = "!" * 72
        if sys.stderr.isatty():
            typer.echo("\a", err=True, nl=False)
        for line in (bar, self._line(words), bar):
            typer.echo(typer.style(line, fg="red", bold=True), err=True)

    def _line(self, words: str) -> str:
        return f"{local_time(self._runtime.now_ms())}  {safe(words)}"


class JsonTelling:
    """Events `told` and `alarm_told` in a log of JSON lines."""

    def __init__(self, log: Trace) -> None:
        self._log = log

    def tell(self, words: str) -> None:
        """Tell one thing that happened."""
        self._log("told", words=safe(words))

    def ring(self, words: str) -> None:
        """Tell an alarm."""
        self._log("alarm_told", words=safe(words))
