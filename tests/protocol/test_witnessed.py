"""Proofs of erasure and passes: what a certificate chain proves, and every way to lie about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from protocol.authority import (
    DocumentClass,
    RootBody,
    SignedDocument,
    SignerRule,
    build,
    decide,
    document_signer,
    unit_signer,
)
from protocol.canonical import encode
from protocol.errors import (
    AuthenticationError,
    DocumentError,
    ExpiredError,
    IdentityError,
    LimitExceededError,
    MalformedError,
    NotEnrolledError,
    RightsError,
    ThresholdError,
)
from protocol.guards import PASS_MS_MAX
from protocol.identity import DeviceClass, Rights, Role, binding_message
from protocol.ids import node_id_of, squad_id_of
from protocol.issuing import (
    issue_badge,
    issue_link,
    make_regional,
    make_root,
    make_unit,
    public_key_der,
)
from protocol.limits import BADGE_LIFE_MS
from protocol.orders import WipeLevel
from protocol.witnessed import (
    ErasureBody,
    PassBody,
    decode_erasure_untrusted,
    decode_pass_untrusted,
    verify_pass,
)

NOW_MS = 1_800_000_000_000
ZONE, SQUAD = 7, squad_id_of(7, "Queyras")
AUTHORITY = make_root(NOW_MS)
REGIONAL = make_regional(AUTHORITY, ZONE, NOW_MS)
UNIT = make_unit(REGIONAL, ZONE, [SQUAD], NOW_MS)
BADGE_KEY, LINK_KEY, THIEF = (
    ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2, 3)
)
ROOT = RootBody(
    "Alpes",
    1,
    (public_key_der(AUTHORITY.key.public_key()),),
    (AUTHORITY.certificate,),
    (SignerRule(DocumentClass.ROOT, 1, ()),),
)


def raw(key: ed25519.Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


NODE = node_id_of(raw(BADGE_KEY))
RIGHTS = Rights(Role.AGENT, ZONE, (SQUAD,), DeviceClass.PHONE)
BADGE = issue_badge(REGIONAL, raw(BADGE_KEY), RIGHTS, NOW_MS)
LINK = issue_link(REGIONAL, raw(LINK_KEY), NOW_MS)
PROOF = ErasureBody(
    b"order-01", NODE, WipeLevel.ALL, BADGE, LINK, BADGE_KEY.sign(binding_message(LINK[0]))
)
PASS = PassBody("bruno", NOW_MS + PASS_MS_MAX, issue_badge(UNIT, raw(BADGE_KEY), RIGHTS, NOW_MS))


def proof(
    body: ErasureBody = PROOF,
    key: ed25519.Ed25519PrivateKey = LINK_KEY,
    issued_ms: int = NOW_MS,
    scope: bytes | None = None,
) -> SignedDocument:
    return build(
        DocumentClass.ERASURE,
        body.scope if scope is None else scope,
        (1, 1),
        issued_ms,
        body.encode(),
        [document_signer(key)],
    )


def guest(
    body: PassBody = PASS, scope: bytes = NODE, issued_ms: int = NOW_MS, unit: object = UNIT
) -> SignedDocument:
    signer = unit_signer(unit.key)  # type: ignore[attr-defined]
    return build(DocumentClass.PASS, scope, (1, 1), issued_ms, body.encode(), [signer])


# --- erasure -----------------------------------------------------------------------------------


def test_a_device_proves_that_it_erased_itself() -> None:
    assert decode_erasure_untrusted(PROOF.encode()) == PROOF
    assert decide(None, proof(), ROOT)
    assert not decide(proof(), proof(), ROOT)


OTHER_LINK = issue_link(REGIONAL, raw(THIEF), NOW_MS)


@pytest.mark.parametrize(
    ("document", "error"),
    [
        (lambda: proof(key=THIEF), AuthenticationError),
        (lambda: proof(key=BADGE_KEY), AuthenticationError),
        (lambda: proof(replace(PROOF, node=bytes(16))), DocumentError),
        (lambda: proof(scope=bytes(24)), DocumentError),
        (lambda: proof(replace(PROOF, binding=bytes(64))), AuthenticationError),
        # Another device's link key, which this badge never vouched for.
        (lambda: proof(replace(PROOF, link_chain=OTHER_LINK), THIEF), AuthenticationError),
        (lambda: proof(replace(PROOF, badge_chain=LINK)), IdentityError),
        (lambda: proof(replace(PROOF, link_chain=BADGE), BADGE_KEY), IdentityError),
        (lambda: proof(issued_ms=NOW_MS + BADGE_LIFE_MS + 2_000), ExpiredError),
    ],
)
def test_lies_about_an_erasure_are_refused(
    document: Callable[[], SignedDocument], error: type[Exception]
) -> None:
    with pytest.raises(error):
        decide(None, document(), ROOT)


def test_a_proof_under_another_root_is_refused() -> None:
    other = make_root(NOW_MS)
    with pytest.raises(NotEnrolledError):
        decide(None, proof(), replace(ROOT, anchors=(other.certificate,)))


def test_a_second_signature_adds_nothing_to_a_chain() -> None:
    signers = [document_signer(LINK_KEY), document_signer(THIEF)]
    document = build(DocumentClass.ERASURE, PROOF.scope, (1, 1), NOW_MS, PROOF.encode(), signers)
    with pytest.raises(ThresholdError):
        decide(None, document, ROOT)


# --- passes ------------------------------------------------------------------------------------


def test_a_pass_makes_a_member_of_the_leaders_squad() -> None:
    assert decode_pass_untrusted(PASS.encode()) == PASS
    document = guest()
    assert decide(None, document, ROOT)
    message = b"meshnode document 1\0" + document.signed
    signature = document.signatures[0][1]
    member, zone, squads = verify_pass(PASS, message, signature, ROOT.anchors, NOW_MS)
    assert (member.node, member.name, member.role) == (NODE, "bruno", Role.AGENT)
    assert (zone, squads) == (ZONE, (SQUAD,))


def forged(rights: Rights, issuer: object = UNIT) -> PassBody:
    return replace(PASS, badge_chain=issue_badge(issuer, raw(BADGE_KEY), rights, NOW_MS))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("document", "error"),
    [
        (lambda: guest(scope=bytes(16)), DocumentError),
        (lambda: guest(replace(PASS, ends_ms=NOW_MS)), DocumentError),
        (lambda: guest(replace(PASS, ends_ms=NOW_MS + PASS_MS_MAX + 1)), DocumentError),
        (lambda: guest(replace(PASS, badge_chain=PASS.badge_chain[:1])), IdentityError),
        # A regional authority writes rosters; it gives no passes.
        (lambda: guest(replace(PASS, badge_chain=BADGE), unit=REGIONAL), RightsError),
        (lambda: guest(forged(replace(RIGHTS, role=Role.LEADER))), RightsError),
        (lambda: guest(forged(replace(RIGHTS, zone=8))), RightsError),
        (lambda: guest(forged(replace(RIGHTS, squads=(squad_id_of(7, "Ubaye"),)))), RightsError),
        (lambda: guest(unit=make_unit(REGIONAL, ZONE, [SQUAD], NOW_MS)), AuthenticationError),
        (lambda: guest(issued_ms=NOW_MS + 31 * 86_400_000), ExpiredError),
    ],
)
def test_passes_beyond_a_leaders_scope_are_refused(
    document: Callable[[], SignedDocument], error: type[Exception]
) -> None:
    with pytest.raises(error):
        decide(None, document(), ROOT)


def test_a_relay_may_be_a_guest() -> None:
    rights = replace(RIGHTS, role=Role.RELAY)
    assert decide(None, guest(forged(rights)), ROOT)


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [b"bruno", NOW_MS],
        [b"", NOW_MS, [b"der"]],
        [b"bruno", NOW_MS, []],
        [b"bruno", NOW_MS, [b"der"] * 5],
        [b"bruno", NOW_MS, [b""]],
        [b"bruno", NOW_MS, [bytes(4_097)]],
    ],
)
def test_odd_passes_are_malformed(fields: list[object]) -> None:
    with pytest.raises((MalformedError, LimitExceededError)):
        decode_pass_untrusted(encode(fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [(0, b"short"), (1, bytes(15)), (2, 0), (2, 3), (3, []), (4, [b""]), (5, bytes(63))],
)
def test_odd_proofs_are_malformed(change: tuple[int, object]) -> None:
    fields: list[object] = [b"order-01", NODE, 2, list(BADGE), list(LINK), bytes(64)]
    fields[change[0]] = change[1]
    with pytest.raises((MalformedError, LimitExceededError)):
        decode_erasure_untrusted(encode(fields))  # type: ignore[arg-type]
