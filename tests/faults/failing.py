"""Runs work in a child whose disk fails at its n-th change, once or from there on.

What the Python side changes is hooked as in `dying`; a database hears the like of it at the
statements that change something. Only what such a disk really refuses fails: one that is full
refuses new files and rows, and takes what needs no room.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, event

from meshnode.errors import HomeError, LinkError, StoreError, WipedError

__all__ = ["FAILURES", "Disk", "Fate", "fail_from_now", "fate_of"]

FAILURES: Final = (OSError, StoreError, HomeError, LinkError, WipedError)
"""What a node may raise over a disk that fails."""

_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_NAMES: Final = frozenset({"os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir"})
_EVERYTHING: Final = frozenset({"create", "row", "open", "hold", "flush", "name", "commit"})
"""New files and rows, files opened to be overwritten or kept open, flushes, names, commits."""
_CODES: Final = {
    errno.ENOSPC: sqlite3.SQLITE_FULL,
    errno.EIO: sqlite3.SQLITE_IOERR_WRITE,
    errno.EROFS: sqlite3.SQLITE_READONLY,
}


class Disk(Enum):
    """How a disk fails: its error, whether it stays so, and what it still does."""

    FULL = (errno.ENOSPC, True, frozenset({"create", "row"}))
    FULL_COPYING = (errno.ENOSPC, True, frozenset({"create", "row", "open", "flush"}))
    """Full, and one that writes nothing in its old place: names alone can change."""
    BAD_ONCE = (errno.EIO, False, _EVERYTHING)
    BAD = (errno.EIO, True, _EVERYTHING)
    READ_ONLY = (errno.EROFS, True, _EVERYTHING - {"flush", "commit"})

    @property
    def error(self) -> OSError:
        """What it says."""
        return OSError(self.value[0], os.strerror(self.value[0]))


class Fate(Enum):
    """How the work ended."""

    UNHARMED = 0
    """The step was never reached."""
    ENDED = 4
    """The disk failed, and the work came to its end."""
    FAILED = 5
    """The disk failed, and the work raised an error of the disk."""


@dataclass(slots=True)
class _Failing:
    """The failing disk of one child."""

    disk: Disk
    step: int
    taken: int = 0

    @property
    def has_struck(self) -> bool:
        return self.taken >= self.step

    def begin(self) -> None:
        flush = os.fsync

        def fsync(descriptor: Any) -> None:
            self.change("flush")
            flush(descriptor)

        sys.addaudithook(self.hook)
        os.fsync = fsync  # type: ignore[assignment]
        event.listen(Engine, "before_cursor_execute", self.statement)
        event.listen(Engine, "commit", self.commit)

    def change(self, what: str) -> None:
        """Called before each change. Raises: OSError."""
        _code, is_lasting, refused = self.disk.value
        if what not in refused:
            return
        self.taken += 1
        if self.taken == self.step or (is_lasting and self.taken > self.step):
            raise self.disk.error

    def hook(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name in _NAMES:
            self.change("name")
        elif name == "open" and (arguments[2] or 0) & _WRITING:
            if isinstance(arguments[0], int):
                # A file that was opened, and counted, before.
                return
            is_new = bool(arguments[2] & os.O_CREAT) and not Path(arguments[0]).exists()
            is_held = bool(arguments[2] & os.O_RDWR)
            self.change("create" if is_new else "hold" if is_held else "open")

    def statement(self, _connection: Any, _cursor: Any, text: str, *_more: Any) -> None:
        if not text.lstrip().startswith(("SELECT", "BEGIN", "PRAGMA", "SAVEPOINT", "ROLLBACK")):
            self.in_database("row")

    def commit(self, *_arguments: Any) -> None:
        self.in_database("commit")

    def in_database(self, what: str) -> None:
        try:
            self.change(what)
        except OSError as error:
            broken = sqlite3.OperationalError(error.strerror)
            broken.sqlite_errorcode = _CODES[self.disk.value[0]]
            raise broken from error


def fail_from_now(disk: Disk) -> None:
    """Let the disk of this process, which has to be a child, fail from its first change on."""
    _Failing(disk, 1).begin()


def fate_of(disk: Disk, step: int, work: Callable[[], object]) -> Fate:
    """Run `work` in a child whose disk fails at its `step`-th change of a kind that it refuses."""
    child = os.fork()
    if child == 0:
        _live_and_fail(disk, step, work)
    _child, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in [fate.value for fate in Fate], f"the child ended with {code}"
    return Fate(code)


def _live_and_fail(disk: Disk, step: int, work: Callable[[], object]) -> None:
    failing, fate = _Failing(disk, step), Fate.ENDED
    try:
        failing.begin()
        work()
    except FAILURES:
        fate = Fate.FAILED
    except BaseException:  # noqa: BLE001 - a child ends here, whatever happened
        traceback.print_exc()
        os._exit(3)
    os._exit(fate.value if failing.has_struck else Fate.UNHARMED.value)
