"""Finds what the archive holds by words, author, squad, class and time, the newest day first.

Words are looked up by their keyed hashes, day by day, so that a month is searched without opening
it; a beginning stands for the words of a day that begin so, out of its sealed list. Only what is
shown is opened. Source: decision 54.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    FromClause,
    Table,
    and_,
    func,
    select,
    tuple_,
    union_all,
)

from meshnode.errors import ArchiveError, SealBrokenError
from meshnode.gateway.archive import vocabulary
from meshnode.gateway.archive.database import ArchiveDatabase
from meshnode.gateway.archive.keys import DayKeys, place_of
from meshnode.gateway.archive.records import Found, Held, Query
from meshnode.gateway.archive.schema import ArchivedRow, ContentRow, WordRow, table
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
_WORD: Final = table(WordRow)
_FIRST_DAY: Final = 0
_GROUP_DAYS: Final = 8
"""Classes and days that are looked through first."""
_GROUP_GROWS: Final = 4
_GROUP_DAYS_MAX: Final = 256
"""And so many at once in the end: SQLite takes 500 parts of a query."""
_TOKENS_MAX: Final = 8_000
"""Hashes in one query; PostgreSQL takes 65,535 values."""
_Day = tuple[int, DataClass]
_Meanings = list[list[int]]
"""For each word and beginning the hashes of one day, one of which a content must have."""


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

    def groups(self) -> Iterator[list[_Day]]:
        """Yield the days that hold anything, the newest first, in groups that grow.

        Most searches are answered by the newest days; what is rare is looked for in many at once.
        """
        wanted = self._query.classes or tuple(DataClass)
        # A thing counts from the day it was written or taken in, whichever was earlier.
        last = day_of(self._query.to_ms)
        found = sorted(
            ((day, each) for each in wanted for day in self._keys.find_all(each, _FIRST_DAY, last)),
            reverse=True,
        )
        start, size = 0, _GROUP_DAYS
        while start < len(found):
            yield found[start : start + size]
            start, size = start + size, min(size * _GROUP_GROWS, _GROUP_DAYS_MAX)

    def rows_of(self, rows: Table, days: list[_Day], limit: int) -> list[Any]:
        """Return the rows of some days, the newest first."""
        query = self._query
        has_words = rows is _CONTENT and self._has_words
        wanted = [rows.c.created_ms >= query.from_ms, rows.c.created_ms < query.to_ms]
        if not has_words:
            # The hash of a word is that of one class and day, and says so by itself.
            named = [(str(each), day) for day, each in days]
            wanted.append(tuple_(rows.c.data_class, rows.c.day).in_(named))
            if query.author is None and (query.scope is None or rows is _ARCHIVED):
                # Said in parts, too, for the index by day. Of one author that by name serves, of
                # one squad that by scope: each has far fewer rows than its days.
                wanted.append(rows.c.data_class.in_({str(each) for _day, each in days}))
                wanted.append(rows.c.day.in_({day for day, _class in days}))
        if query.author is not None:
            wanted.append(rows.c.author == query.author)
        if query.scope is not None:
            wanted.append(rows.c.scope == query.scope)
        found = select(rows)
        order = (rows.c.day.desc(), rows.c.created_ms.desc(), rows.c.author, rows.c.seq)
        if not has_words:
            ordered = found.where(*wanted).order_by(*order).limit(limit)
            return list(self._connection.execute(ordered))
        answers: list[Any] = []
        for part in self._parts(days):
            some = found.where(rows.c.key.in_(_with_all(part)), *wanted).order_by(*order)
            answers += self._connection.execute(some.limit(limit - len(answers)))
            if len(answers) >= limit:
                break
        return answers

    @property
    def _has_words(self) -> bool:
        return bool(self._query.words or self._query.beginnings)

    def _parts(self, days: list[_Day]) -> Iterator[list[_Meanings]]:
        """Yield what the words mean on each of `days`, in their order, as one query takes it.

        Days on which one of them means nothing are left out. Raises: ArchiveError.
        """
        part: list[_Meanings] = []
        size = 0
        for each in self._meanings(days):
            tokens = sum(map(len, each))
            if tokens > _TOKENS_MAX:
                raise ArchiveError("too many words begin like that: write more of their letters")
            if size + tokens > _TOKENS_MAX:
                yield part
                part, size = [], 0
            part.append(each)
            size += tokens
        if part:
            yield part

    def _meanings(self, days: list[_Day]) -> Iterator[_Meanings]:
        query = self._query
        meant: dict[vocabulary.ClassDay, list[set[str]]] = {}
        if query.beginnings:
            named = [(data_class, day) for day, data_class in days]
            meant = vocabulary.meant(
                self._connection, self._vault, self._keys, named, query.beginnings
            )
        for day, data_class in days:
            key = self._keys.find(data_class, day)
            assert key is not None, "only days that have a key are looked through"
            words = [[each] for each in query.words]
            for beginning, those in zip(
                query.beginnings, meant.get((data_class, day), ()), strict=True
            ):
                # Days that were archived before there were lists know whole words.
                words.append(sorted(those | {beginning}))
            yield [[token(each, key.words) for each in some] for some in words]

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


def _with_all(days: Sequence[_Meanings]) -> CompoundSelect[tuple[int]]:
    """Return the contents that have every word, day by day: a day's hashes meet no others.

    So each row of the first word costs one probe for each further one, not one for each day.
    """
    parts = []
    for first_word, *others in days:
        first = _WORD.alias()
        part = select(first.c.content).where(_is_of(first, first_word))
        for word in others:
            other = _WORD.alias()
            part = part.join(other, and_(_is_of(other, word), other.c.content == first.c.content))
        parts.append(part)
    return union_all(*parts)


def _is_of(rows: FromClause, tokens: list[int]) -> ColumnElement[bool]:
    column = rows.c.token
    return column == tokens[0] if len(tokens) == 1 else column.in_(tokens)


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
    for days in search.groups():
        if limit <= 0:
            return
        for row in search.rows_of(rows, days, limit):
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
