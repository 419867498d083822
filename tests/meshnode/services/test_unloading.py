"""Handing over at port: what is counted, how long it is said to take, and when it really ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from meshnode.api import Api
from meshnode.links.base import Address
from meshnode.links.memory import MemoryNetwork, Shape
from meshnode.node import Surroundings
from meshnode.services.unloading import PACE_S, Pace, Port
from protocol.bundle import Suite
from protocol.limits import Kind
from sims.fleet import memory_certificate
from tests.meshnode.rig import Rig, squad_scope

BUNDLES, BODY, RATE = 600, 900, 20_000
STEP_MS = 40_000
"""As often as an agent may write."""


async def fill(rig: Rig, bundles: int = BUNDLES) -> None:
    """Let the box carry what anna wrote over the last hours."""
    anna, box = rig["anna"], rig["box"]
    now_ms, found = anna.machine.now_ms(), []
    for number in range(bundles):
        hlc = (now_ms - (bundles - number) * STEP_MS) << 16
        more = {"hlc": hlc, "suite": Suite.CHAIN, "keyref": bytes(8), "index": number}
        header = anna.header(Kind.TEXT, squad_scope(), number, **more)
        found.append((0, anna.forge(header, number.to_bytes(2, "big") * (BODY // 2)).raw))
    for start in range(0, bundles, 200):
        await box.node.relay.receive(None, found[start : start + 200])
    assert sum(box.store.class_counts.values()) >= bundles


@asynccontextmanager
async def at_port(rig: Rig, rate_bytes_s: float = RATE) -> AsyncIterator[None]:
    """Let the box dial the gateway over a line of this rate."""
    network = MemoryNetwork(lambda _a, _b: Shape(latency_s=0.05, rate_bytes_s=rate_bytes_s))
    for name in ("box", "gateway"):
        rig[name].node.bearer = network.bearer(Address(name, 1), memory_certificate(name))
    async with trio.open_nursery() as nursery:
        await nursery.start(rig["gateway"].node.run, Surroundings())
        await nursery.start(rig["box"].node.run, Surroundings((Address("gateway", 1),)))
        yield
        nursery.cancel_scope.cancel()


async def watch(rig: Rig, seconds: float = 1_000) -> list[tuple[float, Port]]:
    """Look once a second until nothing is left; return what was said when."""
    looks: list[tuple[float, Port]] = []
    with trio.move_on_after(seconds):
        while not (looks and looks[-1][1].is_counted and not looks[-1][1].left):
            await trio.sleep(1)
            looks += [(trio.current_time(), each) for each in rig["box"].node.unloading.look()]
    return looks


@pytest.mark.slow
async def test_the_estimate_is_of_the_end_that_comes(autojump_clock: MockClock, met: Rig) -> None:
    await fill(met)
    async with at_port(met):
        began_s = trio.current_time()
        looks = await watch(met)
    ended_s, last = looks[-1]
    whole_s = ended_s - began_s
    assert whole_s == pytest.approx(BUNDLES * (BODY + 150) / RATE, rel=0.15)
    assert (last.left, last.left_bytes, last.seconds_left) == (0, 0, 0.0)
    assert len(await met["gateway"].held(Kind.TEXT)) == BUNDLES
    counted = [(at_s, port) for at_s, port in looks if port.is_counted]
    assert [port.done for _at, port in counted] == sorted(port.done for _at, port in counted)
    for at_s, port in counted:
        assert BUNDLES <= port.done + port.left <= BUNDLES + 100, "documents aside, all is known"
        if port.seconds_left is not None and port.done >= BUNDLES / 10:
            assert abs(at_s + port.seconds_left - ended_s) < 0.1 * whole_s


@pytest.mark.slow
async def test_what_a_broken_contact_left_is_counted_in_the_next(
    autojump_clock: MockClock, met: Rig
) -> None:
    await fill(met)
    async with at_port(met):
        first = (await watch(met, 15))[-1][1]
        await met["box"].node.lock()
        assert met["box"].node.unloading.look(), "it is counted while the device is locked"
    async with at_port(met):
        (_at, start), *_rest, (_end, last) = await watch(met)
    assert 0 < first.done < BUNDLES
    assert start.left <= first.left + 50
    assert last.left == 0
    assert len(await met["gateway"].held(Kind.TEXT)) == BUNDLES


async def test_without_a_gateway_there_is_no_estimate(autojump_clock: MockClock, met: Rig) -> None:
    await fill(met, 5)
    found = await Api(met["box"].node).unloading()
    assert found["gateways"] == []
    assert found["bundles"] >= 5
    assert found["bytes"] > 5 * BODY
    # Another device in reach is no gateway.
    async with trio.open_nursery() as nursery:
        await nursery.start(met["anna"].node.run, Surroundings())
        await nursery.start(met["box"].node.run, Surroundings((Address("anna", 1),)))
        await trio.sleep(5)
        assert met["anna"].id in met["box"].node.relay.sessions
        assert (await Api(met["box"].node).unloading())["gateways"] == []
        nursery.cancel_scope.cancel()


async def test_the_call_says_the_same_in_plain_values(autojump_clock: MockClock, met: Rig) -> None:
    await fill(met, 60)
    async with at_port(met, 5_000):
        await watch(met, 8)
        await trio.sleep(1)
        (found,) = (await Api(met["box"].node).unloading())["gateways"]
    assert (found["name"], found["is_counted"]) == ("gateway", True)
    assert found["seconds_left"] == pytest.approx(found["left_bytes"] / found["bytes_s"], rel=0.01)
    assert found["bundles_s"] > 0


@given(
    st.lists(
        st.tuples(st.floats(0.0, 40.0), st.integers(0, 10**6), st.integers(0, 10**3)),
        min_size=1,
        max_size=80,
    )
)
def test_the_pace_is_between_those_of_its_window(steps: list[tuple[float, int, int]]) -> None:
    """Judged by all looks, kept: the rate is of two of them at most `PACE_S` apart."""
    pace, at_s, sent, done = Pace(), 0.0, 0, 0
    told: list[tuple[float, int, int]] = []
    for wait_s, more_bytes, more in steps:
        at_s, sent, done = at_s + wait_s, sent + more_bytes, done + more
        told.append((at_s, sent, done))
        pace.note(at_s, sent, done)
        rate_bytes, rate = pace.rates
        possible = [
            (
                (sent - before[1]) / (at_s - before[0]) or None,
                (done - before[2]) / (at_s - before[0]) or None,
            )
            for before in told
            if 0 < at_s - before[0] <= PACE_S
        ]
        assert (rate_bytes, rate) in [*possible, (None, None)]
        assert len(pace) <= 2 * PACE_S + 2


def test_nothing_is_said_of_what_nobody_knows() -> None:
    port = Port(bytes(16), False, 0, 0, 0, 1.0, 1.0)
    assert port.seconds_left is None
