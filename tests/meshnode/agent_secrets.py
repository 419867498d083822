"""Agent's keys behind a secret, for tests: the badge's key really is sealed under it."""

from __future__ import annotations

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from meshnode.errors import WrongSecretError
from meshnode.locking import Lent, SecretCase

SECRET = "a secret of five plain words"


def sealed(badge: ed25519.Ed25519PrivateKey, secret: str) -> bytes:
    """Return a badge's key sealed under a secret."""
    sealing = BestAvailableEncryption(secret.encode())
    return badge.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealing)


class SealedKeys:
    """Keys that a secret opens."""

    case = SecretCase.WORDS

    def __init__(self, badge: ed25519.Ed25519PrivateKey | bytes) -> None:
        self._sealed = badge if isinstance(badge, bytes) else sealed(badge, SECRET)
        self.is_open = False
        self.tries = 0

    def unlock(self, secret: str) -> Callable[[bytes], bytes]:
        self.tries += 1
        try:
            key = load_pem_private_key(self._sealed, secret.encode() or b"-")
        except ValueError as error:
            raise WrongSecretError("the secret is wrong") from error
        assert isinstance(key, ed25519.Ed25519PrivateKey)
        self.is_open = True
        return key.sign

    def lend(self, secret: str) -> Lent:
        sign = self.unlock(secret)
        self.is_open = False
        return Lent(sign, None)

    def lock(self) -> None:
        self.is_open = False


class OpenKeys(SealedKeys):
    """Keys of an unattended device."""

    case = SecretCase.UNATTENDED

    def unlock(self, _secret: str) -> Callable[[bytes], bytes]:
        return super().unlock(SECRET)
