"""The authority's side of certificates: roots, regional authorities, badges, and requests.

Keys and serial numbers are drawn inside the library. What comes out is judged by
`protocol.identity`, which knows nothing of this file. Source: wire-format 10, security 2.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import AttributeOID, NameOID

from protocol.bundle import load_public_key
from protocol.canonical import check_der_signature
from protocol.errors import AuthenticationError, LimitExceededError, MalformedError
from protocol.guards import UNIT_LIFE_MS
from protocol.identity import (
    AUTHORITY_RIGHTS_OID,
    BADGE_USES,
    LINK_USES,
    REGIONAL_RANK,
    RIGHTS_OID,
    UNIT_RANK,
    AuthorityRights,
    Rights,
    certificate_errors,
)
from protocol.ids import SquadId, node_id_of
from protocol.limits import (
    BADGE_LIFE_MS,
    CERTIFICATE_BYTES_MAX,
    CERTIFICATE_EARLY_MS,
    REGIONAL_LIFE_MS,
    ROOT_LIFE_MS,
)

__all__ = [
    "RegionalAuthority",
    "RootAuthority",
    "UnitAuthority",
    "certify_regional",
    "certify_unit",
    "issue_badge",
    "issue_link",
    "make_regional",
    "make_request",
    "make_root",
    "make_unit",
    "public_key_der",
    "read_request_untrusted",
]


@dataclass(frozen=True, slots=True)
class RootAuthority:
    """The top of every chain; its key is needed for regional authorities and root documents."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    """P-384."""
    certificate: bytes
    """DER, signed by itself: the anchor."""


@dataclass(frozen=True, slots=True)
class RegionalAuthority:
    """Issues the badges and link certificates of one zone."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    """P-256."""
    badge_issuer: bytes
    """DER, signed by the root: may issue badges, and says for which zone."""
    link_issuer: bytes
    """DER, signed by the root: may issue link certificates, and says nothing else.

    Anybody who dials a node may see it, so it must not name the zone.
    """


@dataclass(frozen=True, slots=True)
class UnitAuthority(RegionalAuthority):
    """Issues badges and link certificates of some squads, in a leader's hands."""

    regional: tuple[bytes, bytes]
    """DER of the badge and the link issuer above it, which complete the chains."""


def make_root(now_ms: int) -> RootAuthority:
    """Return a new root, valid for ten years."""
    key = ec.generate_private_key(ec.SECP384R1())
    name = _opaque_name()
    builder = _builder(key.public_key(), name, name, now_ms, ROOT_LIFE_MS)
    builder = _as_issuer(builder, key.public_key(), path_length=None)
    return RootAuthority(key, _finish(builder, key))


def make_regional(root: RootAuthority, zone: int, now_ms: int) -> RegionalAuthority:
    """Return a new authority for `zone` (1-65535) under `root`, valid for two years."""
    key = ec.generate_private_key(ec.SECP256R1())
    return RegionalAuthority(key, *certify_regional(root, zone, now_ms, key.public_key()))


def certify_regional(
    root: RootAuthority,
    zone: int,
    now_ms: int,
    key: ec.EllipticCurvePublicKey,
    earlier: tuple[bytes, bytes] | None = None,
) -> tuple[bytes, bytes]:
    """Return (badge issuer, link issuer) in DER for a key that its holder alone has.

    As `make_regional` otherwise: the private key stays where it was made. With `earlier`, the
    certificates that the key has, these bear the same names, so that units below those stand
    below these as well.
    """
    rights = AuthorityRights(REGIONAL_RANK, zone, ()).encode()
    badge_name, link_name = (
        (_opaque_name(), _opaque_name())
        if earlier is None
        else (x509.load_der_x509_certificate(each).subject for each in earlier)
    )
    badge_issuer = _intermediate(root, key, BADGE_USES, now_ms, badge_name).add_extension(
        x509.UnrecognizedExtension(AUTHORITY_RIGHTS_OID, rights), critical=False
    )
    link_issuer = _intermediate(root, key, LINK_USES, now_ms, link_name)
    return _finish(badge_issuer, root.key), _finish(link_issuer, root.key)


def make_unit(
    regional: RegionalAuthority,
    zone: int,
    squads: Sequence[SquadId],
    now_ms: int,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> UnitAuthority:
    """Return a unit authority for `squads` of `zone` below `regional`, valid for thirty days.

    `squads` are 1 to 8; with `key` (P-256) the holder renews what it has. It gives the roles of
    agents and relays only, to these squads only, and certifies no further authority.
    """
    key = key or ec.generate_private_key(ec.SECP256R1())
    certificates = certify_unit(regional, zone, squads, now_ms, key.public_key())
    return UnitAuthority(key, *certificates, (regional.badge_issuer, regional.link_issuer))


def certify_unit(
    regional: RegionalAuthority,
    zone: int,
    squads: Sequence[SquadId],
    now_ms: int,
    key: ec.EllipticCurvePublicKey,
) -> tuple[bytes, bytes]:
    """Return (badge issuer, link issuer) in DER for a key that its holder alone has.

    As `make_unit` otherwise: the private key stays where it was made.
    """
    rights = AuthorityRights(UNIT_RANK, zone, tuple(sorted(squads))).encode()
    badge_issuer = _unit(regional, regional.badge_issuer, key, BADGE_USES, now_ms).add_extension(
        x509.UnrecognizedExtension(AUTHORITY_RIGHTS_OID, rights), critical=False
    )
    link_issuer = _unit(regional, regional.link_issuer, key, LINK_USES, now_ms)
    return _finish(badge_issuer, regional.key), _finish(link_issuer, regional.key)


def issue_badge(
    regional: RegionalAuthority, public_key: bytes, rights: Rights, now_ms: int
) -> tuple[bytes, ...]:
    """Return a badge for a raw key and the certificates of its issuers, valid for 90 days.

    Raises: WeakKeyError, MalformedError for an unfit key. Whether the rights are within those of
    the issuer is judged by those who verify; the caller asks for nothing else.
    """
    key = load_public_key(public_key)
    identity = x509.UniformResourceIdentifier(f"urn:mesh:{node_id_of(public_key).hex()}")
    builder = _device(regional.badge_issuer, key, x509.Name([]), now_ms)
    builder = (
        builder.add_extension(x509.SubjectAlternativeName([identity]), critical=True)
        .add_extension(x509.ExtendedKeyUsage(BADGE_USES), critical=False)
        .add_extension(x509.UnrecognizedExtension(RIGHTS_OID, rights.encode()), critical=False)
    )
    return (_finish(builder, regional.key), *_issuers(regional)[0])


def issue_link(regional: RegionalAuthority, public_key: bytes, now_ms: int) -> tuple[bytes, ...]:
    """Return an opaque link certificate for a raw key and its issuers', valid for 90 days.

    Raises: WeakKeyError, MalformedError for an unfit key.
    """
    key = load_public_key(public_key)
    label = f"{x509.random_serial_number():040x}"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, label)])
    builder = _device(regional.link_issuer, key, subject, now_ms)
    builder = builder.add_extension(
        x509.SubjectAlternativeName([x509.DNSName(label)]), critical=False
    ).add_extension(x509.ExtendedKeyUsage(LINK_USES), critical=False)
    return (_finish(builder, regional.key), *_issuers(regional)[1])


def _issuers(authority: RegionalAuthority) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Return the issuers of badges and of link certificates, the nearest first."""
    above = authority.regional if isinstance(authority, UnitAuthority) else ()
    return (authority.badge_issuer, *above[:1]), (authority.link_issuer, *above[1:])


def make_request(key: ed25519.Ed25519PrivateKey, challenge: bytes) -> bytes:
    """Return a PKCS#10 request (DER): its sender holds `key`, and made it for this challenge."""
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, challenge.hex().encode())
    return builder.sign(key, None).public_bytes(Encoding.DER)


def read_request_untrusted(request: bytes, challenge: bytes) -> bytes:
    """Return the raw public key whose holder made `request` (PKCS#10 DER) for `challenge`.

    Raises: MalformedError, LimitExceededError, AuthenticationError, WeakKeyError.
    """
    if len(request) > CERTIFICATE_BYTES_MAX:
        raise LimitExceededError("request bytes", CERTIFICATE_BYTES_MAX, len(request))
    with certificate_errors():
        parsed = x509.load_der_x509_csr(request)
        check_der_signature(request, parsed.signature)
        key = parsed.public_key()
        is_proven = parsed.is_signature_valid
        shown = parsed.attributes.get_attribute_for_oid(AttributeOID.CHALLENGE_PASSWORD).value
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise MalformedError("a device has an Ed25519 key")
    raw = key.public_bytes_raw()
    load_public_key(raw)
    if not is_proven or shown != challenge.hex().encode():
        raise AuthenticationError("the request does not prove that its sender holds the key")
    return raw


def public_key_der(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the DER form (SubjectPublicKeyInfo) of a root's key, as root documents hold it."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


# --- certificates ------------------------------------------------------------------------------

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_USAGE = {
    "digital_signature": False,
    "content_commitment": False,
    "key_encipherment": False,
    "data_encipherment": False,
    "key_agreement": False,
    "key_cert_sign": False,
    "crl_sign": False,
    "encipher_only": False,
    "decipher_only": False,
}


def _opaque_name() -> x509.Name:
    """Return a name that tells nothing and that no other certificate has."""
    label = f"{x509.random_serial_number():040x}"
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, label)])


def _builder(
    key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey,
    subject: x509.Name,
    issuer: x509.Name,
    now_ms: int,
    life_ms: int,
) -> x509.CertificateBuilder:
    """Begin a certificate; it is valid a day early, because clocks in the field differ."""
    now = _EPOCH + timedelta(seconds=now_ms // 1000)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(milliseconds=CERTIFICATE_EARLY_MS))
        .not_valid_after(now + timedelta(milliseconds=life_ms))
    )


def _as_issuer(
    builder: x509.CertificateBuilder, key: ec.EllipticCurvePublicKey, path_length: int | None
) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(**{**_NO_USAGE, "key_cert_sign": True})
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _intermediate(
    root: RootAuthority,
    key: ec.EllipticCurvePublicKey,
    uses: Sequence[x509.ObjectIdentifier],
    now_ms: int,
    name: x509.Name,
) -> x509.CertificateBuilder:
    """Begin a regional certificate; unit authorities may stand below it, hence path length 1."""
    issuer = x509.load_der_x509_certificate(root.certificate)
    builder = _builder(key, name, issuer.subject, now_ms, REGIONAL_LIFE_MS)
    builder = _as_issuer(builder, key, path_length=1)
    return builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False).add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(root.key.public_key()), critical=False
    )


def _unit(
    regional: RegionalAuthority,
    issuer_certificate: bytes,
    key: ec.EllipticCurvePublicKey,
    uses: Sequence[x509.ObjectIdentifier],
    now_ms: int,
) -> x509.CertificateBuilder:
    """Begin the certificate of a unit authority; nothing may stand below it but devices."""
    issuer = x509.load_der_x509_certificate(issuer_certificate)
    builder = _builder(key, _opaque_name(), issuer.subject, now_ms, UNIT_LIFE_MS)
    builder = _as_issuer(builder, key, path_length=0)
    return builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False).add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(regional.key.public_key()),
        critical=False,
    )


def _device(
    issuer_certificate: bytes, key: ed25519.Ed25519PublicKey, subject: x509.Name, now_ms: int
) -> x509.CertificateBuilder:
    issuer = x509.load_der_x509_certificate(issuer_certificate)
    issuer_key = issuer.public_key()
    assert isinstance(issuer_key, ec.EllipticCurvePublicKey)
    return (
        _builder(key, subject, issuer.subject, now_ms, BADGE_LIFE_MS)
        .add_extension(x509.KeyUsage(**{**_NO_USAGE, "digital_signature": True}), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False
        )
    )


def _finish(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> bytes:
    algorithm = hashes.SHA384() if key.curve.key_size == 384 else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)
