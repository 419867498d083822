"""Every bound of the protocol: sizes, counts, times, and the table of traffic classes.

Each constant has its unit in its name and its reason beside it; relations between constants are
asserted at the end. Nothing here is negotiable on the wire. Source: STYLE 15, wire-format 8.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

__all__ = [
    "ACK_REFUSALS_MAX",
    "BADGE_LIFE_MS",
    "BODY_BYTES_MAX",
    "BUNDLE_BYTES_MAX",
    "CANONICAL_DEPTH_MAX",
    "CANONICAL_ITEMS_MAX",
    "CERTIFICATES_PER_CHAIN_MAX",
    "CERTIFICATE_BYTES_MAX",
    "CERTIFICATE_EARLY_MS",
    "CHAIN_LIFE_MS",
    "CHAIN_MESSAGES_MAX",
    "CLASS_RULES",
    "CLOCK_DRIFT_MS_MAX",
    "CLOCK_HOLD_MS_MAX",
    "COPIES_PER_BUNDLE_MAX",
    "DOCUMENT_BYTES_MAX",
    "DOCUMENT_VERSION_JUMP_MAX",
    "EVICTION_ROWS_MAX",
    "EVIDENCE_MAX",
    "FRAME_BYTES_MAX",
    "HEADER_BYTES_MAX",
    "HOPS_MAX",
    "IDS_PER_FRAME_MAX",
    "IDS_PER_LIST_MAX",
    "INTERESTS_MAX",
    "KINDS",
    "LIFETIME_S_MAX",
    "MEMBERS_MAX",
    "NAME_BYTES_MAX",
    "PREKEY_END_MS",
    "PREKEY_ERASE_MS",
    "PREKEY_RENEW_MS",
    "RECEIVED_KEEP_MS",
    "REGIONAL_LIFE_MS",
    "ROOT_LIFE_MS",
    "SESSION_HELLO_MS_MAX",
    "SESSION_IDLE_MS_MAX",
    "SESSION_PING_MS",
    "SESSION_STEP_MS_MAX",
    "SKETCH_SYMBOLS",
    "SQUADS_PER_BADGE_MAX",
    "STORE_BYTES_DEFAULT",
    "STORE_INTERESTS_MAX",
    "STORE_READERS_MAX",
    "STORE_RESERVE_PCT",
    "STORE_ROW_BYTES",
    "TEXT_BYTES_MAX",
    "TOMBSTONES_MAX",
    "TOMBSTONE_KEEP_MS",
    "UNOPENED_MAX",
    "WRITES_PER_COMMIT_MAX",
    "ClassRule",
    "Kind",
    "KindRule",
    "TrafficClass",
]

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
_DAY_S: Final = 86_400

# --- records -----------------------------------------------------------------------------------
FRAME_BYTES_MAX: Final = 65_535
"""Payload of one session frame; its length field has 16 bits, and one frame at 1 MB/s is 65 ms."""
BUNDLE_BYTES_MAX: Final = 65_000
"""A whole bundle container; fits one frame, so a bundle is never fragmented by a session."""
HEADER_BYTES_MAX: Final = 160
"""An encoded bundle header; the largest legal one has 113 bytes."""
BODY_BYTES_MAX: Final = 64_700
"""Sealed body of a bundle."""
TEXT_BYTES_MAX: Final = 16_384
"""UTF-8 bytes of one text message: several pages, far below a bundle."""
NAME_BYTES_MAX: Final = 64
"""UTF-8 bytes of a display name (device, squad, network)."""
CANONICAL_DEPTH_MAX: Final = 6
"""Nesting of arrays in any record; the deepest real one has five."""
CANONICAL_ITEMS_MAX: Final = 16_384
"""Items of one array; checked by the decoder before it allocates."""
CERTIFICATE_BYTES_MAX: Final = 4_096
"""One DER certificate or request; ours have 300-700 bytes."""
CERTIFICATES_PER_CHAIN_MAX: Final = 4
"""Certificates shown in one chain: badge, unit authority, regional authority, and one spare."""
DOCUMENT_BYTES_MAX: Final = 60_000
"""One signed authority document; a squad roster of 500 members fits."""
DOCUMENT_VERSION_JUMP_MAX: Final = 10_000
"""A version may rise by this much at once: a stolen key cannot lock the fleet out with 2**63."""
MEMBERS_MAX: Final = 500
"""Members of one unit (squad or gateway group)."""
SQUADS_PER_BADGE_MAX: Final = 8
"""Home squads of one device."""
HOPS_MAX: Final = 32
"""Hand-overs of one copy; a guard against loops, not a routing tool."""

# --- session -----------------------------------------------------------------------------------
IDS_PER_FRAME_MAX: Final = 4_096
"""Short ids in one WANT, OFFER or LIST frame: 32 kB."""
IDS_PER_LIST_MAX: Final = 2_000_000
"""Short ids of one interest listed in full: twice the largest store designed for."""
INTERESTS_MAX: Final = 64
"""Interests (zone and class) that one session reconciles: five classes of a dozen zones."""
SKETCH_SYMBOLS: Final = 4_096
"""Coded symbols cached per interest (about 64 kB); decodes 2,700 differences without a pass."""
ACK_REFUSALS_MAX: Final = 4_096
"""Refusals named in one ACK."""
SESSION_HELLO_MS_MAX: Final = 5_000
"""From link-up to the peer's HELLO admitted."""
SESSION_STEP_MS_MAX: Final = 30_000
"""Longest silence while an answer is owed (documents, symbols, lists, acknowledgements)."""
SESSION_PING_MS: Final = 20_000
"""Silence after which a live session asks whether the peer is still there."""
SESSION_IDLE_MS_MAX: Final = 50_000
"""Silence after which a live session is given up: two lost pings."""

# --- store -------------------------------------------------------------------------------------
STORE_BYTES_DEFAULT: Final = 2_000_000_000
"""Bytes of bundles that a store may hold when nothing else is configured: 2 GB."""
STORE_RESERVE_PCT: Final = 5
"""Share of the store that only authority documents and SOS may use (security 2.13), %."""
STORE_ROW_BYTES: Final = 256
"""What one bundle costs beside its container: columns and index entries."""
STORE_INTERESTS_MAX: Final = 256
"""Interests a store keeps; each has a sketch of 80 kB."""
STORE_READERS_MAX: Final = 4
"""Threads that read at the same time."""
WRITES_PER_COMMIT_MAX: Final = 256
"""Waiting writes that share one commit; keeps the wait for the disk below a second."""
EVICTION_ROWS_MAX: Final = 10_000
"""Bundles evicted to make room for one batch; beyond, the batch is refused."""
TOMBSTONE_KEEP_MS: Final = _DAY_MS
"""A dropped bundle is remembered this long after its expiry (security 2.12)."""
TOMBSTONES_MAX: Final = 500_000
"""Dropped bundles remembered, about 20 MB; beyond, those that end soonest are forgotten."""
EVIDENCE_MAX: Final = 1_000
"""Proofs of equivocation kept; the first ones stay."""
COPIES_PER_BUNDLE_MAX: Final = 64
"""Carriers remembered of one bundle."""
UNOPENED_MAX: Final = 20_000
"""Bundles for this node that wait for a key."""
RECEIVED_KEEP_MS: Final = 120 * _DAY_MS
"""Digest of an opened bundle is kept this long: longer than any lifetime, so that no receipt
page shrinks while its author may still read it."""

# --- time --------------------------------------------------------------------------------------
CLOCK_DRIFT_MS_MAX: Final = 600_000
"""A stamp up to 10 min ahead is accepted as it is (security 2.12)."""
CLOCK_HOLD_MS_MAX: Final = _DAY_MS
"""A stamp up to 24 h ahead is held until due; beyond, refused."""
LIFETIME_S_MAX: Final = 90 * _DAY_S
"""Longest lifetime of any bundle."""

# --- keys --------------------------------------------------------------------------------------
CHAIN_MESSAGES_MAX: Final = 2_048
"""Messages of one chain; 12 h of positions every 30 s are 1,440."""
CHAIN_LIFE_MS: Final = 12 * _HOUR_MS
"""A chain is not used for new messages after this time: one shift."""
PREKEY_RENEW_MS: Final = _DAY_MS
"""A node makes a new prekey this long after the last."""
PREKEY_END_MS: Final = 9 * _DAY_MS
"""A prekey may be used by senders until this long after its issue."""
PREKEY_ERASE_MS: Final = 10 * _DAY_MS
"""The private part is erased this long after issue."""

# --- certificates ------------------------------------------------------------------------------
BADGE_LIFE_MS: Final = 90 * _DAY_MS
"""A badge and a link certificate are valid this long: what a stolen device gains at most."""
REGIONAL_LIFE_MS: Final = 730 * _DAY_MS
"""A regional authority is valid for two years."""
ROOT_LIFE_MS: Final = 3_652 * _DAY_MS
"""A root is valid for ten years."""
CERTIFICATE_EARLY_MS: Final = _DAY_MS
"""A certificate is valid from this long before its issue: a device whose clock runs a day slow
can use it at once."""


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
    Kind.STATE: KindRule(TrafficClass.STATE, True, _DAY_S),
    Kind.POSITION: KindRule(TrafficClass.STATE, True, _DAY_S // 2),
    Kind.CHUNK: KindRule(TrafficClass.BULK, False, 7 * _DAY_S),
    Kind.TRACK: KindRule(TrafficClass.BULK, False, 3 * _DAY_S),
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

assert BUNDLE_BYTES_MAX < FRAME_BYTES_MAX
assert HEADER_BYTES_MAX + BODY_BYTES_MAX + 64 + 12 <= BUNDLE_BYTES_MAX
assert IDS_PER_FRAME_MAX * 8 + 64 < FRAME_BYTES_MAX
assert SESSION_PING_MS * 2 < SESSION_IDLE_MS_MAX
assert PREKEY_RENEW_MS < PREKEY_END_MS < PREKEY_ERASE_MS
assert set(KINDS) == set(Kind)
assert set(CLASS_RULES) == set(TrafficClass)
assert all(rule.lifetime_s <= LIFETIME_S_MAX for rule in KINDS.values())
