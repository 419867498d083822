"""A leader's unit authority: what it may give, what it cannot, and what the region adopts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from meshnode.authority_cards import open_card
from meshnode.authority_founding import accept_grant, load_unit_request, request_unit
from meshnode.authority_home import AuthorityHome
from meshnode.authority_inviting import check_scope
from meshnode.authority_keys import AuthorityError
from meshnode.authority_orders import revocation_list
from protocol.armour import TextForm, armour
from protocol.authority import DocumentClass, decide
from protocol.delegation import (
    Issued,
    UnitReport,
    build_grant,
    build_report,
    decode_grant_untrusted,
    decode_report_untrusted,
)
from protocol.enrolment import decode_invitation_untrusted
from protocol.errors import (
    AuthenticationError,
    EnrolmentError,
    MeshError,
    RightsError,
)
from protocol.guards import PASS_MS_MAX, UNIT_LIFE_MS
from protocol.identity import DeviceClass, Rights, Role, verify_badge_untrusted
from protocol.ids import squad_id_of
from protocol.issuing import (
    UnitAuthority,
    issue_badge,
    make_regional,
    make_root,
    make_unit,
    public_key_der,
)
from protocol.limits import BADGE_LIFE_MS
from protocol.orders import Revocation, issuer_id
from protocol.witnessed import decode_pass_untrusted
from tests.meshnode.enrolling import (
    NOW_MS,
    PASSPHRASE,
    CountedEntropy,
    enrol,
    invite,
    opened,
    request,
)
from tests.meshnode.units import make_region, make_unit_home

SQUADS = ("Queyras", "Ubaye", "Vars")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("valley")
    make_region(folder / "region", folder)
    make_unit_home(folder / "region", folder / "unit")
    return folder


@pytest.fixture
def valley(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "valley")
    return tmp_path / "valley"


@pytest.fixture
def unit(valley: Path) -> Iterator[AuthorityHome]:
    with opened(valley / "unit") as unit:
        yield unit


# --- scope -------------------------------------------------------------------------------------


def may_give(role: Role, zone: int, squads: tuple[str, ...], own: tuple[str, ...]) -> bool:
    """The slow obvious judge: what a unit of zone 7 may give."""
    if role not in (Role.AGENT, Role.RELAY):
        return False
    if zone != 7:
        return False
    return all(any(squad == mine for mine in own) for squad in squads)


ASKED = st.tuples(
    st.sampled_from(list(Role)),
    st.sampled_from([7, 7, 7, 8]),
    st.lists(st.sampled_from(SQUADS), min_size=1, unique=True).map(tuple),
    st.lists(st.sampled_from(SQUADS), min_size=1, unique=True).map(tuple),
)


@given(ASKED)
@settings(deadline=None, max_examples=60)
def test_issuing_and_verifying_agree_with_the_judge(
    whole: Path, asked: tuple[Role, int, tuple[str, ...], tuple[str, ...]]
) -> None:
    role, zone, squads, own = asked
    with opened(whole / "unit") as unit:
        state = replace(unit.state, squads=own)
    try:
        check_scope(state, role, zone, squads)
        is_issued = True
    except RightsError:
        is_issued = False
    assert is_issued == may_give(*asked)
    assert is_verified(role, zone, squads, own) == is_issued


ROOT = make_root(NOW_MS)
REGION = make_regional(ROOT, 7, NOW_MS)
DEVICE = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()


def is_verified(role: Role, zone: int, squads: tuple[str, ...], own: tuple[str, ...]) -> bool:
    """Issue without asking anybody, as a thief of the unit's key would, and let a node judge."""
    unit = make_unit(REGION, 7, [squad_id_of(7, name) for name in own], NOW_MS)
    ids = tuple(sorted(squad_id_of(7, name) for name in squads))
    chain = issue_badge(unit, DEVICE, Rights(role, zone, ids, DeviceClass.PHONE), NOW_MS)
    try:
        verify_badge_untrusted(chain, [ROOT.certificate], NOW_MS)
    except RightsError:
        return False
    return True


def test_a_unit_certifies_no_authority_and_writes_no_roster(
    valley: Path, unit: AuthorityHome
) -> None:
    asked = request_unit(valley / "other", PASSPHRASE, NOW_MS, CountedEntropy(), scrypt_cost=2)
    for refused in (
        lambda: unit.grant(asked, "bob", ["Queyras"], NOW_MS),
        lambda: unit.remove("bob", NOW_MS),
        lambda: unit.adopt(unit.report(), NOW_MS),
        lambda: unit.add_operator(
            "x", valley / "x", PASSPHRASE, unit.root_holders([], NOW_MS), NOW_MS
        ),
        lambda: unit.drop_operator(1, unit.root_holders([], NOW_MS), NOW_MS),
    ):
        with pytest.raises(RightsError):
            refused()
    names = {path.name for path in (valley / "unit" / "authority").glob("*.pem")}
    assert names == {"unit.pem"}
    with pytest.raises(EnrolmentError, match="taken"):
        invite(unit, "Far")
    with pytest.raises(RightsError, match="--squad"):
        invite(unit, "x", Role.RELAY, [])


# --- issuing in the field ----------------------------------------------------------------------


def test_a_newcomer_gets_a_chain_of_three_and_a_pass(valley: Path, unit: AuthorityHome) -> None:
    accepted = enrol(unit, valley / "new", "new")
    badge = accepted.enrolled.badge
    assert (len(badge.chain), len(accepted.enrolled.link_chain)) == (3, 3)
    assert badge.not_after_ms <= NOW_MS + UNIT_LIFE_MS < NOW_MS + BADGE_LIFE_MS
    assert accepted.enrolled.secrets == unit.state.secrets
    documents = {each.scope: each for each in accepted.enrolled.documents}
    shown = documents[badge.node]
    body = decode_pass_untrusted(shown.body)
    assert (body.name, body.ends_ms) == ("new", NOW_MS + PASS_MS_MAX)
    assert decide(None, shown, unit.state.root_body)
    mate = enrol(unit, valley / "mate", "mate")
    assert mate.enrolled.prekeys == (accepted.pending.prekey.container,)


def test_passes_end_with_their_shift(valley: Path, unit: AuthorityHome) -> None:
    enrol(unit, valley / "new", "new")
    late_ms = NOW_MS + PASS_MS_MAX + 1
    late = enrol(unit, valley / "late", "late", now_ms=late_ms)
    passes = [each.scope for each in unit.state.documents if each.cls is DocumentClass.PASS]
    assert passes == [late.enrolled.badge.node]


def test_a_unit_that_has_ended_issues_nothing(valley: Path, unit: AuthorityHome) -> None:
    late_ms = NOW_MS + UNIT_LIFE_MS + 1_000
    with pytest.raises(EnrolmentError) as caught:
        invite(unit, "late", now_ms=late_ms)
    assert caught.value.reason == "ended"


def test_a_revoked_unit_issues_nothing(valley: Path, unit: AuthorityHome) -> None:
    pending = request(valley / "new", invite(unit, "new"))
    card = open_card(valley / "region" / "cards" / "operator-1.card", PASSPHRASE)
    with opened(valley / "region") as region:
        entry = Revocation(region.state.units[0].unit_id, NOW_MS, 0, 0)
        _card, document = revocation_list(card, region.known, [entry], NOW_MS)
        region.note_signed(document, "lea", NOW_MS)
    assert unit.take([document.raw], NOW_MS) == (1, ())
    for step in (lambda: invite(unit, "x"), lambda: unit.issue(pending.text, NOW_MS)):
        with pytest.raises(EnrolmentError) as caught:
            step()
        assert caught.value.reason == "revoked"


# --- asking and granting -----------------------------------------------------------------------


def test_only_a_leader_gets_a_unit_and_only_for_its_squads(valley: Path) -> None:
    asked = request_unit(valley / "other", PASSPHRASE, NOW_MS, CountedEntropy(), scrypt_cost=2)
    with opened(valley / "region") as region:
        for name, squads in (("bob", ["Queyras"]), ("gate", ["Queyras"]), ("lea", ["Vars"])):
            with pytest.raises(RightsError):
                region.grant(asked, name, squads, NOW_MS)
        with pytest.raises(EnrolmentError):
            region.grant(asked, "nobody", [], NOW_MS)
        grant = region.grant(asked, "LEA", [], NOW_MS)
        assert grant.squads == ("Queyras", "Ubaye")
        with pytest.raises(EnrolmentError) as caught:
            enrol(region, valley / "boss", "boss", Role.LEADER, ["Queyras"])
            region.grant(asked, "boss", [], NOW_MS)
        assert caught.value.reason == "known_key"


def test_a_grant_is_taken_whole_or_not_at_all(
    valley: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = valley / "again"
    asked = request_unit(home, PASSPHRASE, NOW_MS, CountedEntropy(), scrypt_cost=2)
    with opened(valley / "region") as region:
        grant = region.grant(asked, "lea", ["Ubaye"], NOW_MS)
        documents = [document.raw for document in region.state.documents]

    def take(text: str = grant.text) -> None:
        accept_grant(home, PASSPHRASE, text, documents, NOW_MS, CountedEntropy())

    for failing in ("write_private", "os.rename"):
        with monkeypatch.context() as patch:

            def fail(*_: object) -> None:
                raise OSError("the disk is gone")

            patch.setattr(f"meshnode.authority_founding.{failing}", fail)
            with pytest.raises(OSError, match="the disk is gone"):
                take()
        assert not (home / "authority").exists()
        assert load_unit_request(home, PASSPHRASE).request == asked
    take()
    with opened(home) as unit:
        assert unit.state.squads == ("Ubaye",)
    for step in (take, lambda: request_unit(home, PASSPHRASE, NOW_MS, CountedEntropy())):
        with pytest.raises(MeshError):
            step()


def test_a_grant_of_another_hand_makes_no_authority(valley: Path) -> None:
    home = valley / "again"
    asked = request_unit(home, PASSPHRASE, NOW_MS, CountedEntropy(), scrypt_cost=2)
    other = request_unit(valley / "third", PASSPHRASE, NOW_MS, CountedEntropy(), scrypt_cost=2)
    with opened(valley / "region") as region:
        documents = [document.raw for document in region.state.documents]
        for_other = region.grant(other, "lea", ["Queyras"], NOW_MS)
        good = region.grant(asked, "lea", ["Queyras"], NOW_MS)
    stranger = ec.generate_private_key(ec.SECP256R1())
    forged = build_grant(
        good.request_id,
        (good.badge_issuer, good.link_issuer),
        good.above,
        (good.zone, good.centre_name, good.squads),
        good.sealed_secrets,
        stranger,
    )
    wider = build_grant(
        good.request_id,
        (good.badge_issuer, good.link_issuer),
        good.above,
        (good.zone, good.centre_name, ("Queyras", "Vars")),
        good.sealed_secrets,
        stranger,
    )
    swapped = build_grant(
        good.request_id,
        (for_other.badge_issuer, for_other.link_issuer),
        good.above,
        (good.zone, good.centre_name, good.squads),
        good.sealed_secrets,
        stranger,
    )
    for text, error in (
        (for_other.text, EnrolmentError),
        (forged.text, AuthenticationError),
        (wider.text, EnrolmentError),
        (swapped.text, EnrolmentError),
    ):
        with pytest.raises(error):
            accept_grant(home, PASSPHRASE, text, documents, NOW_MS, CountedEntropy())
        assert not (home / "authority").exists()
    with pytest.raises(AuthorityError, match="passphrase"):
        accept_grant(home, "another passphrase", good.text, documents, NOW_MS, CountedEntropy())
    assert decode_grant_untrusted(good.text) == good


# --- adopting ----------------------------------------------------------------------------------


def test_what_a_unit_issued_becomes_members_once(valley: Path, unit: AuthorityHome) -> None:
    new = enrol(unit, valley / "new", "new")
    with opened(valley / "region") as region:
        enrol(region, valley / "namesake", "New")
        taken = region.adopt(unit.report(), NOW_MS)
        assert taken.names == ("new 2",)
        assert region.adopt(unit.report(), NOW_MS).known == 1
        members = {member.node for roster in region.rosters() for member in roster.members}
        assert new.enrolled.badge.node in members
        assert region.state.enrolees[-1].unit == region.state.units[0].unit_id


def test_a_replaced_device_leaves_the_rosters_and_waits_to_be_revoked(
    valley: Path, unit: AuthorityHome
) -> None:
    with opened(valley / "region") as region:
        old = next(each for each in region.state.present if each.member.name == "bob")
    invitation = unit.invite_instead("bob", NOW_MS)
    pending = request(valley / "bob2", invitation)
    unit.issue(pending.text, NOW_MS)
    with opened(valley / "region") as region:
        taken = region.adopt(unit.report(), NOW_MS)
        assert (taken.names, taken.replaced) == (("bob",), ("bob",))
        assert [each.subject for each in region.state.drafts] == [old.node]
        names = [each.member.name for each in region.state.present]
        assert names.count("bob") == 1


def test_a_unit_replaces_only_agents_and_relays_of_its_squads(
    valley: Path, unit: AuthorityHome
) -> None:
    for name in ("far", "gate", "lea"):
        with pytest.raises(RightsError):
            unit.invite_instead(name, NOW_MS)
    enrol(unit, valley / "new", "new")
    honest = unit.report()
    with opened(valley / "region") as region:
        before = region.state
        targets = {each.member.name: each.node for each in before.present}
        for tries, name in enumerate(("far", "gate", "lea"), 1):
            entry = replace(honest.issued[0], replaces=targets[name])
            with pytest.raises(RightsError):
                region.adopt(_signed(unit, entry), NOW_MS)
            after = replace(region.state, journal=before.journal, refusals=before.refusals)
            assert after == before
            assert region.state.journal[-1].action == "refused"
            assert sum(count for _reason, count in region.state.refusals) == tries


def _signed(unit: AuthorityHome, *issued: Issued) -> UnitReport:
    """Return a report that the unit's key signs, whatever it says."""
    key = unit._keys.read_ec("unit")
    return build_report(issuer_id(public_key_der(key.public_key())), issued, key)


def test_a_report_that_lies_adopts_nobody(valley: Path, unit: AuthorityHome) -> None:
    enrol(unit, valley / "new", "new")
    honest = unit.report()
    (entry,) = honest.issued
    with opened(valley / "region") as region:
        before = region.state
        region_badge = issue_badge(
            UnitAuthority(
                unit._keys.read_ec("unit"),
                unit.state.badge_issuer,
                unit.state.link_issuer,
                (unit.state.above[0], unit.state.above[1]),
            ),
            DEVICE,
            Rights(Role.LEADER, 7, (squad_id_of(7, "Queyras"),), DeviceClass.PHONE),
            NOW_MS,
        )[0]
        lies = (
            replace(entry, badge=region_badge),
            replace(entry, squads=("Ubaye",)),
            replace(entry, link=entry.badge),
            replace(entry, prekey=b"x"),
        )
        for tries, lie in enumerate(lies, 1):
            with pytest.raises(MeshError):
                region.adopt(_signed(unit, lie), NOW_MS)
            after = replace(region.state, journal=before.journal, refusals=before.refusals)
            assert after == before
            assert region.state.journal[-1].action == "refused"
            assert sum(count for _reason, count in region.state.refusals) == tries
        stranger = ec.generate_private_key(ec.SECP256R1())
        with pytest.raises(AuthenticationError):
            region.adopt(build_report(honest.unit_id, honest.issued, stranger), NOW_MS)
        with pytest.raises(EnrolmentError):
            region.adopt(build_report(bytes(16), honest.issued, stranger), NOW_MS)
        region.adopt(decode_report_untrusted(honest.text), NOW_MS)


def test_adopting_is_saved_whole_or_not_at_all(
    valley: Path, unit: AuthorityHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol(unit, valley / "new", "new")
    with opened(valley / "region") as region:
        before = region.state

        def fail(*_: object) -> None:
            raise OSError("the disk is gone")

        with monkeypatch.context() as patch:
            patch.setattr("meshnode.files.os.replace", fail)
            with pytest.raises(OSError, match="the disk is gone"):
                region.adopt(unit.report(), NOW_MS)
        assert region.state == before
    with opened(valley / "region") as region:
        assert region.state == before
        assert region.adopt(unit.report(), NOW_MS).names == ("new",)


def test_an_invitation_of_a_unit_says_nothing_special(unit: AuthorityHome) -> None:
    invitation = invite(unit, "new")
    text = armour(TextForm.INVITATION, invitation.encode())
    assert decode_invitation_untrusted(text) == invitation
