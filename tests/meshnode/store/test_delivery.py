"""The queue of unopened bundles, and the receipts that are due."""

from __future__ import annotations

import pytest

from meshnode.store import delivery
from meshnode.store.engine import Store
from meshnode.store.records import ReceiptPage, Unopened
from tests.meshnode.store.parts import NOW_MS, add, drop, node, record

_KEY, _OTHER_KEY = b"key 1 ..", b"key 2 .."


async def _queue(store: Store, *ids: int, now_ms: int = NOW_MS) -> int:
    return await store.write(lambda tx: delivery.queue_unopened(tx, ids, now_ms))


async def _wait(store: Store, short_id: int, author: int, keyref: bytes) -> None:
    await store.write(lambda tx: delivery.set_waiting(tx, short_id, node(author), keyref))


async def _untried(store: Store, limit: int = 99) -> list[int]:
    return [each.short_id for each in await store.read(lambda c: delivery.unopened(c, limit))]


async def _received(store: Store, seq: int, now_ms: int = NOW_MS) -> bool:
    digest = seq.to_bytes(32, "big")
    return await store.write(lambda tx: delivery.note_received(tx, node(1), 7, seq, digest, now_ms))


# --- unopened --------------------------------------------------------------------------------


async def test_bundles_are_tried_in_the_order_of_arrival(store: Store) -> None:
    assert await _queue(store, 9, 2**64 - 1, now_ms=NOW_MS + 1) == 2
    assert await _queue(store, 5, 9, 5) == 1
    assert await _queue(store) == 0
    assert await _untried(store) == [5, 2**64 - 1, 9]
    assert await _untried(store, 1) == [5]


async def test_nothing_is_left_out_of_the_queue_and_nothing_is_in_it_twice(store: Store) -> None:
    assert await _queue(store, 1, 2) == 2
    assert await _queue(store, 2, 3, 4) == 2
    assert await _queue(store, 4) == 0
    assert await _untried(store) == [1, 2, 3, 4]


async def test_what_waits_for_a_key_is_not_tried_again(store: Store) -> None:
    await _queue(store, 1, 2, 3)
    await _wait(store, 1, 4, _KEY)
    await _wait(store, 3, 4, _KEY)
    await _wait(store, 2, 5, _OTHER_KEY)
    assert await _untried(store) == []
    assert await store.read(lambda conn: delivery.waiting_for(conn, _KEY)) == [1, 3]
    assert await store.read(lambda conn: delivery.waiting_keys(conn, 9)) == [
        Unopened(1, node(4), _KEY, NOW_MS),
        Unopened(2, node(5), _OTHER_KEY, NOW_MS),
    ]


async def test_one_author_with_many_missing_keys_hides_nobody_else_s(store: Store) -> None:
    await _queue(store, 1, 2, 3, 4)
    for short_id in (1, 2, 3):
        await _wait(store, short_id, 4, bytes([short_id]) * 8)
    await _wait(store, 4, 5, _KEY)
    found = await store.read(lambda conn: delivery.waiting_keys(conn, 2))
    assert [each.short_id for each in found if each.author == node(4)] == [1, 2]
    assert [each.short_id for each in found if each.author == node(5)] == [4]


async def test_a_key_that_comes_lets_its_bundles_be_tried_again(store: Store) -> None:
    await _queue(store, 1, 2, 3, 4)
    await _wait(store, 1, 4, _KEY)
    await _wait(store, 3, 4, _KEY)
    await _wait(store, 2, 5, _OTHER_KEY)
    assert await store.write(lambda tx: delivery.requeue(tx, _KEY)) == 2
    assert await _untried(store) == [1, 3, 4]
    assert await store.write(lambda tx: delivery.requeue(tx, _KEY)) == 0
    assert await store.write(lambda tx: delivery.requeue(tx, b"")) == 0
    assert await store.read(lambda conn: delivery.waiting_for(conn, _OTHER_KEY)) == [2]


async def test_what_was_opened_leaves_the_queue(store: Store) -> None:
    await _queue(store, 1, 2)
    assert await store.write(lambda tx: delivery.mark_opened(tx, [2, 7])) == 1
    assert await _untried(store) == [1]


async def test_a_dropped_bundle_leaves_the_queue(store: Store) -> None:
    await add(store, record(1))
    await _queue(store, record(1).short_id)
    await drop(store, record(1).short_id)
    assert await _untried(store) == []


# --- receipts --------------------------------------------------------------------------------


async def test_a_bundle_makes_its_page_due_once(store: Store) -> None:
    assert await _received(store, 1)
    assert await _received(store, 1_023, NOW_MS + 5)
    assert await _received(store, 1_024, NOW_MS + 1)
    assert not await _received(store, 1, NOW_MS + 9)
    assert await store.read(lambda conn: delivery.receipts_due(conn, 9)) == [
        ReceiptPage(node(1), 7, 0, NOW_MS),
        ReceiptPage(node(1), 7, 1, NOW_MS + 1),
    ]
    assert len(await store.read(lambda conn: delivery.receipts_due(conn, 1))) == 1


async def test_a_made_receipt_is_due_again_with_the_next_bundle(store: Store) -> None:
    await _received(store, 1)
    await store.write(lambda tx: delivery.receipt_made(tx, node(1), 7, 0))
    assert await store.read(lambda conn: delivery.receipts_due(conn, 9)) == []
    await _received(store, 2, NOW_MS + 5)
    assert await store.read(lambda conn: delivery.receipts_due(conn, 9)) == [
        ReceiptPage(node(1), 7, 0, NOW_MS + 5)
    ]


@pytest.mark.parametrize("page", [0, 1, 2**53, 2**54 - 1])
async def test_a_page_holds_its_thousand_numbers(store: Store, page: int) -> None:
    first = page << 10
    numbers = [each for each in (first - 1, first, first + 1_023, first + 1_024) if each >= 0]
    kept = [each for each in numbers if each < 2**64]
    for seq in kept:
        await _received(store, seq)
    found = await store.read(lambda conn: delivery.received_page(conn, node(1), 7, page))
    assert found == {seq: seq.to_bytes(32, "big") for seq in (first, first + 1_023)}


async def test_digests_of_own_bundles_of_a_page(store: Store) -> None:
    made = [record(seq, is_own=True) for seq in (1, 1_023, 1_024)]
    await add(store, *made, record(5))
    await drop(store, made[0].short_id)
    assert await store.read(lambda conn: delivery.own_digests(conn, 7, 0)) == {
        1: made[0].digest,
        1_023: made[1].digest,
    }
    assert await store.read(lambda conn: delivery.own_digests(conn, 8, 0)) == {}
