"""Messages of people, both ways, and the ledger that tells the story of each.

An outgoing message ends in exactly one of delivered, expired, refused; what is learned later is
written down but changes nothing. An incoming one is kept once, whatever number of copies came.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, bindparam, func, insert, select, update
from sqlalchemy.sql import Select

from meshnode.store import recipients as ends
from meshnode.store.engine import Transaction
from meshnode.store.ledger import MessageKey, ledger, note, note_once
from meshnode.store.recipients import recipients
from meshnode.store.records import (
    FINAL_STATES,
    Direction,
    LedgerEvent,
    MessageRecord,
    MessageState,
    NewMessage,
    RecipientState,
)
from meshnode.store.schema import LedgerRow, MessageRow, table
from meshnode.store.sealing import Seals, Seat, message_seat
from meshnode.store.spool import Content, add_opened
from meshnode.store.statements import signed64, unsigned64
from meshnode.vault.kinds import DataKind
from protocol.ids import BundleId, NodeId, ShortId
from protocol.limits import Kind

__all__ = [
    "MessageKey",
    "add_incoming",
    "add_outgoing",
    "by_short",
    "cancel",
    "conclude",
    "counts",
    "expire_messages",
    "expires_next",
    "find",
    "get",
    "is_known",
    "kept_of_copy",
    "ledger",
    "list_inbox",
    "list_outgoing",
    "mark_read",
    "note",
    "note_handed",
    "note_once",
    "note_receipt",
    "recipients",
    "set_bundle",
    "state_of",
    "uncarried",
    "waiting",
]

_MESSAGE = table(MessageRow)
_LEDGER = table(LedgerRow)

# Named one by one, so that the index on state and deadline serves them.
_IS_OPEN: Final = _MESSAGE.c.state.in_(
    [MessageState.WAITING.value, MessageState.QUEUED.value, MessageState.CARRIED.value]
)
_IS_OUTGOING: Final = _MESSAGE.c.direction == Direction.OUTGOING.value
# Built once: each node runs these in every contact or every few minutes, and building one costs
# more than running it.
_OVER: Final = (
    select(_MESSAGE.c.key)
    .where(_IS_OUTGOING, _IS_OPEN, _MESSAGE.c.expires_ms <= bindparam("now_ms"))
    .order_by(_MESSAGE.c.key)
    .limit(bindparam("rows_max"))
)
_UNCARRIED: Final = (
    select(_MESSAGE.c.short_id)
    .where(
        _IS_OUTGOING,
        _MESSAGE.c.state == MessageState.QUEUED.value,
        _MESSAGE.c.short_id.is_not(None),
    )
    .order_by(_MESSAGE.c.key)
    .limit(bindparam("rows_max"))
)
_FIRST_END: Final = select(func.min(_MESSAGE.c.expires_ms)).where(_IS_OUTGOING, _IS_OPEN)
_ANY_ONE_SCOPE: Final = 3
"""Scope type of the operations centre, where the receipt of one member is enough (wire 3.4)."""


# --- outgoing --------------------------------------------------------------------------------


def add_outgoing(
    tx: Transaction, new: NewMessage, nodes: Iterable[NodeId], now_ms: int
) -> MessageKey:
    """Write a message down before it is sealed, with everybody who must receipt it."""
    key = _add(tx, new, Direction.OUTGOING, MessageState.WAITING)
    count = ends.add(tx, key, nodes, now_ms)
    note(tx, key, now_ms, LedgerEvent.CREATED, detail=f"{count} recipients")
    return key


def waiting(conn: Connection, limit: int) -> list[MessageRecord]:
    """Return outgoing messages that are not sealed yet, oldest first."""
    query = (
        select(_MESSAGE)
        .where(_IS_OUTGOING, _MESSAGE.c.state == MessageState.WAITING.value)
        .order_by(_MESSAGE.c.key)
        .limit(limit)
    )
    return _messages(conn, query)


def set_bundle(
    tx: Transaction, key: MessageKey, short_id: ShortId, digest: bytes, suite: int, now_ms: int
) -> None:
    """Tie a message to the bundle it was sealed into, stored in the same transaction."""
    values = {
        "short_id": signed64(short_id),
        "digest": digest,
        "suite": suite,
        "state": MessageState.QUEUED.value,
    }
    changed = tx.connection.execute(
        update(_MESSAGE).where(_MESSAGE.c.key == key, _IS_OPEN).values(values)
    ).rowcount
    assert changed == 1, "only an open message is sealed"
    note(tx, key, now_ms, LedgerEvent.SEALED)
    note(tx, key, now_ms, LedgerEvent.QUEUED)
    if tx.spool_bytes_max is not None and (sealed := get(tx.connection, key)) is not None:
        _spool(tx, sealed, now_ms)


def note_handed(
    tx: Transaction, node: NodeId, short_ids: Sequence[ShortId], at_ms: int
) -> list[MessageKey]:
    """Write down that `node` holds copies of own bundles; return the messages concerned.

    One line per message and node. Ids that belong to no outgoing message are passed over.
    """
    keys = by_short(tx.connection, short_ids)
    told = select(_LEDGER.c.message).where(
        _LEDGER.c.message.in_(keys.values()),
        _LEDGER.c.event == LedgerEvent.HANDED.value,
        _LEDGER.c.node == node,
    )
    known = set(tx.connection.execute(told).scalars())
    fresh = sorted(set(keys.values()) - known)
    for key in fresh:
        note(tx, key, at_ms, LedgerEvent.HANDED, node)
        queued = _MESSAGE.c.state == MessageState.QUEUED.value
        tx.connection.execute(
            update(_MESSAGE)
            .where(_MESSAGE.c.key == key, queued)
            .values(state=MessageState.CARRIED.value)
        )
    return fresh


def uncarried(conn: Connection, limit: int) -> list[ShortId]:
    """Return the bundles of at most `limit` messages that nobody is known to hold, oldest first."""
    found = conn.execute(_UNCARRIED, {"rows_max": limit}).scalars()
    return [unsigned64(short_id) for short_id in found]


def note_receipt(
    tx: Transaction,
    node: NodeId,
    incarnation: int,
    seqs: Iterable[int],
    state: RecipientState,
    at_ms: int,
) -> list[MessageKey]:
    """Write down a verified receipt of `node` for own bundles; return the messages it changed.

    A message is delivered once nobody is pending; for the operations centre one receipt is
    enough. A receipt from somebody who is no recipient changes nothing.
    """
    found = ends.raise_states(tx, node, incarnation, seqs, state, at_ms)
    for key, scope in found:
        note(tx, key, at_ms, LedgerEvent.RECEIPT, node, state.value)
        if scope[:1] == bytes([_ANY_ONE_SCOPE]) or not ends.pending(tx.connection, key):
            conclude(tx, key, MessageState.DELIVERED, "", at_ms)
    return [key for key, _scope in found]


def conclude(
    tx: Transaction,
    key: MessageKey,
    state: MessageState,
    reason: str,
    at_ms: int,
    *,
    is_travelling: bool = False,
) -> bool:
    """Give an outgoing message its one final state; False if it had one.

    Where copies are still on their way nobody can say that whoever is pending will not get it.
    """
    assert state in FINAL_STATES, "only a final state concludes"
    changed = tx.connection.execute(
        update(_MESSAGE)
        .where(_MESSAGE.c.key == key, _IS_OUTGOING, _IS_OPEN)
        .values(state=state.value, reason=reason, ended_ms=at_ms)
    ).rowcount
    if changed and state is not MessageState.DELIVERED and not is_travelling:
        ends.settle(tx, key, state, at_ms)
    if changed:
        note(tx, key, at_ms, LedgerEvent(state.value), detail=reason)
    return bool(changed)


def cancel(tx: Transaction, key: MessageKey, at_ms: int, *, is_travelling: bool = False) -> bool:
    """End a message because its writer wants so; False if it had ended."""
    ended = conclude(tx, key, MessageState.REFUSED, "cancelled", at_ms, is_travelling=is_travelling)
    if ended or is_travelling:
        note(tx, key, at_ms, LedgerEvent.CANCELLED)
    return ended


def expire_messages(tx: Transaction, now_ms: int, limit: int) -> list[MessageKey]:
    """End outgoing messages whose lifetime is over; return them.

    The reason says how far each came: `2 of 3 recipients`.
    """
    bounds = {"now_ms": now_ms, "rows_max": limit}
    over = list(tx.connection.execute(_OVER, bounds).scalars())
    for key in over:
        total = len(recipients(tx.connection, key))
        reached = total - ends.pending(tx.connection, key)
        conclude(tx, key, MessageState.EXPIRED, f"{reached} of {total} recipients", now_ms)
    return over


def expires_next(conn: Connection) -> int | None:
    """Return the earliest end of life, Unix milliseconds, of all open outgoing messages."""
    found: int | None = conn.execute(_FIRST_END).scalar()
    return found


# --- incoming --------------------------------------------------------------------------------


def add_incoming(
    tx: Transaction, new: NewMessage, short_id: ShortId, digest: bytes, now_ms: int
) -> MessageKey | None:
    """Keep a message that was opened; None if its bundle id is known already."""
    if is_known(tx.connection, new.id):
        return None
    key = _add(tx, new, Direction.INCOMING, MessageState.RECEIVED, short_id, digest)
    note(tx, key, now_ms, LedgerEvent.RECEIVED, new.id.author)
    _spool(tx, new, now_ms)
    return key


def _spool(tx: Transaction, each: NewMessage | MessageRecord, now_ms: int) -> None:
    """Hand a text to the archive of a gateway; an SOS goes there as a step of its alarm."""
    if each.kind is not Kind.SOS:
        times = (each.created_ms, each.expires_ms, now_ms)
        add_opened(tx, Content(each.id, each.kind, each.scope, *times, each.text.encode()))


def mark_read(tx: Transaction, key: MessageKey, at_ms: int) -> bool:
    """Note that somebody saw an incoming message; False if that was known."""
    unread = (
        _MESSAGE.c.key == key,
        _MESSAGE.c.direction == Direction.INCOMING.value,
        _MESSAGE.c.is_read == 0,
        _MESSAGE.c.state == MessageState.RECEIVED.value,
    )
    changed = tx.connection.execute(update(_MESSAGE).where(*unread).values(is_read=1)).rowcount
    if changed:
        note(tx, key, at_ms, LedgerEvent.READ)
    return bool(changed)


# --- both ------------------------------------------------------------------------------------


def get(conn: Connection, key: MessageKey) -> MessageRecord | None:
    """Return one message by its local number."""
    return _one(conn, _MESSAGE.c.key == key)


def find(conn: Connection, message: BundleId) -> MessageRecord | None:
    """Return one message by the id of its bundle."""
    return _one(conn, _has_id(message))


def state_of(conn: Connection, message: BundleId) -> MessageState | None:
    """Return how one message stands; unlike `find` it needs no key."""
    found = conn.execute(select(_MESSAGE.c.state).where(_has_id(message))).scalar()
    return None if found is None else MessageState(found)


def is_known(conn: Connection, message: BundleId) -> bool:
    """True if the message of a bundle was kept, be its text whole or damaged."""
    return conn.execute(select(_MESSAGE.c.key).where(_has_id(message))).first() is not None


def kept_of_copy(conn: Connection, message: BundleId, digest: bytes) -> MessageKey | None:
    """Return another's message that was kept of a copy and not of the bundle with this digest."""
    query = select(_MESSAGE.c.key).where(
        _has_id(message),
        _MESSAGE.c.direction == Direction.INCOMING.value,
        _MESSAGE.c.digest != digest,
    )
    return conn.execute(query).scalar()


def _has_id(message: BundleId) -> ColumnElement[bool]:
    return (
        (_MESSAGE.c.author == message.author)
        & (_MESSAGE.c.incarnation == message.incarnation)
        & (_MESSAGE.c.seq == signed64(message.seq))
    )


def by_short(conn: Connection, short_ids: Collection[ShortId]) -> dict[ShortId, MessageKey]:
    """Return the outgoing messages that were sealed into these bundles."""
    keys = [signed64(short_id) for short_id in short_ids]
    query = select(_MESSAGE.c.short_id, _MESSAGE.c.key).where(
        _IS_OUTGOING, _MESSAGE.c.short_id.in_(keys)
    )
    return {unsigned64(row[0]): int(row[1]) for row in conn.execute(query)}


def list_inbox(conn: Connection, after: MessageKey, limit: int) -> list[MessageRecord]:
    """Return incoming messages that came after `after` (0 for all), oldest first.

    What its author took back before anybody saw it is not among them.
    """
    return _list(conn, Direction.INCOMING, after, limit)


def list_outgoing(conn: Connection, after: MessageKey, limit: int) -> list[MessageRecord]:
    """Return messages written here after `after` (0 for all), oldest first."""
    return _list(conn, Direction.OUTGOING, after, limit)


def counts(conn: Connection) -> dict[MessageState, int]:
    """Return how many messages are in each state, incoming ones under RECEIVED."""
    query = select(_MESSAGE.c.state, func.count()).group_by(_MESSAGE.c.state)
    return {MessageState(state): int(count) for state, count in conn.execute(query)}


def _add(
    tx: Transaction,
    new: NewMessage,
    direction: Direction,
    state: MessageState,
    short_id: ShortId | None = None,
    digest: bytes | None = None,
) -> MessageKey:
    kind, seq = int(new.kind), signed64(new.id.seq)
    seat = message_seat(
        new.id.author, new.id.incarnation, seq, direction.value, kind, new.expires_ms
    )
    made = tx.connection.execute(
        insert(_MESSAGE).values(
            author=new.id.author,
            incarnation=new.id.incarnation,
            seq=seq,
            direction=direction.value,
            scope=new.scope,
            kind=kind,
            text=Seals(tx.connection).seal(seat, new.text.encode()),
            created_ms=new.created_ms,
            expires_ms=new.expires_ms,
            received_ms=new.received_ms,
            alarm_id=new.alarm_id,
            step=new.step,
            suite=new.suite,
            state=state.value,
            reason=new.reason,
            ended_ms=0,
            is_read=0,
            short_id=None if short_id is None else signed64(short_id),
            digest=digest,
        )
    ).inserted_primary_key
    assert made is not None, "a rowid is given on every insert"
    return int(made[0])


def _one(conn: Connection, condition: ColumnElement[bool]) -> MessageRecord | None:
    """Raises: LockedError, SealBrokenError."""
    row = conn.execute(select(_MESSAGE).where(condition)).first()
    if row is None:
        return None
    return _message(row, Seals(conn).open(_seat(row), row.text))


def _list(
    conn: Connection, direction: Direction, after: MessageKey, limit: int
) -> list[MessageRecord]:
    query = (
        select(_MESSAGE)
        .where(
            _MESSAGE.c.direction == direction.value,
            _MESSAGE.c.key > after,
            _MESSAGE.c.state != MessageState.WITHDRAWN.value,
        )
        .order_by(_MESSAGE.c.key)
        .limit(limit)
    )
    # A locked device does not know that there is nothing.
    Seals(conn).require(DataKind.MESSAGE)
    return _messages(conn, query)


def _messages(conn: Connection, query: Select[Any]) -> list[MessageRecord]:
    """Return those that are whole. Raises: LockedError."""
    found = Seals(conn).whole(conn.execute(query), _seat, "text")
    return [_message(row, text) for row, text in found]


def _seat(row: Row[Any]) -> Seat:
    return message_seat(
        row.author, row.incarnation, row.seq, row.direction, row.kind, row.expires_ms
    )


def _message(row: Row[Any], text: bytes) -> MessageRecord:
    return MessageRecord(
        key=row.key,
        id=BundleId(row.author, row.incarnation, unsigned64(row.seq)),
        direction=Direction(row.direction),
        scope=row.scope,
        kind=Kind(row.kind),
        text=text.decode(),
        created_ms=row.created_ms,
        expires_ms=row.expires_ms,
        received_ms=row.received_ms,
        alarm_id=row.alarm_id,
        step=row.step,
        suite=row.suite,
        state=MessageState(row.state),
        reason=row.reason,
        ended_ms=row.ended_ms,
        is_read=bool(row.is_read),
        short_id=None if row.short_id is None else unsigned64(row.short_id),
        digest=row.digest,
    )
