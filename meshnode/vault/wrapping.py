"""The files of the two master keys: each wrapped, each one canonical record.

Tier 0 is wrapped under the value of the device. Tier 1 is wrapped under
HKDF(Argon2id(secret, salt, device value as its secret input)); on an unattended device, which must
start alone, under the value of the device and nothing else. The cost of Argon2id stands in the
file, so that it can rise with a change of the secret. Source: security 2.10, RFC 9106, RFC 5869.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from meshnode.errors import KeystoreError, WrongSecretError
from protocol.canonical import Value, as_array, as_bytes, as_uint, decode_untrusted, encode
from protocol.errors import RemoteProtocolError
from protocol.guards import (
    AGENT_ITERATIONS,
    AGENT_ITERATIONS_MAX,
    AGENT_LANES,
    AGENT_LANES_MAX,
    AGENT_MEMORY_KIB,
    AGENT_MEMORY_KIB_MAX,
    SECRET_CHARACTERS_MAX,
    SECRET_CHARACTERS_MIN,
)

__all__ = ["AGENT_COST", "SALT_BYTES", "AgentCost", "AgentFile", "check_secret", "unwrap", "wrap"]

SALT_BYTES: Final = 16
_VERSION: Final = 1
_BYTES_MAX: Final = 256
_NONCE_BYTES: Final = 12
_DEVICE_DOMAIN: Final = b"meshnode keystore device 1\0"
_UNATTENDED_DOMAIN: Final = b"meshnode keystore unattended 1\0"
_AGENT_DOMAIN: Final = b"meshnode keystore agent 1\0"
_TIER_0: Final = 0
_TIER_1: Final = 1


@dataclass(frozen=True, slots=True)
class AgentCost:
    """What one guess at the secret costs."""

    memory_kib: int
    """Memory, KiB; at least 8 for each lane."""
    iterations: int
    """Passes over it."""
    lanes: int
    """Parts that can be worked on at the same time."""


AGENT_COST: Final = AgentCost(AGENT_MEMORY_KIB, AGENT_ITERATIONS, AGENT_LANES)
"""What the product uses; about 0.2 s on one core."""


def check_secret(secret: str) -> None:
    """Refuse a new secret that is guessed too soon. Raises: KeystoreError."""
    if not SECRET_CHARACTERS_MIN <= len(secret) <= SECRET_CHARACTERS_MAX:
        raise KeystoreError(
            f"a secret has at least {SECRET_CHARACTERS_MIN} characters: take five words"
        )


# --- tier 0 ----------------------------------------------------------------------------------


def wrap(master: bytes, device_value: bytes, nonce: bytes) -> bytes:
    """Return the file of the device's master key."""
    head: list[Value] = [_VERSION, _TIER_0]
    sealed = AESGCMSIV(_expand(device_value, _DEVICE_DOMAIN)).encrypt(nonce, master, encode(head))
    return encode([*head, nonce, sealed])


def unwrap(raw: bytes, device_value: bytes) -> bytes:
    """Return the device's master key. Raises: KeystoreError if the file does not fit the device."""
    try:
        record = as_array(decode_untrusted(raw, max_bytes=_BYTES_MAX), "keystore", 4)
        as_uint(record[0], "version of the keystore", _VERSION, _VERSION)
        as_uint(record[1], "tier", _TIER_0)
        nonce, sealed = as_bytes(record[2], "nonce", _NONCE_BYTES), as_bytes(record[3], "key", 48)
        cipher = AESGCMSIV(_expand(device_value, _DEVICE_DOMAIN))
        return cipher.decrypt(nonce, sealed, encode(record[:2]))
    except (RemoteProtocolError, InvalidTag) as error:
        raise KeystoreError(
            "the device's key is damaged or of another device: enrol this device again"
        ) from error


# --- tier 1 ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AgentFile:
    """The file of the agent's master key, read."""

    salt: bytes
    """16 random bytes; empty where the device is unattended."""
    cost: AgentCost | None
    """None where the device is unattended."""
    nonce: bytes
    """12 bytes."""
    sealed: bytes
    """The master key, wrapped."""

    @property
    def is_unattended(self) -> bool:
        """True if no secret is needed."""
        return self.cost is None

    @classmethod
    def make(
        cls, master: bytes, device_value: bytes, secret: str | None, cost: AgentCost, fresh: bytes
    ) -> AgentFile:
        """Wrap `master` under `secret`, or under the device alone if that is None.

        `fresh` is 28 random bytes. Raises: KeystoreError for a secret that is too short.
        Cost: one Argon2id.
        """
        nonce, salt = fresh[:_NONCE_BYTES], fresh[_NONCE_BYTES : _NONCE_BYTES + SALT_BYTES]
        if secret is None:
            draft = cls(b"", None, nonce, b"")
        else:
            check_secret(secret)
            draft = cls(salt, cost, nonce, b"")
        key = draft._key(device_value, secret)
        return cls(
            draft.salt, draft.cost, nonce, AESGCMSIV(key).encrypt(nonce, master, draft._head)
        )

    def open(self, device_value: bytes, secret: str | None) -> bytes:
        """Return the master key. Raises: WrongSecretError. Cost: one Argon2id."""
        try:
            cipher = AESGCMSIV(self._key(device_value, secret))
            return cipher.decrypt(self.nonce, self.sealed, self._head)
        except InvalidTag as error:
            raise WrongSecretError("this is not the secret of this device") from error

    def encode(self) -> bytes:
        """Return the file."""
        return encode([*self._fields(), self.nonce, self.sealed])

    @classmethod
    def decode(cls, raw: bytes) -> AgentFile:
        """Read the file. Raises: KeystoreError if it is damaged or asks for too much work."""
        try:
            record = as_array(decode_untrusted(raw, max_bytes=_BYTES_MAX), "keystore", 8)
            as_uint(record[0], "version of the keystore", _VERSION, _VERSION)
            as_uint(record[1], "tier", _TIER_1, _TIER_1)
            salt = as_bytes(record[2], "salt", SALT_BYTES, 0)
            lanes = as_uint(record[5], "lanes", AGENT_LANES_MAX)
            cost = AgentCost(
                as_uint(record[3], "memory", AGENT_MEMORY_KIB_MAX, 8 * lanes),
                as_uint(record[4], "iterations", AGENT_ITERATIONS_MAX, 1 if lanes else 0),
                lanes,
            )
            nonce = as_bytes(record[6], "nonce", _NONCE_BYTES)
            sealed = as_bytes(record[7], "key", 48)
        except RemoteProtocolError as error:
            raise KeystoreError("the agent's key is damaged: enrol this device again") from error
        return cls(salt, cost if lanes else None, nonce, sealed)

    def _fields(self) -> list[Value]:
        cost = self.cost or AgentCost(0, 0, 0)
        return [_VERSION, _TIER_1, self.salt, cost.memory_kib, cost.iterations, cost.lanes]

    @property
    def _head(self) -> bytes:
        return encode(self._fields())

    def _key(self, device_value: bytes, secret: str | None) -> bytes:
        if self.cost is None:
            return _expand(device_value, _UNATTENDED_DOMAIN)
        if secret is None:
            raise WrongSecretError("this device needs the agent's secret")
        stretched = Argon2id(
            salt=self.salt,
            length=32,
            iterations=self.cost.iterations,
            lanes=self.cost.lanes,
            memory_cost=self.cost.memory_kib,
            secret=device_value,
        ).derive(_as_typed(secret))
        return _expand(stretched, _AGENT_DOMAIN)


def _as_typed(secret: str) -> bytes:
    """Two keyboards may send one letter in two forms."""
    return unicodedata.normalize("NFC", secret).encode()


def _expand(key: bytes, domain: bytes) -> bytes:
    return HKDFExpand(hashes.SHA256(), 32, domain).derive(key)
