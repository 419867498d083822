"""Read receipts: who learns that a person read something, when, and what a liar can do."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from meshnode.node import open_node
from meshnode.outbox import Priority
from meshnode.store import reading
from meshnode.store.records import LedgerEvent, MessageState, RecipientState
from protocol import payloads
from protocol.bundle import ScopeKind, Suite
from protocol.envelope import pad, seal_message
from protocol.guards import READ_DELAY_MS, READ_MESSAGES_MAX
from protocol.limits import Kind
from protocol.pages import page_of
from protocol.payloads import READ_PAGES_MAX, Read, ReadPage
from tests.meshnode import documents
from tests.meshnode.rig import CODT, ZONE_SCOPE, Member, Rig, squad_scope


async def read_all(member: Member) -> int:
    """Show everything to a person; return how many messages were new to it."""
    reading_room = member.node.require_desk().reading
    return sum([await reading_room.mark_read(each.key) for each in await member.incoming()])


async def state_at(author: Member, key: int, reader: Member) -> RecipientState:
    """Return what the author knows of one reader."""
    (found,) = [each for each in await author.recipients(key) if each.node == reader.id]
    return found.state


async def test_a_squad_hears_what_a_mate_has_read(autojump_clock: MockClock, met: Rig) -> None:
    anna, bruno = met["anna"], met["bruno"]
    sent = [await anna.send(squad_scope(), f"{n}") for n in range(3)]
    await met.mix("anna", "bruno", "box")
    assert await state_at(anna, sent[0].key, bruno) is RecipientState.ON_DEVICE
    assert await bruno.held(Kind.READ) == []
    assert await read_all(bruno) == 3
    assert await read_all(bruno) == 0
    await met.mix("anna", "bruno", "box")
    assert [await state_at(anna, each.key, bruno) for each in sent] == [RecipientState.READ] * 3
    (bundle,) = await bruno.held(Kind.READ)
    assert (bundle.header.suite, bundle.header.scope) == (Suite.CHAIN, squad_scope())
    last = (await anna.ledger(sent[0].key))[-1]
    assert (last.event, last.node, last.detail) == (LedgerEvent.RECEIPT, bruno.id, "read")


async def test_an_author_outside_the_squad_hears_of_it_itself(
    autojump_clock: MockClock, met: Rig
) -> None:
    """Found at the bridge to TAK: an operator never learned that a squad had read its message."""
    gateway, anna, bruno = met["gateway"], met["anna"], met["bruno"]
    sent = await gateway.send(squad_scope(), "rentrez")
    inside = await anna.send(squad_scope(), "compris ?")
    await met.mix("anna", "bruno", "box", "gateway")
    for member in (anna, bruno):
        await read_all(member)
    await met.mix("anna", "bruno", "box", "gateway")
    for member in (anna, bruno):
        assert await state_at(gateway, sent.key, member) is RecipientState.READ
    assert await state_at(anna, inside.key, bruno) is RecipientState.READ
    told = {each.header.scope for each in await bruno.held(Kind.READ)}
    assert told >= {squad_scope(), gateway.scope}


@pytest.mark.parametrize(
    ("writer", "to", "reader"),
    [("anna", "bruno", "bruno"), ("anna", "codt", "gateway"), ("anna", "zone", "bruno")],
)
async def test_the_author_alone_hears_of_what_was_not_for_a_squad(
    autojump_clock: MockClock, met: Rig, writer: str, to: str, reader: str
) -> None:
    anna, other = met[writer], met[reader]
    scope = {"codt": CODT, "zone": ZONE_SCOPE}.get(to, met["bruno"].scope)
    urgency = Priority.SOS if scope.kind is ScopeKind.ZONE else Priority.NORMAL
    sent = await anna.send(scope, "read me", urgency)
    await met.mix("anna", reader)
    assert await read_all(other) == 1
    await met.mix("anna", reader, "box")
    assert await state_at(anna, sent.key, other) is RecipientState.READ
    (bundle,) = await other.held(Kind.READ)
    assert (bundle.header.suite, bundle.header.scope) == (Suite.HYBRID, anna.scope)
    assert met["box"].metric("read_receipts_taken") == 0


async def test_a_newer_receipt_says_all_and_replaces_the_older(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    keys = []
    for number in range(4):
        keys.append((await anna.send(squad_scope(), f"{number}")).key)
        await met.carry("anna", "bruno")
        await read_all(bruno)
        await bruno.node.settle()
        assert len(await bruno.held(Kind.READ)) == 1
    await met.mix("anna", "bruno")
    for key in keys:
        assert await state_at(anna, key, bruno) is RecipientState.READ


async def test_what_is_read_in_one_go_is_told_once_and_later(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    for number in range(5):
        await anna.send(squad_scope(), f"{number}")
    await met.mix("anna", "bruno")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bruno.node.require_desk().reading.run)
        await read_all(bruno)
        await trio.sleep(READ_DELAY_MS / 2000)
        assert bruno.metric("read_receipts_made") == 0
        await trio.sleep(READ_DELAY_MS / 1000)
        assert bruno.metric("read_receipts_made") == 1
        nursery.cancel_scope.cancel()


async def test_what_was_read_is_told_after_a_restart(autojump_clock: MockClock, met: Rig) -> None:
    anna, bruno = met["anna"], met["bruno"]
    sent = await anna.send(squad_scope(), "before the crash")
    await met.mix("anna", "bruno")
    await read_all(bruno)
    async with open_node(bruno.parts) as again:
        assert await bruno.store.read(lambda conn: reading.due(conn, 9)) != []
        await again.settle()
        assert await bruno.store.read(lambda conn: reading.due(conn, 9)) == []
    await met.carry("bruno", "anna")
    assert await state_at(anna, sent.key, bruno) is RecipientState.READ


async def test_reading_tells_more_than_a_receipt_that_comes_later(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    sent = await anna.send(squad_scope(), "first read, then received")
    await met.carry("anna", "bruno")
    await read_all(bruno)
    await bruno.node.settle()
    await met.carry("bruno", "anna", Kind.READ, Kind.CHAIN_KEYS, Kind.PREKEY)
    assert await state_at(anna, sent.key, bruno) is RecipientState.READ
    assert (await anna.message(sent.key)).state is MessageState.DELIVERED
    await met.carry("bruno", "anna", Kind.RECEIPT)
    assert await state_at(anna, sent.key, bruno) is RecipientState.READ


async def test_what_is_read_after_its_lifetime_is_told_too(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    sent = await anna.send(squad_scope(), "read late", lifetime_s=60)
    await met.mix("anna", "bruno")
    for each in (anna, bruno):
        each.machine.clock_ahead_ms += 3_600_000
    await read_all(bruno)
    await met.mix("anna", "bruno")
    assert await state_at(anna, sent.key, bruno) is RecipientState.READ


async def forged(met: Rig, *pages: ReadPage) -> None:
    """Let bruno say to the squad, well sealed and signed, that it read `pages`."""
    bruno, anna = met["bruno"], met["anna"]
    keeper = bruno.node.outbox._keeper
    under = await bruno.store.write(lambda tx: keeper.key_for(tx, squad_scope()))
    header = bruno.header(
        Kind.READ, squad_scope(), 1, suite=Suite.CHAIN, keyref=under.chain_id, index=under.index
    )
    payload = Read(bruno.id, squad_scope().encode(), pages)
    body = seal_message(under.key, header.encode(), pad(payloads.encode(payload)))
    await met.carry("bruno", "anna")
    await anna.take([bruno.forge(header, body)])


def page_for(author: Member, seq: int, *, is_read: bool) -> ReadPage:
    """Name one message of an author."""
    runs = ((seq - 1024 * page_of(seq), 1),)
    read, withdrawn = (runs, ()) if is_read else ((), runs)
    return ReadPage(author.id, author.store.incarnation, page_of(seq), read, withdrawn)


async def test_a_liar_speaks_for_itself_alone(autojump_clock: MockClock, met: Rig) -> None:
    """It may say that it read what it is a recipient of, and withdraws nothing for the author."""
    anna, bruno = met["anna"], met["bruno"]
    private = await anna.send(met["gateway"].scope, "for the gateway alone")
    shared = await anna.send(squad_scope(), "for bruno")
    await met.mix("anna", "bruno")
    await forged(
        met,
        *sorted(
            {
                page_for(anna, private.id.seq, is_read=True),
                page_for(bruno, 7, is_read=True),
            },
            key=lambda page: page.author,
        ),
    )
    assert await state_at(anna, private.key, met["gateway"]) is RecipientState.PENDING
    before = await state_at(anna, shared.key, bruno)
    await forged(met, page_for(anna, shared.id.seq, is_read=False))
    assert await state_at(anna, shared.key, bruno) is before


async def test_a_device_that_was_revoked_is_not_answered(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    await anna.send(bruno.scope, "from somebody who is lost")
    await met.mix("anna", "bruno")
    await read_all(bruno)
    listed = documents.revocations(met, ["anna"], 1).raw
    assert await bruno.node.membership.accept([listed]) == 1
    await bruno.node.settle()
    assert await bruno.held(Kind.READ) == []
    assert await bruno.store.read(lambda conn: reading.due(conn, 9)) == []


async def test_the_largest_read_receipt_fits_its_bundle(autojump_clock: MockClock) -> None:
    """Worst case: no two messages in a row, and as many authors as can be named."""
    each = READ_MESSAGES_MAX // READ_PAGES_MAX + 1
    runs = tuple((2 * place, 1) for place in range(each))
    pages = tuple(
        ReadPage(bytes([n]) * 16, 2**32 - 1, 2**40, runs, ()) for n in range(READ_PAGES_MAX)
    )
    encoded = payloads.encode(Read(bytes(16), squad_scope().encode(), pages))
    assert len(encoded) < 8_192
    assert payloads.decode_untrusted(encoded, bytes(16), squad_scope().encode()) == Read(
        bytes(16), squad_scope().encode(), pages
    )
