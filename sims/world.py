"""Builds a world of real nodes and runs it to a virtual time.

Every node is that of the field, from links to store; only its surroundings are simulated: links
in memory, a virtual clock, entropy from the seed, and by default a sealer whose bytes follow from
the seed too. Source: DESIGN D11, architecture section 1.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Final

import trio

from meshnode.errors import SendError, StoreError
from meshnode.events import BundlesStored, Event, MessageArrived, MessageChanged, PeerDown, PeerUp
from meshnode.links.contacts import Hint
from meshnode.links.memory import Shape
from meshnode.node import Node, NodeParts, Surroundings, open_node
from meshnode.outbox import Priority, Writing
from meshnode.store import messages
from meshnode.store.engine import Store, open_store
from protocol.bundle import ScopeKind
from protocol.envelope import HpkeSealer, Sealer
from protocol.routing.epidemic import Epidemic
from sims.fleet import ZONE, Device, Fleet, make_fleet
from sims.network import ContactNetwork, address_of
from sims.record import DeviceRecord, SentRecord, WorldRecord, collect
from sims.runtime import START_MS, Machine, PowerCutError, Tracer, seeded_entropy
from sims.scenario import Scenario, WrittenMessage, check_scenario
from sims.scheduler import run_seeded
from sims.sealer import StandInSealer

__all__ = ["Sealing", "World", "run_world"]

_PRIORITIES: Final = {
    "sos": Priority.SOS,
    "normal": Priority.NORMAL,
    "low": Priority.LOW,
}


class Sealing(Enum):
    """Which sealer the nodes get."""

    STAND_IN = "stand-in"
    """Every byte follows from the seed; keeps no secret."""
    HPKE = "hpke"
    """That of the field; its bytes differ in each run."""


def run_world(
    scenario: Scenario,
    seed: int,
    *,
    sealing: Sealing = Sealing.STAND_IN,
    folder: Path | None = None,
) -> WorldRecord:
    """Run `scenario` from its begin to its end and return what is left.

    Devices that crash keep their stores in files in `folder`, or in a folder that is removed at
    the end; the others keep them in memory. Raises: ScenarioError.
    """
    check_scenario(scenario)
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="meshnode-sim-") as made:
            return run_world(scenario, seed, sealing=sealing, folder=Path(made))
    world = World(scenario, seed, sealing, folder)
    return run_seeded(world.run, seed)


@dataclass(slots=True)
class _Place:
    """One device in the world."""

    device: Device
    """Who it is."""
    machine: Machine
    """Its clock, power and entropy."""
    sealer: Sealer
    """For the node's rooms with keys."""
    path: Path | None
    """Where its store is; None for memory."""
    node: Node | None = None
    """The running node, if it runs."""
    started: trio.Event = field(default_factory=trio.Event)
    """Set while a node runs."""
    stop: trio.CancelScope = field(default_factory=trio.CancelScope)
    """Ends the running node."""
    back_s: float = 0.0
    """Virtual time at which it has power again after its last crash."""
    up_since_ms: int = 0
    """When its node was last started, virtual milliseconds."""
    record: DeviceRecord | None = None
    """What is left of it at the end."""


class World:
    """One run; made and used once, inside `run_seeded`."""

    def __init__(self, scenario: Scenario, seed: int, sealing: Sealing, folder: Path) -> None:
        self.scenario = scenario
        self.seed = seed
        self.tracer = Tracer()
        self.network = ContactNetwork(Shape(scenario.latency_s, scenario.rate_bytes_s))
        self.sent: list[SentRecord] = []
        self._sealing = sealing
        self._folder = folder
        self._is_over = False
        self._places: dict[str, _Place] = {}
        self._fleet: Fleet | None = None

    async def run(self) -> WorldRecord:
        """Run from the begin to the end."""
        entropy = seeded_entropy(self.seed, "authority")
        self._fleet = make_fleet(self.scenario.devices, entropy, START_MS)
        crashing = {crash.device for crash in self.scenario.crashes}
        for device in self._fleet.devices:
            self._places[device.plan.name] = self._place(device, crashing)
        async with trio.open_nursery() as nursery:
            for place in self._places.values():
                nursery.start_soon(self._live, place)
            with trio.move_on_at(self.scenario.duration_s):
                async with trio.open_nursery() as people:
                    people.start_soon(self._conduct, people)
                await trio.sleep_forever()
            self._end()
        records = tuple(place.record for place in self._places.values() if place.record)
        return WorldRecord(
            self.scenario,
            self.seed,
            round(self.scenario.duration_s * 1000),
            records,
            tuple(self.sent),
            tuple(self.tracer.lines),
        )

    def _place(self, device: Device, crashing: set[str]) -> _Place:
        name = device.plan.name
        machine = Machine(self.seed, name, self.tracer)
        number = len(self._places)
        path = self._folder / f"{number}.sqlite" if name in crashing else None
        if self._sealing is Sealing.HPKE:
            return _Place(device, machine, HpkeSealer(), path)
        return _Place(device, machine, StandInSealer(machine.runtime.entropy), path)

    def _end(self) -> None:
        """Tell every node to say goodbye and end."""
        self._is_over = True
        self.tracer.note("", "world_ended")
        for place in self._places.values():
            place.stop.cancel()

    # --- one device -------------------------------------------------------------------------

    async def _live(self, place: _Place) -> None:
        """Run a node, again after each crash, until the world is over; then read its store."""
        is_new = True
        while place.record is None:
            async with open_store(place.path, place.machine.runtime) as store:
                if is_new:
                    await self._furnish(place, store)
                    is_new = False
                if not self._is_over:
                    await self._run_node(place, store)
                # A store is closed by whoever opened it; what a crash cut off was not written.
                place.machine.is_on = True
                if self._is_over:
                    place.record = await self._collect(place, store)
            if place.record is None:
                await self._stay_down(place)

    async def _furnish(self, place: _Place, store: Store) -> None:
        assert self._fleet is not None, "made before any device lives"
        await self._fleet.furnish(place.device, store, place.machine.runtime, place.sealer)

    async def _collect(self, place: _Place, store: Store) -> DeviceRecord:
        machine = place.machine
        clock = (machine.now_ms(), machine.clock_ahead_ms, place.up_since_ms)
        plan = place.device.plan
        return await collect(store, plan.name, (place.device.node, plan.role), clock)

    async def _stay_down(self, place: _Place) -> None:
        with place.stop:
            await trio.sleep_until(place.back_s)
        place.stop = trio.CancelScope()
        self.network.lighten(place.machine.name)
        place.machine.trace("power_on")

    async def _run_node(self, place: _Place, store: Store) -> None:
        name = place.machine.name
        address = address_of(name)
        parts = NodeParts(
            identity=place.device.identity,
            store=store,
            runtime=place.machine.runtime,
            sealer=place.sealer,
            router=Epidemic(),
            bearer=self.network.bearer(address, f"link certificate of {name}".encode()),
        )
        try:
            with place.stop:
                async with open_node(parts) as node, _running(node, place):
                    place.up_since_ms = round(trio.current_time() * 1000)
                    self._greet(place)
                    await trio.sleep_forever()
        except* PowerCutError:
            # What was under way on the disk of a machine that lost its power.
            assert not place.machine.is_on
        place.stop = trio.CancelScope()

    def _greet(self, place: _Place) -> None:
        """A node that has just started sights whom it is in contact with."""
        name = place.machine.name
        for partner in self.network.partners(name):
            self._sight(name, partner)

    def _sight(self, name: str, partner: str) -> None:
        node = self._places[name].node
        if node is not None:
            node.hints_in.send_nowait(Hint(partner, (address_of(partner),)))

    def _lose_sight(self, name: str, partner: str) -> None:
        node = self._places[name].node
        if node is not None:
            node.hints_in.send_nowait(Hint(partner, ()))

    # --- what happens when ------------------------------------------------------------------

    async def _conduct(self, people: trio.Nursery) -> None:
        """Do everything that the scenario says, each at its time."""
        for at_s, _order, _place, act in sorted(self._acts(people), key=lambda each: each[:3]):
            await trio.sleep_until(at_s)
            act()

    def _acts(self, people: trio.Nursery) -> list[tuple[float, int, int, Callable[[], None]]]:
        scenario = self.scenario
        found: list[tuple[float, int, int, Callable[[], None]]] = []
        for place, contact in enumerate(scenario.contacts):
            begin, end = (
                partial(self._begin, contact.a, contact.b),
                partial(self._finish, contact.a, contact.b),
            )
            found += [(contact.end_s, 0, place, end), (contact.start_s, 3, place, begin)]
        for place, crash in enumerate(scenario.crashes):
            found.append((crash.at_s, 1, place, partial(self._crash, crash.device, crash.down_s)))
        for place, step in enumerate(scenario.clock_steps):
            found.append((step.at_s, 2, place, partial(self._step, step.device, step.step_s)))
        for place, message in enumerate(scenario.messages):
            write = partial(people.start_soon, self._write, message)
            found.append((message.at_s, 4, place, write))
        return found

    def _begin(self, a: str, b: str) -> None:
        self.tracer.note(a, "contact_began", peer=b)
        self.network.begin(a, b)
        self._sight(*((a, b) if self._places[a].node is not None else (b, a)))

    def _finish(self, a: str, b: str) -> None:
        self.tracer.note(a, "contact_ended", peer=b)
        self.network.end(a, b)
        self._lose_sight(a, b)
        self._lose_sight(b, a)

    def _crash(self, name: str, down_s: float) -> None:
        place = self._places[name]
        place.machine.trace("power_cut")
        place.machine.is_on = False
        place.back_s = trio.current_time() + down_s
        place.node, place.started = None, trio.Event()
        self.network.darken(name)
        place.stop.cancel()

    def _step(self, name: str, step_s: float) -> None:
        machine = self._places[name].machine
        machine.clock_ahead_ms += round(step_s * 1000)
        machine.trace("clock_stepped", by_ms=round(step_s * 1000))

    # --- people -----------------------------------------------------------------------------

    async def _write(self, message: WrittenMessage) -> None:
        """Write a message on its device, once that runs; once more if it crashed meanwhile."""
        place = self._places[message.sender]
        while True:
            await place.started.wait()
            assert place.node is not None, "it runs"
            try:
                await self._send(place, place.node, message)
            except PowerCutError:
                continue
            except (SendError, StoreError) as error:
                reason = error.reason if isinstance(error, SendError) else type(error).__name__
                place.machine.trace("send_refused", reason=reason)
            return

    async def _send(self, place: _Place, node: Node, message: WrittenMessage) -> None:
        directory = node.membership.directory
        scope = directory.find(message.to, ZONE)
        priority = _PRIORITIES[message.priority]
        sent = await node.outbox.send(Writing(scope, message.text, priority, message.lifetime_s))
        node.housekeeping.wake.set()
        place.machine.trace("sent", message=str(sent.id), state=sent.state.value)
        self.sent.append(
            SentRecord(
                round(trio.current_time() * 1000),
                place.device.node,
                sent.id,
                message.text,
                directory.recipients(scope, place.device.node),
                scope.kind is ScopeKind.CODT,
            )
        )


@asynccontextmanager
async def _running(node: Node, place: _Place) -> AsyncIterator[None]:
    """Run `node` and trace what it announces, until the block is left."""
    async with trio.open_nursery() as nursery:
        try:
            await nursery.start(node.run, Surroundings())
            nursery.start_soon(_watch, node, place)
            place.node = node
            place.started.set()
            yield
        finally:
            place.node, place.started = None, trio.Event()
            nursery.cancel_scope.cancel()


async def _watch(node: Node, place: _Place) -> None:
    with node.events.subscribe() as subscription:
        while True:
            event = await subscription.next()
            fields = await _fields(node, event)
            if fields is not None:
                place.machine.trace(_EVENT_NAMES[type(event)], **fields)


_EVENT_NAMES: Final[dict[type[Event], str]] = {
    BundlesStored: "bundles_stored",
    MessageArrived: "message_arrived",
    MessageChanged: "message_changed",
    PeerUp: "peer_up",
    PeerDown: "peer_down",
}


async def _fields(node: Node, event: Event) -> dict[str, object] | None:
    """Return what the trace tells of an event; None for one that it leaves out."""
    match event:
        case BundlesStored():
            source = "" if event.source is None else node.membership.directory.name_of(event.source)
            return {"count": event.count, "source": source}
        case MessageArrived():
            return {"message": str(event.message)}
        case MessageChanged():
            record = await node.store.read(lambda conn: messages.get(conn, event.key))
            return None if record is None else {"message": str(record.id), "state": record.state}
        case PeerUp() | PeerDown():
            return {"peer": node.membership.directory.name_of(event.node)}
    return None
