"""The ledger of messages: lines that tell what became of each, in the order of what was learned.

What a line adds to its event is sealed; a damaged line hides no other. Source: security 2.10.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, Row, Select, insert, select

from meshnode.store.engine import Transaction
from meshnode.store.records import LedgerEntry, LedgerEvent
from meshnode.store.schema import LedgerRow, table
from meshnode.store.sealing import Seals, Seat, ledger_seat
from protocol.ids import NodeId

__all__ = ["MessageKey", "ledger", "note", "note_once"]

MessageKey: TypeAlias = int
"""Local number of a message, rising in the order of arrival."""

_LEDGER = table(LedgerRow)
_ADD_LINE: Final = insert(_LEDGER)


def note(
    tx: Transaction,
    key: MessageKey,
    at_ms: int,
    event: LedgerEvent,
    node: NodeId | None = None,
    detail: str = "",
) -> None:
    """Add a line to the ledger of a message."""
    seat = ledger_seat(key, at_ms, event.value, node)
    line = {
        "message": key,
        "at_ms": at_ms,
        "event": event.value,
        "node": node,
        "detail": Seals(tx.connection).seal(seat, detail.encode()),
    }
    tx.connection.execute(_ADD_LINE, line)


def note_once(
    tx: Transaction,
    key: MessageKey,
    now_ms: int,
    event: LedgerEvent,
    detail: str = "",
    node: NodeId | None = None,
) -> None:
    """Write down, once per reason and node, what a message waits for."""
    query = select(_LEDGER).where(_LEDGER.c.message == key, _LEDGER.c.event == event.value)
    known = [(each.node, each.detail) for each in _entries(tx.connection, query)]
    if (node, detail) not in known:
        note(tx, key, now_ms, event, node, detail)


def ledger(conn: Connection, key: MessageKey) -> list[LedgerEntry]:
    """Return the whole lines of a message's story, in the order in which they became known."""
    return _entries(conn, select(_LEDGER).where(_LEDGER.c.message == key).order_by(_LEDGER.c.key))


def _entries(conn: Connection, query: Select[Any]) -> list[LedgerEntry]:
    """Return the lines that are whole. Raises: LockedError."""
    found = Seals(conn).whole(conn.execute(query), _seat, "detail")
    return [
        LedgerEntry(row.at_ms, LedgerEvent(row.event), row.node, detail.decode())
        for row, detail in found
    ]


def _seat(row: Row[Any]) -> Seat:
    return ledger_seat(row.message, row.at_ms, row.event, row.node)
