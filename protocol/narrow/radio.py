"""The seal around narrow forms on the air: AES-SIV under a key that every enrolled device has.

A key that many share has nobody to hand out nonces, so the seal needs none. It hides what is sent
from listeners and keeps strangers' frames out; who wrote a bundle is proven by the signature
inside, as everywhere. Source: wire-format 12.7, security 2.3, RFC 5297, decision 34.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from protocol.errors import AuthenticationError, LimitExceededError, MalformedError
from protocol.guards import KNOCK_KEYS_MAX
from protocol.knock import KnockKeys, accepted_epochs
from protocol.narrow.bounds import NARROW_FRAME_BYTES_MAX

__all__ = ["FREE_BITS", "SEAL_BYTES", "keys_to_hear", "radio_key", "unwrap_untrusted", "wrap"]

SEAL_BYTES: Final = 16
"""What the seal adds."""
FREE_BITS: Final = 6
"""Of the first byte of a form, for whoever seals it."""
_FREE: Final = (1 << FREE_BITS) - 1
_DOMAIN: Final = b"meshnode radio 1\0"
_KEY_BYTES: Final = 64
_ESCAPED: Final = (0xC0, 0xDB)
"""Bytes that KISS writes as two."""


def radio_key(knock_key: bytes) -> bytes:
    """Return the 64 bytes that seal narrow forms in the week of a knock key (32 bytes)."""
    return HKDFExpand(algorithm=SHA256(), length=_KEY_BYTES, info=_DOMAIN).derive(knock_key)


def keys_to_hear(keys: KnockKeys, now_ms: int) -> Iterator[bytes]:
    """Yield the radio keys whose forms are taken now, those of the newest week first."""
    for epoch in reversed(accepted_epochs(now_ms)):
        for key in keys.get(epoch, ())[:KNOCK_KEYS_MAX]:
            yield radio_key(key)


def wrap(key: bytes, form: bytes, start: int) -> bytes:
    """Return a form sealed under a radio key, 16 bytes longer.

    The free bits are chosen, from `start` (0-63) on, so that no byte needs to be escaped; where
    there is no such choice, which is one case in 10^11, so that the fewest do. A random start
    makes repeats look different. Cost: 0.2 ms.
    """
    seal = AESSIV(key)
    firsts = (form[0] & ~_FREE | start + turn & _FREE for turn in range(_FREE + 1))
    choices = (seal.encrypt(bytes([first]) + form[1:], [_DOMAIN]) for first in firsts)
    return min(choices, key=_escapes)


def unwrap_untrusted(raw: bytes, keys: Iterable[bytes]) -> bytes:
    """Return the form in a frame that one of `keys` sealed, its free bits cleared.

    Raises: MalformedError, LimitExceededError; AuthenticationError if none of them did.
    """
    if len(raw) > NARROW_FRAME_BYTES_MAX:
        raise LimitExceededError("frame bytes", NARROW_FRAME_BYTES_MAX, len(raw))
    if len(raw) <= SEAL_BYTES:
        raise MalformedError("the frame is too short for a seal")
    for key in keys:
        try:
            form = AESSIV(key).decrypt(raw, [_DOMAIN])
        except InvalidTag:
            continue
        return bytes([form[0] & ~_FREE & 0xFF]) + form[1:]
    raise AuthenticationError("no radio key of an accepted week sealed this frame")


def _escapes(raw: bytes) -> int:
    return sum(raw.count(each) for each in _ESCAPED)
