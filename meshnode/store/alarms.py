"""Steps of alarms at rest: what came, as it came; what they come to is worked out when asked.

Relaying code cannot import this room. Source: wire-format 4.19, security 2.10, decision 26.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, delete, func, insert, select

from meshnode.store.engine import Transaction
from meshnode.store.messages import state_of
from meshnode.store.records import MessageState
from meshnode.store.schema import AlarmStepRow, table
from meshnode.store.sealing import Seals, Seat, alarm_step_seat
from meshnode.store.spool import Content, add_opened
from meshnode.store.statements import signed64, unsigned64
from protocol.guards import ALARM_AUTHOR_STEPS_MAX
from protocol.ids import BundleId, NodeId
from protocol.limits import Kind

__all__ = [
    "AlarmName",
    "StepRecord",
    "drop",
    "first_of",
    "is_answered",
    "is_known",
    "live_of",
    "names",
    "put",
    "restamp",
    "steps",
    "unanswered",
]

_STEP: Final = table(AlarmStepRow)

AlarmName = tuple[NodeId, bytes]
"""Whose alarm, and its 8 bytes."""


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step that is kept."""

    alarm: AlarmName
    """Which alarm it is about."""
    name: BundleId
    """The bundle that brought it."""
    scope: bytes
    """Whom the bundle was for, encoded."""
    at_ms: int
    """Stamp of its author, Unix milliseconds."""
    expires_ms: int
    """When its bundle ends, Unix milliseconds."""
    received_ms: int
    """When it came here, Unix milliseconds."""
    body: bytes = field(repr=False)
    """The encoded payload."""


def put(tx: Transaction, record: StepRecord) -> bool:
    """Keep a step; False if it is known, or its author said too much of this alarm already."""
    if is_known(tx.connection, record.name):
        return False
    raiser, alarm_id = record.alarm
    of_author = (*_of(record.alarm), _STEP.c.author == record.name.author)
    count = tx.connection.execute(select(func.count()).where(*of_author)).scalar_one()
    if count >= ALARM_AUTHOR_STEPS_MAX:
        return False
    tx.connection.execute(
        insert(_STEP).values(
            raiser=raiser,
            alarm_id=alarm_id,
            author=record.name.author,
            incarnation=record.name.incarnation,
            seq=signed64(record.name.seq),
            scope=record.scope,
            at_ms=record.at_ms,
            expires_ms=record.expires_ms,
            received_ms=record.received_ms,
            body=Seals(tx.connection).seal(_seat(record.name, record.expires_ms), record.body),
        )
    )
    times = (record.at_ms, record.expires_ms, record.received_ms)
    add_opened(tx, Content(record.name, Kind.SOS, record.scope, *times, record.body))
    return True


def restamp(tx: Transaction, record: StepRecord) -> None:
    """Give a step of our own the stamp with which its bundle leaves in the end."""
    drop(tx, record.name)
    put(tx, record)


def drop(tx: Transaction, name: BundleId) -> None:
    """Forget a step that never left."""
    tx.connection.execute(delete(_STEP).where(*_named(name)))


def is_known(conn: Connection, name: BundleId) -> bool:
    """True if this step was kept."""
    return conn.execute(select(_STEP.c.key).where(*_named(name))).first() is not None


def names(conn: Connection, limit: int) -> list[AlarmName]:
    """Return the alarms of which something is kept, those with the latest step first."""
    query = (
        select(_STEP.c.raiser, _STEP.c.alarm_id)
        .group_by(_STEP.c.raiser, _STEP.c.alarm_id)
        .order_by(func.max(_STEP.c.key).desc())
        .limit(limit)
    )
    return [(raiser, alarm_id) for raiser, alarm_id in conn.execute(query)]


def first_of(conn: Connection, alarm: AlarmName) -> BundleId | None:
    """Return the first bundle about an alarm by whoever raised it; no key is needed."""
    found = conn.execute(_own_steps(alarm)).first()
    return None if found is None else _name(found)


def is_answered(conn: Connection, alarm: AlarmName) -> bool:
    """True if a step of another device is kept; no key is needed."""
    query = select(_STEP.c.key).where(*_of(alarm), _STEP.c.author != alarm[0])
    return conn.execute(query.limit(1)).first() is not None


def unanswered(conn: Connection, node: NodeId, now_ms: int) -> list[BundleId]:
    """Return what `node` said last of each alarm it raised that nobody is known to have answered.

    A message that the alarm began with tells whether it was delivered. No key is needed, so a
    locked device knows too what it goes on saying.
    """
    found = list[BundleId]()
    for alarm in live_of(conn, node, now_ms):
        own = [_name(row) for row in conn.execute(_own_steps(alarm))]
        is_due = state_of(conn, own[0]) in (MessageState.QUEUED, MessageState.CARRIED)
        if is_due and not is_answered(conn, alarm):
            found.append(own[-1])
    return found


def live_of(conn: Connection, node: NodeId, now_ms: int) -> list[AlarmName]:
    """Return the alarms that `node` raised and of which one of its own bundles still lives."""
    query = (
        select(_STEP.c.raiser, _STEP.c.alarm_id)
        .where(_STEP.c.raiser == node, _STEP.c.author == node, _STEP.c.expires_ms > now_ms)
        .distinct()
        .order_by(_STEP.c.alarm_id)
    )
    return [(raiser, alarm_id) for raiser, alarm_id in conn.execute(query)]


def steps(conn: Connection, alarm: AlarmName) -> list[StepRecord]:
    """Return the steps of one alarm that are whole, in order of arrival. Raises: LockedError."""
    query: Select[Any] = select(_STEP).where(*_of(alarm)).order_by(_STEP.c.key)
    found = Seals(conn).whole(conn.execute(query), _row_seat, "body")
    return [
        StepRecord(
            alarm=alarm,
            name=_name(row),
            scope=row.scope,
            at_ms=row.at_ms,
            expires_ms=row.expires_ms,
            received_ms=row.received_ms,
            body=body,
        )
        for row, body in found
    ]


def _own_steps(alarm: AlarmName) -> Select[Any]:
    columns = (_STEP.c.author, _STEP.c.incarnation, _STEP.c.seq)
    own = (*_of(alarm), _STEP.c.author == alarm[0])
    return select(*columns).where(*own).order_by(_STEP.c.key)


def _name(row: Row[Any]) -> BundleId:
    return BundleId(row.author, row.incarnation, unsigned64(row.seq))


def _of(alarm: AlarmName) -> tuple[Any, ...]:
    return (_STEP.c.raiser == alarm[0], _STEP.c.alarm_id == alarm[1])


def _named(name: BundleId) -> tuple[Any, ...]:
    return (
        _STEP.c.author == name.author,
        _STEP.c.incarnation == name.incarnation,
        _STEP.c.seq == signed64(name.seq),
    )


def _seat(name: BundleId, expires_ms: int) -> Seat:
    return alarm_step_seat(name.author, name.incarnation, signed64(name.seq), expires_ms)


def _row_seat(row: Row[Any]) -> Seat:
    return alarm_step_seat(row.author, row.incarnation, row.seq, row.expires_ms)
