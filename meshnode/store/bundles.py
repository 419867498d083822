"""Live bundles: add, look up, list in order of service.

The unit of work is a batch: one look-up for all ids, one insert, one change of the index.
Nothing here opens a bundle. Source: DESIGN D1, D3, D6; wire-format 4.3, 4.5, 6.8.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, tuple_

from meshnode.store.engine import Transaction
from meshnode.store.evidence import note_equivocation
from meshnode.store.index import ids_of
from meshnode.store.records import BundleRecord, BundleSummary, Cursor, EvidenceRecord, Page
from meshnode.store.removal import bury, drop_many
from meshnode.store.retention import admit
from meshnode.store.schema import AuthorRow, BundleRow, OwnBundleRow, table
from meshnode.store.statements import (
    INSERT_BUNDLE,
    SELECT_HELD,
    SELECT_RAW,
    SELECT_SUMMARY,
    SELECT_TOMBSTONE,
    insert_many,
    select_many,
    signed64,
    size_class_of,
    summary_of,
    unsigned64,
)
from protocol.ids import BundleId, NodeId, ShortId
from protocol.limits import KINDS, STORE_INTERESTS_MAX, STORE_ROW_BYTES, Kind
from protocol.reconcile.interest import Interest
from protocol.reports import Reception

__all__ = [
    "add_many",
    "by_kind",
    "by_slot",
    "drop_many",
    "has_many",
    "ids",
    "known_many",
    "of_author",
    "own_ids",
    "page",
    "raw_many",
    "raws_of_kind",
    "summaries",
]

_BUNDLE = table(BundleRow)
_AUTHOR = table(AuthorRow)
_OWN_BUNDLE = table(OwnBundleRow)

_SUPERSEDING: Final = frozenset(kind for kind, rule in KINDS.items() if rule.supersedes)
_SLOTS: Final = 100
"""Slots looked up in one query."""
_LIST_MAX: Final = 100_000
"""Bundles that one listing returns at most."""

_Slot = tuple[int, bytes, int, int]
"""Kind, scope, index, author key: only the newest bundle of a slot lives."""
_Rank = tuple[int, int, int]
"""hlc, incarnation, seq: the greater is the newer. Source: wire-format 4.3."""


# --- adding ----------------------------------------------------------------------------------


def add_many(tx: Transaction, records: Sequence[BundleRecord]) -> list[Reception]:
    """Store what is new and has room; return one outcome per record, in order.

    STORED, DUPLICATE (held, or twice in the batch), the reason of its tombstone, SUPERSEDED,
    EQUIVOCATION (kept as evidence), QUOTA (too many interests), STORE_FULL. What had to go for
    it stands in `tx.dropped`. Cost: about 15 µs per record in a batch of 250.
    """
    fates = [Reception.STORED] * len(records)
    fresh = _unknown(tx.connection, records, fates)
    if not fresh:
        return fates
    _bound_interests(tx, fresh, fates)
    authors = _author_keys(tx.connection, {record.author for record in fresh.values()})
    replaced = _newest_only(tx, fresh, authors, fates)
    now_ms = max((record.received_ms for record in fresh.values()), default=0)
    for position in admit(tx, fresh, now_ms):
        fates[position] = Reception.STORE_FULL
        del fresh[position]
        replaced.pop(position, None)
    _insert(tx, fresh, authors)
    for position in _equivocations(tx, fresh, authors):
        fates[position] = Reception.EQUIVOCATION
    drop_many(tx, [old for olds in replaced.values() for old in olds], Reception.SUPERSEDED)
    return fates
