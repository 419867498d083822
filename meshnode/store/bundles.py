"""Live bundles: add, look up, list in order of service.

The unit of work is a batch: one look-up for all ids, one insert, one change of the index.
Nothing here opens a bundle. Source: DESIGN D1, D3, D6; wire-format 4.3, 4.5, 6.8.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, exists, func, literal_column, select, tuple_

from meshnode.store.engine import Transaction
from meshnode.store.evidence import note_equivocation
from meshnode.store.index import ids_of
from meshnode.store.quotas import bound_zones, charge
from meshnode.store.records import BundleRecord, BundleSummary, Cursor, EvidenceRecord, Page
from meshnode.store.removal import bury, drop_many
from meshnode.store.retention import admit
from meshnode.store.schema import AuthorRow, BundleRow, InterestRow, ReceivedRow, table
from meshnode.store.sealing import Seals
from meshnode.store.spool import add_bundles
from meshnode.store.statements import (
    INSERT_AUTHOR,
    INSERT_BUNDLE,
    INSERT_OWN_BUNDLE,
    SELECT_AUTHOR,
    SELECT_HELD,
    SELECT_RAW,
    SELECT_SLOT,
    SELECT_SUMMARY,
    SELECT_TOMBSTONE,
    SIZE_CLASSES,
    row_of,
    run_many,
    select_many,
    signed64,
    size_class_of,
    summary_of,
    unsigned64,
)
from protocol.ids import BundleId, NodeId, ShortId
from protocol.limits import KINDS, STORE_ROW_BYTES, Kind, TrafficClass
from protocol.quota import Allowance
from protocol.reconcile.interest import Interest
from protocol.reports import Reception

__all__ = [
    "add_many",
    "by_kind",
    "by_slot",
    "drop_many",
    "expires_next",
    "has_many",
    "ids",
    "known_many",
    "of_author",
    "own_ids",
    "page",
    "raw_many",
    "raws_of_kind",
    "summaries",
    "unreceived",
]

_BUNDLE = table(BundleRow)
_AUTHOR = table(AuthorRow)
_RECEIVED = table(ReceivedRow)
_INTEREST = table(InterestRow)

# Written out, not bound: a partial index serves only a condition that is known beforehand.
_IS_IN_SLOT: Final = _BUNDLE.c.supersedes == literal_column("1")
_IS_OWN: Final = _BUNDLE.c.is_own == literal_column("1")

_SUPERSEDING: Final = frozenset(kind for kind, rule in KINDS.items() if rule.supersedes)
# Bound once: asking an enumeration for a member costs 0.15 µs, and these are asked per bundle.
_STORED: Final = Reception.STORED
_DUPLICATE: Final = Reception.DUPLICATE
_LIST_MAX: Final = 100_000
"""Bundles that one listing returns at most."""

_Slot = tuple[int, bytes, int, int]
"""Kind, scope, index, author key: only the newest bundle of a slot lives."""
_Rank = tuple[int, int, int]
"""hlc, incarnation, seq: the greater is the newer. Source: wire-format 4.3."""


# --- adding ----------------------------------------------------------------------------------


def add_many(
    tx: Transaction,
    records: Sequence[BundleRecord],
    allowed: Mapping[NodeId, Allowance] = MappingProxyType({}),
) -> list[Reception]:
    """Store what is new and has room; return one outcome per record, in order.

    STORED, DUPLICATE (held, or twice in the batch), the reason of its tombstone, SUPERSEDED,
    EQUIVOCATION (kept as evidence), QUOTA (too many zones, or beyond its author's allowance),
    STORE_FULL. What had to go for it stands in `tx.dropped`. Cost: 15 µs per record of 250.
    """
    fates = [_STORED] * len(records)
    fresh = _unknown(tx.connection, records, fates)
    bound_zones(tx, fresh, fates)
    now_ms = max((record.received_ms for record in fresh.values()), default=0)
    settle = charge(tx, fresh, fates, allowed, now_ms)
    authors = _author_keys(tx.connection, {record.author for record in fresh.values()})
    replaced = _newest_only(tx, fresh, authors, fates)
    for position in admit(tx, fresh, now_ms):
        fates[position] = Reception.STORE_FULL
        del fresh[position]
    for position in _insert(tx, fresh, authors):
        fates[position] = Reception.EQUIVOCATION
        second = fresh.pop(position)
        first_digest = _digest_of(tx.connection, second, authors[second.author])
        _keep_evidence(tx, second, first_digest)
    settle()
    _tell_index(tx, fresh)
    add_bundles(tx, fresh.values())
    drop_many(tx, [old for position, old in replaced if position in fresh], Reception.SUPERSEDED)
    return fates


def _unknown(
    conn: Connection, records: Sequence[BundleRecord], fates: list[Reception]
) -> dict[int, BundleRecord]:
    """Return by position the records that are neither held, nor buried, nor repeated."""
    keys = [signed64(record.short_id) for record in records]
    known = _fates(conn, list(dict.fromkeys(keys)))
    fresh: dict[int, BundleRecord] = {}
    for position, key in enumerate(keys):
        fate = known.get(key)
        if fate is None:
            fresh[position] = records[position]
            known[key] = _DUPLICATE
        else:
            fates[position] = fate
    return fresh


def _author_keys(conn: Connection, nodes: Collection[NodeId]) -> dict[NodeId, int]:
    """Return the small number of each author, given now to those that have none."""
    wanted = sorted(nodes)
    keys: dict[NodeId, int] = dict(map(tuple, select_many(conn, SELECT_AUTHOR, wanted)))
    new = [(node,) for node in wanted if node not in keys]
    if run_many(conn, INSERT_AUTHOR, new):
        keys.update(map(tuple, select_many(conn, SELECT_AUTHOR, [node for (node,) in new])))
    return keys


def _newest_only(
    tx: Transaction,
    fresh: dict[int, BundleRecord],
    authors: dict[NodeId, int],
    fates: list[Reception],
) -> list[tuple[int, ShortId]]:
    """Leave of each slot the newest in `fresh`; return (position, held bundle it replaces)."""
    best, late = _newest_of_batch(tx, fresh, authors, fates)
    replaced: list[tuple[int, ShortId]] = []
    for slot, (short_id, rank) in _slot_holders(tx.connection, list(best)).items():
        position = best[slot]
        newcomer = fresh[position]
        if rank[1:] == (newcomer.incarnation, newcomer.seq):
            # Two bundles of one name: the insert will refuse the second, whichever is newer.
            continue
        if rank < _rank(newcomer):
            replaced.append((position, short_id))
        else:
            late.append(position)
    for position in late:
        fates[position] = Reception.SUPERSEDED
        bury(tx, [(fresh[position].short_id, fresh[position].expires_ms)], Reception.SUPERSEDED)
        del fresh[position]
    return replaced


def _newest_of_batch(
    tx: Transaction,
    fresh: dict[int, BundleRecord],
    authors: dict[NodeId, int],
    fates: list[Reception],
) -> tuple[dict[_Slot, int], list[int]]:
    """Return the newest position of each slot and the positions that are older.

    The second of one name goes as evidence, or it could take the slot from the first.
    """
    best: dict[_Slot, int] = {}
    late: list[int] = []
    named: dict[tuple[int, int, int], BundleRecord] = {}
    for position, record in list(fresh.items()):
        if record.kind not in _SUPERSEDING:
            continue
        author = authors[record.author]
        first = named.setdefault((author, record.incarnation, record.seq), record)
        if first is not record:
            fates[position] = Reception.EQUIVOCATION
            _keep_evidence(tx, fresh.pop(position), first.digest)
            continue
        slot = (int(record.kind), record.scope, record.slot, author)
        other = best.setdefault(slot, position)
        if _rank(record) > _rank(fresh[other]):
            best[slot] = position
            late.append(other)
        elif other != position:
            late.append(position)
    return best, late


def _rank(record: BundleRecord) -> _Rank:
    return record.hlc, record.incarnation, record.seq


def _slot_holders(conn: Connection, slots: Sequence[_Slot]) -> dict[_Slot, tuple[ShortId, _Rank]]:
    """Return what lives in those of `slots` that are taken."""
    wanted = [(kind, scope, signed64(index), author) for kind, scope, index, author in slots]
    held = {}
    for row in select_many(conn, SELECT_SLOT, wanted):
        slot = (row[0], row[1], unsigned64(row[2]), row[3])
        held[slot] = (unsigned64(row[4]), (unsigned64(row[5]), row[6], unsigned64(row[7])))
    return held


def _insert(
    tx: Transaction, fresh: dict[int, BundleRecord], authors: dict[NodeId, int]
) -> list[int]:
    """Insert rows; return the positions of those whose name another bundle bears already."""
    records = list(fresh.values())
    keys = [signed64(record.short_id) for record in records]
    sealed = Seals(tx.connection).seal_containers(
        [(key, record.expires_ms, record.raw) for key, record in zip(keys, records, strict=True)]
    )
    rows = [
        row_of(record, key, authors[record.author], raw)
        for record, key, raw in zip(records, keys, sealed, strict=True)
    ]
    refused: list[int] = []
    if run_many(tx.connection, INSERT_BUNDLE, rows) != len(rows):
        held = has_many(tx.connection, [record.short_id for record in fresh.values()])
        refused = [place for place, record in fresh.items() if record.short_id not in held]
    own = [
        (record.incarnation, signed64(record.seq), record.digest, record.expires_ms)
        for position, record in fresh.items()
        if record.is_own and position not in refused
    ]
    run_many(tx.connection, INSERT_OWN_BUNDLE, own)
    return refused


def _digest_of(conn: Connection, record: BundleRecord, author: int) -> bytes:
    """Return the digest of the held bundle that bears the name of `record`."""
    query = select(_BUNDLE.c.digest).where(
        _BUNDLE.c.author == author,
        _BUNDLE.c.incarnation == record.incarnation,
        _BUNDLE.c.seq == signed64(record.seq),
    )
    digest: bytes = conn.execute(query).scalar_one()
    return digest


def _keep_evidence(tx: Transaction, record: BundleRecord, first_digest: bytes) -> None:
    """Keep the second of two bundles with one name, and never ask for it again."""
    subject = str(BundleId(record.author, record.incarnation, record.seq))
    found = EvidenceRecord(record.received_ms, record.author, subject, first_digest, record.raw)
    note_equivocation(tx, found)
    bury(tx, [(record.short_id, record.expires_ms)], Reception.EQUIVOCATION)


def _tell_index(tx: Transaction, stored: dict[int, BundleRecord]) -> None:
    by_interest: dict[tuple[int, TrafficClass], list[BundleRecord]] = defaultdict(list)
    for record in stored.values():
        by_interest[record.zone, record.traffic_class].append(record)
    for key, members in by_interest.items():
        charged = sum(member.size_bytes for member in members) + STORE_ROW_BYTES * len(members)
        tx.note_added(Interest(*key), [member.short_id for member in members], charged)


# --- looking up ------------------------------------------------------------------------------


def has_many(conn: Connection, ids: Sequence[ShortId]) -> set[ShortId]:
    """Return those of `ids` that are held."""
    keys = [signed64(short_id) for short_id in ids]
    return {unsigned64(row[0]) for row in select_many(conn, SELECT_HELD, keys)}


def fates(conn: Connection, ids: Sequence[ShortId]) -> dict[ShortId, Reception]:
    """Return DUPLICATE for those of `ids` that are held, and why the others must not come back."""
    found = _fates(conn, [signed64(short_id) for short_id in ids])
    return {unsigned64(key): fate for key, fate in found.items()}


def _fates(conn: Connection, keys: Sequence[int]) -> dict[int, Reception]:
    known = {row[0]: _DUPLICATE for row in select_many(conn, SELECT_HELD, keys)}
    for key, reason in select_many(conn, SELECT_TOMBSTONE, keys):
        known.setdefault(key, Reception(reason))
    return known


def known_many(conn: Connection, ids: Sequence[ShortId]) -> set[ShortId]:
    """Return those of `ids` that are held, or were and must not come back."""
    keys = [signed64(short_id) for short_id in ids]
    known = {unsigned64(row[0]) for row in select_many(conn, SELECT_HELD, keys)}
    known.update(unsigned64(row[0]) for row in select_many(conn, SELECT_TOMBSTONE, keys))
    return known


def raw_many(conn: Connection, ids: Sequence[ShortId]) -> dict[ShortId, tuple[bytes, int]]:
    """Return container and hop count of those of `ids` that are held and whole."""
    keys = [signed64(short_id) for short_id in ids]
    rows = list(select_many(conn, SELECT_RAW, keys))
    return {
        row[0] & 0xFFFFFFFFFFFFFFFF: (raw, row[3])
        for row, raw in zip(rows, Seals(conn).open_containers(rows), strict=True)
        if raw is not None
    }


def summaries(conn: Connection, ids: Sequence[ShortId]) -> list[BundleSummary]:
    """Return what is known of those of `ids` that are held, in no particular order."""
    keys = [signed64(short_id) for short_id in ids]
    return [summary_of(row) for row in select_many(conn, SELECT_SUMMARY, keys)]


def ids(conn: Connection, interest: Interest) -> array[int]:
    """Return every short id of an interest. Cost: 0.4 µs per id."""
    return ids_of(conn, interest)


def page(conn: Connection, interest: Interest, after: Cursor | None, limit: int) -> Page:
    """Return the next `limit` bundles of an interest: small before large, then by deadline."""
    query = _listing().where(
        _BUNDLE.c.zone == interest.zone,
        _BUNDLE.c.traffic_class == int(interest.traffic_class),
    )
    place = tuple_(_BUNDLE.c.size_class, _BUNDLE.c.expires_ms, _BUNDLE.c.short_id)
    if after is not None:
        query = query.where(place > tuple_(after.size_class, after.expires_ms, after.key))
    query = query.order_by(*place.clauses).limit(limit)
    found = [summary_of(row) for row in conn.execute(query)]
    if len(found) < limit:
        return Page(tuple(found), None)
    last = found[-1]
    cursor = Cursor(size_class_of(last.size_bytes), last.expires_ms, signed64(last.short_id))
    return Page(tuple(found), cursor)


def of_author(
    conn: Connection, author: NodeId, incarnation: int, first_seq: int, last_seq: int
) -> list[BundleSummary]:
    """Return the bundles of `author` numbered `first_seq` to `last_seq`, both included."""
    run = {
        "author": author,
        "incarnation": incarnation,
        "first_seq": signed64(first_seq),
        "last_seq": signed64(last_seq),
    }
    return [summary_of(row) for row in conn.execute(_OF_AUTHOR, run)]


def by_kind(conn: Connection, kind: Kind, limit: int = _LIST_MAX) -> list[BundleSummary]:
    """Return the bundles of one kind in the order in which they came.

    Cost: an index for kinds that supersede, a pass over the table for others.
    """
    query = _of_kind(_listing(), kind).order_by(_BUNDLE.c.key).limit(limit)
    return [summary_of(row) for row in conn.execute(query)]


def unreceived(conn: Connection, kind: Kind, limit: int = _LIST_MAX) -> list[BundleSummary]:
    """Return those of one kind, by others, that this device never noted as received.

    In the order in which they came. Cost: as `by_kind`, and an index probe for each.
    """
    return [summary_of(row) for row in conn.execute(_unreceived(kind, limit))]


def raws_of_kind(conn: Connection, kind: Kind, limit: int = _LIST_MAX) -> list[bytes]:
    """Return the whole containers of one kind in the order in which they came; as `by_kind`."""
    columns = select(_BUNDLE.c.short_id, _BUNDLE.c.expires_ms, _BUNDLE.c.raw)
    query = _of_kind(columns, kind).order_by(_BUNDLE.c.key).limit(limit)
    found = Seals(conn).open_containers([tuple(row) for row in conn.execute(query)])
    return [raw for raw in found if raw is not None]


def by_slot(conn: Connection, kind: Kind, scope: bytes, index: int) -> list[BundleSummary]:
    """Return the living bundle of each author in one slot of a kind that supersedes."""
    place = {"scope": scope, "slot": signed64(index)}
    return [summary_of(row) for row in conn.execute(_in_slot(kind), place)]


def expires_next(conn: Connection) -> int | None:
    """Return the earliest end of life, Unix milliseconds, of all live bundles.

    Cost: one index probe per interest and size class.
    """
    row = conn.execute(_FIRST_ENDS).one()
    return min((each for each in row if each is not None), default=None)


def own_ids(conn: Connection) -> list[ShortId]:
    """Return the bundles of this node that are still held."""
    query = select(_BUNDLE.c.short_id).where(_IS_OWN).limit(_LIST_MAX)
    return [unsigned64(key) for key in conn.execute(query).scalars()]


@cache
def _unreceived(kind: Kind, limit: int) -> Select[Any]:
    """Kept, as every node asks for the same few kinds after everything it receives."""
    noted = exists().where(
        _RECEIVED.c.author == _AUTHOR.c.node,
        _RECEIVED.c.incarnation == _BUNDLE.c.incarnation,
        _RECEIVED.c.seq == _BUNDLE.c.seq,
    )
    query = _of_kind(_listing(), kind).where(_BUNDLE.c.is_own == 0, ~noted)
    return query.order_by(_BUNDLE.c.key).limit(limit)


@cache
def _in_slot(kind: Kind) -> Select[Any]:
    """Kept, as every node looks for its own heads and prekeys every few minutes."""
    is_there = (_BUNDLE.c.scope == bindparam("scope"), _BUNDLE.c.slot == bindparam("slot"))
    return _of_kind(_listing(), kind).where(*is_there).limit(_LIST_MAX)


@cache
def _listing() -> Select[Any]:
    """The columns that `summary_of` reads, in its order."""
    return select(
        _BUNDLE.c.short_id,
        _BUNDLE.c.digest,
        _AUTHOR.c.node,
        _BUNDLE.c.incarnation,
        _BUNDLE.c.seq,
        _BUNDLE.c.kind,
        _BUNDLE.c.traffic_class,
        _BUNDLE.c.zone,
        _BUNDLE.c.scope,
        _BUNDLE.c.slot,
        _BUNDLE.c.hlc,
        _BUNDLE.c.expires_ms,
        _BUNDLE.c.size_bytes,
        _BUNDLE.c.hops,
        _BUNDLE.c.received_ms,
        _BUNDLE.c.is_own,
    ).join_from(_BUNDLE, _AUTHOR, _AUTHOR.c.key == _BUNDLE.c.author)


# Built once: both are asked for so often that building them would cost more than running them.
_OF_AUTHOR: Final = (
    _listing()
    .where(
        _AUTHOR.c.node == bindparam("author"),
        _BUNDLE.c.incarnation == bindparam("incarnation"),
        _BUNDLE.c.seq.between(bindparam("first_seq"), bindparam("last_seq")),
    )
    .order_by(_BUNDLE.c.seq)
    .limit(_LIST_MAX)
)
_FIRST_ENDS: Final = select(
    *(
        func.min(
            select(func.min(_BUNDLE.c.expires_ms))
            .where(
                _BUNDLE.c.zone == _INTEREST.c.zone,
                _BUNDLE.c.traffic_class == _INTEREST.c.traffic_class,
                _BUNDLE.c.size_class == size_class,
            )
            .scalar_subquery()
        )
        for size_class in SIZE_CLASSES
    )
).select_from(_INTEREST)


def _of_kind(query: Select[Any], kind: Kind) -> Select[Any]:
    if kind in _SUPERSEDING:
        query = query.where(_IS_IN_SLOT)
    return query.where(_BUNDLE.c.kind == int(kind))
