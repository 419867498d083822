"""A copy of a database as of one moment, taken while others write to it.

SQLite itself makes it, in one reading transaction: writers go on, and what was freed is not
copied. Source: SQLite, "VACUUM INTO".
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from meshnode.errors import StoreCorruptError, StoreError
from meshnode.store.database import translated

__all__ = ["take_snapshot"]

_BUSY_S: Final = 30.0
_READ_WRITE: Final = "?mode=rw"
"""Never made anew; and a log that a power cut left can be read by whoever may write only."""


def take_snapshot(source: Path, target: Path) -> int:
    """Write the last commit of the database `source` to the new file `target`; return its bytes.

    Mode 0600. The copy is read through once before it counts. Its rows are sealed as they were.
    Raises: StoreFullError, StoreCorruptError, StoreError; nothing of `target` is left then.
    Cost: reads the database twice, writes it once.
    """
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror}") from error
    try:
        with translated():
            _vacuum_into(source, target)
            _check(target)
        return target.stat().st_size
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _vacuum_into(source: Path, target: Path) -> None:
    database = sqlite3.connect(
        source.absolute().as_uri() + _READ_WRITE, uri=True, timeout=_BUSY_S, isolation_level=None
    )
    try:
        database.execute("PRAGMA temp_store=MEMORY")
        database.execute("VACUUM INTO ?", (str(target),))
    finally:
        database.close()


def _check(path: Path) -> None:
    database = sqlite3.connect(path.absolute().as_uri() + "?mode=ro&immutable=1", uri=True)
    try:
        (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    finally:
        database.close()
    if found != "ok":
        raise StoreCorruptError(f"the store is damaged: {found}")
