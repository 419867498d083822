"""How much a database file holds, asked without opening the store.

It reads beside a running node and changes nothing. The file may come from anybody: only plain
tables with the names of ours are counted, and no code that stands in the file is run.
Source: "Defense against the dark arts" in https://sqlite.org/security.html.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from meshnode.errors import StoreError
from meshnode.store.schema import METADATA

__all__ = ["StoreOverview", "read_overview"]


@dataclass(frozen=True, slots=True)
class StoreOverview:
    """What a store holds, in numbers."""

    schema_version: str
    """Name of the last migration that was run on it."""
    rows: dict[str, int]
    """Rows of each table, by name."""
    classes: dict[int, tuple[int, int]]
    """Live bundles and their bytes, by traffic class."""


def read_overview(path: Path) -> StoreOverview:
    """Return what the database at `path` holds.

    Raises: StoreError where it cannot be read, is damaged, or is no store of a node.
    Cost: one pass over the table of bundles, without the containers, and one over an index of
    each other table.
    """
    try:
        with closing(sqlite3.connect(_address(path), uri=True)) as connection:
            for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "query_only=ON"):
                connection.execute(f"PRAGMA {pragma}")
            connection.execute("BEGIN")
            return _read(connection, path)
    except (sqlite3.Error, ValueError, TypeError) as error:
        # A column of a strange file may hold any type: SQLite does not mind.
        raise StoreError(f"{path} cannot be read as a store: {error}") from error


def _address(path: Path) -> str:
    """Return how to open the file so that nothing is left beside it.

    Without a log no process has the store open, and the file may lie where nothing can be
    written; SQLite would make a log of its own there and could not take it away.
    """
    has_log = path.with_name(f"{path.name}-wal").exists()
    return f"{path.absolute().as_uri()}?mode=ro{'' if has_log else '&immutable=1'}"


def _read(connection: sqlite3.Connection, path: Path) -> StoreOverview:
    # A virtual table has no pages of its own: asking it would run what is behind it.
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0"
    present = {str(row[0]) for row in connection.execute(query)}
    names = sorted(METADATA.tables.keys() & present)
    if "alembic_version" not in present or "bundle" not in names:
        raise StoreError(f"{path} is a database, but not the store of a node")
    version = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    rows = {
        name: int(connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0])  # noqa: S608
        for name in names
    }
    by_class = connection.execute(
        "SELECT traffic_class, count(*), sum(size_bytes) FROM bundle GROUP BY traffic_class"
    )
    classes = {int(each): (int(count), int(size_bytes)) for each, count, size_bytes in by_class}
    return StoreOverview("" if version is None else str(version[0]), rows, classes)
