"""What stays and what goes: room for new bundles, eviction order, expiry, old memories.

Order of eviction: expired, then bulk, positions, other states, texts, keys, receipts, each by
nearest deadline, own bundles after all others; authority documents and SOS never.
`STORE_RESERVE_PCT` of the store is theirs.
Source: `protocol.limits.CLASS_RULES`, security 2.13.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import (
    ColumnElement,
    bindparam,
    delete,
    exists,
    func,
    literal_column,
    or_,
    select,
    tuple_,
)

from meshnode.store.engine import Transaction
from meshnode.store.records import BundleRecord, BundleSummary
from meshnode.store.removal import drop_many
from meshnode.store.schema import (
    BundleRow,
    OwnBundleRow,
    ReceivedRow,
    TombstoneRow,
    table,
)
from meshnode.store.spool import shed
from meshnode.store.statements import SIZE_CLASSES, unsigned64
from protocol.ids import ShortId
from protocol.limits import (
    CLASS_RULES,
    EVICTION_ROWS_MAX,
    KINDS,
    RECEIVED_KEEP_MS,
    STORE_RESERVE_PCT,
    STORE_ROW_BYTES,
    TOMBSTONES_MAX,
    Kind,
    TrafficClass,
)
from protocol.reconcile.interest import Interest
from protocol.reports import Reception

__all__ = ["admit", "expire", "prune"]

_BUNDLE = table(BundleRow)
_TOMBSTONE = table(TombstoneRow)
_OWN_BUNDLE = table(OwnBundleRow)
_RECEIVED = table(ReceivedRow)

# Written out, not bound: a partial index serves only a condition that is known beforehand.
_IS_OWN: Final = _BUNDLE.c.is_own == literal_column("1")

_SLICE: Final = 500
"""Rows looked at in one query."""

# Built once: each node runs these every few minutes, and building one costs more than running it.
_IS_OF_INTEREST: Final = (
    _BUNDLE.c.zone == bindparam("zone"),
    _BUNDLE.c.traffic_class == bindparam("traffic_class"),
)
_FIRST_ENDS: Final = select(
    *(
        select(func.min(_BUNDLE.c.expires_ms))
        .where(*_IS_OF_INTEREST, _BUNDLE.c.size_class == size_class)
        .scalar_subquery()
        for size_class in SIZE_CLASSES
    )
)
"""For one interest, the earliest end of life in each size class."""
_OVER: Final = (
    select(_BUNDLE.c.short_id)
    .where(
        *_IS_OF_INTEREST,
        _BUNDLE.c.size_class == bindparam("size_class"),
        _BUNDLE.c.expires_ms <= bindparam("now_ms"),
    )
    .limit(bindparam("rows_max"))
)
_SERVED: Final = {
    _TOMBSTONE: _TOMBSTONE.c.until_ms <= bindparam("now_ms"),
    _OWN_BUNDLE: _OWN_BUNDLE.c.expires_ms <= bindparam("kept_ms"),
    _RECEIVED: _RECEIVED.c.at_ms <= bindparam("kept_ms"),
}
_MEMORIES: Final = select(
    or_(*(exists().select_from(memory).where(served) for memory, served in _SERVED.items())),
    select(func.count()).select_from(_TOMBSTONE).scalar_subquery(),
)
"""Whether any has served, and how many tombstones there are."""
_FORGET: Final = tuple(delete(memory).where(served) for memory, served in _SERVED.items())

_RANKS: Final = {traffic_class: rule.eviction_rank for traffic_class, rule in CLASS_RULES.items()}
_EVICTABLE: Final = tuple(
    sorted((each for each in TrafficClass if _RANKS[each] >= 0), key=_RANKS.__getitem__)
)
"""Classes that may go, first to go first."""

_GO_FIRST: Final = frozenset({Kind.POSITION, Kind.TEXT})
"""Go before the others of their class: a position is soon old, a text has other carriers."""
_GO_LAST: Final = frozenset({Kind.RECEIPT})
"""Go last: each spares the network all the bundles that it covers."""


@dataclass(frozen=True, slots=True)
class _Step:
    """Bundles that go together, before those of the next step."""

    traffic_class: TrafficClass
    """Their class."""
    kinds: frozenset[Kind]
    """Those of the class that belong to this step."""


def _steps() -> Iterator[_Step]:
    """Yield the steps, first to go first; in a class the kinds named go before and after others."""
    for traffic_class in _EVICTABLE:
        kinds = frozenset(
            each for each, rule in KINDS.items() if rule.traffic_class is traffic_class
        )
        first, last = kinds & _GO_FIRST, kinds & _GO_LAST
        yield from (
            _Step(traffic_class, each) for each in (first, kinds - first - last, last) if each
        )


_STEPS: Final = tuple(_steps())
_STEP_OF: Final = {kind: place for place, step in enumerate(_STEPS) for kind in step.kinds}
"""Place among the steps of every kind that may be evicted."""


def expire(tx: Transaction, now_ms: int, limit: int) -> list[BundleSummary]:
    """Drop up to `limit` bundles whose lifetime is over; call again while it drops that many.

    Cost: a few index probes per interest, and 25 µs per bundle dropped.
    """
    over: list[ShortId] = []
    for interest in sorted(tx.interests()):
        place = {"zone": interest.zone, "traffic_class": int(interest.traffic_class)}
        firsts = tx.connection.execute(_FIRST_ENDS, place).one()
        for size_class, first_ms in zip(SIZE_CLASSES, firsts, strict=True):
            if first_ms is None or first_ms > now_ms:
                continue
            bounds = {"size_class": size_class, "now_ms": now_ms, "rows_max": limit - len(over)}
            found = tx.connection.execute(_OVER, {**place, **bounds})
            over.extend(unsigned64(row[0]) for row in found)
            if len(over) >= limit:
                return drop_many(tx, over, Reception.EXPIRED)
    return drop_many(tx, over, Reception.EXPIRED)


def prune(tx: Transaction, now_ms: int) -> int:
    """Forget tombstones and digests that have served; return how many rows went.

    At most `TOMBSTONES_MAX` tombstones stay, those that end last.
    """
    times = {"now_ms": now_ms, "kept_ms": now_ms - RECEIVED_KEEP_MS}
    has_any, count = tx.connection.execute(_MEMORIES, times).one()
    if not has_any and count <= TOMBSTONES_MAX:
        return 0
    gone = sum(tx.connection.execute(old, times).rowcount for old in _FORGET)
    _has_any, count = tx.connection.execute(_MEMORIES, times).one()
    if count > TOMBSTONES_MAX:
        soonest = (
            select(_TOMBSTONE.c.short_id)
            .order_by(_TOMBSTONE.c.until_ms)
            .limit(count - TOMBSTONES_MAX)
        )
        gone += tx.connection.execute(
            delete(_TOMBSTONE).where(_TOMBSTONE.c.short_id.in_(soonest))
        ).rowcount
    return gone


def admit(tx: Transaction, candidates: Mapping[int, BundleRecord], now_ms: int) -> list[int]:
    """Make room for `candidates` by position in their batch; return positions that must not in.

    At a gateway whose archive is far behind, what it sheds is among them.
    Cost: nothing to speak of as long as there is room.
    """
    refused = list(shed(tx, candidates))
    if refused:
        candidates = {place: candidates[place] for place in candidates if place not in refused}
    extra = [0] * len(TrafficClass)
    for record in candidates.values():
        extra[record.traffic_class] += record.size_bytes + STORE_ROW_BYTES
    if _fits(tx.class_bytes, extra, tx.bytes_max):
        return refused
    expire(tx, now_ms, EVICTION_ROWS_MAX)
    room = _Room(tx)
    ordered = sorted(candidates.items(), key=lambda item: _service_key(item[1]))
    refused += [position for position, record in ordered if not room.take(record)]
    drop_many(tx, room.victims, Reception.STORE_FULL)
    return refused


def _service_key(record: BundleRecord) -> tuple[int, bool, int, int]:
    """Sort key: the class served first, own ones, what would be evicted last, the longest life."""
    place = _STEP_OF.get(record.kind, len(_STEPS))
    return record.traffic_class, not record.is_own, -place, -record.expires_ms


def _fits(held: list[int], extra: list[int], bytes_max: int) -> bool:
    """True if `extra` bytes per class fit beside `held` within every share."""
    both = [old + new for old, new in zip(held, extra, strict=True)]
    for traffic_class, rule in CLASS_RULES.items():
        share = bytes_max * rule.store_share_pct // 100
        if extra[traffic_class] and both[traffic_class] > share:
            return False
    if any(extra[each] for each in _EVICTABLE):
        common = bytes_max * (100 - STORE_RESERVE_PCT) // 100
        if sum(both[each] for each in _EVICTABLE) > common:
            return False
    return sum(both) <= bytes_max


class _Room:
    """Decides bundle by bundle who goes for whom; nothing is deleted before all is decided."""

    def __init__(self, tx: Transaction) -> None:
        self.victims: list[ShortId] = []
        self._tx = tx
        self._held = list(tx.class_bytes)
        self._foreign = [_Queue(_foreign(tx, each)) for each in _STEPS]
        self._own = [_Queue(_own(tx, each)) for each in _STEPS]

    def take(self, record: BundleRecord) -> bool:
        """Reserve room for `record`, at the cost of others where its rank allows."""
        charged = record.size_bytes + STORE_ROW_BYTES
        extra = [0] * len(TrafficClass)
        extra[record.traffic_class] = charged
        while not _fits(self._held, extra, self._tx.bytes_max):
            if len(self.victims) >= EVICTION_ROWS_MAX or not self._evict_one(record, charged):
                return False
        self._held[record.traffic_class] += charged
        return True

    def _evict_one(self, record: BundleRecord, charged: int) -> bool:
        for place, queue in self._choices(record, charged):
            victim = queue.peek()
            if victim is None:
                continue
            is_peer = place == _STEP_OF.get(record.kind) and not record.is_own
            if is_peer and victim[0] >= record.expires_ms:
                # The newcomer would be the next to go: it does not push out its betters.
                continue
            queue.pop()
            self.victims.append(victim[1])
            self._held[_STEPS[place].traffic_class] -= victim[2]
            return True
        return False

    def _choices(self, record: BundleRecord, charged: int) -> Iterator[tuple[int, _Queue]]:
        """Yield the steps this newcomer may take from with their queues, first to go first."""
        own_class, own_place = record.traffic_class, _STEP_OF.get(record.kind, len(_STEPS))
        share = self._tx.bytes_max * CLASS_RULES[own_class].store_share_pct // 100
        is_beyond_share = self._held[own_class] + charged > share
        for place, step in enumerate(_STEPS):
            is_fair = not is_beyond_share or step.traffic_class is own_class
            if is_fair and place <= own_place:
                yield place, self._foreign[place]
        if is_beyond_share or not (_RANKS[own_class] < 0 or record.is_own):
            return
        for place in range(own_place):
            yield place, self._own[place]


class _Queue:
    """Candidates for eviction, nearest deadline first, read as far as needed."""

    def __init__(self, rows: Iterator[tuple[int, ShortId, int]]) -> None:
        self._rows = rows
        self._next: tuple[int, ShortId, int] | None = None

    def peek(self) -> tuple[int, ShortId, int] | None:
        """Return (expires_ms, short id, charged bytes) of the first, None where there is none."""
        if self._next is None:
            self._next = next(self._rows, None)
        return self._next

    def pop(self) -> None:
        """Take the first away."""
        self._next = None


def _foreign(tx: Transaction, step: _Step) -> Iterator[tuple[int, ShortId, int]]:
    traffic_class = step.traffic_class
    zones = sorted(each.zone for each in tx.interests() if each.traffic_class is traffic_class)
    streams = [
        _stream(tx, Interest(zone, traffic_class), size_class, step)
        for zone in zones
        for size_class in SIZE_CLASSES
    ]
    return heapq.merge(*streams)


def _is_of(step: _Step) -> ColumnElement[bool]:
    return _BUNDLE.c.kind.in_(sorted(map(int, step.kinds)))


def _stream(
    tx: Transaction, interest: Interest, size_class: int, step: _Step
) -> Iterator[tuple[int, ShortId, int]]:
    """Yield the foreign bundles of one run of the service index by deadline, in slices."""
    after: tuple[int, int] | None = None
    while True:
        query = (
            select(_BUNDLE.c.expires_ms, _BUNDLE.c.short_id, _BUNDLE.c.size_bytes)
            .where(
                _BUNDLE.c.zone == interest.zone,
                _BUNDLE.c.traffic_class == int(interest.traffic_class),
                _BUNDLE.c.size_class == size_class,
                _BUNDLE.c.is_own == 0,
                _is_of(step),
            )
            .order_by(_BUNDLE.c.expires_ms, _BUNDLE.c.short_id)
            .limit(_SLICE)
        )
        if after is not None:
            query = query.where(tuple_(_BUNDLE.c.expires_ms, _BUNDLE.c.short_id) > tuple_(*after))
        rows = tx.connection.execute(query).all()
        for expires_ms, key, size_bytes in rows:
            yield expires_ms, unsigned64(key), size_bytes + STORE_ROW_BYTES
        if len(rows) < _SLICE:
            return
        after = (rows[-1][0], rows[-1][1])


def _own(tx: Transaction, step: _Step) -> Iterator[tuple[int, ShortId, int]]:
    query = (
        select(_BUNDLE.c.expires_ms, _BUNDLE.c.short_id, _BUNDLE.c.size_bytes)
        .where(_BUNDLE.c.traffic_class == int(step.traffic_class), _IS_OWN, _is_of(step))
        .order_by(_BUNDLE.c.expires_ms)
        .limit(EVICTION_ROWS_MAX)
    )
    for expires_ms, key, size_bytes in tx.connection.execute(query).all():
        yield expires_ms, unsigned64(key), size_bytes + STORE_ROW_BYTES
