"""Other operators' cards of a further zone: one more, and one that was lost."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from meshnode.authority_cards import Card, open_card
from meshnode.authority_home import AuthorityHome
from meshnode.authority_keys import AuthorityError
from meshnode.authority_orders import beacon, revocation_list
from meshnode.authority_records import decode_state, encode_state
from meshnode.authority_zone_renewal import CardWish
from meshnode.authority_zones import card_changes
from protocol.authority import DocumentClass, decide
from protocol.errors import EnrolmentError, MeshError, RightsError, ThresholdError
from protocol.orders import Revocation
from protocol.zones import ZoneAnswer
from tests.meshnode.enrolling import NOW_MS, PASSPHRASE, opened
from tests.meshnode.zones import FURTHER, make_country

LATER_MS = NOW_MS + 3_600_000


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_country(tmp_path_factory.mktemp("country"))


@pytest.fixture
def country(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "country")
    return tmp_path / "country"


def asked(country: Path, wish: CardWish) -> ZoneAnswer:
    """Let the zone ask, and the national folder answer."""
    with opened(country / "zone") as zone, opened(country / "hq") as national:
        request = zone.ask_anew(LATER_MS, wish)
        return national.certify_zone(request, national.root_holders((), LATER_MS), LATER_MS)


def changed(country: Path, wish: CardWish) -> Path | None:
    """Give the zone other cards; return where a new one is."""
    answer = asked(country, wish)
    with opened(country / "zone") as zone:
        return zone.take_renewal(answer, LATER_MS)


def card(country: Path, number: int) -> Card:
    return open_card(country / "zone" / "cards" / f"operator-{number}.card", PASSPHRASE)


def labels(authority: AuthorityHome) -> list[tuple[int, str]]:
    return [(each.number, each.holder) for each in authority.state.cards]


def test_one_more_operator_keeps_the_devices_of_the_zone_open(country: Path) -> None:
    with opened(country / "zone") as zone:
        before = zone.state
    place = changed(country, CardWish(holder="Paul"))
    assert place == country / "zone" / "cards" / "operator-2.card"
    with opened(country / "zone") as zone, opened(country / "hq") as national:
        after, here = zone.state, national.state
        assert labels(zone) == [(1, "operator 1"), (2, "Paul")]
        known = zone.known
    assert after.root == here.root
    assert (after.anchor, after.badge_issuer) == (before.anchor, before.badge_issuer)
    assert here.root_body.anchors == before.root_body.anchors, "it takes no further place"
    assert [each.cards for each in here.zones] == [1, 2]
    for state in (after, here):
        assert decode_state(encode_state(state)) == state
    for number in (1, 2):
        _card, found = beacon(card(country, number), known, LATER_MS)
        assert decide(None, found, here.root_body)
    with pytest.raises(ThresholdError):
        beacon(replace(card(country, 2), zone=7), known, LATER_MS)


def test_a_lost_card_counts_no_longer_and_what_it_revoked_is_not_forgotten(country: Path) -> None:
    lost = card(country, 1)
    with opened(country / "zone") as zone:
        yann, known = zone.state.enrolees[0].node, zone.known
        entries = [Revocation(yann, NOW_MS, 0, 0)]
        _card, listed = revocation_list(lost, known, entries, NOW_MS)
        assert zone.take([listed.raw], NOW_MS) == (1, ())
    with opened(country / "hq") as national:
        assert national.take([listed.raw], NOW_MS) == (1, ())
    place = changed(country, CardWish(holder="Paul", dropped=1))
    assert place is not None
    with opened(country / "zone") as zone, opened(country / "hq") as national:
        root = national.state.root_body
        assert labels(zone) == [(2, "Paul")]
        for authority in (zone, national):
            assert [each.subject for each in authority.state.drafts] == [yann]
            assert authority.state.revoked == {}
        assert [m for each in zone.rosters() for m in each.members] == [], "not trusted meanwhile"
        rule = root.rule(DocumentClass.BEACON)
        assert rule is not None
        assert len(rule.keys) == 2, "the first zone's and Paul's"

        known = zone.known
        assert [each.action for each in zone.state.journal[-2:]] == ["uncarded", "carded"]
        assert national.state.journal[-1].action == "recarded"
    with pytest.raises(ThresholdError):
        decide(None, listed, root)
    with pytest.raises(MeshError):
        beacon(lost, known, LATER_MS)
    found = card(country, 2)
    _card, again = revocation_list(found, known, entries, LATER_MS)
    with opened(country / "zone") as zone:
        assert zone.take([again.raw], LATER_MS) == (1, ())
        assert zone.state.drafts == ()
        assert yann in zone.state.revoked


def test_a_wish_that_cannot_be_is_refused_before_anything_is_made(country: Path) -> None:
    with opened(country / "zone") as zone:
        for wish, words in (
            (CardWish(dropped=2), "no card 'operator-2'"),
            (CardWish(dropped=1), "0 operators' cards would remain"),
        ):
            with pytest.raises(AuthorityError, match=words):
                zone.ask_anew(LATER_MS, wish)
        with pytest.raises(MeshError):
            zone.ask_anew(LATER_MS, CardWish(holder="\x1b[2J"))
    with opened(country / "hq") as national, pytest.raises(RightsError):
        national.ask_anew(LATER_MS, CardWish(holder="Paul"))
    assert not list((country / "zone" / "authority").glob("zone-*"))
    changed(country, CardWish(holder="Paul"))
    changed(country, CardWish(holder="Rose"))
    with opened(country / "zone") as zone:
        with pytest.raises(AuthorityError, match="4 operators' cards would remain: 1 to 3"):
            zone.ask_anew(LATER_MS, CardWish(holder="Zoé"))
        assert labels(zone) == [(1, "operator 1"), (2, "Paul"), (3, "Rose")]


def test_fresh_certificates_keep_the_cards_and_other_cards_the_certificates(country: Path) -> None:
    changed(country, CardWish(holder="Paul"))
    with opened(country / "zone") as zone:
        before = zone.state
        assert card_changes(before, zone.ask_anew(LATER_MS)) is None, "no zone answers itself"
    assert changed(country, CardWish()) is None
    with opened(country / "zone") as zone, opened(country / "hq") as national:
        after = zone.state
        assert after.anchor != before.anchor
        assert after.cards == before.cards
        assert {before.anchor, after.anchor} <= {*national.state.root_body.anchors}
        request = zone.ask_anew(LATER_MS, CardWish(holder="Rose", dropped=2))
        assert card_changes(national.state, request) == (1, 1)
        national.drop_zone(FURTHER[0], national.root_holders((), LATER_MS), LATER_MS)
        for cls in (DocumentClass.ROSTER, DocumentClass.REVOCATION, DocumentClass.BEACON):
            rule = national.state.root_body.rule(cls)
            assert rule is not None
            assert len(rule.keys) == 1, "no card of the zone is left"


def test_a_request_that_was_given_up_leaves_nothing_that_counts(country: Path) -> None:
    first = asked(country, CardWish(holder="Paul"))
    second = asked(country, CardWish(holder="Rose"))
    with opened(country / "zone") as zone:
        with pytest.raises(EnrolmentError, match="for another request"):
            zone.take_renewal(first, LATER_MS)
        zone.take_renewal(second, LATER_MS)
        assert labels(zone) == [(1, "operator 1"), (2, "Rose")]
    with opened(country / "hq") as national:
        rule = national.state.root_body.rule(DocumentClass.BEACON)
        assert rule is not None
        assert len(rule.keys) == 3, "Paul's, which nobody ever had, went with the second request"


def test_a_card_of_another_use_is_refused(country: Path) -> None:
    with opened(country / "zone") as zone, opened(country / "hq") as national:
        request = zone.ask_anew(LATER_MS, CardWish(holder="Paul"))
        rule = national.state.root_body.rule(DocumentClass.BEACON)
        assert rule is not None
        own = request.signers.cards[0]
        foreign = next(key for key in rule.keys if key != own[1][0])
        pair = (foreign, rule.pq_keys[rule.keys.index(foreign)])
        for cards in (
            (own, (request.signers.cards[1][0], pair)),
            ((own[0], (own[1][0], request.signers.cards[1][1][1])),),
        ):
            signers = replace(request.signers, cards=cards)
            with pytest.raises(EnrolmentError, match="a key of this request is known"):
                national.check_zone(replace(request, signers=signers, inner=b"other"), LATER_MS)


@pytest.mark.parametrize("step", ["rename", "open_card", "save"])
def test_a_power_cut_while_a_card_is_taken_loses_no_card(country: Path, step: str) -> None:
    answer = asked(country, CardWish(holder="Paul", dropped=1))

    def fail(*_arguments: object, **_words: object) -> object:
        raise OSError("the power failed")

    with pytest.MonkeyPatch.context() as patch, opened(country / "zone") as zone:
        before = zone.state
        if step == "save":
            patch.setattr("meshnode.authority_folder.write_private", fail)
        else:
            name = "os.rename" if step == "rename" else "open_card"
            patch.setattr(f"meshnode.authority_zone_renewal.{name}", fail)
        with pytest.raises(OSError, match="power"):
            zone.take_renewal(answer, LATER_MS)
    with opened(country / "zone") as zone:
        assert zone.state == before
        place = zone.take_renewal(answer, LATER_MS)
        assert place == country / "zone" / "cards" / "operator-2.card"
        assert labels(zone) == [(2, "Paul")]
        _card, found = beacon(card(country, 2), zone.known, LATER_MS)
        assert decide(None, found, zone.state.root_body)
