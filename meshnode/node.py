"""Builds the rooms of a node and opens the one nursery; decides nothing.

The node is the carrier: it relays, keeps house and talks to peers with the keys of the device
alone. All that reads, writes and signs is its `Desk`, which is there only while the agent's keys
are open. `open_node` joins the rooms over an open store, which is all that a single command needs;
`Node.run` adds links and discovery until it is cancelled. Source: architecture section 5,
security 2.1.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import trio

from meshnode.audit import Audit
from meshnode.auditing import Auditing
from meshnode.budgets import Budgets
from meshnode.clock import TrustedClock
from meshnode.contact_log import ContactLog
from meshnode.desk import Carrier, Desk, DeskParts
from meshnode.discovery.base import Discovery
from meshnode.errors import LockedError, StoreCorruptError, StoreError, WipedError
from meshnode.events import Events, LockChanged
from meshnode.housekeeping import Housekeeping
from meshnode.inbox import Inbox
from meshnode.knock_keys import KnockKeyring
from meshnode.ledger import Ledger
from meshnode.links.base import Address, Bearer, Link
from meshnode.links.contacts import Hint
from meshnode.links.level import Level
from meshnode.links.manager import LinkManager
from meshnode.links.session_handle import SessionReport
from meshnode.membership import Membership
from meshnode.metrics import Metrics
from meshnode.network_keys import KeyRenewal
from meshnode.outbox import Outbox
from meshnode.positions import Positions
from meshnode.receipting import Receipting
from meshnode.reception import Examiner
from meshnode.relay import Relay, RelayParts
from meshnode.runtime import Runtime
from meshnode.sensors.base import Sensor
from meshnode.sensors.hub import SensorHub
from meshnode.sensors.readings import BatteryReading
from meshnode.services.alarms import Alarms
from meshnode.services.attachments import Attachments
from meshnode.services.intervals import stretch_of
from meshnode.services.sheet_search import SheetSearch
from meshnode.services.sheets import Sheets
from meshnode.services.unloading import Unloading
from meshnode.services.uplink import Uplink, UplinkParts
from meshnode.shift_ends import ShiftEnds
from meshnode.store import keyring
from meshnode.store.engine import Store
from meshnode.store.keyring import KeyPurpose
from meshnode.supervisor import contain, keep_running
from protocol import authority
from protocol.authority import DocumentClass
from protocol.envelope import Sealer
from protocol.errors import MeshError
from protocol.identity import binding_message
from protocol.ids import NodeId
from protocol.limits import HINTS_WAITING_MAX, SESSIONS_MAX
from protocol.routing.base import Router

__all__ = ["DeskParts", "Node", "NodeIdentity", "NodeParts", "Surroundings", "open_node"]


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """Who a node is, without its files and without a key: a locked device shows all of this."""

    node: NodeId
    """16 bytes."""
    zone: int
    """Its own zone, 1-65535."""
    badge_chain: tuple[bytes, ...]
    """DER, badge first; shown in HELLO."""
    binding: Mapping[bytes, bytes] = field(default_factory=dict)
    """Link certificate (DER) to the badge's signature over it, made once; shown in HELLO."""


@dataclass(frozen=True, slots=True)
class NodeParts:
    """What a node is built from."""

    identity: NodeIdentity
    """Who it is."""
    store: Store
    """Open, and saved into by an enrolment."""
    runtime: Runtime
    """The seams."""
    router: Router
    """In which order a peer gets what it lacks."""
    bearer: Bearer
    """How links are made."""
    desk: DeskParts | None = None
    """What the agent's secret opens; None starts the node locked."""
    knock_keys: KnockKeyring | None = None
    """Where links get their knock keys; None for bearers that knock nowhere."""
    sensors: Sequence[Sensor] = ()
    """What this device knows of itself, the preferred ones first; asked by a running node alone."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """How a running node finds others."""

    static: tuple[Address, ...] = ()
    """Dialled again and again."""
    is_serving: bool = True
    """Others may dial this node."""
    sessions_max: int = SESSIONS_MAX
    """Sessions at the same time, those beyond are closed at once."""
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
        self.bearer = parts.bearer
        self.knock_keys = parts.knock_keys
        self.membership = membership
        self.events = membership.events
        self.metrics = membership.metrics
        self.clock = clock
        self.sensors = SensorHub(parts.sensors, runtime, self.metrics)
        self.sensors.saving = _saving
        self.budgets = Budgets((), store, runtime)
        """What bearers may cost; nothing is bounded until settings name some."""
        self.audit = Audit(store, runtime)
        self.metrics.listeners.append(self.audit.heard)
        self.auditing = Auditing(identity.node, store, runtime, self.audit)
        self.contact_log = ContactLog(store, runtime)
        self._is_working = False
        self.bindings = dict(identity.binding)
        """Link certificate (DER) to the badge's signature over it; what is missing a desk makes."""
        self._rosters_changed = Level()
        self._desk: Desk | None = None
        self.why_locked: Callable[[], LockedError] = LockedError
        self.is_wiped = False
        """The agent's keys were destroyed: no desk opens any more."""
        self._desk_changed = Level()
        self.relay = self._make_relay(parts, network_key)
        store.is_in_contact = lambda: bool(self.relay.sessions)
        self.unloading = Unloading(store, self.relay, membership)
        self.shift_ends = ShiftEnds(identity.node, store, runtime, self.metrics)
        self.carrier = Carrier(
            node=identity.node,
            zone=identity.zone,
            network_key=network_key,
            store=store,
            runtime=runtime,
            membership=membership,
            relay=self.relay,
            ends=self.shift_ends,
        )
        """What every desk of this node works on."""
        self.housekeeping = Housekeeping(
            store, runtime, self.relay, self.shift_ends, clock, self.audit, self.membership
        )
        self.housekeeping.on_look.append(self._on_look)
        if parts.knock_keys is not None:
            self.housekeeping.on_look.append(parts.knock_keys.changed.set)
        self.hints_in, self._hints_out = trio.open_memory_channel[Hint](HINTS_WAITING_MAX)
        self.manager = self._make_manager(Surroundings())
        self.uplink = self._make_uplink()
        membership.on_change.append(self._on_documents)

    def _make_manager(self, surroundings: Surroundings) -> LinkManager:
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
        manager.sessions_max = surroundings.sessions_max
        return manager

    def _make_relay(self, parts: NodeParts, network_key: bytes) -> Relay:
        store, runtime = parts.store, parts.runtime
        return Relay(
            RelayParts(
                node=parts.identity.node,
                zone=parts.identity.zone,
                store=store,
                runtime=runtime,
                membership=self.membership,
                examiner=Examiner(
                    store, runtime, self.membership, network_key, parts.identity.node
                ),
                router=parts.router,
                ledger=Ledger(parts.identity.node, store, runtime, self.events, self.metrics),
                events=self.events,
                metrics=self.metrics,
                local_hello=self._local_hello,
                contact_log=self.contact_log,
                on_unopened=self._on_unopened,
            )
        )

    def _make_uplink(self) -> Uplink:
        return Uplink(
            UplinkParts(
                node=self.identity.node,
                store=self.store,
                runtime=self.runtime,
                membership=self.membership,
                relay=self.relay,
                sensors=self.sensors,
                budgets=lambda: self.budgets,
                manager=lambda: self.manager,
                author=lambda: None if self._desk is None else self._desk.author,
            )
        )

    # --- the desk ---------------------------------------------------------------------------

    @property
    def desk(self) -> Desk | None:
        """What needs the agent's keys; None while the device is locked."""
        return self._desk

    def require_desk(self) -> Desk:
        """Return the desk. Raises: LockedError while there is none, WipedError after a wipe."""
        if self.is_wiped:
            raise _wiped()
        if self._desk is None:
            raise self.why_locked()
        return self._desk

    @property
    def outbox(self) -> Outbox:
        """Takes messages. Raises: LockedError."""
        return self.require_desk().outbox

    @property
    def inbox(self) -> Inbox:
        """Opens messages. Raises: LockedError."""
        return self.require_desk().inbox

    @property
    def receipting(self) -> Receipting:
        """Writes receipts. Raises: LockedError."""
        return self.require_desk().receipting

    @property
    def positions(self) -> Positions:
        """Shifts and positions. Raises: LockedError."""
        return self.require_desk().positions

    @property
    def alarms(self) -> Alarms:
        """Alarms of the zone. Raises: LockedError."""
        return self.require_desk().alarms

    @property
    def attachments(self) -> Attachments:
        """Files that go with messages. Raises: LockedError."""
        return self.require_desk().attachments

    @property
    def sheets(self) -> Sheets:
        """Reflex sheets. Raises: LockedError."""
        return self.require_desk().sheets

    @property
    def sheet_search(self) -> SheetSearch:
        """Finds reflex sheets. Raises: LockedError."""
        return self.require_desk().sheet_search

    @property
    def renewal(self) -> KeyRenewal:
        """The weekly keys of the network. Raises: LockedError."""
        return self.require_desk().renewal

    @property
    def sealer(self) -> Sealer:
        """Public-key sealing. Raises: LockedError."""
        return self.require_desk().sealer

    def open_desk(self, parts: DeskParts) -> Desk:
        """Sit down at the desk: the agent's keys are open. The one that is there stays.

        Raises: WipedError where they were destroyed meanwhile.
        """
        if self.is_wiped:
            raise _wiped()
        if self._desk is None:
            self._desk = Desk(self.carrier, parts)
            self._desk.plug(self.sensors, self.uplink.has_reached)
            self._desk_changed.set()
            self.runtime.trace("unlocked")
            self.events.publish(LockChanged(is_locked=False))
        return self._desk

    async def lock(self) -> bool:
        """Drop the desk; False if there was none. Its rooms end at once.

        Nothing is half done: on return every transaction that had begun is through, and one that
        begins later hears LockedError. A disk that fails keeps nothing unlocked.
        """
        desk, self._desk = self._desk, None
        if desk is None:
            return False
        desk.stop()
        self._desk_changed.set()
        try:
            with trio.CancelScope(shield=True):
                # Whoever waited for the writer before this has had it afterwards.
                await self.store.write(lambda _tx: None)
        except StoreError as error:
            self.runtime.trace("locked_over_failure", reason=type(error).__name__)
        finally:
            desk.put_away()
        self.runtime.trace("locked")
        self.events.publish(LockChanged(is_locked=True))
        return True

    async def _keep_desk(self) -> None:
        """Run the rooms of the desk whenever there is one."""
        while True:
            if self._desk is not None:
                await self._desk.run()
            await self._desk_changed.wait()

    def _on_unopened(self) -> None:
        # While locked it waits in the queue, which every desk works through first.
        if self._desk is not None:
            self._desk.inbox.wake.set()

    def _on_look(self) -> None:
        if self._desk is not None:
            self._desk.look_due.set()

    def _on_documents(self, raws: Sequence[bytes], _source: NodeId | None) -> None:
        found = [authority.decode_untrusted(raw) for raw in raws]
        for proof in (each for each in found if each.cls is DocumentClass.ERASURE):
            if not proof.scope.endswith(self.identity.node):
                self.metrics.count("wipes_proven")
        if self._desk is not None:
            self._desk.seal_waiting.set()
        self._rosters_changed.set()

    def _local_hello(self, link: Link) -> tuple[tuple[bytes, ...], bytes]:
        """Return badge chain and binding for a link; a certificate is bound once."""
        certificate = link.local_certificate
        signature = self.bindings.get(certificate)
        if signature is None:
            signature = self.require_desk().sign(binding_message(certificate))
            self.bindings = {**self.identity.binding, certificate: signature}
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
        if self._desk is not None:
            await self._desk.settle()
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
                ("desk", self._keep_desk),
                ("housekeeping", self.housekeeping.run),
                ("rosters", self._keep_requeueing),
                ("contact log", self.contact_log.run),
                ("audit", self.audit.run),
                ("disk", self.housekeeping.disk.run),
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
        self.manager = manager = self._make_manager(surroundings)
        manager.holds_back = self.uplink.holds_back
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
        for watch in (self.uplink.run, *surroundings.watches):
            nursery.start_soon(keep_running, "watch", watch, self.runtime, self.metrics)
        for discovery in surroundings.discoveries(self.manager.listening):
            room = partial(discovery.run, self.hints_in)
            name = type(discovery).__name__
            nursery.start_soon(keep_running, name, room, self.runtime, self.metrics)

    async def _keep_requeueing(self) -> None:
        while True:
            await self.relay.requeue_held()
            await self._rosters_changed.wait()


def _wiped() -> WipedError:
    return WipedError("the agent's keys of this device were destroyed: enrol it anew")


def _saving(battery: BatteryReading | None) -> float:
    if battery is None:
        return 1.0
    return stretch_of(battery.level_pct, is_charging=battery.is_charging)


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
    identity, events, metrics = parts.identity, Events(), Metrics()
    membership = await Membership.load(
        parts.store, parts.runtime, events, metrics, identity.zone, node=identity.node
    )
    clock = TrustedClock(parts.runtime, lambda: membership.time_floor_ms)
    await clock.load(parts.store)
    parts = replace(parts, runtime=clock.runtime)
    node = Node(parts, membership, next(iter(keys.values())), clock)
    if parts.desk is not None:
        node.open_desk(parts.desk)
    await node.relay.load()
    yield node
