"""Positions at rest, and the end of a shift: what is erased then, and with what.

Rows are erased with `secure_delete`; the caller empties the log of the database after the commit.
Relaying code cannot import this room. Source: security 2.10.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, bindparam, delete, func, insert, select

from meshnode.store.engine import Transaction
from meshnode.store.removal import drop_many
from meshnode.store.schema import (
    AuthorRow,
    BundleRow,
    GivenRow,
    PositionRow,
    ReceivingChainRow,
    SendingChainRow,
    ShiftEndRow,
    StateRow,
    TrackPointRow,
    table,
)
from meshnode.store.sealing import Seals, Seat, bundle_seat, position_seat
from meshnode.store.spool import Content, add_opened
from meshnode.store.statements import signed64, unsigned64
from protocol import bundle as bundles
from protocol.ids import BundleId, NodeId
from protocol.limits import Kind
from protocol.reports import Reception
from protocol.shifts import split_subject

__all__ = [
    "PositionRecord",
    "ShiftEnd",
    "drop_keys",
    "due",
    "ends_next",
    "erase_old",
    "erase_shift",
    "note_end",
    "of_author",
    "positions",
    "put",
]

_POSITION = table(PositionRow)
_END = table(ShiftEndRow)
_SENDING = table(SendingChainRow)
_RECEIVING = table(ReceivingChainRow)
_GIVEN = table(GivenRow)
_BUNDLE = table(BundleRow)
_AUTHOR = table(AuthorRow)
_STATE = table(StateRow)
_POINT = table(TrackPointRow)

# Built once: a node asks for these every few minutes.
_DUE: Final = (
    select(_END.c.author, _END.c.subject, _END.c.ends_ms)
    .where(_END.c.ends_ms <= bindparam("now_ms"))
    .order_by(_END.c.author, _END.c.subject)
)
_NEXT: Final = select(func.min(_END.c.ends_ms))
_IS_ANY_OLD: Final = select(func.min(_POSITION.c.ends_ms))
_OLD: Final = delete(_POSITION).where(_POSITION.c.ends_ms <= bindparam("now_ms"))


@dataclass(frozen=True, slots=True)
class PositionRecord:
    """One position that is kept."""

    author: NodeId
    """Whose it is."""
    scope: bytes
    """The squad it was told to, encoded."""
    shift_id: bytes
    """8 bytes; the shift in which it was taken."""
    taken_ms: int
    """Unix milliseconds."""
    ends_ms: int
    """When it is erased, Unix milliseconds."""
    incarnation: int
    """32-bit number of the store that its author told it from."""
    seq: int
    """Number of the bundle that brought it, 64 bits."""
    body: bytes = field(repr=False)
    """The encoded payload."""


@dataclass(frozen=True, slots=True)
class ShiftEnd:
    """Something of a shift lies here and is erased when the shift ends."""

    author: NodeId
    """Whose shift it is."""
    subject: bytes
    """Squad and shift, as in wire-format 4.7."""
    ends_ms: int
    """The end at the latest, Unix milliseconds."""


# --- positions -------------------------------------------------------------------------------


def put(tx: Transaction, record: PositionRecord, *, is_archive: bool) -> bool:
    """Keep a position; True if it is new here.

    Where nothing is archived the newest of an author and squad alone stays.
    """
    held = (_POSITION.c.author == record.author, _POSITION.c.scope == record.scope)
    newest = tx.connection.execute(select(func.max(_POSITION.c.taken_ms)).where(*held)).scalar()
    if is_archive:
        same = (*held, _POSITION.c.taken_ms == record.taken_ms)
        if tx.connection.execute(select(_POSITION.c.key).where(*same)).first() is not None:
            return False
    elif newest is not None and newest >= record.taken_ms:
        return False
    else:
        tx.connection.execute(delete(_POSITION).where(*held))
    seat = position_seat(record.author, record.scope, record.shift_id, record.taken_ms)
    tx.connection.execute(
        insert(_POSITION).values(
            author=record.author,
            scope=record.scope,
            shift_id=record.shift_id,
            taken_ms=record.taken_ms,
            ends_ms=record.ends_ms,
            incarnation=record.incarnation,
            seq=signed64(record.seq),
            body=Seals(tx.connection).seal(seat, record.body),
        )
    )
    name = BundleId(record.author, record.incarnation, record.seq)
    times = (record.taken_ms, record.ends_ms, record.taken_ms)
    add_opened(tx, Content(name, Kind.POSITION, record.scope, *times, record.body))
    return True


def positions(conn: Connection, now_ms: int, limit: int) -> list[PositionRecord]:
    """Return the newest position of each author and squad that has not ended, the newest first."""
    newest = (
        select(
            _POSITION.c.author,
            _POSITION.c.scope,
            func.max(_POSITION.c.taken_ms).label("taken_ms"),
        )
        .where(_POSITION.c.ends_ms > now_ms)
        .group_by(_POSITION.c.author, _POSITION.c.scope)
        .subquery()
    )
    query = (
        select(_POSITION)
        .join(
            newest,
            (_POSITION.c.author == newest.c.author)
            & (_POSITION.c.scope == newest.c.scope)
            & (_POSITION.c.taken_ms == newest.c.taken_ms),
        )
        .order_by(_POSITION.c.taken_ms.desc(), _POSITION.c.author, _POSITION.c.scope)
        .limit(limit)
    )
    return _records(conn, query)


def of_author(conn: Connection, author: NodeId, limit: int) -> list[PositionRecord]:
    """Return the kept positions of one author, the newest first."""
    query = (
        select(_POSITION)
        .where(_POSITION.c.author == author)
        .order_by(_POSITION.c.taken_ms.desc(), _POSITION.c.scope)
        .limit(limit)
    )
    return _records(conn, query)


def _records(conn: Connection, query: Select[Any]) -> list[PositionRecord]:
    """Return those that are whole. Raises: LockedError."""
    found = Seals(conn).whole(conn.execute(query), _seat, "body")
    return [_record(row, body) for row, body in found]


def _seat(row: Row[Any]) -> Seat:
    return position_seat(row.author, row.scope, row.shift_id, row.taken_ms)


def _record(row: Row[Any], body: bytes) -> PositionRecord:
    return PositionRecord(
        author=row.author,
        scope=row.scope,
        shift_id=row.shift_id,
        taken_ms=row.taken_ms,
        ends_ms=row.ends_ms,
        incarnation=row.incarnation,
        seq=unsigned64(row.seq),
        body=body,
    )


# --- the end of a shift ----------------------------------------------------------------------


def note_end(tx: Transaction, end: ShiftEnd) -> None:
    """Remember that something of a shift lies here; one that is known gets the new end."""
    here = (_END.c.author == end.author, _END.c.subject == end.subject)
    tx.connection.execute(delete(_END).where(*here))
    values = {"author": end.author, "subject": end.subject, "ends_ms": end.ends_ms}
    tx.connection.execute(insert(_END).values(values))


def due(
    conn: Connection, now_ms: int, author: NodeId | None = None, scope: bytes = b""
) -> list[ShiftEnd]:
    """Return the shifts that have ended at `now_ms`, of all authors or of one in one squad."""
    found = [ShiftEnd(*row) for row in conn.execute(_DUE, {"now_ms": now_ms})]
    if author is None:
        return found
    return [
        each
        for each in found
        if each.author == author and split_subject(each.subject)[0].encode() == scope
    ]


def ends_next(conn: Connection) -> int | None:
    """Return when the next shift ends of which something lies here, Unix milliseconds."""
    found = conn.execute(_NEXT).scalar()
    return None if found is None else int(found)


def erase_shift(tx: Transaction, end: ShiftEnd, *, is_own: bool) -> int:
    """Erase the keys, positions, state and points of a shift; return how many rows went.

    The bundles that brought its keys to a reader go too, and never come back: their ciphertext
    would open with a prekey that lives on for days. Those that the author itself sent are sealed
    to others and stay on their way to the centre.
    """
    conn = tx.connection
    scope, shift_id = split_subject(end.subject)
    own = select(_SENDING.c.chain_id).where(_SENDING.c.scope == end.subject)
    chains = (_RECEIVING.c.author == end.author, _RECEIVING.c.scope == end.subject)
    places = (
        _POSITION.c.author == end.author,
        _POSITION.c.scope == scope.encode(),
        _POSITION.c.shift_id == shift_id,
    )
    statements = (
        # Before the chains, by which it is known which rows go.
        delete(_GIVEN).where(_GIVEN.c.chain_id.in_(own)),
        delete(_SENDING).where(_SENDING.c.scope == end.subject),
        delete(_RECEIVING).where(*chains),
        delete(_POSITION).where(*places),
        delete(_STATE).where(_STATE.c.author == end.author, _STATE.c.scope == scope.encode()),
        delete(_POINT).where(_POINT.c.shift_id == shift_id),
        delete(_END).where(_END.c.author == end.author, _END.c.subject == end.subject),
    )
    count = sum(conn.execute(statement).rowcount for statement in statements)
    return count if is_own else count + drop_keys(tx, end.author, shift_id)


def drop_keys(tx: Transaction, author: NodeId, shift_id: bytes) -> int:
    """Drop the bundles with the keys of a shift for good; return how many went.

    Bundles of keys by this author that are damaged go as well. Nobody can tell that they are not
    of this shift, and a damaged row may still hold keys for whoever knows its former place. Here
    they serve for nothing: no inbox opens them and no peer is given them. Keys of other chains
    that go so are given again by their author, who is asked for them.
    """
    query = (
        select(_BUNDLE.c.short_id, _BUNDLE.c.expires_ms, _BUNDLE.c.raw)
        .join_from(_BUNDLE, _AUTHOR, _AUTHOR.c.key == _BUNDLE.c.author)
        .where(_AUTHOR.c.node == author, _BUNDLE.c.kind == int(Kind.CHAIN_KEYS))
    )
    open_raw = Seals(tx.connection).open_or_none
    found = [
        unsigned64(short_id)
        for short_id, expires_ms, sealed in tx.connection.execute(query)
        if _may_be_of(shift_id, open_raw(bundle_seat(short_id, expires_ms), sealed))
    ]
    return len(drop_many(tx, found, Reception.NO_SHIFT))


def _may_be_of(shift_id: bytes, raw: bytes | None) -> bool:
    return raw is None or bundles.decode_untrusted(raw).header.keyref == shift_id


def erase_old(tx: Transaction, now_ms: int) -> int:
    """Erase positions whose time is over; return how many went."""
    first = tx.connection.execute(_IS_ANY_OLD).scalar()
    if first is None or first > now_ms:
        return 0
    return tx.connection.execute(_OLD, {"now_ms": now_ms}).rowcount
