"""Each kind of certificate is told from the others, and any bytes give facts or a named error."""

from __future__ import annotations

from contextlib import suppress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from protocol import issuing
from protocol.certificates import (
    CertificateKind,
    issuer_key_untrusted,
    read_certificate_untrusted,
)
from protocol.errors import LimitExceededError, MalformedError
from protocol.identity import BADGE_USES, REGIONAL_RANK, DeviceClass, Rights, Role
from protocol.ids import node_id_of, squad_id_of
from protocol.limits import BADGE_LIFE_MS, CERTIFICATE_BYTES_MAX, CERTIFICATE_EARLY_MS
from tests.protocol.issuers import Issuer

NOW_MS = 1_800_000_000_000
ROOT = issuing.make_root(NOW_MS)
REGIONAL = issuing.make_regional(ROOT, 7, NOW_MS)
KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key()
PUBLIC = KEY.public_bytes_raw()
RIGHTS = Rights(Role.LEADER, 7, (squad_id_of(7, "Queyras"),), DeviceClass.TABLET)
BADGE = issuing.issue_badge(REGIONAL, PUBLIC, RIGHTS, NOW_MS)[0]
LINK = issuing.issue_link(REGIONAL, PUBLIC, NOW_MS)[0]


def test_a_badge_says_who_and_what() -> None:
    facts = read_certificate_untrusted(BADGE)
    assert facts.kind is CertificateKind.BADGE
    assert facts.node == node_id_of(PUBLIC)
    assert facts.rights == RIGHTS
    assert facts.authority_rights is None
    assert facts.not_before_ms == NOW_MS - CERTIFICATE_EARLY_MS
    assert facts.not_after_ms == NOW_MS + BADGE_LIFE_MS


def test_an_issuer_of_badges_says_what_it_may_give() -> None:
    facts = read_certificate_untrusted(REGIONAL.badge_issuer)
    assert facts.kind is CertificateKind.BADGE_ISSUER
    assert facts.authority_rights is not None
    assert (facts.authority_rights.rank, facts.authority_rights.zone) == (REGIONAL_RANK, 7)
    assert (facts.node, facts.rights) == (None, None)


@pytest.mark.parametrize(
    ("der", "kind"),
    [
        (ROOT.certificate, CertificateKind.ROOT),
        (REGIONAL.link_issuer, CertificateKind.LINK_ISSUER),
        (LINK, CertificateKind.LINK),
    ],
)
def test_the_others_say_no_name(der: bytes, kind: CertificateKind) -> None:
    facts = read_certificate_untrusted(der)
    assert facts.kind is kind
    assert (facts.node, facts.rights, facts.authority_rights) == (None, None, None)


def test_a_certificate_of_the_world_outside_is_of_another_kind() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = Issuer(ROOT.key, ROOT.certificate)
    plain = issuer.issue(key.public_key(), [], subject="example")
    without_rights = issuer.issue(KEY, [(x509.ExtendedKeyUsage(BADGE_USES), False)])
    for der in (plain, without_rights):
        assert read_certificate_untrusted(der).kind is CertificateKind.OTHER


@given(st.integers(0, len(BADGE) - 1), st.integers(1, 255))
def test_any_changed_byte_gives_facts_or_a_named_error(place: int, change: int) -> None:
    changed = bytearray(BADGE)
    changed[place] ^= change
    with suppress(MalformedError, LimitExceededError):
        read_certificate_untrusted(bytes(changed))


def test_the_size_is_bounded() -> None:
    with pytest.raises(LimitExceededError):
        read_certificate_untrusted(bytes(CERTIFICATE_BYTES_MAX + 1))
    with pytest.raises(MalformedError):
        read_certificate_untrusted(bytes(CERTIFICATE_BYTES_MAX))


def test_an_issuer_whose_key_is_no_point_is_malformed() -> None:
    # Its bytes come from a peer's HELLO: no other error may leave the parser.
    good = REGIONAL.badge_issuer
    at = good.index(bytes.fromhex("03420004")) + 4
    for bad in (
        good[:at] + bytes(64) + good[at + 64 :],
        good[:at] + b"\xff" * 64 + good[at + 64 :],
    ):
        with pytest.raises(MalformedError):
            issuer_key_untrusted(bad)
