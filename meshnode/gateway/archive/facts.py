"""Streams what reports count: arrivals in clear columns, receipts, and contents of one day.

One class and day at a time, so that a month needs no more memory than its busiest day, and no read
holds back others for long. Source: decisions 54 and 61.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, func, select

from meshnode.errors import SealBrokenError
from meshnode.gateway.archive.database import ArchiveDatabase
from meshnode.gateway.archive.keys import DayKeys, place_of
from meshnode.gateway.archive.schema import ArchivedRow, ContentRow, DayKeyRow, table
from meshnode.gateway.archive.writing import ARCHIVED_SEAT, CONTENT_SEAT
from meshnode.retention import DataClass
from meshnode.store.statements import unsigned64
from meshnode.vault.vault import Vault
from protocol.ids import BundleId, NodeId
from protocol.limits import Kind

__all__ = [
    "SHARE_WHOLE",
    "Arrival",
    "Opened",
    "arrivals",
    "contents",
    "count_contents",
    "days",
    "receipts",
]

_ARCHIVED: Final = table(ArchivedRow)
_CONTENT: Final = table(ContentRow)
_DAY_KEY: Final = table(DayKeyRow)
_ROWS: Final = 2_000
"""Rows that are fetched at once."""
SHARE_WHOLE: Final = 1 << 32
"""The share of devices that is all of them."""


class Arrival(NamedTuple):
    """What the archive says in clear of one bundle."""

    author: bytes
    """16 bytes."""
    incarnation: int
    """Of the author's store."""
    seq: int
    """As a signed number."""
    kind: int
    """What it is, as on the wire."""
    scope: bytes
    """Encoded scope."""
    zone: int
    """Of the scope, 1 to 65535."""
    created_ms: int
    """By the author's clock, Unix milliseconds."""
    expires_ms: int
    """End of its life, by the author's clock, Unix milliseconds."""
    arrived_ms: int
    """When a gateway took it in, Unix milliseconds."""


class Opened(NamedTuple):
    """A container or a content that was opened."""

    name: BundleId
    """The bundle, or the message."""
    kind: int
    """What it is, as on the wire."""
    scope: bytes
    """Encoded scope."""
    created_ms: int
    """By the author's clock, Unix milliseconds."""
    at_ms: int
    """When the gateway took it in or opened it, Unix milliseconds."""
    raw: bytes
    """Container or content."""

    def __repr__(self) -> str:
        return f"<Opened {self.name}>"


def days(connection: Connection, first_day: int, last_day: int) -> list[tuple[DataClass, int]]:
    """Return each class and day of a run of days that has a key, the oldest first."""
    query = select(_DAY_KEY.c.day, _DAY_KEY.c.data_class).where(
        _DAY_KEY.c.day.between(first_day, last_day)
    )
    found = sorted((day, name) for day, name in connection.execute(query))
    return [(DataClass(name), day) for day, name in found]


def arrivals(connection: Connection, data_class: DataClass, day: int) -> Iterator[Arrival]:
    """Yield each bundle of a class and day, in no order. Cost: some 3 µs each."""
    columns = [_ARCHIVED.c[name] for name in Arrival._fields]
    query = select(*columns).where(
        _ARCHIVED.c.data_class == str(data_class), _ARCHIVED.c.day == day
    )
    for row in _streamed(connection, query):
        yield Arrival(*row)


def receipts(
    database: ArchiveDatabase, connection: Connection, vault: Vault, day: int
) -> Iterator[bytes]:
    """Yield the container of each receipt of a day that opens. Cost: some 40 µs each."""
    query = select(_ARCHIVED).where(
        _ARCHIVED.c.data_class == str(DataClass.RECEIPTS),
        _ARCHIVED.c.day == day,
        _ARCHIVED.c.kind == int(Kind.RECEIPT),
    )
    keys = DayKeys(database, connection, vault, _no_entropy)
    for row in _streamed(connection, query):
        raw = _raw(keys, vault, DataClass.RECEIPTS, row, ARCHIVED_SEAT)
        if raw is not None:
            yield raw


def count_contents(connection: Connection, data_class: DataClass, day: int) -> int:
    """Return how many contents a class and day has. Cost: a walk over an index."""
    query = select(func.count()).where(
        _CONTENT.c.data_class == str(data_class), _CONTENT.c.day == day
    )
    return int(connection.execute(query).scalar_one())


def contents(
    database: ArchiveDatabase,
    connection: Connection,
    vault: Vault,
    data_class: DataClass,
    day: int,
    share: int = SHARE_WHOLE,
) -> Iterator[Opened]:
    """Yield the contents of a class and day that open, author by author, the oldest first.

    `share` out of 2^32 of all authors: ids are hashes, so the first ones are as good as any.
    """
    query = select(_CONTENT).where(_CONTENT.c.data_class == str(data_class), _CONTENT.c.day == day)
    if share < SHARE_WHOLE:
        query = query.where(_CONTENT.c.author < share.to_bytes(4, "big"))
    query = query.order_by(_CONTENT.c.author, _CONTENT.c.created_ms, _CONTENT.c.key)
    keys = DayKeys(database, connection, vault, _no_entropy)
    for row in _streamed(connection, query):
        raw = _raw(keys, vault, data_class, row, CONTENT_SEAT)
        if raw is not None:
            scope, created_ms = bytes(row.scope), row.created_ms
            yield Opened(_name(row), row.kind, scope, created_ms, row.opened_ms, raw)


def _streamed(connection: Connection, query: Select[Any]) -> Any:
    return connection.execution_options(stream_results=True, yield_per=_ROWS).execute(query)


def _raw(keys: DayKeys, vault: Vault, data_class: DataClass, row: Any, seat: bytes) -> bytes | None:
    key = keys.find(data_class, row.day)
    if key is None:
        return None
    try:
        return vault.open(key.data, seat, place_of(_name(row)), bytes(row.sealed))
    except SealBrokenError:
        # It costs what it held and nothing else; the vault has told of it.
        return None


def _name(row: Any) -> BundleId:
    return BundleId(NodeId(bytes(row.author)), row.incarnation, unsigned64(row.seq))


def _no_entropy(_count: int) -> bytes:
    raise AssertionError("a report makes no key")
