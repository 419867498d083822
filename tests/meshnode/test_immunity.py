"""What receipts cover: bit sets against an obvious model, and lies that cost only their teller."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from meshnode import immunity as module
from meshnode.immunity import Covered, Immunity
from protocol.bundle import Bundle, Scope
from protocol.identity import Role
from protocol.limits import Kind
from protocol.receipts import PAGE, encode_receipt, make_receipt
from sims.fleet import ZONE, DevicePlan
from sims.scheduler import run_seeded
from tests.meshnode.rig import CODT, ZONE_SCOPE, Member, Rig, open_rig, squad_scope


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
            room, known = Immunity(), set[int]()
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
    room, anna, bruno = Immunity(), rig["anna"], rig["bruno"]
    directory = rig["box"].node.membership.directory
    name = (bruno.id, 9, 5)
    assert not room.has_all(name, Kind.TEXT, squad_scope(), directory)
    # Neither a stranger to the squad nor its relay can make it complete.
    room.learn(receipt(rig["gateway"], bruno, {5}))
    room.learn(receipt(rig["box"], bruno, {5}))
    assert not room.has_all(name, Kind.TEXT, squad_scope(), directory)
    room.learn(receipt(anna, bruno, {5}))
    assert room.has_all(name, Kind.TEXT, squad_scope(), directory)


async def test_one_member_is_enough_for_the_centre_but_not_for_keys(
    autojump_clock: MockClock,
) -> None:
    plans = (
        DevicePlan("anna", Role.AGENT, ("Q",)),
        DevicePlan("gateway", Role.GATEWAY),
        DevicePlan("operator", Role.OPERATOR),
    )
    async with open_rig(plans) as rig:
        room, name = Immunity(), (rig["anna"].id, 9, 5)
        directory = rig["anna"].node.membership.directory
        assert len(directory.recipients(CODT, rig["anna"].id)) == 2
        room.learn(receipt(rig["gateway"], rig["anna"], {5}))
        assert room.has_all(name, Kind.TEXT, CODT, directory)
        assert not room.has_all(name, Kind.CHAIN_KEYS, CODT, directory)
        room.learn(receipt(rig["operator"], rig["anna"], {5}))
        assert room.has_all(name, Kind.CHAIN_KEYS, CODT, directory)


async def test_a_bundle_for_a_zone_is_never_complete(autojump_clock: MockClock, rig: Rig) -> None:
    room = Immunity()
    for name in ("bruno", "gateway", "box"):
        room.learn(receipt(rig[name], rig["anna"], {5}))
    directory = rig["box"].node.membership.directory
    assert not room.has_all((rig["anna"].id, 9, 5), Kind.SOS, ZONE_SCOPE, directory)


async def test_nobody_receipts_for_another_incarnation_or_page(
    autojump_clock: MockClock, rig: Rig
) -> None:
    room, anna, bruno = Immunity(), rig["anna"], rig["bruno"]
    room.learn(receipt(bruno, anna, {5}, page=1))
    directory = rig["box"].node.membership.directory
    assert room.has_all((anna.id, 9, PAGE + 5), Kind.TEXT, bruno.scope, directory)
    assert not room.has_all((anna.id, 9, 5), Kind.TEXT, bruno.scope, directory)
    assert not room.has_all((anna.id, 8, PAGE + 5), Kind.TEXT, bruno.scope, directory)
    unknown = Scope.for_device(ZONE, bytes(16))
    assert not room.has_all((anna.id, 9, PAGE + 5), Kind.TEXT, unknown, directory)


async def test_garbage_and_wrong_scopes_have_no_effect(autojump_clock: MockClock, rig: Rig) -> None:
    room, bruno = Immunity(), rig["bruno"]
    good = receipt(bruno, rig["anna"], {5})
    for scope, body in ((CODT, good.body), (rig["anna"].scope, b"x"), (rig["anna"].scope, b"")):
        assert room.learn(bruno.forge(bruno.header(Kind.RECEIPT, scope, 7), body)) == ()
    assert room.learn(good) == (Covered(rig["anna"].id, 9, 5, 5),)
    assert room.learn(good) == ()


async def test_pages_are_bounded_and_the_latest_stay(
    autojump_clock: MockClock, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IMMUNITY_PAGES_MAX", 2)
    room, anna, bruno = Immunity(), rig["anna"], rig["bruno"]
    for page in (0, 1, 2):
        room.learn(receipt(bruno, anna, {5}, number=page, page=page))
    directory = rig["box"].node.membership.directory
    known = [
        room.has_all((anna.id, 9, page * PAGE + 5), Kind.TEXT, bruno.scope, directory)
        for page in (0, 1, 2)
    ]
    assert known == [False, True, True]
