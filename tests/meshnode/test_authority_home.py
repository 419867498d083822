"""The authority: what it grants, what it refuses, and what survives a power cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from meshnode import authority_documents, authority_inviting, authority_issuing, authority_state
from meshnode.authority_cards import open_card
from meshnode.authority_home import AuthorityHome
from meshnode.authority_orders import revocation_list
from meshnode.enrol import Pending, make_keys
from protocol.armour import TextForm, armour
from protocol.authority import Unit, decide, decode_root_untrusted
from protocol.bundle import build as build_bundle
from protocol.bundle import decode_untrusted as decode_bundle_untrusted
from protocol.documents import DocumentClass
from protocol.enrolment import build_request
from protocol.errors import (
    AuthenticationError,
    EnrolmentError,
    LimitExceededError,
    MalformedError,
)
from protocol.guards import REVOKED_LISTED_MS
from protocol.identity import Role, verify_badge_untrusted
from protocol.ids import NodeId
from protocol.limits import (
    INVITATION_LIFE_MS,
    INVITATION_TRIES_MAX,
    PREKEY_END_MS,
    SQUADS_PER_BADGE_MAX,
)
from protocol.orders import Revocation
from tests.meshnode.enrolling import (
    NOW_MS,
    PASSPHRASE,
    enrol,
    invite,
    make_authority,
    opened,
    request,
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_authority(tmp_path / "authority-home")
    return tmp_path / "authority-home"


@pytest.fixture
def authority(home: Path) -> Iterator[AuthorityHome]:
    with opened(home) as authority:
        yield authority


def refused(authority: AuthorityHome, text: str, reason: str, now_ms: int = NOW_MS) -> None:
    """Check that a request is refused for `reason` and that nobody became a member."""
    before = authority.state
    with pytest.raises(EnrolmentError) as caught:
        authority.issue(text, now_ms)
    assert caught.value.reason == reason
    assert authority.state.enrolees == before.enrolees
    assert authority.state.documents == before.documents


# --- invitations -------------------------------------------------------------------------------


def test_names_are_free_tidy_and_not_words_of_commands(
    authority: AuthorityHome, tmp_path: Path
) -> None:
    assert invite(authority, " Le\u0301a ").name == "Léa"
    enrol(authority, tmp_path / "bob", "Bob")
    for name in ("léa", "BOB", "codt", "Zone", "squad:x"):
        with pytest.raises(EnrolmentError) as caught:
            invite(authority, name)
        assert caught.value.reason == "name"
    for name in ("", "a\nb"):
        with pytest.raises(MalformedError):
            invite(authority, name)
    assert invite(authority, "Léa", now_ms=NOW_MS + INVITATION_LIFE_MS + 1_000).name == "Léa"


def test_squads_are_known_by_their_first_spelling(authority: AuthorityHome) -> None:
    assert invite(authority, "a", squads=["Queyras"]).squads == ("Queyras",)
    assert invite(authority, "b", squads=["QUEYRAS ", "Ubaye"]).squads == ("Queyras", "Ubaye")
    for squads in ([], ["Ubaye", "ubaye"]):
        with pytest.raises(EnrolmentError) as caught:
            invite(authority, "c", squads=squads)
        assert caught.value.reason == "squads"
    many = [f"squad {number}" for number in range(SQUADS_PER_BADGE_MAX + 1)]
    assert len(invite(authority, "d", squads=many[:-1]).squads) == SQUADS_PER_BADGE_MAX
    with pytest.raises(LimitExceededError):
        invite(authority, "e", squads=many)


def test_open_invitations_are_bounded_and_forgotten_in_time(
    authority: AuthorityHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authority_inviting, "INVITATIONS_MAX", 3)
    for name in "abc":
        invite(authority, name)
    with pytest.raises(EnrolmentError) as caught:
        invite(authority, "d")
    assert caught.value.reason == "full"
    invite(authority, "d", now_ms=NOW_MS + INVITATION_LIFE_MS + 8 * 86_400_000)
    assert len(authority.state.invitations) == 1


# --- requests ----------------------------------------------------------------------------------


def test_a_request_becomes_a_member(authority: AuthorityHome, tmp_path: Path) -> None:
    accepted = enrol(authority, tmp_path / "alice", "alice", Role.LEADER, ["Queyras", "Ubaye"])
    badge = accepted.enrolled.badge
    assert (badge.role, badge.zone) == (Role.LEADER, 7)
    names = {roster.name: roster for roster in authority.rosters()}
    assert set(names) == {"Briançon", "Queyras", "Ubaye"}
    assert names["Briançon"].members == ()
    for squad in ("Queyras", "Ubaye"):
        (member,) = names[squad].members
        assert (member.node, member.name, member.role) == (badge.node, "alice", Role.LEADER)
    again = verify_badge_untrusted(badge.chain, [authority.state.anchor], NOW_MS)
    assert again == badge


def test_each_device_stands_where_others_can_find_it(
    authority: AuthorityHome, tmp_path: Path
) -> None:
    for name, role, squads in (
        ("gate", Role.GATEWAY, []),
        ("oper", Role.OPERATOR, ["Queyras"]),
        ("box", Role.RELAY, []),
        ("car", Role.RELAY, ["Queyras"]),
        ("alice", Role.AGENT, ["Queyras"]),
    ):
        enrol(authority, tmp_path / name, name, role, squads)
    where = {roster.unit: {each.name for each in roster.members} for roster in authority.rosters()}
    assert where == {
        Unit.CENTRE: {"gate", "oper", "box"},
        Unit.SQUAD: {"oper", "car", "alice"},
    }


def test_relays_get_no_key_that_reads(authority: AuthorityHome, tmp_path: Path) -> None:
    relay = enrol(authority, tmp_path / "box", "box", Role.RELAY, [])
    agent = enrol(authority, tmp_path / "alice", "alice")
    assert relay.enrolled.secrets.sos_key == b""
    assert agent.enrolled.secrets == authority.state.secrets
    assert relay.enrolled.secrets.network_key == authority.state.secrets.network_key


def test_a_newcomer_gets_the_prekeys_it_needs_first(
    authority: AuthorityHome, tmp_path: Path
) -> None:
    mate = enrol(authority, tmp_path / "mate", "mate")
    enrol(authority, tmp_path / "far", "far", squads=["Ubaye"])
    gate = enrol(authority, tmp_path / "gate", "gate", Role.GATEWAY, [])
    alice = enrol(authority, tmp_path / "alice", "alice")
    assert alice.enrolled.prekeys == tuple(each.pending.prekey.container for each in (gate, mate))
    late_ms = NOW_MS + PREKEY_END_MS + 1_000
    assert enrol(authority, tmp_path / "late", "late", now_ms=late_ms).enrolled.prekeys == ()


def test_versions_rise_only_where_members_change(authority: AuthorityHome, tmp_path: Path) -> None:
    seen: list[dict[bytes, int]] = []
    for name, squad in (("a", "Queyras"), ("b", "Ubaye"), ("c", "Queyras")):
        enrol(authority, tmp_path / name, name, squads=[squad])
        seen.append({each.scope: each.version for each in authority.state.documents})
    queyras, ubaye = (
        next(roster.scope for roster in authority.rosters() if roster.name == name)
        for name in ("Queyras", "Ubaye")
    )
    assert [versions[queyras] for versions in seen] == [1, 1, 2]
    assert [versions.get(ubaye) for versions in seen] == [None, 1, 1]
    root = decode_root_untrusted(authority.state.root.body)
    for document in authority.state.documents:
        assert decide(None, document, root)


def signed_by_device(pending: Pending, **changes: object) -> str:
    """Return a request that its device made, with its own MAC, but for `changes`."""
    keys = changes.get("keys", pending.keys)
    container = changes.get("prekey", pending.prekey.container)
    invitation = changes.get("invitation", pending.invitation)
    built = build_request(invitation, keys.badge, keys.link, container)  # type: ignore[arg-type, attr-defined]
    return armour(TextForm.REQUEST, built.encode())


def test_a_token_is_used_once(authority: AuthorityHome, tmp_path: Path) -> None:
    pending = request(tmp_path / "alice", invite(authority, "alice"))
    authority.issue(pending.text, NOW_MS)
    refused(authority, pending.text, "used")
    other = request(tmp_path / "thief", pending.invitation)
    refused(authority, other.text, "used")


def test_a_token_expires(authority: AuthorityHome, tmp_path: Path) -> None:
    first = request(tmp_path / "a", invite(authority, "a"))
    last_ms = NOW_MS + INVITATION_LIFE_MS
    refused(authority, first.text, "expired", last_ms + 1)
    authority.issue(first.text, last_ms)


def test_the_sixth_try_is_refused_even_if_it_is_right(
    home: Path, authority: AuthorityHome, tmp_path: Path
) -> None:
    pending = request(tmp_path / "alice", invite(authority, "alice"))
    wrong = replace(pending.request, mac=bytes(32))
    for tries in range(INVITATION_TRIES_MAX):
        assert authority.state.invitations[0].tries == tries
        refused(authority, armour(TextForm.REQUEST, wrong.encode()), "altered")
    refused(authority, pending.text, "tries")


def test_tries_are_counted_on_disk(home: Path, tmp_path: Path) -> None:
    with opened(home) as authority:
        pending = request(tmp_path / "alice", invite(authority, "alice"))
        wrong = replace(pending.request, mac=bytes(32))
        refused(authority, armour(TextForm.REQUEST, wrong.encode()), "altered")
    with opened(home) as authority:
        assert authority.state.invitations[0].tries == 1
        authority.issue(pending.text, NOW_MS)


def test_the_fifth_try_may_be_right(authority: AuthorityHome, tmp_path: Path) -> None:
    pending = request(tmp_path / "alice", invite(authority, "alice"))
    wrong = replace(pending.request, mac=bytes(32))
    for _ in range(INVITATION_TRIES_MAX - 1):
        refused(authority, armour(TextForm.REQUEST, wrong.encode()), "altered")
    authority.issue(pending.text, NOW_MS)


def test_an_altered_request_is_refused(authority: AuthorityHome, tmp_path: Path) -> None:
    pending = request(tmp_path / "alice", invite(authority, "alice"))
    stranger = replace(pending.invitation, secret=b"?" * 20)
    refused(authority, signed_by_device(pending, invitation=stranger), "altered")
    inner = pending.request.inner.replace(
        pending.request.prekey, bytes(len(pending.request.prekey))
    )
    assert inner != pending.request.inner
    altered = replace(pending.request, inner=inner)
    refused(authority, armour(TextForm.REQUEST, altered.encode()), "altered")


def test_an_unknown_token_is_refused(authority: AuthorityHome, tmp_path: Path) -> None:
    pending = request(tmp_path / "alice", invite(authority, "alice"))
    unknown = replace(pending.invitation, token=b"whatever")
    refused(authority, signed_by_device(pending, invitation=unknown), "unknown")
    with pytest.raises(MalformedError):
        authority.issue("hello", NOW_MS)


def test_known_keys_are_refused(authority: AuthorityHome, tmp_path: Path) -> None:
    alice = enrol(authority, tmp_path / "alice", "alice").pending
    mallory = request(tmp_path / "mallory", invite(authority, "mallory"))
    fresh = make_keys()
    for keys in (
        replace(fresh, badge=alice.keys.badge),
        replace(fresh, badge=alice.keys.link),
        replace(fresh, link=alice.keys.link),
        replace(fresh, link=fresh.badge),
    ):
        refused(authority, signed_by_device(mallory, keys=keys), "known_key")
    authority.remove("alice", NOW_MS)
    authority.issue(mallory.text, NOW_MS)
    late = request(tmp_path / "late", invite(authority, "late"))
    refused(authority, signed_by_device(late, keys=alice.keys), "known_key")


def test_a_copied_image_is_known_by_its_prekey(authority: AuthorityHome, tmp_path: Path) -> None:
    """Fresh keys beside a copied prekey: what is sealed to one would open at the other."""
    alice = enrol(authority, tmp_path / "alice", "alice").pending
    copy = request(tmp_path / "copy", invite(authority, "copy"))
    own = decode_bundle_untrusted(copy.prekey.container)
    stolen = decode_bundle_untrusted(alice.prekey.container).body
    container = build_bundle(own.header, stolen, copy.keys.badge.sign).raw
    refused(authority, signed_by_device(copy, prekey=container), "known_key")
    authority.issue(copy.text, NOW_MS)


def test_a_prekey_must_be_the_devices_own(authority: AuthorityHome, tmp_path: Path) -> None:
    alice = enrol(authority, tmp_path / "alice", "alice").pending
    bob = request(tmp_path / "bob", invite(authority, "bob"))
    with pytest.raises(AuthenticationError):
        authority.issue(signed_by_device(bob, prekey=alice.prekey.container), NOW_MS)
    assert authority.state.invitations[-1].tries == 1


def test_rosters_and_authorities_have_an_end(
    authority: AuthorityHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol(authority, tmp_path / "a", "a")
    rooms = {"MEMBERS_MAX": authority_documents, "AUTHORITY_MEMBERS_MAX": authority_issuing}
    for name, room in rooms.items():
        with monkeypatch.context() as patch:
            patch.setattr(room, name, 1)
            refused(authority, request(tmp_path / name, invite(authority, name)).text, "full")
    with monkeypatch.context() as patch:
        patch.setattr(authority_documents, "ANSWER_DOCUMENTS_MAX", 3)
        text = request(tmp_path / "x", invite(authority, "x", squads=["Ubaye"])).text
        refused(authority, text, "full")
    enrol(authority, tmp_path / "b", "b", squads=["Ubaye"])


# --- lost answers and lost power ---------------------------------------------------------------


def test_a_lost_answer_is_made_again_for_the_same_request(
    authority: AuthorityHome, tmp_path: Path
) -> None:
    pending = request(tmp_path / "alice", invite(authority, "alice"))
    other = request(tmp_path / "thief", pending.invitation)
    first = authority.issue(pending.text, NOW_MS)
    enrol(authority, tmp_path / "bob", "bob")
    again = authority.answer_again(pending.text, NOW_MS)
    assert again is not None
    assert (again.badge_chain, again.link_chain) == (first.badge_chain, first.link_chain)
    assert again.documents == tuple(each.raw for each in authority.state.documents)
    assert authority.answer_again(other.text, NOW_MS) is None
    wrong = replace(pending.request, mac=bytes(32))
    with pytest.raises(EnrolmentError):
        authority.answer_again(armour(TextForm.REQUEST, wrong.encode()), NOW_MS)
    authority.remove("alice", NOW_MS)
    with pytest.raises(EnrolmentError):
        authority.answer_again(pending.text, NOW_MS)


def test_no_version_is_given_out_before_it_is_saved(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(home) as authority:
        pending = request(tmp_path / "alice", invite(authority, "alice"))
        before = authority.state

        def fail(*_: object) -> None:
            raise OSError("the disk is gone")

        with monkeypatch.context() as patch:
            patch.setattr("meshnode.files.os.replace", fail)
            with pytest.raises(OSError, match="the disk is gone"):
                authority.issue(pending.text, NOW_MS)
        assert authority.state == before
    with opened(home) as authority:
        assert authority.state == before
        authority.issue(pending.text, NOW_MS)


# --- leaving -----------------------------------------------------------------------------------


def test_a_removed_device_is_in_no_roster_and_its_squad_says_so(
    authority: AuthorityHome, tmp_path: Path
) -> None:
    enrol(authority, tmp_path / "alice", "alice")
    squad = next(each for each in authority.state.documents if each.scope[:1] == b"\x01")
    authority.remove("Alice", NOW_MS)
    after = next(each for each in authority.state.documents if each.scope == squad.scope)
    assert after.version == squad.version + 1
    assert all(not roster.members for roster in authority.rosters())
    with pytest.raises(EnrolmentError):
        authority.remove("alice", NOW_MS)
    assert invite(authority, "alice").name == "alice"


def revoke(home: Path, authority: AuthorityHome, *nodes: NodeId, now_ms: int = NOW_MS) -> None:
    card = open_card(home / "cards" / "operator-1.card", PASSPHRASE)
    entries = [Revocation(node, now_ms, 0, 0) for node in nodes]
    _card, document = revocation_list(card, authority.known, entries, now_ms)
    assert authority.note_signed(document, "lost", now_ms) == (document,)


def listed(authority: AuthorityHome) -> set[str]:
    """Return the names in all rosters that are given out."""
    return {member.name for roster in authority.rosters() for member in roster.members}


def test_a_revoked_device_is_listed_and_present_no_more(
    home: Path, authority: AuthorityHome, tmp_path: Path
) -> None:
    """Rosters tell whose key is whose; its good bundles are checked by it."""
    lost = enrol(authority, tmp_path / "alice", "alice")
    enrol(authority, tmp_path / "bob", "bob")
    revoke(home, authority, lost.enrolled.badge.node)
    assert listed(authority) == {"alice", "bob"}
    assert [each.member.name for each in authority.state.present] == ["bob"]
    carol = enrol(authority, tmp_path / "carol", "carol")
    assert lost.pending.prekey.container not in carol.enrolled.prekeys
    for step in (authority.remove, authority.invite_instead):
        with pytest.raises(EnrolmentError):
            step("alice", NOW_MS)
    again = enrol(authority, tmp_path / "alice2", "alice")
    assert again.enrolled.badge.node in {each.node for each in authority.state.present}


def test_a_lost_answer_is_not_made_again_for_a_revoked_device(
    home: Path, authority: AuthorityHome, tmp_path: Path
) -> None:
    pending = request(tmp_path / "alice", invite(authority, "alice"))
    authority.issue(pending.text, NOW_MS)
    assert authority.answer_again(pending.text, NOW_MS) is not None
    revoke(home, authority, authority.state.present[0].node)
    with pytest.raises(EnrolmentError) as caught:
        authority.answer_again(pending.text, NOW_MS)
    assert caught.value.reason == "used"


def test_a_revoked_device_leaves_the_rosters_in_the_end(
    home: Path, authority: AuthorityHome, tmp_path: Path
) -> None:
    lost = enrol(authority, tmp_path / "alice", "alice")
    revoke(home, authority, lost.enrolled.badge.node)
    enrol(authority, tmp_path / "bob", "bob", now_ms=NOW_MS + REVOKED_LISTED_MS - 1)
    assert listed(authority) == {"alice", "bob"}
    enrol(authority, tmp_path / "carol", "carol", now_ms=NOW_MS + REVOKED_LISTED_MS)
    assert listed(authority) == {"bob", "carol"}


def test_revoked_devices_take_nobodys_place_in_a_full_roster(
    home: Path, authority: AuthorityHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authority_documents, "MEMBERS_MAX", 2)
    for place, name in enumerate(("alice", "bob")):
        lost = enrol(authority, tmp_path / name, name)
        revoke(home, authority, lost.enrolled.badge.node, now_ms=NOW_MS + place)
    assert listed(authority) == {"alice", "bob"}
    enrol(authority, tmp_path / "carol", "carol")
    assert listed(authority) == {"bob", "carol"}, "the one that was lost last stays longest"
    enrol(authority, tmp_path / "dora", "dora")
    assert listed(authority) == {"carol", "dora"}
    refused(authority, request(tmp_path / "eve", invite(authority, "eve")).text, "full")


def test_what_a_dropped_card_alone_revoked_is_in_no_roster(
    home: Path, authority: AuthorityHome, tmp_path: Path
) -> None:
    """Nothing else says that it is not trusted, until another card has revoked it."""
    lost = enrol(authority, tmp_path / "alice", "alice").enrolled.badge.node
    revoke(home, authority, lost)
    authority.add_operator(
        "Ugo", tmp_path / "ugo", PASSPHRASE, authority.root_holders([], NOW_MS), NOW_MS
    )
    authority.drop_operator(1, authority.root_holders([], NOW_MS), NOW_MS)
    assert [each.subject for each in authority.state.drafts] == [lost]
    assert listed(authority) == set()
    assert authority.state.present == ()


def test_what_a_stolen_card_revoked_is_trusted_again(
    home: Path, authority: AuthorityHome, tmp_path: Path
) -> None:
    """Or the thief of one card could take a whole zone out of its rosters for good."""
    victim = enrol(authority, tmp_path / "alice", "alice").enrolled.badge.node
    authority.add_operator(
        "Ugo", tmp_path / "ugo", PASSPHRASE, authority.root_holders([], NOW_MS), NOW_MS
    )
    revoke(home, authority, victim)
    assert victim in authority.state.revoked
    authority.drop_operator(1, authority.root_holders([], NOW_MS), NOW_MS, is_list_void=True)
    assert authority.state.drafts == ()
    assert listed(authority) == {"alice"}
    assert [each.member.name for each in authority.state.present] == ["alice"]


def test_a_device_that_was_revoked_before_its_successor_came_is_not_drafted(
    home: Path, authority: AuthorityHome, tmp_path: Path
) -> None:
    lost = enrol(authority, tmp_path / "alice", "alice").enrolled.badge.node
    invitation = authority.invite_instead("alice", NOW_MS)
    revoke(home, authority, lost)
    authority.issue(request(tmp_path / "new", invitation).text, NOW_MS)
    assert authority.state.drafts == ()
    nodes = {each.node for roster in authority.rosters() for each in roster.members}
    assert len(nodes) == 2
    assert lost in nodes
    assert lost not in {each.node for each in authority.state.present}


def test_nothing_secret_is_printed(authority: AuthorityHome) -> None:
    secrets = authority.state.secrets
    assert repr(secrets.sos_key)[2:-1] not in repr(authority.state)
    assert "secret=" not in repr(invite(authority, "alice"))
    assert authority_state.__all__
    assert authority.state.root.cls is DocumentClass.ROOT
