"""Sending again and taking back: shown once, or never, whatever comes first; and honest ends."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from meshnode.errors import SendError
from meshnode.node import open_node
from meshnode.outbox import Priority
from meshnode.store import reading
from meshnode.store.records import MessageState, RecipientState
from protocol import bundle as bundles
from protocol.bundle import Scope, Suite
from protocol.cancels import encode_cancel, make_cancel
from protocol.guards import CANCELS_OF_AUTHOR_MAX, COPIES_OF_MESSAGE_MAX
from protocol.identity import Role
from protocol.limits import Kind
from protocol.orders import Revocation
from protocol.pages import page_of
from protocol.payloads import Origin
from protocol.reports import Reception
from sims.fleet import DevicePlan
from sims.runtime import START_MS
from tests.meshnode import documents
from tests.meshnode.rig import CODT, SQUAD, ZONE_SCOPE, Member, Rig, open_rig, squad_scope
from tests.meshnode.services.test_reading import read_all, state_at


async def cancel(member: Member, key: int) -> bool:
    """Take a message back."""
    return await member.node.outbox.cancel(key)


# --- taking back -----------------------------------------------------------------------------


async def test_carriers_and_readers_obey(autojump_clock: MockClock, met: Rig) -> None:
    anna, bruno, box = met["anna"], met["bruno"], met["box"]
    sent = await anna.send(squad_scope(), "never mind")
    await met.carry("anna", "box")
    await met.carry("anna", "bruno")
    assert await bruno.texts() == ["never mind"]
    assert await cancel(anna, sent.key)
    assert await anna.held(Kind.TEXT) == []
    await met.carry("anna", "box")
    assert await box.held(Kind.TEXT) == []
    await met.carry("box", "bruno")
    assert await bruno.texts() == []
    await met.mix("anna", "bruno", "box")
    assert await state_at(anna, sent.key, bruno) is RecipientState.WITHDRAWN
    record = await anna.message(sent.key)
    assert (record.state, record.reason) == (MessageState.REFUSED, "cancelled")
    assert await bruno.texts() == []
    assert not await bruno.node.require_desk().reading.mark_read(1)


async def test_what_was_read_stays_and_the_author_hears_so(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    sent = await anna.send(squad_scope(), "too late")
    await met.mix("anna", "bruno")
    await read_all(bruno)
    assert await cancel(anna, sent.key)
    await met.mix("anna", "bruno")
    assert await bruno.texts() == ["too late"]
    assert await state_at(anna, sent.key, bruno) is RecipientState.READ
    assert bruno.metric("cancels_too_late") == 1
    assert not await cancel(anna, sent.key)


async def test_a_cancellation_that_overtakes_its_message(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno, box = met["anna"], met["bruno"], met["box"]
    sent = await anna.send(squad_scope(), "overtaken")
    await met.carry("anna", "box")
    early = await box.held(Kind.TEXT)
    await cancel(anna, sent.key)
    await met.carry("anna", "bruno")
    assert await bruno.take(early) == [Reception.DELIVERED]
    async with open_node(bruno.parts) as again:
        # After a restart it is known from the bundle that is held, and from the store.
        await again.relay.receive(None, [(0, each.raw) for each in early])
        await again.settle()
    assert await bruno.texts() == []
    await met.mix("anna", "bruno")
    assert await state_at(anna, sent.key, bruno) is RecipientState.WITHDRAWN


async def test_a_reader_that_forgot_the_bundle_still_does_not_show_it(
    autojump_clock: MockClock, met: Rig
) -> None:
    """What a carrier knows in memory a reader knows on disk: every recipient receipts it soon."""
    anna, bruno = met["anna"], met["bruno"]
    sent = await anna.send(squad_scope(), "forgotten")
    early = await anna.held(Kind.TEXT, Kind.CHAIN_KEYS)
    await cancel(anna, sent.key)
    await met.mix("anna", "bruno", "box")
    bruno.node.relay._immunity._cancelled.clear()
    await bruno.store.write(lambda tx: tx.connection.exec_driver_sql("DELETE FROM tombstone"))
    await bruno.take(early)
    assert await bruno.texts() == []
    assert bruno.metric("messages_withdrawn") == 1


async def test_a_carrier_obeys_after_its_restart_what_it_never_carried(
    autojump_clock: MockClock, met: Rig
) -> None:
    """All readers have receipted the cancellation; a carrier far away has the message still."""
    anna, bruno, box = met["anna"], met["bruno"], met["box"]
    sent = await anna.send(squad_scope(), "carried elsewhere")
    early = await anna.held(Kind.TEXT)
    await cancel(anna, sent.key)
    await met.mix("anna", "bruno", "box")
    async with open_node(box.parts) as again:
        outcomes = await again.relay.receive(None, [(0, each.raw) for each in early])
        assert [fate for _short, fate in outcomes] == [Reception.DELIVERED]
    assert await box.held(Kind.TEXT) == []
    assert await bruno.texts() == []


async def test_a_cancellation_ends_with_what_it_takes_back(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, box = met["anna"], met["box"]
    for number in range(3):
        sent = await anna.send(squad_scope(), f"never mind {number}", lifetime_s=600)
        await cancel(anna, sent.key)
        await met.mix("anna", "bruno", "box")
        assert len(await box.held(Kind.CANCEL)) == 1, "a later one names the earlier ones too"
    await trio.sleep(700)
    for member in (anna, box):
        await member.node.housekeeping.look()
        assert await member.held(Kind.CANCEL) == []


async def test_what_never_left_is_ended_here(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        anna = rig["anna"]
        sent = await anna.send(rig["bruno"].scope, "waits for a key")
        assert sent.state is MessageState.WAITING
        assert await cancel(anna, sent.key)
        assert await anna.held(Kind.CANCEL) == []
        assert await state_at(anna, sent.key, rig["bruno"]) is RecipientState.REFUSED
        assert not await cancel(anna, sent.key)


async def test_a_late_receipt_of_a_cancelled_message_is_told(
    autojump_clock: MockClock, met: Rig
) -> None:
    """Copies that travel are not called refused: nobody knows yet."""
    anna, bruno = met["anna"], met["bruno"]
    sent = await anna.send(squad_scope(), "on its way")
    await met.carry("anna", "bruno")
    await cancel(anna, sent.key)
    assert await state_at(anna, sent.key, bruno) is RecipientState.PENDING
    await read_all(bruno)
    await bruno.node.settle()
    await met.carry("bruno", "anna")
    assert await state_at(anna, sent.key, bruno) is RecipientState.READ


async def test_an_alarm_cannot_be_cancelled(autojump_clock: MockClock, met: Rig) -> None:
    sent = await met["anna"].send(ZONE_SCOPE, "help", Priority.SOS)
    with pytest.raises(SendError, match="close it"):
        await cancel(met["anna"], sent.key)


def forged_cancel(liar: Member, scope: Scope, number: int, *seqs: int) -> bundles.Bundle:
    """Return a cancellation that the liar really signed."""
    page = page_of(seqs[0])
    header = liar.header(Kind.CANCEL, scope, number, index=page)
    return liar.forge(header, encode_cancel(make_cancel(page, seqs)))


async def test_nobody_cancels_for_another(autojump_clock: MockClock, met: Rig) -> None:
    anna, bruno, box = met["anna"], met["bruno"], met["box"]
    sent = await anna.send(squad_scope(), "stays")
    await met.carry("anna", "box")
    lie = forged_cancel(met["gateway"], squad_scope(), 1, sent.id.seq)
    for member in (box, bruno, anna):
        await member.take([lie])
    assert len(await box.held(Kind.TEXT)) == len(await anna.held(Kind.TEXT)) == 1
    await met.carry("box", "bruno")
    assert await bruno.texts() == ["stays"]
    assert (await anna.message(sent.key)).state is not MessageState.REFUSED


async def test_a_stolen_device_takes_nothing_back(autojump_clock: MockClock, met: Rig) -> None:
    """What a revoked device signs after its last good bundle has no effect, now and later."""
    anna, bruno, box = met["anna"], met["bruno"], met["box"]
    sent = await anna.send(squad_scope(), "evidence")
    await met.mix("anna", "bruno", "box")
    lie = forged_cancel(anna, squad_scope(), 1, sent.id.seq)
    good = Revocation(anna.id, START_MS, anna.store.incarnation, sent.id.seq + 100)
    listed = documents.signed_list(met, [good], 1).raw
    for member in (bruno, box):
        assert await member.node.membership.accept([listed]) == 1
        await member.take([lie])
    assert await bruno.texts() == ["evidence"]
    assert box.node.relay._immunity._cancelled == {}
    async with open_node(box.parts) as again:
        assert again.relay._immunity._cancelled == {}


async def test_keys_and_alarms_are_not_dropped_for_a_cancellation(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, box = met["anna"], met["box"]
    await anna.send(squad_scope(), "with keys")
    await anna.send(ZONE_SCOPE, "help", Priority.SOS)
    await met.carry("anna", "box")
    kept = (Kind.CHAIN_KEYS, Kind.SOS, Kind.PREKEY)
    before = await box.held(*kept)
    all_of_it = range(1, 1_000)
    await box.take([forged_cancel(anna, squad_scope(), 1, *all_of_it)])
    assert await box.held(*kept) == before
    assert await box.held(Kind.TEXT) == []


async def test_one_author_fills_nobodys_disk(autojump_clock: MockClock, met: Rig) -> None:
    anna, bruno = met["anna"], met["bruno"]
    await met.mix("anna", "bruno")
    many = [
        forged_cancel(anna, squad_scope(), page, *range(max(1, 1024 * page), 1024 * page + 1024))
        for page in range(4)
    ]
    await bruno.take(many)
    count = await bruno.store.read(lambda conn: reading.count_of(conn, anna.id))
    assert count == CANCELS_OF_AUTHOR_MAX
    assert bruno.metric("cancels_refused") >= 1


# --- sending again ---------------------------------------------------------------------------


async def test_a_copy_reaches_whoever_lacks_it_and_is_shown_once(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    sent = await anna.send(squad_scope(), "say it again", lifetime_s=60)
    early = await anna.held(Kind.TEXT, Kind.CHAIN_KEYS)
    anna.machine.clock_ahead_ms += 61_000
    await anna.node.housekeeping.look()
    assert (await anna.message(sent.key)).state is MessageState.EXPIRED
    again = await anna.node.outbox.resend(sent.key)
    assert (again.recipients, again.state) == (1, MessageState.QUEUED)
    await met.mix("anna", "bruno")
    (shown,) = await bruno.incoming()
    assert (shown.text, shown.id, shown.scope) == (
        "say it again",
        sent.id,
        squad_scope().encode(),
    )
    await bruno.take(early)
    assert await bruno.texts() == ["say it again"]
    await read_all(bruno)
    await met.mix("anna", "bruno")
    assert await state_at(anna, again.key, bruno) is RecipientState.ON_DEVICE
    assert await state_at(anna, sent.key, bruno) is RecipientState.READ


async def test_the_first_one_then_its_copy(autojump_clock: MockClock, met: Rig) -> None:
    anna, bruno = met["anna"], met["bruno"]
    sent = await anna.send(squad_scope(), "twice on its way")
    again = await anna.node.outbox.resend(sent.key, bruno.id)
    (copy,) = [x for x in await anna.held(Kind.TEXT) if x.header.id == again.id]
    assert copy.header.suite is Suite.HYBRID
    await met.mix("anna", "bruno")
    assert await bruno.texts() == ["twice on its way"]
    for key in (sent.key, again.key):
        assert (await anna.message(key)).state is MessageState.DELIVERED


async def test_cancelling_takes_every_copy_back(autojump_clock: MockClock, met: Rig) -> None:
    anna, bruno, box = met["anna"], met["bruno"], met["box"]
    sent = await anna.send(squad_scope(), "no copy either")
    again = await anna.node.outbox.resend(sent.key)
    await met.carry("anna", "box")
    assert len(await box.held(Kind.TEXT)) == 2
    assert await cancel(anna, again.key)
    await met.carry("anna", "box")
    assert await box.held(Kind.TEXT) == []
    await met.mix("anna", "bruno", "box")
    assert await bruno.texts() == []
    with pytest.raises(SendError, match="cancelled"):
        await anna.node.outbox.resend(sent.key)


async def test_who_cannot_be_sent_to_again(autojump_clock: MockClock, met: Rig) -> None:
    anna, bruno, gateway = met["anna"], met["bruno"], met["gateway"]
    sent = await anna.send(squad_scope(), "have it")
    with pytest.raises(SendError, match="never for gateway"):
        await anna.node.outbox.resend(sent.key, gateway.id)
    await met.mix("anna", "bruno")
    with pytest.raises(SendError, match="bruno has this message"):
        await anna.node.outbox.resend(sent.key, bruno.id)
    with pytest.raises(SendError, match="nobody lacks"):
        await anna.node.outbox.resend(sent.key)
    sos = await anna.send(ZONE_SCOPE, "help", Priority.SOS)
    with pytest.raises(SendError, match="alarm"):
        await anna.node.outbox.resend(sos.key)


async def test_a_message_is_sent_again_so_many_times(autojump_clock: MockClock, met: Rig) -> None:
    anna = met["anna"]
    sent = await anna.send(squad_scope(), "again and again")
    for _ in range(COPIES_OF_MESSAGE_MAX):
        await anna.node.outbox.resend(sent.key)
    with pytest.raises(SendError, match="8 times"):
        await anna.node.outbox.resend(sent.key)


async def test_one_of_the_centre_is_enough_unless_it_is_named(autojump_clock: MockClock) -> None:
    plans = (
        DevicePlan("anna", Role.AGENT, (SQUAD,)),
        DevicePlan("gateway", Role.GATEWAY),
        DevicePlan("operator", Role.OPERATOR),
    )
    async with open_rig(plans) as rig:
        anna = rig["anna"]
        await rig.mix("anna", "gateway", "operator")
        sent = await anna.send(CODT, "to the centre")
        await rig.mix("anna", "gateway")
        with pytest.raises(SendError, match="nobody lacks"):
            await anna.node.outbox.resend(sent.key)
        again = await anna.node.outbox.resend(sent.key, rig["operator"].id)
        assert again.recipients == 1


async def test_a_copy_of_what_was_for_others_is_not_shown(
    autojump_clock: MockClock, met: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The author names a group that the reader is not in: no message of that group appears."""
    anna, bruno = met["anna"], met["bruno"]
    foreign = Origin(anna.store.incarnation, 7, met["gateway"].scope.encode(), 1)
    monkeypatch.setattr("meshnode.outbox.origin_of", lambda _conn, _key: foreign)
    await anna.send(bruno.scope, "smuggled")
    await met.mix("anna", "bruno")
    assert await bruno.texts() == []
    assert bruno.metric("messages_unopenable") >= 1


async def test_a_copy_that_is_dated_ahead_of_its_bundle_is_not(
    autojump_clock: MockClock, met: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    late = Origin(anna.store.incarnation, 7, bruno.scope.encode(), 2**48 - 1)
    monkeypatch.setattr("meshnode.outbox.origin_of", lambda _conn, _key: late)
    await anna.send(bruno.scope, "from the future")
    await met.mix("anna", "bruno")
    (shown,) = await bruno.incoming()
    assert shown.created_ms <= anna.machine.now_ms()
