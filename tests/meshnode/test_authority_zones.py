"""A further zone under one root: what lets it in, what it may do alone, and how it is dropped."""

from __future__ import annotations

import itertools
import pkgutil
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from meshnode.authority_cards import open_card
from meshnode.authority_founding import accept_grant, request_unit
from meshnode.authority_home import AuthorityHome
from meshnode.authority_keys import AuthorityError
from meshnode.authority_orders import beacon, revocation_list
from meshnode.authority_records import decode_state, encode_state
from meshnode.authority_roots import HeldCard
from meshnode.authority_zone_founding import accept_zone, load_zone_request
from meshnode.trust import Trust
from protocol.authority import DocumentClass, RosterBody, build, count_signers, decide
from protocol.errors import (
    EnrolmentError,
    MeshError,
    NotEnrolledError,
    RightsError,
    ThresholdError,
)
from protocol.identity import DeviceClass, Rights, Role, verify_badge_untrusted
from protocol.issuing import RegionalAuthority, issue_badge
from protocol.orders import Revocation
from protocol.zones import decode_zone_answer_untrusted, decode_zone_request_untrusted
from tests.meshnode.enrolling import (
    NOW_MS,
    PASSPHRASE,
    CountedEntropy,
    enrol,
    make_authority,
    opened,
)
from tests.meshnode.units import make_unit_home
from tests.meshnode.zones import FURTHER, ask, certify, make_country

OWN = "a passphrase of one's own"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_country(tmp_path_factory.mktemp("country"))


@pytest.fixture
def country(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "country")
    return tmp_path / "country"


# --- letting in --------------------------------------------------------------------------------


def test_a_request_and_its_answer_make_a_zone_that_both_folders_know(country: Path) -> None:
    with opened(country / "hq") as national, opened(country / "zone") as zone:
        here, there = national.state, zone.state
    assert (there.zone, there.centre_name, there.is_zone) == (*FURTHER, True)
    (entry,) = here.zones
    assert (entry.zone, entry.name, entry.is_dropped) == (*FURTHER, False)
    assert here.root == there.root
    assert count_signers(here.root, here.root_body) == 2
    assert here.root_body.anchors == (here.anchor, there.anchor)
    for cls in (DocumentClass.ROSTER, DocumentClass.BEACON):
        rule = here.root_body.rule(cls)
        assert rule is not None
        assert sorted(rule.zones) == [7, 8], "each signer is bound to its own zone"
    assert there.secrets.network_key == here.secrets.network_key
    assert there.secrets.knock_key == here.secrets.knock_key
    assert there.secrets.sos_key != here.secrets.sos_key, "each zone has an SOS key of its own"
    assert decode_state(encode_state(here)) == here
    assert decode_state(encode_state(there)) == there
    for authority in (here, there):
        for document in authority.documents:
            decide(None, document, here.root_body)
    assert not (country / "zone" / "authority" / "zone-request").exists()
    assert [each.name for each in (country / "zone" / "cards").iterdir()] == ["operator-1.card"]


def test_one_root_card_lets_nobody_in(tmp_path: Path) -> None:
    make_authority(tmp_path / "hq")
    with opened(tmp_path / "hq") as authority:
        for number in (1, 2, 3):
            both = (PASSPHRASE, OWN)
            authority.hand_over(f"root-{number}", "h", tmp_path / str(number), both, NOW_MS)
        before = authority.state
    request = ask(tmp_path / "zone")
    cards = [HeldCard(path, open_card(path, OWN), OWN) for path in (tmp_path / "1", tmp_path / "2")]
    for brought in ([], cards[:1], [cards[0], cards[0]]):
        with pytest.raises(AuthorityError, match="of 2 root cards are here"):
            certify(tmp_path / "hq", request, brought)
    with opened(tmp_path / "hq") as authority:
        assert authority.state == before
    certify(tmp_path / "hq", request, cards)


def test_a_request_counts_once_and_its_answer_can_be_had_again(country: Path) -> None:
    request = ask(country / "third", (9, "Vanoise"))
    with opened(country / "hq") as authority:
        assert authority.zone_again(request) is None
        first = authority.certify_zone(request, authority.root_holders([], NOW_MS), NOW_MS)
        held = authority.state
        again = authority.zone_again(request)
        assert again is not None
        assert (again.issuers, again.documents) == (first.issuers, first.documents)
        assert authority.state == held, "nothing is signed twice"
        with pytest.raises(EnrolmentError, match="answered before"):
            authority.certify_zone(request, authority.root_holders([], NOW_MS), NOW_MS)
        accept_zone(country / "third", PASSPHRASE, again, NOW_MS, CountedEntropy())
        authority.drop_zone(9, authority.root_holders([], NOW_MS), NOW_MS)
        assert authority.zone_again(request) is None, "the request of a dropped zone is void"
        with pytest.raises(EnrolmentError, match="answered before"):
            authority.check_zone(request, NOW_MS)
        with pytest.raises(EnrolmentError, match="no further zone 9"):
            authority.drop_zone(9, authority.root_holders([], NOW_MS), NOW_MS)
        assert [each.action for each in authority.state.journal[-4:]] == [
            "refused",
            "unzoned",
            "refused",
            "refused",
        ]
    with opened(country / "hq") as authority:
        fresh = ask(country / "fourth", (9, "Vanoise"))
        authority.certify_zone(fresh, authority.root_holders([], NOW_MS), NOW_MS)


@pytest.mark.parametrize("number", [7, 8])
def test_a_zone_has_one_authority(country: Path, number: int) -> None:
    with pytest.raises(EnrolmentError, match=f"zone {number} has an authority already"):
        certify(country / "hq", ask(country / "other", (number, "Other")))


def test_known_keys_are_refused(country: Path) -> None:
    request = ask(country / "third", (9, "Vanoise"))
    with opened(country / "zone") as zone:
        known = zone.state.root_body.rules[1]
    pair = (known.keys[0], known.pq_keys[0])
    stolen = replace(request, signers=replace(request.signers, roster=pair))
    with opened(country / "hq") as authority:
        holders = authority.root_holders([], NOW_MS)
        with pytest.raises(EnrolmentError, match="a key of this request is known"):
            authority.certify_zone(stolen, holders, NOW_MS)


def test_a_network_has_room_for_some_zones_and_says_so(country: Path) -> None:
    for number in range(9, 13):
        certify(country / "hq", ask(country / f"zone-{number}", (number, "Another")))
        with opened(country / "hq") as authority:
            print(number - 6, "zones:", len(authority.state.root.raw), "bytes of root")
    request = ask(country / "last", (99, "Last"))
    with pytest.raises(AuthorityError, match="no room for so many cards and zones"):
        certify(country / "hq", request)
    with opened(country / "hq") as authority:
        authority.drop_zone(10, authority.root_holders([], NOW_MS), NOW_MS)
    certify(country / "hq", request)
    with pytest.MonkeyPatch.context() as patch, opened(country / "hq") as authority:
        patch.setattr("meshnode.authority_zones.ANCHORS_MAX", 6)
        with pytest.raises(EnrolmentError, match="at most 6 zones"):
            authority.check_zone(ask(country / "other", (98, "Other")), NOW_MS)


def test_answers_that_were_changed_make_no_zone(country: Path) -> None:
    request = ask(country / "third", (9, "Vanoise"))
    answer = certify(country / "hq", request)
    other = certify(country / "hq", ask(country / "fourth", (10, "Other")))
    changes = {
        "for another request": other,
        "key of another zone": replace(answer, issuers=other.issuers),
        "one root": replace(answer, documents=()),
        "does not name the zone": replace(answer, documents=_before(country)),
    }
    for words, changed in changes.items():
        with pytest.raises(EnrolmentError, match=words):
            accept_zone(country / "third", PASSPHRASE, changed, NOW_MS, CountedEntropy())
    damaged = replace(answer, sealed_secrets=other.sealed_secrets)
    with pytest.raises(MeshError):
        accept_zone(country / "third", PASSPHRASE, damaged, NOW_MS, CountedEntropy())
    assert not (country / "third" / "authority").exists()
    assert answer.code != other.code
    assert decode_zone_answer_untrusted(answer.text) == answer
    assert decode_zone_request_untrusted(request.text) == request
    accept_zone(country / "third", PASSPHRASE, answer, NOW_MS, CountedEntropy())
    with pytest.raises(EnrolmentError, match="no request waits here"):
        accept_zone(country / "third", PASSPHRASE, answer, NOW_MS, CountedEntropy())
    with pytest.raises(AuthorityError, match="exists already"):
        ask(country / "third")


def _before(country: Path) -> tuple[bytes, ...]:
    with opened(country / "zone") as authority:
        return (authority.state.root.raw,)


# --- power cuts --------------------------------------------------------------------------------


def cut(patch: pytest.MonkeyPatch, module: str, name: str, at: int = 1) -> None:
    """Let the power fail before this step is done for the `at`-th time."""
    done, calls = pkgutil.resolve_name(f"{module}:{name}"), itertools.count(1)

    def fail(*arguments: object) -> object:
        if next(calls) == at:
            raise OSError("the power failed")
        return done(*arguments)

    patch.setattr(pkgutil.resolve_name(module), name, fail)


def test_a_power_cut_after_the_cards_signed_leaves_no_root_of_two_meanings(country: Path) -> None:
    request = ask(country / "third", (9, "Vanoise"))
    with pytest.MonkeyPatch.context() as patch:
        cut(patch, "meshnode.authority_folder", "write_private")
        with pytest.raises(OSError, match="power"):
            certify(country / "hq", request)
    with opened(country / "hq") as authority:
        assert authority.state.root.version == 2
    certify(country / "hq", request)
    with opened(country / "hq") as authority:
        assert authority.state.root.version == 4, "the cards signed version 3 before"


@pytest.mark.parametrize(
    ("name", "at"),
    [("rename", 1), ("sync_folder", 1), ("open_card", 1), ("write_private", 1), ("rename", 2)],
)
def test_a_power_cut_while_an_answer_is_taken_loses_nothing(
    country: Path, name: str, at: int
) -> None:
    answer = certify(country / "hq", ask(country / "third", (9, "Vanoise")))

    def accept() -> None:
        accept_zone(country / "third", PASSPHRASE, answer, NOW_MS, CountedEntropy())

    with pytest.MonkeyPatch.context() as patch:
        founding = "meshnode.authority_zone_founding"
        cut(patch, "os" if name == "rename" else founding, name, at)
        with pytest.raises(OSError, match="power"):
            accept()
    assert not (country / "third" / "authority").exists()
    assert load_zone_request(country / "third", PASSPHRASE).request.zone == 9
    accept()
    with opened(country / "third") as authority:
        enrol(authority, country / "zoe", "zoe")


# --- what a zone does --------------------------------------------------------------------------


def test_a_leader_of_a_further_zone_enrols_in_the_field(country: Path) -> None:
    with opened(country / "zone") as zone:
        enrol(zone, country / "lea", "lea", Role.LEADER, ["Modane"])
    make_unit_home(country / "zone", country / "unit", ["Modane"])
    with opened(country / "unit") as unit:
        accepted = enrol(unit, country / "zoe", "zoe", Role.AGENT, ["Modane"])
        report = unit.report()
    badge = accepted.enrolled.badge
    assert (badge.zone, len(badge.chain)) == (8, 3)
    with opened(country / "zone") as zone:
        assert zone.adopt(report, NOW_MS).names == ("zoe",)
        assert badge.node in {m.node for each in zone.rosters() for m in each.members}


# --- what a zone cannot do ---------------------------------------------------------------------


def test_a_zone_changes_no_root_and_certifies_no_zone(country: Path) -> None:
    request, card = ask(country / "third", (9, "Vanoise")), country / "ugo.card"
    with opened(country / "hq") as national:
        holders = national.root_holders([], NOW_MS)
    with opened(country / "zone") as zone:
        before = zone.state
        refused: list[Callable[[], object]] = [
            lambda: zone.root_holders([], NOW_MS),
            lambda: zone.renew_root(holders, NOW_MS),
            lambda: zone.add_operator("Ugo", card, OWN, holders, NOW_MS),
            lambda: zone.drop_operator(1, holders, NOW_MS),
            lambda: zone.drop_zone(8, holders, NOW_MS),
        ]
        for step in refused:
            with pytest.raises(RightsError, match="signs no root"):
                step()
        with pytest.raises(RightsError, match="in the national folder"):
            zone.check_zone(request, NOW_MS)
        assert zone.state.refusals == (("rights", 1),)
        assert replace(zone.state, journal=(), refusals=()) == replace(before, journal=())
    assert not card.exists()


def keys_of(authority: AuthorityHome) -> RegionalAuthority:
    """Return what a thief of the folder and its passphrase issues with."""
    return authority._issuer()


def test_no_node_believes_a_badge_of_another_zone(country: Path) -> None:
    with opened(country / "zone") as zone:
        thief, root = keys_of(zone), zone.state.root_body
        key = zone.state.enrolees[0].member.public_key
    for number in (8, 7):
        rights = Rights(Role.OPERATOR, number, (), DeviceClass.PC)
        chain = issue_badge(thief, key, rights, NOW_MS)
        if number == 8:
            assert verify_badge_untrusted(chain, root.anchors, NOW_MS).zone == 8
            continue
        with pytest.raises(RightsError):
            verify_badge_untrusted(chain, root.anchors, NOW_MS)


def test_no_node_believes_a_roster_or_beacon_of_another_zone(country: Path) -> None:
    with opened(country / "hq") as national:
        held = next(d for d in national.state.documents if d.cls is DocumentClass.ROSTER)
        roster, root = national.rosters()[0], national.state.root_body
        own_signers = national._roster_signers()
    with opened(country / "zone") as zone:
        signers, known = zone._roster_signers(), zone.known
        mine = next(each for each in zone.rosters() if each.members)
    empty = replace(roster, members=())
    for body, halves in ((empty, signers), (replace(mine, members=()), own_signers)):
        at = (1, held.version + 1)
        forged = build(DocumentClass.ROSTER, body.scope, at, NOW_MS, body.encode(), halves)
        with pytest.raises(ThresholdError):
            decide(None, forged, root)
        assert count_signers(forged, root) == 0
    card = open_card(country / "zone" / "cards" / "operator-1.card", PASSPHRASE)
    _card, good = beacon(card, known, NOW_MS)
    decide(None, good, root)
    with pytest.raises(ThresholdError):
        beacon(replace(card, zone=7), known, NOW_MS)


# --- dropping ----------------------------------------------------------------------------------


def test_a_dropped_zone_is_nobody_and_what_it_revoked_is_not_forgotten(country: Path) -> None:
    card = open_card(country / "zone" / "cards" / "operator-1.card", PASSPHRASE)
    with opened(country / "zone") as zone:
        rosters = [d for d in zone.state.documents if d.cls is DocumentClass.ROSTER]
        badge = zone.state.invitations[0].badge
        chain = (badge, zone.state.badge_issuer)
        known, yann = zone.known, zone.state.enrolees[0].node
    with opened(country / "hq") as national:
        bob = national.state.enrolees[0]
        entry = Revocation(bob.node, NOW_MS, 0, 0)
        _card, listed = revocation_list(card, known, [entry], NOW_MS)
        assert national.take([listed.raw], NOW_MS) == (1, ())
        before = Trust.of([*national.state.documents, *rosters])
        assert [each.node for each in before.directory.members()] == [yann]
        assert bob.node in national.state.revoked
        verify_badge_untrusted(chain, national.state.root_body.anchors, NOW_MS)
        national.drop_zone(8, national.root_holders([], NOW_MS), NOW_MS)
        after, root = national.state, national.state.root_body
    assert [each.subject for each in after.drafts] == [bob.node]
    with pytest.raises(NotEnrolledError):
        verify_badge_untrusted(chain, root.anchors, NOW_MS)
    for document in (*rosters, listed):
        with pytest.raises(ThresholdError):
            decide(None, document, root)
    assert after.present == (), "until it is revoked again it leaves the rosters"
    trust = before.with_documents(after.documents)
    assert list(trust.directory.members()) == []
    restarted = Trust.of([*after.documents, *rosters])
    assert list(restarted.directory.members()) == []
    with opened(country / "zone") as zone:
        assert zone.take([after.root.raw], NOW_MS) == (1, ())
        with pytest.raises(EnrolmentError, match="names this zone no longer"):
            enrol(zone, country / "new", "new", Role.AGENT, ["Modane"])


def test_a_zone_follows_a_renewed_root_and_signs_its_rosters_anew(country: Path) -> None:
    with opened(country / "hq") as national:
        national.renew_root(national.root_holders([], NOW_MS), NOW_MS)
        root, foreign = national.state.root, national.state.documents[1:]
    with opened(country / "zone") as zone:
        names = [each.name for each in zone.rosters()]
        assert zone.take([root.raw, *(each.raw for each in foreign)], NOW_MS)[1] == ()
        assert [each.name for each in zone.rosters()] == names, "its own alone"
        rosters = [d for d in zone.state.documents if d.cls is DocumentClass.ROSTER]
        assert {(each.epoch, each.version) for each in rosters} == {(2, 1)}
        for each in rosters:
            decide(None, each, zone.state.root_body)
        enrol(zone, country / "new", "new", Role.AGENT, ["Modane"])
        body: RosterBody = next(each for each in zone.rosters() if each.name == "Modane")
        assert len(body.members) == 2


def test_operators_of_the_first_zone_come_bound_to_it(country: Path) -> None:
    with opened(country / "hq") as national:
        holders = national.root_holders([], NOW_MS)
        national.add_operator("Ugo", country / "ugo.card", OWN, holders, NOW_MS)
        rule = national.state.root_body.rule(DocumentClass.BEACON)
        assert rule is not None
        assert sorted(rule.zones) == [7, 7, 8]


# --- certifying anew ---------------------------------------------------------------------------

YEARS_LATER_MS = NOW_MS + 700 * 86_400_000
"""A month before the zone's first certificates end."""
AFTER_THE_END_MS = NOW_MS + 760 * 86_400_000


def renew(country: Path, now_ms: int) -> None:
    """Give the zone fresh certificates, from request to answer."""
    with opened(country / "zone") as zone, opened(country / "hq") as national:
        request = zone.ask_anew(now_ms)
        holders = national.root_holders((), now_ms)
        zone.take_renewal(national.certify_zone(request, holders, now_ms), now_ms)


def test_a_zone_is_certified_anew_and_goes_on_with_all_it_has(country: Path) -> None:
    rights = Rights(Role.OPERATOR, 8, (), DeviceClass.PC)
    with opened(country / "zone") as zone:
        before, late = zone.state, issued(zone, rights, AFTER_THE_END_MS)
    with pytest.raises(MeshError):
        verify_badge_untrusted(late, before.root_body.anchors, AFTER_THE_END_MS)
    renew(country, YEARS_LATER_MS)
    with opened(country / "zone") as zone, opened(country / "hq") as national:
        after, here = zone.state, national.state
        chain = issued(zone, rights, AFTER_THE_END_MS)
        assert verify_badge_untrusted(chain, here.root_body.anchors, AFTER_THE_END_MS).zone == 8
    assert after.root == here.root
    assert after.root.version > before.root.version
    assert after.enrolees == before.enrolees
    assert after.secrets == before.secrets
    assert (after.cards, after.units) == (before.cards, before.units)
    assert {before.anchor, after.anchor} <= {*here.root_body.anchors}, "the old ones hold on"
    assert here.root_body.rules == before.root_body.rules
    assert not (country / "zone" / "authority" / "zone-request").exists()


def test_a_unit_of_a_zone_works_on_when_the_zone_is_certified_anew(country: Path) -> None:
    with opened(country / "zone") as zone:
        enrol(zone, country / "rita", "rita", Role.LEADER, ["Modane"])
    request = request_unit(country / "unit", PASSPHRASE, NOW_MS, CountedEntropy(), scrypt_cost=2)
    with opened(country / "zone") as zone:
        grant = zone.grant(request, "rita", ["Modane"], NOW_MS)
        raws = [document.raw for document in zone.state.documents]
    accept_grant(country / "unit", PASSPHRASE, grant.text, raws, NOW_MS, CountedEntropy())
    later_ms = NOW_MS + 10 * 86_400_000
    renew(country, later_ms)
    with opened(country / "unit") as unit:
        enrol(unit, country / "zoe", "zoe", Role.AGENT, ["Modane"])
        report, chain = unit.report(), unit.state.above
    with opened(country / "zone") as zone:
        assert chain[0] != zone.state.badge_issuer, "it stands under the first certificates"
        assert zone.adopt(report, later_ms).names == ("zoe",)


def issued(zone: AuthorityHome, rights: Rights, now_ms: int) -> tuple[bytes, ...]:
    """Return the chain of a badge that the zone issues now."""
    state = zone.state
    key = zone._keys.read_ec("regional")
    public = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    return issue_badge(
        RegionalAuthority(key, state.badge_issuer, state.link_issuer), public, rights, now_ms
    )


def test_the_anchor_before_the_last_one_goes_and_all_go_with_the_zone(country: Path) -> None:
    with opened(country / "zone") as zone:
        first = zone.state.anchor
    renew(country, YEARS_LATER_MS)
    with opened(country / "zone") as zone:
        second = zone.state.anchor
    renew(country, YEARS_LATER_MS + 1)
    with opened(country / "hq") as national:
        root = national.state.root_body
        assert first not in root.anchors
        assert second in root.anchors
        assert len(root.anchors) == 3
        national.drop_zone(8, national.root_holders((), YEARS_LATER_MS), YEARS_LATER_MS)
        assert national.state.root_body.anchors == (national.state.anchor,)
        assert all(each.is_dropped for each in national.state.zones)


def test_a_renewal_by_other_keys_is_refused(country: Path, tmp_path: Path) -> None:
    stranger = ask(tmp_path / "stranger")
    with opened(country / "hq") as national, pytest.raises(EnrolmentError) as caught:
        national.check_zone(stranger, YEARS_LATER_MS)
    assert caught.value.reason == "zone"
    with opened(country / "hq") as national, pytest.raises(RightsError):
        national.ask_anew(YEARS_LATER_MS)
    with opened(country / "zone") as zone, pytest.raises(EnrolmentError) as caught:
        zone.take_renewal(certify(country / "hq", ask(tmp_path / "x", (9, "Lac"))), NOW_MS)
    assert caught.value.reason == "no_request"
