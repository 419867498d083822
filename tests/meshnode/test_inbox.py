"""Opening: once, in one transaction with its receipt, and never what is not for us."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from meshnode.events import Event, MessageArrived
from meshnode.store import delivery
from meshnode.store.records import MessageState
from protocol import hlc, payloads
from protocol.bundle import Suite
from protocol.envelope import (
    SUITES_HYBRID,
    PrekeyRecord,
    decode_prekey_untrusted,
    encode_prekey,
    pad,
    prekey_id_of,
    seal_info,
)
from protocol.limits import CLOCK_DRIFT_MS_MAX, PREKEY_END_MS, Kind
from protocol.payloads import Sos
from protocol.receipts import encode_receipt, make_receipt
from protocol.reports import Reception
from tests.meshnode.rig import CODT, Rig, bundle_of, squad_scope


async def test_a_message_that_comes_a_thousand_times_is_shown_once(
    autojump_clock: MockClock, met: Rig
) -> None:
    """Security case S13."""
    anna, bruno, box = met["anna"], met["bruno"], met["box"]
    sent = await anna.send(bruno.scope, "once")
    bundle = bundle_of(await anna.held(), sent.id)
    before = bruno.metric("bundles_duplicate") + bruno.metric("bundles_delivered")
    with bruno.node.events.subscribe() as subscription:
        for peer in (anna.id, box.id, None):
            await bruno.take([bundle] * 334, peer)
        arrived: list[Event] = []
        while not arrived or not isinstance(arrived[-1], MessageArrived):
            arrived.append(await subscription.next())
    assert await bruno.texts() == ["once"]
    assert bruno.metric("messages_opened") == 1
    again = bruno.metric("bundles_duplicate") + bruno.metric("bundles_delivered")
    assert again - before == 3 * 334 - 1
    receipts = [x for x in await bruno.held(Kind.RECEIPT) if x.header.author == bruno.id]
    assert len([x for x in receipts if x.header.scope == anna.scope]) == 1


async def test_opening_and_the_duty_to_receipt_are_one_transaction(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    sent = await anna.send(bruno.scope, "kept or not at all")
    bundle = bundle_of(await anna.held(), sent.id)
    await bruno.node.relay.receive(anna.id, [(0, bundle.raw)])
    assert await bruno.texts() == [], "stored, queued, not opened yet"
    assert await bruno.store.read(delivery.unopened_count) == 1
    await bruno.node.inbox.open_some()
    assert await bruno.texts() == ["kept or not at all"]
    assert await bruno.store.read(delivery.unopened_count) == 0
    due = await bruno.store.read(lambda conn: delivery.receipts_due(conn, 9))
    assert [page.author for page in due] == [anna.id]


async def test_ciphertext_under_another_name_opens_for_nobody(
    autojump_clock: MockClock, met: Rig
) -> None:
    """Security case S12: X takes what B sealed and signs it as its own."""
    anna, bruno, gateway = met["anna"], met["bruno"], met["gateway"]
    sent = await anna.send(bruno.scope, "from anna to bruno")
    original = bundle_of(await anna.held(), sent.id)
    stolen = replace(
        gateway.header(Kind.TEXT, bruno.scope, 1),
        suite=Suite.HYBRID,
        keyref=original.header.keyref,
    )
    assert await bruno.take([gateway.forge(stolen, original.body)]) == [Reception.STORED]
    assert await bruno.texts() == []
    assert bruno.metric("messages_unopenable") == 1
    named = [dict(line.fields) for line in met.tracer.lines if line.event == "unopenable"]
    assert [each["bundle"] for each in named] == [str(stolen.id)]
    assert stolen.id.author == gateway.id, "the thief is named, not the victim"
    # Looked at again at each start and with new rosters, but told once.
    await bruno.node.relay.requeue_held()
    assert len(await bruno.store.read(lambda conn: delivery.unopened(conn, 9))) == 1
    await bruno.node.inbox.open_some()
    assert await bruno.store.read(lambda conn: delivery.unopened(conn, 9)) == []
    assert await bruno.store.read(delivery.unopened_count) == 0
    assert bruno.metric("messages_unopenable") == 1
    await bruno.take([original])
    assert await bruno.texts() == ["from anna to bruno"]


async def test_chained_ciphertext_under_another_name_opens_for_nobody(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno, gateway = met["anna"], met["bruno"], met["gateway"]
    sent = await anna.send(squad_scope(), "to the squad")
    original = bundle_of(await anna.held(), sent.id)
    stolen = replace(
        gateway.header(Kind.TEXT, squad_scope(), 1),
        suite=Suite.CHAIN,
        keyref=original.header.keyref,
        index=original.header.index,
    )
    await bruno.take([gateway.forge(stolen, original.body)])
    await met.mix("anna", "bruno", "gateway")
    assert await bruno.texts() == ["to the squad"]


async def test_a_future_message_is_held_and_shown_when_due(
    autojump_clock: MockClock, met: Rig
) -> None:
    """Security case S15: +11 min is held and delivered when due."""
    anna, bruno = met["anna"], met["bruno"]
    anna.machine.clock_ahead_ms = 11 * 60_000
    sent = await anna.send(bruno.scope, "from the future")
    bundle = bundle_of(await anna.held(), sent.id)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bruno.node.inbox.run)
        assert await bruno.take([bundle]) == [Reception.STORED]
        await trio.sleep(50)
        assert await bruno.texts() == []
        await trio.sleep(20)
        assert await bruno.texts() == ["from the future"]
        nursery.cancel_scope.cancel()
    stamp = await bruno.store.write(lambda tx: tx.hlc)
    assert hlc.wall_ms(stamp) - bruno.machine.now_ms() <= CLOCK_DRIFT_MS_MAX


async def test_a_message_a_day_ahead_is_refused_and_moves_no_clock(
    autojump_clock: MockClock, met: Rig
) -> None:
    """Security case S15: +25 h is refused."""
    anna, bruno = met["anna"], met["bruno"]
    anna.machine.clock_ahead_ms = 25 * 3_600_000
    sent = await anna.send(bruno.scope, "from tomorrow")
    before = await bruno.store.write(lambda tx: tx.hlc)
    bundle = bundle_of(await anna.held(), sent.id)
    assert await bruno.take([bundle]) == [Reception.TOO_FAR_AHEAD]
    assert await bruno.texts() == []
    assert await bruno.store.write(lambda tx: tx.hlc) == before


async def test_one_who_dates_thousands_ahead_holds_up_nobody_else(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno, gateway = met["anna"], met["bruno"], met["gateway"]
    ahead = (gateway.machine.now_ms() + 20 * 3_600_000) << 16
    flood = [
        gateway.forge(
            gateway.header(
                Kind.TEXT,
                bruno.scope,
                n,
                suite=Suite.HYBRID,
                keyref=bytes(8),
                hlc=ahead + (n << 16),
            ),
            bytes(1_200),
        )
        for n in range(200)
    ]
    await bruno.take(flood)
    anna.machine.clock_ahead_ms = 11 * 60_000
    sent = await anna.send(bruno.scope, "due in a minute")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bruno.node.inbox.run)
        await bruno.take([bundle_of(await anna.held(), sent.id)])
        await trio.sleep(70)
        assert await bruno.texts() == ["due in a minute"]
        nursery.cancel_scope.cancel()


@pytest.mark.slow
async def test_messages_of_a_chain_open_once_in_any_order(
    autojump_clock: MockClock, met: Rig
) -> None:
    """Security case S19 at the node: random order, last one first."""
    anna, bruno = met["anna"], met["bruno"]
    sent = [await anna.send(squad_scope(), f"line {n}") for n in range(40)]
    held = await anna.held(Kind.TEXT)
    await bruno.take(await anna.held(Kind.CHAIN_KEYS))
    order = [bundle_of(held, each.id) for each in sent]
    last = order.pop()
    random.Random(3).shuffle(order)
    for bundle in [last, *order]:
        assert await bruno.take([bundle]) == [Reception.STORED]
    assert sorted(await bruno.texts()) == sorted(f"line {n}" for n in range(40))
    assert bruno.metric("messages_unopenable") == 0


async def test_keys_and_messages_may_come_in_any_order(autojump_clock: MockClock, met: Rig) -> None:
    anna, bruno = met["anna"], met["bruno"]
    await anna.send(squad_scope(), "before its key")
    await bruno.take(await anna.held(Kind.TEXT))
    assert await bruno.texts() == []
    assert await bruno.store.read(delivery.unopened_count) == 1
    await bruno.take(await anna.held(Kind.CHAIN_KEYS))
    assert await bruno.texts() == ["before its key"]
    assert await bruno.store.read(delivery.unopened_count) == 0


async def test_a_body_that_says_another_kind_than_its_bundle_is_not_shown(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    (prekey,) = [x for x in await bruno.held(Kind.PREKEY) if x.header.author == bruno.id]
    record = decode_prekey_untrusted(prekey.body)
    header = anna.header(Kind.TEXT, bruno.scope, 5, suite=Suite.HYBRID, keyref=record.prekey_id)
    plain = pad(payloads.encode(Sos(anna.id, bruno.scope.encode(), "false alarm", bytes(8), 0)))
    body = anna.node.sealer.seal_hybrid(record.public, seal_info(header.encode()), plain)
    await bruno.take([anna.forge(header, body)])
    assert await bruno.texts() == []
    assert bruno.metric("messages_unopenable") == 1


@pytest.mark.parametrize("kind", [Kind.PREKEY, Kind.KEY_REQUEST, Kind.RECEIPT])
async def test_garbage_in_clear_bodies_changes_nothing_and_stops_nothing(
    autojump_clock: MockClock, met: Rig, kind: Kind
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    sent = await bruno.send(anna.scope, "hello")
    for number, body in enumerate((b"x", b"\x92\x01\xdd\xff\xff\xff\xff", bytes(900))):
        header = anna.header(kind, bruno.scope, number, index=number)
        await bruno.take([anna.forge(header, body)])
    assert (await bruno.message(sent.key)).state is MessageState.QUEUED
    mail = await anna.send(bruno.scope, "still served")
    await bruno.take([bundle_of(await anna.held(), mail.id)])
    assert await bruno.texts() == ["still served"]


async def test_a_weak_prekey_is_not_kept(autojump_clock: MockClock, met: Rig) -> None:

    anna, bruno = met["anna"], met["bruno"]
    now = anna.machine.now_ms()
    public = bytes(1_216)
    weak = PrekeyRecord(
        prekey_id_of(public), now + 1, now + 1 + PREKEY_END_MS, SUITES_HYBRID, public
    )
    header = anna.header(Kind.PREKEY, CODT, 7)
    await bruno.take([anna.forge(header, encode_prekey(weak))])
    assert bruno.metric("prekeys_refused") == 1
    sent = await bruno.send(anna.scope, "under the good key")
    await met.mix("anna", "bruno")
    assert (await bruno.message(sent.key)).state is MessageState.DELIVERED


async def test_a_receipt_for_what_was_never_written_is_counted_and_ignored(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    sent = await bruno.send(anna.scope, "hello")
    false = make_receipt(bruno.store.incarnation, sent.id.seq >> 10, {sent.id.seq: bytes(32)})
    header = anna.header(Kind.RECEIPT, bruno.scope, 1, index=sent.id.seq >> 10)
    await bruno.take([anna.forge(header, encode_receipt(false))])
    assert bruno.metric("receipts_refused") == 1
    assert (await bruno.message(sent.key)).state is MessageState.QUEUED
