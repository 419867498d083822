"""What lies between storing a bundle for this node and its receipt; survives any crash.

The relay queues a bundle in the transaction that stores it. The inbox opens it, or ties it to the
key it lacks. What was opened makes its receipt page due until the receipt is stored.
Source: STYLE 24, wire-format 4.12, security 2.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from meshnode.store.engine import Transaction
from meshnode.store.records import ReceiptPage, Unopened
from meshnode.store.schema import (
    BundleRow,
    OwnBundleRow,
    ReceiptDueRow,
    ReceivedRow,
    UnopenedRow,
    table,
)
from meshnode.store.statements import delete_many, run_many, select_many, signed64, unsigned64
from protocol.ids import NodeId, ShortId
from protocol.limits import TrafficClass

__all__ = [
    "alarms_unopened",
    "mark_opened",
    "mark_shut",
    "note_received",
    "own_digests",
    "queue_unopened",
    "receipt_made",
    "receipts_due",
    "received_page",
    "requeue",
    "set_waiting",
    "unopened",
    "unopened_count",
    "waiting_for",
    "waiting_keys",
]

_BUNDLE = table(BundleRow)
_UNOPENED = table(UnopenedRow)
_RECEIVED = table(ReceivedRow)
_DUE = table(ReceiptDueRow)
_OWN_BUNDLE = table(OwnBundleRow)

_SELECT_QUEUED = "SELECT short_id, keyref FROM unopened WHERE short_id IN (%s)"
_SHUT = b"!"
"""Stands for a key in the queue where none opens a bundle: it is tried again once queued again."""
_TRY_AGAIN = "UPDATE unopened SET keyref = x'' WHERE short_id = ?"
_PAGE_BITS = 10
"""A receipt page covers 1,024 numbers (wire-format 4.12)."""


def queue_unopened(tx: Transaction, short_ids: Sequence[ShortId], now_ms: int) -> int:
    """Put stored bundles into the inbox's queue; return how many are new there, or open again.

    Each stands for a bundle that is held, so the queue is bounded by the store; none is left out,
    because a bundle that is never opened would be a message that is lost.
    """
    keys = list(dict.fromkeys(signed64(short_id) for short_id in short_ids))
    # In slices: an author's whole store may be queued at once, and a statement takes only so many.
    known = dict(select_many(tx.connection, _SELECT_QUEUED, keys))
    again = [(key,) for key, keyref in known.items() if keyref == _SHUT]
    run_many(tx.connection, _TRY_AGAIN, again)
    rows = [
        {"short_id": key, "author": b"", "keyref": b"", "since_ms": now_ms}
        for key in keys
        if key not in known
    ]
    if rows:
        tx.connection.execute(insert(_UNOPENED), rows)
    return len(rows) + len(again)


def unopened(conn: Connection, limit: int) -> list[Unopened]:
    """Return bundles that nobody has tried to open, oldest first."""
    query = (
        select(_UNOPENED)
        .where(_UNOPENED.c.keyref == b"")
        .order_by(_UNOPENED.c.since_ms, _UNOPENED.c.short_id)
        .limit(limit)
    )
    return [_unopened(row) for row in conn.execute(query)]


def set_waiting(tx: Transaction, short_id: ShortId, author: NodeId, keyref: bytes) -> None:
    """Tie a bundle to the key it cannot be opened without."""
    tx.connection.execute(
        update(_UNOPENED)
        .where(_UNOPENED.c.short_id == signed64(short_id))
        .values(author=author, keyref=keyref)
    )


def waiting_for(conn: Connection, keyref: bytes) -> list[ShortId]:
    """Return the bundles that wait for one key, oldest first."""
    query = (
        select(_UNOPENED.c.short_id)
        .where(_UNOPENED.c.keyref == keyref)
        .order_by(_UNOPENED.c.since_ms, _UNOPENED.c.short_id)
    )
    return [unsigned64(key) for key in conn.execute(query).scalars()]


def requeue(tx: Transaction, keyref: bytes) -> int:
    """Let the bundles that waited for a key be tried again; return how many did."""
    return tx.connection.execute(
        update(_UNOPENED)
        .where(_UNOPENED.c.keyref == keyref, _UNOPENED.c.keyref != b"")
        .values(keyref=b"")
    ).rowcount


def waiting_keys(conn: Connection, limit: int) -> list[Unopened]:
    """Return for each missing key the bundle that has waited longest, the longest wait first.

    At most `limit` keys of each author: one that names thousands hides nobody else's.
    """
    since_ms = func.min(_UNOPENED.c.since_ms)
    place = (
        func.row_number()
        .over(partition_by=_UNOPENED.c.author, order_by=(since_ms, _UNOPENED.c.keyref))
        .label("place")
    )
    keys = (
        select(
            func.min(_UNOPENED.c.short_id).label("short_id"),
            _UNOPENED.c.author,
            _UNOPENED.c.keyref,
            since_ms.label("since_ms"),
            place,
        )
        .where(_UNOPENED.c.keyref.not_in((b"", _SHUT)))
        .group_by(_UNOPENED.c.author, _UNOPENED.c.keyref)
        .subquery()
    )
    query = (
        select(keys.c.short_id, keys.c.author, keys.c.keyref, keys.c.since_ms)
        .where(keys.c.place <= limit)
        .order_by(keys.c.since_ms, keys.c.keyref)
    )
    return [Unopened(unsigned64(row[0]), *row[1:]) for row in conn.execute(query)]


def mark_opened(tx: Transaction, short_ids: Sequence[ShortId]) -> int:
    """Take bundles out of the queue: opened, or never to be; return how many were in it."""
    return delete_many(tx.connection, "unopened", [signed64(each) for each in short_ids])


def mark_shut(tx: Transaction, each: Unopened) -> bool:
    """Note that nothing opens a bundle; False where that was known.

    It stays in the queue until the bundle goes: whoever queues it again, at each start or with
    other rosters, must not have it told again.
    """
    tx.connection.execute(
        update(_UNOPENED)
        .where(_UNOPENED.c.short_id == signed64(each.short_id))
        .values(author=_SHUT, keyref=_SHUT)
    )
    return each.author != _SHUT


def unopened_count(conn: Connection) -> int:
    """Return how many bundles for this device are not opened yet, most for want of a key."""
    query = select(func.count()).select_from(_UNOPENED).where(_UNOPENED.c.keyref != _SHUT)
    return int(conn.execute(query).scalar_one())


def alarms_unopened(conn: Connection) -> int:
    """Return how many bundles about alarms nobody has tried to open: all that came while locked."""
    query = (
        select(func.count())
        .select_from(_UNOPENED.join(_BUNDLE, _BUNDLE.c.short_id == _UNOPENED.c.short_id))
        .where(_UNOPENED.c.keyref == b"", _BUNDLE.c.traffic_class == int(TrafficClass.SOS))
    )
    return int(conn.execute(query).scalar_one())


# --- receipts --------------------------------------------------------------------------------


def note_received(
    tx: Transaction, author: NodeId, incarnation: int, seq: int, digest: bytes, now_ms: int
) -> bool:
    """Note that a bundle of `author` is on this device and its page due; False if known."""
    here = select(_RECEIVED.c.at_ms).where(
        _RECEIVED.c.author == author,
        _RECEIVED.c.incarnation == incarnation,
        _RECEIVED.c.seq == signed64(seq),
    )
    if tx.connection.execute(here).first() is not None:
        return False
    tx.connection.execute(
        insert(_RECEIVED).values(
            author=author,
            incarnation=incarnation,
            seq=signed64(seq),
            digest=digest,
            at_ms=now_ms,
        )
    )
    page = ReceiptPage(author, incarnation, seq >> _PAGE_BITS, now_ms)
    due = select(_DUE.c.since_ms).where(*_is_page(page))
    if tx.connection.execute(due).first() is None:
        tx.connection.execute(
            insert(_DUE).values(
                author=author, incarnation=incarnation, page=page.page, since_ms=now_ms
            )
        )
    return True


def received_page(
    conn: Connection, author: NodeId, incarnation: int, page: int
) -> dict[int, bytes]:
    """Return {seq: digest} of what this device opened of one page."""
    query = (
        select(_RECEIVED.c.seq, _RECEIVED.c.digest)
        .where(
            _RECEIVED.c.author == author,
            _RECEIVED.c.incarnation == incarnation,
            _RECEIVED.c.seq.between(*_page_ends(page)),
        )
        .order_by(_RECEIVED.c.seq)
    )
    return {unsigned64(seq): digest for seq, digest in conn.execute(query)}


def receipts_due(conn: Connection, limit: int) -> list[ReceiptPage]:
    """Return pages whose receipt lags behind, the longest due first."""
    query = select(_DUE).order_by(_DUE.c.since_ms, _DUE.c.author, _DUE.c.page).limit(limit)
    return [
        ReceiptPage(row.author, row.incarnation, unsigned64(row.page), row.since_ms)
        for row in conn.execute(query)
    ]


def receipt_made(tx: Transaction, author: NodeId, incarnation: int, page: int) -> None:
    """A receipt for the page as it is now was stored in this transaction."""
    tx.connection.execute(delete(_DUE).where(*_is_page(ReceiptPage(author, incarnation, page, 0))))


def own_digests(conn: Connection, incarnation: int, page: int) -> dict[int, bytes]:
    """Return {seq: digest} of this node's own bundles of one page, held or gone."""
    query = (
        select(_OWN_BUNDLE.c.seq, _OWN_BUNDLE.c.digest)
        .where(
            _OWN_BUNDLE.c.incarnation == incarnation,
            _OWN_BUNDLE.c.seq.between(*_page_ends(page)),
        )
        .order_by(_OWN_BUNDLE.c.seq)
    )
    return {unsigned64(seq): digest for seq, digest in conn.execute(query)}


def _page_ends(page: int) -> tuple[int, int]:
    first = page << _PAGE_BITS
    return signed64(first), signed64(first + (1 << _PAGE_BITS) - 1)


def _is_page(page: ReceiptPage) -> tuple[Any, ...]:
    return (
        _DUE.c.author == page.author,
        _DUE.c.incarnation == page.incarnation,
        _DUE.c.page == signed64(page.page),
    )


def _unopened(row: Row[Any]) -> Unopened:
    return Unopened(unsigned64(row.short_id), row.author, row.keyref, row.since_ms)
