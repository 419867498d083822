"""Cases S05, S09, S23 and S26 on the side of those who issue and sign."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from meshnode.authority_cards import open_card
from meshnode.authority_home import AuthorityHome
from meshnode.authority_keys import AuthorityError
from meshnode.authority_orders import cosigned, revocation_list, wipe_order
from meshnode.enrol import FirstPrekey, Pending, first_prekey, make_keys
from protocol import bundle as bundles
from protocol.armour import TextForm, armour
from protocol.authority import DocumentClass, build, decide, decode_untrusted, document_signer
from protocol.delegation import build_unit_request
from protocol.enrolment import build_request
from protocol.envelope import decode_prekey_untrusted, encode_prekey
from protocol.errors import (
    DocumentError,
    EnrolmentError,
    EquivocationError,
    IdentityError,
    MeshError,
    RightsError,
    StaleDocumentError,
    ThresholdError,
    WeakKeyError,
)
from protocol.identity import (
    DeviceClass,
    Rights,
    Role,
    verify_badge_untrusted,
    verify_link_chain_untrusted,
)
from protocol.ids import squad_id_of
from protocol.issuing import UnitAuthority, certify_unit, issue_badge, issue_link, make_unit
from protocol.limits import INVITATION_LIFE_MS, INVITATION_TRIES_MAX
from protocol.orders import Revocation, RevocationBody, WipeLevel
from tests.meshnode.enrolling import (
    NOW_MS,
    PASSPHRASE,
    SEALER,
    CountedEntropy,
    enrol,
    invite,
    opened,
    request,
)
from tests.meshnode.units import make_region, make_unit_home

SMALL_ORDER = bytes.fromhex("01" + 31 * "00")
"""The identity point: one fixed signature verifies under it for every message."""


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


# --- S05: a device, or a unit beyond its scope, issues -------------------------------------------


def test_s05_a_device_issues_with_a_key_of_its_own_and_nobody_believes_it(valley: Path) -> None:
    """Under whatever chain it puts it; what its badge key signs is tried at real nodes."""
    with opened(valley / "region") as region:
        rogue = enrol(region, valley / "rogue", "rogue").enrolled.badge
        anchors = region.state.root_body.anchors
    own = ec.generate_private_key(ec.SECP256R1())
    victim = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    rights = Rights(Role.AGENT, 7, rogue.squads, DeviceClass.PHONE)
    fake = UnitAuthority(own, rogue.chain[1], rogue.chain[1], (rogue.chain[1], rogue.chain[1]))
    forged = issue_badge(fake, victim, rights, NOW_MS)
    for chain in (forged, (forged[0], *rogue.chain), (forged[0], rogue.chain[0])):
        with pytest.raises(MeshError):
            verify_badge_untrusted(chain, anchors, NOW_MS)


@pytest.mark.parametrize("opening", ["first", "after a restart"])
def test_s05_a_unit_invites_nobody_beyond_its_scope(valley: Path, opening: str) -> None:
    if opening != "first":
        with opened(valley / "unit") as unit:
            enrol(unit, valley / "honest", "honest")
    with opened(valley / "unit") as unit:
        before = unit.state
        for role, squads in (
            (Role.LEADER, ["Queyras"]),
            (Role.GATEWAY, ["Queyras"]),
            (Role.OPERATOR, ["Queyras"]),
            (Role.AGENT, ["Ubaye"]),
            (Role.AGENT, ["Queyras", "Vars"]),
            (Role.RELAY, []),
        ):
            with pytest.raises(RightsError):
                unit.invite("rogue", role, DeviceClass.PHONE, squads, NOW_MS)
            last = unit.state.journal[-1]
            assert (last.at_ms, last.action, last.subject) == (NOW_MS, "refused", "rights")
        assert len(unit.state.journal) == len(before.journal) + 6, "one line for each"
        assert unit.state.refusals == (("rights", 6),), "counted by reason"
        after = replace(unit.state, journal=before.journal, refusals=before.refusals)
        assert after == before


def test_s05_what_a_thief_of_a_units_key_issues_beyond_its_scope_is_refused(valley: Path) -> None:
    with opened(valley / "unit") as unit:
        state, key = unit.state, unit._keys.read_ec("unit")
    anchors = state.root_body.anchors
    thief = UnitAuthority(
        key, state.badge_issuer, state.link_issuer, (state.above[0], state.above[1])
    )
    device = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    queyras, vars_ = squad_id_of(7, "Queyras"), squad_id_of(7, "Vars")

    def badge(rights: Rights) -> tuple[bytes, ...]:
        return issue_badge(thief, device, rights, NOW_MS)

    good = Rights(Role.AGENT, 7, (queyras,), DeviceClass.PHONE)
    assert verify_badge_untrusted(badge(good), anchors, NOW_MS).role is Role.AGENT
    for rights in (
        replace(good, role=Role.LEADER),
        replace(good, role=Role.OPERATOR),
        replace(good, zone=8),
        replace(good, squads=(vars_,)),
        replace(good, squads=tuple(sorted((queyras, vars_)))),
    ):
        with pytest.raises(RightsError):
            verify_badge_untrusted(badge(rights), anchors, NOW_MS)
    # A further authority below the unit: path length 0 ends there.
    below = make_unit(thief, 7, [queyras], NOW_MS)
    chain = (*issue_badge(below, device, good, NOW_MS)[:2], state.badge_issuer, state.above[0])
    links = (*issue_link(below, device, NOW_MS)[:2], state.link_issuer, state.above[1])
    with pytest.raises(IdentityError):
        verify_badge_untrusted(chain, anchors, NOW_MS)
    with pytest.raises(IdentityError):
        verify_link_chain_untrusted(links, anchors, NOW_MS)
    assert certify_unit(thief, 7, [queyras], NOW_MS, key.public_key()) != thief.regional


def test_s05_a_unit_grants_no_unit(valley: Path) -> None:
    prekey = SEALER.make_prekey(NOW_MS)[1]
    asked = build_unit_request(ec.generate_private_key(ec.SECP256R1()), prekey, bytes(8))
    for start in range(2):
        with opened(valley / "unit") as unit:
            before = unit.state
            assert [each.subject for each in before.journal].count("rights") == start
            with pytest.raises(RightsError):
                unit.grant(asked, "bob", ["Queyras"], NOW_MS)
            assert unit.state.refusals == (("rights", start + 1),)
            after = replace(unit.state, journal=before.journal, refusals=before.refusals)
            assert after == before
            assert unit.state.journal[-1].subject == "rights"


# --- S09: a request that must not be granted -----------------------------------------------------

Trick = Callable[[AuthorityHome, Path], tuple[str, int]]
"""Returns a request and the time at which it comes."""


def forged(pending: Pending, **changes: object) -> str:
    """Return a request that its device made with its own MAC, but for `changes`."""
    keys, prekey = pending.keys, pending.prekey.container
    keys = changes.get("keys", keys)  # type: ignore[assignment]
    prekey = changes.get("prekey", prekey)  # type: ignore[assignment]
    built = build_request(pending.invitation, keys.badge, keys.link, prekey)
    return armour(TextForm.REQUEST, built.encode())


def used_twice(authority: AuthorityHome, folder: Path) -> tuple[str, int]:
    pending = request(folder / "a", invite(authority, "a"))
    authority.issue(pending.text, NOW_MS)
    return pending.text, NOW_MS


def an_hour_late(authority: AuthorityHome, folder: Path) -> tuple[str, int]:
    pending = request(folder / "a", invite(authority, "a"))
    return pending.text, NOW_MS + INVITATION_LIFE_MS + 3_600_000


def sixth_try(authority: AuthorityHome, folder: Path) -> tuple[str, int]:
    pending = request(folder / "a", invite(authority, "a"))
    wrong = armour(TextForm.REQUEST, replace(pending.request, mac=bytes(32)).encode())
    for _ in range(INVITATION_TRIES_MAX):
        with pytest.raises(EnrolmentError):
            authority.issue(wrong, NOW_MS)
    return pending.text, NOW_MS


def altered(authority: AuthorityHome, folder: Path) -> tuple[str, int]:
    pending = request(folder / "a", invite(authority, "a"))
    inner = bytearray(pending.request.inner)
    inner[-1] ^= 1
    changed = replace(pending.request, inner=bytes(inner))
    return armour(TextForm.REQUEST, changed.encode()), NOW_MS


def registered_key(authority: AuthorityHome, folder: Path) -> tuple[str, int]:
    known = enrol(authority, folder / "known", "known").pending
    pending = request(folder / "a", invite(authority, "a"))
    fresh = first_prekey(known.keys, 7, incarnation=5, seq=9, now_ms=NOW_MS, sealer=SEALER)
    return forged(pending, keys=known.keys, prekey=fresh.container), NOW_MS


def copied_image(authority: AuthorityHome, folder: Path) -> tuple[str, int]:
    """Fresh identity keys, but the prekey of another device: one of two copies of an image."""
    known = enrol(authority, folder / "known", "known").pending
    pending = request(folder / "a", invite(authority, "a"))
    old = decode_prekey_untrusted(bundles.decode_untrusted(known.prekey.container).body)
    return forged(pending, prekey=_prekey_bundle(pending, encode_prekey(old))), NOW_MS


def _prekey_bundle(pending: Pending, body: bytes) -> bytes:
    header = bundles.decode_untrusted(pending.prekey.container).header
    return bundles.build(header, body, pending.keys.badge.sign).raw


@pytest.mark.parametrize(
    ("trick", "reason"),
    [
        (used_twice, "used"),
        (an_hour_late, "expired"),
        (sixth_try, "tries"),
        (altered, "altered"),
        (registered_key, "known_key"),
        (copied_image, "known_key"),
    ],
    ids=lambda each: each if isinstance(each, str) else each.__name__,
)
@pytest.mark.parametrize("place", ["region", "unit"])
def test_s09_each_bad_request_has_its_own_reason_and_gets_no_certificate(
    valley: Path, place: str, trick: Trick, reason: str
) -> None:
    with opened(valley / place) as authority:
        text, now_ms = trick(authority, valley)
        before = authority.state
        with pytest.raises(EnrolmentError) as caught:
            authority.issue(text, now_ms)
        assert caught.value.reason == reason
        assert authority.state.enrolees == before.enrolees
        assert authority.state.documents == before.documents
        last = authority.state.journal[-1]
        assert (last.action, last.subject) == ("refused", reason)
        assert len(authority.state.journal) == len(before.journal) + 1
    with opened(valley / place) as authority:
        with pytest.raises(EnrolmentError):
            authority.issue(text, now_ms)
        assert authority.state.enrolees == before.enrolees
        # Honest devices are still served.
        enrol(authority, valley / "honest", "honest", now_ms=NOW_MS)


@pytest.mark.parametrize("half", ["ml-kem", "x25519"])
def test_s09_weak_keys_get_no_certificate(valley: Path, half: str) -> None:
    with opened(valley / "region") as region:
        pending = request(valley / "a", invite(region, "a"))
        body = bundles.decode_untrusted(pending.prekey.container).body
        record = decode_prekey_untrusted(body)
        public = record.public
        weak = bytes(1184) + public[1184:] if half == "ml-kem" else public[:1184] + bytes(32)
        zeroed = replace(record, public=weak, prekey_id=hashlib.sha256(weak).digest()[:8])
        before = region.state
    text = forged(pending, prekey=_prekey_bundle(pending, encode_prekey(zeroed)))
    for start in range(1, 3):
        with opened(valley / "region") as region:
            with pytest.raises(WeakKeyError):
                region.issue(text, NOW_MS)
            assert region.state.enrolees == before.enrolees
            noted = [each.action for each in region.state.journal]
            assert noted.count("refused") == start
    with opened(valley / "region") as region:
        region.issue(pending.text, NOW_MS)


def test_s09_a_key_of_small_order_is_no_members(valley: Path) -> None:
    """Nobody can prove to hold such a key by PKCS#10 here; the issuer refuses it all the same."""
    with opened(valley / "region") as region:
        regional = region._issuer()
    rights = Rights(Role.AGENT, 7, (squad_id_of(7, "Queyras"),), DeviceClass.PHONE)
    with pytest.raises(WeakKeyError):
        issue_badge(regional, SMALL_ORDER, rights, NOW_MS)
    with pytest.raises(WeakKeyError):
        issue_link(regional, SMALL_ORDER, NOW_MS)


def test_s09_one_key_for_two_purposes_or_two_invitations_is_refused(valley: Path) -> None:
    with opened(valley / "region") as region:
        first = request(valley / "a", invite(region, "a"))
        second = request(valley / "b", invite(region, "b"))
        keys = make_keys()
        both = replace(keys, link=keys.badge)
        prekey: FirstPrekey = first_prekey(both, 7, 5, 1, NOW_MS, SEALER)
        with pytest.raises(EnrolmentError) as caught:
            region.issue(forged(first, keys=both, prekey=prekey.container), NOW_MS)
        assert caught.value.reason == "known_key"
        region.issue(first.text, NOW_MS)
    for _restart in range(2):
        with opened(valley / "region") as region:
            with pytest.raises(EnrolmentError) as caught:
                region.issue(forged(second, keys=first.keys, prekey=first.prekey.container), NOW_MS)
            assert caught.value.reason == "known_key"


# --- S23: revocation lists -----------------------------------------------------------------------


def test_s23_a_card_signs_rising_versions_and_no_other_key_signs_for_it(valley: Path) -> None:
    card = open_card(valley / "region" / "cards" / "operator-1.card", PASSPHRASE)
    with opened(valley / "region") as region:
        known = region.known
    root = known.root
    lists = []
    for number in range(5):
        entry = Revocation(bytes([number]) * 16, NOW_MS, 0, 0)
        card, document = revocation_list(card, known, [entry], NOW_MS)
        lists.append(document)
    assert [each.version for each in lists] == [1, 2, 3, 4, 5]
    fifth, body = lists[4], RevocationBody(())
    with pytest.raises(StaleDocumentError):
        decide(fifth, lists[3], root)
    signers = card.key(DocumentClass.REVOCATION).signers
    other = build(DocumentClass.REVOCATION, fifth.scope, (1, 5), NOW_MS, body.encode(), signers)
    with pytest.raises(EquivocationError):
        decide(fifth, other, root)
    wipe = open_card(valley / "region" / "cards" / "wipe-1.card", PASSPHRASE)
    device = make_keys().badge
    for wrong in (
        wipe.key(DocumentClass.WIPE).signers,
        card.key(DocumentClass.BEACON).signers,
        (document_signer(device),),
        signers[:1],
        signers[1:],
    ):
        later = build(DocumentClass.REVOCATION, fifth.scope, (1, 6), NOW_MS, body.encode(), wrong)
        with pytest.raises(DocumentError):
            decide(fifth, later, root)
    with pytest.raises(AuthorityError):
        revocation_list(wipe, known, [Revocation(bytes(16), NOW_MS, 0, 0)], NOW_MS)


# --- S26: wipe orders ----------------------------------------------------------------------------


def test_s26_one_card_never_makes_an_order_that_is_obeyed(valley: Path) -> None:
    cards = valley / "region" / "cards"
    first, second = (open_card(cards / f"wipe-{number}.card", PASSPHRASE) for number in (1, 2))
    with opened(valley / "region") as region:
        known = region.known
        node = region.state.present[0].node
    draft = wipe_order(first, known, [node], WipeLevel.ALL, NOW_MS, CountedEntropy())
    with pytest.raises(ThresholdError):
        decide(None, draft.document, known.root)
    with pytest.raises(AuthorityError):
        cosigned(first, draft, known)
    # Twice the same signer, written by hand.
    signers = first.key(DocumentClass.WIPE).signers
    doubled = build(
        DocumentClass.WIPE,
        draft.document.scope,
        (1, 1),
        NOW_MS,
        draft.document.body,
        [*signers, *signers],
    )
    with pytest.raises(ThresholdError):
        decide(None, doubled, known.root)
    with opened(valley / "region") as region:
        for order in (draft.document, doubled):
            assert region.take([order.raw], NOW_MS)[0] == 0
        done = cosigned(second, draft, known)
        assert decide(None, decode_untrusted(done.document.raw), known.root)
        assert region.take([done.document.raw], NOW_MS)[0] == 1
    with opened(valley / "region") as region:
        for order in (draft.document, doubled, done.document):
            assert region.take([order.raw], NOW_MS)[0] == 0, "nor after a restart"
