"""What must be in the store of a node that was killed, read by plain SQL.

An oracle that shares no code with the store. A killed node has not yet mended its log, and this
must not do it in its stead: the files are copied and the copy is looked at.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

__all__ = ["look", "look_at_dead", "open_work", "unkept", "unsettled"]

_HELD = "SELECT short_id FROM bundle UNION SELECT short_id FROM tombstone"
_COPIES = "SELECT short_id FROM copy WHERE node = ?"
_HANDED = """
    SELECT m.short_id FROM ledger l JOIN message m ON m.key = l.message
    WHERE l.event = 'handed over' AND l.node = ?
"""
_RECEIPTED = """
    SELECT hex(m.author) || '.' || m.incarnation || '.' || m.seq
    FROM recipient r JOIN message m ON m.key = r.message
    WHERE r.state IN ('on device', 'at gateway') AND r.node = ?
"""
_MESSAGES = """
    SELECT hex(author) || '.' || incarnation || '.' || seq FROM message WHERE direction = ?
"""


@contextmanager
def look(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the store of a running node beside it, to read."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=10)) as connection:
        yield connection


@contextmanager
def look_at_dead(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a copy of the store of a node that was killed."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        for name in (path.name, f"{path.name}-wal"):
            if (source := path.with_name(name)).exists():
                shutil.copy(source, folder)
        with closing(sqlite3.connect(Path(folder, path.name))) as connection:
            yield connection


def unkept(
    dead: Path, node: bytes, others: Mapping[str, Path], arrived: Iterable[str], sent: Iterable[str]
) -> list[str]:
    """Return what `node` acknowledged, receipted or announced, and has not on its disk.

    `arrived` and `sent` are ids of messages that it announced and took. Empty is what must be.
    """
    with look_at_dead(dead) as connection:
        held = _column(connection, _HELD)
        opened = _column(connection, _MESSAGES, "incoming")
        written = _column(connection, _MESSAGES, "outgoing")
    faults = [f"announced {each}" for each in set(arrived) - opened]
    faults += [f"took {each}" for each in set(sent) - written]
    for name, path in others.items():
        with look(path) as connection:
            copies = _column(connection, _COPIES, node) | _column(connection, _HANDED, node)
            receipts = _column(connection, _RECEIPTED, node)
        faults += [f"acknowledged {each:x} of {name}" for each in copies - held]
        faults += [f"receipted {each} of {name}" for each in receipts - opened]
    return faults


def open_work(path: Path) -> dict[str, int]:
    """Return how much of each kind of work a running node has before it, without zeros."""
    with look(path) as connection:
        counts = {
            "messages under way": _count(
                connection, "message WHERE direction = 'outgoing' AND state <> 'delivered'"
            ),
            # What nothing opens stays there, marked with "!", for as long as it is held.
            "bundles unopened": _count(connection, "unopened WHERE keyref <> x'21'"),
            "receipts due": _count(connection, "receipt_due"),
        }
    return {name: count for name, count in counts.items() if count}


def unsettled(paths: Mapping[str, Path]) -> dict[str, dict[str, int]]:
    """Return the open work of every node that has any."""
    return {name: work for name, path in paths.items() if (work := open_work(path))}


def _column(connection: sqlite3.Connection, query: str, *values: object) -> set[Any]:
    return {_plain(row[0]) for row in connection.execute(query, values)}


def _plain(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _count(connection: sqlite3.Connection, what: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {what}").fetchone()[0])
