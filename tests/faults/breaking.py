"""Breaks every database of the process at its n-th step, once or for good."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

__all__ = ["Breaker", "broken"]


class Breaker:
    """Fails the n-th thing that a database is asked to do, or everything from there on."""

    def __init__(self, step: int, *, is_cut: bool) -> None:
        self._step = step
        self._is_cut = is_cut
        self._taken = 0

    def statement(self, _connection: Any, _cursor: Any, text: str, *_more: Any) -> None:
        """Called before each statement. What is only read leaves nothing behind for a cut."""
        if text.lstrip().startswith("SELECT"):
            self.look()
        else:
            self.take()

    def look(self, *_arguments: Any) -> None:
        """Called before each statement that only reads, and before each transaction."""
        if not self._is_cut:
            self.take()
        elif self.has_struck:
            self._fail()

    def take(self, *_arguments: Any) -> None:
        """Called before each statement that counts, and before each commit."""
        self._taken += 1
        if self._taken == self._step or (self._is_cut and self._taken > self._step):
            self._fail()

    @staticmethod
    def _fail() -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
        raise error

    @property
    def has_struck(self) -> bool:
        """True once the step was reached."""
        return self._taken >= self._step


@contextmanager
def broken(step: int, *, is_cut: bool) -> Iterator[Breaker]:
    """Break every engine at its `step`-th statement or commit; with `is_cut` it stays broken."""
    breaker = Breaker(step, is_cut=is_cut)
    event.listen(Engine, "before_cursor_execute", breaker.statement)
    event.listen(Engine, "begin", breaker.look)
    event.listen(Engine, "commit", breaker.take)
    try:
        yield breaker
    finally:
        event.remove(Engine, "before_cursor_execute", breaker.statement)
        event.remove(Engine, "begin", breaker.look)
        event.remove(Engine, "commit", breaker.take)
