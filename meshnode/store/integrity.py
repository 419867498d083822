"""Whether a database file is whole, asked without opening the store.

It reads beside a running node and changes nothing. Source: quick_check in
https://sqlite.org/pragma.html.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from meshnode.errors import StoreError

__all__ = ["integrity_faults"]

_FAULTS_MAX: Final = 10


def integrity_faults(path: Path) -> tuple[str, ...]:
    """Return what is wrong with the pages of the database, at most ten sentences; empty if whole.

    Raises: StoreError where the file cannot be read. Cost: it reads the whole file.
    """
    try:
        address = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as connection:
            rows = connection.execute(f"PRAGMA quick_check({_FAULTS_MAX})").fetchall()
    except sqlite3.OperationalError as error:
        raise StoreError(f"{path} cannot be read: {error}") from error
    except sqlite3.DatabaseError as error:
        return (str(error),)
    return tuple(str(row[0]) for row in rows if row[0] != "ok")
