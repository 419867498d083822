"""Missing chain keys: asked of their author alone, after a minute, and not too often."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from meshnode.author import Author
from meshnode.key_requests import KeyRequests
from meshnode.store.records import Unopened
from protocol.bundle import Bundle, Suite
from protocol.limits import KEY_REQUEST_DELAY_MS, KEY_REQUEST_REPEAT_MS, Kind
from protocol.receipts import decode_key_request_untrusted
from tests.meshnode.rig import Member, Rig, squad_scope


def room(rig: Rig, name: str = "bruno") -> KeyRequests:
    """Return the room over one store."""
    member = rig[name]
    key, node = rig.fleet.secrets.network_key, member.node
    author = Author(member.id, member.device.keys.badge.sign, member.machine.runtime, key)
    return KeyRequests(author, member.store, node.runtime, node.membership, node.metrics)


def waiting(member: Member, author: Member, chain: bytes, since_ms: int = 0) -> Unopened:
    """Return a bundle of `author` that has waited for its chain since then."""
    return Unopened(5, author.id, chain, member.machine.now_ms() - since_ms)


async def test_nothing_is_asked_for_in_the_first_minute(
    autojump_clock: MockClock, rig: Rig
) -> None:
    bruno, anna = rig["bruno"], rig["anna"]
    asks = room(rig)
    young = waiting(bruno, anna, b"chain  1", KEY_REQUEST_DELAY_MS - 1_000)
    assert await asks.make_due([young]) == ([], 1_000)
    assert await asks.make_due([]) == ([], None)


async def test_an_author_is_asked_once_an_hour_for_all_its_chains(
    autojump_clock: MockClock, rig: Rig
) -> None:
    bruno, anna = rig["bruno"], rig["anna"]
    asks = room(rig)
    first = waiting(bruno, anna, b"chain  2", KEY_REQUEST_DELAY_MS)
    second = waiting(bruno, anna, b"chain  1", KEY_REQUEST_DELAY_MS)
    ((made,), wait_ms) = await asks.make_due([first, second])
    assert wait_ms == KEY_REQUEST_REPEAT_MS
    assert made.bundle is not None
    assert made.bundle.header.scope == anna.scope
    assert decode_key_request_untrusted(made.bundle.body).chains == (b"chain  1", b"chain  2")
    await trio.sleep(10)
    assert await asks.make_due([first]) == ([], KEY_REQUEST_REPEAT_MS - 10_000)
    third = waiting(bruno, anna, b"chain  3", KEY_REQUEST_DELAY_MS)
    assert len((await asks.make_due([first, third]))[0]) == 1, "a new one is worth asking"
    await trio.sleep(KEY_REQUEST_REPEAT_MS / 1000)
    assert len((await asks.make_due([first]))[0]) == 1
    assert bruno.metric("keys_requested") == 5


async def test_a_stranger_is_not_asked(autojump_clock: MockClock, rig: Rig) -> None:
    strange = Unopened(5, bytes(16), b"chain  1", 0)
    made, _wait_ms = await room(rig).make_due([strange])
    assert made == []


async def test_a_missing_key_is_asked_for_and_the_message_opens(
    autojump_clock: MockClock, met: Rig
) -> None:
    """Security case S21: kept, marked as waiting, requested from its author, opened later."""
    anna, bruno = met["anna"], met["bruno"]
    await anna.send(squad_scope(), "hello")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bruno.node.inbox.run)
        await met.carry("anna", "bruno", Kind.TEXT)
        await trio.sleep(KEY_REQUEST_DELAY_MS / 1000 - 5)
        assert await own(bruno) == []
        await trio.sleep(10)
        (asked,) = await own(bruno)
        assert asked.header.scope == anna.scope
        assert await bruno.texts() == []
        nursery.cancel_scope.cancel()
    anna.machine.clock_ahead_ms += KEY_REQUEST_REPEAT_MS
    await met.carry("bruno", "anna", Kind.KEY_REQUEST)
    await met.carry("anna", "bruno", Kind.CHAIN_KEYS)
    assert await bruno.texts() == ["hello"]


async def own(member: Member) -> list[Bundle]:
    """Return the requests that a device made."""
    return [x for x in await member.held(Kind.KEY_REQUEST) if x.header.author == member.id]


async def test_one_who_names_thousands_of_chains_hides_no_other_author(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno, gateway = met["anna"], met["bruno"], met["gateway"]
    flood = [
        gateway.forge(
            gateway.header(
                Kind.TEXT, bruno.scope, n, suite=Suite.CHAIN, keyref=n.to_bytes(8, "big")
            ),
            bytes(48),
        )
        for n in range(200)
    ]
    await bruno.take(flood)
    await anna.send(squad_scope(), "hello")
    await met.carry("anna", "bruno", Kind.TEXT)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bruno.node.inbox.run)
        await trio.sleep(KEY_REQUEST_DELAY_MS / 1000 + 5)
        nursery.cancel_scope.cancel()
    asked = {each.header.scope for each in await own(bruno)}
    assert asked == {anna.scope, gateway.scope}
    requests = [decode_key_request_untrusted(each.body).chains for each in await own(bruno)]
    assert all(len(chains) <= 64 for chains in requests), "a request that nobody would read"
