"""Receipts: one per page, soon, cumulative, and due until they are stored."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from meshnode.errors import StoreFullError
from meshnode.store import delivery
from protocol.bundle import Bundle
from protocol.limits import Kind
from protocol.receipts import covered_seqs, decode_receipt_untrusted
from tests.meshnode.rig import Member, Rig, squad_scope


async def receipts(teller: Member, author: Member) -> list[Bundle]:
    """Return the receipts of `teller` for `author`."""
    found = await teller.held(Kind.RECEIPT)
    return [x for x in found if x.header.author == teller.id and x.header.scope == author.scope]


async def test_what_comes_together_is_receipted_by_one_bundle(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    sent = [await anna.send(bruno.scope, f"{n}") for n in range(5)]
    bundles = await anna.held(Kind.TEXT)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bruno.node.inbox.run)
        nursery.start_soon(bruno.node.receipting.run)
        before = bruno.metric("receipts_made")
        for bundle in bundles:
            await bruno.node.relay.receive(anna.id, [(0, bundle.raw)])
        await trio.sleep(2)
        assert bruno.metric("receipts_made") == before + 1
        nursery.cancel_scope.cancel()
    (bundle,) = await receipts(bruno, anna)
    covered = set(covered_seqs(decode_receipt_untrusted(bundle.body)))
    assert {each.id.seq for each in sent} <= covered


async def test_a_receipt_covers_all_before_and_replaces_it(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    seqs = set()
    for number in range(3):
        seqs.add((await anna.send(bruno.scope, f"{number}")).id.seq)
        await bruno.take(await anna.held(Kind.TEXT))
        (bundle,) = await receipts(bruno, anna)
        assert seqs <= set(covered_seqs(decode_receipt_untrusted(bundle.body)))


async def test_chain_keys_are_receipted_too(autojump_clock: MockClock, met: Rig) -> None:
    anna, bruno = met["anna"], met["bruno"]
    await anna.send(squad_scope(), "hello")
    (keys,) = await anna.held(Kind.CHAIN_KEYS)
    await bruno.take([keys])
    (bundle,) = await receipts(bruno, anna)
    assert keys.header.seq in set(covered_seqs(decode_receipt_untrusted(bundle.body)))


async def test_a_receipt_that_found_no_room_stays_due(autojump_clock: MockClock, met: Rig) -> None:
    anna, bruno = met["anna"], met["bruno"]
    await anna.send(bruno.scope, "hello")
    for bundle in await anna.held(Kind.TEXT):
        await bruno.node.relay.receive(anna.id, [(0, bundle.raw)])
    await bruno.node.inbox.open_some()
    bruno.store.bytes_max = 1
    with pytest.raises(StoreFullError):
        await bruno.node.receipting.write_due()
    bruno.store.bytes_max = 10**9
    assert len(await bruno.store.read(lambda conn: delivery.receipts_due(conn, 9))) == 1
    assert await bruno.node.receipting.write_due() == 1
    assert await bruno.node.receipting.write_due() == 0
    assert len(await receipts(bruno, anna)) == 1


async def test_what_a_box_carries_it_does_not_receipt(autojump_clock: MockClock, met: Rig) -> None:
    await met["anna"].send(squad_scope(), "hello")
    await met.carry("anna", "box")
    assert await receipts(met["box"], met["anna"]) == []
    assert met["box"].metric("receipts_made") == 0
