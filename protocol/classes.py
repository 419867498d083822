"""Traffic classes and kinds of bundles: the one table of order, lifetimes and shares of the store.

Source: DESIGN D1, wire-format 4.3, routing point 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

__all__ = [
    "CLASS_RULES",
    "KINDS",
    "LIFETIME_S_MAX",
    "ClassRule",
    "Kind",
    "KindRule",
    "TrafficClass",
]

_DAY_S: Final = 86_400
LIFETIME_S_MAX: Final = 90 * _DAY_S
"""Longest lifetime of any bundle."""


class TrafficClass(IntEnum):
    """Order of service on the wire and in the store; lower goes first. Source: DESIGN D1."""

    AUTHORITY = 0
    SOS = 1
    MESSAGE = 2
    STATE = 3
    BULK = 4


class Kind(IntEnum):
    """What a bundle is, as far as relays may know. Source: wire-format 4.3."""

    SOS = 1
    TEXT = 2
    RECEIPT = 3
    CHAIN_KEYS = 4
    PREKEY = 5
    KEY_REQUEST = 6
    STATE = 7
    POSITION = 8
    CHUNK = 9
    TRACK = 10
    NOTE = 11
    SHIFT = 12
    AUDIT_HEAD = 13
    NETWORK_KEYS = 14
    CANCEL = 15
    SHEETS = 16
    UPLINK = 18
    READ = 30
    COVERAGE = 41


@dataclass(frozen=True, slots=True)
class KindRule:
    """How relays treat one kind of bundle."""

    traffic_class: TrafficClass
    """Order of service."""
    supersedes: bool
    """A newer bundle of the same author, kind, scope and index replaces the older everywhere."""
    lifetime_s: int
    """Lifetime given by the author when nobody asked for another, seconds."""


@dataclass(frozen=True, slots=True)
class ClassRule:
    """Bounds of one traffic class; the one table of DESIGN D1."""

    lifetime_s_max: int
    """A bundle that claims more is refused, seconds."""
    store_share_pct: int
    """Share of the store's bytes that this class may use before its own oldest are evicted, %."""
    eviction_rank: int
    """Lower goes first when the store is full; -1 is never evicted."""


KINDS: Final[dict[Kind, KindRule]] = {
    Kind.SOS: KindRule(TrafficClass.SOS, False, 3 * _DAY_S),
    Kind.TEXT: KindRule(TrafficClass.MESSAGE, False, 7 * _DAY_S),
    Kind.RECEIPT: KindRule(TrafficClass.MESSAGE, True, 30 * _DAY_S),
    Kind.CHAIN_KEYS: KindRule(TrafficClass.MESSAGE, False, 9 * _DAY_S),
    Kind.PREKEY: KindRule(TrafficClass.MESSAGE, True, 9 * _DAY_S),
    Kind.KEY_REQUEST: KindRule(TrafficClass.MESSAGE, True, 3 * _DAY_S),
    Kind.STATE: KindRule(TrafficClass.STATE, True, _DAY_S // 2),
    Kind.POSITION: KindRule(TrafficClass.STATE, True, _DAY_S // 2),
    Kind.CHUNK: KindRule(TrafficClass.BULK, False, 7 * _DAY_S),
    Kind.TRACK: KindRule(TrafficClass.BULK, False, 9 * _DAY_S),
    Kind.NOTE: KindRule(TrafficClass.BULK, False, 7 * _DAY_S),
    Kind.SHIFT: KindRule(TrafficClass.MESSAGE, True, 2 * _DAY_S),
    Kind.AUDIT_HEAD: KindRule(TrafficClass.MESSAGE, True, 90 * _DAY_S),
    Kind.NETWORK_KEYS: KindRule(TrafficClass.MESSAGE, True, 9 * _DAY_S),
    Kind.CANCEL: KindRule(TrafficClass.MESSAGE, True, 9 * _DAY_S),
    Kind.SHEETS: KindRule(TrafficClass.BULK, True, 30 * _DAY_S),
    Kind.UPLINK: KindRule(TrafficClass.STATE, True, 600),
    Kind.READ: KindRule(TrafficClass.MESSAGE, True, 9 * _DAY_S),
    Kind.COVERAGE: KindRule(TrafficClass.BULK, False, 9 * _DAY_S),
}
"""Which class each kind belongs to, and whether the newest alone counts."""

CLASS_RULES: Final[dict[TrafficClass, ClassRule]] = {
    TrafficClass.AUTHORITY: ClassRule(LIFETIME_S_MAX, 100, -1),
    TrafficClass.SOS: ClassRule(7 * _DAY_S, 100, -1),
    TrafficClass.MESSAGE: ClassRule(LIFETIME_S_MAX, 95, 2),
    TrafficClass.STATE: ClassRule(7 * _DAY_S, 30, 1),
    TrafficClass.BULK: ClassRule(30 * _DAY_S, 80, 0),
}
"""5 % of the store is kept for authority documents and SOS (security 2.13)."""

assert set(KINDS) == set(Kind)
assert set(CLASS_RULES) == set(TrafficClass)
assert all(rule.lifetime_s <= LIFETIME_S_MAX for rule in KINDS.values())
