"""The stories of own messages: hand-overs and receipts, and receipts that prove nothing."""

from __future__ import annotations

from trio.testing import MockClock

from meshnode.events import MessageChanged
from meshnode.ledger import Ledger
from meshnode.store.records import LedgerEvent, MessageState, RecipientState
from protocol.limits import Kind
from protocol.receipts import encode_receipt, make_receipt
from protocol.reports import Reception
from tests.meshnode.rig import CODT, Rig, bundle_of, squad_scope


def ledger_of(rig: Rig, name: str) -> Ledger:
    """Return a ledger over one store."""
    node = rig[name].node
    return Ledger(rig[name].id, node.store, node.runtime, node.events, node.metrics)


async def test_a_copy_that_was_handed_over_is_written_down_once(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, box = met["anna"], met["box"]
    sent = await anna.send(met["bruno"].scope, "hello")
    short = (await anna.message(sent.key)).short_id
    assert short is not None
    for _ in range(2):
        await anna.node.relay.handed_over(
            box.id, [(short, Reception.STORED), (5, Reception.STORED)]
        )
    assert (await anna.message(sent.key)).state is MessageState.CARRIED
    handed = [x for x in await anna.ledger(sent.key) if x.event is LedgerEvent.HANDED]
    assert [line.node for line in handed] == [box.id]


async def test_a_refused_copy_is_not_called_carried(autojump_clock: MockClock, met: Rig) -> None:
    anna, box = met["anna"], met["box"]
    sent = await anna.send(met["bruno"].scope, "hello")
    short = (await anna.message(sent.key)).short_id
    assert short is not None
    for fate in (Reception.STORE_FULL, Reception.QUOTA, Reception.EXPIRED, Reception.MALFORMED):
        await anna.node.relay.handed_over(box.id, [(short, fate)])
    assert (await anna.message(sent.key)).state is MessageState.QUEUED


async def test_receipts_of_devices_and_of_gateways_are_told_apart(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna = met["anna"]
    to_squad = await anna.send(squad_scope(), "to bruno")
    to_codt = await anna.send(CODT, "to the centre")
    with anna.node.events.subscribe() as subscription:
        await met.mix("anna", "bruno", "gateway")
        changed: set[int] = set()
        while len(changed) < 2:
            event = await subscription.next()
            if isinstance(event, MessageChanged):
                changed.add(event.key)
    assert changed == {to_squad.key, to_codt.key}
    (bruno,) = await anna.recipients(to_squad.key)
    assert (bruno.node, bruno.state) == (met["bruno"].id, RecipientState.ON_DEVICE)
    (gateway,) = await anna.recipients(to_codt.key)
    assert (gateway.node, gateway.state) == (met["gateway"].id, RecipientState.AT_GATEWAY)


async def test_a_receipt_from_no_recipient_delivers_nothing(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, gateway = met["anna"], met["gateway"]
    sent = await anna.send(met["bruno"].scope, "for bruno alone")
    digest = bundle_of(await anna.held(), sent.id).digest
    claim = make_receipt(anna.store.incarnation, sent.id.seq >> 10, {sent.id.seq: digest})
    header = gateway.header(Kind.RECEIPT, anna.scope, 1)
    await anna.take([gateway.forge(header, encode_receipt(claim))])
    assert (await anna.message(sent.key)).state is MessageState.QUEUED
    (bruno,) = await anna.recipients(sent.key)
    assert bruno.state is RecipientState.PENDING


async def test_a_receipt_for_us_is_one_whose_scope_is_this_device(
    autojump_clock: MockClock, met: Rig
) -> None:
    room, gateway = ledger_of(met, "anna"), met["gateway"]
    body = encode_receipt(make_receipt(1, 0, {1: bytes(32)}))
    ours = gateway.forge(gateway.header(Kind.RECEIPT, met["anna"].scope, 1), body)
    other = gateway.forge(gateway.header(Kind.RECEIPT, met["bruno"].scope, 2), body)
    text = gateway.forge(gateway.header(Kind.KEY_REQUEST, met["anna"].scope, 3), body)
    assert [room.is_receipt_for_us(each) for each in (ours, other, text)] == [True, False, False]


async def test_a_receipt_that_comes_after_the_end_is_written_down_and_changes_nothing(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna = met["anna"]
    sent = await anna.send(met["bruno"].scope, "too late", lifetime_s=60)
    await met.carry("anna", "bruno")
    anna.machine.clock_ahead_ms += 61_000
    await anna.node.housekeeping.look()
    assert (await anna.message(sent.key)).state is MessageState.EXPIRED
    await met.carry("bruno", "anna")
    message = await anna.message(sent.key)
    assert (message.state, message.reason) == (MessageState.EXPIRED, "0 of 1 recipients")
    (bruno,) = await anna.recipients(sent.key)
    assert bruno.state is RecipientState.ON_DEVICE
    events = [line.event for line in await anna.ledger(sent.key)]
    assert events[-2:] == [LedgerEvent.EXPIRED, LedgerEvent.RECEIPT]
