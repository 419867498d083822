"""What a single certificate says of itself, for people who look at a file.

Nothing is proven here: no signature, no chain and no date is judged. Whoever lets a device in
asks `protocol.identity`. Source: wire-format 10.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519

from protocol.errors import LimitExceededError
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

__all__ = ["CertificateFacts", "CertificateKind", "read_certificate_untrusted"]

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
    if len(der) > CERTIFICATE_BYTES_MAX:
        raise LimitExceededError("certificate bytes", CERTIFICATE_BYTES_MAX, len(der))
    with certificate_errors():
        parsed = x509.load_der_x509_certificate(der)
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
