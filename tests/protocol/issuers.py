"""An authority made by hand for tests: it signs what the product never would."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from protocol.identity import (
    AUTHORITY_RIGHTS_OID,
    BADGE_USES,
)

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000

_SIGNS_CERTIFICATES = x509.KeyUsage(False, False, False, False, False, True, False, False, False)


class Issuer:
    """An authority made by hand, so that it can do what the product never does."""

    def __init__(
        self,
        key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
        certificate: bytes,
        chain: Sequence[bytes] = (),
        now_ms: int = NOW_MS,
    ) -> None:
        self.now_ms = now_ms
        self.key = key
        self.certificate = x509.load_der_x509_certificate(certificate)
        self.chain = (certificate, *chain)

    def issue(
        self,
        key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey,
        extensions: Sequence[tuple[x509.ExtensionType, bool]],
        subject: str = "",
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> bytes:
        names = [x509.NameAttribute(NameOID.COMMON_NAME, subject)] if subject else []
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(names))
            .issuer_name(self.certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(_moment(self.now_ms - DAY_MS if start_ms is None else start_ms))
            .not_valid_after(_moment(self.now_ms + DAY_MS if end_ms is None else end_ms))
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False
            )
        )
        for extension, is_critical in extensions:
            builder = builder.add_extension(extension, is_critical)
        algorithm = None if isinstance(self.key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        return builder.sign(self.key, algorithm).public_bytes(Encoding.DER)

    def below(
        self,
        rights: bytes,
        path_length: int = 0,
        uses: Sequence[x509.ObjectIdentifier] = BADGE_USES,
        key: ed25519.Ed25519PrivateKey | None = None,
    ) -> Issuer:
        own = key or ec.generate_private_key(ec.SECP256R1())
        certificate = self.issue(
            own.public_key(),
            [
                (x509.BasicConstraints(True, path_length), True),
                (_SIGNS_CERTIFICATES, True),
                (x509.SubjectKeyIdentifier.from_public_key(own.public_key()), False),
                (x509.ExtendedKeyUsage(uses), False),
                (x509.UnrecognizedExtension(AUTHORITY_RIGHTS_OID, rights), False),
            ],
            subject="below",
        )
        return Issuer(own, certificate, self.chain, self.now_ms)


def _moment(at_ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
