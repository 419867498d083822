"""Bounds of the security rules: knocks, standing, documents, quotas, keys at rest, shifts, audit.

Each constant has its unit in its name and its reason beside it, as in `protocol.limits`; nothing
here is negotiable on the wire. Source: security 2.1-2.14.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "AUDIT_EXPORT_ROWS_MAX",
    "AUDIT_FLUSH_MS",
    "AUDIT_HEAD_MS",
    "AUDIT_NODES_MAX",
    "AUDIT_ROWS_MAX",
    "AUDIT_STEP_MS",
    "BEACON_AMBER_MS",
    "BEACON_JUMP_MS_MAX",
    "CLOCK_AGREE_MS",
    "CLOCK_JUMP_MS_MAX",
    "CLOCK_LAG_MS_MAX",
    "CLOCK_MARKS_MAX",
    "CLOCK_MARK_MS",
    "CONTROL_GRACE_MS",
    "LEASE_BOX_MS",
    "LEASE_MS",
    "QUOTA_AHEAD_MAX",
    "QUOTA_CENTRE_FACTOR",
    "QUOTA_CENTRE_SHARE_BYTES",
    "QUOTA_HOURS_KEPT",
    "QUOTA_HOUR_BUNDLES",
    "QUOTA_HOUR_BYTES",
    "QUOTA_HOUR_POSITIONS",
    "QUOTA_HOUR_SOS",
    "QUOTA_HOUR_STATES",
    "QUOTA_HOUR_TEXTS",
    "QUOTA_SHARE_BYTES",
    "QUOTA_SOS_BYTES",
    "REVOCATIONS_MAX",
    "SHIFT_MS_MAX",
    "STRANGERS_BYTES_MAX",
    "STRANGERS_LINKS_MAX",
    "STRANGERS_PER_LINK_MAX",
    "UNIT_LIFE_MS",
    "WIPE_CARRY_MS",
    "WIPE_DEVICES_MAX",
]

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS

# --- standing ----------------------------------------------------------------------------------
CONTROL_GRACE_MS: Final = 14 * _DAY_MS
"""A badge that ended so long ago still gets authority documents, and nothing else."""
LEASE_MS: Final = 7 * _DAY_MS
"""Without a new beacon the agent's keys lock after this time; on boats `LEASE_BOX_MS`."""
LEASE_BOX_MS: Final = 30 * _DAY_MS
"""The same for boxes and servers, which may be at sea for weeks."""
BEACON_AMBER_MS: Final = _DAY_MS
"""A beacon older than this is shown in amber: what the centre decided since is not known here."""
BEACON_JUMP_MS_MAX: Final = 48 * _HOUR_MS
"""Beyond this lead over the local clock a time needs a second signer: one key ages no fleet."""

# --- authority documents -----------------------------------------------------------------------
REVOCATIONS_MAX: Final = 1_000
"""Entries of one signer's list: twenty times what a fleet of 18,000 loses in 104 days."""
WIPE_DEVICES_MAX: Final = 10
"""Devices of one wipe order: nobody erases a fleet with one document."""
WIPE_CARRY_MS: Final = 90 * _DAY_MS
"""A wipe order and its proofs are carried this long: as long as a badge lives."""
UNIT_LIFE_MS: Final = 30 * _DAY_MS
"""A unit authority, which a leader holds in the field, is valid this long."""

# --- shifts ------------------------------------------------------------------------------------
SHIFT_MS_MAX: Final = 12 * _HOUR_MS
"""A shift ends at the latest after this time, closed or not."""

# --- quotas ------------------------------------------------------------------------------------
QUOTA_HOUR_BUNDLES: Final = 400
"""Bundles of one author stamped within one hour, SOS apart: the three kinds below together."""
QUOTA_HOUR_POSITIONS: Final = 150
"""Positions among them: one every 30 s are 120."""
QUOTA_HOUR_STATES: Final = 150
"""States, receipts, chain keys, prekeys, key requests and the like among them."""
QUOTA_HOUR_TEXTS: Final = 100
"""Texts and notes among them: nobody types more than one in 36 s for an hour."""
QUOTA_HOUR_BYTES: Final = 1_048_576
"""Containers of one author stamped within one hour, SOS apart; bulk is bounded by this alone."""
QUOTA_HOUR_SOS: Final = 6
"""SOS of one author stamped within one hour; they are charged to nothing else."""
QUOTA_SHARE_BYTES: Final = 10_485_760
"""Of one author, SOS apart, a store holds at most so much, and takes in no more in one hour.

Stamps can be set back as far as a lifetime, so this and not the hour bounds a liar in all.
"""
QUOTA_SOS_BYTES: Final = 262_144
"""SOS of one author that a store holds: 16 of the longest, 500 usual ones; none is evicted."""
QUOTA_CENTRE_FACTOR: Final = 40
"""Gateways and operators write so many times as much: two receipts an hour for 3,000 devices."""
QUOTA_CENTRE_SHARE_BYTES: Final = 104_857_600
"""Of one gateway or operator a store holds at most so much: a twentieth of the default store."""
QUOTA_HOURS_KEPT: Final = 48
"""Hours of stamps that are counted; what is older is bounded by the share alone."""
QUOTA_AHEAD_MAX: Final = 256
"""Bundles of one author dated more than 10 min ahead that are held until they are due."""
STRANGERS_PER_LINK_MAX: Final = 64
"""Bundles of unknown authors that one link may leave here until a roster tells who they are."""
STRANGERS_BYTES_MAX: Final = 524_288
"""Containers of such bundles of one link: what one batch may have."""
STRANGERS_LINKS_MAX: Final = 64
"""Links that are remembered so: as many as there are sessions; 32 MB in all."""

# --- clocks ------------------------------------------------------------------------------------
CLOCK_JUMP_MS_MAX: Final = 48 * _HOUR_MS
"""A local clock that leads its own uptime by more than this is doubted: nothing is destroyed."""
CLOCK_AGREE_MS: Final = _DAY_MS
"""After this much uptime without another jump a doubted clock is believed."""
CLOCK_LAG_MS_MAX: Final = 600_000
"""A wall clock that lost more than this against uptime was set back: residence counts then."""
CLOCK_MARK_MS: Final = _HOUR_MS
"""How exactly the residence of bundles is known: one mark is made in this time of uptime."""
CLOCK_MARKS_MAX: Final = 2_160
"""Marks kept: one per hour of the longest lifetime."""

# --- audit -------------------------------------------------------------------------------------
AUDIT_STEP_MS: Final = 60_000
"""The same event about the same node is one entry, with its count, for this long."""
AUDIT_NODES_MAX: Final = 64
"""Nodes named apart for one event in that time; more are counted together, unnamed."""
AUDIT_FLUSH_MS: Final = 1_000
"""Entries are on the disk after this time at the latest: so much a pulled battery loses."""
AUDIT_ROWS_MAX: Final = 20_000
"""Entries kept, about 3 MB; the hash of the last one that went keeps the chain checkable."""
AUDIT_HEAD_MS: Final = _DAY_MS
"""The head of the log goes to the centre this often, so that a cut log is noticed there."""
AUDIT_EXPORT_ROWS_MAX: Final = AUDIT_ROWS_MAX
"""Entries of an exported log: all that one device keeps."""

assert QUOTA_HOUR_POSITIONS + QUOTA_HOUR_STATES + QUOTA_HOUR_TEXTS == QUOTA_HOUR_BUNDLES
assert QUOTA_HOUR_BYTES < QUOTA_SHARE_BYTES < QUOTA_CENTRE_SHARE_BYTES
assert QUOTA_SOS_BYTES < QUOTA_SHARE_BYTES
assert CLOCK_AGREE_MS < CLOCK_JUMP_MS_MAX
assert LEASE_MS < LEASE_BOX_MS < WIPE_CARRY_MS
assert BEACON_AMBER_MS < LEASE_MS
