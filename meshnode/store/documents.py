"""Authority documents in force, one per class and scope, and the time that they prove.

What may be put here is not judged here.

Source: wire-format 7, security 2.9.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeAlias

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from meshnode.store.engine import Transaction
from meshnode.store.records import DocumentRecord
from meshnode.store.schema import DocumentRow, TimeFloorRow, table
from meshnode.store.sealing import Seals, document_seat
from protocol.limits import DOCUMENTS_HELD_MAX

__all__ = [
    "DocumentKey",
    "all_documents",
    "all_raw",
    "count_of_class",
    "drop",
    "get",
    "has_room",
    "put",
    "raise_time_floor",
    "raw_many",
    "time_floor_ms",
    "versions",
]

DocumentKey: TypeAlias = tuple[int, bytes]
"""Class and scope."""

_DOCUMENT = table(DocumentRow)
_FLOOR = table(TimeFloorRow)


def put(tx: Transaction, document: DocumentRecord) -> None:
    """Put a document in force in the place of the one with the same class and scope.

    The caller has checked it in this transaction (wire-format 7.6).
    """
    key = (document.document_class, document.scope)
    seat = document_seat(*key, document.received_ms)
    tx.connection.execute(delete(_DOCUMENT).where(*_is(key)))
    tx.connection.execute(
        insert(_DOCUMENT).values(
            document_class=document.document_class,
            scope=document.scope,
            epoch=document.epoch,
            version=document.version,
            digest=document.digest,
            raw=Seals(tx.connection).seal(seat, document.raw),
            received_ms=document.received_ms,
        )
    )


def get(conn: Connection, key: DocumentKey) -> DocumentRecord | None:
    """Return the document in force for one class and scope.

    None for one that is damaged, too: then the next that comes takes its place.
    """
    row = conn.execute(select(_DOCUMENT).where(*_is(key))).first()
    return None if row is None else _document(row, Seals(conn))


def versions(conn: Connection) -> dict[DocumentKey, tuple[int, int]]:
    """Return (epoch, version) of every document in force."""
    query = select(
        _DOCUMENT.c.document_class,
        _DOCUMENT.c.scope,
        _DOCUMENT.c.epoch,
        _DOCUMENT.c.version,
    )
    return {(row[0], row[1]): (row[2], row[3]) for row in conn.execute(query)}


def has_room(conn: Connection) -> bool:
    """True if one more document may be held."""
    count = conn.execute(select(func.count()).select_from(_DOCUMENT)).scalar_one()
    return int(count) < DOCUMENTS_HELD_MAX


def count_of_class(conn: Connection, document_class: int) -> int:
    """Return how many documents of one class are held."""
    query = select(func.count()).select_from(_DOCUMENT)
    query = query.where(_DOCUMENT.c.document_class == document_class)
    return int(conn.execute(query).scalar_one())


def drop(tx: Transaction, keys: Collection[DocumentKey]) -> None:
    """Forget documents whose time is over."""
    for key in keys:
        tx.connection.execute(delete(_DOCUMENT).where(*_is(key)))


def time_floor_ms(conn: Connection) -> int:
    """Return the time than which it is surely later, Unix milliseconds; 0 if none was proven."""
    found = conn.execute(select(_FLOOR.c.floor_ms)).scalar()
    return 0 if found is None else int(found)


def raise_time_floor(tx: Transaction, floor_ms: int) -> None:
    """Keep a signed time; one that is not later than that held changes nothing."""
    held = tx.connection.execute(select(_FLOOR.c.floor_ms)).scalar()
    if held is None:
        tx.connection.execute(insert(_FLOOR).values(key=1, floor_ms=floor_ms))
    elif floor_ms > held:
        tx.connection.execute(update(_FLOOR).values(floor_ms=floor_ms))


def raw_many(conn: Connection, keys: Collection[DocumentKey]) -> list[bytes]:
    """Return the documents of `keys` that are whole, as received, roots first."""
    wanted = set(keys)
    return [each.raw for each in all_documents(conn) if _key(each) in wanted]


def all_raw(conn: Connection) -> list[bytes]:
    """Return every document in force that is whole, as received, roots first."""
    return [each.raw for each in all_documents(conn)]


def all_documents(conn: Connection) -> list[DocumentRecord]:
    """Return every document in force that is whole, by class and scope.

    A damaged one is as if it had never come, so that peers bring it again.
    """
    query = select(_DOCUMENT).order_by(_DOCUMENT.c.document_class, _DOCUMENT.c.scope)
    seals = Seals(conn)
    found = [_document(row, seals) for row in conn.execute(query)]
    return [each for each in found if each is not None]


def _key(document: DocumentRecord) -> DocumentKey:
    return document.document_class, document.scope


def _is(key: DocumentKey) -> tuple[Any, ...]:
    return (_DOCUMENT.c.document_class == int(key[0]), _DOCUMENT.c.scope == key[1])


def _document(row: Row[Any], seals: Seals) -> DocumentRecord | None:
    seat = document_seat(row.document_class, row.scope, row.received_ms)
    raw = seals.open_or_none(seat, row.raw)
    if raw is None:
        return None
    return DocumentRecord(
        document_class=row.document_class,
        scope=row.scope,
        epoch=row.epoch,
        version=row.version,
        digest=row.digest,
        raw=raw,
        received_ms=row.received_ms,
    )
