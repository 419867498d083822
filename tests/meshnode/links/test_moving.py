"""What changes around a node: addresses come and go, sightings flood in, guesses fail."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from meshnode.links.contacts import Contact, Contacts, Hint
from meshnode.links.memory import MemoryNetwork
from protocol.limits import CONTACTS_MAX, PROBE_TRIES_MAX
from tests.meshnode.links.test_manager import Node, place, running, until


def contact() -> Contact:
    return Contact([place("x")], lambda count: bytes(count), is_static=False)


async def test_a_guess_is_given_up_sooner_than_a_sighting(autojump_clock: MockClock) -> None:
    a = Node(MemoryNetwork(), "a")
    async with running(a):
        await a.hints.send(Hint("guess", (place("x"),), tries_max=PROBE_TRIES_MAX))
        await trio.sleep(7_200)
        assert len(a.bearer.dials) == PROBE_TRIES_MAX + 1
        assert a.bearer.dials[-1][0] - a.bearer.dials[0][0] < 20


async def test_a_guess_that_was_right_is_tried_as_long_as_any_other(
    autojump_clock: MockClock,
) -> None:
    world = MemoryNetwork()
    a, b = Node(world, "a"), Node(world, "b")
    async with running(a):
        async with running(b):
            await a.hints.send(Hint("guess", (place("b"),), tries_max=PROBE_TRIES_MAX))
            await until(lambda: a.peers == ["b"])
            await trio.sleep(60)
        await trio.sleep(600)
        async with running(Node(world, "b")):
            await until(lambda: a.peers == ["b"])


async def test_after_a_move_every_place_is_tried_at_once(autojump_clock: MockClock) -> None:
    world = MemoryNetwork()
    a, b = Node(world, "a", static=["b"]), Node(world, "b")
    async with running(a):
        await trio.sleep(1_000)
        async with running(b):
            at_s = trio.current_time()
            a.manager.moved(())
            assert await until(lambda: a.peers == ["b"], 0.01) - at_s < 0.1


async def test_only_sessions_over_a_lost_address_end(autojump_clock: MockClock) -> None:
    world = MemoryNetwork()
    a, b, c = Node(world, "a", static=["b", "c"]), Node(world, "b"), Node(world, "c")
    async with running(a, b, c):
        await until(lambda: a.peers == ["b", "c"])
        first = {chr(handle.peer[0]): handle for handle in a.manager.sessions}
        first["b"].link.local, first["c"].link.local = "10.0.0.1", "10.0.0.2"
        a.manager.moved({"10.0.0.2", "10.0.0.3"})
        await trio.sleep(5)
        assert first["b"].is_over
        assert not first["c"].is_over
        assert a.peers == ["b", "c"]


@pytest.mark.parametrize(
    ("old_remote", "after_s", "within_s"), [("b:1", 15, 60), ("elsewhere:7445", 2, 8)]
)
async def test_a_peer_that_moved_gets_in_as_soon_as_its_old_session_is_silent(
    autojump_clock: MockClock, old_remote: str, after_s: float, within_s: float
) -> None:
    # The smaller id dialled, so without a sign that it is dead its session is the one to keep.
    world = MemoryNetwork()
    a, b = Node(world, "a", static=["b"]), Node(world, "b")
    async with running(a, b):
        await until(lambda: a.peers == ["b"] and b.peers == ["a"])
        await trio.sleep(1)
        a.manager.sessions[0].link.remote = old_remote
        a.bearer.links[0].stall()  # type: ignore[attr-defined]
        b.manager.sessions[0].link.local = "lost"
        at_s = trio.current_time()
        b.manager.moved(())
        await b.hints.send(Hint("a", (place("a"),)))
        await until(lambda: not b.host.handles)
        await until(lambda: len(b.host.handles) == 1)
        assert after_s <= trio.current_time() - at_s <= within_s
        await trio.sleep(200)
        assert len(a.manager.sessions) == len(b.manager.sessions) == 1


@pytest.mark.slow
async def test_whoever_sends_sightings_cannot_end_a_session(autojump_clock: MockClock) -> None:
    world = MemoryNetwork()
    a, b = Node(world, "a"), Node(world, "b")
    async with running(a, b):
        await a.hints.send(Hint("boat", (place("b"),)))
        await until(lambda: a.peers == ["b"])
        (handle,) = a.manager.sessions
        for number in range(CONTACTS_MAX + 1):
            await a.hints.send(Hint(f"fake {number}", (place("x"),)))
        await a.hints.send(Hint("boat", ()))
        await trio.sleep(30)
        assert not handle.is_over
        # The name may be sighted anew meanwhile, and the end of the old one leaves it alone.
        await a.hints.send(Hint("boat", (place("b"),)))
        await b.manager.stop()
        async with running(Node(world, "b")):
            await until(lambda: a.peers == ["b"])


def test_made_up_names_drive_out_made_up_names() -> None:
    contacts = Contacts()
    met = contact()
    met.node = b"n" * 16
    contacts.add("met", met)
    for number in range(CONTACTS_MAX * 2):
        contacts.add(str(number), contact())
    assert len(contacts) == CONTACTS_MAX
    assert contacts.get("met") is met
    assert contacts.get(str(CONTACTS_MAX * 2 - 1)) is not None
    assert contacts.get("0") is None


def test_if_everybody_was_met_the_longest_unseen_goes() -> None:
    contacts = Contacts()
    for number in range(CONTACTS_MAX + 1):
        each = contact()
        each.node = bytes(16)
        contacts.add(str(number), each)
    assert len(contacts) == CONTACTS_MAX
    assert contacts.get("0") is None
