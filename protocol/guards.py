"""Bounds of the security rules: knocks, standing, documents, quotas, keys at rest, shifts, audit.

Each constant has its unit in its name and its reason beside it, as in `protocol.limits`; nothing
here is negotiable on the wire. Source: security 2.1-2.14.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "BEACON_AMBER_MS",
    "BEACON_JUMP_MS_MAX",
    "CONTROL_GRACE_MS",
    "KNOCK_OLD_EPOCHS_MAX",
    "LEASE_BOX_MS",
    "LEASE_MS",
    "NETWORK_EPOCH_MS",
    "NETWORK_KEYS_LEAD_MS",
    "NETWORK_KEYS_PER_EPOCH_MAX",
    "NETWORK_KEYS_RANK_MS",
    "POSITION_KEEP_MS",
    "REVOCATIONS_MAX",
    "SHIFT_MS_MAX",
    "SOS_OLD_EPOCHS_MAX",
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
POSITION_KEEP_MS: Final = 60 * _DAY_MS
"""The centre keeps positions this long: two months is the usual limit for places of work."""

# --- keys that many share ----------------------------------------------------------------------
NETWORK_EPOCH_MS: Final = 7 * _DAY_MS
"""Knock and SOS keys are for one week: a key that leaked tells nothing for longer."""
NETWORK_KEYS_LEAD_MS: Final = 2 * _DAY_MS
"""The keys of a week are made so long before it, to reach devices that are met rarely."""
NETWORK_KEYS_RANK_MS: Final = _DAY_MS
"""Each further operator of a zone waits so much longer: mostly one alone makes the keys."""
NETWORK_KEYS_PER_EPOCH_MAX: Final = 4
"""Keys of one purpose and week that are kept: as many operators may have missed each other."""
KNOCK_OLD_EPOCHS_MAX: Final = 3
"""Knock keys of so many past weeks are accepted: a device may be away for a month."""
SOS_OLD_EPOCHS_MAX: Final = 1
"""SOS keys of so many past weeks are kept: an SOS lives for three days."""

assert LEASE_MS < LEASE_BOX_MS < WIPE_CARRY_MS
assert BEACON_AMBER_MS < LEASE_MS
assert NETWORK_KEYS_LEAD_MS + NETWORK_KEYS_RANK_MS < NETWORK_EPOCH_MS
