"""The papers by which a further zone joins a network: its request, and the answer to it.

A zone's keys are made in the zone's hands and never travel. The request proves that its sender
holds the one that issues badges, and names those that sign the zone's documents; the answer holds
the certificates, the root that names them, and the keys of the network, sealed. Nothing stands
behind either paper but the people at both ends, who compare its twenty digits: so many that nobody
finds another paper with the same ones. Source: wire-format 8.11, 8.12.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec

from protocol.armour import TextForm, armour, unarmour_untrusted
from protocol.bundle import load_public_key
from protocol.canonical import Value, as_array, as_bytes, as_uint, encode
from protocol.canonical import decode_untrusted as decode_record_untrusted
from protocol.delegation import (
    load_unit_key_untrusted,
    paper_code,
    read_paper_untrusted,
    sign_paper,
    verify_paper,
)
from protocol.documents import decode_name
from protocol.envelope import PrekeyRecord, check_prekey, decode_prekey_untrusted, encode_prekey
from protocol.errors import MalformedError
from protocol.guards import PQ_KEY_BYTES, ZONE_CARDS_MAX
from protocol.issuing import public_key_der
from protocol.limits import (
    ANSWER_DOCUMENTS_MAX,
    CERTIFICATE_BYTES_MAX,
    DOCUMENT_BYTES_MAX,
    PREKEY_BUNDLE_BYTES_MAX,
    REQUEST_BYTES_MAX,
    SEALED_SECRETS_BYTES_MAX,
)

__all__ = [
    "ZoneAnswer",
    "ZoneRequest",
    "ZoneSigners",
    "build_zone_answer",
    "build_zone_request",
    "decode_zone_answer_untrusted",
    "decode_zone_request_untrusted",
]

_REQUEST_DOMAIN = b"meshnode zone request 1\0"
_CODE_DOMAIN = b"meshnode zone code 1\0"
_KEY_BYTES_MAX = 256

_Pair = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class ZoneSigners:
    """Public keys that sign a zone's documents: pairs of Ed25519 (32 bytes) and ML-DSA-65."""

    roster: _Pair
    """Signs the rosters of the zone, in its folder."""
    cards: tuple[tuple[_Pair, _Pair], ...]
    """Of each operator's card of the zone: what signs a list of revocations, and beacons."""

    @property
    def revocations(self) -> tuple[_Pair, ...]:
        """What signs revocations, one for each card."""
        return tuple(card[0] for card in self.cards)

    @property
    def beacons(self) -> tuple[_Pair, ...]:
        """What signs beacons, one for each card."""
        return tuple(card[1] for card in self.cards)

    @property
    def pairs(self) -> tuple[_Pair, ...]:
        """The roster's, then two of each card."""
        return (self.roster, *(pair for card in self.cards for pair in card))

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The Ed25519 halves, in this order."""
        return tuple(pair[0] for pair in self.pairs)


@dataclass(frozen=True, slots=True)
class ZoneRequest:
    """A zone and its keys, which shall be certified. Source: wire-format 8.11."""

    zone: int
    """1-65535; what the zone asks for."""
    centre_name: str
    """What the operations centre of the zone is called."""
    public_key: bytes
    """DER, ECDSA P-256: issues the badges of the zone; proven."""
    prekey: PrekeyRecord
    """To it the keys of the network are sealed."""
    signers: ZoneSigners
    """What the root shall name."""
    inner: bytes
    """What the signature covers."""
    signature: bytes
    """By the key that issues."""

    @property
    def digest(self) -> bytes:
        """32 bytes that name the request."""
        return hashlib.sha256(self.inner).digest()

    @property
    def code(self) -> str:
        """Twenty digits that both machines show, to be compared by people."""
        return paper_code(_CODE_DOMAIN, self.inner)

    @property
    def text(self) -> str:
        """The request as it is carried to the national folder."""
        return armour(TextForm.ZONE_REQUEST, encode([self.inner, self.signature]))


@dataclass(frozen=True, slots=True)
class ZoneAnswer:
    """What makes the keys of a request those of a zone. Source: wire-format 8.12."""

    request_digest: bytes
    """32 bytes; the request that it answers."""
    issuers: tuple[bytes, bytes]
    """DER of the zone's certificates, for badges and for links."""
    documents: tuple[bytes, ...]
    """The root in force, and the revocations."""
    sealed_secrets: bytes = field(repr=False)
    """Keys of the network, sealed to the prekey of the request."""
    raw: bytes = field(repr=False, default=b"")
    """The whole record."""

    @property
    def code(self) -> str:
        """Twenty digits of the answer, and so of the request and of the root in it."""
        return paper_code(_CODE_DOMAIN, self.raw)

    @property
    def text(self) -> str:
        """The answer as it is carried to the zone."""
        return armour(TextForm.ZONE_ANSWER, self.raw)


def build_zone_request(
    place: tuple[int, str],
    key: ec.EllipticCurvePrivateKey,
    prekey: PrekeyRecord,
    signers: ZoneSigners,
) -> ZoneRequest:
    """Return the request of the holder of these keys; the prekey makes it one of a kind.

    `place` is the zone (1-65535) and the name of its centre.
    """
    zone, name = place
    public = public_key_der(key.public_key())
    pairs = [[*pair] for pair in signers.pairs]
    inner = encode([1, zone, name.encode(), public, encode_prekey(prekey), pairs])
    signature = sign_paper(key, _REQUEST_DOMAIN + inner)
    return ZoneRequest(zone, name, public, prekey, signers, inner, signature)


def decode_zone_request_untrusted(text: str) -> ZoneRequest:
    """Read the text of a request; its sender holds the key, and the prekey can be sealed to.

    Raises: MalformedError, LimitExceededError, AuthenticationError, WeakKeyError.
    """
    inner, signature = read_paper_untrusted(TextForm.ZONE_REQUEST, text)
    record = as_array(decode_record_untrusted(inner, max_bytes=REQUEST_BYTES_MAX), "request", 6)
    as_uint(record[0], "version of the request", 1, 1)
    zone = as_uint(record[1], "zone", 65_535, 1)
    name = decode_name(record[2], "name of the centre")
    public = as_bytes(record[3], "public key", _KEY_BYTES_MAX, 1)
    verify_paper(load_unit_key_untrusted(public), signature, _REQUEST_DOMAIN + inner)
    prekey = decode_prekey_untrusted(as_bytes(record[4], "prekey", PREKEY_BUNDLE_BYTES_MAX, 1))
    check_prekey(prekey)
    signers = _signers_untrusted(record[5])
    return ZoneRequest(zone, name, public, prekey, signers, inner, signature)


def _signers_untrusted(value: Value) -> ZoneSigners:
    pairs = [
        _pair_untrusted(item) for item in as_array(value, "signers", 1 + 2 * ZONE_CARDS_MAX, 3)
    ]
    if len({half for pair in pairs for half in pair}) != 2 * len(pairs):
        raise MalformedError("a key signs two classes of document")
    roster, *others = pairs
    if len(others) % 2:
        raise MalformedError("a card signs revocations and beacons")
    return ZoneSigners(roster, tuple(zip(others[::2], others[1::2], strict=True)))


def _pair_untrusted(value: Value) -> _Pair:
    record = as_array(value, "signer", 2)
    key = as_bytes(record[0], "signer", 32)
    load_public_key(key)
    return key, as_bytes(record[1], "ML-DSA key", PQ_KEY_BYTES)


def build_zone_answer(
    request: ZoneRequest,
    issuers: tuple[bytes, bytes],
    documents: tuple[bytes, ...],
    sealed_secrets: bytes,
) -> ZoneAnswer:
    """Return the answer to a request. Raises: LimitExceededError for too many documents."""
    return _answer_untrusted(encode([1, request.digest, issuers, documents, sealed_secrets]))


def decode_zone_answer_untrusted(text: str) -> ZoneAnswer:
    """Read the text of an answer; nothing in it is proven before people compare its digits.

    Raises: MalformedError, LimitExceededError.
    """
    return _answer_untrusted(unarmour_untrusted(TextForm.ZONE_ANSWER, text))


def _answer_untrusted(raw: bytes) -> ZoneAnswer:
    limit = TextForm.ZONE_ANSWER.bytes_max
    record = as_array(decode_record_untrusted(raw, max_bytes=limit), "answer", 5)
    as_uint(record[0], "version of the answer", 1, 1)
    badge_issuer, link_issuer = (
        as_bytes(item, "certificate", CERTIFICATE_BYTES_MAX, 1)
        for item in as_array(record[2], "certificates", 2)
    )
    documents = as_array(record[3], "documents", ANSWER_DOCUMENTS_MAX, 1)
    return ZoneAnswer(
        request_digest=as_bytes(record[1], "request", 32),
        issuers=(badge_issuer, link_issuer),
        documents=tuple(as_bytes(item, "document", DOCUMENT_BYTES_MAX, 1) for item in documents),
        sealed_secrets=as_bytes(record[4], "sealed secrets", SEALED_SECRETS_BYTES_MAX, 1),
        raw=raw,
    )
