"""How many chunks of files may be made now: by the author's hour, its share, and this store.

What has no room waits as a sealed copy, so that a file never keeps out what others need.
Source: wire-format 4.16, decision 28.
"""

from __future__ import annotations

from typing import Final

from meshnode.author import Author
from meshnode.store.engine import Connection
from meshnode.store.quotas import holding_of, tally_of
from protocol.guards import CHUNK_BYTES
from protocol.limits import CLASS_RULES, STORE_ROW_BYTES, TrafficClass
from protocol.quota import Group, hour_of

__all__ = ["chunk_room"]

_CONTAINER_BYTES: Final = CHUNK_BYTES + 256
"""A chunk with header, seal and signature, at most."""
_OF_THE_HOUR: Final = (7, 8)
"""Files take so much of the hour's quota for bulk; the rest is for tracks."""
_HOUR_MS: Final = 3_600_000


def chunk_room(conn: Connection, author: Author, store_bytes_max: int, now_ms: int) -> int:
    """Return how many chunks of usual size this node may make now."""
    allowance = author.allowance()
    part, of = _OF_THE_HOUR
    tally = tally_of(conn, author.node, hour_of(now_ms << 16))
    holding = holding_of(conn, author.node)
    hour_bytes = allowance.hour_bulk_bytes * part // of - tally.bulk_bytes
    hour_count = allowance.counts[Group.BULK] * part // of - tally.counts[Group.BULK]
    class_share = CLASS_RULES[TrafficClass.BULK].store_share_pct
    own_share = store_bytes_max * class_share // 200
    held = max(holding.bulk_bytes, holding.bulk_arrived_in(now_ms // _HOUR_MS))
    share_bytes = min(allowance.bulk_share_bytes - held, max(0, own_share - holding.bulk_bytes))
    by_share = share_bytes // (_CONTAINER_BYTES + STORE_ROW_BYTES)
    return max(0, min(hour_count, hour_bytes // _CONTAINER_BYTES, by_share))
