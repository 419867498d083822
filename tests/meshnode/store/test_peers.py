"""Who was met, and who carries what."""

from __future__ import annotations

from unittest.mock import patch

import pytest

from meshnode.store import peers
from meshnode.store.engine import Store
from meshnode.store.records import PeerRecord
from tests.meshnode.store.parts import NOW_MS, add, node, record


async def _up(store: Store, who: int, address: str = "", at_ms: int = NOW_MS) -> None:
    await store.write(lambda tx: peers.contact_up(tx, node(who), address, at_ms))


async def _down(store: Store, who: int, at_ms: int, sent: int = 0, received: int = 0) -> None:
    await store.write(lambda tx: peers.contact_down(tx, node(who), at_ms, sent, received))


async def _copy(store: Store, who: int, *ids: int) -> list[int]:
    return await store.write(lambda tx: peers.note_copies(tx, node(who), ids, NOW_MS))


async def test_contacts_add_up(store: Store) -> None:
    await _up(store, 1, "[::1]:7625")
    await _down(store, 1, NOW_MS + 10, 100, 20)
    await _up(store, 1, "", NOW_MS + 20)
    await _down(store, 1, NOW_MS + 30, 1, 2)
    await _up(store, 1, "10.0.0.1:7625", NOW_MS + 40)
    assert await store.read(lambda conn: peers.get(conn, node(1))) == PeerRecord(
        node(1), "10.0.0.1:7625", True, NOW_MS, NOW_MS + 40, 3, 101, 22
    )
    assert await store.read(lambda conn: peers.get(conn, node(2))) is None


async def test_an_empty_address_leaves_the_last_one(store: Store) -> None:
    await _up(store, 1, "[::1]:7625")
    await _up(store, 1)
    found = await store.read(lambda conn: peers.get(conn, node(1)))
    assert found is not None
    assert (found.address, found.contacts) == ("[::1]:7625", 2)


async def test_those_in_contact_come_first_then_the_last_met(store: Store) -> None:
    for who in (1, 2, 3):
        await _up(store, who, at_ms=NOW_MS + who)
    await _down(store, 3, NOW_MS + 9)
    await _down(store, 1, NOW_MS + 7)
    found = await store.read(peers.list_peers)
    assert [each.node for each in found] == [node(2), node(3), node(1)]


async def test_after_a_start_nobody_is_in_contact(store: Store) -> None:
    for who in (1, 2):
        await _up(store, who)
    await store.write(peers.all_down)
    assert [each.is_up for each in await store.read(peers.list_peers)] == [False, False]


async def test_the_end_of_a_contact_nobody_knows(store: Store) -> None:
    await _down(store, 1, NOW_MS)
    assert await store.read(peers.list_peers) == []


async def test_copies_of_held_bundles_are_noted_once(store: Store) -> None:
    made = [record(seq) for seq in range(1, 4)]
    ids = [each.short_id for each in made]
    await add(store, *made[:2])
    assert await _copy(store, 8, ids[0], ids[0], ids[2]) == [ids[0]]
    assert await _copy(store, 8, ids[0], ids[1]) == [ids[1]]
    assert await _copy(store, 9, ids[0]) == [ids[0]]
    assert await _copy(store, 9) == []
    assert await store.read(lambda conn: peers.copies(conn, ids)) == {
        ids[0]: {node(8), node(9)},
        ids[1]: {node(8)},
    }


@pytest.mark.parametrize("bound", [1, 3])
async def test_carriers_of_one_bundle_are_bounded(store: Store, bound: int) -> None:
    await add(store, record(1))
    short_id = record(1).short_id
    with patch.object(peers, "COPIES_PER_BUNDLE_MAX", bound):
        noted = [bool(await _copy(store, who, short_id)) for who in range(1, bound + 3)]
    assert noted == [True] * bound + [False] * 2
