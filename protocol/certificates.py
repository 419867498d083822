"""What a single certificate says of itself: for people who look at a file, and for look-ups.

Nothing is proven here: no signature, no chain and no date is judged. Whoever lets a device in
asks `protocol.identity`. Source: wire-format 10.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from protocol.errors import LimitExceededError, MalformedError
from protocol.identity import (
    AUTHORITY_RIGHTS_OID,
    BADGE_USES,
    LINK_USES,
    RIGHTS_OID,
    AuthorityRights,
    Rights,
    authority_rights_untrusted,
    certificate_errors,
    rights_untrusted,
)
from protocol.ids import NodeId, node_id_of
from protocol.limits import CERTIFICATE_BYTES_MAX

__all__ = [
    "CertificateFacts",
    "CertificateKind",
    "badge_key_untrusted",
    "issuer_key_untrusted",
    "read_certificate_untrusted",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CertificateKind(StrEnum):
    """What a certificate is for, by its own words."""

    ROOT = "root"
    BADGE_ISSUER = "badge issuer"
    BADGE = "badge"
    LINK_ISSUER = "link issuer"
    LINK = "link certificate"
    OTHER = "certificate of another kind"


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What one certificate claims."""

    kind: CertificateKind
    """What it is for."""
    not_before_ms: int
    """Unix milliseconds from which it is valid."""
    not_after_ms: int
    """Unix milliseconds until which it is valid."""
    node: NodeId | None
    """Of a badge, the id that follows from its key."""
    rights: Rights | None
    """Of a badge."""
    authority_rights: AuthorityRights | None
    """Of an issuer of badges."""


def read_certificate_untrusted(der: bytes) -> CertificateFacts:
    """Return what this certificate claims. Raises: MalformedError, LimitExceededError."""
    parsed = _parsed_untrusted(der)
    with certificate_errors():
        kind, key = _kind(parsed), parsed.public_key()
        start, end = parsed.not_valid_before_utc, parsed.not_valid_after_utc
    node = None
    if kind is CertificateKind.BADGE and isinstance(key, ed25519.Ed25519PublicKey):
        node = node_id_of(key.public_bytes_raw())
    return CertificateFacts(
        kind=kind,
        not_before_ms=(start - _EPOCH) // timedelta(milliseconds=1),
        not_after_ms=(end - _EPOCH) // timedelta(milliseconds=1),
        node=node,
        rights=rights_untrusted(der) if kind is CertificateKind.BADGE else None,
        authority_rights=(
            authority_rights_untrusted(der) if kind is CertificateKind.BADGE_ISSUER else None
        ),
    )


def issuer_key_untrusted(issuer: bytes) -> bytes:
    """Return the public key (DER) of an issuer's certificate (DER), by which it is revoked.

    Raises: MalformedError, LimitExceededError.
    """
    with certificate_errors():
        key = _parsed_untrusted(issuer).public_key()
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def badge_key_untrusted(badge: bytes) -> bytes:
    """Return the raw public key in a badge (DER); nothing is checked but its form.

    Raises: MalformedError, LimitExceededError.
    """
    with certificate_errors():
        key = _parsed_untrusted(badge).public_key()
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise MalformedError("a device has an Ed25519 key")
    return key.public_bytes_raw()


def _parsed_untrusted(der: bytes) -> x509.Certificate:
    if len(der) > CERTIFICATE_BYTES_MAX:
        raise LimitExceededError("certificate bytes", CERTIFICATE_BYTES_MAX, len(der))
    with certificate_errors():
        return x509.load_der_x509_certificate(der)


def _kind(parsed: x509.Certificate) -> CertificateKind:
    uses: set[x509.ObjectIdentifier] = set()
    is_issuer = False
    oids = {extension.oid for extension in parsed.extensions}
    for extension in parsed.extensions:
        if isinstance(extension.value, x509.ExtendedKeyUsage):
            uses = set(extension.value)
        elif isinstance(extension.value, x509.BasicConstraints):
            is_issuer = extension.value.ca
    if is_issuer and not uses and parsed.subject == parsed.issuer:
        return CertificateKind.ROOT
    if uses == set(BADGE_USES) and is_issuer and AUTHORITY_RIGHTS_OID in oids:
        return CertificateKind.BADGE_ISSUER
    if uses == set(BADGE_USES) and not is_issuer and RIGHTS_OID in oids:
        return CertificateKind.BADGE
    if uses == set(LINK_USES):
        return CertificateKind.LINK_ISSUER if is_issuer else CertificateKind.LINK
    return CertificateKind.OTHER
