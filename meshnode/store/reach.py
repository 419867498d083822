"""When anything was last heard of a device: a contact, or what it signed, over any carrier."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, func, select

from meshnode.store.schema import AuthorRow, BundleRow, PeerRow, table
from protocol.ids import NodeId

__all__ = ["last_heard"]

_AUTHOR = table(AuthorRow)
_BUNDLE = table(BundleRow)
_PEER = table(PeerRow)
_COUNTER_BITS: Final = 16


def last_heard(conn: Connection, nodes: Collection[NodeId], now_ms: int) -> dict[NodeId, int]:
    """Return when each of `nodes` was last heard of, Unix milliseconds; who never was is left out.

    By its own stamp, of the newest bundle that is held of it, or by the last contact. A stamp that
    runs ahead counts as now; what was dropped long ago counts no more. Cost: a look at every
    bundle of these authors.
    """
    stamp = func.max(_BUNDLE.c.hlc)
    signed = (
        select(_AUTHOR.c.node, stamp)
        .join(_BUNDLE, _BUNDLE.c.author == _AUTHOR.c.key)
        .where(_AUTHOR.c.node.in_(list(nodes)))
        .group_by(_AUTHOR.c.node)
    )
    heard = {
        bytes(node): min(now_ms, int(newest) >> _COUNTER_BITS)
        for node, newest in conn.execute(signed)
    }
    met = select(_PEER.c.node, _PEER.c.last_ms, _PEER.c.is_up).where(_PEER.c.node.in_(list(nodes)))
    for node, last_ms, is_up in conn.execute(met):
        at_ms = now_ms if is_up else min(now_ms, int(last_ms))
        heard[bytes(node)] = max(heard.get(bytes(node), 0), at_ms)
    return heard
