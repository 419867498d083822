"""A whole node over links in memory: it meets, serves, says goodbye, and starts again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from meshnode.errors import LinkError, StoreCorruptError
from meshnode.events import MessageArrived, PeerDown, PeerUp
from meshnode.links.base import Address
from meshnode.links.contacts import Hint
from meshnode.links.memory import MemoryLink
from meshnode.node import NodeParts, Surroundings, open_node
from meshnode.store.engine import open_store
from meshnode.store.records import MessageState
from protocol import bundle as bundles
from protocol.ids import BundleId, NodeId, ShortId
from protocol.limits import ASKED_MS, HOUSEKEEPING_MS_MAX, Kind
from protocol.reports import Reception
from protocol.routing.gain import Gain
from tests.meshnode.documents import roster
from tests.meshnode.rig import CODT, Rig, squad_scope


@asynccontextmanager
async def running(rig: Rig, **dials: tuple[str, ...]) -> AsyncIterator[trio.Nursery]:
    """Run nodes; each dials those that are named for it."""
    async with trio.open_nursery() as nursery:
        for name, others in dials.items():
            static = tuple(Address(other, 1) for other in others)
            await nursery.start(rig[name].node.run, Surroundings(static))
        yield nursery
        nursery.cancel_scope.cancel()


async def test_a_message_goes_over_a_box_and_its_receipt_comes_back(
    autojump_clock: MockClock, rig: Rig
) -> None:
    async with running(rig, box=(), anna=("box",), bruno=("box",), gateway=("box",)):
        await trio.sleep(5)
        sent = [
            await rig["anna"].send(rig["bruno"].scope, "to bruno"),
            await rig["anna"].send(squad_scope(), "to the squad"),
            await rig["anna"].send(CODT, "to the centre"),
        ]
        await trio.sleep(10)
        assert sorted(await rig["bruno"].texts()) == ["to bruno", "to the squad"]
        assert await rig["gateway"].texts() == ["to the centre"]
        for each in sent:
            assert (await rig["anna"].message(each.key)).state is MessageState.DELIVERED


async def test_a_live_contact_pushes_at_once(autojump_clock: MockClock, met: Rig) -> None:
    async with running(met, bruno=(), anna=("bruno",)):
        await trio.sleep(5)
        with met["bruno"].node.events.subscribe() as subscription:
            began_s = trio.current_time()
            await met["anna"].send(met["bruno"].scope, "now")
            with trio.fail_after(1):
                while not isinstance(await subscription.next(), MessageArrived):
                    pass
            assert trio.current_time() - began_s < 0.1


async def test_both_ends_are_told_who_came_and_went(autojump_clock: MockClock, met: Rig) -> None:
    with met["anna"].node.events.subscribe() as subscription:
        async with running(met, bruno=(), anna=("bruno",)):
            assert await subscription.next() == PeerUp(met["bruno"].id, "bruno:1")
            assert list(met["anna"].node.relay.sessions) == [met["bruno"].id]
        event = await subscription.next()
        while not isinstance(event, PeerDown):
            event = await subscription.next()
        assert event == PeerDown(met["bruno"].id)
    assert met["anna"].node.relay.sessions == {}
    codes = [dict(x.fields)["code"] for x in met.tracer.lines if x.event == "session_ended"]
    assert set(codes) <= {"going_away", "normal"}
    assert codes


async def test_a_hint_is_followed(autojump_clock: MockClock, met: Rig) -> None:
    async with running(met, bruno=(), anna=()):
        await met["anna"].node.hints_in.send(Hint("sighted", (Address("bruno", 1),)))
        await trio.sleep(2)
        assert list(met["anna"].node.relay.sessions) == [met["bruno"].id]


async def test_a_new_roster_reaches_live_peers_at_once(autojump_clock: MockClock, met: Rig) -> None:
    async with running(met, box=(), anna=("box",), bruno=("box",)):
        await trio.sleep(5)
        await met["anna"].node.membership.accept([roster(met, ["anna"], 2).raw])
        await trio.sleep(2)
        for name in ("box", "bruno"):
            directory = met[name].node.membership.directory
            assert directory.recipients(squad_scope(), bytes(16)) == {met["anna"].id}, name


async def test_a_node_starts_again_over_its_store(autojump_clock: MockClock, met: Rig) -> None:
    sent = await met["anna"].send(met["bruno"].scope, "before the restart")
    async with open_node(met["anna"].parts) as again, trio.open_nursery() as nursery:
        await nursery.start(met["bruno"].node.run, Surroundings())
        await nursery.start(again.run, Surroundings((Address("bruno", 1),)))
        await trio.sleep(5)
        nursery.cancel_scope.cancel()
    assert await met["bruno"].texts() == ["before the restart"]
    assert (await met["anna"].message(sent.key)).state is MessageState.DELIVERED


async def test_two_cannot_listen_at_one_place(autojump_clock: MockClock, rig: Rig) -> None:
    async with running(rig, anna=()), open_node(rig["anna"].parts) as again:
        with pytest.RaisesGroup(LinkError, flatten_subgroups=True, allow_unwrapped=True):
            await again.run(Surroundings())


async def test_a_store_without_keys_is_no_node(autojump_clock: MockClock, rig: Rig) -> None:
    parts = rig["anna"].parts
    async with open_store(None, parts.runtime) as store:
        bare = NodeParts(parts.identity, store, parts.runtime, Gain(), parts.bearer)
        with pytest.raises(StoreCorruptError, match="enrol this device again"):
            async with open_node(bare):
                pass


async def test_settling_does_once_what_a_running_node_does(
    autojump_clock: MockClock, met: Rig
) -> None:
    sent = await met["anna"].send(met["bruno"].scope, "hello")
    bundles = [x for x in await met["anna"].held() if x.header.id == sent.id]
    async with met["bruno"].node.working():
        # Its rooms are at work: settling by hand would race them, and does nothing.
        await met["bruno"].node.relay.receive(None, [(0, bundles[0].raw)])
        await met["bruno"].node.settle()
        await trio.sleep(2)
        assert await met["bruno"].texts() == ["hello"]
        assert met["bruno"].metric("receipts_made") >= 1


async def test_an_error_inside_working_comes_out_alone(autojump_clock: MockClock, met: Rig) -> None:
    with pytest.raises(LinkError, match="no way"):
        async with met["anna"].node.working():
            raise LinkError("no way")


async def test_a_link_is_bound_once(autojump_clock: MockClock, met: Rig) -> None:
    async with running(met, bruno=(), anna=("bruno",)):
        await trio.sleep(2)
    anna = met["anna"].node
    assert anna.bindings == anna.identity.binding, "what was bound before is not bound again"
    assert not hasattr(anna.identity, "sign")


# --- contacts that end at a bad moment -----------------------------------------------------------


def lose_the_answer(rig: Rig, name: str) -> trio.Event:
    """Let the link of a node break once, between its commit of a text and the answer; tell when."""
    is_lost = trio.Event()
    relay = rig[name].node.relay
    receive = relay.receive

    async def receive_and_break(
        peer: NodeId | None, batch: Sequence[tuple[int, bytes]]
    ) -> list[tuple[ShortId | None, Reception]]:
        outcomes = await receive(peer, batch)
        assert peer is not None
        kinds = {bundles.decode_untrusted(raw).header.kind for _hops, raw in batch}
        if Kind.TEXT in kinds:
            relay.receive = receive  # type: ignore[method-assign]
            link = relay.sessions[peer].link
            assert isinstance(link, MemoryLink)
            link.drop()
            is_lost.set()
        return outcomes

    relay.receive = receive_and_break  # type: ignore[method-assign]
    return is_lost


@pytest.mark.parametrize("dials", [{"anna": ("box",), "box": ()}, {"box": ("anna",), "anna": ()}])
@pytest.mark.parametrize("are_alike", [True, False])
async def test_who_carries_a_message_is_known_though_the_answer_was_lost(
    autojump_clock: MockClock, met: Rig, dials: dict[str, tuple[str, ...]], are_alike: bool
) -> None:
    is_lost = lose_the_answer(met, "box")
    sent = await met["anna"].send(met["bruno"].scope, "into a broken contact")
    before = met["box"].metric("bundles_duplicate")
    async with running(met, **dict(sorted(dials.items(), key=lambda each: len(each[1])))):
        await is_lost.wait()
        assert await has(met, "box", sent.id)
        if not are_alike:
            await met["bruno"].send(squad_scope(), "news of somebody else")
            await met.carry("bruno", "box", Kind.TEXT)
        assert (await met["anna"].message(sent.key)).state is MessageState.QUEUED
        await trio.sleep(60)
        assert (await met["anna"].message(sent.key)).state is MessageState.CARRIED
        told = [each.node for each in await met["anna"].ledger(sent.key) if each.node]
        assert told == [met["box"].id]
        assert met["box"].metric("bundles_duplicate") == before + 1


# --- peers that mean no good ---------------------------------------------------------------------


async def hold_back(rig: Rig) -> BundleId:
    """Give anna and bruno a bundle that anna offers and never sends; return its name."""
    sent = await rig["gateway"].send(squad_scope(), "held back")
    for name in ("anna", "bruno"):
        await rig.carry("gateway", name, Kind.TEXT)

    async def never(_ids: object, _peer: object = None) -> dict[int, tuple[bytes, int]]:
        await trio.sleep_forever()
        raise AssertionError("never")

    rig["anna"].node.relay.read_bundles = never  # type: ignore[method-assign,assignment]
    return sent.id


async def has(rig: Rig, name: str, message: BundleId) -> bool:
    """Tell whether a node holds the bundle of a message."""
    return message in [bundle.header.id for bundle in await rig[name].held()]


async def test_a_peer_that_is_asked_and_never_gives_keeps_nothing_from_others(
    autojump_clock: MockClock, met: Rig
) -> None:
    message = await hold_back(met)
    async with running(met, anna=(), bruno=(), box=("anna",)):
        await trio.sleep(10)
        await met["box"].node.hints_in.send(Hint("later", (Address("bruno", 1),)))
        await trio.sleep(20)
        assert {met["anna"].id, met["bruno"].id} == set(met["box"].node.relay.sessions)
        assert not await has(met, "box", message), "asked of anna, and of nobody else"
        await trio.sleep((HOUSEKEEPING_MS_MAX + ASKED_MS) / 1000)
        assert await has(met, "box", message)


async def test_what_a_peer_owed_comes_from_another_at_once_when_it_goes(
    autojump_clock: MockClock, met: Rig
) -> None:
    message = await hold_back(met)
    async with running(met, bruno=(), box=()):
        async with running(met, anna=()):
            for name in ("anna", "bruno"):
                await met["box"].node.hints_in.send(Hint(name, (Address(name, 1),)))
                await trio.sleep(5)
            assert not await has(met, "box", message)
        await trio.sleep(2)
        assert await has(met, "box", message)
