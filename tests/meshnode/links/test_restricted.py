"""Peers that are revoked, or whose badge ended lately, over whole sessions on shaped links."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from meshnode.links.memory import MemoryNetwork, Shape
from protocol.errors import CloseCode
from protocol.limits import Kind
from protocol.reports import Standing
from tests.meshnode.links.contact_parts import FAST, contact, hosts, make_ends, texts, until
from tests.meshnode.links.fake_host import container
from tests.meshnode.links.test_manager import Node, running

ROOT = (1, b"")
SLOW = Shape(latency_s=0.1, rate_bytes_s=3_000, buffer_bytes=4_096)
"""Documents take many seconds here, far longer than a goodbye is waited for."""


@pytest.mark.parametrize("standing", [Standing.CONTROL_ONLY, Standing.REVOKED])
@pytest.mark.parametrize("doubter", [0, 1])
async def test_documents_cross_both_ways_and_nothing_else(
    autojump_clock: MockClock, standing: Standing, doubter: int
) -> None:
    both = hosts()
    ours, peer = both[doubter], both[1 - doubter]
    ours.peers_stand = standing
    ours.documents = {ROOT: (3, b"new root"), (3, b"signer"): (1, b"revocation")}
    peer.documents = {ROOT: (2, b"old root"), (2, b"x"): (5, b"roster")}
    ours.put(texts(5))
    peer.put(texts(5, 100))
    async with contact(*both) as ends:
        with trio.fail_after(20):
            for end in ends:
                await until(lambda end=end: end.report is not None)  # type: ignore[misc]
    assert sorted(peer.applied) == [b"new root", b"revocation"]
    assert ours.applied == [b"roster"]
    for host in both:
        assert len(host.stored) == 5
        assert host.batches == []
    here, there = ends[doubter].done, ends[1 - doubter].done
    assert (here.code, here.by_peer) == (CloseCode.REFUSED, False)
    assert (there.code, there.by_peer) == (CloseCode.REFUSED, True)
    assert here.peer == peer.node
    assert here.stats.rounds == there.stats.rounds == 0
    assert ours.handles == peer.handles == []


async def test_documents_reach_a_revoked_peer_over_a_slow_link(autojump_clock: MockClock) -> None:
    ours, peer = hosts()
    ours.peers_stand = Standing.REVOKED
    ours.documents = {ROOT: (3, bytes(60_000)), (4, b"order"): (1, b"wipe" * 10_000)}
    near, far = make_ends(ours, peer, SLOW)
    with trio.fail_after(300):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(near.run)
            nursery.start_soon(far.run)
    assert sorted(len(raw) for raw in peer.applied) == [40_000, 60_000]
    assert far.done.code is near.done.code is CloseCode.REFUSED
    assert far.done.duration_s > 30


async def test_a_peer_cleared_by_what_it_brought_goes_on(autojump_clock: MockClock) -> None:
    ours, peer = hosts()
    ours.peers_stand = Standing.REVOKED
    peer.documents = {ROOT: (2, b"a root without the signer that revoked it")}
    peer.put(texts(2))
    apply = ours.apply_documents

    async def clearing(node: bytes, raws: list[bytes]) -> None:
        await apply(node, raws)
        ours.peers_stand = Standing.FULL

    ours.apply_documents = clearing  # type: ignore[method-assign, assignment]
    async with contact(ours, peer):
        await until(lambda: len(ours.stored) == 2)


async def test_a_live_peer_that_is_revoked_hears_why_and_is_closed_at_once(
    autojump_clock: MockClock,
) -> None:
    ours, peer = hosts()
    async with contact(ours, peer) as (near, far):
        await until(lambda: bool(ours.handles and peer.handles))
        (handle,) = ours.handles
        handle.announce(ours.put([container(Kind.TEXT, 1)]))
        handle.tell_documents([b"revocation"])
        handle.restrict()
        handle.announce(ours.put([container(Kind.TEXT, 2)]))
        await until(lambda: near.report is not None and far.report is not None)
    assert peer.applied == [b"revocation"]
    assert peer.stored == {}
    assert near.done.code is far.done.code is CloseCode.REFUSED
    handle.restrict()


async def test_a_revoked_peer_that_stalls_is_given_up(autojump_clock: MockClock) -> None:
    ours, peer = hosts()
    near, far = make_ends(ours, peer, FAST)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(near.run)
        nursery.start_soon(far.run)
        await until(lambda: bool(ours.handles))
        far.link.stall()
        (handle,) = ours.handles
        handle.tell_documents([bytes(60_000)] * 5)
        handle.restrict()
        with trio.fail_after(40):
            await until(lambda: near.report is not None)
        far.link.drop()
    assert near.done.code is CloseCode.TIMEOUT


async def test_who_is_refused_after_the_documents_dials_again_but_ever_less(
    autojump_clock: MockClock,
) -> None:
    """It may be cleared one day, and must hear of a wipe: its address is not given up."""
    world = MemoryNetwork()
    a, b = Node(world, "a", ["b"]), Node(world, "b")
    b.host.peers_stand = Standing.REVOKED
    async with running(a, b):
        await trio.sleep(3_600)
        assert 10 < len(a.bearer.dials) < 40
        assert a.peers == b.peers == []
        b.host.peers_stand = Standing.FULL
        await until(lambda: a.peers == ["b"] and b.peers == ["a"])
