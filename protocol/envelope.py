"""Seals and opens content: hybrid HPKE to prekeys, AEAD under chain and zone keys, padding.

The one stated exception to the purity of `protocol`: the library draws the entropy of HPKE and
of new keys itself. The node gets this room as a `Sealer`, and simulations pass a stand-in.
Source: wire-format 4.2 and 4.6-4.11, RFC 9180, security 2.5.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from protocol import canonical
from protocol.errors import MalformedError, TamperedError, WeakKeyError
from protocol.ids import BundleId, NodeId
from protocol.limits import (
    BODY_BYTES_MAX,
    CHAIN_MESSAGES_MAX,
    PREKEY_END_MS,
)

__all__ = [
    "HYBRID_OVERHEAD_BYTES",
    "SUITES_CLASSICAL",
    "SUITES_HYBRID",
    "HpkeSealer",
    "PrekeyRecord",
    "PrekeySecret",
    "Sealer",
    "Slot",
    "SlotSecret",
    "check_prekey",
    "decode_prekey_secret",
    "decode_prekey_untrusted",
    "decode_slot_secret_untrusted",
    "decode_slots_untrusted",
    "encode_prekey",
    "encode_prekey_secret",
    "encode_slot_secret",
    "encode_slots",
    "open_classical",
    "open_message",
    "pad",
    "prekey_id_of",
    "seal_classical",
    "seal_info",
    "seal_message",
    "sheets_message_key",
    "slot_info",
    "sos_message_key",
    "unpad_untrusted",
]

HYBRID_OVERHEAD_BYTES = 1_136
"""Encapsulation 1,120 and tag 16."""
_MLKEM_PUBLIC = 1_184
_PUBLIC_BYTES = _MLKEM_PUBLIC + 32
_SLOTS_MAX = 45
_ZERO_NONCE = bytes(12)
_HYBRID = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)
_CLASSICAL = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)
_PADDED_SIZES = (32, 64, 128, 256, 512, 1024, 2048, 4096)

SUITES_HYBRID = 1
"""Bit of a prekey record: hybrid sealing is accepted."""
SUITES_CLASSICAL = 2
"""Bit of a prekey record: classical sealing is accepted too."""


@dataclass(frozen=True, slots=True)
class PrekeyRecord:
    """A public prekey as it travels in the mesh. Source: wire-format 4.11."""

    prekey_id: bytes
    """8 bytes, hash of `public`."""
    issued_ms: int
    """Unix milliseconds."""
    ends_ms: int
    """Nothing sealed to it may expire later."""
    suites: int
    """Bit set: 1 hybrid, 2 classical."""
    public: bytes
    """ML-KEM-768 public key and X25519 public key, 1,216 bytes."""


@dataclass(frozen=True, slots=True)
class PrekeySecret:
    """The private half of a prekey."""

    prekey_id: bytes
    """8 bytes."""
    ends_ms: int
    """As in the record."""
    private: bytes = field(repr=False)
    """ML-KEM-768 seed (64) and X25519 private key (32)."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Chain keys sealed to one member. Source: wire-format 4.7."""

    member: NodeId
    """16 bytes."""
    prekey_id: bytes
    """Which of the member's prekeys opens it."""
    sealed: bytes
    """Hybrid ciphertext of a SlotSecret."""


@dataclass(frozen=True, slots=True)
class SlotSecret:
    """What a slot holds."""

    author: NodeId
    """Whose chain it is."""
    chain_id: bytes
    """8 bytes."""
    index: int
    """Number that `seed` belongs to."""
    scope: bytes
    """Whom the chain is for, encoded."""
    seed: bytes = field(repr=False)
    """32 bytes."""


class Sealer(Protocol):
    """What the node needs from public-key sealing; replaced in simulation."""

    def make_prekey(self, now_ms: int) -> tuple[PrekeySecret, PrekeyRecord]:
        """Return a fresh prekey."""

    def seal_hybrid(self, public: bytes, info: bytes, plaintext: bytes) -> bytes:
        """Return `plaintext` sealed to a prekey."""

    def open_hybrid(self, secret: PrekeySecret, info: bytes, sealed: bytes) -> bytes:
        """Return the plaintext. Raises: TamperedError."""


class HpkeSealer:
    """HPKE base mode, ML-KEM-768 with X25519, HKDF-SHA-256, ChaCha20-Poly1305."""

    def make_prekey(self, now_ms: int) -> tuple[PrekeySecret, PrekeyRecord]:
        """Return a fresh prekey that ends nine days after `now_ms`."""
        post_quantum = mlkem.MLKEM768PrivateKey.generate()
        classical = x25519.X25519PrivateKey.generate()
        public = (
            post_quantum.public_key().public_bytes_raw() + classical.public_key().public_bytes_raw()
        )
        prekey_id = prekey_id_of(public)
        private = post_quantum.private_bytes_raw() + classical.private_bytes_raw()
        ends_ms = now_ms + PREKEY_END_MS
        return (
            PrekeySecret(prekey_id, ends_ms, private),
            PrekeyRecord(prekey_id, now_ms, ends_ms, SUITES_HYBRID, public),
        )

    def seal_hybrid(self, public: bytes, info: bytes, plaintext: bytes) -> bytes:
        """Return `plaintext` sealed to a prekey, 1,136 bytes longer. Cost: about 0.15 ms.

        Raises: WeakKeyError if the key is none that can be sealed to.
        """
        try:
            key = hpke.MLKEM768X25519PublicKey(
                mlkem.MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_PUBLIC]),
                x25519.X25519PublicKey.from_public_bytes(public[_MLKEM_PUBLIC:]),
            )
            sealed: bytes = _HYBRID.encrypt(plaintext, key, info)
        except ValueError as error:
            raise WeakKeyError("this prekey cannot be sealed to") from error
        return sealed

    def open_hybrid(self, secret: PrekeySecret, info: bytes, sealed: bytes) -> bytes:
        """Return the plaintext. Raises: TamperedError. Cost: about 0.1 ms."""
        key = hpke.MLKEM768X25519PrivateKey(
            mlkem.MLKEM768PrivateKey.from_seed_bytes(secret.private[:64]),
            x25519.X25519PrivateKey.from_private_bytes(secret.private[64:]),
        )
        try:
            plaintext: bytes = _HYBRID.decrypt(sealed, key, info)
        except (InvalidTag, ValueError) as error:
            raise TamperedError("the sealed content was changed or is for another key") from error
        return plaintext


def seal_classical(public: bytes, info: bytes, plaintext: bytes) -> bytes:
    """Return `plaintext` sealed to the X25519 half of a prekey (suite 3), 48 bytes longer.

    Raises: WeakKeyError. Never chosen automatically: the record must allow it.
    """
    try:
        key = x25519.X25519PublicKey.from_public_bytes(public[_MLKEM_PUBLIC:])
        sealed: bytes = _CLASSICAL.encrypt(plaintext, key, info)
    except ValueError as error:
        raise WeakKeyError("this prekey cannot be sealed to") from error
    return sealed


def open_classical(secret: PrekeySecret, info: bytes, sealed: bytes) -> bytes:
    """Return the plaintext of suite 3. Raises: TamperedError."""
    key = x25519.X25519PrivateKey.from_private_bytes(secret.private[64:])
    try:
        plaintext: bytes = _CLASSICAL.decrypt(sealed, key, info)
    except (InvalidTag, ValueError) as error:
        raise TamperedError("the sealed content was changed or is for another key") from error
    return plaintext


def prekey_id_of(public: bytes) -> bytes:
    """Return the 8 bytes that name a public prekey."""
    return hashlib.sha256(public).digest()[:8]


def check_prekey(record: PrekeyRecord) -> None:
    """Try the key before it is kept. Raises: WeakKeyError (security F12)."""
    if not any(record.public[:_MLKEM_PUBLIC]) or not any(record.public[_MLKEM_PUBLIC:]):
        raise WeakKeyError("this prekey is all zero")
    HpkeSealer().seal_hybrid(record.public, b"meshnode prekey check 1\0", b"")


def seal_info(header_bytes: bytes) -> bytes:
    """Return the HPKE info of a body for one recipient. Source: wire-format 4.9."""
    return b"meshnode seal 1\0" + header_bytes


def slot_info(header_bytes: bytes, member: NodeId) -> bytes:
    """Return the HPKE info of one slot. Source: wire-format 4.7."""
    return b"meshnode slot 1\0" + header_bytes + member


def seal_message(key: bytes, aad: bytes, plaintext: bytes) -> bytes:
    """Return `plaintext` under a key that is used once. Source: wire-format 4.6."""
    return ChaCha20Poly1305(key).encrypt(_ZERO_NONCE, plaintext, aad)


def open_message(key: bytes, aad: bytes, sealed: bytes) -> bytes:
    """Return the plaintext. Raises: TamperedError."""
    try:
        return ChaCha20Poly1305(key).decrypt(_ZERO_NONCE, sealed, aad)
    except InvalidTag as error:
        raise TamperedError("the sealed content was changed or is for another key") from error


def _expand(key: bytes, info: bytes, length: int) -> bytes:
    return HKDFExpand(algorithm=SHA256(), length=length, info=info).derive(key)


def sos_message_key(zone_key: bytes, bundle: BundleId) -> bytes:
    """Return the key of one SOS: never used for another bundle. Source: wire-format 4.8."""
    return _expand(zone_key, b"meshnode sos 1\0" + _name_of(bundle), 32)


def sheets_message_key(zone_key: bytes, bundle: BundleId) -> bytes:
    """Return the key of one catalogue of sheets, which is that of no SOS. Source: 13.1."""
    return _expand(zone_key, b"meshnode sheets 1\0" + _name_of(bundle), 32)


def _name_of(bundle: BundleId) -> bytes:
    return bundle.author + bundle.incarnation.to_bytes(4, "big") + bundle.seq.to_bytes(8, "big")


def pad(payload: bytes) -> bytes:
    """Return `payload` padded to its size class. Source: wire-format 4.10."""
    length = len(payload) + 1
    size = next((size for size in _PADDED_SIZES if size >= length), -(-length // 4096) * 4096)
    return payload + b"\x80" + bytes(size - length)


def unpad_untrusted(padded: bytes) -> bytes:
    """Return the payload. Raises: MalformedError if it is not what `pad` gives."""
    payload = padded.rstrip(b"\0")
    if not payload.endswith(b"\x80") or pad(payload[:-1]) != padded:
        raise MalformedError("the padding is wrong")
    return payload[:-1]


def encode_prekey(record: PrekeyRecord) -> bytes:
    """Return the body of a prekey bundle."""
    return canonical.encode(
        (1, record.prekey_id, record.issued_ms, record.ends_ms, record.suites, record.public)
    )


def decode_prekey_untrusted(raw: bytes) -> PrekeyRecord:
    """Read the body of a prekey bundle. Raises: MalformedError, LimitExceededError."""
    value = canonical.decode_untrusted(raw, max_bytes=_PUBLIC_BYTES + 64)
    version, prekey_id, issued_ms, ends_ms, suites, public = canonical.as_array(value, "prekey", 6)
    if version != 1:
        raise MalformedError("the prekey has an unknown version")
    record = PrekeyRecord(
        canonical.as_bytes(prekey_id, "prekey id", 8),
        canonical.as_uint(issued_ms, "issued_ms", 2**48),
        canonical.as_uint(ends_ms, "ends_ms", 2**48),
        canonical.as_uint(suites, "suites", SUITES_HYBRID | SUITES_CLASSICAL, SUITES_HYBRID),
        canonical.as_bytes(public, "public", _PUBLIC_BYTES),
    )
    if record.prekey_id != prekey_id_of(record.public):
        raise MalformedError("the prekey's name is not its own")
    if not record.issued_ms < record.ends_ms <= record.issued_ms + PREKEY_END_MS:
        raise MalformedError("the prekey claims a longer life than allowed")
    return record


def encode_prekey_secret(secret: PrekeySecret) -> bytes:
    """Return the bytes that the key ring stores."""
    return canonical.encode((1, secret.prekey_id, secret.ends_ms, secret.private))


def decode_prekey_secret(raw: bytes) -> PrekeySecret:
    """Read what `encode_prekey_secret` wrote. Raises: MalformedError, LimitExceededError."""
    value = canonical.decode_untrusted(raw, max_bytes=256)
    version, prekey_id, ends_ms, private = canonical.as_array(value, "prekey secret", 4)
    canonical.as_uint(version, "version of the prekey secret", 1, 1)
    return PrekeySecret(
        canonical.as_bytes(prekey_id, "prekey id", 8),
        canonical.as_uint(ends_ms, "ends_ms", 2**48),
        canonical.as_bytes(private, "private", 96),
    )


def encode_slots(slots: Sequence[Slot]) -> bytes:
    """Return the body of a chain keys bundle; at most 45 slots fit."""
    return canonical.encode([(slot.member, slot.prekey_id, slot.sealed) for slot in slots])


def decode_slots_untrusted(raw: bytes) -> tuple[Slot, ...]:
    """Read the body of a chain keys bundle. Raises: MalformedError, LimitExceededError."""
    value = canonical.decode_untrusted(raw, max_bytes=BODY_BYTES_MAX)
    slots = []
    for item in canonical.as_array(value, "slots", _SLOTS_MAX, 1):
        member, prekey_id, sealed = canonical.as_array(item, "slot", 3)
        slots.append(
            Slot(
                canonical.as_bytes(member, "member", 16),
                canonical.as_bytes(prekey_id, "prekey id", 8),
                canonical.as_bytes(sealed, "sealed", 2_048, 0),
            )
        )
    return tuple(slots)


def encode_slot_secret(secret: SlotSecret) -> bytes:
    """Return the plaintext of a slot."""
    return canonical.encode(
        (1, secret.author, secret.chain_id, secret.index, secret.seed, secret.scope)
    )


def decode_slot_secret_untrusted(raw: bytes) -> SlotSecret:
    """Read the plaintext of a slot. Raises: MalformedError, LimitExceededError."""
    value = canonical.decode_untrusted(raw, max_bytes=256)
    version, author, chain_id, index, seed, scope = canonical.as_array(value, "slot secret", 6)
    if version != 1:
        raise MalformedError("the slot has an unknown version")
    return SlotSecret(
        canonical.as_bytes(author, "author", 16),
        canonical.as_bytes(chain_id, "chain id", 8),
        canonical.as_uint(index, "index", CHAIN_MESSAGES_MAX - 1),
        canonical.as_bytes(scope, "scope", 20, 3),
        canonical.as_bytes(seed, "seed", 32),
    )
