"""Badges and link certificates, checked: who a device is, what it may do, who may say so.

An ECDSA P-384 root certifies P-256 regional authorities, which certify Ed25519 badges; rights only
narrow on the way down. A badge never serves as a TLS certificate, and a link certificate tells
nothing about its device. Dates are judged by the caller's clock, and last: an expired badge is
one that is right in everything else. Issuing is the business of `protocol.issuing`.
Source: wire-format 10, security 2.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from protocol import canonical
from protocol.bundle import load_public_key
from protocol.canonical import Value, as_array, as_bytes, as_uint, decode_untrusted, encode
from protocol.errors import (
    AuthenticationError,
    ExpiredError,
    LimitExceededError,
    MalformedError,
    NotEnrolledError,
    RightsError,
)
from protocol.ids import NodeId, SquadId, node_id_of
from protocol.limits import (
    CERTIFICATE_BYTES_MAX,
    CERTIFICATES_PER_CHAIN_MAX,
    SQUADS_PER_BADGE_MAX,
)

__all__ = [
    "AUTHORITY_RIGHTS_OID",
    "BADGE_USES",
    "LINK_USES",
    "REGIONAL_RANK",
    "RIGHTS_OID",
    "UNIT_RANK",
    "AuthorityRights",
    "Badge",
    "DeviceClass",
    "Rights",
    "Role",
    "authority_rights_untrusted",
    "binding_message",
    "certificate_errors",
    "check_anchor_untrusted",
    "check_dates",
    "decode_device_class",
    "decode_role",
    "link_dates_untrusted",
    "read_badge_untrusted",
    "rights_untrusted",
    "verify_badge_untrusted",
    "verify_binding",
    "verify_link_chain_untrusted",
]

# A UUID of our own under the arc that needs no registration (ITU-T X.667).
_ARC = "2.25.234624163638807188979094538279132830522"
BADGE_USES = (x509.ObjectIdentifier(f"{_ARC}.1"),)
"""The one extended key usage of badges and their issuers: no TLS library accepts it."""
LINK_USES = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)
"""Extended key usages of link certificates and their issuers."""
RIGHTS_OID = x509.ObjectIdentifier(f"{_ARC}.2")
"""Extension of a badge: its rights."""
AUTHORITY_RIGHTS_OID = x509.ObjectIdentifier(f"{_ARC}.3")
"""Extension of a certificate that issues badges: what it may give."""


class Role(IntEnum):
    """What a device may do; the ceiling of its badge. Source: wire-format 7.5."""

    AGENT = 1
    LEADER = 2
    RELAY = 3
    GATEWAY = 4
    OPERATOR = 5

    @property
    def rank(self) -> int:
        """Height in the order of rights: an issuer certifies only below its own rank."""
        return _RANKS[self]


class DeviceClass(IntEnum):
    """What kind of machine a device is. Source: wire-format 10.4."""

    PHONE = 1
    TABLET = 2
    BOX = 3
    PC = 4
    SERVER = 5


_RANKS = {Role.AGENT: 1, Role.RELAY: 1, Role.LEADER: 2, Role.GATEWAY: 3, Role.OPERATOR: 4}
UNIT_RANK = 2
"""Rank of a unit authority, which a leader holds: certifies agents and relays of its squads."""
REGIONAL_RANK = 5
"""Rank of a regional authority: certifies every role of its zone."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What a badge says about its device. Source: wire-format 10.4."""

    role: Role
    """The most that the device may do."""
    zone: int
    """1-65535."""
    squads: tuple[SquadId, ...]
    """Home squads, at most 8, ascending."""
    device_class: DeviceClass
    """Kind of machine."""

    def encode(self) -> bytes:
        """Return the value of the badge's private extension."""
        return encode([1, self.role.value, self.zone, self.squads, self.device_class.value])


@dataclass(frozen=True, slots=True)
class AuthorityRights:
    """What an issuing certificate may give. Source: wire-format 10.3."""

    rank: int
    """`UNIT_RANK` or `REGIONAL_RANK`; it gives only roles of a lower rank."""
    zone: int
    """1-65535; it gives only this zone."""
    squads: tuple[SquadId, ...]
    """The only squads it may name; empty for a regional authority, which may name any."""

    def encode(self) -> bytes:
        """Return the value of the issuer's private extension."""
        return encode([1, self.rank, self.zone, self.squads])


@dataclass(frozen=True, slots=True)
class Badge:
    """A verified identity: its chain, its rights and its dates were right."""

    node: NodeId
    """16 bytes, derived from the key."""
    public_key: bytes
    """32 raw bytes, Ed25519."""
    role: Role
    """The most that the device may do."""
    zone: int
    """1-65535."""
    squads: tuple[SquadId, ...]
    """Home squads, ascending."""
    device_class: DeviceClass
    """Kind of machine."""
    not_before_ms: int
    """Unix milliseconds from which the whole chain is valid."""
    not_after_ms: int
    """Unix milliseconds until which the whole chain is valid."""
    chain: tuple[bytes, ...]
    """DER certificates as shown: the badge first, then its issuers."""


def verify_badge_untrusted(chain: Sequence[bytes], anchors: Sequence[bytes], now_ms: int) -> Badge:
    """Return the identity that `chain` (DER, badge first) proves under one of `anchors` (DER).

    Raises: MalformedError or LimitExceededError for bytes that are no such chain,
    NotEnrolledError if no trusted authority signed it, RightsError, WeakKeyError, and
    ExpiredError only if everything but the date is right.
    Cost: 2-5 ms with a P-384 root: callers remember the result.
    """
    badge = read_badge_untrusted(chain, anchors)
    check_dates(badge.not_before_ms, badge.not_after_ms, now_ms)
    return badge


def read_badge_untrusted(chain: Sequence[bytes], anchors: Sequence[bytes]) -> Badge:
    """Return the identity that `chain` proves, whatever the date; the caller judges its dates.

    Raises: as `verify_badge_untrusted`, without ExpiredError. Cost: the same.
    """
    path = _verify_path(chain, anchors, BADGE_USES)
    leaf = path.certificates[0]
    with certificate_errors():
        public_key = _device_key(leaf)
        rights = _rights_untrusted(_extension(leaf, RIGHTS_OID))
        issuers = [
            _authority_rights_untrusted(_extension(issuer, AUTHORITY_RIGHTS_OID))
            for issuer in path.certificates[1:-1]
        ]
    node = node_id_of(public_key)
    _check_name(leaf, node)
    _check_narrowing(rights, issuers)
    return Badge(
        node=node,
        public_key=public_key,
        role=rights.role,
        zone=rights.zone,
        squads=rights.squads,
        device_class=rights.device_class,
        not_before_ms=path.not_before_ms,
        not_after_ms=path.not_after_ms,
        chain=tuple(chain),
    )


def rights_untrusted(badge: bytes) -> Rights:
    """Return what a badge (DER) claims; nothing is checked but its form.

    Raises: MalformedError, LimitExceededError.
    """
    with certificate_errors():
        return _rights_untrusted(_extension(_parse_untrusted(badge), RIGHTS_OID))


def authority_rights_untrusted(issuer: bytes) -> AuthorityRights:
    """Return what an issuer of badges (DER) says it may give; nothing is checked but its form.

    Raises: MalformedError, LimitExceededError.
    """
    with certificate_errors():
        return _authority_rights_untrusted(
            _extension(_parse_untrusted(issuer), AUTHORITY_RIGHTS_OID)
        )


def verify_link_chain_untrusted(
    chain: Sequence[bytes], anchors: Sequence[bytes], now_ms: int
) -> bytes:
    """Return the raw public key of a link certificate that one of `anchors` stands behind.

    Raises: as `verify_badge_untrusted`, without RightsError: a link certificate has no rights.
    """
    path = _verify_path(chain, anchors, LINK_USES)
    with certificate_errors():
        public_key = _device_key(path.certificates[0])
    check_dates(path.not_before_ms, path.not_after_ms, now_ms)
    return public_key


def link_dates_untrusted(certificate: bytes) -> tuple[int, int]:
    """Return from when until when a link certificate (DER) is valid, Unix milliseconds.

    OpenSSL is told not to look at dates, because only our clock counts (security 2.3).
    Raises: MalformedError, LimitExceededError.
    """
    path = _path([_parse_untrusted(certificate)])
    return path.not_before_ms, path.not_after_ms


def check_dates(not_before_ms: int, not_after_ms: int, now_ms: int) -> None:
    """Check that a certificate valid between two times is valid now. Raises: ExpiredError."""
    if now_ms < not_before_ms:
        raise ExpiredError("this certificate is not valid yet: check the clock")
    if now_ms > not_after_ms:
        raise ExpiredError("this certificate is no longer valid: enrol the device again")


def check_anchor_untrusted(certificate: bytes) -> None:
    """Check that `certificate` (DER) can be an anchor.

    Raises: MalformedError, LimitExceededError.
    """
    parsed = _parse_untrusted(certificate)
    with certificate_errors():
        verification.Store([parsed])
        key = parsed.public_key()
        constraints = parsed.extensions.get_extension_for_class(x509.BasicConstraints)
    if not isinstance(key, ec.EllipticCurvePublicKey) or not constraints.value.ca:
        raise MalformedError("an anchor is an authority with an elliptic curve key")


def decode_role(value: int) -> Role:
    """Return the role with this number. Raises: MalformedError."""
    try:
        return Role(value)
    except ValueError as error:
        raise MalformedError("unknown role") from error


def decode_device_class(value: int) -> DeviceClass:
    """Return the device class with this number. Raises: MalformedError."""
    try:
        return DeviceClass(value)
    except ValueError as error:
        raise MalformedError("unknown device class") from error


def binding_message(link_certificate: bytes) -> bytes:
    """Return what a badge signs to say `this link certificate is mine`. Source: 6.3."""
    return b"meshnode link 1\0" + hashlib.sha256(link_certificate).digest()


def verify_binding(badge_public_key: bytes, link_certificate: bytes, signature: bytes) -> None:
    """Check that the badge's holder vouches for this link certificate (DER).

    Raises: AuthenticationError; WeakKeyError or MalformedError for an unfit key. Cost: 0.13 ms.
    """
    try:
        load_public_key(badge_public_key).verify(signature, binding_message(link_certificate))
    except InvalidSignature as error:
        raise AuthenticationError("the badge is not bound to this link") from error


@contextmanager
def certificate_errors() -> Iterator[None]:
    """Translate what the library raises while it reads a certificate or a request.

    Parsing is lazy: any field may turn out to be broken when it is first read. Odd but readable
    fields are reported as warnings; a program run with warnings as errors refuses them here.
    """
    try:
        yield
    except (
        ValueError,
        TypeError,
        UserWarning,
        UnsupportedAlgorithm,
        x509.AttributeNotFound,
        x509.DuplicateExtension,
        x509.ExtensionNotFound,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise MalformedError("a certificate or request has a field that does not fit") from error


# --- one chain ---------------------------------------------------------------------------------

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Path:
    """Certificates that belong together; their dates are not judged yet."""

    certificates: tuple[x509.Certificate, ...]
    """Leaf first."""
    not_before_ms: int
    """Latest start of any of them."""
    not_after_ms: int
    """Earliest end of any of them."""


def _path(certificates: Sequence[x509.Certificate]) -> _Path:
    with certificate_errors():
        starts = [_ms(certificate.not_valid_before_utc) for certificate in certificates]
        ends = [_ms(certificate.not_valid_after_utc) for certificate in certificates]
    return _Path(tuple(certificates), max(starts), min(ends))


def _ms(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _parse_untrusted(der: bytes) -> x509.Certificate:
    if len(der) > CERTIFICATE_BYTES_MAX:
        raise LimitExceededError("certificate bytes", CERTIFICATE_BYTES_MAX, len(der))
    with certificate_errors():
        certificate = x509.load_der_x509_certificate(der)
        canonical.check_der_signature(der, certificate.signature)
        return certificate


def _verify_path(
    chain: Sequence[bytes],
    anchors: Sequence[bytes],
    uses: Sequence[x509.ObjectIdentifier],
) -> _Path:
    """Return the path from `chain` to an anchor, judged at a moment inside the chain's own dates.

    So the library's verdict is about signatures and form only, and ours about dates comes last.
    """
    if len(chain) > CERTIFICATES_PER_CHAIN_MAX:
        raise LimitExceededError("certificates in a chain", CERTIFICATES_PER_CHAIN_MAX, len(chain))
    if not chain:
        raise MalformedError("a chain has at least one certificate")
    shown = _path([_parse_untrusted(der) for der in chain])
    roots = [_parse_untrusted(der) for der in anchors]
    if not roots or shown.not_before_ms > shown.not_after_ms:
        raise NotEnrolledError("no trusted authority stands behind this certificate")
    verifier = _verifier(roots, uses, shown.not_before_ms)
    try:
        with certificate_errors():
            verified = verifier.verify(shown.certificates[0], list(shown.certificates[1:]))
    except verification.VerificationError as error:
        raise NotEnrolledError("no trusted authority stands behind this certificate") from error
    path = _path(verified.chain)
    if len(path.certificates) < 3:
        raise RightsError("the root itself issues no certificates of devices")
    with certificate_errors():
        for certificate in path.certificates[:-1]:
            _check_uses(certificate, uses)
    return path


def _verifier(
    roots: list[x509.Certificate], uses: Sequence[x509.ObjectIdentifier], at_ms: int
) -> verification.ClientVerifier:
    """Return a verifier that demands our key usage instead of the one of the public web (F1)."""
    any_use = verification.Criticality.AGNOSTIC
    ee_policy = verification.ExtensionPolicy.webpki_defaults_ee().require_present(
        x509.ExtendedKeyUsage, any_use, None
    )
    ca_policy = verification.ExtensionPolicy.webpki_defaults_ca().may_be_present(
        x509.ExtendedKeyUsage, any_use, None
    )
    return (
        verification.PolicyBuilder()
        .store(verification.Store(roots))
        .time(_EPOCH + timedelta(milliseconds=at_ms))
        .max_chain_depth(CERTIFICATES_PER_CHAIN_MAX)
        .extension_policies(ca_policy=ca_policy, ee_policy=ee_policy)
        .build_client_verifier()
    )


def _check_uses(certificate: x509.Certificate, uses: Sequence[x509.ObjectIdentifier]) -> None:
    """Demand exactly these usages of the leaf and of every issuer but the anchor."""
    shown = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    if sorted(use.dotted_string for use in shown) != sorted(use.dotted_string for use in uses):
        raise RightsError("this certificate is for another use")


# --- the badge's own content -------------------------------------------------------------------


def _device_key(leaf: x509.Certificate) -> bytes:
    key = leaf.public_key()
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise MalformedError("a device has an Ed25519 key")
    raw = key.public_bytes_raw()
    load_public_key(raw)
    return raw


def _extension(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> bytes:
    """Return the value of a private extension, which the library does not interpret."""
    value = certificate.extensions.get_extension_for_oid(oid).value
    assert isinstance(value, x509.UnrecognizedExtension)
    return value.value


def _rights_untrusted(raw: bytes) -> Rights:
    record = as_array(decode_untrusted(raw, max_bytes=CERTIFICATE_BYTES_MAX), "rights", 5)
    as_uint(record[0], "version of rights", 1, 1)
    role = decode_role(as_uint(record[1], "role"))
    device_class = decode_device_class(as_uint(record[4], "device class"))
    zone = as_uint(record[2], "zone", 65_535, 1)
    return Rights(role, zone, _squads_untrusted(record[3]), device_class)


def _authority_rights_untrusted(raw: bytes) -> AuthorityRights:
    record = as_array(decode_untrusted(raw, max_bytes=CERTIFICATE_BYTES_MAX), "rights", 4)
    as_uint(record[0], "version of rights", 1, 1)
    rank = as_uint(record[1], "rank")
    squads = _squads_untrusted(record[3])
    # A unit authority names its squads; without a name it would reach the whole zone.
    if (rank, bool(squads)) not in ((UNIT_RANK, True), (REGIONAL_RANK, False)):
        raise MalformedError("an authority is regional, or of a unit and names its squads")
    return AuthorityRights(rank, as_uint(record[2], "zone", 65_535, 1), squads)


def _squads_untrusted(value: Value) -> tuple[SquadId, ...]:
    items = as_array(value, "squads", SQUADS_PER_BADGE_MAX, 0)
    squads = tuple(as_bytes(item, "squad id", 8) for item in items)
    if any(first >= second for first, second in pairwise(squads)):
        raise MalformedError("squads are not in ascending order")
    return squads


def _check_name(leaf: x509.Certificate, node: NodeId) -> None:
    """Demand an empty subject and the one name that follows from the key."""
    with certificate_errors():
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        expected = [x509.UniformResourceIdentifier(f"urn:mesh:{node.hex()}")]
        if list(names) != expected or len(leaf.subject) > 0:
            raise MalformedError("a badge is named by its key and by nothing else")


def _check_narrowing(rights: Rights, issuers: Sequence[AuthorityRights]) -> None:
    """Check that each step down gives less than it has; `issuers` go from badge to anchor."""
    rank, zone, squads = rights.role.rank, rights.zone, rights.squads
    for issuer in issuers:
        if rank >= issuer.rank:
            raise RightsError("an issuer gives only roles below its own")
        if zone != issuer.zone:
            raise RightsError("an issuer gives only its own zone")
        if issuer.squads and not set(squads) <= set(issuer.squads):
            raise RightsError("an issuer gives only its own squads")
        rank, zone, squads = issuer.rank, issuer.zone, issuer.squads
