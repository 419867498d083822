"""An SOS and a text overtake 50 MB of bulk on a link of 1 MB/s: whole nodes, virtual time.

Queues are all that this measures: on the virtual clock work costs nothing, a byte on the line a
microsecond. The same over TCP and `tc` is in `tests/real`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import trio
import trio.testing

from meshnode.events import PeerUp
from meshnode.links.contacts import Hint
from meshnode.links.memory import Shape
from meshnode.node import Node, NodeParts, Surroundings, open_node
from meshnode.outbox import Priority, Writing
from meshnode.store import bundles as rows
from meshnode.store.engine import open_store
from protocol import bundle as bundles
from protocol.bundle import Header, Scope, Suite
from protocol.envelope import HpkeSealer
from protocol.identity import Role
from protocol.ids import BundleId, squad_id_of
from protocol.limits import CHAIN_MESSAGES_MAX, Kind, TrafficClass
from protocol.routing.gain import Gain
from sims.fleet import ZONE, Device, DevicePlan, Fleet, make_fleet
from sims.network import ContactNetwork, address_of
from sims.runtime import START_MS, Machine, Tracer, seeded_entropy
from sims.scheduler import run_seeded

pytestmark = pytest.mark.slow

SQUAD = "queyras"
BULK_BUNDLES = 800
BULK_BODY_BYTES = 64_000
BATCH = 100
HOUR_MS = 3_600_000
LATENCY_S = 0.02
RATE_BYTES_S = 1_000_000.0
SOS_S_MAX = 1.0
TEXT_S_MAX = 3.0
PLANS = (
    DevicePlan("dialler", squads=(SQUAD,)),
    DevicePlan("dialled", squads=(SQUAD,)),
    # A gateway, whose quota such a load fits.
    DevicePlan("photographer", Role.GATEWAY),
)
ENDS = ("dialler", "dialled")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two nodes in reach of each other as soon as `meet` is called."""

    nodes: dict[str, Node]
    """By name."""
    meet: Callable[[], None]
    """Begin the contact."""

    def other(self, name: str) -> Node:
        """The node at the far end."""
        return self.nodes[ENDS[1 - ENDS.index(name)]]

    def bulk_at(self, name: str) -> int:
        """Bundles of bulk that a node holds."""
        return self.nodes[name].store.class_counts[TrafficClass.BULK]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message that arrived."""

    moment: str
    """When it was written."""
    writer: str
    """Who wrote it."""
    priority: Priority
    """SOS or text."""
    took_s: float
    """From writing to the disk of the peer; for what was written before the link, from the dial."""


def written_bulk(author: Device, count: int, seed: int) -> list[bytes]:
    """Return `count` signed containers of 64 kB that nobody can open."""
    entropy = seeded_entropy(seed, "bulk")
    scope = Scope.for_squad(ZONE, squad_id_of(ZONE, "elsewhere"))
    made = []
    for number in range(count):
        header = Header(
            suite=Suite.CHAIN,
            kind=Kind.CHUNK,
            author=author.node,
            incarnation=seed,
            seq=number + 1,
            hlc=(START_MS - HOUR_MS * (4 * seed + number // 200)) << 16,
            lifetime_s=86_400,
            scope=scope,
            keyref=entropy(8),
            index=number % CHAIN_MESSAGES_MAX,
        )
        made.append(bundles.build(header, entropy(BULK_BODY_BYTES), author.keys.badge.sign).raw)
    return made


async def take_bulk(node: Node, raws: list[bytes]) -> None:
    """Let a node hold bundles, as if it had carried them for long."""
    for start in range(0, len(raws), BATCH):
        await node.relay.receive(None, [(0, raw) for raw in raws[start : start + BATCH]])


@asynccontextmanager
async def pair(fleet: Fleet, shape: Shape) -> AsyncIterator[Pair]:
    """Run two nodes that have not met."""
    network, tracer, nodes = ContactNetwork(shape), Tracer(), dict[str, Node]()

    async def live(device: Device, *, task_status: trio.TaskStatus[None]) -> None:
        name = device.plan.name
        machine, sealer = Machine(1, name, tracer), HpkeSealer()
        async with open_store(None, machine.runtime) as store:
            await fleet.furnish(device, store, machine.runtime, sealer)
            bearer = network.bearer(address_of(name), f"certificate of {name}".encode())
            parts = NodeParts(
                device.identity, store, machine.runtime, Gain(), bearer, device.desk(sealer)
            )
            async with open_node(parts) as node, trio.open_nursery() as nursery:
                await nursery.start(node.run, Surroundings())
                nodes[name] = node
                task_status.started()

    def meet() -> None:
        network.begin(*ENDS)
        hint = Hint("dialled", (address_of("dialled"),))
        nodes["dialler"].hints_in.send_nowait(hint)

    async with trio.open_nursery() as nursery:
        for device in fleet.devices[:2]:
            await nursery.start(live, device)
        yield Pair(nodes, meet)
        nursery.cancel_scope.cancel()


async def seconds_to_arrive(sender: Node, receiver: Node, priority: Priority) -> float:
    """Write a message at `sender`; return how long until it is on the disk of `receiver`."""
    started_s = trio.current_time()
    is_sos = priority is Priority.SOS
    scope = Scope.for_zone(ZONE) if is_sos else Scope.for_squad(ZONE, squad_id_of(ZONE, SQUAD))
    with receiver.events.subscribe() as stored, trio.fail_after(60):
        sent = await sender.outbox.send(Writing(scope, f"written at {started_s}", priority))
        while not await is_held(receiver, sent.id):
            await stored.next()
    return trio.current_time() - started_s


async def is_held(node: Node, bundle: BundleId) -> bool:
    """Tell whether a bundle is in a node's store."""
    name = (bundle.author, bundle.incarnation, bundle.seq, bundle.seq)
    return bool(await node.store.read(lambda conn: rows.of_author(conn, *name)))


async def measure(holders: tuple[str, ...]) -> list[Arrival]:
    """Let both ends write before link-up, at link-up and in mid-transfer."""
    fleet = make_fleet(PLANS, seeded_entropy(7, "fleet"), START_MS)
    found: list[Arrival] = []

    async def write(net: Pair, moment: str) -> None:
        async def one(name: str, priority: Priority) -> None:
            took_s = await seconds_to_arrive(net.nodes[name], net.other(name), priority)
            found.append(Arrival(moment, name, priority, took_s))

        async with trio.open_nursery() as nursery:
            for name in ENDS:
                for priority in (Priority.NORMAL, Priority.SOS):
                    nursery.start_soon(one, name, priority)

    async with pair(fleet, Shape(LATENCY_S, RATE_BYTES_S)) as net, trio.open_nursery() as nursery:
        for seed, name in enumerate(holders, start=1):
            await take_bulk(net.nodes[name], written_bulk(fleet.devices[2], BULK_BUNDLES, seed))
        nursery.start_soon(write, net, "before link-up")
        await trio.testing.wait_all_tasks_blocked()
        with net.nodes[ENDS[0]].events.subscribe() as met:
            net.meet()
            while not isinstance(await met.next(), PeerUp):
                pass
        await write(net, "at link-up")
        # The line has its speed by now, and its queues are full.
        await trio.sleep(10)
        await write(net, "in mid-transfer")
        await trio.sleep(0.777)
        await write(net, "in mid-transfer")
        in_hand = {name: net.bulk_at(name) for name in ENDS}
        for name in ENDS:
            is_holder = name in holders
            others = len(holders) - is_holder
            came = in_hand[name] - BULK_BUNDLES * is_holder
            assert others * BULK_BUNDLES // 8 <= came <= others * BULK_BUNDLES // 2, in_hand
    return found


@pytest.mark.parametrize("holders", [ENDS[:1], ENDS[1:], ENDS])
def test_bulk_holds_up_neither_an_sos_nor_a_text(holders: tuple[str, ...]) -> None:
    found: list[Arrival] = []

    async def main() -> None:
        found.extend(await measure(holders))

    run_seeded(main, 3)
    assert len(found) == 4 * 4
    for arrival in sorted(found, key=lambda each: -each.took_s):
        print(arrival)
        limit_s = SOS_S_MAX if arrival.priority is Priority.SOS else TEXT_S_MAX
        assert arrival.took_s < limit_s, arrival
