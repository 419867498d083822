"""The papers of a unit authority: request, grant, and the report of what it issued.

A leader's key is made in the leader's hands and never travels: the request proves that its sender
holds it, people compare six digits, the region certifies it for some squads and thirty days. What
the leader issued in the field goes back as a signed report. Each paper says whose word it is;
whether to grant or adopt is judged by the authority. Source: wire-format 8.6-8.8, security 2.2.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from protocol.armour import TextForm, armour, unarmour_untrusted
from protocol.canonical import Value, as_array, as_bytes, as_uint, encode
from protocol.canonical import decode_untrusted as decode_record_untrusted
from protocol.documents import decode_name
from protocol.envelope import PrekeyRecord, check_prekey, decode_prekey_untrusted, encode_prekey
from protocol.errors import AuthenticationError, MalformedError
from protocol.identity import certificate_errors
from protocol.issuing import public_key_der
from protocol.limits import (
    CERTIFICATE_BYTES_MAX,
    MEMBERS_MAX,
    PREKEY_BUNDLE_BYTES_MAX,
    REQUEST_BYTES_MAX,
    SEALED_SECRETS_BYTES_MAX,
    SQUADS_PER_BADGE_MAX,
)
from protocol.orders import issuer_id

__all__ = [
    "Issued",
    "UnitGrant",
    "UnitReport",
    "UnitRequest",
    "build_grant",
    "build_report",
    "build_unit_request",
    "decode_grant_untrusted",
    "decode_report_untrusted",
    "decode_unit_request_untrusted",
    "issuer_id_untrusted",
    "load_unit_key_untrusted",
    "paper_code",
    "read_paper_untrusted",
    "sign_paper",
    "verify_grant",
    "verify_paper",
    "verify_report",
]

_REQUEST_DOMAIN = b"meshnode unit request 1\0"
_GRANT_DOMAIN = b"meshnode unit grant 1\0"
_REPORT_DOMAIN = b"meshnode unit report 1\0"
_CODE_DOMAIN = b"meshnode unit code 1\0"
_CODE_DIGITS = 20
_KEY_BYTES_MAX = 256


@dataclass(frozen=True, slots=True)
class UnitRequest:
    """A leader's key, proven, that shall become a unit authority. Source: wire-format 8.6."""

    request_id: bytes
    """8 bytes, drawn by the leader's machine."""
    public_key: bytes
    """DER, ECDSA P-256."""
    prekey: PrekeyRecord
    """To it the network's keys are sealed."""
    inner: bytes
    """What the signature covers."""
    signature: bytes
    """By the key itself."""

    @property
    def code(self) -> str:
        """Twenty digits that both machines show, to be compared by people."""
        return paper_code(_CODE_DOMAIN, self.inner)

    @property
    def text(self) -> str:
        """The request as it is carried to the region."""
        return armour(TextForm.UNIT_REQUEST, encode([self.inner, self.signature]))


@dataclass(frozen=True, slots=True)
class UnitGrant:
    """What makes the key of a request a unit authority. Source: wire-format 8.7."""

    request_id: bytes
    """8 bytes; the request that it answers."""
    badge_issuer: bytes
    """DER, the unit's, for badges."""
    link_issuer: bytes
    """DER, the unit's, for link certificates."""
    above: tuple[bytes, bytes]
    """DER of the regional issuers above the two."""
    zone: int
    """1-65535."""
    centre_name: str
    """What the operations centre of the zone is called."""
    squads: tuple[str, ...]
    """Names of the squads that the unit may give."""
    sealed_secrets: bytes = field(repr=False)
    """Keys of the network, sealed to the prekey of the request."""
    inner: bytes = b""
    """What the signature covers."""
    signature: bytes = b""
    """By the regional key."""

    @property
    def text(self) -> str:
        """The grant as it is carried to the leader."""
        return armour(TextForm.UNIT_GRANT, encode([self.inner, self.signature]))


@dataclass(frozen=True, slots=True)
class Issued:
    """One device that a unit authority enrolled. Source: wire-format 8.8."""

    badge: bytes
    """DER."""
    link: bytes
    """DER."""
    name: str
    """As people call it."""
    squads: tuple[str, ...]
    """Names of its squads."""
    prekey: bytes
    """Container of its first prekey."""
    enrolled_ms: int
    """Unix milliseconds."""
    replaces: bytes
    """Node id of the device whose place it took; empty for none."""

    def record(self) -> Value:
        """Return the canonical entry."""
        return [
            self.badge,
            self.link,
            self.name.encode(),
            [name.encode() for name in self.squads],
            self.prekey,
            self.enrolled_ms,
            self.replaces,
        ]


@dataclass(frozen=True, slots=True)
class UnitReport:
    """Everything that a unit authority has issued. Source: wire-format 8.8."""

    unit_id: bytes
    """16 bytes: `issuer_id` of the unit's key."""
    issued: tuple[Issued, ...]
    """At most 500, in order of enrolment."""
    inner: bytes
    """What the signature covers."""
    signature: bytes
    """By the unit's key."""

    @property
    def text(self) -> str:
        """The report as it is carried to the region."""
        return armour(TextForm.UNIT_REPORT, encode([self.inner, self.signature]))


# --- request -----------------------------------------------------------------------------------


def build_unit_request(
    key: ec.EllipticCurvePrivateKey, prekey: PrekeyRecord, request_id: bytes
) -> UnitRequest:
    """Return the request of the holder of a P-256 key; `request_id` is 8 fresh bytes."""
    public = public_key_der(key.public_key())
    inner = encode([1, request_id, public, encode_prekey(prekey)])
    return UnitRequest(request_id, public, prekey, inner, sign_paper(key, _REQUEST_DOMAIN + inner))


def decode_unit_request_untrusted(text: str) -> UnitRequest:
    """Read the text of a request; its sender holds the key, and the prekey can be sealed to.

    Raises: MalformedError, LimitExceededError, AuthenticationError, WeakKeyError.
    """
    inner, signature = read_paper_untrusted(TextForm.UNIT_REQUEST, text)
    record = as_array(decode_record_untrusted(inner, max_bytes=REQUEST_BYTES_MAX), "request", 4)
    as_uint(record[0], "version of the request", 1, 1)
    public = as_bytes(record[2], "public key", _KEY_BYTES_MAX, 1)
    prekey = decode_prekey_untrusted(as_bytes(record[3], "prekey", PREKEY_BUNDLE_BYTES_MAX, 1))
    verify_paper(load_unit_key_untrusted(public), signature, _REQUEST_DOMAIN + inner)
    check_prekey(prekey)
    request_id = as_bytes(record[1], "request id", 8)
    return UnitRequest(request_id, public, prekey, inner, signature)


def load_unit_key_untrusted(der: bytes) -> ec.EllipticCurvePublicKey:
    """Return the P-256 key of this DER form. Raises: MalformedError."""
    try:
        key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise MalformedError("the key of a unit authority is no public key") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise MalformedError("the key of a unit authority is an ECDSA P-256 key")
    if public_key_der(key) != der:
        raise MalformedError("the key of a unit authority is not in its one form")
    return key


def issuer_id_untrusted(certificate: bytes) -> bytes:
    """Return the id under which the holder of an issuing certificate (DER) is revoked.

    Raises: MalformedError.
    """
    return issuer_id(public_key_der(_key_of(certificate)))


# --- grant -------------------------------------------------------------------------------------


def build_grant(
    request_id: bytes,
    issuers: tuple[bytes, bytes],
    above: tuple[bytes, bytes],
    place: tuple[int, str, tuple[str, ...]],
    sealed_secrets: bytes,
    regional_key: ec.EllipticCurvePrivateKey,
) -> UnitGrant:
    """Return the grant that the region signs; `place` is zone, name of the centre and squads."""
    zone, centre_name, squads = place
    names = [name.encode() for name in squads]
    inner = encode(
        [1, request_id, *issuers, *above, zone, centre_name.encode(), names, sealed_secrets]
    )
    return _grant_untrusted(inner, sign_paper(regional_key, _GRANT_DOMAIN + inner))


def decode_grant_untrusted(text: str) -> UnitGrant:
    """Read the text of a grant; nothing in it is proven yet.

    Raises: MalformedError, LimitExceededError.
    """
    return _grant_untrusted(*read_paper_untrusted(TextForm.UNIT_GRANT, text))


def _grant_untrusted(inner: bytes, signature: bytes) -> UnitGrant:
    record = as_array(decode_record_untrusted(inner, max_bytes=REQUEST_BYTES_MAX), "grant", 10)
    as_uint(record[0], "version of the grant", 1, 1)
    badge_issuer, link_issuer, *above = (
        as_bytes(record[index], "certificate", CERTIFICATE_BYTES_MAX, 1) for index in range(2, 6)
    )
    return UnitGrant(
        request_id=as_bytes(record[1], "request id", 8),
        badge_issuer=badge_issuer,
        link_issuer=link_issuer,
        above=(above[0], above[1]),
        zone=as_uint(record[6], "zone", 65_535, 1),
        centre_name=decode_name(record[7], "name of the centre"),
        squads=_names_untrusted(record[8], 1),
        sealed_secrets=as_bytes(record[9], "sealed secrets", SEALED_SECRETS_BYTES_MAX, 1),
        inner=inner,
        signature=signature,
    )


def verify_grant(grant: UnitGrant) -> None:
    """Check that the regional authority above the grant's certificates signed all of it.

    The caller has verified that those certificates lead to an anchor. Raises:
    AuthenticationError, MalformedError.
    """
    verify_paper(_key_of(grant.above[0]), grant.signature, _GRANT_DOMAIN + grant.inner)


# --- report ------------------------------------------------------------------------------------


def build_report(
    unit_id: bytes, issued: tuple[Issued, ...], key: ec.EllipticCurvePrivateKey
) -> UnitReport:
    """Return the report that the unit signs. Raises: LimitExceededError for too many devices."""
    inner = encode([1, unit_id, [each.record() for each in issued]])
    return _report_untrusted(inner, sign_paper(key, _REPORT_DOMAIN + inner))


def decode_report_untrusted(text: str) -> UnitReport:
    """Read the text of a report; nothing in it is proven yet.

    Raises: MalformedError, LimitExceededError.
    """
    return _report_untrusted(*read_paper_untrusted(TextForm.UNIT_REPORT, text))


def _report_untrusted(inner: bytes, signature: bytes) -> UnitReport:
    limit = TextForm.UNIT_REPORT.bytes_max
    record = as_array(decode_record_untrusted(inner, max_bytes=limit), "report", 3)
    as_uint(record[0], "version of the report", 1, 1)
    items = as_array(record[2], "devices", MEMBERS_MAX, 0)
    return UnitReport(
        unit_id=as_bytes(record[1], "unit", 16),
        issued=tuple(_issued_untrusted(item) for item in items),
        inner=inner,
        signature=signature,
    )


def _issued_untrusted(value: Value) -> Issued:
    record = as_array(value, "device", 7)
    replaces = as_bytes(record[6], "replaced device", 16, 0)
    if len(replaces) not in (0, 16):
        raise MalformedError("a replaced device is named by sixteen bytes")
    return Issued(
        badge=as_bytes(record[0], "badge", CERTIFICATE_BYTES_MAX, 1),
        link=as_bytes(record[1], "link certificate", CERTIFICATE_BYTES_MAX, 1),
        name=decode_name(record[2], "name"),
        squads=_names_untrusted(record[3], 0),
        prekey=as_bytes(record[4], "prekey", PREKEY_BUNDLE_BYTES_MAX, 1),
        enrolled_ms=as_uint(record[5], "time of enrolment"),
        replaces=replaces,
    )


def verify_report(report: UnitReport, badge_issuer: bytes) -> None:
    """Check that the unit authority with this certificate (DER) signed the report.

    Raises: AuthenticationError, MalformedError.
    """
    verify_paper(_key_of(badge_issuer), report.signature, _REPORT_DOMAIN + report.inner)


# --- common ------------------------------------------------------------------------------------


def _names_untrusted(value: Value, minimum: int) -> tuple[str, ...]:
    items = as_array(value, "squads", SQUADS_PER_BADGE_MAX, minimum)
    return tuple(decode_name(item, "squad") for item in items)


def read_paper_untrusted(form: TextForm, text: str) -> tuple[bytes, bytes]:
    """Return the inner record of a signed paper and the signature, neither checked yet.

    Raises: MalformedError, LimitExceededError.
    """
    raw = unarmour_untrusted(form, text)
    record = as_array(decode_record_untrusted(raw, max_bytes=form.bytes_max), "record", 2)
    inner = as_bytes(record[0], "inner record", form.bytes_max, 0)
    return inner, as_bytes(record[1], "signature", 80, 1)


def _key_of(certificate: bytes) -> ec.EllipticCurvePublicKey:
    with certificate_errors():
        key = x509.load_der_x509_certificate(certificate).public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise MalformedError("an authority has an elliptic curve key")
    return key


def paper_code(domain: bytes, paper: bytes) -> str:
    """Return the twenty digits by which people know a paper that no secret stands behind.

    With six, whoever holds the paper on its way finds another one with the same digits in a
    minute. Source: wire-format 8.6, 8.11.
    """
    digest = hashlib.sha256(domain + paper).digest()
    return f"{int.from_bytes(digest, 'big') % 10**_CODE_DIGITS:0{_CODE_DIGITS}d}"


def sign_paper(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Return the signature of a paper; `message` is its domain and its inner record."""
    return key.sign(message, ec.ECDSA(hashes.SHA256()))


def verify_paper(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> None:
    """Raises: AuthenticationError where the key has not signed `message`."""
    try:
        key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise AuthenticationError("this paper was changed, or another hand signed it") from error
