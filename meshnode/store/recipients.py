"""Who must get an outgoing message, and how far it came at each; a state never goes back.

Receipts of several kinds come in any order, over several copies: the higher rank stays, so any
order ends alike. Source: wire-format 4.12 and 4.32, decision 27.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from meshnode.store.engine import Transaction
from meshnode.store.records import Direction, MessageState, RecipientRecord, RecipientState
from meshnode.store.schema import MessageRow, RecipientRow, table
from meshnode.store.statements import signed64
from protocol.ids import NodeId

__all__ = ["RANKS", "add", "joined", "pending", "raise_states", "recipients", "settle"]

_MESSAGE = table(MessageRow)
_RECIPIENT = table(RecipientRow)

RANKS: Final[Mapping[RecipientState, int]] = MappingProxyType(
    {
        RecipientState.PENDING: 0,
        RecipientState.EXPIRED: 1,
        RecipientState.REFUSED: 1,
        RecipientState.AT_GATEWAY: 2,
        RecipientState.ON_DEVICE: 3,
        RecipientState.WITHDRAWN: 4,
        RecipientState.READ: 5,
    }
)
"""Of two things known of one recipient the one with the higher rank stays.

Read stands above withdrawn: who says that somebody saw it is believed, whatever it says beside.
"""


def joined(first: RecipientState, second: RecipientState) -> RecipientState:
    """Return the one of two states that tells more; the first where they tell as much."""
    return second if RANKS[second] > RANKS[first] else first


def add(tx: Transaction, message: int, nodes: Iterable[NodeId], now_ms: int) -> int:
    """Write down who must receipt a new message; return how many they are."""
    rows = [
        {"message": message, "node": node, "state": RecipientState.PENDING.value, "at_ms": now_ms}
        for node in sorted(set(nodes))
    ]
    if rows:
        tx.connection.execute(insert(_RECIPIENT), rows)
    return len(rows)


def raise_states(
    tx: Transaction,
    node: NodeId,
    incarnation: int,
    seqs: Iterable[int],
    state: RecipientState,
    at_ms: int,
) -> list[tuple[int, bytes]]:
    """Write down that own bundles came to `state` at `node`.

    Returns (message, scope) of those at which that is news. Who is no recipient changes nothing.
    """
    lower = [each.value for each, rank in RANKS.items() if rank < RANKS[state]]
    mine = (
        select(_MESSAGE.c.key, _MESSAGE.c.scope)
        .join(_RECIPIENT, _RECIPIENT.c.message == _MESSAGE.c.key)
        .where(
            _MESSAGE.c.direction == Direction.OUTGOING.value,
            _MESSAGE.c.incarnation == incarnation,
            _MESSAGE.c.seq.in_([signed64(seq) for seq in seqs]),
            _RECIPIENT.c.node == node,
            _RECIPIENT.c.state.in_(lower),
        )
        .order_by(_MESSAGE.c.key)
    )
    found = [(int(key), bytes(scope)) for key, scope in tx.connection.execute(mine)]
    for key, _scope in found:
        tx.connection.execute(
            update(_RECIPIENT)
            .where(_RECIPIENT.c.message == key, _RECIPIENT.c.node == node)
            .values(state=state.value, at_ms=at_ms)
        )
    return found


def settle(tx: Transaction, message: int, state: MessageState, at_ms: int) -> None:
    """A message ended: whoever is pending will get it no more."""
    tx.connection.execute(
        update(_RECIPIENT)
        .where(*_is_pending(message))
        .values(state=RecipientState(state.value).value, at_ms=at_ms)
    )


def pending(conn: Connection, message: int) -> int:
    """Return how many recipients nothing was heard of."""
    query = select(func.count()).select_from(_RECIPIENT).where(*_is_pending(message))
    return int(conn.execute(query).scalar_one())


def recipients(conn: Connection, message: int) -> list[RecipientRecord]:
    """Return who must receipt an outgoing message, and what is known of each."""
    query = select(_RECIPIENT).where(_RECIPIENT.c.message == message).order_by(_RECIPIENT.c.node)
    return [
        RecipientRecord(row.node, RecipientState(row.state), row.at_ms)
        for row in conn.execute(query)
    ]


def _is_pending(message: int) -> tuple[ColumnElement[bool], ...]:
    is_pending: Any = _RECIPIENT.c.state == RecipientState.PENDING.value
    return _RECIPIENT.c.message == message, is_pending
