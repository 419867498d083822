"""Quotas on whole nodes: floods refused, backlogs taken, forgeries free, restarts no pardon."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from meshnode.errors import QuotaError
from meshnode.metrics import METRICS
from meshnode.outbox import Priority
from meshnode.store import quotas
from meshnode.store.bundles import add_many, by_kind, drop_many
from meshnode.store.engine import Store, Transaction, open_store
from meshnode.store.records import LedgerEvent, MessageState
from protocol.bundle import Bundle, Suite
from protocol.guards import (
    QUOTA_AHEAD_MAX,
    QUOTA_BULK_SHARE_BYTES,
    QUOTA_CENTRE_FACTOR,
    QUOTA_HOUR_BULK_BYTES,
    QUOTA_HOUR_POSITIONS,
    QUOTA_HOUR_SOS,
    QUOTA_HOUR_STATES,
    QUOTA_HOUR_TEXTS,
    QUOTA_HOURS_KEPT,
    QUOTA_SHARE_BYTES,
    QUOTA_SOS_BYTES,
)
from protocol.ids import ShortId
from protocol.limits import STORE_ROW_BYTES, TEXT_BYTES_MAX, Kind
from protocol.quota import AGENT, hour_of
from protocol.reports import Reception
from tests.meshnode.rig import CODT, ZONE_SCOPE, Member, Rig, open_rig, squad_scope
from tests.meshnode.store.parts import NOW_MS, drop, record, rows, runtime
from tests.meshnode.test_shifts import opened, position_of, shift_of

HOUR_MS = 3_600_000
NEWEST = (Kind.STATE, Kind.POSITION)
"""Of these the newest alone is kept."""


def made(author: Member, kind: Kind, number: int, at_ms: int, size: int = 48) -> Bundle:
    """Return one bundle of a kind, stamped at a time."""
    more: dict[str, object] = {"suite": Suite.CHAIN, "keyref": bytes(8)}
    scope = squad_scope()
    if kind in (Kind.RECEIPT, Kind.PREKEY, Kind.KEY_REQUEST):
        more, scope = {"index": number}, CODT
    if kind is Kind.SOS:
        more, scope = {"suite": Suite.ZONE, "keyref": bytes(8)}, ZONE_SCOPE
    if kind is Kind.STATE:
        more["index"] = number % 2_048
    if kind is Kind.POSITION:
        return position_of(author, number, at_ms)
    header = author.header(kind, scope, number, hlc=at_ms << 16, lifetime_s=7 * 43_200, **more)
    return author.forge(header, number.to_bytes(4, "big") + bytes(size))


def flood(author: Member, kind: Kind, count: int, at_ms: int, first: int = 0) -> list[Bundle]:
    return [made(author, kind, first + each, at_ms) for each in range(count)]


@pytest.mark.parametrize(
    ("kind", "most"),
    [
        (Kind.TEXT, QUOTA_HOUR_TEXTS),
        (Kind.POSITION, QUOTA_HOUR_POSITIONS),
        (Kind.STATE, QUOTA_HOUR_STATES),
        (Kind.RECEIPT, QUOTA_HOUR_STATES),
        (Kind.SOS, QUOTA_HOUR_SOS),
    ],
)
async def test_of_each_kind_an_hour_takes_so_many(
    autojump_clock: MockClock, rig: Rig, kind: Kind, most: int
) -> None:
    box, now_ms = rig["box"], rig["box"].machine.now_ms()
    if kind is Kind.POSITION:
        shifts = [shift_of(rig[name], 9_000, opened(rig[name])) for name in ("anna", "bruno")]
        assert await box.take(shifts) == [Reception.STORED] * 2
    fates = Counter(await box.take(flood(rig["anna"], kind, most + 7, now_ms)))
    # Of a state only the newest is kept; all were counted.
    taken = fates[Reception.STORED] + fates.pop(Reception.SUPERSEDED, 0)
    assert (taken, fates[Reception.QUOTA]) == (most, 7)
    assert len(fates) == 2
    assert box.metric("bundles_quota") == 7
    assert await box.take(flood(rig["bruno"], kind, 1, now_ms)) == [Reception.STORED]
    before_ms = now_ms - HOUR_MS
    (fate,) = await box.take(flood(rig["anna"], kind, 1, before_ms, 1_000))
    assert fate is (Reception.SUPERSEDED if kind in NEWEST else Reception.STORED)
    # It comes again and again, and stays refused.
    assert await box.take(flood(rig["anna"], kind, most + 7, now_ms)[-1:]) == [Reception.QUOTA]


async def test_a_gateway_answers_a_whole_zone(autojump_clock: MockClock, rig: Rig) -> None:
    box, now_ms = rig["box"], rig["box"].machine.now_ms()
    many = flood(rig["gateway"], Kind.RECEIPT, 2 * QUOTA_HOUR_STATES, now_ms)
    assert set(await box.take(many)) == {Reception.STORED}
    assert QUOTA_CENTRE_FACTOR > 2


async def test_bulk_is_bounded_by_its_bytes(autojump_clock: MockClock, rig: Rig) -> None:
    box, now_ms = rig["box"], rig["box"].machine.now_ms()
    chunks = [made(rig["anna"], Kind.CHUNK, each, now_ms, 60_000) for each in range(440)]
    fates = Counter(await box.take(chunks))
    assert fates[Reception.STORED] == QUOTA_HOUR_BULK_BYTES // len(chunks[0].raw)
    assert fates[Reception.QUOTA] == 440 - fates[Reception.STORED]
    text = made(rig["anna"], Kind.TEXT, 9_000, now_ms)
    assert await box.take([text]) == [Reception.STORED]


async def test_a_backlog_of_days_is_taken_at_once(autojump_clock: MockClock, rig: Rig) -> None:
    """What a boat brings was written within the quota of each hour: none of it is refused."""
    box, now_ms = rig["box"], rig["box"].machine.now_ms()
    backlog = [
        made(rig["anna"], Kind.TEXT, 100 * hour + each, now_ms - hour * HOUR_MS)
        for hour in range(60)
        for each in range(20)
    ]
    assert set(await box.take(backlog)) == {Reception.STORED}


async def test_stamps_set_back_are_bounded_by_the_share(
    autojump_clock: MockClock, rig: Rig
) -> None:
    box, now_ms = rig["box"], rig["box"].machine.now_ms()
    old_ms = now_ms - (QUOTA_HOURS_KEPT + 1) * HOUR_MS
    chunks = [made(rig["anna"], Kind.TEXT, each, old_ms, 60_000) for each in range(200)]
    fates = Counter(await box.take(chunks))
    charged = len(chunks[0].raw) + STORE_ROW_BYTES
    assert fates[Reception.STORED] == QUOTA_SHARE_BYTES // charged
    assert fates[Reception.QUOTA] == 200 - fates[Reception.STORED]
    # Dropping gives room for the share, but not for another share within this hour.
    ids = await box.ids()
    await box.store.write(lambda tx: quotas_drop(tx, ids))
    assert await box.take(chunks[-1:]) == [Reception.QUOTA]
    await trio.sleep(3_600)
    assert await box.take(chunks[-1:]) == [Reception.STORED]


def chunk_ids(tx: Transaction) -> list[int]:
    """Return three of the chunks that are held."""
    return [int(each.short_id) for each in by_kind(tx.connection, Kind.CHUNK)[:3]]


def quotas_drop(tx: Transaction, ids: list[int]) -> None:
    drop_many(tx, [ShortId(each) for each in ids], Reception.DELIVERED)


async def test_what_is_dated_ahead_is_held_in_small_numbers(
    autojump_clock: MockClock, rig: Rig
) -> None:
    box, now_ms = rig["box"], rig["box"].machine.now_ms()
    ahead = [
        made(rig["anna"], Kind.TEXT, 100 * hour + each, now_ms + hour * HOUR_MS)
        for hour in range(1, 5)
        for each in range(90)
    ]
    fates = Counter(await box.take(ahead))
    assert fates == {Reception.STORED: QUOTA_AHEAD_MAX, Reception.QUOTA: 360 - QUOTA_AHEAD_MAX}
    assert await box.take([made(rig["anna"], Kind.TEXT, 9_000, now_ms)]) == [Reception.STORED]


async def test_forged_bundles_cost_the_author_they_name_nothing(
    autojump_clock: MockClock, rig: Rig
) -> None:
    box, anna, now_ms = rig["box"], rig["anna"], rig["box"].machine.now_ms()
    real = flood(anna, Kind.TEXT, QUOTA_HOUR_TEXTS, now_ms)
    forged = [each.raw[:-64] + bytes(64) for each in flood(anna, Kind.TEXT, 300, now_ms, 2_000)]
    fates = await box.take([*forged, *real])
    assert Counter(fates[:300]) == {Reception.BAD_SIGNATURE: 300}
    assert Counter(fates[300:]) == {Reception.STORED: QUOTA_HOUR_TEXTS}


async def test_bulk_set_back_is_bounded_by_its_own_share_and_leaves_texts_theirs(
    autojump_clock: MockClock, rig: Rig
) -> None:
    box, now_ms = rig["box"], rig["box"].machine.now_ms()
    old_ms = now_ms - (QUOTA_HOURS_KEPT + 1) * HOUR_MS
    taken, first = 0, made(rig["anna"], Kind.CHUNK, 0, old_ms, 60_000)
    charged = len(first.raw) + STORE_ROW_BYTES
    for start in range(0, 1_200, 300):
        chunks = [
            made(rig["anna"], Kind.CHUNK, each, old_ms, 60_000)
            for each in range(start, start + 300)
        ]
        taken += Counter(await box.take(chunks))[Reception.STORED]
    assert taken == QUOTA_BULK_SHARE_BYTES // charged
    assert await box.take([made(rig["anna"], Kind.TEXT, 9_000, now_ms)]) == [Reception.STORED]


async def test_two_batches_at_once_do_not_exceed_the_quota(
    autojump_clock: MockClock, rig: Rig
) -> None:
    box, now_ms = rig["box"], rig["box"].machine.now_ms()
    async with trio.open_nursery() as nursery:
        for part in range(4):
            batch = flood(rig["anna"], Kind.TEXT, 60, now_ms, part * 60)
            nursery.start_soon(box.node.relay.receive, None, [(0, each.raw) for each in batch])
    assert len(await box.held(Kind.TEXT)) == QUOTA_HOUR_TEXTS


# --- one's own bundles -------------------------------------------------------------------------


async def test_a_device_says_no_more_than_others_take(autojump_clock: MockClock, met: Rig) -> None:
    anna, box = met["anna"], met["box"]
    for number in range(QUOTA_HOUR_TEXTS):
        await anna.send(met["bruno"].scope, f"text {number}")
    with pytest.raises(QuotaError, match="wait an hour"):
        await anna.send(met["bruno"].scope, "one too many")
    assert len(await anna.outgoing()) == QUOTA_HOUR_TEXTS, "nothing of it was kept"
    for _ in range(QUOTA_HOUR_SOS):
        await anna.send(ZONE_SCOPE, "help", Priority.SOS)
    assert Reception.QUOTA not in await met.carry("anna", "box")
    await met.carry("anna", "box")
    await trio.sleep(3_600)
    await anna.send(met["bruno"].scope, "the next hour")
    assert Reception.STORED in await met.carry("anna", "box")
    assert box.metric("bundles_quota") == 0


async def test_an_alarm_too_many_says_so_and_leaves_in_the_next_hour(
    autojump_clock: MockClock, met: Rig
) -> None:
    """What nobody would take is not shown as queued, and it is not lost."""
    anna, box = met["anna"], met["box"]
    for number in range(QUOTA_HOUR_SOS):
        sent = await anna.send(ZONE_SCOPE, f"help {number}", Priority.SOS)
        assert (sent.state, sent.is_held_back) == (MessageState.QUEUED, False)
    late = [await anna.send(ZONE_SCOPE, f"more help {n}", Priority.SOS) for n in range(2)]
    assert [(one.state, one.is_held_back) for one in late] == [(MessageState.WAITING, True)] * 2
    text = await anna.send(met["bruno"].scope, "a text goes by its own count")
    assert text.state is MessageState.QUEUED
    for _ in range(2):
        assert await anna.node.outbox.seal_waiting() == 0
        events = [line.event for line in await anna.ledger(late[0].key)]
        assert events.count(LedgerEvent.HELD_BACK) == 1, "said once"
    await met.carry("anna", "box")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(anna.node.require_desk().run)
        await trio.sleep(3_700)
        nursery.cancel_scope.cancel()
    assert [(await anna.message(one.key)).state for one in late] == [MessageState.QUEUED] * 2
    assert Reception.QUOTA not in await met.carry("anna", "box")
    assert len(await box.held(Kind.SOS)) == QUOTA_HOUR_SOS + len(late)
    assert box.metric("bundles_quota") == 0


async def test_an_alarm_that_takes_much_room_is_made_all_the_same(
    autojump_clock: MockClock, met: Rig
) -> None:
    """How much room there is for it differs from node to node, so none is held back for that."""
    anna = met["anna"]
    for number in range(QUOTA_SOS_BYTES // TEXT_BYTES_MAX + 2):
        if number % QUOTA_HOUR_SOS == 0:
            await trio.sleep(3_600)
        sent = await anna.send(ZONE_SCOPE, "x" * TEXT_BYTES_MAX, Priority.SOS)
        assert (sent.state, sent.is_held_back) == (MessageState.QUEUED, False)
    assert (await met.carry("anna", "box", Kind.SOS)).count(Reception.QUOTA) >= 1


async def test_an_alarm_whose_key_went_holds_nothing_up(
    autojump_clock: MockClock, rig: Rig
) -> None:
    anna, bruno = rig["anna"], rig["bruno"]
    for number in range(QUOTA_HOUR_SOS + 1):
        alarm = await anna.send(ZONE_SCOPE, f"help {number}", Priority.SOS)
    text = await anna.send(bruno.scope, "waits for a key")
    assert {alarm.state, text.state} == {MessageState.WAITING}
    await anna.store.write(
        lambda tx: tx.connection.exec_driver_sql("DELETE FROM network_key WHERE purpose = 2")
    )
    await trio.sleep(3_600)
    await rig.carry("bruno", "anna")
    assert (await anna.message(text.key)).state is MessageState.QUEUED
    assert (await anna.message(alarm.key)).state is MessageState.WAITING
    assert "no key to raise it" in (await anna.ledger(alarm.key))[-1].detail


async def test_texts_beyond_the_hour_hold_no_alarm_up_that_waits(
    autojump_clock: MockClock, rig: Rig
) -> None:
    """Each kind waits for its own hour: a pile of texts stands in no alarm's way."""
    anna, bruno = rig["anna"], rig["bruno"]
    early = [await anna.send(bruno.scope, f"early {n}") for n in range(QUOTA_HOUR_TEXTS + 5)]
    assert {one.state for one in early} == {MessageState.WAITING}
    for number in range(QUOTA_HOUR_SOS + 1):
        alarm = await anna.send(ZONE_SCOPE, f"help {number}", Priority.SOS)
    assert alarm.is_held_back
    await trio.sleep(3_600)
    await rig.carry("bruno", "anna")
    states = Counter([(await anna.message(one.key)).state for one in early])
    assert states == {MessageState.QUEUED: QUOTA_HOUR_TEXTS, MessageState.WAITING: 5}
    assert (await anna.message(alarm.key)).state is MessageState.QUEUED


async def test_receipts_wait_for_the_next_hour_and_tell_more_then(
    autojump_clock: MockClock, met: Rig
) -> None:
    """A device that receives all day long never uses up what others take of it."""
    anna, bruno = met["anna"], met["bruno"]
    used = flood(bruno, Kind.KEY_REQUEST, QUOTA_HOUR_STATES, bruno.machine.now_ms())

    def count(tx: Transaction) -> None:
        claims = [quotas.Claim(bruno.id, Kind.KEY_REQUEST, b.header.hlc, len(b.raw)) for b in used]
        meter = quotas.Meter(tx.connection, claims, bruno.machine.now_ms())
        for claim in claims:
            meter.charge(claim)
        meter.save(tx)

    await bruno.store.write(count)
    sent = await anna.send(bruno.scope, "are you there?")
    await met.carry("anna", "bruno")
    assert await bruno.texts() == ["are you there?"]
    assert bruno.metric("receipts_made") == 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bruno.node.receipting.run)
        await trio.sleep(3_700)
        nursery.cancel_scope.cancel()
    assert bruno.metric("receipts_made") == 1
    await met.carry("bruno", "anna")
    assert (await anna.message(sent.key)).state.value == "delivered"


# --- in the store ------------------------------------------------------------------------------


@asynccontextmanager
async def stored(path: Path) -> AsyncIterator[Store]:
    async with open_store(path, runtime()) as store:
        yield store


async def test_quotas_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    allowed = {record(1).author: AGENT}
    first = [record(each, hlc=NOW_MS << 16) for each in range(1, QUOTA_HOUR_TEXTS)]
    more = [record(each, hlc=NOW_MS << 16) for each in range(1_000, 1_003)]
    async with stored(path) as store:
        fates = await store.write(lambda tx: add_many(tx, first, allowed))
        assert set(fates) == {Reception.STORED}
        await drop(store, *(each.short_id for each in first[:50]))
    async with stored(path) as store:
        fates = await store.write(lambda tx: add_many(tx, more, allowed))
        assert fates == [Reception.STORED, Reception.QUOTA, Reception.QUOTA]
        held = sum(each.size_bytes + STORE_ROW_BYTES for each in [*first[50:], more[0]])
        assert (await rows(store, "SELECT live_bytes FROM holding"))[0][0] == held
        tally = await store.read(
            lambda conn: quotas.tally_of(conn, first[0].author, hour_of(first[0].hlc))
        )
        assert tally.counts[0] == QUOTA_HOUR_TEXTS
        gone_ms = NOW_MS + (QUOTA_HOURS_KEPT + 1) * HOUR_MS
        assert await store.write(lambda tx: quotas.prune_hours(tx, NOW_MS)) == 0
        assert await store.write(lambda tx: quotas.prune_hours(tx, gone_ms)) == 1


async def test_what_has_no_room_is_not_charged_and_what_was_replaced_is(tmp_path: Path) -> None:
    async with stored(tmp_path / "store.sqlite") as store:
        await _charged_or_not(store)


async def _charged_or_not(store: Store) -> None:
    allowed = {record(1).author: AGENT}
    newer, older = record(2, Kind.STATE, slot=1), record(1, Kind.STATE, slot=1)
    assert await store.write(lambda tx: add_many(tx, [newer], allowed)) == [Reception.STORED]
    assert await store.write(lambda tx: add_many(tx, [older], allowed)) == [Reception.SUPERSEDED]
    store.bytes_max = 600
    full = record(3, Kind.TEXT)
    assert await store.write(lambda tx: add_many(tx, [full], allowed)) == [Reception.STORE_FULL]
    tally = await store.read(lambda conn: quotas.tally_of(conn, full.author, hour_of(full.hlc)))
    assert tally.counts == [0, 2, 0, 0, 0]
    charged = newer.size_bytes + STORE_ROW_BYTES
    assert (await rows(store, "SELECT live_bytes FROM holding"))[0][0] == charged


async def test_shares_are_the_sums_of_what_is_held(autojump_clock: MockClock) -> None:
    """The obvious sum beside the one that is kept, after a life of ordinary traffic."""
    async with open_rig() as rig:
        await rig.mix("anna", "bruno", "box", "gateway")
        for number in range(10):
            await rig["anna"].send(squad_scope(), f"text {number}")
            await rig["bruno"].send(CODT, f"answer {number}")
        now_ms = rig["anna"].machine.now_ms()
        chunks = [made(rig["anna"], Kind.CHUNK, each, now_ms, 9_000) for each in range(7)]
        await rig["box"].take(chunks)
        await rig.mix("anna", "bruno", "box", "gateway")
        await rig["box"].store.write(lambda tx: quotas_drop(tx, chunk_ids(tx)))
        for name in ("anna", "bruno", "box", "gateway"):
            kept = await rows(
                rig[name].store,
                "SELECT node, live_bytes, sos_bytes, bulk_bytes FROM holding "
                "WHERE live_bytes + sos_bytes + bulk_bytes > 0 "
                "ORDER BY node",
            )
            counted = await rows(
                rig[name].store,
                "SELECT node, SUM(CASE WHEN kind IN (1, 9, 10) THEN 0 ELSE "
                f"size_bytes + {STORE_ROW_BYTES} END), SUM(CASE WHEN kind = 1 THEN "
                f"size_bytes + {STORE_ROW_BYTES} ELSE 0 END), "
                f"SUM(CASE WHEN kind IN (9, 10) THEN size_bytes + {STORE_ROW_BYTES} ELSE 0 END) "
                "FROM bundle JOIN author ON author.key = bundle.author GROUP BY node ORDER BY node",
            )
            assert [tuple(each) for each in kept] == [tuple(each) for each in counted]


def test_the_refusal_is_a_declared_counter() -> None:
    assert "bundles_quota" in METRICS
