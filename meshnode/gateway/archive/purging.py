"""Destroys what is over: the key of a class and day first, with a signed entry, then its rows.

Both are one transaction, so nothing is destroyed without its entry. Rows whose key is gone open
nowhere; they go in slices behind it, and whatever a crash leaves of them goes at the next purge.
Source: decision 55.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, delete, func, select, tuple_

from meshnode.gateway.archive import vocabulary
from meshnode.gateway.archive.database import ArchiveDatabase
from meshnode.gateway.archive.purge_log import Action, Entry, Head, Signed, make
from meshnode.gateway.archive.records import Day
from meshnode.gateway.archive.schema import (
    ArchivedRow,
    ContentRow,
    DayKeyRow,
    RecordRow,
    WordRow,
    table,
)
from meshnode.retention import DataClass, Terms
from protocol.ids import NodeId

__all__ = ["Scribe", "append", "destroy_keys", "drop_rows", "has_entry", "head", "over", "read_log"]

_ARCHIVED: Final = table(ArchivedRow)
_CONTENT: Final = table(ContentRow)
_DAY_KEY: Final = table(DayKeyRow)
_WORD: Final = table(WordRow)
_RECORD: Final = table(RecordRow)
_SLICE: Final = 2_000
"""Rows deleted in one transaction, so that others never wait long."""
_LOG_PAGE: Final = 1_000


class Scribe:
    """Who writes entries of the purge log: one gateway, with its badge."""

    def __init__(
        self, gateway: NodeId, sign: Callable[[bytes], bytes], now_ms: Callable[[], int]
    ) -> None:
        self._gateway = gateway
        self._sign = sign
        self._now_ms = now_ms

    def entry(self, before: Head, action: Action, details: tuple[tuple[str, str], ...]) -> Signed:
        """Return the next entry, signed. Raises: LockedError."""
        number = before.number + 1
        return make(
            Entry(number, before.hash, self._now_ms(), self._gateway, action, details), self._sign
        )


def over(connection: Connection, terms: Terms, today: int) -> list[Day]:
    """Return every class and day that is over and still has a key, the oldest first."""
    found = []
    for data_class, days in terms.items():
        query = select(_DAY_KEY.c.day).where(
            _DAY_KEY.c.data_class == str(data_class), _DAY_KEY.c.day < today - days
        )
        for day in connection.execute(query.order_by(_DAY_KEY.c.day)).scalars():
            counts = [
                connection.execute(
                    select(func.count()).where(
                        rows.c.data_class == str(data_class), rows.c.day == day
                    )
                ).scalar_one()
                for rows in (_ARCHIVED, _CONTENT)
            ]
            found.append(Day(data_class, day, *counts))
    return found


def destroy_keys(
    database: ArchiveDatabase, connection: Connection, scribe: Scribe, days: list[Day]
) -> tuple[list[bytes], Head]:
    """Delete the keys of `days` and write one entry for each class; return the wrapped keys.

    Raises: LockedError; nothing is destroyed then.
    """
    database.lock(connection)
    gone: list[bytes] = []
    last = head(connection)
    for data_class in dict.fromkeys(each.data_class for each in days):
        mine = [each for each in days if each.data_class is data_class]
        here = (
            _DAY_KEY.c.data_class == str(data_class),
            _DAY_KEY.c.day.in_([each.day for each in mine]),
        )
        wrapped = connection.execute(select(_DAY_KEY.c.wrapped).where(*here)).scalars()
        gone += [bytes(each) for each in wrapped]
        connection.execute(delete(_DAY_KEY).where(*here))
        details = (
            ("class", str(data_class)),
            ("keys", str(len(mine))),
            ("first_day", str(min(each.day for each in mine))),
            ("last_day", str(max(each.day for each in mine))),
            ("bundles", str(sum(each.bundles for each in mine))),
            ("contents", str(sum(each.contents for each in mine))),
        )
        last = append(database, connection, scribe, Action.PURGE, details)
    return gone, last


def drop_rows(connection: Connection, data_class: DataClass, before_day: int) -> int:
    """Delete a slice of the rows of a class that are older than a day; 0 once there are none."""
    vocabulary.drop(connection, data_class, before_day)
    older = (_CONTENT.c.data_class == str(data_class), _CONTENT.c.day < before_day)
    keys = list(connection.execute(select(_CONTENT.c.key).where(*older).limit(_SLICE)).scalars())
    if keys:
        connection.execute(delete(_WORD).where(_WORD.c.content.in_(keys)))
        return connection.execute(delete(_CONTENT).where(_CONTENT.c.key.in_(keys))).rowcount
    older = (_ARCHIVED.c.data_class == str(data_class), _ARCHIVED.c.day < before_day)
    name = (_ARCHIVED.c.author, _ARCHIVED.c.incarnation, _ARCHIVED.c.seq)
    names = connection.execute(select(*name).where(*older).limit(_SLICE)).all()
    if not names:
        return 0
    gone = tuple_(*name).in_([tuple(each) for each in names])
    return connection.execute(delete(_ARCHIVED).where(gone)).rowcount


# --- the log ---------------------------------------------------------------------------------


def append(
    database: ArchiveDatabase,
    connection: Connection,
    scribe: Scribe,
    action: Action,
    details: tuple[tuple[str, str], ...],
) -> Head:
    """Write one entry behind the last; return the new head. Raises: LockedError."""
    database.lock(connection)
    made = scribe.entry(head(connection), action, details)
    row = (made.number, made.body, made.hash, made.signature)
    is_new = database.insert_new(connection, _RECORD, [row])
    assert is_new == 1, "the lock lets one gateway write at a time"
    return Head(made.number, made.hash)


def head(connection: Connection) -> Head:
    """Return where the log ends."""
    query = select(_RECORD.c.number, _RECORD.c.hash).order_by(_RECORD.c.number.desc()).limit(1)
    row = connection.execute(query).first()
    return Head() if row is None else Head(row.number, bytes(row.hash))


def has_entry(connection: Connection, wanted: Head) -> bool:
    """True where the log has this very entry; an empty log has the head of all."""
    query = select(_RECORD.c.hash).where(_RECORD.c.number == wanted.number)
    found = connection.execute(query).scalar()
    return wanted == Head() if found is None else bytes(found) == wanted.hash


def read_log(connection: Connection, last: int | None = None) -> list[Signed]:
    """Return the whole log, or its `last` entries, the oldest first."""
    first = 0 if last is None else head(connection).number - last
    rows = select(_RECORD).where(_RECORD.c.number > first).order_by(_RECORD.c.number)
    return [
        Signed(row.number, bytes(row.body), bytes(row.hash), bytes(row.signature))
        for row in connection.execution_options(yield_per=_LOG_PAGE).execute(rows)
    ]
