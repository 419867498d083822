"""What a squad asks before it leaves, in plain values; `Api` has it beside its own calls."""

from __future__ import annotations

from meshnode.calls.base import Calls, Json
from meshnode.store import keyring, network_keys
from meshnode.store.engine import Connection
from protocol.bundle import Scope
from protocol.guards import NETWORK_EPOCH_MS
from protocol.ids import NodeId
from protocol.network_keys import KeyPurpose, epoch_at

__all__ = ["ReadinessCalls"]


class ReadinessCalls(Calls):
    """What people may ask before they lose the network."""

    async def readiness(self) -> Json:
        """Return what this device has of its squads, of their keys and of those of an SOS.

        Raises: LockedError, StoreError.
        """
        self._node.require_desk()
        directory, own = self._node.membership.directory, self._node.identity.node
        now_ms = self._node.runtime.now_ms()
        member = directory.member(own)
        scopes = (
            []
            if member is None
            else [Scope.for_squad(member.zone, squad) for squad in member.squads]
        )
        mates = {scope: directory.recipients(scope, own) - {own} for scope in scopes}
        everybody = frozenset[NodeId]().union(*mates.values())

        def read(conn: Connection) -> tuple[set[NodeId], set[int]]:
            keys = network_keys.held(conn, KeyPurpose.ZONE_SOS)
            return set(keyring.peer_prekeys(conn, everybody, now_ms)), {key.epoch for key in keys}

        known, epochs = await self._node.store.read(read)
        return {
            "is_member": member is not None,
            "is_revoked": own in directory.revoked,
            "squads": [
                {"to": directory.describe(scope), "mates": len(mates[scope])} for scope in scopes
            ],
            "without_key": [self._who(node) for node in sorted(everybody - known)],
            "has_sos_key": bool(epochs),
            "sos_until_ms": _covered_until_ms(epochs, now_ms),
        }


def _covered_until_ms(epochs: set[int], now_ms: int) -> int:
    """Return the end of the last week from now on without a gap, Unix milliseconds; 0 for none."""
    epoch = epoch_at(now_ms)
    if epoch not in epochs:
        return 0
    while epoch in epochs:
        epoch += 1
    return epoch * NETWORK_EPOCH_MS
