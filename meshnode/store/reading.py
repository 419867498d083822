"""What was shown here and what its author took back first; and whom that is still to be told.

Both are facts of one transaction each: a message that was withdrawn is never shown, one that was
shown is never withdrawn. Source: wire-format 4.30-4.32, decision 27.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from meshnode.store.engine import Transaction
from meshnode.store.ledger import note
from meshnode.store.records import Direction, LedgerEvent, MessageState
from meshnode.store.schema import CancelledRow, MessageRow, ReadDueRow, ResentRow, table
from meshnode.store.sealing import Seals, message_seat
from meshnode.store.statements import signed64, unsigned64
from protocol.guards import READ_TELL_MS
from protocol.ids import BundleId, NodeId

__all__ = [
    "Told",
    "all_cancelled",
    "cancel",
    "cancelled",
    "copies",
    "count_of",
    "due",
    "is_cancelled",
    "link",
    "made",
    "note_due",
    "origin",
    "prune",
    "told",
    "withdraw",
]

_CANCELLED = table(CancelledRow)
_DUE = table(ReadDueRow)
_MESSAGE = table(MessageRow)
_RESENT = table(ResentRow)
_UNASKED: Final = delete(_CANCELLED).where(_CANCELLED.c.expires_ms <= bindparam("told_ms"))
_IS_INCOMING: Final = _MESSAGE.c.direction == Direction.INCOMING.value


class Told(NamedTuple):
    """One thing that a read receipt says."""

    message: BundleId
    """Which message."""
    is_read: bool
    """Shown to a person; else withdrawn by its author before that."""


# --- taken back ------------------------------------------------------------------------------


def cancel(tx: Transaction, message: BundleId, scope: bytes, expires_ms: int, now_ms: int) -> bool:
    """Remember that an author took a text back; False if that was known."""
    if is_cancelled(tx.connection, message):
        return False
    tx.connection.execute(
        insert(_CANCELLED).values(
            author=message.author,
            incarnation=message.incarnation,
            seq=signed64(message.seq),
            scope=scope,
            at_ms=now_ms,
            expires_ms=expires_ms,
        )
    )
    return True


def is_cancelled(conn: Connection, message: BundleId) -> bool:
    """True if the author took this text back, as far as is known here."""
    query = select(_CANCELLED.c.at_ms).where(
        _CANCELLED.c.author == message.author,
        _CANCELLED.c.incarnation == message.incarnation,
        _CANCELLED.c.seq == signed64(message.seq),
    )
    return conn.execute(query).first() is not None


def cancelled(
    conn: Connection, author: NodeId, incarnation: int, scope: bytes, now_ms: int
) -> dict[int, int]:
    """Return {seq: expires_ms} of what an author took back in a scope and still may travel."""
    query = (
        select(_CANCELLED.c.seq, _CANCELLED.c.expires_ms)
        .where(
            _CANCELLED.c.author == author,
            _CANCELLED.c.incarnation == incarnation,
            _CANCELLED.c.scope == scope,
            _CANCELLED.c.expires_ms > now_ms,
        )
        .order_by(_CANCELLED.c.seq)
    )
    return {unsigned64(seq): int(expires_ms) for seq, expires_ms in conn.execute(query)}


def all_cancelled(conn: Connection, reader: NodeId) -> frozenset[BundleId]:
    """Return what other authors took back, as far as this device, `reader`, knows it."""
    query = select(_CANCELLED.c.author, _CANCELLED.c.incarnation, _CANCELLED.c.seq).where(
        _CANCELLED.c.author != reader
    )
    return frozenset(BundleId(row[0], row[1], unsigned64(row[2])) for row in conn.execute(query))


def count_of(conn: Connection, author: NodeId) -> int:
    """Return how many texts of an author are remembered as taken back."""
    query = select(func.count()).select_from(_CANCELLED).where(_CANCELLED.c.author == author)
    return int(conn.execute(query).scalar_one())


def withdraw(tx: Transaction, message: BundleId, now_ms: int) -> tuple[int, bool] | None:
    """Take an incoming message away that nobody saw, its text for ever; return its number.

    With it False where somebody saw it before: it stays. None where it never came here.
    """
    query = select(_MESSAGE).where(
        _IS_INCOMING,
        _MESSAGE.c.author == message.author,
        _MESSAGE.c.incarnation == message.incarnation,
        _MESSAGE.c.seq == signed64(message.seq),
    )
    row = tx.connection.execute(query).first()
    if row is None:
        return None
    if row.is_read:
        note(tx, row.key, now_ms, LedgerEvent.CANCELLED, message.author, "too late")
        return int(row.key), False
    if row.state == MessageState.WITHDRAWN.value:
        return int(row.key), True
    seat = message_seat(
        row.author, row.incarnation, row.seq, row.direction, row.kind, row.expires_ms
    )
    values = {
        "state": MessageState.WITHDRAWN.value,
        "ended_ms": now_ms,
        "text": Seals(tx.connection).seal(seat, b""),
    }
    tx.connection.execute(update(_MESSAGE).where(_MESSAGE.c.key == row.key).values(values))
    note(tx, row.key, now_ms, LedgerEvent.CANCELLED, message.author)
    return int(row.key), True


# --- read receipts that are due --------------------------------------------------------------


def note_due(tx: Transaction, scope: bytes, now_ms: int) -> None:
    """What this device says to `scope` about what was read there lags behind from now on."""
    known = select(_DUE.c.since_ms).where(_DUE.c.scope == scope)
    if tx.connection.execute(known).first() is None:
        tx.connection.execute(insert(_DUE).values(scope=scope, since_ms=now_ms))


def due(conn: Connection, limit: int) -> list[tuple[bytes, int]]:
    """Return (scope, since when) of read receipts that lag behind, the longest due first."""
    query = select(_DUE.c.scope, _DUE.c.since_ms).order_by(_DUE.c.since_ms, _DUE.c.scope)
    return [(bytes(scope), int(since)) for scope, since in conn.execute(query.limit(limit))]


def made(tx: Transaction, scope: bytes) -> None:
    """A read receipt that says all there is to say was stored in this transaction."""
    tx.connection.execute(delete(_DUE).where(_DUE.c.scope == scope))


def told(
    conn: Connection,
    scopes: Sequence[bytes],
    author: NodeId | None,
    reader: NodeId,
    now_ms: int,
    limit: int,
) -> list[Told]:
    """Return what was read, or withdrawn unread, of messages to `scopes`.

    Of all authors, or of one, and of messages whose life ended at most `READ_TELL_MS` ago: people
    read old ones too. At most `limit` of each sort, the newest first.
    """
    since_ms = now_ms - READ_TELL_MS
    of_author = (_MESSAGE.c.author == author,) if author is not None else ()
    read = (
        select(_MESSAGE.c.author, _MESSAGE.c.incarnation, _MESSAGE.c.seq)
        .where(
            _IS_INCOMING,
            _MESSAGE.c.scope.in_(scopes),
            _MESSAGE.c.is_read == 1,
            _MESSAGE.c.expires_ms > since_ms,
            *of_author,
        )
        .order_by(_MESSAGE.c.key.desc())
        .limit(limit)
    )
    found = [Told(BundleId(row[0], row[1], unsigned64(row[2])), True) for row in conn.execute(read)]
    seen = {each.message for each in found}
    by_author = (_CANCELLED.c.author == author,) if author is not None else ()
    taken = (
        select(_CANCELLED.c.author, _CANCELLED.c.incarnation, _CANCELLED.c.seq)
        .where(
            _CANCELLED.c.scope.in_(scopes),
            _CANCELLED.c.author != reader,
            _CANCELLED.c.expires_ms > since_ms,
            *by_author,
        )
        .order_by(_CANCELLED.c.at_ms.desc(), _CANCELLED.c.author, _CANCELLED.c.seq)
        .limit(limit)
    )
    for row in conn.execute(taken):
        message = BundleId(row[0], row[1], unsigned64(row[2]))
        if message not in seen and not _was_read(conn, message):
            found.append(Told(message, False))
    return found


def _was_read(conn: Connection, message: BundleId) -> bool:
    query = select(_MESSAGE.c.key).where(
        _IS_INCOMING,
        _MESSAGE.c.author == message.author,
        _MESSAGE.c.incarnation == message.incarnation,
        _MESSAGE.c.seq == signed64(message.seq),
        _MESSAGE.c.is_read == 1,
    )
    return conn.execute(query).first() is not None


def prune(tx: Transaction, now_ms: int) -> int:
    """Forget what was taken back so long ago that nobody asks; return how many that were."""
    return tx.connection.execute(_UNASKED, {"told_ms": now_ms - READ_TELL_MS}).rowcount


# --- sent again ------------------------------------------------------------------------------


def link(tx: Transaction, copy: int, first: int) -> None:
    """Remember that the outgoing message `copy` repeats the message `first`."""
    tx.connection.execute(insert(_RESENT).values(message=copy, origin=first))


def origin(conn: Connection, message: int) -> int | None:
    """Return which message an outgoing one repeats; None for one of its own."""
    query = select(_RESENT.c.origin).where(_RESENT.c.message == message)
    found = conn.execute(query).scalar()
    return None if found is None else int(found)


def copies(conn: Connection, messages: Iterable[int]) -> dict[int, list[int]]:
    """Return the messages that repeat each of `messages`, oldest first."""
    found: dict[int, list[int]] = {message: [] for message in messages}
    query = (
        select(_RESENT.c.origin, _RESENT.c.message)
        .where(_RESENT.c.origin.in_(list(found)))
        .order_by(_RESENT.c.message)
    )
    for first, copy in conn.execute(query):
        found[first].append(copy)
    return found
