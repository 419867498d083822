"""Badges and link certificates: what is accepted, and each abuse that is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from protocol.canonical import encode
from protocol.errors import (
    AuthenticationError,
    ExpiredError,
    LimitExceededError,
    MalformedError,
    NotEnrolledError,
    RightsError,
    WeakKeyError,
)
from protocol.identity import (
    AUTHORITY_RIGHTS_OID,
    BADGE_USES,
    LINK_USES,
    REGIONAL_RANK,
    RIGHTS_OID,
    UNIT_RANK,
    AuthorityRights,
    DeviceClass,
    Rights,
    Role,
    binding_message,
    check_anchor_untrusted,
    check_dates,
    decode_role,
    link_dates_untrusted,
    read_badge_untrusted,
    verify_badge_untrusted,
    verify_binding,
    verify_link_chain_untrusted,
)
from protocol.ids import node_id_of
from protocol.issuing import issue_badge, issue_link, make_regional, make_root
from protocol.limits import (
    BADGE_LIFE_MS,
    CERTIFICATE_BYTES_MAX,
    CERTIFICATE_EARLY_MS,
    CERTIFICATES_PER_CHAIN_MAX,
    REGIONAL_LIFE_MS,
    SQUADS_PER_BADGE_MAX,
)
from tests.protocol.issuers import NOW_MS, Issuer

SQUADS = (b"squad-01", b"squad-02")
ROOT = make_root(NOW_MS)
REGIONAL = make_regional(ROOT, 7, NOW_MS)
OTHER_ROOT = make_root(NOW_MS)
ANCHORS = [OTHER_ROOT.certificate, ROOT.certificate]
BADGE_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(b"b" * 32)
PUBLIC = BADGE_KEY.public_key().public_bytes_raw()
AGENT = Rights(Role.AGENT, 7, SQUADS, DeviceClass.PHONE)
BADGE = issue_badge(REGIONAL, PUBLIC, AGENT, NOW_MS)
LINK = issue_link(REGIONAL, PUBLIC, NOW_MS)


def badge_extensions(
    rights: bytes,
    name: str = f"urn:mesh:{node_id_of(PUBLIC).hex()}",
    uses: Sequence[x509.ObjectIdentifier] = BADGE_USES,
) -> list[tuple[x509.ExtensionType, bool]]:
    return [
        (x509.SubjectAlternativeName([x509.UniformResourceIdentifier(name)]), True),
        (x509.ExtendedKeyUsage(uses), False),
        (x509.UnrecognizedExtension(RIGHTS_OID, rights), False),
    ]


ZONE = Issuer(REGIONAL.key, REGIONAL.badge_issuer)
UNIT = ZONE.below(AuthorityRights(UNIT_RANK, 7, SQUADS).encode())


def by(issuer: Issuer, rights: bytes | Rights = AGENT, **options: object) -> tuple[bytes, ...]:
    """Return a badge chain signed by `issuer`."""
    raw = rights.encode() if isinstance(rights, Rights) else rights
    extensions = badge_extensions(raw, **options)  # type: ignore[arg-type]
    return (issuer.issue(BADGE_KEY.public_key(), extensions), *issuer.chain)


def refused(chain: Sequence[bytes], error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        verify_badge_untrusted(chain, ANCHORS, NOW_MS)
    assert type(caught.value) is error


# --- accepted ----------------------------------------------------------------------------------


def test_a_badge_tells_who_and_what() -> None:
    badge = verify_badge_untrusted(BADGE, ANCHORS, NOW_MS)
    assert badge.node == node_id_of(PUBLIC)
    assert badge.public_key == PUBLIC
    assert (badge.role, badge.zone, badge.squads) == (Role.AGENT, 7, SQUADS)
    assert badge.device_class is DeviceClass.PHONE
    assert badge.not_before_ms == NOW_MS - CERTIFICATE_EARLY_MS
    assert badge.not_after_ms == NOW_MS + BADGE_LIFE_MS
    assert badge.chain == BADGE


def test_every_role_and_device_class_is_issued_and_read() -> None:
    for role, device_class in product(Role, DeviceClass):
        rights = Rights(role, 7, (), device_class)
        chain = issue_badge(REGIONAL, PUBLIC, rights, NOW_MS)
        badge = verify_badge_untrusted(chain, ANCHORS, NOW_MS)
        assert (badge.role, badge.device_class) == (role, device_class)


def test_a_badge_stays_small() -> None:
    assert len(BADGE[0]) <= 480
    assert sum(map(len, BADGE)) <= 1_100


def test_a_unit_authority_certifies_agents_of_its_squads() -> None:
    assert verify_badge_untrusted(by(UNIT), ANCHORS, NOW_MS).role is Role.AGENT
    one = replace(AGENT, squads=SQUADS[:1])
    assert verify_badge_untrusted(by(UNIT, one), ANCHORS, NOW_MS).squads == SQUADS[:1]


def test_as_many_squads_as_the_limit() -> None:
    squads = tuple(bytes([number]) * 8 for number in range(SQUADS_PER_BADGE_MAX + 1))
    fits = replace(AGENT, squads=squads[:-1])
    assert verify_badge_untrusted(by(ZONE, fits), ANCHORS, NOW_MS).squads == squads[:-1]
    refused(by(ZONE, replace(AGENT, squads=squads)), LimitExceededError)


def test_a_link_certificate_gives_its_key_and_nothing_else() -> None:
    assert verify_link_chain_untrusted(LINK, ANCHORS, NOW_MS) == PUBLIC
    for der in LINK:
        certificate = x509.load_der_x509_certificate(der)
        oids = {extension.oid for extension in certificate.extensions}
        assert RIGHTS_OID not in oids
        assert AUTHORITY_RIGHTS_OID not in oids
        assert node_id_of(PUBLIC).hex() not in str(certificate.subject)


# --- dates -------------------------------------------------------------------------------------


def test_dates_are_those_of_the_whole_chain_to_the_millisecond() -> None:
    first, last = NOW_MS - CERTIFICATE_EARLY_MS, NOW_MS + BADGE_LIFE_MS
    for now_ms in (first, last):
        verify_badge_untrusted(BADGE, ANCHORS, now_ms)
        verify_link_chain_untrusted(LINK, ANCHORS, now_ms)
        check_dates(*link_dates_untrusted(LINK[0]), now_ms)
    for now_ms in (0, first - 1, last + 1, 2**63):
        with pytest.raises(ExpiredError):
            verify_badge_untrusted(BADGE, ANCHORS, now_ms)
        assert read_badge_untrusted(BADGE, ANCHORS).not_after_ms == last
        with pytest.raises(ExpiredError):
            verify_link_chain_untrusted(LINK, ANCHORS, now_ms)
        with pytest.raises(ExpiredError):
            check_dates(*link_dates_untrusted(LINK[0]), now_ms)


def test_an_expired_issuer_ends_its_badges() -> None:
    late_ms = NOW_MS + REGIONAL_LIFE_MS - 1000
    chain = issue_badge(REGIONAL, PUBLIC, AGENT, late_ms)
    assert verify_badge_untrusted(chain, ANCHORS, late_ms).not_after_ms == late_ms + 1000
    with pytest.raises(ExpiredError):
        verify_badge_untrusted(chain, ANCHORS, late_ms + 1001)


def test_a_forged_badge_is_never_called_expired() -> None:
    forged = issue_badge(make_regional(make_root(0), 7, 0), PUBLIC, AGENT, 0)
    refused(forged, NotEnrolledError)


def test_dates_that_never_overlap_are_refused() -> None:
    late = issue_badge(REGIONAL, PUBLIC, AGENT, NOW_MS + 2 * REGIONAL_LIFE_MS)
    refused(late, NotEnrolledError)


# --- abuses ------------------------------------------------------------------------------------


def test_another_root_is_refused() -> None:
    stranger = make_regional(make_root(NOW_MS), 7, NOW_MS)
    refused(issue_badge(stranger, PUBLIC, AGENT, NOW_MS), NotEnrolledError)
    with pytest.raises(NotEnrolledError):
        verify_badge_untrusted(BADGE, [], NOW_MS)
    with pytest.raises(NotEnrolledError):
        verify_link_chain_untrusted(LINK, [OTHER_ROOT.certificate], NOW_MS)


def test_a_badge_without_its_issuer_is_refused() -> None:
    refused(BADGE[:1], NotEnrolledError)
    refused((BADGE[0], LINK[1]), NotEnrolledError)


def test_a_badge_cannot_issue() -> None:
    refused(by(Issuer(BADGE_KEY, BADGE[0], BADGE[1:])), NotEnrolledError)


def test_an_ed25519_authority_is_refused() -> None:
    rights = AuthorityRights(UNIT_RANK, 7, SQUADS).encode()
    refused(by(ZONE.below(rights, key=BADGE_KEY)), NotEnrolledError)


def test_the_root_issues_no_badges() -> None:
    refused(by(Issuer(ROOT.key, ROOT.certificate)), RightsError)


@pytest.mark.parametrize(
    "rights",
    [
        replace(AGENT, role=Role.LEADER),
        replace(AGENT, role=Role.GATEWAY),
        replace(AGENT, role=Role.OPERATOR),
        replace(AGENT, zone=8),
        replace(AGENT, squads=(b"squad-03",)),
        replace(AGENT, squads=(*SQUADS, b"squad-03")),
    ],
    ids=lambda rights: f"{rights.role.name} {rights.zone} {len(rights.squads)}",
)
def test_a_unit_authority_gives_no_more_than_it_has(rights: Rights) -> None:
    refused(by(UNIT, rights), RightsError)


def test_a_regional_authority_gives_its_own_zone_only() -> None:
    refused(by(ZONE, replace(AGENT, zone=8)), RightsError)


def test_authorities_narrow_too() -> None:
    for rank, zone, squads in (
        (REGIONAL_RANK, 7, ()),
        (UNIT_RANK, 8, SQUADS),
    ):
        lower = ZONE.below(AuthorityRights(rank, zone, squads).encode())
        refused(by(lower, replace(AGENT, zone=zone)), RightsError)


def test_a_unit_authority_makes_no_authority() -> None:
    lower = UNIT.below(AuthorityRights(UNIT_RANK, 7, SQUADS).encode())
    refused(by(lower), NotEnrolledError)
    wide = ZONE.below(AuthorityRights(UNIT_RANK, 7, SQUADS).encode(), path_length=3)
    lower = wide.below(AuthorityRights(UNIT_RANK, 7, SQUADS).encode())
    assert len(lower.chain) == 3
    refused(by(lower), NotEnrolledError)  # the regional certificate allows one more level


def test_each_use_stays_in_its_own_chain() -> None:
    refused(by(ZONE, uses=[*BADGE_USES, *LINK_USES]), RightsError)
    refused(by(ZONE, uses=LINK_USES), RightsError)
    refused(
        by(ZONE.below(AuthorityRights(UNIT_RANK, 7, SQUADS).encode(), uses=LINK_USES)), RightsError
    )
    refused(LINK, RightsError)
    with pytest.raises(RightsError):
        verify_link_chain_untrusted(BADGE, ANCHORS, NOW_MS)
    without_uses = [item for item in badge_extensions(AGENT.encode()) if item[1] is True]
    refused((ZONE.issue(BADGE_KEY.public_key(), without_uses), *ZONE.chain), NotEnrolledError)


def test_a_badge_without_rights_is_refused() -> None:
    extensions = badge_extensions(AGENT.encode())[:2]
    refused((ZONE.issue(BADGE_KEY.public_key(), extensions), *ZONE.chain), MalformedError)


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"\xc1",
        encode([1, 1, 7, []]),
        encode([2, 1, 7, [], 1]),
        encode([0, 1, 7, [], 1]),
        encode([1, 0, 7, [], 1]),
        encode([1, 6, 7, [], 1]),
        encode([1, 1, 0, [], 1]),
        encode([1, 1, 7, [], 0]),
        encode([1, 1, 7, [], 6]),
        encode([1, 1, 7, [b"short"], 1]),
        encode([1, 1, 7, [SQUADS[1], SQUADS[0]], 1]),
        encode([1, 1, 7, [SQUADS[0], SQUADS[0]], 1]),
    ],
    ids=bytes.hex,
)
def test_odd_rights_of_a_badge_are_refused(record: bytes) -> None:
    with pytest.raises((MalformedError, LimitExceededError)):
        verify_badge_untrusted(by(ZONE, record), ANCHORS, NOW_MS)


@pytest.mark.parametrize(
    "record",
    [
        b"",
        encode([1, 2, 7]),
        encode([2, 2, 7, SQUADS]),
        encode([1, 2, 7, []]),
        encode([1, 5, 7, SQUADS]),
        encode([1, 6, 7, SQUADS]),
        encode([1, 1, 7, SQUADS]),
        encode([1, 2, 65_536, SQUADS]),
    ],
    ids=bytes.hex,
)
def test_odd_rights_of_an_authority_are_refused(record: bytes) -> None:
    with pytest.raises((MalformedError, LimitExceededError)):
        verify_badge_untrusted(by(ZONE.below(record)), ANCHORS, NOW_MS)


def test_a_badge_is_named_by_its_key_alone() -> None:
    refused(by(ZONE, name="urn:mesh:" + "0" * 32), MalformedError)
    extensions = badge_extensions(AGENT.encode())
    named = ZONE.issue(BADGE_KEY.public_key(), extensions, subject="alice")
    with pytest.raises((MalformedError, NotEnrolledError)):
        verify_badge_untrusted((named, *ZONE.chain), ANCHORS, NOW_MS)
    extensions[0] = (extensions[0][0], False)
    named = ZONE.issue(BADGE_KEY.public_key(), extensions, subject="alice")
    refused((named, *ZONE.chain), MalformedError)


def test_a_badge_has_an_ed25519_key() -> None:
    extensions = badge_extensions(AGENT.encode())
    key = ec.generate_private_key(ec.SECP256R1())
    refused((ZONE.issue(key.public_key(), extensions), *ZONE.chain), MalformedError)


def test_weak_keys_are_refused() -> None:
    for raw in weak_keys():
        key = ed25519.Ed25519PublicKey.from_public_bytes(raw)
        extensions = badge_extensions(AGENT.encode(), f"urn:mesh:{node_id_of(raw).hex()}")
        refused((ZONE.issue(key, extensions), *ZONE.chain), WeakKeyError)
        with pytest.raises(WeakKeyError):
            verify_binding(raw, LINK[0], bytes(64))


def weak_keys() -> list[bytes]:
    """Return every encoding of the eight points whose order divides 8, by slow arithmetic."""
    prime = 2**255 - 19
    d = -121665 * pow(121666, -1, prime) % prime
    order_8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022
    heights = [0, 1, prime - 1, prime, prime + 1, order_8, prime - order_8]
    for height in heights:
        y2 = height * height % prime
        x2 = (y2 - 1) * pow(d * y2 + 1, -1, prime) % prime
        # Doubling: y' = (y² + x²) / (1 - d x² y²). Three times must give the neutral point.
        x_squared, y = x2, height % prime
        for _ in range(3):
            product_ = d * x_squared * y * y % prime
            y_next = (y * y + x_squared) * pow(1 - product_, -1, prime) % prime
            x_squared = (y_next * y_next - 1) * pow(d * y_next * y_next + 1, -1, prime) % prime
            y = y_next
        assert y == 1
    return [(height | sign << 255).to_bytes(32, "little") for height in heights for sign in (0, 1)]


# --- binding -----------------------------------------------------------------------------------


def test_a_binding_holds_for_one_link_certificate() -> None:
    signature = BADGE_KEY.sign(binding_message(LINK[0]))
    verify_binding(PUBLIC, LINK[0], signature)
    other = issue_link(REGIONAL, PUBLIC, NOW_MS)[0]
    for key, certificate, mark in (
        (PUBLIC, other, signature),
        (PUBLIC, LINK[0], signature[:-1] + bytes([signature[-1] ^ 1])),
        (PUBLIC, LINK[0], b""),
    ):
        with pytest.raises(AuthenticationError):
            verify_binding(key, certificate, mark)
    with pytest.raises(MalformedError):
        verify_binding(PUBLIC[:-1], LINK[0], signature)


# --- any bytes ---------------------------------------------------------------------------------


def test_chain_length_at_the_limit_and_above() -> None:
    spare = (BADGE[1],) * (CERTIFICATES_PER_CHAIN_MAX - 2)
    assert verify_badge_untrusted((*BADGE, *spare), ANCHORS, NOW_MS).node == node_id_of(PUBLIC)
    refused((*BADGE, *spare, BADGE[1]), LimitExceededError)
    refused((), MalformedError)


def test_certificate_length_at_the_limit_and_above() -> None:
    refused((bytes(CERTIFICATE_BYTES_MAX),), MalformedError)
    refused((bytes(CERTIFICATE_BYTES_MAX + 1),), LimitExceededError)
    with pytest.raises(LimitExceededError):
        check_anchor_untrusted(bytes(CERTIFICATE_BYTES_MAX + 1))
    with pytest.raises(LimitExceededError):
        link_dates_untrusted(bytes(CERTIFICATE_BYTES_MAX + 1))


def test_anchors_are_elliptic_curve_authorities() -> None:
    check_anchor_untrusted(ROOT.certificate)
    for other in (BADGE[0], b"", by(ZONE)[0]):
        with pytest.raises(MalformedError):
            check_anchor_untrusted(other)
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = ZONE.issue(key.public_key(), [(x509.BasicConstraints(False, None), True)])
    with pytest.raises(MalformedError):
        check_anchor_untrusted(leaf)


@given(st.lists(st.binary(max_size=200), max_size=6))
def test_any_bytes_are_refused_by_name(chain: list[bytes]) -> None:
    for check in (verify_badge_untrusted, verify_link_chain_untrusted):
        with pytest.raises((MalformedError, LimitExceededError)):
            check(chain, ANCHORS, NOW_MS)
    for der in chain:
        with pytest.raises(MalformedError):
            check_anchor_untrusted(der)
        with pytest.raises(MalformedError):
            link_dates_untrusted(der)


def flipped(raw: bytes, bit: int) -> bytes:
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def check_changed(position: int, bit: int) -> None:
    """A changed bit is refused, or is one of the signature's wrapping that says nothing."""
    chain = list(BADGE)
    chain[position] = flipped(BADGE[position], bit)
    try:
        badge = verify_badge_untrusted(chain, ANCHORS, NOW_MS)
    except (MalformedError, NotEnrolledError):
        return
    certificate = x509.load_der_x509_certificate(BADGE[position])
    assert bit // 8 == len(BADGE[position]) - len(certificate.signature) - 1
    assert replace(badge, chain=BADGE) == verify_badge_untrusted(BADGE, ANCHORS, NOW_MS)


@given(st.integers(0, 1), st.integers(min_value=0))
def test_a_changed_bit_is_refused(position: int, bit: int) -> None:
    check_changed(position, bit % (len(BADGE[position]) * 8))


@pytest.mark.slow
def test_every_changed_bit_is_refused() -> None:
    for position, raw in enumerate(BADGE):
        for bit in range(len(raw) * 8):
            check_changed(position, bit)


def test_roles_have_numbers() -> None:
    assert [decode_role(role.value) for role in Role] == list(Role)
    with pytest.raises(MalformedError):
        decode_role(0)
