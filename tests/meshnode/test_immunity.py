"""What receipts cover: bit sets against an obvious model, and lies that cost only their teller."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from meshnode import immunity as module
from meshnode.immunity import Covered, Immunity
from meshnode.outbox import Priority
from meshnode.store.records import MessageState
from protocol.bundle import Bundle, Scope
from protocol.identity import Role
from protocol.limits import Kind
from protocol.receipts import PAGE, Receipt, encode_receipt, make_receipt
from protocol.reports import Reception
from sims.fleet import ZONE, DevicePlan
from sims.scheduler import run_seeded
from tests.meshnode.rig import CODT, USUAL, ZONE_SCOPE, Member, Rig, open_rig, squad_scope

BOX = bytes(16)
"""A device that nothing is for."""


def receipt(
    teller: Member, author: Member, seqs: set[int], number: int = 0, page: int = 0
) -> Bundle:
    """Return a receipt of `teller` for bundles of `author`."""
    body = encode_receipt(make_receipt(9, page, {page * PAGE + seq: bytes(32) for seq in seqs}))
    header = teller.header(Kind.RECEIPT, author.scope, number, index=page)
    return teller.forge(header, body)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(told=st.lists(st.sets(st.integers(0, PAGE - 1), min_size=1, max_size=40), max_size=5))
def test_runs_are_exactly_what_is_new(told: list[set[int]]) -> None:
    async def learn() -> None:
        async with open_rig() as rig:
            room, known = Immunity(BOX), set[int]()
            for number, seqs in enumerate(told):
                runs = room.learn(receipt(rig["bruno"], rig["anna"], seqs, number))
                fresh = {seq for run in runs for seq in range(run.first, run.last + 1)}
                assert fresh == seqs - known
                assert all(run.author == rig["anna"].id for run in runs)
                known |= seqs
                directory = rig["box"].node.membership.directory
                for seq in (*list(seqs)[:3], 0, PAGE - 1):
                    name = (rig["anna"].id, 9, seq)
                    has = room.has_all(name, Kind.TEXT, rig["bruno"].scope, directory)
                    assert has == (seq in known)

    run_seeded(learn, 1)


async def test_each_reader_of_a_squad_must_have_told(autojump_clock: MockClock, rig: Rig) -> None:
    room, anna, bruno = Immunity(BOX), rig["anna"], rig["bruno"]
    directory = rig["box"].node.membership.directory
    name = (bruno.id, 9, 5)
    assert not room.has_all(name, Kind.TEXT, squad_scope(), directory)
    # Neither a stranger to the squad nor its relay can make it complete.
    room.learn(receipt(rig["gateway"], bruno, {5}))
    room.learn(receipt(rig["box"], bruno, {5}))
    assert not room.has_all(name, Kind.TEXT, squad_scope(), directory)
    room.learn(receipt(anna, bruno, {5}))
    assert room.has_all(name, Kind.TEXT, squad_scope(), directory)


async def test_one_member_is_enough_for_the_centre_but_not_for_keys_alarms_and_members(
    autojump_clock: MockClock,
) -> None:
    plans = (
        DevicePlan("anna", Role.AGENT, ("Q",)),
        DevicePlan("gateway", Role.GATEWAY),
        DevicePlan("operator", Role.OPERATOR),
    )
    async with open_rig(plans) as rig:
        room, name = Immunity(BOX), (rig["anna"].id, 9, 5)
        own_room = Immunity(rig["operator"].id)
        directory = rig["anna"].node.membership.directory
        assert len(directory.recipients(CODT, rig["anna"].id)) == 2
        for each in (room, own_room):
            each.learn(receipt(rig["gateway"], rig["anna"], {5}))
        assert room.has_all(name, Kind.TEXT, CODT, directory)
        assert not room.has_all(name, Kind.CHAIN_KEYS, CODT, directory)
        assert not room.has_all(name, Kind.SOS, CODT, directory)
        assert not own_room.has_all(name, Kind.TEXT, CODT, directory), "it has not got it itself"
        for each in (room, own_room):
            each.learn(receipt(rig["operator"], rig["anna"], {5}))
            for kind in (Kind.TEXT, Kind.CHAIN_KEYS):
                assert each.has_all(name, kind, CODT, directory)
            assert not each.has_all(name, Kind.SOS, CODT, directory), "the zone reads it too"


async def test_a_bundle_for_a_zone_is_never_complete(autojump_clock: MockClock, rig: Rig) -> None:
    room = Immunity(BOX)
    for name in ("bruno", "gateway", "box"):
        room.learn(receipt(rig[name], rig["anna"], {5}))
    directory = rig["box"].node.membership.directory
    assert not room.has_all((rig["anna"].id, 9, 5), Kind.SOS, ZONE_SCOPE, directory)


async def test_nobody_receipts_for_another_incarnation_or_page(
    autojump_clock: MockClock, rig: Rig
) -> None:
    room, anna, bruno = Immunity(BOX), rig["anna"], rig["bruno"]
    room.learn(receipt(bruno, anna, {5}, page=1))
    directory = rig["box"].node.membership.directory
    assert room.has_all((anna.id, 9, PAGE + 5), Kind.TEXT, bruno.scope, directory)
    assert not room.has_all((anna.id, 9, 5), Kind.TEXT, bruno.scope, directory)
    assert not room.has_all((anna.id, 8, PAGE + 5), Kind.TEXT, bruno.scope, directory)
    unknown = Scope.for_device(ZONE, bytes(16))
    assert not room.has_all((anna.id, 9, PAGE + 5), Kind.TEXT, unknown, directory)


async def test_garbage_and_wrong_scopes_have_no_effect(autojump_clock: MockClock, rig: Rig) -> None:
    room, bruno = Immunity(BOX), rig["bruno"]
    good = receipt(bruno, rig["anna"], {5})
    for scope, body in ((CODT, good.body), (rig["anna"].scope, b"x"), (rig["anna"].scope, b"")):
        assert room.learn(bruno.forge(bruno.header(Kind.RECEIPT, scope, 7), body)) == ()
    assert room.learn(good) == (Covered(rig["anna"].id, 9, 5, 5),)
    assert room.learn(good) == ()


async def test_pages_are_bounded_and_the_latest_stay(
    autojump_clock: MockClock, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IMMUNITY_PAGES_MAX", 2)
    room, anna, bruno = Immunity(BOX), rig["anna"], rig["bruno"]
    for page in (0, 1, 2):
        room.learn(receipt(bruno, anna, {5}, number=page, page=page))
    directory = rig["box"].node.membership.directory
    known = [
        room.has_all((anna.id, 9, page * PAGE + 5), Kind.TEXT, bruno.scope, directory)
        for page in (0, 1, 2)
    ]
    assert known == [False, True, True]


CENTRE_PLANS = (*USUAL, DevicePlan("operator", Role.OPERATOR))
HONEST = ("anna", "bruno", "box", "operator")


def lie(rig: Rig) -> Bundle:
    """Return a receipt of the gateway for all that anna ever wrote and will soon write."""
    claim = Receipt(rig["anna"].store.incarnation, 0, ((1, PAGE - 1),), bytes(8))
    header = rig["gateway"].header(Kind.RECEIPT, rig["anna"].scope, 5)
    return rig["gateway"].forge(header, encode_receipt(claim))


async def test_a_gateways_lie_takes_no_message_from_its_author_or_the_operators(
    autojump_clock: MockClock,
) -> None:
    """Of what carriers hold it may be rid; its author keeps it, and operators read it."""
    async with open_rig(CENTRE_PLANS) as rig:
        await rig.mix(*HONEST, "gateway")
        anna, operator = rig["anna"], rig["operator"]
        sent = await anna.send(CODT, "for the centre")
        for name in HONEST:
            await rig[name].take([lie(rig)])
        assert any(each.header.id == sent.id for each in await anna.held())
        assert anna.metric("receipts_refused") == 1
        assert (await anna.message(sent.key)).state is MessageState.QUEUED
        assert Reception.STORED in await rig.carry("anna", "operator")
        assert await operator.texts() == ["for the centre"]
        assert (await anna.message(sent.key)).state is not MessageState.DELIVERED
        await rig.carry("operator", "anna", Kind.RECEIPT)
        assert (await anna.message(sent.key)).state is MessageState.DELIVERED


async def test_a_lie_about_ones_own_is_no_truth_after_a_restart(autojump_clock: MockClock) -> None:
    async with open_rig(CENTRE_PLANS) as rig:
        await rig.mix(*HONEST, "gateway")
        anna = rig["anna"]
        sent = await anna.send(CODT, "for the centre")
        await anna.take([lie(rig)])
        await anna.node.relay.load()
        assert any(each.header.id == sent.id for each in await anna.held())


async def test_an_alarm_to_the_centre_outlives_a_gateways_lie_on_every_device(
    autojump_clock: MockClock,
) -> None:
    async with open_rig(CENTRE_PLANS) as rig:
        await rig.mix(*HONEST, "gateway")
        sent = await rig["anna"].send(CODT, "help", Priority.SOS)
        await rig.carry("anna", "box", Kind.SOS)
        for name in HONEST:
            await rig[name].take([lie(rig)])
        for name in ("anna", "box"):
            assert any(each.header.id == sent.id for each in await rig[name].held())
        await rig.carry("box", "operator", Kind.SOS)
        assert await rig["operator"].texts() == ["help"]


async def test_a_member_of_the_centre_lets_go_of_what_it_has_receipted_itself(
    autojump_clock: MockClock,
) -> None:
    """Or it would offer carriers again and again what these have let go of."""
    async with open_rig(CENTRE_PLANS) as rig:
        await rig.mix(*HONEST, "gateway")
        sent = await rig["anna"].send(CODT, "for the centre")
        await rig.carry("anna", "box")
        await rig.mix("box", "gateway")
        for name in ("box", "gateway"):
            assert not any(each.header.id == sent.id for each in await rig[name].held())
