"""Room in the store: who goes for whom, at each bound and one above; and what is forgotten when."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import text

from meshnode.store import delivery, retention
from meshnode.store.engine import Store, Transaction, open_store
from meshnode.store.records import BundleRecord
from protocol.limits import (
    RECEIVED_KEEP_MS,
    STORE_ROW_BYTES,
    TOMBSTONE_KEEP_MS,
    Kind,
)
from protocol.reports import Reception
from tests.meshnode.store.parts import (
    NOW_MS,
    add,
    check,
    drop,
    held,
    inline_runtime,
    node,
    record,
    rows,
)

_CHARGE = 1_000
"""Bytes that each bundle here is charged with."""
_SIZE = _CHARGE - STORE_ROW_BYTES


@asynccontextmanager
async def _room_for(count: int) -> AsyncIterator[Store]:
    """A store for exactly `count` bundles of `_CHARGE` bytes."""
    async with open_store(None, inline_runtime(), bytes_max=count * _CHARGE) as store:
        yield store
        await check(store)


def _some(count: int, kind: Kind, first_seq: int = 1, **changes: Any) -> list[BundleRecord]:
    """Bundles whose deadlines rise with their numbers; none of them shares a slot."""
    return [
        record(seq, kind, size_bytes=_SIZE, slot=seq, **changes)
        for seq in range(first_seq, first_seq + count)
    ]


def _ids(records: Sequence[BundleRecord]) -> set[int]:
    return {each.short_id for each in records}


async def test_the_last_twentieth_is_for_alarms() -> None:
    async with _room_for(100) as store:
        texts = _some(95, Kind.TEXT)
        assert set(await add(store, *texts)) == {Reception.STORED}
        # One above: the text with the nearest deadline goes for one that lives longer.
        assert await add(store, *_some(1, Kind.TEXT, 200)) == [Reception.STORED]
        assert texts[0].short_id not in await held(store)
        assert set(await add(store, *_some(5, Kind.SOS, 300))) == {Reception.STORED}
        assert len(await held(store)) == 100
        assert await add(store, *_some(1, Kind.SOS, 400)) == [Reception.STORED]
        assert texts[1].short_id not in await held(store)


@pytest.mark.parametrize(("kind", "share"), [(Kind.TRACK, 80), (Kind.POSITION, 30)])
async def test_a_class_keeps_to_its_share_while_the_store_is_empty(kind: Kind, share: int) -> None:
    async with _room_for(100) as store:
        first = _some(share, kind)
        assert set(await add(store, *first)) == {Reception.STORED}
        later = _some(2, kind, 500)
        assert await add(store, *later) == [Reception.STORED] * 2
        assert await held(store) == _ids([*first[2:], *later])


async def test_a_newcomer_does_not_push_out_its_betters() -> None:
    async with _room_for(100) as store:
        texts = _some(95, Kind.TEXT)
        await add(store, *texts)
        short_lived = record(900, size_bytes=_SIZE, expires_ms=NOW_MS + 1_000)
        assert await add(store, short_lived) == [Reception.STORE_FULL]
        assert await held(store) == _ids(texts)
        # Refused, not buried: it may come again when there is room.
        await drop(store, texts[0].short_id)
        assert await add(store, short_lived) == [Reception.STORED]


async def test_bulk_goes_first_then_state_then_messages_own_ones_last() -> None:
    async with _room_for(100) as store:
        own = _some(5, Kind.TRACK, 1, is_own=True)
        bulk = _some(20, Kind.TRACK, 100)
        state = _some(20, Kind.POSITION, 200)
        texts = _some(50, Kind.TEXT, 300)
        await add(store, *own, *bulk, *state, *texts)
        for step in (bulk, state, texts, own):
            alarms = _some(len(step), Kind.SOS, 1_000 + step[0].seq)
            if step is bulk:
                alarms += _some(5, Kind.SOS, 2_000)
            before = await held(store)
            assert set(await add(store, *alarms)) == {Reception.STORED}
            assert before - await held(store) == _ids(step)
        # Nothing is left but alarms, and they never go.
        assert await add(store, *_some(1, Kind.SOS, 9_000)) == [Reception.STORE_FULL]
        assert len(await held(store)) == 100


async def test_a_bundle_of_a_lower_class_never_pushes_out_a_higher() -> None:
    async with _room_for(100) as store:
        texts = _some(95, Kind.TEXT)
        await add(store, *texts)
        late = record(900, Kind.TRACK, size_bytes=_SIZE, expires_ms=NOW_MS + 10**9)
        assert await add(store, late) == [Reception.STORE_FULL]
        own = record(901, Kind.TRACK, size_bytes=_SIZE, is_own=True)
        assert await add(store, own) == [Reception.STORE_FULL]


async def test_an_own_message_takes_the_place_of_own_bulk_before_it_is_refused() -> None:
    async with _room_for(100) as store:
        await add(store, *_some(15, Kind.TRACK, 1, is_own=True))
        await add(store, *_some(80, Kind.TEXT, 100, is_own=True))
        mine = record(900, size_bytes=_SIZE, is_own=True)
        assert await add(store, mine) == [Reception.STORED]
        assert record(1, Kind.TRACK).short_id not in await held(store)
        foreign = record(901, size_bytes=_SIZE)
        assert await add(store, foreign) == [Reception.STORE_FULL]


async def test_what_is_over_goes_before_anything_that_lives() -> None:
    async with _room_for(100) as store:
        over = _some(3, Kind.SOS, 1, expires_ms=NOW_MS)
        texts = _some(92, Kind.TEXT, 100)
        await add(store, *over, *texts)
        await add(store, *_some(3, Kind.TEXT, 300))
        assert _ids(over) <= await held(store)
        alarms = _some(5, Kind.SOS, 400)
        assert set(await add(store, *alarms)) == {Reception.STORED}
        assert _ids(over).isdisjoint(await held(store))
        assert _ids(texts) <= await held(store)
        assert await add(store, over[0]) == [Reception.EXPIRED]


async def test_what_had_to_go_is_told_and_does_not_come_back() -> None:
    async with _room_for(100) as store:
        texts = _some(95, Kind.TEXT)
        await add(store, *texts)

        def push(tx: Transaction) -> list[int]:
            retention.admit(tx, {0: record(900, size_bytes=_SIZE)}, NOW_MS)
            return [each.short_id for each in tx.dropped]

        assert await store.write(push) == [texts[0].short_id]
        assert await add(store, texts[0]) == [Reception.STORE_FULL]


async def test_a_batch_too_large_for_one_round_of_evictions_is_refused() -> None:
    async with _room_for(100) as store:
        await add(store, *_some(95, Kind.TEXT))
        with patch.object(retention, "EVICTION_ROWS_MAX", 2):
            outcomes = await add(store, *_some(3, Kind.TEXT, 200))
        assert sorted(outcomes) == [Reception.STORED, Reception.STORED, Reception.STORE_FULL]


async def test_eviction_reads_on_behind_its_first_slice() -> None:
    async with _room_for(100) as store:
        tracks = _some(80, Kind.TRACK)
        await add(store, *tracks)
        with patch.object(retention, "_SLICE", 7):
            assert set(await add(store, *_some(95, Kind.SOS, 200))) == {Reception.STORED}
        assert len(await held(store)) == 100
        assert _ids(tracks[75:]) <= await held(store)


# --- expiry ----------------------------------------------------------------------------------


async def test_a_lifetime_is_over_at_its_end_and_not_before(store: Store) -> None:
    made = record(1, expires_ms=NOW_MS + 100)
    await add(store, made)
    assert await store.write(lambda tx: retention.expire(tx, NOW_MS + 99, 10)) == []
    gone = await store.write(lambda tx: retention.expire(tx, NOW_MS + 100, 10))
    assert [each.short_id for each in gone] == [made.short_id]
    assert await add(store, made) == [Reception.EXPIRED]


@pytest.mark.parametrize("limit", [1, 4, 9, 10, 11])
async def test_expiry_goes_in_steps(store: Store, limit: int) -> None:
    kinds = [Kind.SOS, Kind.TEXT, Kind.TRACK]
    made = [
        record(seq, kinds[seq % 3], zone=1 + seq % 2, size_bytes=500 + 1_000 * (seq % 4))
        for seq in range(1, 11)
    ]
    await add(store, *made, record(50, expires_ms=NOW_MS + 10**12))
    steps: list[int] = []
    while not steps or steps[-1] == limit:
        gone = await store.write(lambda tx: retention.expire(tx, NOW_MS + 10**9, limit))
        steps.append(len(gone))
        assert steps[-1] <= limit
    assert sum(steps) == 10
    assert await held(store) == {record(50).short_id}


# --- forgetting ------------------------------------------------------------------------------


async def test_graves_are_kept_for_a_day_after_the_lifetime(store: Store) -> None:
    made = record(1, expires_ms=NOW_MS)
    await add(store, made)
    await drop(store, made.short_id)
    last_ms = NOW_MS + TOMBSTONE_KEEP_MS
    assert await store.write(lambda tx: retention.prune(tx, last_ms - 1)) == 0
    assert await add(store, made) == [Reception.DELIVERED]
    assert await store.write(lambda tx: retention.prune(tx, last_ms)) == 1
    assert await add(store, made) == [Reception.STORED]


async def test_digests_are_kept_until_nobody_can_ask(store: Store) -> None:
    made = record(1, expires_ms=NOW_MS, is_own=True)
    await add(store, made)
    await store.write(lambda tx: delivery.note_received(tx, node(2), 7, 1, b"d" * 32, NOW_MS))
    last_ms = NOW_MS + RECEIVED_KEEP_MS
    assert await store.write(lambda tx: retention.prune(tx, last_ms - 1)) == 0
    assert await store.write(lambda tx: retention.prune(tx, last_ms)) == 2
    assert await rows(store, "SELECT seq FROM own_bundle UNION SELECT seq FROM received") == []


async def test_graves_are_bounded_and_those_that_end_last_stay(store: Store) -> None:
    def dig(tx: Transaction) -> None:
        for number in range(1, 21):
            tx.connection.execute(
                text("INSERT INTO tombstone VALUES (:n, :until, 5)"),
                {"n": number, "until": NOW_MS + 100 - number},
            )

    await store.write(dig)
    with patch.object(retention, "TOMBSTONES_MAX", 20):
        assert await store.write(lambda tx: retention.prune(tx, NOW_MS)) == 0
    with patch.object(retention, "TOMBSTONES_MAX", 19):
        assert await store.write(lambda tx: retention.prune(tx, NOW_MS)) == 1
    with patch.object(retention, "TOMBSTONES_MAX", 3):
        assert await store.write(lambda tx: retention.prune(tx, NOW_MS)) == 16
    assert await rows(store, "SELECT short_id FROM tombstone ORDER BY 1") == [(1,), (2,), (3,)]
