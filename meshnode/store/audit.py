"""The audit log on the disk: a chain of rows, of which the oldest go and leave their hash behind.

Nothing in a row says what anybody wrote, where anybody is, or what anybody is called, and a
technician in the field must see why a peer was refused; so rows stay readable here, and are sealed
where they leave the device. `_kept` and `_read` are the one place where a vault would seal them.
Source: security 2.14.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, delete, func, insert, select

from meshnode.store.engine import Transaction
from meshnode.store.schema import AuditBaseRow, AuditRow, table
from meshnode.store.statements import run_many
from protocol.audit import ORIGIN, AuditEntry, AuditHead, chained
from protocol.guards import AUDIT_ROWS_MAX
from protocol.ids import NodeId

__all__ = [
    "Noted",
    "append",
    "audit_base",
    "audit_entries",
    "audit_head",
    "audit_recent",
    "drop_before",
]

_AUDIT = table(AuditRow)
_BASE = table(AuditBaseRow)

_LAST: Final = select(_AUDIT).order_by(_AUDIT.c.number.desc()).limit(1)
_PUT_BASE: Final = (
    "INSERT INTO audit_base (key, number, hash) VALUES (1, ?, ?) "
    "ON CONFLICT (key) DO UPDATE SET number = excluded.number, hash = excluded.hash"
)


_FIELDS: Final = ("number", "at_ms", "event", "node", "count", "hash")
"""Of an entry, in order; a row has a method that is called like one of them."""


class Noted(NamedTuple):
    """What is to become an entry."""

    at_ms: int
    """When it was first noted, Unix milliseconds."""
    event: str
    """One stable word."""
    node: NodeId | None
    """The device it is about, if one is known."""
    times: int
    """How often."""


def append(tx: Transaction, noted: Sequence[Noted]) -> AuditHead:
    """Chain entries to the log and let the oldest go beyond `AUDIT_ROWS_MAX`; return the head.

    Cost: about 20 µs per entry.
    """
    head = audit_head(tx.connection)
    rows = []
    for each in noted:
        entry = chained(head, each.at_ms, each.event, each.node or b"", each.times)
        rows.append(_kept(entry, head))
        head = AuditHead(entry.number, entry.hash)
    if rows:
        tx.connection.execute(insert(_AUDIT), rows)
        _fold(tx, head.number - AUDIT_ROWS_MAX)
    return head


def _fold(tx: Transaction, last_number: int) -> None:
    """Let entries up to `last_number` go; the hash of that one becomes the base of the rest."""
    if last_number <= audit_base(tx.connection).number:
        return
    found = tx.connection.execute(select(_AUDIT).where(_AUDIT.c.number == last_number)).one()
    entry = _read(found)
    run_many(tx.connection, _PUT_BASE, [(entry.number, entry.hash)])
    tx.connection.execute(delete(_AUDIT).where(_AUDIT.c.number <= last_number))


def drop_before(tx: Transaction, before_ms: int) -> int:
    """Let the oldest entries go up to the first that was noted at `before_ms` or later.

    Unix milliseconds. Returns how many went; the hash of the last one stays, so that the chain can
    be checked. Source: security 2.10 and 2.14.
    """
    conn = tx.connection
    kept = conn.execute(select(func.min(_AUDIT.c.number)).where(_AUDIT.c.at_ms >= before_ms))
    first, base = kept.scalar(), audit_base(conn).number
    last = audit_head(conn).number if first is None else first - 1
    _fold(tx, last)
    return max(0, last - base)


def audit_base(conn: Connection) -> AuditHead:
    """Return the entry before the oldest one that is kept."""
    row = conn.execute(select(_BASE.c.number, _BASE.c.hash)).first()
    return ORIGIN if row is None else AuditHead(row.number, row.hash)


def audit_head(conn: Connection) -> AuditHead:
    """Return the last entry there ever was."""
    row = conn.execute(_LAST).first()
    if row is None:
        return audit_base(conn)
    entry = _read(row)
    return AuditHead(entry.number, entry.hash)


def audit_entries(
    conn: Connection, after: int = 0, limit: int = AUDIT_ROWS_MAX
) -> list[AuditEntry]:
    """Return up to `limit` entries behind the one numbered `after`, in order."""
    query = select(_AUDIT).where(_AUDIT.c.number > after).order_by(_AUDIT.c.number).limit(limit)
    return [_read(row) for row in conn.execute(query)]


def audit_recent(conn: Connection, limit: int) -> list[AuditEntry]:
    """Return the last `limit` entries, in order."""
    query = select(_AUDIT).order_by(_AUDIT.c.number.desc()).limit(limit)
    return [_read(row) for row in conn.execute(query)][::-1]


def _kept(entry: AuditEntry, before: AuditHead) -> dict[str, Any]:
    """Return the row of an entry."""
    return {
        "number": entry.number,
        "at_ms": entry.at_ms,
        "event": entry.event,
        "node": entry.node,
        "count": entry.count,
        "previous": before.hash,
        "hash": entry.hash,
    }


def _read(row: Row[Any]) -> AuditEntry:
    """Return the entry of a row."""
    fields = row._mapping
    return AuditEntry(*(fields[name] for name in _FIELDS))
