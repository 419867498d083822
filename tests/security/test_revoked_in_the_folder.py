"""A phone revoked in the authority's folder, as the how-to does it: homes, a card, and a carrier.

What it wrote when it was good still arrives; what its finder writes reaches the centre, marked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from meshnode.api import Api
from meshnode.authority_cards import open_card
from meshnode.authority_home import AuthorityHome
from meshnode.authority_orders import revocation_list
from meshnode.runtime import system_runtime
from protocol.authority import SignedDocument
from protocol.bundle import Bundle, Scope
from protocol.guards import REVOKED_LISTED_MS
from protocol.identity import Role
from protocol.limits import Kind
from protocol.orders import Revocation
from protocol.reports import Reception
from tests.security.mates import SQUAD_SCOPE, Mates, meet
from tests.security.parts import PASSPHRASE, ZONE, Town, enrol, make_town

pytestmark = [pytest.mark.slow, pytest.mark.real]

OPERATOR, RELAY = "op", "relay"
KEYS_AND_TEXTS = (Kind.CHAIN_KEYS, Kind.TEXT)


@pytest.fixture(scope="module")
def first_town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """The usual devices and an operator's node."""
    return make_town(
        tmp_path_factory.mktemp("town"), [(OPERATOR, Role.OPERATOR), (RELAY, Role.RELAY)]
    )


@pytest.fixture
async def mates(first_town: Town, tmp_path: Path) -> AsyncIterator[Mates]:
    """Two mates, a box and the centre, who have met."""
    town = first_town.copied(tmp_path)
    async with meet(town, "alice", "bob", RELAY, OPERATOR) as found:
        await found.mix()
        yield found


def revoke(town: Town, last: Bundle | None, mates: Mates) -> Sequence[SignedDocument]:
    """Revoke bob with the operator's card in the authority's folder; return what changed there."""
    runtime = system_runtime()
    now_ms, header = runtime.now_ms(), None if last is None else last.header
    entry = Revocation(
        mates["bob"].id,
        now_ms,
        0 if header is None else header.incarnation,
        0 if header is None else header.seq,
    )
    card = open_card(town.home("hq") / "cards" / "operator-1.card", PASSPHRASE)
    with AuthorityHome.open(town.home("hq"), PASSPHRASE, runtime.entropy) as authority:
        _card, document = revocation_list(card, authority.known, [entry], now_ms)
        return authority.note_signed(document, "bob", now_ms)


async def tell(mates: Mates, documents: Sequence[SignedDocument], *names: str) -> None:
    """Import the file that the folder's command wrote."""
    for name in names:
        taken = await mates[name].node.membership.accept([each.raw for each in documents])
        assert taken == len(documents)


async def last_of(mates: Mates) -> Bundle:
    """Return the newest bundle of bob."""
    return max(await mates["bob"].own(), key=lambda each: each.header.seq)


async def test_good_messages_on_their_way_still_arrive(mates: Mates) -> None:
    groups = (SQUAD_SCOPE, Scope.for_codt(ZONE))
    for scope in groups:
        await mates["bob"].send(scope, "the last words before it was stolen")
    good = await last_of(mates)
    for scope in groups:
        await mates["bob"].send(scope, "of the thief")
    await mates.carry("bob", RELAY)
    changed = revoke(mates.town, good, mates)
    await tell(mates, changed, "alice", OPERATOR)
    fates = await mates.carry(RELAY, "alice", *KEYS_AND_TEXTS)
    assert Reception.UNKNOWN_AUTHOR not in fates
    assert await mates["alice"].texts() == ["the last words before it was stolen"]
    await mates.carry(RELAY, OPERATOR, *KEYS_AND_TEXTS)
    shown = {
        each["text"]: each["is_author_revoked"] for each in await Api(mates[OPERATOR].node).inbox()
    }
    assert shown == {"the last words before it was stolen": False, "of the thief": True}


async def test_what_the_thief_writes_reaches_the_centre_alone_and_marked(mates: Mates) -> None:
    changed = revoke(mates.town, None, mates)
    await tell(mates, changed, "alice", OPERATOR, RELAY)
    for scope in (SQUAD_SCOPE, Scope.for_codt(ZONE)):
        await mates["bob"].send(scope, "come to the hut alone")
    await mates.carry("bob", RELAY)
    await mates.carry(RELAY, "alice")
    await mates.carry(RELAY, OPERATOR)
    assert await mates["alice"].texts() == []
    assert mates["alice"].metric("bundles_revoked") > 0
    (shown,) = await Api(mates[OPERATOR].node).inbox()
    assert shown["is_author_revoked"] is True


async def test_nobody_writes_to_it_and_its_successor_has_its_name(mates: Mates) -> None:
    town, old, runtime = mates.town, mates["bob"].id, system_runtime()
    await tell(mates, revoke(town, None, mates), "alice", OPERATOR, RELAY)
    (town.folder / "new").mkdir()
    await enrol(town.folder / "new", town.home("hq"), "bob", Role.AGENT, runtime)
    with AuthorityHome.open(town.home("hq"), PASSPHRASE, runtime.entropy) as authority:
        await mates["alice"].node.membership.accept(
            [each.raw for each in authority.state.documents]
        )
        assert old not in {each.node for each in authority.state.present}
        (bob,) = [each for each in authority.state.present if each.member.name == "bob"]
    directory = mates["alice"].node.membership.directory
    assert directory.find("bob", ZONE) == Scope.for_device(ZONE, bob.node)
    assert directory.member(old) is not None, "its key is known, so that what it wrote holds"
    for scope in (SQUAD_SCOPE, Scope.for_zone(ZONE), Scope.for_device(ZONE, old)):
        assert old not in directory.recipients(scope, mates["alice"].id)
    await mates["alice"].send(SQUAD_SCOPE, "who is there?")
    (sent,) = await mates["alice"].outgoing()
    await mates.carry("alice", "bob")
    assert sent.text not in await mates["bob"].texts()


async def test_it_leaves_the_rosters_once_nothing_of_it_is_carried(mates: Mates) -> None:
    town, runtime = mates.town, system_runtime()
    revoke(town, None, mates)
    later_ms = runtime.now_ms() + REVOKED_LISTED_MS + 1
    with AuthorityHome.open(town.home("hq"), PASSPHRASE, runtime.entropy) as authority:
        before = {each.node for roster in authority.rosters() for each in roster.members}
        authority.remove("alice", later_ms)
        after = {each.node for roster in authority.rosters() for each in roster.members}
    assert before - after == {mates["bob"].id, mates["alice"].id}
