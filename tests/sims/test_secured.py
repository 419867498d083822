"""TLS over links in memory: the streams that it wants, and whole worlds under it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from meshnode.errors import HandshakeError, LinkError
from meshnode.links.base import Link
from meshnode.links.memory import MemoryNetwork, Shape, memory_link_pair
from protocol.identity import Role
from sims.checkers import check_world
from sims.fleet import DevicePlan, Fleet, make_fleet
from sims.measures import measure
from sims.network import address_of
from sims.reading import load_scenario
from sims.runtime import START_MS, Machine, Tracer, seeded_entropy
from sims.secured import LinkStream, SecuredBearer, contexts_of
from sims.world import Links, Sealing, run_world

PLANS = (DevicePlan("a", Role.AGENT), DevicePlan("b", Role.AGENT))


def fleet(seed: int = 1) -> Fleet:
    """Return two enrolled devices."""
    return make_fleet(PLANS, seeded_entropy(seed, "fleet"), START_MS)


def bearers(
    folder: Path, network: MemoryNetwork, first: Fleet, second: Fleet
) -> list[SecuredBearer]:
    """Return the bearers of a device of each fleet."""
    found = []
    for place, (name, each) in enumerate((("a", first), ("b", second))):
        contexts = contexts_of(each.devices[place], each, folder)
        runtime = Machine(1, name, Tracer()).runtime
        found.append(SecuredBearer(network.bearer(address_of(name), b""), contexts, runtime))
    return found


async def test_a_stream_over_a_link_is_one(autojump_clock: MockClock) -> None:
    near, far = (LinkStream(link) for link in memory_link_pair(Shape(0.1)))
    await near.wait_send_all_might_not_block()
    await near.send_all(bytearray(b"hello"))
    assert await far.receive_some(2) == b"he"
    assert await far.receive_some() == b"llo"
    await near.aclose()
    assert await far.receive_some() == b""
    with pytest.raises(trio.BrokenResourceError):
        await near.send_all(b"x")
    with pytest.raises(trio.BrokenResourceError):
        await near.receive_some()


async def test_both_ends_know_each_other(autojump_clock: MockClock, tmp_path: Path) -> None:
    both, taken = fleet(), list[Link]()
    a, b = bearers(tmp_path, MemoryNetwork(), both, both)

    async def take(link: Link) -> None:
        taken.append(link)

    async with trio.open_nursery() as nursery:
        await nursery.start(b.serve, take)
        link = await a.dial(address_of("b"))
        await wait_all_tasks_blocked()
        (far,) = taken
        assert link.peer_certificate == both.devices[1].link_chain[0] == far.local_certificate
        assert far.peer_certificate == both.devices[0].link_chain[0] == link.local_certificate
        assert link.is_initiator
        assert not far.is_initiator
        await link.send(b"hello")
        assert await far.receive(100) == b"hello"
        nursery.cancel_scope.cancel()


async def test_a_stranger_is_refused(autojump_clock: MockClock, tmp_path: Path) -> None:
    a, b = bearers(tmp_path, MemoryNetwork(), fleet(1), fleet(2))
    taken: list[Link] = []

    async def take(link: Link) -> None:
        taken.append(link)

    async with trio.open_nursery() as nursery:
        await nursery.start(b.serve, take)
        with pytest.raises(HandshakeError):
            await a.dial(address_of("b"))
        with pytest.raises(LinkError):
            await a.dial(address_of("nobody"))
        assert not taken
        nursery.cancel_scope.cancel()


@pytest.mark.slow
def test_a_world_under_real_keys_and_tls_keeps_every_promise() -> None:
    scenario = load_scenario("two_nodes")
    world = run_world(scenario, 7, sealing=Sealing.HPKE, links=Links.TLS)
    assert check_world(world) == []
    figures = measure(world)
    assert figures.copies_arrived == figures.copies_due > 0
