"""What a routing policy must see of held bundles, and nothing more, by id or page by page.

The same rows as `bundles.summaries` and `bundles.page`, in a third of the time: a contact asks for
every bundle that its peer lacks. Source: DESIGN D12.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from meshnode.store.records import Cursor
from meshnode.store.statements import SELECT_AUTHOR, rows_of, select_many, signed64, size_class_of
from protocol.ids import NodeId, ShortId
from protocol.limits import Kind, TrafficClass
from protocol.reconcile.interest import Interest
from protocol.routing.base import Candidate

__all__ = ["candidates", "page"]

_KINDS: Final = {int(kind): kind for kind in Kind}
_CLASSES: Final = {int(each): each for each in TrafficClass}
_COLUMNS: Final = (
    "SELECT short_id, traffic_class, kind, size_bytes, hlc, expires_ms, scope, hops, author "
    "FROM bundle WHERE "
)
_BY_ID: Final = _COLUMNS + "short_id IN (%s)"
_BY_PLACE: Final = (
    _COLUMNS + "zone = ? AND traffic_class = ? AND (size_class, expires_ms, short_id) > (?, ?, ?) "
    "ORDER BY size_class, expires_ms, short_id LIMIT ?"
)
_FIRST: Final = Cursor(-1, 0, 0)
"""Before every place: no bundle has a negative size class."""


def candidates(conn: Connection, ids: Sequence[ShortId], peer: NodeId) -> list[Candidate]:
    """Return those of `ids` that are held and not written by `peer`, in no particular order."""
    keys = [signed64(short_id) for short_id in ids]
    return _candidates(conn, select_many(conn, _BY_ID, keys), peer)


def page(
    conn: Connection, interest: Interest, after: Cursor | None, limit: int, peer: NodeId
) -> tuple[list[Candidate], Cursor | None]:
    """Return the next `limit` bundles of an interest in order of service, without those that
    `peer` wrote, and where the next page starts; None where this was the last.
    """
    place = after or _FIRST
    values = (
        interest.zone,
        int(interest.traffic_class),
        place.size_class,
        place.expires_ms,
        place.key,
        limit,
    )
    rows = rows_of(conn, _BY_PLACE, values)
    found = _candidates(conn, rows, peer)
    if len(rows) < limit:
        return found, None
    last = rows[-1]
    return found, Cursor(size_class_of(last[3]), last[5], last[0])


def _candidates(conn: Connection, rows: Iterable[Any], peer: NodeId) -> list[Candidate]:
    # Its small number is looked up once; joining the authors to all rows takes a fifth longer.
    own = next((key for _node, key in select_many(conn, SELECT_AUTHOR, [peer])), None)
    return [
        Candidate(
            row[0] & 0xFFFFFFFFFFFFFFFF,
            _CLASSES[row[1]],
            _KINDS[row[2]],
            row[3],
            (row[4] & 0xFFFFFFFFFFFFFFFF) >> 16,
            row[5],
            row[6].endswith(peer),
            row[7],
        )
        for row in rows
        if row[8] != own
    ]
