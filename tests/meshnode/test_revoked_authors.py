"""What a revoked author wrote after its last good bundle reaches the centre alone, marked.

Both orders of arrival: the news before the bundle, and after it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from trio.testing import MockClock

from meshnode.api import Api
from meshnode.cli.language import speak
from meshnode.cli.mail import show_inbox
from meshnode.cli.shift import show_places
from meshnode.cli.story import show_story
from meshnode.positions import Place
from meshnode.store import delivery, keyring
from meshnode.store.records import RecipientState
from protocol.identity import Role
from protocol.limits import PREKEY_RENEW_MS, Kind
from protocol.orders import Revocation
from protocol.receipts import KeyRequest, encode_key_request
from protocol.reports import Reception
from sims.fleet import DevicePlan
from sims.runtime import START_MS
from tests.meshnode import documents
from tests.meshnode.rig import CODT, SQUAD, USUAL, Member, Rig, open_rig, squad_scope
from tests.meshnode.test_positions import begin, tell

pytestmark = pytest.mark.slow

EVERYBODY = ("anna", "bruno", "box", "gateway", "operator", "leader")
CARRIERS = ("box", "gateway", "operator")
READERS = ("bruno", "leader")
MARK = {"en": ("REVOKED AUTHOR", "revoked author"), "fr": ("AUTEUR RÉVOQUÉ", "auteur révoqué")}


@pytest.fixture
async def centre(autojump_clock: MockClock) -> AsyncIterator[Rig]:
    """The usual four, an operator and a leader, who all have met."""
    plans = (
        *USUAL,
        DevicePlan("operator", Role.OPERATOR),
        DevicePlan("leader", Role.LEADER, (SQUAD,)),
    )
    async with open_rig(plans) as rig:
        await rig.mix(*EVERYBODY)
        yield rig


async def revoke(rig: Rig, *names: str, last_seq: int = 0) -> None:
    """Tell these nodes that anna is trusted up to a number of her present store."""
    anna = rig["anna"]
    entry = Revocation(anna.id, START_MS, anna.store.incarnation, last_seq)
    for name in names:
        listed = documents.signed_list(rig, [entry], 1).raw
        assert await rig[name].node.membership.accept([listed]) == 1


async def last_seq(member: Member) -> int:
    """Return the number of the last bundle that a node wrote."""
    return max(
        bundle.header.seq for bundle in await member.held() if bundle.header.author == member.id
    )


async def fates(rig: Rig, target: str) -> set[Reception]:
    """Bring all that anna wrote to a node; return what became of her texts there."""
    anna = rig["anna"]
    written = [each for each in await anna.held() if each.header.author == anna.id]
    texts = [each for each in written if each.header.kind is Kind.TEXT]
    await rig[target].take([each for each in written if each not in texts], anna.id)
    return set(await rig[target].take(texts, anna.id))


@pytest.mark.parametrize("name", READERS)
async def test_agents_and_leaders_refuse_what_came_after_the_last_good_one(
    centre: Rig, name: str
) -> None:
    await centre["anna"].send(squad_scope(), "good")
    good = await last_seq(centre["anna"])
    await centre["anna"].send(squad_scope(), "of the thief")
    await revoke(centre, name, last_seq=good)
    assert await fates(centre, name) == {Reception.STORED, Reception.REVOKED}
    assert await centre[name].texts() == ["good"]
    assert centre[name].metric("bundles_revoked") > 0


@pytest.mark.parametrize("name", CARRIERS)
async def test_relays_gateways_and_operators_store_it(centre: Rig, name: str) -> None:
    await centre["anna"].send(CODT, "of the thief")
    await revoke(centre, name)
    assert await fates(centre, name) == {Reception.STORED}


async def test_another_store_of_the_same_device_is_not_good(centre: Rig) -> None:
    """A thief who begins anew counts from 1 again."""
    anna = centre["anna"]
    await revoke(centre, "bruno", last_seq=2**40)
    header = anna.header(Kind.TEXT, squad_scope(), 1, incarnation=anna.store.incarnation ^ 1)
    forged = anna.forge(header, b"x" * 40)
    assert await centre["bruno"].take([forged]) == [Reception.MALFORMED], "as any text in clear"
    prekey = anna.header(Kind.PREKEY, squad_scope(), 2, incarnation=anna.store.incarnation ^ 1)
    assert await centre["bruno"].take([anna.forge(prekey, b"y")]) == [Reception.REVOKED]


@pytest.mark.parametrize("language", MARK)
async def test_the_centre_reads_it_marked(
    centre: Rig, language: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await centre["anna"].send(CODT, "before")
    good = await last_seq(centre["anna"])
    await centre["anna"].send(CODT, "of the thief")
    await revoke(centre, "operator", last_seq=good)
    await fates(centre, "operator")
    api = Api(centre["operator"].node)
    shown = {each["text"]: each for each in await api.inbox()}
    assert {text: each["is_author_revoked"] for text, each in shown.items()} == {
        "before": False,
        "of the thief": True,
    }
    speak(language)
    try:
        show_inbox([shown["of the thief"]])
        assert f"{MARK[language][0]} of the thief" in capsys.readouterr().out
        show_story(await api.message(shown["of the thief"]["message"]))
        assert MARK[language][1] in capsys.readouterr().out
        show_inbox([shown["before"]])
        assert MARK[language][0] not in capsys.readouterr().out
    finally:
        speak("en")


@pytest.mark.parametrize("name", CARRIERS)
async def test_nothing_else_of_a_revoked_author_is_acted_on(centre: Rig, name: str) -> None:
    """Its prekeys and requests for keys have no effect, whoever carries them."""
    anna, taker = centre["anna"], centre[name]
    await revoke(centre, name)
    before = await taker.store.read(
        lambda conn: keyring.peer_prekeys(conn, [anna.id], anna.machine.now_ms())
    )
    anna.machine.clock_ahead_ms += PREKEY_RENEW_MS
    taker.machine.clock_ahead_ms += PREKEY_RENEW_MS
    await anna.node.require_desk().look()
    await anna.node.relay.announce(await anna.node.positions.open_shift(1), None)
    await anna.node.relay.announce(await anna.node.positions.report(Place(45.0, 6.5)), None)
    await anna.node.settle()
    own = [each for each in await anna.held() if each.header.author == anna.id]
    asked = anna.header(Kind.KEY_REQUEST, taker.scope, 1)
    request = anna.forge(asked, encode_key_request(KeyRequest((bytes(8),))))
    assert set(await taker.take([*own, request], anna.id)) <= {
        Reception.STORED,
        Reception.DUPLICATE,
    }
    after = await taker.store.read(
        lambda conn: keyring.peer_prekeys(conn, [anna.id], anna.machine.now_ms())
    )
    assert after.keys() == {anna.id}
    assert after == before
    assert await positions_of(centre, name) == ([] if name == "box" else [True])
    assert taker.metric("key_requests_refused") == 0, "it is not even read"
    assert taker.metric("messages_revoked") > 0


async def test_who_was_revoked_is_on_no_shift(centre: Rig) -> None:
    anna, bruno = centre["anna"], centre["bruno"]
    await anna.node.relay.announce(await anna.node.positions.open_shift(1), None)
    await anna.node.settle()
    await centre.carry("anna", "bruno")
    assert [node for node, *_rest in await bruno.node.positions.on_shift()] == [anna.id]
    await revoke(centre, "bruno", last_seq=await last_seq(anna))
    assert await bruno.node.positions.on_shift() == []


async def test_a_receipt_of_a_revoked_gateway_says_nothing(centre: Rig) -> None:
    """A thief would have the centre believe that somebody got its message."""
    operator, gateway = centre["operator"], centre["gateway"]
    sent = await operator.send(CODT, "who has the gateway?")
    await centre.carry("operator", "gateway")
    entry = Revocation(gateway.id, START_MS, 0, 0)
    await operator.node.membership.accept([documents.signed_list(centre, [entry], 1).raw])
    await centre.carry("gateway", "operator")
    assert {each.state for each in await operator.recipients(sent.key)} == {RecipientState.PENDING}
    assert operator.metric("receipts_refused") > 0


async def test_what_was_opened_before_the_news_stays_as_it_was(centre: Rig) -> None:
    for scope in (squad_scope(), CODT):
        await centre["anna"].send(scope, "read already")
    for name in ("bruno", "operator"):
        await fates(centre, name)
    await revoke(centre, "bruno", "operator")
    for name in ("bruno", "operator"):
        assert await centre[name].texts() == ["read already"]
        (shown,) = await Api(centre[name].node).inbox()
        assert shown["is_author_revoked"] is False


async def test_what_waits_unopened_is_judged_when_it_is_opened(centre: Rig) -> None:
    bruno, operator = centre["bruno"], centre["operator"]
    desks = {}
    for member in (bruno, operator):
        desks[member.id] = member.parts.desk
        await member.node.lock()
    for scope in (squad_scope(), CODT):
        await centre["anna"].send(scope, "of the thief")
    for name in ("bruno", "operator"):
        assert await fates(centre, name) == {Reception.STORED}
    await revoke(centre, "bruno", "operator")
    for member in (bruno, operator):
        desk = desks[member.id]
        assert desk is not None
        member.node.open_desk(desk)
        await member.node.settle()
        waiting = await member.store.read(lambda conn: delivery.unopened(conn, 100))
        assert waiting == []
    assert await bruno.texts() == []
    assert bruno.metric("messages_revoked") == 2, "the message, and the key that came for it"
    (shown,) = await Api(operator.node).inbox()
    assert (shown["text"], shown["is_author_revoked"]) == ("of the thief", True)


# --- positions -----------------------------------------------------------------------------------


async def positions_of(rig: Rig, name: str) -> list[bool]:
    """Return whether each position that a node shows is marked, the newest first."""
    return [each["is_author_revoked"] for each in await Api(rig[name].node).positions()]


@pytest.mark.parametrize("language", MARK)
async def test_the_centre_sees_a_position_of_a_revoked_author_marked(
    centre: Rig, language: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It helps to find the device, and must not be taken for its owner's."""
    anna, operator = centre["anna"], Api(centre["operator"].node)
    await begin(anna)
    await tell(anna)
    good = await last_seq(anna)
    await fates(centre, "operator")
    assert await positions_of(centre, "operator") == [False]
    await revoke(centre, "operator", last_seq=good)
    assert await positions_of(centre, "operator") == [False], "it was told before"
    anna.machine.clock_ahead_ms += 30_000
    await tell(anna, Place(44.5, 6.5))
    await fates(centre, "operator")
    (shown,) = await operator.positions()
    assert (shown["latitude"], shown["is_author_revoked"]) == (44.5, True)
    speak(language)
    try:
        show_places([shown])
        assert MARK[language][0] in capsys.readouterr().out
        show_places([{**shown, "is_author_revoked": False}])
        assert MARK[language][0] not in capsys.readouterr().out
    finally:
        speak("en")


async def test_what_was_told_before_the_news_is_marked_by_its_number(centre: Rig) -> None:
    """The newest position says where the device is now: it is judged when it is shown."""
    anna = centre["anna"]
    good = await last_seq(anna)
    await begin(anna)
    await tell(anna)
    for name in ("operator", "bruno"):
        await fates(centre, name)
        assert await positions_of(centre, name) == [False]
        await revoke(centre, name, last_seq=good)
        assert await positions_of(centre, name) == [True]
    assert (await Api(centre["bruno"].node).shift())["on_shift"] == []


@pytest.mark.parametrize("name", READERS)
async def test_mates_refuse_shifts_and_positions_of_a_revoked_author(
    centre: Rig, name: str
) -> None:
    await revoke(centre, name, last_seq=await last_seq(centre["anna"]))
    await begin(centre["anna"])
    await tell(centre["anna"])
    await fates(centre, name)
    assert await positions_of(centre, name) == []
    assert (await Api(centre[name].node).shift())["on_shift"] == []
    assert centre[name].metric("bundles_revoked") >= 2
