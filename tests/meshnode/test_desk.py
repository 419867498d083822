"""A node without its agent's keys carries on carrying; with them back it finds all that waited."""

from __future__ import annotations

import gc
import weakref

import pytest
import trio
from trio.testing import MockClock

from meshnode.api import Api
from meshnode.author import Author, Draft
from meshnode.errors import LockedError, StoreError
from meshnode.events import LockChanged
from meshnode.links.base import Address
from meshnode.node import Node, NodeIdentity, Surroundings, open_node
from meshnode.outbox import Writing
from meshnode.store import delivery
from meshnode.store.engine import Transaction
from meshnode.store.records import MessageState
from protocol.bundle import Suite
from protocol.limits import PREKEY_RENEW_MS, Kind
from protocol.reports import Reception
from tests.meshnode.rig import ZONE_SCOPE, Member, Rig, squad_scope
from tests.meshnode.test_node import running


def unlock(member: Member) -> None:
    """Open the desk of a node again."""
    assert member.parts.desk is not None
    member.node.open_desk(member.parts.desk)


async def waiting(member: Member) -> int:
    """Return how many bundles wait to be opened."""
    return len(await member.store.read(lambda conn: delivery.unopened(conn, 1_000)))


@pytest.mark.parametrize("room", ["outbox", "inbox", "receipting", "sealer"])
async def test_every_room_says_that_it_is_locked(
    autojump_clock: MockClock, rig: Rig, room: str
) -> None:
    node = rig["anna"].node
    assert getattr(node, room) is not None
    assert await node.lock() is True
    with pytest.raises(LockedError, match="run 'meshnode unlock'"):
        getattr(node, room)
    assert node.desk is None
    assert await node.lock() is False


async def test_no_call_reads_or_writes_while_locked(autojump_clock: MockClock, met: Rig) -> None:
    anna = met["anna"]
    sent = await anna.send(met["bruno"].scope, "before")
    api = Api(anna.node)
    await anna.node.lock()
    for call in (
        lambda: api.send("bruno", "now"),
        lambda: api.inbox(),
        lambda: api.outgoing(),
        lambda: api.message(str(sent.key)),
        lambda: api.cancel(str(sent.key)),
        lambda: api.mark_read(1),
        lambda: api.import_file("/nowhere"),
    ):
        with pytest.raises(LockedError):
            await call()
    assert (await api.status())["lock"]["is_locked"] is True
    assert (await api.peers()) == []
    assert len(await anna.outgoing()) == 1


async def test_what_came_while_locked_is_opened_after(autojump_clock: MockClock, met: Rig) -> None:
    anna, bruno = met["anna"], met["bruno"]
    async with running(met, box=(), anna=("box",), bruno=("box",)):
        await trio.sleep(5)
        await bruno.node.lock()
        sent = [await anna.send(bruno.scope, "to bruno"), await anna.send(squad_scope(), "to all")]
        await trio.sleep(10)
        assert await bruno.texts() == []
        assert await waiting(bruno) >= 2, "it took them and keeps them unopened"
        assert (await anna.message(sent[0].key)).state is MessageState.CARRIED
        unlock(bruno)
        await trio.sleep(10)
        assert sorted(await bruno.texts()) == ["to all", "to bruno"]
        for each in sent:
            assert (await anna.message(each.key)).state is MessageState.DELIVERED
        assert await waiting(bruno) == 0


async def test_it_is_opened_after_a_restart_too(autojump_clock: MockClock, met: Rig) -> None:
    anna, bruno = met["anna"], met["bruno"]
    await bruno.node.lock()
    await anna.send(bruno.scope, "to bruno")
    assert Reception.STORED in await met.carry("anna", "bruno")
    assert await bruno.texts() == []
    async with open_node(bruno.parts) as again:
        await again.settle()
    assert await bruno.texts() == ["to bruno"]


async def test_a_locked_node_relays_between_others(autojump_clock: MockClock, met: Rig) -> None:
    await met["box"].node.lock()
    async with running(met, box=(), anna=("box",), bruno=("box",)):
        await trio.sleep(5)
        sent = await met["anna"].send(met["bruno"].scope, "over a locked box")
        await trio.sleep(10)
        assert await met["bruno"].texts() == ["over a locked box"]
        assert (await met["anna"].message(sent.key)).state is MessageState.DELIVERED


async def test_a_node_that_never_had_a_desk_proves_who_it_is(
    autojump_clock: MockClock, met: Rig
) -> None:
    box = met["box"]
    parts = box.parts
    bare = type(parts)(parts.identity, box.store, parts.runtime, parts.router, parts.bearer)
    async with open_node(bare) as locked, trio.open_nursery() as nursery:
        assert locked.desk is None
        await nursery.start(locked.run, Surroundings())
        await nursery.start(met["anna"].node.run, Surroundings((Address("box", 1),)))
        await trio.sleep(5)
        assert list(met["anna"].node.relay.sessions) == [box.id]
        nursery.cancel_scope.cancel()


async def test_a_certificate_that_was_never_bound_needs_the_desk(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna = met["anna"]
    anna.node.bindings.clear()
    async with running(met, anna=(), bruno=("anna",)):
        await trio.sleep(5)
        assert list(met["bruno"].node.relay.sessions) == [anna.id]
    assert anna.node.bindings == anna.node.identity.binding


async def test_a_transaction_that_has_begun_is_finished_and_no_other_begins(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna = met["anna"]
    outbox, began = anna.node.outbox, trio.Event()
    outcomes: list[object] = []

    async def send(text: str) -> None:
        began.set()
        try:
            await anna.send(met["bruno"].scope, text)
            outcomes.append(text)
        except LockedError:
            outcomes.append(LockedError)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send, "begun before")
        await began.wait()
        await anna.node.lock()
        assert outcomes == ["begun before"]
    assert [each.text for each in await anna.outgoing()] == ["begun before"]
    with pytest.raises(LockedError):
        await outbox.send(Writing(met["bruno"].scope, "by one who kept the room"))
    assert len(await anna.outgoing()) == 1
    assert len(await anna.held(Kind.TEXT)) == 1


async def test_a_failing_disk_keeps_nothing_unlocked(
    autojump_clock: MockClock, met: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = met["anna"]
    desk = anna.node.require_desk()

    async def fail(_work: object) -> None:
        raise StoreError("the disk is gone")

    monkeypatch.setattr(anna.store, "write", fail)
    assert await anna.node.lock() is True
    assert anna.node.desk is None
    with pytest.raises(LockedError):
        desk.sign(b"x")


async def test_nobody_keeps_hold_of_a_desk_after_locking(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna = met["anna"]
    async with running(met, anna=(), bruno=("anna",)):
        await trio.sleep(5)
        seen = weakref.ref(anna.node.require_desk())
        await anna.node.lock()
        await trio.sleep(1)
        gc.collect()
        assert seen() is None


async def test_the_rooms_start_and_stop_and_start(autojump_clock: MockClock, met: Rig) -> None:
    anna, bruno = met["anna"], met["bruno"]
    async with running(met, bruno=(), anna=("bruno",)):
        await trio.sleep(5)
        for number in range(5):
            await bruno.node.lock()
            await anna.send(bruno.scope, f"{number}")
            await trio.sleep(3)
            assert len(await bruno.texts()) == number
            unlock(bruno)
            await trio.sleep(3)
            assert len(await bruno.texts()) == number + 1
        assert bruno.metric("rooms_restarted") == 0


async def test_locking_and_opening_at_once_leaves_one_desk(
    autojump_clock: MockClock, met: Rig
) -> None:
    bruno = met["bruno"]
    async with running(met, bruno=(), anna=("bruno",)):
        await trio.sleep(5)
        for _ in range(3):
            await bruno.node.lock()
            unlock(bruno)
        first = bruno.node.require_desk()
        unlock(bruno)
        assert bruno.node.desk is first
        await met["anna"].send(bruno.scope, "still there")
        await trio.sleep(3)
        assert await bruno.texts() == ["still there"]


async def test_a_prekey_is_not_renewed_while_locked_and_is_after(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna = met["anna"]

    async def newest() -> bytes:
        found = await anna.held(Kind.PREKEY)
        return next(x.digest for x in found if x.header.author == anna.id)

    async with anna.node.working():
        await trio.sleep(1)
        first = await newest()
        await anna.node.lock()
        anna.machine.clock_ahead_ms += PREKEY_RENEW_MS + 1
        await trio.sleep(600)
        assert await newest() == first
        unlock(anna)
        await trio.sleep(1)
        second = await newest()
        assert second != first
        anna.machine.clock_ahead_ms += PREKEY_RENEW_MS + 1
        await trio.sleep(600)
        assert await newest() != second, "the look of the house wakes the desk too"


async def test_watchers_are_told(autojump_clock: MockClock, rig: Rig) -> None:
    anna = rig["anna"]
    with anna.node.events.subscribe() as subscription:
        await anna.node.lock()
        unlock(anna)
        assert await subscription.next() == LockChanged(is_locked=True)
        assert await subscription.next() == LockChanged(is_locked=False)
    assert [x.event for x in rig.tracer.lines if x.event in ("locked", "unlocked")][-2:] == [
        "locked",
        "unlocked",
    ]


async def test_the_pen_signs_until_it_is_put_away(autojump_clock: MockClock, rig: Rig) -> None:
    anna = rig["anna"]
    sign = anna.node.require_desk().sign
    assert len(sign(b"x")) == 64
    await anna.node.lock()
    with pytest.raises(LockedError):
        sign(b"x")
    assert "sign" not in repr(anna.parts.desk)

    def write(tx: Transaction) -> None:
        author = Author(anna.id, sign, anna.machine.runtime, bytes(16))
        author.make(tx, Draft(Kind.PREKEY, Suite.CLEAR, ZONE_SCOPE), lambda _header: b"body")

    before = await anna.ids()
    with pytest.raises(LockedError):
        await anna.store.write(write)
    assert await anna.ids() == before


def test_an_identity_holds_no_key() -> None:
    assert set(NodeIdentity.__slots__) == {"node", "zone", "badge_chain", "binding"}
    assert isinstance(Node.desk, property)
