"""Store, carry and forward: who gets what queued, what is dropped when, and that nothing opens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import pytest
from trio.testing import MockClock

from meshnode.api import Api
from meshnode.errors import StoreFullError
from meshnode.events import BundlesStored
from meshnode.immunity import Immunity
from meshnode.membership import Membership
from meshnode.node import open_node
from meshnode.outbox import Priority
from meshnode.store import bundles as rows
from meshnode.store import keyring
from meshnode.store.engine import Connection
from meshnode.store.records import MessageState
from protocol.bundle import Bundle
from protocol.envelope import (
    HpkeSealer,
    PrekeySecret,
    decode_slots_untrusted,
    open_message,
    seal_info,
    slot_info,
    sos_message_key,
)
from protocol.errors import EnvelopeError
from protocol.identity import Role
from protocol.limits import Kind
from protocol.reports import Reception
from sims.fleet import DevicePlan
from tests.meshnode.rig import CODT, ZONE_SCOPE, Rig, bundle_of, open_rig, squad_scope


async def test_a_box_carries_for_others_and_opens_nothing(
    autojump_clock: MockClock, met: Rig
) -> None:
    """Security case S18 at the node."""
    anna, bruno, box = met["anna"], met["bruno"], met["box"]
    for number in range(30):
        await anna.send(squad_scope(), f"squad {number}")
    await anna.send(bruno.scope, "to bruno")
    await anna.send(CODT, "to the centre")
    await anna.send(ZONE_SCOPE, "help", Priority.SOS)
    await met.carry("anna", "box")
    await met.carry("box", "bruno")
    await met.carry("box", "gateway")
    assert await box.texts() == []
    assert len(await bruno.texts()) == 32
    assert sorted(await met["gateway"].texts()) == ["help", "to the centre"]


async def test_all_that_a_relay_has_opens_nothing(autojump_clock: MockClock) -> None:
    """Relays cannot read: every key in the box's store is tried on every body, with real HPKE."""
    async with open_rig(sealing="hpke") as rig:
        await rig.mix("anna", "bruno", "box", "gateway")
        await rig["anna"].send(squad_scope(), "squad text")
        await rig["anna"].send(rig["bruno"].scope, "device text")
        await rig["anna"].send(ZONE_SCOPE, "sos text", Priority.SOS)
        await rig.carry("anna", "box")
        box = rig["box"]
        bodies = await box.held(Kind.TEXT, Kind.SOS, Kind.CHAIN_KEYS)
        assert {bundle.header.kind for bundle in bodies} == {Kind.TEXT, Kind.SOS, Kind.CHAIN_KEYS}
        symmetric = await box.store.read(_network_keys)
        assert symmetric, "the network key is there"
        own = await box.store.read(keyring.newest_own_prekey)
        assert own is not None
        secret = await box.store.read(lambda conn: keyring.own_prekey(conn, own.prekey_id))
        assert secret is not None
        keys = [*symmetric, box.device.keys.badge.private_bytes_raw()]
        for bundle in bodies:
            assert _opened_by(bundle, keys, secret) == []


def _network_keys(conn: Connection) -> list[bytes]:
    """Return every key of the network that a store holds."""
    found = [keyring.network_keys(conn, purpose) for purpose in keyring.KeyPurpose]
    return [key for keys in found for key in keys.values()]


def _opened_by(bundle: Bundle, keys: Sequence[bytes], secret: PrekeySecret) -> list[bytes]:
    """Return what opens of a bundle, trying everything with everything."""
    sealer, header = HpkeSealer(), bundle.header_bytes
    padded = [key.ljust(32, b"\0")[:32] for key in keys]
    padded += [sos_message_key(key, bundle.header.id) for key in padded]
    tries: list[Callable[[], bytes]] = [
        partial(open_message, key, header, bundle.body) for key in padded
    ]
    tries.append(partial(sealer.open_hybrid, secret, seal_info(header), bundle.body))
    if bundle.header.kind is Kind.CHAIN_KEYS:
        tries += [
            partial(sealer.open_hybrid, secret, slot_info(header, slot.member), slot.sealed)
            for slot in decode_slots_untrusted(bundle.body)
        ]
        assert len(tries) > len(padded) + 1, "there are slots"
    found = []
    for attempt in tries:
        with suppress(EnvelopeError):
            found.append(attempt())
    return found


async def test_a_reader_opens_what_the_relay_could_not(autojump_clock: MockClock) -> None:
    """The trial above can succeed: bruno's own prekey opens what is sealed to him."""
    async with open_rig(sealing="hpke") as rig:
        await rig.mix("anna", "bruno")
        await rig["anna"].send(rig["bruno"].scope, "device text")
        (bundle,) = await rig["anna"].held(Kind.TEXT)
        own = await rig["bruno"].store.read(keyring.newest_own_prekey)
        assert own is not None
        secret = await rig["bruno"].store.read(lambda c: keyring.own_prekey(c, own.prekey_id))
        assert secret is not None
        (opened,) = _opened_by(bundle, [bytes(32)], secret)
        assert b"device text" in opened


async def test_what_everybody_receipted_is_dropped_everywhere(
    autojump_clock: MockClock, met: Rig
) -> None:
    sent = await met["anna"].send(met["bruno"].scope, "once and gone")
    bundle = bundle_of(await met["anna"].held(), sent.id)
    await met.mix("anna", "box", "bruno", "gateway")
    for name in ("anna", "box", "bruno", "gateway"):
        member = met[name]
        assert sent.id not in [each.header.id for each in await member.held()], name
        assert await member.take([bundle]) == [Reception.DELIVERED]
        if name != "anna":
            assert member.metric("bundles_dropped_delivered") >= 1


async def test_a_bundle_for_a_squad_stays_until_each_has_receipted_it(
    autojump_clock: MockClock,
) -> None:
    plans = [DevicePlan(name, Role.AGENT, ("Queyras",)) for name in ("anna", "bruno", "carla")]
    async with open_rig(plans) as rig:
        await rig.mix("anna", "bruno", "carla")
        sent = await rig["anna"].send(squad_scope(), "to both")
        await rig.mix("anna", "bruno")
        assert sent.id in [each.header.id for each in await rig["anna"].held()]
        assert (await rig["anna"].message(sent.key)).state is MessageState.QUEUED
        await rig.mix("bruno", "carla")
        assert sent.id not in [each.header.id for each in await rig["bruno"].held()]
        await rig.mix("anna", "bruno")
        assert (await rig["anna"].message(sent.key)).state is MessageState.DELIVERED
        assert sent.id not in [each.header.id for each in await rig["anna"].held()]


async def test_an_sos_stays_until_it_expires(autojump_clock: MockClock, met: Rig) -> None:
    sent = await met["anna"].send(ZONE_SCOPE, "help", Priority.SOS)
    await met.mix("anna", "box", "bruno", "gateway")
    assert sent.id in [each.header.id for each in await met["box"].held()]


async def test_receipts_are_learned_again_at_the_start(autojump_clock: MockClock, met: Rig) -> None:
    sent = await met["anna"].send(met["bruno"].scope, "hello")
    bundle = bundle_of(await met["anna"].held(), sent.id)
    await met.carry("anna", "bruno")
    await met.carry("bruno", "box", Kind.RECEIPT)
    box = met["box"]
    async with open_node(box.parts) as again:
        ((_short, fate),) = await again.relay.receive(None, [(0, bundle.raw)])
    assert fate is Reception.DELIVERED


async def test_an_event_says_how_many_came_from_whom(autojump_clock: MockClock, met: Rig) -> None:
    anna, box = met["anna"], met["box"]
    await anna.send(met["bruno"].scope, "one")
    await anna.send(met["bruno"].scope, "two")
    with box.node.events.subscribe() as subscription:
        await met.carry("anna", "box")
        assert await subscription.next() == BundlesStored(2, anna.id)


async def test_a_full_store_refuses_and_says_so(autojump_clock: MockClock, met: Rig) -> None:
    anna, box = met["anna"], met["box"]
    box.store.bytes_max = box.store.total_bytes
    sent = await anna.send(met["bruno"].scope, "no room " * 200)
    bundle = bundle_of(await anna.held(), sent.id)
    assert await box.take([bundle]) == [Reception.STORE_FULL]
    box.store.bytes_max = 10**9
    assert await box.take([bundle]) == [Reception.STORED]


async def test_a_disk_that_is_full_refuses_the_batch_and_the_node_goes_on(
    autojump_clock: MockClock, met: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object) -> None:
        raise StoreFullError("the disk is full")

    sent = await met["anna"].send(met["bruno"].scope, "hello")
    bundle = bundle_of(await met["anna"].held(), sent.id)
    with monkeypatch.context() as patch:
        patch.setattr(rows, "add_many", full)
        assert await met["box"].take([bundle]) == [Reception.STORE_FULL]
    assert await met["box"].take([bundle]) == [Reception.STORED]


async def test_a_start_on_a_full_disk_drops_what_is_delivered_later(
    autojump_clock: MockClock, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wipe order is looked at after this, and must not wait for room."""
    await rig.mix("anna", "bruno", "box")
    anna = rig["anna"]
    sent = await anna.send(rig["bruno"].scope, "hello")
    await rig.carry("anna", "bruno")
    (receipt,) = [each for each in await rig["bruno"].held() if each.header.kind is Kind.RECEIPT]

    async def full(*_args: object) -> None:
        raise StoreFullError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(anna.node.relay, "drop_delivered", full)
        await anna.take([receipt])
        patch.undo()
        # As after a start: nothing is known of receipts but what the store holds.
        patch.setattr(anna.node.relay, "_immunity", Immunity(anna.id))
        patch.setattr(anna.store, "write", full)
        await anna.node.relay.load()
        patch.delattr(anna.store, "write")
        assert any(each.header.id == sent.id for each in await anna.held())
        await anna.node.relay.drop_delivered()
    assert not any(each.header.id == sent.id for each in await anna.held())


async def test_what_squads_say_among_themselves_waits_in_no_inbox_of_the_centre(
    autojump_clock: MockClock, met: Rig
) -> None:
    """Or it would ask for keys that it never gets, and tell of messages that are not for it."""
    anna, gateway = met["anna"], met["gateway"]
    await anna.send(squad_scope(), "among us")
    assert Reception.STORED in await met.carry("anna", "gateway")
    status = await Api(gateway.node).status()
    assert status["unopened"] == 0
    assert await gateway.texts() == []


async def test_a_changed_roster_queues_what_is_for_us_now(
    autojump_clock: MockClock, met: Rig
) -> None:
    sent = await met["anna"].send(met["bruno"].scope, "hello")
    await met["bruno"].node.relay.receive(
        None, [(0, bundle_of(await met["anna"].held(), sent.id).raw)]
    )
    await met["bruno"].node.settle()
    await met["bruno"].node.relay.requeue_held()
    await met["bruno"].node.settle()
    assert await met["bruno"].texts() == ["hello"], "what was opened is not shown again"


async def test_a_node_knows_its_documents(autojump_clock: MockClock, rig: Rig) -> None:
    relay = rig["box"].node.relay
    membership: Membership = rig["box"].node.membership
    keys = list(membership.versions)
    assert len(await relay.read_documents(keys)) == len(keys)
    before = dict(membership.versions)
    await relay.apply_documents(rig["anna"].id, [b"garbage"])
    assert membership.versions == before
    assert rig["box"].metric("documents_refused") == 1
