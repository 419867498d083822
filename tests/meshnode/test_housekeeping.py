"""What time brings about: expiry on time, keys erased, old memories forgotten, few wake-ups."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from meshnode.events import MessageChanged
from meshnode.store import keyring
from meshnode.store.records import LedgerEvent, MessageState
from protocol.limits import HOUSEKEEPING_MS_MAX, PREKEY_ERASE_MS
from protocol.reports import Reception
from tests.meshnode.rig import Rig, bundle_of


async def test_a_message_expires_on_time_and_says_how_far_it_came(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna = met["anna"]
    sent = await anna.send(met["bruno"].scope, "one minute", lifetime_s=60)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(anna.node.housekeeping.run)
        await trio.sleep(59)
        assert (await anna.message(sent.key)).state is MessageState.QUEUED
        with anna.node.events.subscribe() as subscription:
            await trio.sleep(3)
            assert await subscription.next() == MessageChanged(sent.key)
        nursery.cancel_scope.cancel()
    message = await anna.message(sent.key)
    assert (message.state, message.reason) == (MessageState.EXPIRED, "0 of 1 recipients")
    assert [x.event for x in await anna.ledger(sent.key)].count(LedgerEvent.EXPIRED) == 1
    assert anna.metric("messages_expired") == 1
    assert anna.metric("bundles_dropped_expired") == 1
    assert sent.id not in [each.header.id for each in await anna.held()]


async def test_an_expired_copy_goes_everywhere_and_does_not_come_back(
    autojump_clock: MockClock, met: Rig
) -> None:
    sent = await met["anna"].send(met["bruno"].scope, "one minute", lifetime_s=60)
    bundle = bundle_of(await met["anna"].held(), sent.id)
    await met.carry("anna", "box")
    box = met["box"]
    box.machine.clock_ahead_ms += 60_000
    await box.node.housekeeping.look()
    assert sent.id not in [each.header.id for each in await box.held()]
    assert await box.take([bundle]) == [Reception.EXPIRED]


async def test_a_waiting_message_expires_too(autojump_clock: MockClock, rig: Rig) -> None:
    anna = rig["anna"]
    sent = await anna.send(rig["bruno"].scope, "no key", lifetime_s=60)
    anna.machine.clock_ahead_ms += 60_000
    await anna.node.housekeeping.look()
    assert (await anna.message(sent.key)).state is MessageState.EXPIRED
    await rig.carry("bruno", "anna")
    assert (await anna.message(sent.key)).state is MessageState.EXPIRED, "not sealed any more"


async def test_ended_keys_are_erased(autojump_clock: MockClock, rig: Rig) -> None:
    anna = rig["anna"]
    first = await anna.store.read(keyring.newest_own_prekey)
    assert first is not None
    anna.machine.clock_ahead_ms += PREKEY_ERASE_MS + 1
    await anna.node.housekeeping.look()
    gone = await anna.store.read(lambda conn: keyring.own_prekey(conn, first.prekey_id))
    assert gone is None


async def test_an_idle_node_looks_a_dozen_times_an_hour(
    autojump_clock: MockClock, rig: Rig
) -> None:
    looks = 0
    room = rig["anna"].node.housekeeping
    look = room.look

    async def counted() -> None:
        nonlocal looks
        looks += 1
        await look()

    room.look = counted  # type: ignore[method-assign]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.run)
        await trio.sleep(3_600)
        nursery.cancel_scope.cancel()
    assert 1 <= looks <= 3_600_000 // HOUSEKEEPING_MS_MAX + 2


async def test_it_wakes_for_what_was_written_meanwhile(autojump_clock: MockClock, met: Rig) -> None:
    anna = met["anna"]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(anna.node.housekeeping.run)
        await trio.sleep(1)
        sent = await anna.send(met["bruno"].scope, "short", lifetime_s=60)
        anna.node.housekeeping.wake.set()
        await trio.sleep(62)
        assert (await anna.message(sent.key)).state is MessageState.EXPIRED
        nursery.cancel_scope.cancel()
