"""A stand-in for HPKE whose every byte follows from the entropy given: for simulation only.

It keeps no secret from anyone: whoever sees a public key can open what is sealed to it. Keys are
real, sizes and errors are those of `protocol.envelope`; one contract suite runs over both.
Source: architecture 1 (the library's HPKE takes no random input).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import mlkem, x25519

from protocol.envelope import (
    SUITES_HYBRID,
    PrekeyRecord,
    PrekeySecret,
    open_message,
    prekey_id_of,
    seal_message,
)
from protocol.errors import TamperedError, WeakKeyError
from protocol.limits import PREKEY_END_MS

__all__ = ["StandInSealer"]

_MLKEM_PUBLIC_BYTES = 1_184
_MLKEM_SEED_BYTES = 64
_ENCAPSULATION_BYTES = 1_120
_DRAWN_BYTES = 32
_PROBE = x25519.X25519PrivateKey.from_private_bytes(bytes(range(32)))
"""Any key: its exchange with a point of small order fails, as that of HPKE does."""


class StandInSealer:
    """Seals under a key that is hashed from public things; repeatable, and not secret."""

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy

    def make_prekey(self, now_ms: int) -> tuple[PrekeySecret, PrekeyRecord]:
        """Return the prekey that the next 96 bytes of entropy are; it ends in nine days."""
        private = self._entropy(_MLKEM_SEED_BYTES) + self._entropy(32)
        public = _public_of(private)
        prekey_id, ends_ms = prekey_id_of(public), now_ms + PREKEY_END_MS
        return (
            PrekeySecret(prekey_id, ends_ms, private),
            PrekeyRecord(prekey_id, now_ms, ends_ms, SUITES_HYBRID, public),
        )

    def seal_hybrid(self, public: bytes, info: bytes, plaintext: bytes) -> bytes:
        """Return `plaintext` for the holder of a prekey, 1,136 bytes longer.

        Raises: WeakKeyError if the key is none that can be sealed to.
        """
        _check_public(public)
        drawn = self._entropy(_DRAWN_BYTES)
        encapsulation = hashlib.shake_256(b"meshnode stand-in 1\0" + drawn + public).digest(
            _ENCAPSULATION_BYTES
        )
        return encapsulation + seal_message(_key(public, encapsulation), info, plaintext)

    def open_hybrid(self, secret: PrekeySecret, info: bytes, sealed: bytes) -> bytes:
        """Return the plaintext. Raises: TamperedError."""
        encapsulation, content = sealed[:_ENCAPSULATION_BYTES], sealed[_ENCAPSULATION_BYTES:]
        if len(content) < 16:
            raise TamperedError("the sealed content is too short")
        return open_message(_key(_public_of(secret.private), encapsulation), info, content)


def _key(public: bytes, encapsulation: bytes) -> bytes:
    return hashlib.sha256(b"meshnode stand-in key 1\0" + encapsulation + public).digest()


def _public_of(private: bytes) -> bytes:
    post_quantum = mlkem.MLKEM768PrivateKey.from_seed_bytes(private[:_MLKEM_SEED_BYTES])
    classical = x25519.X25519PrivateKey.from_private_bytes(private[_MLKEM_SEED_BYTES:])
    return post_quantum.public_key().public_bytes_raw() + classical.public_key().public_bytes_raw()


def _check_public(public: bytes) -> None:
    """Refuse what HPKE refuses: wrong lengths, values out of range, points of small order."""
    try:
        mlkem.MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_PUBLIC_BYTES]).encapsulate()
        point = x25519.X25519PublicKey.from_public_bytes(public[_MLKEM_PUBLIC_BYTES:])
        _PROBE.exchange(point)
    except ValueError as error:
        raise WeakKeyError("this prekey cannot be sealed to") from error
