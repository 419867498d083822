"""Obeys a wipe order: proves first, then destroys, locked or not, and says so to no one but peers.

Whoever has the device in hand may wipe it without an order (`Wiping.wipe`): then there is no proof.

| step | level AGENT | level ALL | durable by |
| --- | --- | --- | --- |
| 1 prove | proof in the store, in force | proof in the remnant's record | transaction; rename |
| 2 agent | desk stopped, agent's key destroyed | the same | `keys/wiped` |
| 3 rest | rows of the agent erased | device's key destroyed | transaction; `keys/wiped` |
| 4 files | none | store closed, all files but the remnant erased | state BEGUN, REMNANT |
| 5 tell | the proof travels like any document | the remnant delivers it (`meshnode.proving`) | |
| 6 end | none | the remnant is erased | state OVER |

Until step 1 is durable nothing is destroyed, and the order, which is in the store, is found again
at the next start. From then on every start goes on before it does anything else. A proof that
cannot be made or kept stops nothing: the keys matter more than the word about them.
Source: security 2.9, wire-format 7.9, 7.11.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trio

from meshnode.enrol import LinkSecret, chain_pem
from meshnode.erasing import destroy_agent, destroy_device, is_agent_destroyed
from meshnode.errors import KeystoreError
from meshnode.links.level import Level
from meshnode.locking import AgentKeys
from meshnode.node import Node
from meshnode.remnant import Remnant, RemnantFiles
from meshnode.store import keyring
from meshnode.store.erasure import erase_agent_rows
from meshnode.store.keyring import KeyPurpose
from meshnode.trust import WipeOrder
from protocol.authority import DocumentClass, SignedDocument, build, document_signer
from protocol.errors import MeshError
from protocol.guards import REMNANT_ORDERS_MAX, REMNANT_PLACES_MAX
from protocol.identity import link_dates_untrusted, read_badge_untrusted
from protocol.ids import NodeId
from protocol.orders import WipeLevel
from protocol.witnessed import ErasureBody

__all__ = ["Ways", "WipeParts", "Wiping"]

_PASSWORD_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Ways:
    """How a wiped device may reach others; kept with its proof."""

    listen: tuple[str, ...] = ()
    """Where it listens."""
    places: tuple[str, ...] = ()
    """Where others listen."""
    has_multicast: bool = False
    """It looks for others by multicast."""
    has_probe: bool = False
    """It looks for others one by one."""


@dataclass(frozen=True, slots=True)
class WipeParts:
    """What a wipe needs of the home that it is about."""

    home: Path
    """The folder."""
    node: Node
    """Open."""
    link_chain: tuple[bytes, ...]
    """DER, link certificate first."""
    link: LinkSecret
    """The link key, which signs the proof: a locked device has it."""
    ways: Ways
    """As configured."""
    keys: AgentKeys = field(repr=False)
    """What the agent's secret opens; never again after a wipe."""
    on_wiped: Callable[[], None] = lambda: None
    """Told once the keys are gone: whoever held them in memory had better end."""


class Wiping:
    """Watches for orders about this device, and carries them out."""

    def __init__(self, parts: WipeParts) -> None:
        self._parts = parts
        self._node = parts.node
        self._runtime = parts.node.runtime
        self._is_begun = False
        self._asked: WipeLevel | None = None
        self._was_asked = False
        self._turn = trio.Lock()
        self._obeyed: set[bytes] = set()
        self.is_gone = False
        """Every key of the device is destroyed: the store is to be closed, its files erased."""
        self.wake = Level()
        """Set when an order may have come."""
        parts.node.membership.on_change.append(self._on_documents)

    def _on_documents(self, _raws: Sequence[bytes], _source: NodeId | None) -> None:
        if self.pending:
            self.wake.set()

    # --- what is due ------------------------------------------------------------------------

    @property
    def pending(self) -> tuple[WipeOrder, ...]:
        """Orders about this device that it has given no proof for."""
        node, trust = self._node.identity.node, self._node.membership.trust
        proven = trust.erasures()
        return tuple(
            order
            for order in self._node.membership.wipe_orders_for(node)
            if (order.order_id, node) not in proven and order.order_id not in self._obeyed
        )

    @property
    def is_due(self) -> bool:
        """True if an order is to be obeyed, or what was begun is to be finished."""
        return bool(self.pending) or self._is_begun

    async def look(self) -> None:
        """At the start of a process: obey what is in force, and finish what was begun.

        Raises: StoreError, OSError.
        """
        if is_agent_destroyed(self._parts.home, self._runtime):
            self._is_begun = self._node.is_wiped = True
        # A proof that is held may be all that was done before the power failed.
        has_orders = bool(self._node.membership.wipe_orders_for(self._node.identity.node))
        self._is_begun = self._is_begun or has_orders
        if self.is_due:
            await self.obey()

    async def run(self) -> None:
        """Obey orders as they come, until one leaves nothing. Raises: StoreError, OSError."""
        while not self.is_gone:
            await self.wake.wait()
            # Whoever starts this room again after a failure goes on.
            self.wake.set()
            was_asked, self._was_asked = self._was_asked, False
            if self.is_due:
                await self.obey()
                was_asked = True
            if was_asked and not self.is_gone:
                self._parts.on_wiped()
            await self.wake.wait()

    async def wipe(self, level: WipeLevel) -> None:
        """Destroy keys because whoever holds the device says so; no order, so nothing proves it.

        On return the keys are gone. A power cut before that may leave it undone: it is not
        written down anywhere. Raises: StoreError, OSError; then it may be asked again.
        """
        is_repeated = level is WipeLevel.AGENT and is_agent_destroyed(
            self._parts.home, self._runtime
        )
        # What is gone is not carried out again; what failed half-way is still the same wipe.
        if self._asked is not None or not is_repeated:
            self._asked = max(level, self._asked or level)
        self._is_begun = True
        await self.obey()
        self._was_asked = True
        self.wake.set()

    async def obey(self) -> None:
        """Carry out every order about this device; on return it is done, but for the files.

        Safe to call again after any failure. Raises: StoreError, OSError.
        """
        with trio.CancelScope(shield=True):
            async with self._turn:
                if self.is_due:
                    await self._obey()

    async def _obey(self) -> None:
        orders, self._is_begun = self.pending[:REMNANT_ORDERS_MAX], True
        levels = {order.body.level for order in orders} | {self._asked}
        is_all = WipeLevel.ALL in levels
        for order in orders:
            self._trace("wipe_ordered", order=order.order_id.hex(), level=order.body.level)
        await self._prove(orders, is_all=is_all)
        try:
            await self._stop_agent()
        except OSError as error:
            self._trace("wipe_failed", step="agent", reason=type(error).__name__)
            if not is_all:
                raise
            # The next step does it again, and the device's own key must not wait for it.
        if is_all:
            await self._runtime.run_blocking(destroy_device, self._parts.home, self._runtime)
            self._trace("wipe_step", step="device")
            self.is_gone = True
        else:
            await self._erase_rows()
        self._obeyed |= {order.order_id for order in orders}
        executed = len(orders) + (self._asked is not None)
        if executed:
            self._node.metrics.count("wipes_executed", executed)
        self._is_begun, self._asked = False, None

    # --- the proof --------------------------------------------------------------------------

    async def _prove(self, orders: Sequence[WipeOrder], *, is_all: bool) -> None:
        """Make the proofs durable, where they outlive what they are about."""
        if not orders:
            return
        level = WipeLevel.ALL if is_all else WipeLevel.AGENT
        try:
            proofs = await self._runtime.run_blocking(self._make_proofs, orders, level)
            if is_all:
                await self._keep_remnant(orders, proofs)
            elif await self._node.membership.accept([each.raw for each in proofs]) < len(proofs):
                raise KeystoreError("the proof was refused here")
        except (OSError, MeshError) as error:
            self._node.metrics.count("wipes_unproven")
            self._trace("wipe_unproven", reason=type(error).__name__)
            return
        self._trace("wipe_step", step="proof")

    def _make_proofs(self, orders: Sequence[WipeOrder], level: WipeLevel) -> list[SignedDocument]:
        """Return a signed proof for each order. Raises: KeystoreError and errors of the chains."""
        parts, identity = self._parts, self._node.identity
        key, binding = parts.link.open(), self._binding()
        at_ms = self._proof_ms()
        proofs = []
        for order in orders:
            body = ErasureBody(
                order.order_id,
                identity.node,
                level,
                identity.badge_chain,
                parts.link_chain,
                binding,
            )
            epoch = self._node.membership.root.epoch
            proofs.append(
                build(
                    DocumentClass.ERASURE,
                    body.scope,
                    (epoch, 1),
                    at_ms,
                    body.encode(),
                    [document_signer(key)],
                )
            )
        return proofs

    def _binding(self) -> bytes:
        found = self._node.bindings.get(self._parts.link_chain[0])
        if found is None:
            raise KeystoreError("this link certificate was never used: nothing vouches for it")
        return found

    def _proof_ms(self) -> int:
        """Return the time of a proof: now, as far as the certificates that it shows allow.

        A proof is about an order, not about a time; one whose badge ended yesterday counts too.
        """
        node = self._node
        badge = read_badge_untrusted(node.identity.badge_chain, node.membership.root.anchors)
        link_from_ms, link_to_ms = link_dates_untrusted(self._parts.link_chain[0])
        now_ms = max(self._runtime.now_ms(), node.membership.time_floor_ms)
        first_ms = max(badge.not_before_ms, link_from_ms)
        return max(first_ms, min(now_ms, badge.not_after_ms, link_to_ms))

    async def _keep_remnant(
        self, orders: Sequence[WipeOrder], proofs: Sequence[SignedDocument]
    ) -> None:
        """Write the remnant down: from here on the wipe goes on, whatever happens."""
        parts, node = self._parts, self._node
        keys = [(int(DocumentClass.ROOT), b"")]
        keys += [(int(DocumentClass.WIPE), order.order_id) for order in orders]
        # Those that hold, not their rows: a damaged row must not cost the proof.
        held = node.membership.trust.held
        documents = [held[key].raw for key in keys if key in held]
        knock_keys = await node.store.read(
            lambda conn: keyring.network_keys(conn, KeyPurpose.KNOCK)
        )
        remnant = Remnant(
            node=node.identity.node,
            documents=(*documents, *(each.raw for each in proofs)),
            badge_chain=node.identity.badge_chain,
            link_chain=parts.link_chain,
            binding=self._binding(),
            password=self._runtime.entropy(_PASSWORD_BYTES).hex().encode(),
            knock_keys=tuple(sorted(knock_keys.items())),
            listen=self._listen(),
            places=await self._places(),
            has_multicast=parts.ways.has_multicast,
            has_probe=parts.ways.has_probe,
        )
        key = await self._runtime.run_blocking(parts.link.rewrapped, remnant.password)
        chain = chain_pem(parts.link_chain)
        await self._runtime.run_blocking(RemnantFiles(parts.home).write, remnant, key, chain)

    def _listen(self) -> tuple[str, ...]:
        """Return where the device listens: at the very ports that others know by now."""
        open_now = tuple(str(each) for each in self._node.manager.listening)
        return (open_now or self._parts.ways.listen)[:REMNANT_PLACES_MAX]

    async def _places(self) -> tuple[str, ...]:
        await self._node.contact_log.flush()
        met = await self._node.contact_log.addresses(REMNANT_PLACES_MAX)
        known = [*self._parts.ways.places, *(str(each) for each in met)]
        return tuple(dict.fromkeys(known))[:REMNANT_PLACES_MAX]

    # --- destruction ------------------------------------------------------------------------

    async def _stop_agent(self) -> None:
        """Shut the desk for ever and destroy what could open it again."""
        self._node.is_wiped = True
        await self._node.lock()
        try:
            await self._runtime.run_blocking(destroy_agent, self._parts.home, self._runtime)
        finally:
            # Last: somebody may have been unlocking, and have come through just now.
            self._parts.keys.lock()
        self._trace("wipe_step", step="agent")

    async def _erase_rows(self) -> None:
        if await self._node.store.write(erase_agent_rows):
            # What was deleted still lies in the log until it is emptied.
            await self._node.store.compact()
        self._trace("wipe_step", step="rows")

    def _trace(self, event: str, **fields: object) -> None:
        self._runtime.trace(event, **fields)
