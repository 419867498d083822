"""Documents that a certificate chain proves: proofs of erasure, and passes for newcomers.

No rule of the root names their signers. An erasure is signed by the link key of the device that
destroyed its keys, which its badge vouched for before; a pass by the unit authority of a leader
that enrolled a device in the field. Chains are judged at the time that the document states.
Source: wire-format 7.11, 7.12, security 2.2, 2.6, 2.9.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from protocol.bundle import load_public_key
from protocol.canonical import Value, as_array, as_bytes, as_uint, decode_untrusted, encode
from protocol.certificates import badge_key_untrusted
from protocol.documents import Member, decode_name
from protocol.errors import AuthenticationError, DocumentError, RightsError
from protocol.guards import PASS_MS_MAX
from protocol.identity import (
    UNIT_RANK,
    Badge,
    Role,
    authority_rights_untrusted,
    certificate_errors,
    rights_untrusted,
    verify_badge_untrusted,
    verify_binding,
    verify_link_chain_untrusted,
)
from protocol.ids import NodeId, SquadId
from protocol.limits import (
    CERTIFICATE_BYTES_MAX,
    CERTIFICATES_PER_CHAIN_MAX,
    DOCUMENT_BYTES_MAX,
)
from protocol.orders import ORDER_ID_BYTES, WipeLevel

__all__ = [
    "ErasureBody",
    "PassBody",
    "decode_erasure_untrusted",
    "decode_pass_untrusted",
    "member_of_pass_untrusted",
    "verify_erasure",
    "verify_pass",
]


@dataclass(frozen=True, slots=True)
class ErasureBody:
    """What a device says once it has destroyed its keys. Source: wire-format 7.11."""

    order_id: bytes
    """8 bytes of the wipe order."""
    node: NodeId
    """The device, 16 bytes."""
    level: WipeLevel
    """How much was destroyed."""
    badge_chain: tuple[bytes, ...]
    """DER, badge first."""
    link_chain: tuple[bytes, ...]
    """DER, link certificate first; its key signs the document."""
    binding: bytes
    """64 bytes: the badge's word that the link certificate is its own (wire-format 6.3)."""

    @property
    def scope(self) -> bytes:
        """The scope of the document around this body."""
        return self.order_id + self.node

    def encode(self) -> bytes:
        """Return the canonical body."""
        return encode(
            [
                self.order_id,
                self.node,
                self.level.value,
                self.badge_chain,
                self.link_chain,
                self.binding,
            ]
        )


@dataclass(frozen=True, slots=True)
class PassBody:
    """A device that a leader enrolled in the field, until the roster names it.

    Source: wire-format 7.12.
    """

    name: str
    """As people call the device, 1-64 bytes of UTF-8."""
    ends_ms: int
    """Unix milliseconds; at most `PASS_MS_MAX` after the document's time."""
    badge_chain: tuple[bytes, ...]
    """DER, badge first, then the unit authority that issued it."""

    def encode(self) -> bytes:
        """Return the canonical body."""
        return encode([self.name.encode(), self.ends_ms, self.badge_chain])


def decode_erasure_untrusted(body: bytes) -> ErasureBody:
    """Return the proof that a document of that class has as body.

    Raises: MalformedError, LimitExceededError.
    """
    record = as_array(_record_untrusted(body), "proof of erasure", 6)
    return ErasureBody(
        order_id=as_bytes(record[0], "order", ORDER_ID_BYTES),
        node=as_bytes(record[1], "device", 16),
        level=WipeLevel.ALL if as_uint(record[2], "level", 2, 1) == 2 else WipeLevel.AGENT,
        badge_chain=_chain_untrusted(record[3]),
        link_chain=_chain_untrusted(record[4]),
        binding=as_bytes(record[5], "binding signature", 64),
    )


def decode_pass_untrusted(body: bytes) -> PassBody:
    """Return the pass that a document of that class has as body.

    Raises: MalformedError, LimitExceededError.
    """
    record = as_array(_record_untrusted(body), "pass", 3)
    return PassBody(
        name=decode_name(record[0], "name of a member"),
        ends_ms=as_uint(record[1], "end of the pass"),
        badge_chain=_chain_untrusted(record[2]),
    )


def _chain_untrusted(value: Value) -> tuple[bytes, ...]:
    items = as_array(value, "certificates", CERTIFICATES_PER_CHAIN_MAX, 1)
    return tuple(as_bytes(item, "certificate", CERTIFICATE_BYTES_MAX, 1) for item in items)


def _record_untrusted(body: bytes) -> Value:
    return decode_untrusted(body, max_bytes=DOCUMENT_BYTES_MAX)


def verify_erasure(
    body: ErasureBody,
    message: bytes,
    signature: bytes,
    anchors: Sequence[bytes],
    issued_ms: int,
) -> Badge:
    """Return the badge of the device that signed `message` with its link key.

    Raises: the errors of a badge, AuthenticationError, DocumentError. Cost: 3-5 ms.
    """
    badge = verify_badge_untrusted(body.badge_chain, anchors, issued_ms)
    link_key = verify_link_chain_untrusted(body.link_chain, anchors, issued_ms)
    verify_binding(badge.public_key, body.link_chain[0], body.binding)
    if badge.node != body.node:
        raise DocumentError("a proof of erasure is about another device than its badge")
    try:
        load_public_key(link_key).verify(signature, message)
    except InvalidSignature as error:
        raise AuthenticationError("the link key of the device did not sign this") from error
    return badge


def member_of_pass_untrusted(body: PassBody) -> tuple[Member, int, tuple[SquadId, ...]]:
    """Return the member that a pass claims to make, its zone and its squads; proves nothing.

    Raises: MalformedError, LimitExceededError, WeakKeyError.
    """
    key, rights = badge_key_untrusted(body.badge_chain[0]), rights_untrusted(body.badge_chain[0])
    return Member(key, rights.role, rights.device_class, body.name), rights.zone, rights.squads


def verify_pass(
    body: PassBody,
    message: bytes,
    signature: bytes,
    anchors: Sequence[bytes],
    issued_ms: int,
) -> tuple[Member, int, tuple[SquadId, ...]]:
    """Return the member that a pass makes, its zone, and the squads that it is in.

    Raises: the errors of a badge, RightsError, AuthenticationError, DocumentError. Cost: 3-5 ms.
    """
    badge = verify_badge_untrusted(body.badge_chain, anchors, issued_ms)
    if len(body.badge_chain) < 2:
        raise DocumentError("a pass shows the authority that gave it")
    rights = authority_rights_untrusted(body.badge_chain[1])
    if rights.rank != UNIT_RANK or badge.role not in (Role.AGENT, Role.RELAY):
        raise RightsError("only a unit authority gives a pass, to agents and relays of its squads")
    if not issued_ms < body.ends_ms <= issued_ms + PASS_MS_MAX:
        raise DocumentError("a pass lasts for one shift")
    with certificate_errors():
        issuer = x509.load_der_x509_certificate(body.badge_chain[1]).public_key()
    assert isinstance(issuer, ec.EllipticCurvePublicKey), "the path was verified"
    try:
        issuer.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise AuthenticationError("the unit authority did not sign this pass") from error
    return member_of_pass_untrusted(body)
