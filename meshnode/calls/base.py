"""What the calls about everything share: the node, and what people call devices and scopes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from meshnode.lines import Json
from meshnode.locking import Guard
from meshnode.node import Node
from meshnode.stick import StickError
from meshnode.store import keyring
from protocol.bundle import Scope
from protocol.envelope import PrekeyRecord
from protocol.identity import Role
from protocol.ids import NodeId, print_node_id

__all__ = ["Calls", "Json"]


class Calls:
    """An open node that is asked in plain values."""

    def __init__(self, node: Node, guard: Guard | None = None) -> None:
        self._node = node
        self._guard = guard

    @property
    def own_role(self) -> Role | None:
        """What the rosters call this device; None where none names it."""
        own = self._node.membership.directory.member(self._node.identity.node)
        return None if own is None else own.role

    def _who(self, node: NodeId) -> Json:
        """Return name and id of a device."""
        name = self._node.membership.directory.name_of(node)
        return {"name": name, "node": print_node_id(node)}

    def _describe(self, scope: bytes) -> str:
        """Return what people call a scope."""
        return self._node.membership.directory.describe(Scope.decode_untrusted(scope))

    async def _readers_of(self, to: Sequence[str]) -> Mapping[NodeId, PrekeyRecord]:
        """Return who of the devices named can be sealed for. Raises: StickError if nobody."""
        directory, own = self._node.membership.directory, self._node.identity
        nodes: set[NodeId] = set()
        for words in to:
            nodes |= directory.recipients(directory.find(words, own.zone), own.node)
        now_ms = self._node.runtime.now_ms()
        known = await self._node.store.read(lambda conn: keyring.peer_prekeys(conn, nodes, now_ms))
        if not known:
            raise StickError(f"no key of {', '.join(to)} is known here yet: meet them once first")
        return known
