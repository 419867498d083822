"""Writing: what is taken, what is refused, what waits for a key, and that it survives."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from meshnode.errors import SendError
from meshnode.events import MessageChanged
from meshnode.outbox import Priority
from meshnode.store.records import LedgerEvent, MessageState
from protocol import payloads
from protocol.bundle import Scope, Suite
from protocol.envelope import pad
from protocol.ids import BundleId
from protocol.limits import MESSAGE_LIFETIME_S_MAX, TEXT_BYTES_MAX, Kind
from protocol.orders import Revocation
from sims.fleet import ZONE
from sims.runtime import START_MS
from sims.scheduler import run_seeded
from tests.meshnode.documents import signed_list
from tests.meshnode.rig import CODT, ZONE_SCOPE, Rig, bundle_of, open_rig, squad_scope


async def test_a_message_to_a_device_is_sealed_to_its_prekey(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    sent = await anna.send(bruno.scope, "only for bruno")
    assert (sent.state, sent.recipients) == (MessageState.QUEUED, 1)
    bundle = bundle_of(await anna.held(), sent.id)
    assert bundle.header.suite is Suite.HYBRID
    assert bundle.header.kind is Kind.TEXT
    assert bundle.header.author == anna.id
    assert b"only for bruno" not in bundle.raw
    events = [line.event for line in await anna.ledger(sent.key)]
    assert events == [LedgerEvent.CREATED, LedgerEvent.SEALED, LedgerEvent.QUEUED]
    await met.mix("anna", "box", "bruno")
    assert await bruno.texts() == ["only for bruno"]
    assert (await anna.message(sent.key)).state is MessageState.DELIVERED


async def test_what_waits_is_not_sealed_to_a_device_that_was_revoked_meanwhile(
    autojump_clock: MockClock, rig: Rig
) -> None:
    anna, bruno = rig["anna"], rig["bruno"]
    sent = await anna.send(bruno.scope, "early bird")
    good = max(each.header.seq for each in await bruno.held() if each.header.author == bruno.id)
    entry = Revocation(bruno.id, START_MS, bruno.store.incarnation, good)
    await anna.node.membership.accept([signed_list(rig, [entry], 1).raw])
    await rig.carry("bruno", "anna")
    assert (await anna.message(sent.key)).state is MessageState.WAITING
    assert all(bundle.header.id != sent.id for bundle in await anna.held())
    assert (await anna.ledger(sent.key))[-1].detail == "bruno was revoked"


async def test_without_a_key_it_waits_says_so_and_goes_when_the_key_comes(
    autojump_clock: MockClock, rig: Rig
) -> None:
    anna, bruno = rig["anna"], rig["bruno"]
    sent = await anna.send(bruno.scope, "early bird")
    assert sent.state is MessageState.WAITING
    assert all(bundle.header.id != sent.id for bundle in await anna.held())
    waiting = [x for x in await anna.ledger(sent.key) if x.event is LedgerEvent.WAITING]
    assert [line.detail for line in waiting] == ["no key of bruno is known here yet"]
    assert await anna.node.outbox.seal_waiting() == 0
    waiting = [x for x in await anna.ledger(sent.key) if x.event is LedgerEvent.WAITING]
    assert len(waiting) == 1, "said once"
    await rig.carry("bruno", "anna")
    assert (await anna.message(sent.key)).state is MessageState.QUEUED
    assert bundle_of(await anna.held(), sent.id).header.id == sent.id
    await rig.carry("anna", "bruno")
    assert await bruno.texts() == ["early bird"]


async def test_a_message_to_a_squad_names_who_still_needs_its_key(
    autojump_clock: MockClock, rig: Rig
) -> None:
    anna = rig["anna"]
    sent = await anna.send(squad_scope(), "to all")
    assert (sent.state, sent.recipients) == (MessageState.QUEUED, 1)
    details = [x.detail for x in await anna.ledger(sent.key) if x.event is LedgerEvent.WAITING]
    assert details == ["bruno gets its key when it is met"]
    await rig.mix("anna", "bruno")
    assert await rig["bruno"].texts() == ["to all"]


@pytest.mark.parametrize("length", [1, 20, 91, 92, 400])
async def test_a_message_to_a_squad_costs_150_bytes_beyond_its_plaintext(
    autojump_clock: MockClock, rig: Rig, length: int
) -> None:
    """Every byte of it is accounted for in tests/protocol/test_overhead.py."""
    anna, text = rig["anna"], "x" * length
    for _ in range(3):
        sent = await anna.send(squad_scope(), text)
        plaintext = payloads.encode(payloads.Text(anna.id, squad_scope().encode(), text))
        bundle = bundle_of(await anna.held(), sent.id)
        assert len(bundle.raw) - len(pad(plaintext)) <= 150


async def test_the_centre_reads_under_a_chain(autojump_clock: MockClock, met: Rig) -> None:
    sent = await met["anna"].send(CODT, "to the centre")
    assert bundle_of(await met["anna"].held(), sent.id).header.suite is Suite.CHAIN
    await met.mix("anna", "box", "gateway")
    assert await met["gateway"].texts() == ["to the centre"]
    assert await met["bruno"].texts() == []


async def test_an_sos_reaches_everybody_of_the_zone_who_may_read(
    autojump_clock: MockClock, met: Rig
) -> None:
    sent = await met["anna"].send(ZONE_SCOPE, "help", Priority.SOS)
    bundle = bundle_of(await met["anna"].held(), sent.id)
    assert (bundle.header.kind, bundle.header.suite) == (Kind.SOS, Suite.ZONE)
    assert sent.recipients == 2, "the box does not read"
    await met.mix("anna", "box", "bruno", "gateway")
    for name in ("bruno", "gateway"):
        (message,) = await met[name].incoming()
        assert (message.text, message.kind, len(message.alarm_id)) == ("help", Kind.SOS, 8)
    assert await met["box"].texts() == []
    assert (await met["anna"].message(sent.key)).state is MessageState.DELIVERED


async def test_a_low_message_goes_among_bulk(autojump_clock: MockClock, met: Rig) -> None:
    sent = await met["anna"].send(met["bruno"].scope, "when there is room", Priority.LOW)
    assert bundle_of(await met["anna"].held(), sent.id).header.kind is Kind.NOTE
    await met.mix("anna", "bruno")
    assert await met["bruno"].texts() == ["when there is room"]


@pytest.mark.parametrize(
    ("to", "text", "priority", "lifetime_s", "reason"),
    [
        ("bruno", "", Priority.NORMAL, None, "empty"),
        ("bruno", " \n\t", Priority.NORMAL, None, "empty"),
        ("bruno", "x" * (TEXT_BYTES_MAX + 1), Priority.NORMAL, None, "long"),
        ("bruno", "é" * (TEXT_BYTES_MAX // 2) + "x", Priority.NORMAL, None, "long"),
        ("bruno", "half of a \ud83d", Priority.NORMAL, None, "long"),
        ("bruno", "x", Priority.NORMAL, 59, "lifetime"),
        ("bruno", "x", Priority.NORMAL, MESSAGE_LIFETIME_S_MAX + 1, "lifetime"),
        ("zone", "x", Priority.SOS, 7 * 86_400 + 1, "lifetime"),
        ("anna", "x", Priority.NORMAL, None, "self"),
        ("zone", "x", Priority.NORMAL, None, "zone"),
        ("squad", "x", Priority.NORMAL, None, "nobody"),
        ("stranger", "x", Priority.NORMAL, None, "nobody"),
    ],
)
async def test_what_cannot_be_taken_is_refused_and_nothing_is_kept(
    autojump_clock: MockClock,
    met: Rig,
    to: str,
    text: str,
    priority: Priority,
    lifetime_s: int | None,
    reason: str,
) -> None:
    scopes = {
        "zone": ZONE_SCOPE,
        "squad": squad_scope("nowhere"),
        "stranger": Scope.for_device(ZONE, bytes(16)),
    }
    anna = met["anna"]
    before = await anna.ids()
    scope = scopes[to] if to in scopes else met[to].scope
    with pytest.raises(SendError) as caught:
        await anna.send(scope, text, priority, lifetime_s)
    assert caught.value.reason == reason
    assert await anna.ids() == before
    assert await anna.outgoing() == []


@pytest.mark.parametrize("lifetime_s", [60, MESSAGE_LIFETIME_S_MAX])
async def test_bounds_of_text_and_lifetime_are_taken(
    autojump_clock: MockClock, met: Rig, lifetime_s: int
) -> None:
    text = "é" * (TEXT_BYTES_MAX // 2)
    sent = await met["anna"].send(met["bruno"].scope, text, lifetime_s=lifetime_s)
    header = bundle_of(await met["anna"].held(), sent.id).header
    # Never longer than the key it is sealed to.
    assert header.lifetime_s <= lifetime_s
    await met.mix("anna", "bruno")
    assert await met["bruno"].texts() == [text]


async def test_a_box_may_not_raise_an_sos(autojump_clock: MockClock, met: Rig) -> None:
    with pytest.raises(SendError) as caught:
        await met["box"].send(ZONE_SCOPE, "battery low", Priority.SOS)
    assert caught.value.reason == "no_sos_key"


async def test_a_message_is_cancelled_once(autojump_clock: MockClock, met: Rig) -> None:
    anna = met["anna"]
    sent = await anna.send(met["bruno"].scope, "never mind")
    assert await anna.node.outbox.cancel(sent.key) is True
    assert await anna.node.outbox.cancel(sent.key) is False
    message = await anna.message(sent.key)
    assert (message.state, message.reason) == (MessageState.REFUSED, "cancelled")
    # A copy that was out already may still arrive, and changes nothing.
    await met.mix("anna", "bruno")
    assert (await anna.message(sent.key)).state is MessageState.REFUSED
    assert [line.event for line in await anna.ledger(sent.key)].count(LedgerEvent.REFUSED) == 1


async def test_a_message_is_announced_after_it_is_kept(autojump_clock: MockClock, met: Rig) -> None:
    anna = met["anna"]
    with anna.node.events.subscribe() as subscription:
        sent = await anna.send(met["bruno"].scope, "hello")
        found = [await subscription.next(), await subscription.next()]
    assert MessageChanged(sent.key) in found
    assert anna.metric("messages_sent") == 1


async def test_ids_rise_and_are_never_used_twice(autojump_clock: MockClock, met: Rig) -> None:
    ids: list[BundleId] = [
        (await met["anna"].send(met["bruno"].scope, f"number {n}")).id for n in range(5)
    ]
    assert [each.seq for each in ids] == sorted({each.seq for each in ids})
    held = [bundle.header.id for bundle in await met["anna"].held()]
    assert len(held) == len(set(held))


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(texts=st.lists(st.text(min_size=1, max_size=300), min_size=1, max_size=4))
def test_any_text_arrives_as_it_was_written(texts: list[str]) -> None:
    async def write() -> tuple[list[str], list[str]]:
        async with open_rig() as rig:
            await rig.mix("anna", "bruno")
            taken = []
            for text in texts:
                with suppress(SendError):
                    await rig["anna"].send(squad_scope(), text)
                    taken.append(text)
            await rig.mix("anna", "bruno")
            return taken, await rig["bruno"].texts()

    taken, arrived = run_seeded(write, 1)
    assert sorted(arrived) == sorted(taken)
    assert len(taken) == sum(bool(text.strip()) for text in texts)
