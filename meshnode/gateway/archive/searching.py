"""Finds what the archive holds by words, author, squad, class and time, the newest day first.

Words are looked up by their keyed hashes, day by day, so that a month is searched without opening
it; only what is shown is opened. Source: decision 54.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, Table, and_, func, select

from meshnode.errors import SealBrokenError
from meshnode.gateway.archive.database import ArchiveDatabase
from meshnode.gateway.archive.keys import DayKeys, place_of
from meshnode.gateway.archive.records import Found, Held, Query
from meshnode.gateway.archive.schema import ArchivedRow, ContentRow, DayKeyRow, WordRow, table
from meshnode.gateway.archive.words import token
from meshnode.gateway.archive.writing import ARCHIVED_SEAT, CONTENT_SEAT
from meshnode.retention import DataClass
from meshnode.store.statements import unsigned64
from meshnode.vault.kinds import day_of
from meshnode.vault.vault import Vault
from protocol.ids import BundleId, NodeId
from protocol.limits import Kind

__all__ = ["bundles", "contents", "held"]

_ARCHIVED: Final = table(ArchivedRow)
_CONTENT: Final = table(ContentRow)
_DAY_KEY: Final = table(DayKeyRow)
_WORD: Final = table(WordRow)


class _Search:
    """One search on one connection."""

    def __init__(
        self,
        database: ArchiveDatabase,
        connection: Connection,
        vault: Vault,
        query: Query,
    ) -> None:
        self._connection = connection
        self._vault = vault
        self._query = query
        self._keys = DayKeys(database, connection, vault, _no_entropy)

    def days(self) -> list[tuple[int, list[DataClass]]]:
        """Return the days that hold anything, the newest first, with their classes."""
        wanted = self._query.classes or tuple(DataClass)
        # A thing counts from the day it was written or taken in, whichever was earlier.
        rows = self._connection.execute(
            select(_DAY_KEY.c.day, _DAY_KEY.c.data_class).where(
                _DAY_KEY.c.data_class.in_([str(each) for each in wanted]),
                _DAY_KEY.c.day <= day_of(self._query.to_ms),
            )
        )
        found: dict[int, list[DataClass]] = {}
        for day, data_class in rows:
            found.setdefault(day, []).append(DataClass(data_class))
        return sorted(found.items(), reverse=True)

    def rows_of(self, rows: Table, day: int, classes: list[DataClass], limit: int) -> list[Any]:
        """Return the rows of one day, the newest first."""
        query = self._query
        wanted = [
            rows.c.day == day,
            rows.c.data_class.in_([str(each) for each in classes]),
            rows.c.created_ms >= query.from_ms,
            rows.c.created_ms < query.to_ms,
        ]
        if query.author is not None:
            wanted.append(rows.c.author == query.author)
        if query.scope is not None:
            wanted.append(rows.c.scope == query.scope)
        found = select(rows)
        for word in query.words if rows is _CONTENT else ():
            hashed = _WORD.alias()
            tokens = [
                token(word, key.words)
                for each in classes
                if (key := self._keys.find(each, day)) is not None
            ]
            found = found.join(
                hashed, and_(hashed.c.content == rows.c.key, hashed.c.token.in_(tokens))
            )
        found = found.where(*wanted).order_by(rows.c.created_ms.desc(), rows.c.key.desc())
        return list(self._connection.execute(found.limit(limit)))

    def opened(self, row: Any, seat: bytes, *, is_content: bool) -> Found:
        """Return a row with what it holds."""
        name = BundleId(NodeId(bytes(row.author)), row.incarnation, unsigned64(row.seq))
        data_class = DataClass(row.data_class)
        key, raw = self._keys.find(data_class, row.day), None
        if key is not None:
            try:
                raw = self._vault.open(key.data, seat, place_of(name), bytes(row.sealed))
            except SealBrokenError:
                # It costs what it held and nothing else; the vault has told of it.
                raw = None
        return Found(
            is_content,
            name,
            data_class,
            row.day,
            Kind(row.kind),
            bytes(row.scope),
            row.created_ms,
            row.opened_ms if is_content else row.arrived_ms,
            NodeId(bytes(row.gateway)),
            raw,
        )


def contents(
    database: ArchiveDatabase, connection: Connection, vault: Vault, query: Query
) -> Iterator[Found]:
    """Yield contents that fit, the newest day first. Raises: ArchiveKeyError, ArchiveError."""
    yield from _found(_Search(database, connection, vault, query), _CONTENT, query.limit)


def bundles(
    database: ArchiveDatabase, connection: Connection, vault: Vault, query: Query
) -> Iterator[Found]:
    """Yield containers that fit, opened or not; words do not count. Raises: as `contents`."""
    yield from _found(_Search(database, connection, vault, query), _ARCHIVED, query.limit)


def _found(search: _Search, rows: Table, limit: int) -> Iterator[Found]:
    is_content = rows is _CONTENT
    seat = CONTENT_SEAT if is_content else ARCHIVED_SEAT
    for day, classes in search.days():
        if limit <= 0:
            return
        for row in search.rows_of(rows, day, classes, limit):
            limit -= 1
            yield search.opened(row, seat, is_content=is_content)


def held(connection: Connection, author: NodeId | None) -> list[Held]:
    """Return what is held of each class, of one author or of all. Cost: a pass over its rows."""
    counts: dict[DataClass, list[int]] = {each: [0, 0] for each in DataClass}
    oldest: dict[DataClass, int] = {}
    for place, rows in enumerate((_ARCHIVED, _CONTENT)):
        query = select(rows.c.data_class, func.count(), func.min(rows.c.day))
        if author is not None:
            query = query.where(rows.c.author == author)
        for name, count, day in connection.execute(query.group_by(rows.c.data_class)):
            data_class = DataClass(name)
            counts[data_class][place] = count
            oldest[data_class] = min(oldest.get(data_class, day), day)
    return [Held(each, counts[each][0], counts[each][1], oldest.get(each)) for each in DataClass]


def _no_entropy(_count: int) -> bytes:
    raise AssertionError("a search makes no key")
