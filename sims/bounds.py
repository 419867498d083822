"""What has a bound in a node, counted while it runs and at the end of its world.

Each name stands for one bound of `protocol.limits`; the checker compares. Source: STYLE 15.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from meshnode.node import Node
from meshnode.store.engine import Connection, Store
from protocol.limits import (
    BUNDLE_BYTES_MAX,
    COPIES_PER_BUNDLE_MAX,
    DOCUMENTS_HELD_MAX,
    EVIDENCE_MAX,
    HINTS_WAITING_MAX,
    HOPS_MAX,
    SESSIONS_MAX,
    SESSIONS_PER_PEER_MAX,
    STORE_INTERESTS_MAX,
    STORE_ROW_BYTES,
    TOMBSTONES_MAX,
)

__all__ = ["BOUNDS", "Peaks", "sizes"]

BOUNDS: Final[Mapping[str, int]] = {
    "sessions": SESSIONS_MAX,
    "sessions of one peer": SESSIONS_PER_PEER_MAX,
    "hints waiting": HINTS_WAITING_MAX,
    "tombstones": TOMBSTONES_MAX,
    "evidence": EVIDENCE_MAX,
    "documents": DOCUMENTS_HELD_MAX,
    "interests": STORE_INTERESTS_MAX,
    "copies of one bundle": COPIES_PER_BUNDLE_MAX,
    "hops": HOPS_MAX,
    "bytes of one bundle": BUNDLE_BYTES_MAX,
}
"""By name, what may never be exceeded; the bytes of a store are bounded by its scenario."""

_ROW: Final = STORE_ROW_BYTES
_QUERIES: Final[Mapping[str, str]] = {
    "store bytes": f"SELECT coalesce(sum(size_bytes + {_ROW}), 0) FROM bundle",  # noqa: S608
    "tombstones": "SELECT count(*) FROM tombstone",
    "evidence": "SELECT count(*) FROM evidence",
    "documents": "SELECT count(*) FROM document",
    "interests": "SELECT count(*) FROM interest",
    "copies of one bundle": "SELECT coalesce(max(n), 0) FROM "
    "(SELECT count(*) AS n FROM copy GROUP BY short_id)",
    "hops": "SELECT coalesce(max(hops), 0) FROM bundle",
    "bytes of one bundle": "SELECT coalesce(max(length(raw)), 0) FROM bundle",
}


class Peaks:
    """The largest count of each thing at each device."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], int] = {}
        """By name of the device and of the count."""

    def note(self, device: str, node: Node) -> None:
        """Look at a running node."""
        by_peer: dict[bytes, int] = {}
        for handle in node.manager.sessions:
            by_peer[handle.peer] = by_peer.get(handle.peer, 0) + 1
        counts = {
            "sessions": len(node.manager.sessions),
            "sessions of one peer": max(by_peer.values(), default=0),
            "hints waiting": node.hints_in.statistics().current_buffer_used,
            "store bytes": node.store.total_bytes,
        }
        for name, count in counts.items():
            self.found[device, name] = max(count, self.found.get((device, name), 0))


def sizes(conn: Connection, store: Store) -> dict[str, int]:
    """Return what a store holds of everything that has a bound.

    The bytes are counted from the rows, and as the store itself counts them.
    """
    found = {
        name: int(conn.exec_driver_sql(query).scalar_one()) for name, query in _QUERIES.items()
    }
    return {**found, "store bytes by its index": store.total_bytes}
