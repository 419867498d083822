"""Builds the rooms of a node and opens the one nursery; decides nothing.

`open_node` joins the rooms over an open store, which is all that a single command needs;
`Node.run` adds links and discovery until it is cancelled. Source: architecture section 5.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import trio

from meshnode.audit import Audit
from meshnode.audit_head import AuditHeads
from meshnode.auditing import Auditing
from meshnode.author import Author
from meshnode.chain_keeper import ChainKeeper
from meshnode.clock import TrustedClock
from meshnode.contact_log import ContactLog
from meshnode.discovery.base import Discovery
from meshnode.errors import StoreCorruptError
from meshnode.events import Events
from meshnode.housekeeping import Housekeeping
from meshnode.inbox import Inbox, InboxParts
from meshnode.key_requests import KeyRequests
from meshnode.ledger import Ledger
from meshnode.links.base import Address, Bearer, Link
from meshnode.links.contacts import Hint
from meshnode.links.level import Level
from meshnode.links.manager import LinkManager
from meshnode.links.session_handle import SessionReport
from meshnode.membership import Membership
from meshnode.metrics import Metrics
from meshnode.opening import Opener
from meshnode.outbox import Outbox
from meshnode.prekeys import Prekeys
from meshnode.receipting import Receipting
from meshnode.reception import Examiner, allowance_of
from meshnode.relay import Relay, RelayParts
from meshnode.runtime import Runtime
from meshnode.store import keyring
from meshnode.store.engine import Store
from meshnode.store.keyring import KeyPurpose
from meshnode.supervisor import contain, keep_running
from protocol.envelope import Sealer
from protocol.errors import MeshError
from protocol.identity import binding_message
from protocol.ids import NodeId
from protocol.limits import HINTS_WAITING_MAX
from protocol.quota import AGENT, Allowance
from protocol.routing.base import Router

__all__ = ["Node", "NodeIdentity", "NodeParts", "Surroundings", "open_node"]

_SEAL_AGAIN_S = 1_800.0


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """Who a node is, without its files."""

    node: NodeId
    """16 bytes."""
    zone: int
    """Its own zone, 1-65535."""
    badge_chain: tuple[bytes, ...]
    """DER, badge first; shown in HELLO."""
    sign: Callable[[bytes], bytes] = field(repr=False)
    """Signs with the badge's private key."""


@dataclass(frozen=True, slots=True)
class NodeParts:
    """What a node is built from."""

    identity: NodeIdentity
    """Who it is."""
    store: Store
    """Open, and saved into by an enrolment."""
    runtime: Runtime
    """The seams."""
    sealer: Sealer
    """Public-key sealing; given to the rooms that write and read content, to no relay."""
    router: Router
    """In which order a peer gets what it lacks."""
    bearer: Bearer
    """How links are made."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """How a running node finds others."""

    static: tuple[Address, ...] = ()
    """Dialled again and again."""
    is_serving: bool = True
    """Others may dial this node."""
    discoveries: Callable[[Sequence[Address]], Sequence[Discovery]] = lambda _listening: ()
    """Makes the sources of hints, once it is known where the node listens."""
    watches: tuple[Callable[[], Awaitable[None]], ...] = ()
    """Further tasks that run as long as the node, such as the watch on local addresses."""


class Node:
    """One node: its rooms, joined. Made by `open_node`."""

    def __init__(
        self, parts: NodeParts, membership: Membership, network_key: bytes, clock: TrustedClock
    ) -> None:
        identity, store, runtime = parts.identity, parts.store, parts.runtime
        self.identity = identity
        self.store = store
        self.runtime = runtime
        self.sealer = parts.sealer
        self.bearer = parts.bearer
        self.membership = membership
        self.events = membership.events
        self.metrics = membership.metrics
        self.clock = clock
        self.audit = Audit(store, runtime)
        self.metrics.listeners.append(self.audit.heard)
        self.auditing = Auditing(
            identity.node, store, runtime, membership, self.audit, parts.sealer
        )
        self.contact_log = ContactLog(store, runtime)
        self._is_working = False
        self._bindings: dict[bytes, bytes] = {}
        self._seal_waiting = Level()
        self._rosters_changed = Level()
        author = Author(
            identity.node, identity.sign, runtime, network_key, partial(_allowance, self)
        )
        self.relay = self._make_relay(parts, network_key)
        keeper = ChainKeeper(author, runtime, membership, parts.sealer, self.metrics)
        self.outbox = Outbox(
            author,
            store,
            runtime,
            membership,
            keeper,
            parts.sealer,
            self.relay,
            self.events,
        )
        self.receipting = Receipting(author, store, membership, self.relay, self.metrics, runtime)
        self.inbox = self._make_inbox(parts, author, keeper)
        prekeys = Prekeys(author, store, runtime, parts.sealer, identity.zone)
        self.housekeeping = Housekeeping(
            store,
            runtime,
            (prekeys.renew, AuditHeads(author, store, runtime, identity.zone).renew),
            self.relay,
            self.events,
            self.metrics,
            clock,
            self.audit,
        )
        self.hints_in, self._hints_out = trio.open_memory_channel[Hint](HINTS_WAITING_MAX)
        self.manager = LinkManager(
            identity.node,
            self.relay,
            parts.bearer,
            runtime,
            metrics=self.metrics,
            contained=self._contained,
        )
        membership.on_change.append(self._on_documents)

    def _make_relay(self, parts: NodeParts, network_key: bytes) -> Relay:
        store, runtime = parts.store, parts.runtime
        return Relay(
            RelayParts(
                node=parts.identity.node,
                zone=parts.identity.zone,
                store=store,
                runtime=runtime,
                membership=self.membership,
                examiner=Examiner(store, runtime, self.membership, network_key),
                router=parts.router,
                ledger=Ledger(parts.identity.node, store, runtime, self.events, self.metrics),
                events=self.events,
                metrics=self.metrics,
                local_hello=self._local_hello,
                contact_log=self.contact_log,
                on_unopened=self._wake_inbox,
            )
        )

    def _make_inbox(self, parts: NodeParts, author: Author, keeper: ChainKeeper) -> Inbox:
        store, runtime = parts.store, parts.runtime
        opener = Opener(
            parts.identity.node,
            parts.identity.zone,
            parts.sealer,
            lambda: self.membership.directory,
        )
        return Inbox(
            InboxParts(
                store=store,
                runtime=runtime,
                membership=self.membership,
                opener=opener,
                keeper=keeper,
                requests=KeyRequests(author, store, runtime, self.membership, self.metrics),
                relay=self.relay,
                events=self.events,
                metrics=self.metrics,
                on_prekey=self._seal_waiting.set,
                on_received=self.receipting.wake.set,
            )
        )

    def _wake_inbox(self) -> None:
        self.inbox.wake.set()

    def _on_documents(self, _raws: Sequence[bytes], _source: NodeId | None) -> None:
        self._seal_waiting.set()
        self._rosters_changed.set()

    def _local_hello(self, link: Link) -> tuple[tuple[bytes, ...], bytes]:
        """Return badge chain and binding for a link; a certificate is bound once."""
        certificate = link.local_certificate
        signature = self._bindings.get(certificate)
        if signature is None:
            signature = self.identity.sign(binding_message(certificate))
            self._bindings = {certificate: signature}
        return self.identity.badge_chain, signature

    async def _contained(self, run: Callable[[], Awaitable[SessionReport]]) -> SessionReport | None:
        return await contain("session", run, self.runtime, self.metrics)

    # --- life -------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Do once what a running node does all the time, for a command without one.

        Raises: StoreError.
        """
        if self._is_working:
            return
        await self.relay.requeue_held()
        while await self.inbox.open_some():
            pass
        await self.outbox.seal_waiting()
        while await self.receipting.write_due():
            pass
        await self.contact_log.flush()
        await self.audit.flush()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[trio.Nursery]:
        """Keep every room but the links at work until the block is left.

        Inside a running node, whose rooms work already, nothing is started.
        """
        failure: MeshError | None = None
        async with trio.open_nursery() as nursery:
            rooms = (
                ("inbox", self.inbox.run),
                ("receipting", self.receipting.run),
                ("housekeeping", self.housekeeping.run),
                ("sealing", self._keep_sealing),
                ("rosters", self._keep_requeueing),
                ("contact log", self.contact_log.run),
                ("audit", self.audit.run),
            )
            is_first, self._is_working = not self._is_working, True
            for name, room in rooms if is_first else ():
                nursery.start_soon(keep_running, name, room, self.runtime, self.metrics)
            try:
                yield nursery
            except MeshError as error:
                # Raised behind the nursery, which would hand on a group of one.
                failure = error
            finally:
                self._is_working = not is_first
                nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def run(
        self,
        surroundings: Surroundings,
        *,
        task_status: trio.TaskStatus[tuple[Address, ...]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve, dial, open and keep house until cancelled; says goodbye to peers then.

        Starts with the addresses that are open. Raises: LinkError if none can be opened.
        """
        manager = LinkManager(
            self.identity.node,
            self.relay,
            self.bearer,
            self.runtime,
            static=surroundings.static,
            hints=self._hints_out,
            metrics=self.metrics,
            contained=self._contained,
        )
        self.manager = manager
        async with self.working() as nursery:
            try:
                await nursery.start(partial(_serve, manager, is_serving=surroundings.is_serving))
                self._find_others(nursery, surroundings)
                task_status.started(manager.listening)
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await manager.stop()
                    await self.contact_log.flush()

    def _find_others(self, nursery: trio.Nursery, surroundings: Surroundings) -> None:
        for watch in surroundings.watches:
            nursery.start_soon(keep_running, "watch", watch, self.runtime, self.metrics)
        for discovery in surroundings.discoveries(self.manager.listening):
            room = partial(discovery.run, self.hints_in)
            name = type(discovery).__name__
            nursery.start_soon(keep_running, name, room, self.runtime, self.metrics)

    async def _keep_sealing(self) -> None:
        while True:
            await self.outbox.seal_waiting()
            # Now and then anyway: what this hour's quota held back is due in the next one.
            with trio.move_on_after(_SEAL_AGAIN_S):
                await self._seal_waiting.wait()

    async def _keep_requeueing(self) -> None:
        while True:
            await self.relay.requeue_held()
            await self._rosters_changed.wait()


def _allowance(node: Node) -> Allowance:
    """Return what others take of this node; that of an agent until a roster names it."""
    return allowance_of(node.membership.directory, node.identity.node) or AGENT


async def _serve(
    manager: LinkManager,
    *,
    is_serving: bool,
    task_status: trio.TaskStatus[tuple[Address, ...]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the manager out of reach of cancellation: it ends by `stop`, after its goodbyes."""
    with trio.CancelScope(shield=True):
        await manager.run(is_serving=is_serving, task_status=task_status)


@asynccontextmanager
async def open_node(parts: NodeParts) -> AsyncIterator[Node]:
    """Join the rooms of a node over its open store. Raises: StoreCorruptError, StoreError."""
    keys = await parts.store.read(lambda conn: keyring.network_keys(conn, KeyPurpose.NETWORK))
    if not keys:
        raise StoreCorruptError("the store holds no network key: enrol this device again")
    membership = await Membership.load(parts.store, parts.runtime, Events(), Metrics())
    clock = TrustedClock(parts.runtime, lambda: 0)
    await clock.load(parts.store)
    parts = replace(parts, runtime=clock.runtime)
    node = Node(parts, membership, next(iter(keys.values())), clock)
    await node.relay.load()
    yield node
