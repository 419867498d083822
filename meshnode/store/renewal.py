"""Makes a store that was copied a new one to everybody else: no number and no key comes twice.

Between the copy and now the same device may have numbered bundles and used keys of its chains.
Source: wire-format 3.3 and 4.6.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select, update

from meshnode.store import positions
from meshnode.store.engine import Transaction
from meshnode.store.schema import NodeRow, SendingChainRow, table
from protocol.ids import NodeId

__all__ = ["renew"]

_NODE = table(NodeRow)
_SENDING = table(SendingChainRow)
_EVER_MS = (1 << 63) - 1


def renew(tx: Transaction, own: NodeId, entropy: Callable[[int], bytes]) -> int:
    """Draw another incarnation, close every sending chain, end our shifts; return the number.

    The store is to be opened anew afterwards. What the closed chains carried can still be read by
    whoever is given their keys.
    """
    old = int(tx.connection.execute(select(_NODE.c.incarnation)).scalar_one())
    fresh = old
    while fresh == old:
        fresh = int.from_bytes(entropy(4), "big")
    tx.connection.execute(update(_NODE).values(incarnation=fresh, seq=0))
    tx.connection.execute(update(_SENDING).values(is_closed=1))
    for end in positions.due(tx.connection, _EVER_MS):
        if end.author == own:
            positions.erase_shift(tx, end, is_own=True)
    return fresh
