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
    "ERASURES_HELD_MAX",
    "LEASE_BOX_MS",
    "LEASE_MS",
    "PASSES_HELD_MAX",
    "PASS_MS_MAX",
    "PQ_KEY_BYTES",
    "PQ_SIGNATURE_BYTES",
    "REVOCATIONS_MAX",
    "SHIFT_MS_MAX",
    "UNIT_LIFE_MS",
    "WIPES_HELD_MAX",
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
PQ_KEY_BYTES: Final = 1_952
"""Raw ML-DSA-65 public key (FIPS 204)."""
PQ_SIGNATURE_BYTES: Final = 3_309
"""ML-DSA-65 signature (FIPS 204)."""
WIPES_HELD_MAX: Final = 100
"""Wipe orders that a node holds: a thousand devices in 90 days, far more than are ever lost."""
ERASURES_HELD_MAX: Final = 1_000
"""Proofs of erasure that a node holds: one for each device of all those orders."""
PASSES_HELD_MAX: Final = 500
"""Passes that a node holds: newcomers of half a day in six zones."""
PASS_MS_MAX: Final = 12 * _HOUR_MS
"""A pass makes a device a member for one shift; after it the roster must name it."""
UNIT_LIFE_MS: Final = 30 * _DAY_MS
"""A unit authority, which a leader holds in the field, is valid this long."""

# --- shifts ------------------------------------------------------------------------------------
SHIFT_MS_MAX: Final = 12 * _HOUR_MS
"""A shift ends at the latest after this time, closed or not."""

assert LEASE_MS < LEASE_BOX_MS < WIPE_CARRY_MS
assert BEACON_AMBER_MS < LEASE_MS
