"""The unit that is stored, carried and forwarded: clear header, sealed body, one signature.

Relays read headers and check signatures here; opening bodies is another room's work.
Source: wire-format 3.4 and 4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from protocol import canonical
from protocol.errors import (
    AuthenticationError,
    LimitExceededError,
    MalformedError,
    WeakKeyError,
)
from protocol.ids import BundleId, NodeId, SquadId
from protocol.limits import (
    BODY_BYTES_MAX,
    BUNDLE_BYTES_MAX,
    CHAIN_MESSAGES_MAX,
    CLASS_RULES,
    HEADER_BYTES_MAX,
    KINDS,
    Kind,
    TrafficClass,
)

__all__ = [
    "Bundle",
    "Header",
    "PublicKey",
    "Scope",
    "ScopeKind",
    "Suite",
    "build",
    "decode_untrusted",
    "load_public_key",
    "signed_bytes",
    "verify",
]

PublicKey: TypeAlias = Ed25519PublicKey

_DOMAIN = b"meshnode bundle 1\0"
_SIGNATURE_BYTES = 64
_HLC_MAX = 2**64 - 1

# The encodings of the points of small order and their non-canonical twins: a fixed signature
# verifies under them for any message (security F11).
_SMALL_ORDER = frozenset(
    bytes.fromhex(text)
    for text in (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    )
)


class ScopeKind(IntEnum):
    """Whom a bundle is for."""

    DEVICE = 1
    SQUAD = 2
    CODT = 3
    ZONE = 4


_TARGET_BYTES = {
    ScopeKind.DEVICE: 16,
    ScopeKind.SQUAD: 8,
    ScopeKind.CODT: 0,
    ScopeKind.ZONE: 0,
}


class Suite(IntEnum):
    """How the body is sealed. Source: wire-format 4.2."""

    CHAIN = 1
    HYBRID = 2
    CLASSICAL = 3
    CLEAR = 4
    ZONE = 5


_KEYREF_BYTES = {
    Suite.CHAIN: (8,),
    Suite.HYBRID: (0, 8),
    Suite.CLASSICAL: (8,),
    Suite.CLEAR: (0,),
    Suite.ZONE: (8,),
}

_INDEXED = (Suite.CHAIN, Suite.CLEAR)
"""Suites whose header says more than 0 in `index`."""

# Looked up, not called: an enumeration's own look-up costs a microsecond.
_SCOPES: Final[dict[object, ScopeKind]] = {int(each): each for each in ScopeKind}
_SUITES: Final[dict[object, Suite]] = {int(each): each for each in Suite}
_KINDS: Final[dict[object, Kind]] = {int(each): each for each in Kind}


@dataclass(frozen=True, slots=True)
class Scope:
    """Whom a bundle is for. Source: wire-format 3.4."""

    kind: ScopeKind
    """What sort of target."""
    zone: int
    """1-65535."""
    target: bytes = b""
    """Node id, squad id, or nothing."""

    @classmethod
    def for_device(cls, zone: int, node: NodeId) -> Scope:
        """One device."""
        return cls(ScopeKind.DEVICE, zone, node)

    @classmethod
    def for_squad(cls, zone: int, squad: SquadId) -> Scope:
        """A squad."""
        return cls(ScopeKind.SQUAD, zone, squad)

    @classmethod
    def for_codt(cls, zone: int) -> Scope:
        """The operations centre of a zone."""
        return cls(ScopeKind.CODT, zone)

    @classmethod
    def for_zone(cls, zone: int) -> Scope:
        """Every enrolled device of a zone."""
        return cls(ScopeKind.ZONE, zone)

    def encode(self) -> bytes:
        """Return the 3 to 19 bytes of the wire form."""
        return bytes([self.kind]) + self.zone.to_bytes(2, "big") + self.target

    @classmethod
    def decode_untrusted(cls, raw: bytes) -> Scope:
        """Read the wire form. Raises: MalformedError."""
        kind = _SCOPES.get(raw[0]) if raw else None
        if kind is None:
            raise MalformedError("the scope has no known type")
        if len(raw) != 3 + _TARGET_BYTES[kind]:
            raise MalformedError("the scope has the wrong length")
        zone = int.from_bytes(raw[1:3], "big")
        if zone == 0:
            raise MalformedError("zone 0 does not exist")
        return cls(kind, zone, raw[3:])


@dataclass(frozen=True, slots=True)
class Header:
    """What enrolled relays may read of a bundle. Source: wire-format 4.2."""

    suite: Suite
    """How the body is sealed."""
    kind: Kind
    """What it is; decides class and superseding."""
    author: NodeId
    """16 bytes."""
    incarnation: int
    """32 bits."""
    seq: int
    """From 1 within the incarnation."""
    hlc: int
    """Hybrid logical clock of the author, 64 bits."""
    lifetime_s: int
    """Seconds from the stamp's wall time to expiry."""
    scope: Scope
    """Whom it is for."""
    keyref: bytes = b""
    """Empty or 8 bytes: which key opens it."""
    index: int = 0
    """Number in the chain, or slot of a superseding kind; 32 bits."""

    def encode(self) -> bytes:
        """Return the canonical header bytes."""
        is_usual = self.lifetime_s == KINDS[self.kind].lifetime_s
        return canonical.encode(
            (
                int(self.suite),
                int(self.kind),
                self.author,
                self.incarnation,
                self.seq,
                self.hlc,
                0 if is_usual else self.lifetime_s,
                self.scope.encode(),
                self.keyref,
                self.index,
            )
        )

    @property
    def id(self) -> BundleId:
        """Identity of the bundle."""
        return BundleId(self.author, self.incarnation, self.seq)

    @property
    def expires_ms(self) -> int:
        """End of life, Unix milliseconds."""
        return (self.hlc >> 16) + 1000 * self.lifetime_s

    @property
    def traffic_class(self) -> TrafficClass:
        """Order of service."""
        return KINDS[self.kind].traffic_class


@dataclass(frozen=True, slots=True)
class Bundle:
    """A header, its body, its signature, and the bytes they came in."""

    header: Header
    """Decoded header."""
    header_bytes: bytes
    """As signed."""
    body: bytes
    """Sealed, or clear for suite 4."""
    signature: bytes
    """64 bytes."""
    raw: bytes
    """The whole container."""
    digest: bytes
    """32 bytes, hash of the signed bytes."""
    signed: bytes
    """What the signature covers."""

    @property
    def id(self) -> BundleId:
        """Identity of the bundle."""
        return self.header.id


def signed_bytes(header_bytes: bytes, body: bytes) -> bytes:
    """Return what the signature covers. Source: wire-format 4.4."""
    return _DOMAIN + header_bytes + hashlib.sha256(body).digest()


def build(header: Header, body: bytes, sign: Callable[[bytes], bytes]) -> Bundle:
    """Return the signed bundle. Raises: LimitExceededError if the body is too large."""
    if len(body) > BODY_BYTES_MAX:
        raise LimitExceededError("body bytes", BODY_BYTES_MAX, len(body))
    header_bytes = header.encode()
    signed = signed_bytes(header_bytes, body)
    signature = sign(signed)
    raw = canonical.encode(header_bytes) + canonical.encode(body) + signature
    digest = hashlib.sha256(signed).digest()
    return Bundle(header, header_bytes, body, signature, raw, digest, signed)


def decode_untrusted(raw: bytes) -> Bundle:
    """Return the bundle of a container; its signature is not checked yet.

    Raises: MalformedError, LimitExceededError. Cost: about 8 µs for 350 bytes.
    """
    if len(raw) > BUNDLE_BYTES_MAX:
        raise LimitExceededError("bundle bytes", BUNDLE_BYTES_MAX, len(raw))
    header_bytes, body, signature = _cut_untrusted(raw)
    if len(body) > BODY_BYTES_MAX:
        raise LimitExceededError("body bytes", BODY_BYTES_MAX, len(body))
    header = _header_untrusted(header_bytes)
    signed = signed_bytes(header_bytes, body)
    digest = hashlib.sha256(signed).digest()
    return Bundle(header, header_bytes, body, signature, raw, digest, signed)


def _cut_untrusted(raw: bytes) -> tuple[bytes, bytes, bytes]:
    """Cut the container by hand: its canonical framing has one form for each length."""
    end = len(raw) - _SIGNATURE_BYTES
    try:
        if raw[0] != 0xC4:
            raise MalformedError("bytes are not a bundle container")
        body_at = 2 + raw[1]
        tag = raw[body_at]
        if tag == 0xC4:
            start, length = body_at + 2, raw[body_at + 1]
        elif tag == 0xC5:
            start = body_at + 3
            length = int.from_bytes(raw[body_at + 1 : start], "big")
            if length < 256:
                raise MalformedError("the body's length is not in its shortest form")
        else:
            raise MalformedError("the container has no body")
    except IndexError as error:
        raise MalformedError("the container is cut short") from error
    if start + length != end:
        raise MalformedError("the container has the wrong length")
    return raw[2:body_at], raw[start:end], raw[end:]


def _header_untrusted(header_bytes: bytes) -> Header:
    fields = canonical.decode_untrusted(header_bytes, max_bytes=HEADER_BYTES_MAX)
    (suite, kind, author, incarnation, seq, hlc, lifetime_s, scope, keyref, index) = (
        canonical.as_array(fields, "header", 10)
    )
    known_suite, known_kind = _SUITES.get(suite), _KINDS.get(kind)
    if known_suite is None or known_kind is None:
        raise MalformedError("the suite or the kind is unknown")
    header = Header(
        known_suite,
        known_kind,
        canonical.as_bytes(author, "author", 16),
        canonical.as_uint(incarnation, "incarnation", 2**32 - 1),
        canonical.as_uint(seq, "seq", minimum=1),
        canonical.as_uint(hlc, "hlc"),
        _lifetime_s_untrusted(lifetime_s, known_kind),
        Scope.decode_untrusted(canonical.as_bytes(scope, "scope", 19, 3)),
        canonical.as_bytes(keyref, "keyref", 8, 0),
        canonical.as_uint(index, "index", 2**32 - 1),
    )
    if len(header.keyref) not in _KEYREF_BYTES[known_suite]:
        raise MalformedError("the key reference does not fit the suite")
    if known_suite is Suite.CHAIN and header.index >= CHAIN_MESSAGES_MAX:
        raise LimitExceededError("chain index", CHAIN_MESSAGES_MAX - 1, header.index)
    if header.index and known_suite not in _INDEXED:
        raise MalformedError("this suite has no index but 0")
    return header


def _lifetime_s_untrusted(value: canonical.Value, kind: Kind) -> int:
    """Return the lifetime that a header states; 0 stands for the usual one of its kind."""
    usual_s, bounds = KINDS[kind].lifetime_s, CLASS_RULES[KINDS[kind].traffic_class]
    stated_s = canonical.as_uint(value, "lifetime_s", bounds.lifetime_s_max)
    if stated_s == usual_s:
        raise MalformedError("the usual lifetime of a kind is written as 0")
    return stated_s or usual_s


def load_public_key(raw: bytes) -> PublicKey:
    """Return the key object of 32 raw bytes. Raises: WeakKeyError, MalformedError."""
    if raw in _SMALL_ORDER:
        raise WeakKeyError("this public key has small order and signs nothing")
    try:
        return Ed25519PublicKey.from_public_bytes(raw)
    except ValueError as error:
        raise MalformedError("these bytes are no Ed25519 public key") from error


def verify(bundle: Bundle, key: PublicKey) -> None:
    """Check the author's signature. Raises: AuthenticationError. Cost: about 120 µs."""
    try:
        key.verify(bundle.signature, bundle.signed)
    except InvalidSignature as error:
        raise AuthenticationError("the bundle's signature is wrong") from error
