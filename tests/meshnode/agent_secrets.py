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
from meshnode.locking import SecretCase

SECRET = "a secret of five plain words"


class SealedKeys:
    """Keys that a secret opens."""

    case = SecretCase.WORDS

    def __init__(self, badge: ed25519.Ed25519PrivateKey, secret: str = SECRET) -> None:
        sealing = BestAvailableEncryption(secret.encode())
        self._sealed = badge.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealing)
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

    def lock(self) -> None:
        self.is_open = False


class OpenKeys(SealedKeys):
    """Keys of an unattended device."""

    case = SecretCase.UNATTENDED

    def unlock(self, _secret: str) -> Callable[[bytes], bytes]:
        return super().unlock(SECRET)
