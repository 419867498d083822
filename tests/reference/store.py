"""A slow, obvious store of bundles: lists and loops only; the judge of `meshnode.store`.

It says of every batch what is stored, what is refused and why, and what has to go for it.
Source: protocol/limits.py (class rules), wire-format 4.5, security 2.12 and 2.13.
"""

from __future__ import annotations

from meshnode.store.records import BundleRecord
from protocol.ids import ShortId
from protocol.limits import (
    CLASS_RULES,
    KINDS,
    STORE_RESERVE_PCT,
    STORE_ROW_BYTES,
    Kind,
    TrafficClass,
)
from protocol.reports import Reception

__all__ = ["ReferenceStore"]

_NEVER_EVICTED = (TrafficClass.AUTHORITY, TrafficClass.SOS)
_EVICTABLE = (TrafficClass.BULK, TrafficClass.STATE, TrafficClass.MESSAGE)
_KEYS = (Kind.CHAIN_KEYS, Kind.PREKEY, Kind.KEY_REQUEST, Kind.AUDIT_HEAD)
_EVICTION_ORDER = (
    (Kind.CHUNK, Kind.TRACK, Kind.NOTE),
    (Kind.POSITION,),
    (Kind.STATE,),
    (Kind.TEXT,),
    _KEYS,
    (Kind.RECEIPT,),
)
"""Expired, bulk, positions, states, texts, keys, receipts; never SOS."""


class ReferenceStore:
    """Bundles by name, graves by short id, evidence as pairs."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.held: dict[ShortId, BundleRecord] = {}
        self.graves: dict[ShortId, Reception] = {}
        self.evidence: set[tuple[bytes, int, int, bytes]] = set()

    def add_many(self, records: list[BundleRecord]) -> list[Reception]:
        """Return the fate of each record of one batch."""
        fates: dict[int, Reception] = {}
        fresh = self._unknown(records, fates)
        fresh, replaced = self._newest(fresh, fates)
        fresh = self._admit(fresh, fates)
        for position, newcomer in fresh:
            if any(_name(other) == _name(newcomer) for other in self.held.values()):
                self._second_of_name(newcomer)
                fates[position] = Reception.EQUIVOCATION
                continue
            self.held[newcomer.short_id] = newcomer
            fates[position] = Reception.STORED
        stored = [each for each in replaced if fates[each] is Reception.STORED]
        self.drop([replaced[position] for position in stored], Reception.SUPERSEDED)
        return [fates[position] for position in range(len(records))]

    def drop(self, ids: list[ShortId], reason: Reception) -> None:
        """Take bundles out for `reason`."""
        for short_id in ids:
            if short_id in self.held:
                del self.held[short_id]
                self.graves.setdefault(short_id, reason)

    def expire(self, now_ms: int) -> None:
        """Drop what has lived its time."""
        over = [each.short_id for each in self.held.values() if each.expires_ms <= now_ms]
        self.drop(over, Reception.EXPIRED)

    def _unknown(
        self, records: list[BundleRecord], fates: dict[int, Reception]
    ) -> list[tuple[int, BundleRecord]]:
        fresh: list[tuple[int, BundleRecord]] = []
        for position, newcomer in enumerate(records):
            seen = [each.short_id for _position, each in fresh]
            if newcomer.short_id in self.held or newcomer.short_id in seen:
                fates[position] = Reception.DUPLICATE
            elif newcomer.short_id in self.graves:
                fates[position] = self.graves[newcomer.short_id]
            else:
                fresh.append((position, newcomer))
        return fresh

    def _newest(
        self, fresh: list[tuple[int, BundleRecord]], fates: dict[int, Reception]
    ) -> tuple[list[tuple[int, BundleRecord]], dict[int, ShortId]]:
        """Return who is still in the running, and which held bundle each would replace."""
        names: set[tuple[bytes, int, int]] = set()
        running = []
        for position, newcomer in fresh:
            if _supersedes(newcomer) and _name(newcomer) in names:
                self._second_of_name(newcomer)
                fates[position] = Reception.EQUIVOCATION
                continue
            if _supersedes(newcomer):
                names.add(_name(newcomer))
            running.append((position, newcomer))
        kept = []
        replaced = {}
        for position, newcomer in running:
            rivals = [each for _position, each in running if _slot(each) == _slot(newcomer)]
            holders = [each for each in self.held.values() if _slot(each) == _slot(newcomer)]
            others = [each for each in holders if _name(each) != _name(newcomer)]
            if _supersedes(newcomer):
                if any(_age(each) > _age(newcomer) for each in [*rivals, *others]):
                    self.graves[newcomer.short_id] = Reception.SUPERSEDED
                    fates[position] = Reception.SUPERSEDED
                    continue
                if others:
                    replaced[position] = others[0].short_id
            kept.append((position, newcomer))
        return kept, replaced

    def _second_of_name(self, newcomer: BundleRecord) -> None:
        self.evidence.add((*_name(newcomer), newcomer.raw))
        self.graves[newcomer.short_id] = Reception.EQUIVOCATION

    # --- room --------------------------------------------------------------------------------

    def _admit(
        self, fresh: list[tuple[int, BundleRecord]], fates: dict[int, Reception]
    ) -> list[tuple[int, BundleRecord]]:
        if self._fits([*self.held.values()], [each for _position, each in fresh]):
            return fresh
        self.expire(max(each.received_ms for _position, each in fresh))
        stay = [*self.held.values()]
        taken: list[BundleRecord] = []
        victims: list[BundleRecord] = []
        ordered = sorted(
            fresh,
            key=lambda pair: (
                pair[1].traffic_class,
                not pair[1].is_own,
                -_place(pair[1]),
                -pair[1].expires_ms,
            ),
        )
        for position, newcomer in ordered:
            while not self._fits([*stay, *taken], [newcomer]):
                victim = self._victim(stay, taken, newcomer)
                if victim is None:
                    fates[position] = Reception.STORE_FULL
                    break
                stay.remove(victim)
                victims.append(victim)
            else:
                taken.append(newcomer)
        self.drop([each.short_id for each in victims], Reception.STORE_FULL)
        return [pair for pair in fresh if pair[1] in taken]

    def _fits(self, held: list[BundleRecord], new: list[BundleRecord]) -> bool:
        both = [*held, *new]
        for traffic_class in TrafficClass:
            share = self.bytes_max * CLASS_RULES[traffic_class].store_share_pct // 100
            if any(each.traffic_class is traffic_class for each in new) and (
                _charge(both, traffic_class) > share
            ):
                return False
        common = self.bytes_max * (100 - STORE_RESERVE_PCT) // 100
        if any(each.traffic_class in _EVICTABLE for each in new) and (
            _charge(both, *_EVICTABLE) > common
        ):
            return False
        return _charge(both, *TrafficClass) <= self.bytes_max

    def _victim(
        self, stay: list[BundleRecord], taken: list[BundleRecord], newcomer: BundleRecord
    ) -> BundleRecord | None:
        """Return who goes next for `newcomer`."""
        mine, place = newcomer.traffic_class, _place(newcomer)
        is_reserved = mine in _NEVER_EVICTED
        share = self.bytes_max * CLASS_RULES[mine].store_share_pct // 100
        places = range(len(_EVICTION_ORDER))
        groups = [(each, False) for each in places if each <= place]
        if _charge([*stay, *taken, newcomer], mine) > share:
            of_mine = [KINDS[kinds[0]].traffic_class is mine for kinds in _EVICTION_ORDER]
            groups = [(each, is_own) for each, is_own in groups if of_mine[each]]
        elif is_reserved or newcomer.is_own:
            groups += [(each, True) for each in places if each < place]
        for each, is_own in groups:
            group = [held for held in stay if _place(held) == each and held.is_own is is_own]
            if not group:
                continue
            first = min(group, key=lambda held: held.expires_ms)
            if each == place and not newcomer.is_own and first.expires_ms >= newcomer.expires_ms:
                continue
            return first
        return None


def _place(record: BundleRecord) -> int:
    """Return how late a bundle is evicted; beyond all others what never is."""
    for place, kinds in enumerate(_EVICTION_ORDER):
        if record.kind in kinds:
            return place
    return len(_EVICTION_ORDER)


def _charge(records: list[BundleRecord], *classes: TrafficClass) -> int:
    return sum(
        each.size_bytes + STORE_ROW_BYTES for each in records if each.traffic_class in classes
    )


def _supersedes(record: BundleRecord) -> bool:
    return KINDS[record.kind].supersedes


def _name(record: BundleRecord) -> tuple[bytes, int, int]:
    return record.author, record.incarnation, record.seq


def _slot(record: BundleRecord) -> tuple[int, bytes, int, bytes] | int:
    """What only one bundle may hold; each bundle of other kinds has a place of its own."""
    if not _supersedes(record):
        return record.short_id
    return record.kind, record.scope, record.slot, record.author


def _age(record: BundleRecord) -> tuple[int, int, int]:
    return record.hlc, record.incarnation, record.seq
