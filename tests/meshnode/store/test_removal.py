"""Dropping: the row, its index, and everything that hangs on it."""

from __future__ import annotations

from meshnode.store import bundles, delivery, peers, removal
from meshnode.store.engine import Store, Transaction
from protocol.limits import TOMBSTONE_KEEP_MS, Kind
from protocol.reports import Reception
from tests.meshnode.store.parts import NOW_MS, add, held, node, record, rows


async def test_all_that_hangs_on_a_bundle_goes_with_it(store: Store) -> None:
    going, staying = record(1), record(2)
    ids = [going.short_id, staying.short_id]
    await add(store, going, staying)
    await store.write(lambda tx: peers.note_copies(tx, node(9), ids, NOW_MS))
    await store.write(lambda tx: delivery.queue_unopened(tx, ids, NOW_MS))

    def drop(tx: Transaction) -> list[int]:
        found = removal.drop_many(tx, [going.short_id], Reception.DELIVERED)
        assert found == tx.dropped
        return [each.seq for each in found]

    assert await store.write(drop) == [1]
    assert await held(store) == {staying.short_id}
    assert await store.read(lambda conn: peers.copies(conn, ids)) == {staying.short_id: {node(9)}}
    waiting = await store.read(lambda conn: delivery.unopened(conn, 9))
    assert [each.short_id for each in waiting] == [staying.short_id]
    until = going.expires_ms + TOMBSTONE_KEEP_MS
    assert await rows(store, "SELECT until_ms, reason FROM tombstone") == [
        (until, int(Reception.DELIVERED))
    ]


async def test_what_is_not_held_is_passed_over(store: Store) -> None:
    await add(store, record(1))
    ids = [record(5).short_id, record(1).short_id, record(1).short_id]
    dropped = await store.write(lambda tx: bundles.drop_many(tx, ids, Reception.REVOKED))
    assert [each.seq for each in dropped] == [1]
    assert await store.write(lambda tx: bundles.drop_many(tx, ids, Reception.REVOKED)) == []
    assert await store.write(lambda tx: bundles.drop_many(tx, [], Reception.REVOKED)) == []


async def test_the_first_reason_stays(store: Store) -> None:
    made = record(1, Kind.SOS)

    def bury_twice(tx: Transaction) -> None:
        removal.bury(tx, [(made.short_id, made.expires_ms)], Reception.REVOKED)
        removal.bury(tx, [(made.short_id, made.expires_ms)], Reception.EXPIRED)

    await store.write(bury_twice)
    assert await add(store, made) == [Reception.REVOKED]


async def test_hundreds_at_once(store: Store) -> None:
    made = [record(seq) for seq in range(1, 601)]
    await add(store, *made)
    ids = [each.short_id for each in made[:555]]
    dropped = await store.write(lambda tx: bundles.drop_many(tx, ids, Reception.EXPIRED))
    assert {each.short_id for each in dropped} == set(ids)
    assert len(await held(store)) == 45


async def test_what_is_named_twice_far_apart_goes_once(store: Store) -> None:
    made = [record(seq) for seq in range(1, 601)]
    await add(store, *made)
    ids = [each.short_id for each in made]
    twice = [*ids[:555], *ids[:3]]
    dropped = await store.write(lambda tx: bundles.drop_many(tx, twice, Reception.DELIVERED))
    assert sorted(each.short_id for each in dropped) == sorted(ids[:555])
    (sketch,) = store.sketches.values()
    (totals,) = store.index.totals.values()
    assert (sketch.n, totals.count) == (45, 45)
    assert await rows(store, "SELECT count FROM interest") == [(45,)]
