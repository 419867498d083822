"""Takes bundles out of the live set: row, index, and everything that hangs on the row.

A tombstone stays until a day after the bundle's expiry, so that no peer brings it back.
Source: DESIGN D3, security 2.12.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from meshnode.store.engine import Transaction
from meshnode.store.quotas import let_go
from meshnode.store.records import BundleSummary
from meshnode.store.statements import (
    INSERT_TOMBSTONE,
    SELECT_SUMMARY,
    delete_many,
    run_many,
    select_many,
    signed64,
    summary_of,
)
from protocol.ids import ShortId
from protocol.limits import STORE_ROW_BYTES, TOMBSTONE_KEEP_MS
from protocol.reconcile.interest import Interest
from protocol.reports import Reception

__all__ = ["bury", "drop_many"]

_LOWER_MARKS: Final = (
    "UPDATE residence SET last_key = (SELECT COALESCE(MAX(key), 0) FROM bundle) "
    "WHERE last_key > (SELECT COALESCE(MAX(key), 0) FROM bundle)"
)


def drop_many(tx: Transaction, ids: Sequence[ShortId], reason: Reception) -> list[BundleSummary]:
    """Drop those of `ids` that are held; return what they were. An id may be named twice.

    `reason` is what anybody hears who brings one back: DELIVERED, EXPIRED, SUPERSEDED, REVOKED,
    or STORE_FULL for an evicted copy. Cost: about 25 µs per bundle.
    """
    # Once each: one that is named twice far apart would be found twice, and counted off twice.
    keys = [signed64(short_id) for short_id in dict.fromkeys(ids)]
    found = [summary_of(row) for row in select_many(tx.connection, SELECT_SUMMARY, keys)]
    if not found:
        return []
    keys = [signed64(summary.short_id) for summary in found]
    for table in ("bundle", "copy", "unopened"):
        delete_many(tx.connection, table, keys)
    bury(tx, ((summary.short_id, summary.expires_ms) for summary in found), reason)
    by_interest: dict[Interest, list[BundleSummary]] = {}
    for summary in found:
        interest = Interest(summary.zone, summary.traffic_class)
        by_interest.setdefault(interest, []).append(summary)
    for interest, members in by_interest.items():
        charged = sum(member.size_bytes + STORE_ROW_BYTES for member in members)
        tx.note_removed(interest, [member.short_id for member in members], charged)
    let_go(tx, found)
    # A row number may be given again once the last row is gone: no mark may reach beyond the last.
    tx.connection.exec_driver_sql(_LOWER_MARKS)
    tx.dropped.extend(found)
    return found


def bury(tx: Transaction, dead: Iterable[tuple[ShortId, int]], reason: Reception) -> None:
    """Remember (short id, expires_ms) pairs that must not come in again."""
    rows = [
        (signed64(short_id), expires_ms + TOMBSTONE_KEEP_MS, int(reason))
        for short_id, expires_ms in dead
    ]
    run_many(tx.connection, INSERT_TOMBSTONE, rows)
