"""SQL that the sync path runs for every bundle, and the helpers that feed it.

These few statements take tuples: per row that costs half of what Core needs to bind a dictionary.
They run on the driver's own connection, inside the same transaction, because a result of SQLAlchemy
costs as much as fifty look-ups. They are plain SQL of SQLite and PostgreSQL but for the mark of a
parameter. All else in the store is built with Core.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final

from sqlalchemy import Connection

from meshnode.store.records import BundleRecord, BundleSummary
from meshnode.store.schema import METADATA
from protocol.limits import BUNDLE_BYTES_MAX, KINDS, Kind, TrafficClass

__all__ = [
    "BUNDLE_COLUMNS",
    "DELETE_INTEREST",
    "INSERT_AUTHOR",
    "INSERT_BUNDLE",
    "INSERT_OWN_BUNDLE",
    "INSERT_TOMBSTONE",
    "PUT_INTEREST",
    "SELECT_AUTHOR",
    "SELECT_HELD",
    "SELECT_IDS",
    "SELECT_RAW",
    "SELECT_SLOT",
    "SELECT_SUMMARY",
    "SELECT_TOMBSTONE",
    "SIZE_CLASSES",
    "SUMMARIES",
    "delete_many",
    "row_of",
    "rows_of",
    "run_many",
    "select_many",
    "signed64",
    "size_class_of",
    "summary_of",
    "unsigned64",
]

# Looked up, not called: an enumeration's own look-up costs a microsecond.
_KINDS: Final = {int(kind): kind for kind in Kind}
_CLASSES: Final = {int(each): each for each in TrafficClass}
_SUPERSEDING: Final = frozenset(kind for kind, rule in KINDS.items() if rule.supersedes)
_CHUNK: Final = 512
"""Values per statement at most."""
_SIZES: Final = (1, 16, 128, _CHUNK)
"""Lists are filled up to one of these: four texts, each prepared once per connection."""

BUNDLE_COLUMNS: Final = tuple(
    column.name for column in METADATA.tables["bundle"].columns if column.name != "key"
)
"""Columns of `bundle` in the order of `INSERT_BUNDLE`."""

INSERT_BUNDLE: Final = (
    f"INSERT INTO bundle ({','.join(BUNDLE_COLUMNS)}) "  # noqa: S608 - names of our own columns
    f"VALUES ({','.join('?' * len(BUNDLE_COLUMNS))}) ON CONFLICT DO NOTHING"
)
INSERT_TOMBSTONE: Final = (
    "INSERT INTO tombstone (short_id, until_ms, reason) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
)
INSERT_OWN_BUNDLE: Final = (
    "INSERT INTO own_bundle (incarnation, seq, digest, expires_ms) VALUES (?, ?, ?, ?) "
    "ON CONFLICT DO NOTHING"
)
INSERT_AUTHOR: Final = "INSERT INTO author (node) VALUES (?)"
PUT_INTEREST: Final = (
    "INSERT INTO interest (zone, traffic_class, count, set_hash, size_bytes) "
    "VALUES (?, ?, ?, ?, ?) ON CONFLICT (zone, traffic_class) DO UPDATE SET "
    "count = excluded.count, set_hash = excluded.set_hash, size_bytes = excluded.size_bytes"
)
DELETE_INTEREST: Final = "DELETE FROM interest WHERE zone = ? AND traffic_class = ?"
SELECT_AUTHOR: Final = "SELECT node, key FROM author WHERE node IN (%s)"
SELECT_IDS: Final = "SELECT short_id FROM bundle WHERE zone = ? AND traffic_class = ?"
SELECT_HELD: Final = "SELECT short_id FROM bundle WHERE short_id IN (%s)"
SELECT_SLOT: Final = (
    # A list of rows in IN (…) would scan the index; joined from a list it is searched.
    "WITH want (kind, scope, slot, author) AS (VALUES %s) "
    "SELECT want.kind, want.scope, want.slot, want.author, short_id, hlc, incarnation, seq "
    "FROM want CROSS JOIN bundle WHERE bundle.supersedes = 1 AND bundle.kind = want.kind "
    "AND bundle.scope = want.scope AND bundle.slot = want.slot AND bundle.author = want.author"
)
SELECT_TOMBSTONE: Final = "SELECT short_id, reason FROM tombstone WHERE short_id IN (%s)"
SELECT_RAW: Final = "SELECT short_id, expires_ms, raw, hops FROM bundle WHERE short_id IN (%s)"
SUMMARIES: Final = (
    "SELECT bundle.short_id, digest, node, incarnation, seq, kind, traffic_class, zone, scope, "
    "slot, hlc, expires_ms, size_bytes, hops, received_ms, is_own "
    "FROM bundle JOIN author ON author.key = bundle.author WHERE "
)
SELECT_SUMMARY: Final = SUMMARIES + "short_id IN (%s)"


def signed64(number: int) -> int:
    """Return the signed number with the same 64 bits; databases have no unsigned ones."""
    return number - (1 << 64) if number >> 63 else number


def unsigned64(number: int) -> int:
    """Undo `signed64`."""
    return number & 0xFFFFFFFFFFFFFFFF


def size_class_of(size_bytes: int) -> int:
    """Return 0 for up to 1 kB, one more for each factor of four: small bundles go first."""
    return max(0, (size_bytes - 1).bit_length() - 9) // 2


def row_of(record: BundleRecord, key: int, author: int, sealed: bytes) -> tuple[Any, ...]:
    """Return the values of `BUNDLE_COLUMNS`. Plain ints: the driver is slow with subclasses.

    `key` is the signed short id, `author` the small number of the author, `sealed` the container.
    """
    return (
        key,
        record.digest,
        author,
        record.incarnation,
        signed64(record.seq),
        int(record.kind),
        int(record.traffic_class),
        record.zone,
        record.scope,
        signed64(record.slot),
        signed64(record.hlc),
        record.expires_ms,
        record.size_bytes,
        record.hops,
        record.received_ms,
        int(record.is_own),
        size_class_of(record.size_bytes),
        int(record.kind in _SUPERSEDING),
        sealed,
    )


def summary_of(row: Sequence[Any]) -> BundleSummary:
    """Return the record for a row of `SELECT_SUMMARY`."""
    return BundleSummary(
        row[0] & 0xFFFFFFFFFFFFFFFF,
        row[1],
        row[2],
        row[3],
        row[4] & 0xFFFFFFFFFFFFFFFF,
        _KINDS[row[5]],
        _CLASSES[row[6]],
        row[7],
        row[8],
        row[9] & 0xFFFFFFFFFFFFFFFF,
        row[10] & 0xFFFFFFFFFFFFFFFF,
        row[11],
        row[12],
        row[13],
        row[14],
        bool(row[15]),
    )


def select_many(conn: Connection, statement: str, values: Sequence[Any]) -> Iterator[Any]:
    """Yield the rows of `statement`, whose `%s` stands for a list, for any number of values.

    A value is a number, or a tuple that stands for a row of its own; a row may come twice then.
    Cost: one index probe per value, about 1 µs, and 10 µs per 512 values.
    """
    for text, chunk in _chunks(statement, values):
        yield from rows_of(conn, text, chunk)


def rows_of(conn: Connection, statement: str, values: Sequence[Any]) -> list[Any]:
    """Return the rows of one statement as the driver's own tuples, in the connection's transaction.

    Raises: errors of the driver, which the store translates like those of SQLAlchemy.
    """
    rows: list[Any] = _driver(conn).execute(statement, values).fetchall()
    return rows


def _driver(conn: Connection) -> Any:
    """Return the driver's own connection, in the transaction of `conn`."""
    if not conn.in_transaction():
        conn.begin()
    return conn.connection.dbapi_connection


def delete_many(conn: Connection, table: str, values: Sequence[int]) -> int:
    """Delete the rows of `table` whose short id is among `values`; return how many."""
    statement = f"DELETE FROM {table} WHERE short_id IN (%s)"  # noqa: S608 - our own table
    driver = _driver(conn)
    return sum(driver.execute(text, chunk).rowcount for text, chunk in _chunks(statement, values))


def run_many(conn: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """Run one prepared statement for each of `rows`; return how many rows it changed.

    Raises: errors of the driver, as `rows_of`.
    """
    if not rows:
        return 0
    cursor = _driver(conn).cursor()
    try:
        cursor.executemany(statement, rows)
        return int(cursor.rowcount)
    finally:
        cursor.close()


def _chunks(statement: str, values: Sequence[Any]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for start in range(0, len(values), _CHUNK):
        chunk = tuple(values[start : start + _CHUNK])
        size = next(size for size in _SIZES if size >= len(chunk))
        # Filled up with its last value, which a list in SQL may name more than once.
        chunk += chunk[-1:] * (size - len(chunk))
        place = "?"
        if isinstance(chunk[0], tuple):
            place = f"({','.join('?' * len(chunk[0]))})"
            chunk = tuple(chain.from_iterable(chunk))
        yield statement % ",".join([place] * size), chunk


SIZE_CLASSES: Final = range(size_class_of(BUNDLE_BYTES_MAX) + 1)
"""Every size class a bundle can have."""
