"""Builds a world of real nodes and runs it to a virtual time.

Every node is that of the field, from links to store; only its surroundings are simulated: links
in memory, a virtual clock, entropy from the seed, and by default a sealer whose bytes follow from
the seed too. Source: DESIGN D11, architecture section 1.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import Enum
from pathlib import Path
from typing import Final, cast

import trio

from meshnode.knock_keys import KnockKeyring
from meshnode.links.base import Bearer
from meshnode.links.contacts import Hint
from meshnode.links.memory import Shape
from meshnode.links.tls import TLSContexts
from meshnode.node import Node, NodeParts, Surroundings, open_node
from meshnode.relay import Relay
from meshnode.store.engine import Store, open_store
from protocol.bundle import Scope
from protocol.envelope import HpkeSealer, Sealer
from protocol.routing.gain import Gain
from sims.air import Air
from sims.bounds import Peaks
from sims.disk import freeze, scratch, thaw
from sims.draining import run_down
from sims.draws import Draw
from sims.fault_plan import Behaviour, draw_plan
from sims.fleet import Device, Fleet, make_fleet, memory_certificate
from sims.happenings import conduct
from sims.hostile import HostileBearer, HostileHost, flood
from sims.network import ContactNetwork, address_of
from sims.people import watch
from sims.place import Place
from sims.record import DeviceRecord, Ending, SentRecord, WorldRecord, collect
from sims.runtime import START_MS, Machine, PowerCutError, Tracer, seeded_entropy
from sims.scenario import Scenario, check_scenario
from sims.scheduler import run_seeded
from sims.sealer import StandInSealer
from sims.secured import SecuredBearer, contexts_of
from sims.sensing import furnish_instruments
from sims.steps import StepCounter, belongs_to

__all__ = ["Links", "Sealing", "World", "run_world"]

_SAMPLE_S: Final = 300.0
"""Queues and sessions are counted this often."""


class Sealing(Enum):
    """Which sealer the nodes get."""

    STAND_IN = "stand-in"
    """Every byte follows from the seed; keeps no secret."""
    HPKE = "hpke"
    """That of the field; its bytes differ in each run."""


class Links(Enum):
    """What is on the links."""

    PLAIN = "plain"
    """The bytes of the sessions."""
    TLS = "tls"
    """TLS 1.3 as in the field; its bytes differ in each run."""


def run_world(
    scenario: Scenario,
    seed: int,
    *,
    sealing: Sealing = Sealing.STAND_IN,
    links: Links = Links.PLAIN,
    folder: Path | None = None,
) -> WorldRecord:
    """Run `scenario` from its begin to its end and return what is left.

    Devices that crash keep their stores in files in `folder`, or in a folder that is removed at
    the end; the others keep them in memory. Raises: ScenarioError.
    """
    check_scenario(scenario)
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="meshnode-sim-", dir=scratch()) as made:
            return run_world(scenario, seed, sealing=sealing, links=links, folder=Path(made))
    world = World(scenario, seed, (sealing, links), folder)
    return run_seeded(world.run, seed)


class World:
    """One run; made and used once, inside `run_seeded`."""

    def __init__(
        self, scenario: Scenario, seed: int, field: tuple[Sealing, Links], folder: Path
    ) -> None:
        self.scenario = scenario
        self.seed = seed
        self.plan = draw_plan(scenario, seed)
        self.tracer = Tracer()
        self.steps = StepCounter()
        shape = Shape(scenario.latency_s, scenario.rate_bytes_s)
        self.network = ContactNetwork(shape, scenario.faults, Draw(seed, "links"))
        self.air = Air(scenario.faults.loss, Draw(seed, "air"))
        self.places: dict[str, Place] = {}
        self.sent: list[SentRecord] = []
        self._sealing, self._links = field
        self._folder = folder
        self._is_over = False
        self._peaks = Peaks()
        self._contexts: dict[str, TLSContexts] = {}
        self._fleet: Fleet | None = None

    async def run(self) -> WorldRecord:
        """Run from the begin to the end."""
        entropy = seeded_entropy(self.seed, "authority")
        self._fleet = make_fleet(self.scenario.devices, entropy, START_MS)
        on_disk = {crash.device for crash in self.scenario.crashes} | self.plan.on_disk
        on_disk |= {each.device for each in self.scenario.batteries}
        for device in self._fleet.devices:
            self.places[device.plan.name] = self._place(device, on_disk)
            furnish_instruments(self.places[device.plan.name], self.scenario)
        for drift in self.plan.drifts:
            self.places[drift.device].machine.drift_ppm = drift.rate_ppm
        for hostile in self.plan.hostile:
            self.places[hostile.device].behaviour = hostile.behaviour
        async with trio.open_nursery() as nursery:
            for place in self.places.values():
                nursery.start_soon(self._live, place)
            with trio.move_on_at(self.scenario.duration_s):
                async with trio.open_nursery() as people:
                    people.start_soon(conduct, self, people)
                    people.start_soon(self._measure)
                    self._run_batteries_down(people)
                await trio.sleep_forever()
            self._end()
        return WorldRecord(
            self.scenario,
            self.seed,
            round(self.scenario.duration_s * 1000),
            tuple(place.record for place in self.places.values() if place.record),
            tuple(self.sent),
            tuple(self.tracer.lines),
            self.plan,
            self._peaks.found,
        )

    def _place(self, device: Device, on_disk: set[str]) -> Place:
        name = device.plan.name
        machine = Machine(self.seed, name, self.tracer)
        number = len(self.places)
        path = self._folder / f"{number}.sqlite" if name in on_disk else None
        if self._links is Links.TLS:
            assert self._fleet is not None, "made before its devices are placed"
            self._contexts[name] = contexts_of(device, self._fleet, self._folder)
        sealer: Sealer = HpkeSealer()
        if self._sealing is Sealing.STAND_IN:
            sealer = StandInSealer(machine.runtime.entropy)
        return Place(device, machine, sealer, path)

    def _run_batteries_down(self, people: trio.Nursery) -> None:
        for place in self.places.values():
            if place.battery is not None:
                people.start_soon(run_down, place, place.battery, self.cut_power)

    def _end(self) -> None:
        """Tell every node to say goodbye and end."""
        self._is_over = True
        self.tracer.note("", "world_ended")
        for place in self.places.values():
            self.steps.forget(place.name)
            place.machine.watch_work(None)
            place.stop.cancel()

    async def _measure(self) -> None:
        """Keep the largest count of everything that has a bound."""
        while True:
            await trio.sleep(_SAMPLE_S)
            for place in self.places.values():
                if place.node is not None:
                    self._peaks.note(place.name, place.node)

    # --- one device -------------------------------------------------------------------------

    async def _live(self, place: Place) -> None:
        """Run a node, again after each crash, until the world is over; then read its store."""
        belongs_to(place.name)
        while place.record is None:
            try:
                await self._live_once(place)
            except PowerCutError:
                assert not place.machine.is_on, "only a machine without power refuses its disk"
            place.store = None
            if place.record is None:
                await self._stay_down(place)

    async def _live_once(self, place: Place) -> None:
        """From power to power cut, or to the end of the world."""
        runtime, bytes_max = place.machine.runtime, self.scenario.store_bytes
        async with open_store(place.path, runtime, bytes_max=bytes_max) as store:
            place.store = store
            if not place.is_furnished:
                await self._furnish(place, store)
                place.is_furnished = True
            if not self._is_over:
                await self._run_node(place, store)
            if self._is_over and place.machine.is_on:
                place.record = await self._collect(place, store)

    async def _furnish(self, place: Place, store: Store) -> None:
        assert self._fleet is not None, "made before any device lives"
        await self._fleet.furnish(place.device, store, place.machine.runtime, place.sealer)

    async def _collect(self, place: Place, store: Store) -> DeviceRecord:
        machine, end_ms = place.machine, round(self.scenario.duration_s * 1000)
        ending = Ending(
            place.name,
            place.device.node,
            place.device.plan.role,
            machine.now_ms(),
            machine.ahead_ms,
            end_ms if place.up_since_ms is None else place.up_since_ms,
            is_lost=place.is_lost,
            is_up=place.up_since_ms is not None,
        )
        return await collect(store, ending)

    def cut_power(self, place: Place, down_s: float) -> None:
        """Take the power from a device at once; it has it again after `down_s`."""
        if not place.machine.is_on:
            # It is off already; a device that went away for good does not come back.
            place.back_s = max(place.back_s, trio.current_time() + down_s)
            return
        place.machine.trace("power_cut")
        place.machine.cut_power()
        self.steps.forget(place.name)
        if place.path is not None and place.image is None:
            place.image = freeze(place.path)
        place.back_s = trio.current_time() + down_s
        place.node, place.started, place.up_since_ms = None, trio.Event(), None
        self.network.darken(place.name)
        place.stop.cancel()

    async def _stay_down(self, place: Place) -> None:
        if place.path is not None and place.image is not None:
            thaw(place.path, place.image)
            place.image = None
        while trio.current_time() < place.back_s and not self._is_over:
            # Another one each time: while it is off, it may be told to stay off longer.
            place.stop = trio.CancelScope()
            with place.stop:
                await trio.sleep_until(place.back_s)
        place.stop = trio.CancelScope()
        place.machine.restore_power()
        if not self._is_over:
            self.network.lighten(place.name)
            place.machine.trace("power_on")

    async def _run_node(self, place: Place, store: Store) -> None:
        runtime = place.machine.runtime
        parts = NodeParts(
            identity=place.device.identity,
            store=store,
            runtime=runtime,
            router=Gain(),
            bearer=self._bearer(place),
            desk=place.device.desk(place.sealer),
            knock_keys=KnockKeyring(store) if self.scenario.hearings else None,
            sensors=place.make_sensors(),
        )
        try:
            with place.stop:
                async with open_node(parts) as node, self._running(node, place):
                    place.up_since_ms = round(trio.current_time() * 1000)
                    self._greet(place)
                    await trio.sleep_forever()
        except* PowerCutError:
            # What was under way on the disk of a machine that lost its power.
            assert not place.machine.is_on, "only a machine without power refuses its disk"

    def _bearer(self, place: Place) -> Bearer:
        name = place.name
        bearer: Bearer = self.network.bearer(address_of(name), memory_certificate(name))
        if name in self._contexts:
            bearer = SecuredBearer(bearer, self._contexts[name], place.machine.runtime)
        if place.behaviour is not None:
            draw = Draw(self.seed, f"link {name} {trio.current_time()!r}")
            bearer = HostileBearer(bearer, place.behaviour, draw)
        return bearer

    @asynccontextmanager
    async def _running(self, node: Node, place: Place) -> AsyncIterator[None]:
        """Run `node` and trace what it announces, until the block is left."""
        if place.behaviour is not None:
            draw = Draw(self.seed, f"host {place.name} {trio.current_time()!r}")
            host = HostileHost(node.relay, place.behaviour, place.device, draw)
            node.relay = cast("Relay", host)
        # Readings come from outside, as in `meshnode.running`.
        watches: tuple[Callable[[], Awaitable[None]], ...] = (node.sensors.run,)
        if self.scenario.hearings and place.behaviour is None:
            watches += self.air.tasks(node, place.device.plan)
        async with trio.open_nursery() as nursery:
            try:
                await nursery.start(node.run, Surroundings(watches=watches))
                nursery.start_soon(watch, node, place)
                if place.behaviour is Behaviour.FLOOD:
                    draw = Draw(self.seed, f"flood {place.name}")
                    nursery.start_soon(flood, node, Scope.for_codt(place.device.plan.zone), draw)
                place.node = node
                place.started.set()
                yield
            finally:
                if place.node is node:
                    # Else a power cut has done this, and somebody may be waiting already.
                    place.node, place.started = None, trio.Event()
                nursery.cancel_scope.cancel()

    # --- who sees whom ----------------------------------------------------------------------

    def _greet(self, place: Place) -> None:
        """A node that has just started sights whom it is in contact with."""
        for partner in self.network.partners(place.name):
            self.sight(place.name, partner)

    def sight(self, name: str, partner: str) -> None:
        """The node called `name` sees that another is in reach."""
        node = self.places[name].node
        if node is not None:
            node.hints_in.send_nowait(Hint(partner, (address_of(partner),)))

    def lose_sight(self, name: str, partner: str) -> None:
        """The node called `name` sees another no more."""
        node = self.places[name].node
        if node is not None:
            node.hints_in.send_nowait(Hint(partner, ()))
