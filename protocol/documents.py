"""What authority documents say: the root (who may sign what) and rosters (who belongs where).

Bodies only; the signed form around them and the rules of acceptance are in `protocol.authority`.
Source: wire-format 7.3-7.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from protocol.bundle import load_public_key
from protocol.canonical import (
    Value,
    as_array,
    as_bytes,
    as_text,
    as_uint,
    decode_untrusted,
    encode,
)
from protocol.errors import MalformedError, WeakKeyError
from protocol.guards import PQ_KEY_BYTES
from protocol.identity import (
    DeviceClass,
    Role,
    check_anchor_untrusted,
    decode_device_class,
    decode_role,
)
from protocol.ids import NodeId, node_id_of
from protocol.issuing import public_key_der
from protocol.limits import (
    ANCHORS_MAX,
    CERTIFICATE_BYTES_MAX,
    DOCUMENT_BYTES_MAX,
    MEMBERS_MAX,
    NAME_BYTES_MAX,
    SIGNERS_MAX,
)

__all__ = [
    "DocumentClass",
    "Member",
    "RootBody",
    "RosterBody",
    "SignerRule",
    "Unit",
    "decode_class",
    "decode_name",
    "decode_root_untrusted",
    "decode_roster_untrusted",
    "load_root_key_untrusted",
    "roster_scope",
    "zone_of_scope",
]


class DocumentClass(IntEnum):
    """What a document is about, and so whose signature it needs. Source: wire-format 7.1."""

    ROOT = 1
    ROSTER = 2
    REVOCATION = 3
    WIPE = 4
    BEACON = 5
    ERASURE = 6
    PASS = 7

    @property
    def is_witnessed(self) -> bool:
        """True if a certificate chain inside proves it, and no rule of the root does."""
        return self in (DocumentClass.ERASURE, DocumentClass.PASS)


_ZONED = (DocumentClass.ROSTER, DocumentClass.BEACON)


def zone_of_scope(cls: DocumentClass, scope: bytes) -> int:
    """Return the zone in the scope of a roster or beacon; 0 for every other class.

    Source: wire-format 7.4, 7.10.
    """
    if cls is DocumentClass.ROSTER:
        scope = scope[1:]
    return int.from_bytes(scope[:2], "big") if cls in _ZONED else 0


class Unit(IntEnum):
    """What a roster lists. Source: wire-format 7.4."""

    SQUAD = 1
    CENTRE = 2


@dataclass(frozen=True, slots=True)
class SignerRule:
    """Who signs one class of document."""

    cls: DocumentClass
    """Class that this rule is about."""
    threshold: int
    """So many of them must sign, at least 1."""
    keys: tuple[bytes, ...]
    """Raw Ed25519 keys, ascending. Empty for the root itself, which its root keys sign."""
    pq_keys: tuple[bytes, ...] = ()
    """Raw ML-DSA-65 keys, one beside each key in its order, or none at all; those of the root
    stand beside its root keys."""
    zones: tuple[int, ...] = ()
    """The one zone (1-65535) whose documents each key signs, in the order of the keys, 0 for any;
    empty where no key is bound. Of rosters and beacons alone, whose scope names a zone."""

    def within(self, zone: int) -> SignerRule:
        """Return the rule with those keys alone that sign for a zone; there may be none."""
        if not self.zones:
            return self
        kept = [number for number, each in enumerate(self.zones) if each in (0, zone)]
        pq_keys = tuple(self.pq_keys[number] for number in kept) if self.pq_keys else ()
        return SignerRule(
            self.cls, self.threshold, tuple(self.keys[number] for number in kept), pq_keys
        )

    def record(self) -> Value:
        """Return the canonical entry. Source: wire-format 7.3."""
        bound: list[Value] = [self.zones] if self.zones else []
        return [self.cls.value, self.threshold, self.keys, self.pq_keys, *bound]


@dataclass(frozen=True, slots=True)
class RootBody:
    """The top of all trust of one network. Source: wire-format 7.3."""

    network_name: str
    """1-64 bytes of UTF-8."""
    epoch: int
    """Number of this key set, from 1; the same as in the document around it."""
    root_keys: tuple[bytes, ...]
    """DER public keys, ECDSA P-384, ascending."""
    anchors: tuple[bytes, ...]
    """DER certificates to which every badge and link certificate must lead."""
    rules: tuple[SignerRule, ...]
    """One per class, ascending; the first is that of the root."""
    is_classical_on_narrow: bool = False
    """On narrow links a document with the Ed25519 half of its signatures is enough."""

    def rule(self, cls: DocumentClass) -> SignerRule | None:
        """Return who signs documents of one class, if anybody may."""
        return next((rule for rule in self.rules if rule.cls is cls), None)

    def encode(self) -> bytes:
        """Return the canonical body."""
        rules = [rule.record() for rule in self.rules]
        name, narrow = self.network_name.encode(), int(self.is_classical_on_narrow)
        return encode([name, self.epoch, self.root_keys, self.anchors, rules, narrow])


@dataclass(frozen=True, slots=True)
class Member:
    """One device in a roster."""

    public_key: bytes
    """32 raw bytes, Ed25519."""
    role: Role
    """What it may do in this unit."""
    device_class: DeviceClass
    """Kind of machine."""
    name: str
    """As people call it, 1-64 bytes of UTF-8."""

    @property
    def node(self) -> NodeId:
        """The id that follows from the key."""
        return node_id_of(self.public_key)


@dataclass(frozen=True, slots=True)
class RosterBody:
    """Who belongs to one unit. Source: wire-format 7.4."""

    unit: Unit
    """Squad or operations centre."""
    zone: int
    """1-65535."""
    unit_id: bytes
    """Squad id; empty for the operations centre."""
    name: str
    """Name of the unit, 1-64 bytes of UTF-8."""
    members: tuple[Member, ...]
    """At most 500, ascending by key."""

    @property
    def scope(self) -> bytes:
        """The scope of the document around this body."""
        return roster_scope(self.unit, self.zone, self.unit_id)

    @property
    def readers(self) -> frozenset[NodeId]:
        """Members who may read what is for this unit. Source: wire-format 7.5."""
        roles = _READERS[self.unit]
        return frozenset(member.node for member in self.members if member.role in roles)

    def encode(self) -> bytes:
        """Return the canonical body."""
        members = [
            [member.public_key, member.role.value, member.device_class.value, member.name.encode()]
            for member in self.members
        ]
        return encode([self.unit.value, self.zone, self.unit_id, self.name.encode(), members])


_READERS = {
    Unit.SQUAD: frozenset({Role.AGENT, Role.LEADER, Role.OPERATOR}),
    Unit.CENTRE: frozenset({Role.GATEWAY, Role.OPERATOR}),
}


def roster_scope(unit: Unit, zone: int, unit_id: bytes) -> bytes:
    """Return the scope of a roster: unit byte, zone, id. Source: wire-format 7.4."""
    return bytes([unit]) + zone.to_bytes(2, "big") + unit_id


def decode_root_untrusted(body: bytes) -> RootBody:
    """Return the root that a document of that class has as body.

    Raises: MalformedError, LimitExceededError.
    """
    record = as_array(decode_untrusted(body, max_bytes=DOCUMENT_BYTES_MAX), "root", 6)
    keys = as_array(record[2], "root keys", SIGNERS_MAX, 1)
    anchors = as_array(record[3], "anchors", ANCHORS_MAX, 1)
    rules = as_array(record[4], "rules", len(DocumentClass), 1)
    root = RootBody(
        network_name=decode_name(record[0], "network name"),
        epoch=as_uint(record[1], "epoch", minimum=1),
        root_keys=tuple(as_bytes(key, "root key", 256, 1) for key in keys),
        anchors=tuple(as_bytes(der, "anchor", CERTIFICATE_BYTES_MAX, 1) for der in anchors),
        rules=tuple(_rule_untrusted(rule) for rule in rules),
        is_classical_on_narrow=bool(as_uint(record[5], "rule for narrow links", 1)),
    )
    for key in root.root_keys:
        load_root_key_untrusted(key)
    for anchor in root.anchors:
        check_anchor_untrusted(anchor)
    _check_ascending(root.root_keys, "root keys")
    _check_ascending([rule.cls for rule in root.rules], "rules")
    first = root.rules[0]
    if first.cls is not DocumentClass.ROOT or not 1 <= first.threshold <= len(root.root_keys):
        raise MalformedError("the first rule says how many root keys sign the root")
    if len(first.pq_keys) not in (0, len(root.root_keys)):
        raise MalformedError("each root key has its ML-DSA key, or none has")
    return root


def _rule_untrusted(value: Value) -> SignerRule:
    record = as_array(value, "rule", 5, 4)
    cls = decode_class(record[0])
    if cls.is_witnessed:
        raise MalformedError("no rule of the root proves documents of this class")
    is_root = cls is DocumentClass.ROOT
    items = as_array(record[2], "signers", 0 if is_root else SIGNERS_MAX, 0 if is_root else 1)
    keys = tuple(_device_key_untrusted(item) for item in items)
    _check_ascending(keys, "signers")
    threshold = as_uint(record[1], "threshold", SIGNERS_MAX if is_root else len(keys), 1)
    if cls is DocumentClass.REVOCATION and threshold != 1:
        raise MalformedError("each signer of revocations has a list of its own")
    pq_items = as_array(record[3], "ML-DSA signers", SIGNERS_MAX, 0)
    pq_keys = tuple(as_bytes(item, "ML-DSA key", PQ_KEY_BYTES) for item in pq_items)
    if len(set(pq_keys)) != len(pq_keys) or not (is_root or len(pq_keys) in (0, len(keys))):
        raise MalformedError("each signer has its own ML-DSA key, or none has")
    zones = _zones_untrusted(record[4], cls, len(keys)) if len(record) == 5 else ()
    return SignerRule(cls, threshold, keys, pq_keys, zones)


def _zones_untrusted(value: Value, cls: DocumentClass, count: int) -> tuple[int, ...]:
    zones = tuple(as_uint(item, "zone", 65_535) for item in as_array(value, "zones", count))
    if cls not in _ZONED or not any(zones):
        raise MalformedError("signers of rosters and beacons alone are bound to zones")
    return zones


def decode_roster_untrusted(body: bytes) -> RosterBody:
    """Return the roster that a document of that class has as body.

    Raises: MalformedError, LimitExceededError. Cost: about 5 µs per member.
    """
    record = as_array(decode_untrusted(body, max_bytes=DOCUMENT_BYTES_MAX), "roster", 5)
    try:
        unit = Unit(as_uint(record[0], "unit"))
    except ValueError as error:
        raise MalformedError("unknown kind of unit") from error
    members = tuple(
        _member_untrusted(item) for item in as_array(record[4], "members", MEMBERS_MAX, 0)
    )
    _check_ascending([member.public_key for member in members], "members")
    return RosterBody(
        unit=unit,
        zone=as_uint(record[1], "zone", 65_535, 1),
        unit_id=as_bytes(record[2], "unit id", 8 if unit is Unit.SQUAD else 0),
        name=decode_name(record[3], "name of the unit"),
        members=members,
    )


def _member_untrusted(value: Value) -> Member:
    record = as_array(value, "member", 4)
    return Member(
        public_key=_device_key_untrusted(record[0]),
        role=decode_role(as_uint(record[1], "role")),
        device_class=decode_device_class(as_uint(record[2], "device class")),
        name=decode_name(record[3], "name of a member"),
    )


def _device_key_untrusted(value: Value) -> bytes:
    raw = as_bytes(value, "public key", 32)
    try:
        load_public_key(raw)
    except WeakKeyError as error:
        raise MalformedError("a key is of small order: anybody could sign for it") from error
    return raw


def load_root_key_untrusted(der: bytes) -> ec.EllipticCurvePublicKey:
    """Return the P-384 key of this DER form. Raises: MalformedError."""
    try:
        key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise MalformedError("a root key is no public key") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise MalformedError("a root key is an ECDSA P-384 key")
    if public_key_der(key) != der:
        raise MalformedError("a root key is not in its one form")
    return key


def decode_class(value: Value) -> DocumentClass:
    """Return the class with this number. Raises: MalformedError, LimitExceededError."""
    try:
        return DocumentClass(as_uint(value, "class"))
    except ValueError as error:
        raise MalformedError("unknown class of document") from error


def decode_name(value: Value, what: str) -> str:
    """Return a name people can read: 1-64 bytes of UTF-8 that no terminal takes as a command.

    Raises: MalformedError, LimitExceededError.
    """
    name = as_text(value, what, NAME_BYTES_MAX)
    if not name.isprintable() or name != name.strip() or not name:
        raise MalformedError(f"{what} is empty or has a character that does not print")
    return name


def _check_ascending(items: Sequence[bytes] | Sequence[int], what: str) -> None:
    if any(first >= second for first, second in pairwise(items)):  # type: ignore[operator]
        raise MalformedError(f"{what} are not in ascending order")
