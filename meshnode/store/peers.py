"""Nodes that were met, and which of them took copies of what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from meshnode.store.engine import Transaction
from meshnode.store.records import PeerRecord
from meshnode.store.schema import CopyRow, PeerRow, table
from meshnode.store.sealing import Seals, peer_seat
from meshnode.store.statements import SELECT_HELD, select_many, signed64, unsigned64
from protocol.ids import NodeId, ShortId
from protocol.limits import COPIES_PER_BUNDLE_MAX

__all__ = [
    "all_down",
    "contact_down",
    "contact_up",
    "copies",
    "get",
    "list_peers",
    "note_copies",
]

_PEER = table(PeerRow)
_COPY = table(CopyRow)

# Built once: every contact runs these, and building one costs more than running it.
_OF_NODE: Final = select(_PEER).where(_PEER.c.node == bindparam("who"))
_MET: Final = (
    update(_PEER)
    .where(_PEER.c.node == bindparam("who"))
    .values(is_up=1, last_ms=bindparam("met_ms"), contacts=_PEER.c.contacts + 1)
)
_MOVED: Final = (
    update(_PEER)
    .where(_PEER.c.node == bindparam("who"))
    .values(address=bindparam("place"), address_ms=bindparam("met_ms"))
)


def contact_up(tx: Transaction, node: NodeId, address: str, at_ms: int) -> None:
    """Note that a session with `node` began; an empty address leaves the last known one."""
    sealed = Seals(tx.connection).seal(peer_seat(node, at_ms), address.encode())
    values = {"who": node, "met_ms": at_ms}
    known = tx.connection.execute(_MET, values)
    if known.rowcount and address:
        tx.connection.execute(_MOVED, values | {"place": sealed})
    if not known.rowcount:
        tx.connection.execute(
            insert(_PEER).values(
                node=node,
                address=sealed,
                address_ms=at_ms,
                is_up=1,
                first_ms=at_ms,
                last_ms=at_ms,
                contacts=1,
                sent_bytes=0,
                received_bytes=0,
            )
        )


def contact_down(
    tx: Transaction, node: NodeId, at_ms: int, sent_bytes: int, received_bytes: int
) -> None:
    """Note that the session with `node` ended, and what it moved."""
    tx.connection.execute(
        update(_PEER)
        .where(_PEER.c.node == node)
        .values(
            is_up=0,
            last_ms=at_ms,
            sent_bytes=_PEER.c.sent_bytes + sent_bytes,
            received_bytes=_PEER.c.received_bytes + received_bytes,
        )
    )


def all_down(tx: Transaction) -> None:
    """At the start of the node nobody is in contact, whatever a crash left behind."""
    tx.connection.execute(update(_PEER).values(is_up=0))


def list_peers(conn: Connection) -> list[PeerRecord]:
    """Return everybody who was ever met, the last met first."""
    query = select(_PEER).order_by(_PEER.c.is_up.desc(), _PEER.c.last_ms.desc(), _PEER.c.node)
    seals = Seals(conn)
    return [_peer(row, seals) for row in conn.execute(query)]


def get(conn: Connection, node: NodeId) -> PeerRecord | None:
    """Return what is remembered of one node."""
    row = conn.execute(_OF_NODE, {"who": node}).first()
    return None if row is None else _peer(row, Seals(conn))


def note_copies(
    tx: Transaction, node: NodeId, short_ids: Sequence[ShortId], at_ms: int
) -> list[ShortId]:
    """Note that `node` took copies; return those of held bundles that were not known.

    At most `COPIES_PER_BUNDLE_MAX` carriers are remembered of one bundle.
    """
    keys = list(dict.fromkeys(signed64(short_id) for short_id in short_ids))
    held = {row[0] for row in select_many(tx.connection, SELECT_HELD, keys)}
    counted = (
        select(
            _COPY.c.short_id,
            func.count(),
            func.sum(func.iif(_COPY.c.node == node, 1, 0)),
        )
        .where(_COPY.c.short_id.in_(keys))
        .group_by(_COPY.c.short_id)
    )
    full = {
        row[0]
        for row in tx.connection.execute(counted)
        if row[2] or row[1] >= COPIES_PER_BUNDLE_MAX
    }
    fresh = [key for key in keys if key in held and key not in full]
    if fresh:
        rows = [{"short_id": key, "node": node, "at_ms": at_ms} for key in fresh]
        tx.connection.execute(insert(_COPY), rows)
    return [unsigned64(key) for key in fresh]


def copies(conn: Connection, short_ids: Sequence[ShortId]) -> dict[ShortId, set[NodeId]]:
    """Return who is known to carry copies of these bundles; bundles without any are left out."""
    keys = [signed64(short_id) for short_id in short_ids]
    query = select(_COPY.c.short_id, _COPY.c.node).where(_COPY.c.short_id.in_(keys))
    carriers: dict[ShortId, set[NodeId]] = {}
    for key, node in conn.execute(query):
        carriers.setdefault(unsigned64(key), set()).add(node)
    return carriers


def _peer(row: Row[Any], seals: Seals) -> PeerRecord:
    # A damaged address is as one that was never known; who was met is told all the same.
    address = seals.open_or_none(peer_seat(row.node, row.address_ms), row.address)
    return PeerRecord(
        node=row.node,
        address=(address or b"").decode(),
        is_up=bool(row.is_up),
        first_ms=row.first_ms,
        last_ms=row.last_ms,
        contacts=row.contacts,
        sent_bytes=row.sent_bytes,
        received_bytes=row.received_bytes,
    )
