"""One uplink per squad with real nodes: who dials the gateway, who is left to it, and SOS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from meshnode.links.base import Address
from meshnode.links.memory import MemoryLink
from meshnode.node import Surroundings
from meshnode.outbox import Priority
from meshnode.sensors.base import Sensor, SensorSink
from meshnode.sensors.hub import SensorHub
from meshnode.sensors.readings import CoverageBearer, CoverageReading, SensorKind
from meshnode.services.uplink import Uplink
from protocol.identity import Role
from protocol.limits import Kind
from sims.fleet import DevicePlan
from tests.meshnode.rig import CODT, SQUAD, Rig, open_rig

NAMES = ("anna", "bruno", "chloe")
PLANS = (
    *(DevicePlan(name, Role.AGENT, (SQUAD,)) for name in NAMES),
    DevicePlan("gateway", Role.GATEWAY),
)


@asynccontextmanager
async def squad(seed: int = 1) -> AsyncIterator[tuple[Rig, dict[str, trio.CancelScope]]]:
    """Run a squad on one network, each device with the gateway among its addresses."""
    async with open_rig(PLANS, seed=seed) as rig, trio.open_nursery() as nursery:
        power: dict[str, trio.CancelScope] = {}

        async def live(
            name: str, around: Surroundings, *, task_status: trio.TaskStatus[None]
        ) -> None:
            with trio.CancelScope() as power[name]:
                task_status.started()
                await rig[name].node.run(around)

        async def start(name: str) -> None:
            mates = [each for each in NAMES if each < name]
            places = (Address("gateway", 1), *(Address(each, 1) for each in mates))
            await nursery.start(lambda **more: live(name, Surroundings(places), **more))

        await nursery.start(lambda **more: live("gateway", Surroundings(), **more))
        for name in NAMES:
            node = rig[name].node
            await node.relay.announce(await node.positions.open_shift(8), None)
            await start(name)
        yield rig, power
        nursery.cancel_scope.cancel()


def at_gateway(rig: Rig) -> set[str]:
    """Return who has a session with the gateway."""
    up = rig["gateway"].node.relay.sessions
    return {name for name in NAMES if rig[name].id in up}


async def until(holds: Callable[[], bool], within_s: float) -> float:
    """Wait until something holds; return how long that took, seconds."""
    began_s = trio.current_time()
    with trio.fail_after(within_s):
        while not holds():  # noqa: ASYNC110 - what it looks at tells nobody
            await trio.sleep(0.1)
    return trio.current_time() - began_s


async def one_uplink(rig: Rig, *, but: str = "") -> str:
    """Wait until one device alone speaks to the gateway; return it."""
    await until(lambda: len(at_gateway(rig)) == 1 and but not in at_gateway(rig), 60)
    return at_gateway(rig).pop()


async def test_one_device_speaks_to_the_gateway_for_all_and_carries_what_they_write(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async with squad() as (rig, _power):
        began_s = trio.current_time()
        leader = await one_uplink(rig)
        settled_s = trio.current_time() - began_s
        for name in NAMES:
            uplink = rig[name].node.uplink
            assert uplink.choice.uplink == rig[leader].id
            assert uplink.holds_back(rig["gateway"].id) is (name != leader)
            assert not uplink.holds_back(rig[leader].id)
        other = next(name for name in NAMES if name != leader)
        sent = await rig[other].send(CODT, "through the mate")
        await trio.sleep(5)
        (text,) = [each.text for each in await rig["gateway"].incoming()]
        assert text == "through the mate"
        assert (await rig[other].message(sent.key)).state.value == "delivered"
        counted = []
        for _ in range(600):
            await trio.sleep(1)
            counted.append(len(at_gateway(rig)))
        assert sum(counted) / len(counted) <= 1.2
        assert len(set(counted)) == 1, "nothing changes where nothing happens"
        claims = await rig["gateway"].held(Kind.UPLINK)
        assert len(claims) == 3, "a newer claim replaces the older"
        with capsys.disabled():
            print(f"\none uplink of three real nodes after {settled_s:.1f} s")


async def test_a_leader_that_falls_silent_is_replaced(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its battery is out: no goodbye, and sessions that hear nothing any more."""
    async with squad() as (rig, power):
        leader = await one_uplink(rig)
        rig.network.shut(Address(leader, 1))
        for handle in rig[leader].node.relay.sessions.values():
            assert isinstance(handle.link, MemoryLink)
            handle.link.stall()

        def is_replaced() -> bool:
            return bool(at_gateway(rig) - {leader})

        took_s = await until(is_replaced, 30)
        with capsys.disabled():
            print(f"\na leader that fell silent was replaced after {took_s:.1f} s")
        power[leader].cancel()
        await trio.sleep(60)
        assert len(at_gateway(rig)) == 1


async def test_a_leader_that_says_goodbye_is_replaced_at_once(autojump_clock: MockClock) -> None:
    async with squad() as (rig, power):
        leader = await one_uplink(rig)
        await trio.sleep(10)
        power[leader].cancel()
        assert await until(lambda: bool(at_gateway(rig) - {leader}), 30) < 5


async def test_an_sos_dials_by_itself_and_at_once(autojump_clock: MockClock) -> None:
    async with squad() as (rig, _power):
        leader = await one_uplink(rig)
        other = next(name for name in NAMES if name != leader)
        await rig[other].send(CODT, "help", Priority.SOS)
        await until(lambda: other in at_gateway(rig), 3)
        assert rig[other].node.uplink.is_sos_pressing
        await trio.sleep(30)
        assert await one_uplink(rig)
        assert not rig[other].node.uplink.is_sos_pressing


async def test_off_duty_a_device_tells_nothing_and_is_its_own_uplink(
    autojump_clock: MockClock,
) -> None:
    async with squad() as (rig, _power):
        await one_uplink(rig)
        chloe = rig["chloe"].node
        await chloe.relay.announce(await chloe.positions.close_shift(), None)
        await trio.sleep(10)
        assert "chloe" in at_gateway(rig)
        assert chloe.uplink.choice.is_alone
        await trio.sleep(700)
        held = await rig["chloe"].held(Kind.UPLINK)
        assert {each.header.author for each in held} == {rig["anna"].id, rig["bruno"].id}


def _given(reading: CoverageReading) -> CoverageReading:
    return reading


class Modem(Sensor):
    """Coverage that the test gives."""

    name = "modem"
    kinds = frozenset({SensorKind.COVERAGE})
    fresh_s = 600.0

    def __init__(self) -> None:
        self.gives, self._given = trio.open_memory_channel[CoverageReading](10)

    async def run(self, sink: SensorSink) -> None:
        """See `Sensor.run`."""
        async for reading in self._given:
            sink.take(partial(_given, reading))


async def test_coverage_that_returns_is_tried_at_once(autojump_clock: MockClock) -> None:
    """As ModemManager tells it; where the kernel tells of a network, tests/real looks."""
    async with open_rig(PLANS) as rig, trio.open_nursery() as nursery:
        anna, modem = rig["anna"], Modem()
        hub = SensorHub([modem], anna.node.runtime, anna.node.metrics)
        anna.node.uplink = Uplink(replace(anna.node.uplink._parts, sensors=hub))
        nursery.start_soon(hub.run)
        await nursery.start(anna.node.run, Surroundings((Address("gateway", 1),)))

        async def covered(bearer: CoverageBearer) -> None:
            is_on, now_ms = bearer is not CoverageBearer.NONE, anna.machine.now_ms()
            await modem.gives.send(CoverageReading(bearer, None, "", is_on, now_ms, "modem"))

        await covered(CoverageBearer.NONE)
        await trio.sleep(200)
        await nursery.start(rig["gateway"].node.run, Surroundings())
        assert at_gateway(rig) == set(), "the next try is minutes away"
        await covered(CoverageBearer.FOUR_G)
        assert await until(lambda: "anna" in at_gateway(rig), 30) < 5
        await trio.sleep(1)
        assert anna.node.uplink.fitness.generation == 4
        nursery.cancel_scope.cancel()
