"""Own chains: one per group and shift, given to readers alone, from the right message on."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from meshnode.store import keyring
from meshnode.store.engine import Transaction
from protocol.chains import SendingChain
from protocol.identity import Role
from protocol.limits import (
    CHAIN_LIFE_MS,
    CHAIN_MESSAGES_MAX,
    KEY_REQUEST_REPEAT_MS,
    Kind,
)
from protocol.receipts import KeyRequest, encode_key_request
from protocol.shifts import is_track_subject, split_subject
from sims.fleet import DevicePlan
from tests.meshnode.documents import publish_roster
from tests.meshnode.rig import Member, Rig, bundle_of, open_rig, squad_scope

HOUR_MS = 3_600_000


async def chain_of(member: Member, key: int) -> bytes:
    """Return the chain that a message went under."""
    message = await member.message(key)
    return bundle_of(await member.held(), message.id).header.keyref


async def request(asker: Member, author: Member, chains: list[bytes], seq: int = 1) -> None:
    """Let `asker` ask `author` for chains."""
    body = encode_key_request(KeyRequest(tuple(chains)))
    header = asker.header(Kind.KEY_REQUEST, author.scope, seq)
    await author.take([asker.forge(header, body)])


async def given(author: Member) -> list[bytes]:
    """Return the names of the bundles of chain keys that `author` made."""
    found = await author.held(Kind.CHAIN_KEYS)
    return [each.digest for each in found if each.header.author == author.id]


async def test_one_chain_serves_a_group_for_a_shift(autojump_clock: MockClock, met: Rig) -> None:
    anna = met["anna"]
    first = await anna.send(squad_scope(), "one")
    second = await anna.send(squad_scope(), "two")
    assert await chain_of(anna, first.key) == await chain_of(anna, second.key)
    held = await anna.held()
    indices = [bundle_of(held, each.id).header.index for each in (first, second)]
    assert indices == [0, 1]
    assert len(await given(anna)) == 1, "its keys go out once"
    anna.machine.clock_ahead_ms += CHAIN_LIFE_MS + 1
    third = await anna.send(squad_scope(), "next shift")
    assert await chain_of(anna, third.key) != await chain_of(anna, first.key)


async def test_a_used_up_chain_is_followed_by_another(autojump_clock: MockClock, met: Rig) -> None:
    anna = met["anna"]
    first = await anna.send(squad_scope(), "first")
    chain = await chain_of(anna, first.key)
    await use_up(anna, chain)
    second = await anna.send(squad_scope(), "second")
    assert await chain_of(anna, second.key) != chain
    await met.mix("anna", "bruno")
    assert sorted(await met["bruno"].texts()) == ["first", "second"]


async def use_up(member: Member, chain_id: bytes) -> None:
    """Leave no message in a chain."""

    def advance(tx: Transaction) -> None:
        record = keyring.sending_chain(tx.connection, chain_id)
        assert record is not None
        keyring.advance_chain(tx, SendingChain(chain_id, CHAIN_MESSAGES_MAX, record.chain.seed))

    await member.store.write(advance)


# --- who gets it -------------------------------------------------------------------------------

TRIO = tuple(DevicePlan(name, Role.AGENT, ("Queyras",)) for name in ("anna", "bruno", "carla"))


async def test_a_new_member_reads_from_its_first_message_on(autojump_clock: MockClock) -> None:
    """Security case S20: messages before it joined do not open, later ones do."""
    async with open_rig(TRIO) as rig:
        everybody = ("anna", "bruno", "carla")
        for name in everybody:
            await publish_roster(rig, rig[name], ["anna", "bruno"], version=2)
        await rig.mix(*everybody)
        early = [await rig["anna"].send(squad_scope(), f"early {n}") for n in range(3)]
        kept = await rig["anna"].held()
        for name in everybody:
            await publish_roster(rig, rig[name], list(everybody), version=3)
        late = await rig["anna"].send(squad_scope(), "late")
        assert await chain_of(rig["anna"], late.key) == await chain_of(rig["anna"], early[0].key)
        await rig["carla"].take([bundle_of(kept, each.id) for each in early])
        await rig.mix(*everybody)
        assert await rig["carla"].texts() == ["late"]
        assert len(await rig["bruno"].texts()) == 4
        assert rig["carla"].metric("messages_unopenable") >= 3


async def test_a_member_that_left_opens_nothing_later(autojump_clock: MockClock) -> None:
    """Security case S20: nothing sent by an author who knows of the removal opens."""
    async with open_rig(TRIO) as rig:
        everybody = ("anna", "bruno", "carla")
        await rig.mix(*everybody)
        before = await rig["anna"].send(squad_scope(), "before")
        chain = await chain_of(rig["anna"], before.key)
        await rig.mix(*everybody)
        await publish_roster(rig, rig["anna"], ["anna", "bruno"], version=2)
        after = await rig["anna"].send(squad_scope(), "after")
        assert await chain_of(rig["anna"], after.key) != chain
        # Carla has not heard of it and takes everything that comes.
        await rig.mix(*everybody)
        assert await rig["carla"].texts() == ["before"]
        assert sorted(await rig["bruno"].texts()) == ["after", "before"]


async def test_who_has_no_prekey_here_is_owed_the_keys_and_gets_them(
    autojump_clock: MockClock, rig: Rig
) -> None:
    anna, bruno = rig["anna"], rig["bruno"]
    await anna.send(squad_scope(), "first")
    await anna.send(squad_scope(), "second")
    assert await given(anna) == []
    await rig.carry("bruno", "anna", Kind.PREKEY)
    assert len(await given(anna)) == 1
    await rig.carry("anna", "bruno")
    assert sorted(await bruno.texts()) == ["first", "second"]
    assert anna.metric("keys_given") == 1


# --- requests ----------------------------------------------------------------------------------


async def test_a_member_that_asks_gets_the_keys_again_but_not_twice_an_hour(
    autojump_clock: MockClock, met: Rig
) -> None:
    """Security case S21."""
    anna, bruno = met["anna"], met["bruno"]
    sent = await anna.send(squad_scope(), "hello")
    chain = await chain_of(anna, sent.key)
    before = len(await given(anna))
    await request(bruno, anna, [chain])
    assert len(await given(anna)) == before, "given a moment ago"
    anna.machine.clock_ahead_ms += KEY_REQUEST_REPEAT_MS + 1
    await request(bruno, anna, [chain], seq=2)
    fresh = await anna.held(Kind.CHAIN_KEYS)
    assert len(fresh) == before + 1
    assert any(each.header.scope == bruno.scope for each in fresh), "for the asker alone"
    await request(bruno, anna, [chain], seq=3)
    assert len(await given(anna)) == before + 1


async def test_a_new_member_that_asks_gets_nothing_from_before_it_joined(
    autojump_clock: MockClock,
) -> None:
    """Security case S20: asking is no way around the index of one's join."""
    async with open_rig(TRIO) as rig:
        anna, carla = rig["anna"], rig["carla"]
        await publish_roster(rig, anna, ["anna", "bruno"], version=2)
        await rig.mix("anna", "bruno", "carla")
        early = await anna.send(squad_scope(), "early")
        chain = await chain_of(anna, early.key)
        await publish_roster(rig, anna, ["anna", "bruno", "carla"], version=3)
        for member in (anna, carla):
            member.machine.clock_ahead_ms += KEY_REQUEST_REPEAT_MS + 1
        await request(carla, anna, [chain])
        late = await anna.send(squad_scope(), "late")
        assert await chain_of(anna, late.key) == chain
        await rig.carry("anna", "carla")
        assert await carla.texts() == ["late"]
        assert carla.metric("messages_unopenable") == 1


async def test_keys_of_a_shift_that_is_over_are_given_to_nobody(
    autojump_clock: MockClock, met: Rig
) -> None:
    """Also in the minutes until they are erased, and to a mate that could read them before."""
    anna, bruno = met["anna"], met["bruno"]
    await anna.node.relay.announce(await anna.node.positions.open_shift(4), None)
    (chain,) = await anna.store.read(
        lambda conn: [
            bytes(row[0])
            for row in conn.exec_driver_sql("SELECT chain_id, scope FROM sending_chain")
            if split_subject(bytes(row[1]))[1] and not is_track_subject(bytes(row[1]))
        ]
    )
    for member in (anna, bruno):
        member.machine.clock_ahead_ms += 2 * HOUR_MS
    before = len(await given(anna))
    await request(bruno, anna, [chain])
    assert len(await given(anna)) == before + 1, "two hours of the shift are left"
    for member in (anna, bruno):
        member.machine.clock_ahead_ms += 2 * HOUR_MS + 1
    await request(bruno, anna, [chain], seq=2)
    assert len(await given(anna)) == before + 1


@pytest.mark.parametrize("name", ["gateway", "box"])
async def test_who_may_not_read_gets_no_key(autojump_clock: MockClock, met: Rig, name: str) -> None:
    """Security case S21: the same request by a non-member gets no key."""
    anna = met["anna"]
    sent = await anna.send(squad_scope(), "hello")
    before = await given(anna)
    anna.machine.clock_ahead_ms += 2 * KEY_REQUEST_REPEAT_MS
    await request(met[name], anna, [await chain_of(anna, sent.key), b"unknown!"])
    assert await given(anna) == before


async def test_nobody_else_gives_keys_of_an_author(autojump_clock: MockClock, met: Rig) -> None:
    """Security case S21: the same request to a third party gets no key."""
    anna, bruno, gateway = met["anna"], met["bruno"], met["gateway"]
    sent = await anna.send(squad_scope(), "hello")
    await met.carry("anna", "bruno")
    await request(gateway, bruno, [await chain_of(anna, sent.key)])
    assert await given(bruno) == []


async def test_a_late_member_that_asks_for_a_used_up_chain_stops_nothing(
    autojump_clock: MockClock,
) -> None:
    async with open_rig(TRIO) as rig:
        anna, carla = rig["anna"], rig["carla"]
        await publish_roster(rig, anna, ["anna", "bruno"], version=2)
        await rig.mix("anna", "bruno", "carla")
        sent = await anna.send(squad_scope(), "the last one")
        chain = await chain_of(anna, sent.key)
        await use_up(anna, chain)
        await publish_roster(rig, anna, ["anna", "bruno", "carla"], version=3)
        await request(carla, anna, [chain])
        again = await carla.send(anna.scope, "are you there")
        await rig.carry("carla", "anna")
        assert await anna.texts() == ["are you there"]
        assert again.recipients == 1
