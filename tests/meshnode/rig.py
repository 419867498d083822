"""Real nodes over stores in memory, without links: bundles are carried by hand.

What a contact does, `carry` does in one call, so that a test says exactly who has what when.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache

import trio

from meshnode.links.base import Address
from meshnode.links.memory import MemoryNetwork
from meshnode.node import Node, NodeParts, open_node
from meshnode.outbox import Priority, Sent, Writing
from meshnode.store import bundles as rows
from meshnode.store import messages
from meshnode.store.engine import Connection, Store, open_store
from meshnode.store.records import LedgerEntry, MessageRecord, RecipientRecord
from meshnode.vault.vault import MASTER_BYTES, Vault
from protocol import bundle as bundles
from protocol.bundle import Bundle, Header, Scope, Suite
from protocol.envelope import HpkeSealer, Sealer
from protocol.identity import Role
from protocol.ids import BundleId, NodeId, ShortId, squad_id_of
from protocol.limits import KINDS, Kind
from protocol.reports import Reception
from protocol.routing.gain import Gain
from sims.fleet import ZONE, Device, DevicePlan, Fleet, make_fleet, memory_certificate
from sims.runtime import START_MS, Machine, Tracer, seeded_entropy
from sims.sealer import StandInSealer

SQUAD = "Queyras"
USUAL = (
    DevicePlan("anna", Role.AGENT, (SQUAD,)),
    DevicePlan("bruno", Role.AGENT, (SQUAD,)),
    DevicePlan("box", Role.RELAY, (SQUAD,)),
    DevicePlan("gateway", Role.GATEWAY),
)
"""Two mates, the box between them, and the gateway."""


@dataclass(slots=True)
class Member:
    """One node of a rig."""

    device: Device
    """Who it is, with its keys."""
    machine: Machine
    """Its clock and power."""
    store: Store
    """In memory."""
    parts: NodeParts = field(repr=False)
    """What it was built from."""
    node: Node = field(repr=False)
    """Open, without links."""

    @property
    def id(self) -> NodeId:
        """16 bytes."""
        return self.device.node

    @property
    def scope(self) -> Scope:
        """Addresses this device."""
        return Scope.for_device(ZONE, self.id)

    async def send(
        self,
        scope: Scope,
        text: str,
        priority: Priority = Priority.NORMAL,
        lifetime_s: int | None = None,
    ) -> Sent:
        """Write a message."""
        return await self.node.outbox.send(Writing(scope, text, priority, lifetime_s))

    async def texts(self) -> list[str]:
        """Return what was opened here, in order of arrival."""
        return [message.text for message in await self.incoming()]

    async def incoming(self) -> list[MessageRecord]:
        """Return the messages opened here."""
        return await self.store.read(lambda conn: messages.list_inbox(conn, 0, 10_000))

    async def message(self, key: int) -> MessageRecord:
        """Return one message."""
        found = await self.store.read(lambda conn: messages.get(conn, key))
        assert found is not None
        return found

    async def outgoing(self) -> list[MessageRecord]:
        """Return the messages written here."""
        return await self.store.read(lambda conn: messages.list_outgoing(conn, 0, 10_000))

    async def recipients(self, key: int) -> list[RecipientRecord]:
        """Return who must receipt a message."""
        return await self.store.read(lambda conn: messages.recipients(conn, key))

    async def ledger(self, key: int) -> list[LedgerEntry]:
        """Return the story of a message."""
        return await self.store.read(lambda conn: messages.ledger(conn, key))

    async def held(self, *kinds: Kind) -> list[Bundle]:
        """Return the bundles in the store, of all kinds or of some, in order of their ids."""
        found = map(bundles.decode_untrusted, await self.raws(await self.ids()))
        return [bundle for bundle in found if not kinds or bundle.header.kind in kinds]

    async def raws(self, ids: Sequence[ShortId]) -> list[bytes]:
        """Return the containers of bundles that are held, in the order of `ids`."""
        found = await self.store.read(lambda conn: rows.raw_many(conn, ids)) if ids else {}
        return [found[short][0] for short in ids]

    async def ids(self) -> list[ShortId]:
        """Return the short ids of all that is held, ascending."""
        interests = list(self.store.sketches)

        def read(conn: Connection) -> list[ShortId]:
            return sorted(short for each in interests for short in rows.ids(conn, each))

        return await self.store.read(read)

    async def take(
        self, found: Sequence[Bundle | bytes], peer: NodeId | None = None, hops: int = 0
    ) -> list[Reception]:
        """Receive bundles and do all that follows from them; return their fates."""
        raws = [each.raw if isinstance(each, Bundle) else each for each in found]
        outcomes = await self.node.relay.receive(peer, [(hops, raw) for raw in raws])
        await self.node.settle()
        return [fate for _short, fate in outcomes]

    def forge(self, header: Header, body: bytes) -> Bundle:
        """Return a bundle that this device really signs, whatever stands in it."""
        return bundles.build(header, body, self.device.keys.badge.sign)

    def header(self, kind: Kind, scope: Scope, seq: int, **more: object) -> Header:
        """Return a header of this device under a number far from those of its own outbox."""
        fields: dict[str, object] = {
            "suite": Suite.CLEAR,
            "kind": kind,
            "author": self.id,
            "incarnation": self.store.incarnation,
            "seq": 1_000_000 + seq,
            "hlc": self.machine.now_ms() << 16,
            "lifetime_s": KINDS[kind].lifetime_s,
            "scope": scope,
            "keyref": b"",
            "index": 0,
            **more,
        }
        return Header(**fields)  # type: ignore[arg-type]

    def metric(self, name: str) -> int:
        """Return a counter."""
        return self.node.metrics.value(name)


@dataclass(slots=True)
class Rig:
    """Several nodes of one fleet."""

    fleet: Fleet
    """Documents and secrets that all share."""
    tracer: Tracer
    """What all nodes traced."""
    network: MemoryNetwork
    """Where their bearers are, for tests that run links."""
    members: dict[str, Member]
    """By name."""

    def __getitem__(self, name: str) -> Member:
        return self.members[name]

    async def carry(self, source: str, target: str, *kinds: Kind) -> list[Reception]:
        """Give `target` all that `source` holds, or only some kinds of it."""
        bearer = self[source]
        found = await bearer.held(*kinds)
        wanted = [bundle for bundle in found if bundle.header.author != self[target].id]
        return await self[target].take(wanted, bearer.id)

    async def mix(self, *names: str) -> None:
        """Let everybody have everything, until nothing new comes of it.

        As in a contact nobody is given what it holds already.
        """
        before: list[list[ShortId]] = []
        while (now := [await self[name].ids() for name in names]) != before:
            before = now
            for name in names:
                await self[name].node.settle()
            for source in names:
                for target in names:
                    if source != target:
                        await self._give_missing(self[source], self[target])

    async def _give_missing(self, source: Member, target: Member) -> None:
        held = set(await target.ids())
        raws = await source.raws([short for short in await source.ids() if short not in held])
        found = map(bundles.decode_untrusted, raws)
        wanted = [bundle for bundle in found if bundle.header.author != target.id]
        if wanted:
            await target.take(wanted, source.id)


def squad_scope(name: str = SQUAD) -> Scope:
    """Address a squad."""
    return Scope.for_squad(ZONE, squad_id_of(ZONE, name))


CODT = Scope.for_codt(ZONE)
ZONE_SCOPE = Scope.for_zone(ZONE)


@asynccontextmanager
async def open_rig(
    plans: Sequence[DevicePlan] = USUAL,
    *,
    seed: int = 1,
    sealing: str = "stand-in",
    has_beacons: bool = False,
    is_sealed: bool = False,
) -> AsyncIterator[Rig]:
    """Give enrolled nodes over fresh stores, whose rows lie open unless they are sealed."""
    rig = Rig(_fleet(tuple(plans), seed, has_beacons), Tracer(), MemoryNetwork(), {})
    # Trio's own clock begins anywhere; the day of these nodes begins at eight, for all at once.
    start_ms = START_MS - round(1_000 * trio.current_time())
    async with AsyncExitStack() as stack:
        for device in rig.fleet.devices:
            machine = Machine(seed, device.plan.name, rig.tracer)
            machine.start_ms = start_ms
            vault = _vault(machine) if is_sealed else None
            member = await _member(stack, rig, device, machine, sealing, vault)
            rig.members[device.plan.name] = member
        yield rig


@cache
def _fleet(plans: tuple[DevicePlan, ...], seed: int, has_beacons: bool) -> Fleet:
    entropy = seeded_entropy(seed, "authority")
    return make_fleet(plans, entropy, START_MS, has_beacons=has_beacons)


def _vault(machine: Machine) -> Vault:
    fresh = machine.runtime.entropy
    return Vault(fresh(MASTER_BYTES), fresh, fresh(MASTER_BYTES))


async def _member(
    stack: AsyncExitStack,
    rig: Rig,
    device: Device,
    machine: Machine,
    sealing: str,
    vault: Vault | None,
) -> Member:
    name = device.plan.name
    sealer: Sealer = StandInSealer(machine.runtime.entropy)
    if sealing == "hpke":
        sealer = HpkeSealer()
    store = await stack.enter_async_context(open_store(None, machine.runtime, vault=vault))
    await rig.fleet.furnish(device, store, machine.runtime, sealer)
    parts = NodeParts(
        identity=device.identity,
        store=store,
        runtime=machine.runtime,
        router=Gain(),
        bearer=rig.network.bearer(Address(name, 1), memory_certificate(name)),
        desk=device.desk(sealer),
    )
    node = await stack.enter_async_context(open_node(parts))
    if vault is not None:
        vault.on_broken = lambda _kind: node.metrics.count("seals_broken")
    return Member(device, machine, store, parts, node)


def bundle_of(found: Sequence[Bundle], message: BundleId) -> Bundle:
    """Return the bundle of a message."""
    return next(bundle for bundle in found if bundle.header.id == message)
