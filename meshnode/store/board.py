"""States and tracks at rest: the newest state of each mate, points to be sent, tracks of others.

All of it belongs to a shift and goes with it, by the same statements as positions
(`meshnode.store.positions`); the operations centre keeps tracks as it keeps positions. Relaying
code cannot import this room. Source: wire-format 4.21 and 4.22, security 2.10.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select

from meshnode.store.engine import Transaction
from meshnode.store.schema import StateRow, TrackPointRow, TrackRow, table
from meshnode.store.sealing import Seals, Seat, state_seat, track_point_seat, track_seat
from meshnode.store.spool import Content, add_opened
from meshnode.store.statements import signed64, unsigned64
from protocol.ids import BundleId, NodeId
from protocol.limits import Kind

__all__ = [
    "PointRecord",
    "StateRecord",
    "TrackRecord",
    "drop_states",
    "erase_old",
    "newest_point_ms",
    "points",
    "points_count",
    "put_point",
    "put_state",
    "put_track",
    "states",
    "take_points",
    "tracks_of",
]

_STATE = table(StateRow)
_POINT = table(TrackPointRow)
_TRACK = table(TrackRow)

# Built once: a node asks for these every few minutes.
_FIRST_ENDS: Final = tuple(select(func.min(each.c.ends_ms)) for each in (_STATE, _POINT, _TRACK))
_OLD: Final = tuple(
    delete(each).where(each.c.ends_ms <= bindparam("now_ms")) for each in (_STATE, _POINT, _TRACK)
)


@dataclass(frozen=True, slots=True)
class StateRecord:
    """The newest that somebody told a squad of its device."""

    author: NodeId
    """Whose it is."""
    scope: bytes
    """The squad it was told to, encoded."""
    stamp: int
    """`hlc64` of the bundle that brought it."""
    incarnation: int
    """32-bit number of the store that its author told it from."""
    seq: int
    """Number of the bundle that brought it, 64 bits."""
    received_ms: int
    """When it was kept here, Unix milliseconds by our clock."""
    ends_ms: int
    """When it is erased, Unix milliseconds."""
    body: bytes = field(repr=False)
    """The encoded payload."""


@dataclass(frozen=True, slots=True)
class PointRecord:
    """A place of this device that waits for the next segment of its track."""

    shift_id: bytes
    """8 bytes; the shift in which it was taken."""
    taken_ms: int
    """Unix milliseconds."""
    ends_ms: int
    """When it is erased, Unix milliseconds."""
    body: bytes = field(repr=False)
    """The encoded position."""


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """A segment of somebody's track."""

    author: NodeId
    """Whose it is."""
    scope: bytes
    """Its squad, encoded."""
    shift_id: bytes
    """8 bytes; the shift in which it was taken."""
    first_ms: int
    """Time of its first point, Unix milliseconds."""
    ends_ms: int
    """When it is erased, Unix milliseconds."""
    incarnation: int
    """32-bit number of the store that its author made it in."""
    seq: int
    """Number of the bundle that brought it, 64 bits."""
    body: bytes = field(repr=False)
    """The encoded payload."""


# --- states ----------------------------------------------------------------------------------


def put_state(tx: Transaction, record: StateRecord) -> bool:
    """Keep a state; False where one as new is kept. The newer is that of the wire's rule."""
    here = (_STATE.c.author == record.author, _STATE.c.scope == record.scope)
    held = tx.connection.execute(
        select(_STATE.c.stamp, _STATE.c.incarnation, _STATE.c.seq).where(*here)
    ).first()
    if held is not None:
        kept = (unsigned64(held.stamp), held.incarnation, unsigned64(held.seq))
        if kept >= (record.stamp, record.incarnation, record.seq):
            return False
        tx.connection.execute(delete(_STATE).where(*here))
    seat = state_seat(record.author, record.scope, signed64(record.stamp), record.received_ms)
    tx.connection.execute(
        insert(_STATE).values(
            author=record.author,
            scope=record.scope,
            stamp=signed64(record.stamp),
            incarnation=record.incarnation,
            seq=signed64(record.seq),
            received_ms=record.received_ms,
            ends_ms=record.ends_ms,
            body=Seals(tx.connection).seal(seat, record.body),
        )
    )
    name = BundleId(record.author, record.incarnation, record.seq)
    times = (record.received_ms, record.ends_ms, record.received_ms)
    add_opened(tx, Content(name, Kind.STATE, record.scope, *times, record.body))
    return True


def states(conn: Connection, now_ms: int, limit: int) -> list[StateRecord]:
    """Return the states that have not ended and are whole, by author. Raises: LockedError."""
    query = (
        select(_STATE)
        .where(_STATE.c.ends_ms > now_ms)
        .order_by(_STATE.c.author, _STATE.c.scope)
        .limit(limit)
    )
    return [
        StateRecord(
            author=row.author,
            scope=row.scope,
            stamp=unsigned64(row.stamp),
            incarnation=row.incarnation,
            seq=unsigned64(row.seq),
            received_ms=row.received_ms,
            ends_ms=row.ends_ms,
            body=body,
        )
        for row, body in Seals(conn).whole(conn.execute(query), _state_seat, "body")
    ]


def _state_seat(row: Row[Any]) -> Seat:
    return state_seat(row.author, row.scope, row.stamp, row.received_ms)


def drop_states(tx: Transaction, author: NodeId, scope: bytes) -> int:
    """Erase what somebody told a squad; return how many rows went."""
    here = (_STATE.c.author == author, _STATE.c.scope == scope)
    return tx.connection.execute(delete(_STATE).where(*here)).rowcount


# --- our own track ---------------------------------------------------------------------------


def put_point(tx: Transaction, record: PointRecord) -> bool:
    """Keep a place for the next segment; False where one of that time is kept."""
    here = (_POINT.c.shift_id == record.shift_id, _POINT.c.taken_ms == record.taken_ms)
    if tx.connection.execute(select(_POINT.c.key).where(*here)).first() is not None:
        return False
    seat = track_point_seat(record.shift_id, record.taken_ms)
    tx.connection.execute(
        insert(_POINT).values(
            shift_id=record.shift_id,
            taken_ms=record.taken_ms,
            ends_ms=record.ends_ms,
            body=Seals(tx.connection).seal(seat, record.body),
        )
    )
    return True


def points_count(conn: Connection, shift_id: bytes) -> int:
    """Return how many places of a shift wait for the next segment."""
    query = select(func.count()).where(_POINT.c.shift_id == shift_id)
    return int(conn.execute(query).scalar_one())


def newest_point_ms(conn: Connection, shift_id: bytes) -> int | None:
    """Return when the newest waiting place of a shift was taken, Unix milliseconds, or None."""
    query = select(func.max(_POINT.c.taken_ms)).where(_POINT.c.shift_id == shift_id)
    found = conn.execute(query).scalar()
    return None if found is None else int(found)


def points(conn: Connection, shift_id: bytes, limit: int) -> list[PointRecord]:
    """Return the places of a shift that wait and are whole, the oldest first.

    Raises: LockedError.
    """
    query = (
        select(_POINT).where(_POINT.c.shift_id == shift_id).order_by(_POINT.c.taken_ms).limit(limit)
    )
    return [
        PointRecord(row.shift_id, row.taken_ms, row.ends_ms, body)
        for row, body in Seals(conn).whole(conn.execute(query), _point_seat, "body")
    ]


def _point_seat(row: Row[Any]) -> Seat:
    return track_point_seat(row.shift_id, row.taken_ms)


def take_points(tx: Transaction, shift_id: bytes, upto_ms: int) -> int:
    """Erase the places of a shift up to a time, inclusive; return how many went."""
    here = (_POINT.c.shift_id == shift_id, _POINT.c.taken_ms <= upto_ms)
    return tx.connection.execute(delete(_POINT).where(*here)).rowcount


# --- tracks of others ------------------------------------------------------------------------


def put_track(tx: Transaction, record: TrackRecord) -> bool:
    """Keep a segment; False where its bundle was kept before."""
    here = (
        _TRACK.c.author == record.author,
        _TRACK.c.incarnation == record.incarnation,
        _TRACK.c.seq == signed64(record.seq),
    )
    if tx.connection.execute(select(_TRACK.c.key).where(*here)).first() is not None:
        return False
    seat = track_seat(record.author, record.incarnation, signed64(record.seq), record.first_ms)
    tx.connection.execute(
        insert(_TRACK).values(
            author=record.author,
            scope=record.scope,
            shift_id=record.shift_id,
            first_ms=record.first_ms,
            ends_ms=record.ends_ms,
            incarnation=record.incarnation,
            seq=signed64(record.seq),
            body=Seals(tx.connection).seal(seat, record.body),
        )
    )
    name = BundleId(record.author, record.incarnation, record.seq)
    times = (record.first_ms, record.ends_ms, record.first_ms)
    add_opened(tx, Content(name, Kind.TRACK, record.scope, *times, record.body))
    return True


def tracks_of(
    conn: Connection, author: NodeId, now_ms: int, since_ms: int, limit: int
) -> list[TrackRecord]:
    """Return the segments of one author that begin at `since_ms` or later, the oldest first."""
    query = (
        select(_TRACK)
        .where(_TRACK.c.author == author, _TRACK.c.first_ms >= since_ms, _TRACK.c.ends_ms > now_ms)
        .order_by(_TRACK.c.first_ms, _TRACK.c.key)
        .limit(limit)
    )
    return [
        TrackRecord(
            author=row.author,
            scope=row.scope,
            shift_id=row.shift_id,
            first_ms=row.first_ms,
            ends_ms=row.ends_ms,
            incarnation=row.incarnation,
            seq=unsigned64(row.seq),
            body=body,
        )
        for row, body in Seals(conn).whole(conn.execute(query), _track_seat, "body")
    ]


def _track_seat(row: Row[Any]) -> Seat:
    return track_seat(row.author, row.incarnation, row.seq, row.first_ms)


# --- the end ---------------------------------------------------------------------------------


def erase_old(tx: Transaction, now_ms: int) -> int:
    """Erase whatever of this room is over; return how many rows went."""
    count = 0
    for first, statement in zip(_FIRST_ENDS, _OLD, strict=True):
        ends_ms = tx.connection.execute(first).scalar()
        if ends_ms is not None and ends_ms <= now_ms:
            count += tx.connection.execute(statement, {"now_ms": now_ms}).rowcount
    return count
