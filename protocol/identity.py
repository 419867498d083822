"""Badges and link certificates: who a device is, what it may do, and who may say so.

An ECDSA P-384 root certifies P-256 regional authorities, which certify Ed25519 badges; rights only
narrow on the way down. A badge never serves as a TLS certificate, and a link certificate tells
nothing about its device. Dates are judged by the caller's clock, and last: an expired badge is a
badge that is right in everything else. Keys and serial numbers are drawn inside the library.
Source: wire-format 10, security 2.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import IntEnum

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import verification
from cryptography.x509.oid import AttributeOID, ExtendedKeyUsageOID, NameOID

from protocol.canonical import as_array, as_bytes, as_uint, decode_untrusted, encode
from protocol.errors import (
    AuthenticationError,
    ExpiredError,
    LimitExceededError,
    MalformedError,
    NotEnrolledError,
    RightsError,
    WeakKeyError,
)
from protocol.ids import NodeId, SquadId, node_id_of
from protocol.limits import (
    BADGE_LIFE_MS,
    CERTIFICATE_BYTES_MAX,
    CERTIFICATE_EARLY_MS,
    CERTIFICATES_PER_CHAIN_MAX,
    REGIONAL_LIFE_MS,
    ROOT_LIFE_MS,
    SQUADS_PER_BADGE_MAX,
)

__all__ = [
    "Badge",
    "DeviceClass",
    "RegionalAuthority",
    "Rights",
    "Role",
    "RootAuthority",
    "binding_message",
    "check_anchor_untrusted",
    "check_link_dates_untrusted",
    "issue_badge",
    "issue_link",
    "load_public_key",
    "make_regional",
    "make_request",
    "make_root",
    "public_key_der",
    "public_key_of",
    "read_request_untrusted",
    "verify_badge_untrusted",
    "verify_binding",
    "verify_link_chain_untrusted",
]

# A UUID of our own under the arc that needs no registration (ITU-T X.667).
_ARC = "2.25.234624163638807188979094538279132830522"
_BADGE_USE = x509.ObjectIdentifier(f"{_ARC}.1")
_RIGHTS = x509.ObjectIdentifier(f"{_ARC}.2")
_AUTHORITY_RIGHTS = x509.ObjectIdentifier(f"{_ARC}.3")
_BADGE_USES = frozenset({_BADGE_USE})
_LINK_USES = frozenset({ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH})
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_PRIME = 2**255 - 19


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
_UNIT_RANK = _RANKS[Role.LEADER]
_REGIONAL_RANK = 5


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
class Badge:
    """A verified identity: the chain held, and the dates and rights were right."""

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


@dataclass(frozen=True, slots=True)
class _Authority:
    """What an intermediate certificate may give. Source: wire-format 10.3."""

    rank: int
    """2 for a unit authority, 5 for a regional one."""
    zone: int
    """1-65535."""
    squads: tuple[SquadId, ...]
    """The only squads it may name; none for a regional authority, which may name any."""


@dataclass(frozen=True, slots=True)
class _Path:
    """A chain that leads to an anchor; its dates are not judged yet."""

    certificates: tuple[x509.Certificate, ...]
    """Leaf first, anchor last."""
    not_before_ms: int
    """Latest start of any of them."""
    not_after_ms: int
    """Earliest end of any of them."""


def verify_badge_untrusted(chain: Sequence[bytes], anchors: Sequence[bytes], now_ms: int) -> Badge:
    """Return the identity that `chain` (DER, badge first) proves under one of `anchors` (DER).

    Raises: MalformedError or LimitExceededError for bytes that are no such chain,
    NotEnrolledError if no trusted authority signed it, RightsError, WeakKeyError, and
    ExpiredError only if everything but the date is right.
    Cost: 2-5 ms with a P-384 root: callers remember the result.
    """
    path = _verify_path(chain, anchors, _BADGE_USES)
    leaf = path.certificates[0]
    with _reading("badge"):
        public_key = _device_key(leaf)
        rights = _rights_untrusted(leaf)
        issuers = [_authority_untrusted(issuer) for issuer in path.certificates[1:-1]]
        _check_name(leaf, node_id_of(public_key))
    _check_narrowing(rights, issuers)
    _check_dates(path, now_ms)
    return Badge(
        node=node_id_of(public_key),
        public_key=public_key,
        role=rights.role,
        zone=rights.zone,
        squads=rights.squads,
        device_class=rights.device_class,
        not_before_ms=path.not_before_ms,
        not_after_ms=path.not_after_ms,
        chain=tuple(chain),
    )


def verify_link_chain_untrusted(
    chain: Sequence[bytes], anchors: Sequence[bytes], now_ms: int
) -> bytes:
    """Return the raw public key of a link certificate that one of `anchors` stands behind.

    Raises: as `verify_badge_untrusted`, without RightsError: a link certificate has no rights.
    """
    path = _verify_path(chain, anchors, _LINK_USES)
    with _reading("link certificate"):
        public_key = _device_key(path.certificates[0])
    _check_dates(path, now_ms)
    return public_key


def check_link_dates_untrusted(certificate: bytes, now_ms: int) -> None:
    """Check the dates of one link certificate that TLS has already traced to an anchor.

    OpenSSL is told not to look at dates, because only our clock counts (security 2.3).
    Raises: MalformedError, LimitExceededError, ExpiredError.
    """
    parsed = _parse_untrusted(certificate)
    with _reading("link certificate"):
        window = _window([parsed])
    _check_dates(_Path((parsed,), *window), now_ms)


def check_anchor_untrusted(certificate: bytes) -> None:
    """Check that `certificate` can be an anchor. Raises: MalformedError, LimitExceededError."""
    parsed = _parse_untrusted(certificate)
    with _reading("anchor"):
        _window([parsed])
        verification.Store([parsed])
        if not isinstance(parsed.public_key(), ec.EllipticCurvePublicKey):
            raise MalformedError("an anchor has an elliptic curve key")


def load_public_key(raw: bytes) -> ed25519.Ed25519PublicKey:
    """Return the key of 32 raw bytes. Raises: MalformedError, WeakKeyError.

    The library loads the small-order points, for which one signature fits many messages, and
    second encodings of good points, which would give one key two ids (security F11).
    """
    if len(raw) != 32:
        raise MalformedError("a public key has 32 bytes")
    height = int.from_bytes(raw, "little") & (2**255 - 1)
    if height >= _PRIME or height in _SMALL_ORDER:
        raise WeakKeyError("this public key is of small order or not in its one form")
    return ed25519.Ed25519PublicKey.from_public_bytes(raw)


_ORDER_8 = 2707385501144840649318225287225658788936804267575313519463743609750303021
_SMALL_ORDER = frozenset({0, 1, _PRIME - 1, _ORDER_8, _PRIME - _ORDER_8})
"""Heights (y) of the eight points of small order; either sign of x."""


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


# --- the authority's side ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RootAuthority:
    """The top of the chain; kept offline."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    """P-384."""
    certificate: bytes
    """DER, signed by itself: the anchor."""


@dataclass(frozen=True, slots=True)
class RegionalAuthority:
    """Issues badges and link certificates of one zone."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    """P-256."""
    badge_issuer: bytes
    """DER, signed by the root: may issue badges, and says for which zone."""
    link_issuer: bytes
    """DER, signed by the root: may issue link certificates, and says nothing else.

    Anybody who dials a node may see it, so it must not name the zone.
    """


def make_root(now_ms: int) -> RootAuthority:
    """Return a new root, valid for ten years."""
    key = ec.generate_private_key(ec.SECP384R1())
    name = _opaque_name()
    builder = _builder(name, name, key.public_key(), now_ms, ROOT_LIFE_MS)
    builder = _as_issuer(builder, key.public_key(), None)
    return RootAuthority(key, _sign(builder, key, hashes.SHA384()))


def make_regional(root: RootAuthority, zone: int, now_ms: int) -> RegionalAuthority:
    """Return a new authority for `zone` (1-65535) under `root`, valid for two years."""
    key = ec.generate_private_key(ec.SECP256R1())
    rights = x509.UnrecognizedExtension(_AUTHORITY_RIGHTS, encode([1, _REGIONAL_RANK, zone, ()]))
    badge_issuer = _regional(root, key, _BADGE_USE, now_ms).add_extension(rights, critical=False)
    link_issuer = _regional(root, key, *_LINK_USES, now_ms=now_ms)
    return RegionalAuthority(
        key,
        _sign(badge_issuer, root.key, hashes.SHA384()),
        _sign(link_issuer, root.key, hashes.SHA384()),
    )
