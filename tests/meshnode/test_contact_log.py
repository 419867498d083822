"""Who was met: written behind the sessions, in order, bounded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from meshnode import contact_log as module
from meshnode.api import Api
from meshnode.contact_log import ContactLog
from meshnode.errors import StoreFullError
from meshnode.links.base import Address
from meshnode.node import Surroundings
from meshnode.store import peers
from meshnode.store.records import PeerRecord
from tests.meshnode.disks import full
from tests.meshnode.rig import Rig


async def met_by(rig: Rig, name: str) -> Sequence[PeerRecord]:
    """Return whom a node has met."""
    return await rig[name].store.read(peers.list_peers)


async def contact(rig: Rig, seconds: float = 5.0) -> None:
    """Let anna dial the box and stay for a while."""
    async with trio.open_nursery() as nursery:
        await nursery.start(rig["box"].node.run, Surroundings())
        await nursery.start(rig["anna"].node.run, Surroundings((Address("box", 1),)))
        await trio.sleep(seconds)
        for name, peer in (("anna", "box"), ("box", "anna")):
            (found,) = await met_by(rig, name)
            assert (found.node, found.is_up) == (rig[peer].id, True)
        nursery.cancel_scope.cancel()


async def test_a_contact_is_written_down_at_both_ends(autojump_clock: MockClock, rig: Rig) -> None:
    began_ms = rig["anna"].machine.now_ms()
    await contact(rig)
    for name in ("anna", "box"):
        (found,) = await met_by(rig, name)
        assert (found.is_up, found.contacts) == (False, 1)
        assert found.sent_bytes > 0
        assert found.received_bytes > 0
        assert began_ms <= found.first_ms <= found.last_ms
    (of_anna,), (of_box,) = await met_by(rig, "anna"), await met_by(rig, "box")
    assert of_anna.address == "box:1"
    assert of_box.address == "anna:7625", "who dialled is asked at the usual port"


async def test_places_that_answered_are_known_later(autojump_clock: MockClock, rig: Rig) -> None:
    await contact(rig)
    await contact(rig)
    (found,) = await met_by(rig, "anna")
    assert found.contacts == 2
    log = ContactLog(rig["anna"].store, rig["anna"].machine.runtime)
    assert await log.addresses(9) == [Address("box", 1)]
    assert await log.addresses(0) == []
    assert await ContactLog(rig["box"].store, rig["box"].machine.runtime).addresses(9) == [
        Address("anna", 7625)
    ]


@pytest.mark.parametrize(
    ("known", "kept"),
    [("anna:9", "anna:9"), ("elsewhere:9", "anna:7625"), ("a b", "anna:7625")],
)
async def test_a_guessed_port_never_replaces_a_known_one_of_that_host(
    autojump_clock: MockClock, rig: Rig, known: str, kept: str
) -> None:
    now_ms = rig["box"].machine.now_ms()
    await rig["box"].store.write(lambda tx: peers.contact_up(tx, rig["anna"].id, known, now_ms))
    await contact(rig)
    (found,) = await met_by(rig, "box")
    assert found.address == kept


async def test_an_address_that_cannot_be_read_is_passed_over(
    autojump_clock: MockClock, rig: Rig
) -> None:
    anna = rig["anna"]
    now_ms = anna.machine.now_ms()
    for place, address in enumerate(("a b", "box:99999", "good:7")):
        node = bytes([place]) * 16
        met = partial(peers.contact_up, node=node, address=address, at_ms=now_ms)
        await anna.store.write(met)
    log = ContactLog(anna.store, anna.machine.runtime)
    assert await log.addresses(9) == [Address("good", 7)]


async def test_what_a_stop_kept_from_the_disk_is_written_by_whoever_writes_next(
    autojump_clock: MockClock, rig: Rig
) -> None:
    anna = rig["anna"].node
    async with trio.open_nursery() as nursery:
        await nursery.start(rig["box"].node.run, Surroundings())
        await nursery.start(anna.run, Surroundings((Address("box", 1),)))
        await trio.sleep(5)
        log = ContactLog(rig["anna"].store, rig["anna"].machine.runtime)
        log.down(anna.relay.sessions[rig["box"].id])
        with trio.CancelScope() as scope:
            scope.cancel()
            await log.flush()
        (found,) = await met_by(rig, "anna")
        assert (found.is_up, found.sent_bytes) == (True, 0)
        await log.flush()
        (found,) = await met_by(rig, "anna")
        assert not found.is_up
        assert found.sent_bytes > 0
        nursery.cancel_scope.cancel()


async def test_a_contact_that_found_no_room_hinders_nobody_who_looks(
    autojump_clock: MockClock, rig: Rig
) -> None:
    anna = rig["anna"]
    now_ms = anna.machine.now_ms()
    await anna.store.write(lambda tx: full(tx.connection))
    with pytest.raises(StoreFullError):
        for number in range(100_000):
            node = number.to_bytes(16, "big")
            met = partial(peers.contact_up, node=node, address="", at_ms=now_ms)
            await anna.store.write(met)
    async with trio.open_nursery() as nursery:
        await nursery.start(rig["box"].node.run, Surroundings())
        await nursery.start(anna.node.run, Surroundings((Address("box", 1),)))
        await trio.sleep(5)
        assert rig["box"].id in anna.node.relay.sessions
        assert "box" not in {each["name"] for each in await Api(anna.node).peers()}
        nursery.cancel_scope.cancel()


async def test_what_waits_is_bounded(
    autojump_clock: MockClock, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CONTACTS_MAX", 0)
    async with trio.open_nursery() as nursery:
        await nursery.start(rig["box"].node.run, Surroundings())
        await nursery.start(rig["anna"].node.run, Surroundings((Address("box", 1),)))
        await trio.sleep(5)
        assert rig["anna"].id in rig["box"].node.relay.sessions, "the session does not mind"
        nursery.cancel_scope.cancel()
    assert await met_by(rig, "anna") == []


async def test_a_crash_leaves_nobody_in_contact(autojump_clock: MockClock, rig: Rig) -> None:
    anna = rig["anna"]
    now_ms = anna.machine.now_ms()
    await anna.store.write(lambda tx: peers.contact_up(tx, bytes(16), "x:1", now_ms))
    await anna.node.relay.load()
    (found,) = await met_by(rig, "anna")
    assert found.is_up is False
