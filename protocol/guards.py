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
    "EPOCH_MS",
    "KNOCKS_KEPT_MAX",
    "KNOCK_EPOCHS_OLD",
    "KNOCK_KEYS_MAX",
    "KNOCK_MS_MAX",
    "LEASE_BOX_MS",
    "LEASE_MS",
    "REVOCATIONS_MAX",
    "SHIFT_MS_MAX",
    "UNIT_LIFE_MS",
    "WIPE_CARRY_MS",
    "WIPE_DEVICES_MAX",
]

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS

# --- knocks ------------------------------------------------------------------------------------
EPOCH_MS: Final = 7 * _DAY_MS
"""Knock keys are renewed weekly: a leaked one shows presence for no longer than they are kept."""
KNOCK_EPOCHS_OLD: Final = 3
"""Weeks before the present one whose key still opens: a node away for three weeks can return."""
KNOCK_KEYS_MAX: Final = 4
"""Keys of one week that are tried: one per centre that made some while they were out of touch."""
KNOCK_MS_MAX: Final = 2_000
"""From the connection to the last byte of its knock: one round trip and a slow radio."""
KNOCKS_KEPT_MAX: Final = 131_072
"""Knocks remembered against replay, 16 bytes each: 13 a minute through a whole week."""

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

assert KNOCK_EPOCHS_OLD * EPOCH_MS < LEASE_BOX_MS
assert LEASE_MS < LEASE_BOX_MS < WIPE_CARRY_MS
assert BEACON_AMBER_MS < LEASE_MS
