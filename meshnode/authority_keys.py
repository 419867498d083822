"""The authority's signing keys on disk, and the seal over what it remembers.

One passphrase opens all: scrypt stretches it, and its result encrypts the PKCS#8 files and keys
the seal of the state. Without the passphrase the folder tells nothing but its cost parameters.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from meshnode.files import erase, write_private
from protocol.authority import Signer, document_signer, pq_signer, root_signer
from protocol.errors import MeshError
from protocol.issuing import public_key_der

__all__ = [
    "PASSPHRASE_CHARACTERS_MIN",
    "SCRYPT_COST",
    "AuthorityError",
    "AuthorityKeys",
    "DocumentKey",
    "HybridKey",
    "RootKey",
    "check_passphrase",
    "stretch",
]

SCRYPT_COST = 2**16
"""64 MB and about a fifth of a second for each guess at the passphrase."""
PASSPHRASE_CHARACTERS_MIN = 12
"""Below, a day of guessing opens a stolen folder."""
_SCRYPT_COST_MAX = 2**20
_STATE_DOMAIN = b"meshnode authority state 1\0"
_PASSWORD_DOMAIN = b"meshnode authority keys 1\0"

_PrivateKey: TypeAlias = (
    ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | mldsa.MLDSA65PrivateKey
)


class AuthorityError(MeshError):
    """The authority's folder cannot be used as asked."""


@dataclass(frozen=True, slots=True)
class HybridKey:
    """A key of documents: a signature counts only with both its halves. Source: security 2.1."""

    classical: ed25519.Ed25519PrivateKey = field(repr=False)
    """Ed25519."""
    pq: mldsa.MLDSA65PrivateKey = field(repr=False)
    """ML-DSA-65."""

    @classmethod
    def generate(cls) -> HybridKey:
        """Return a fresh pair. Cost: below a millisecond."""
        return cls(ed25519.Ed25519PrivateKey.generate(), mldsa.MLDSA65PrivateKey.generate())

    @classmethod
    def from_seeds(cls, classical: bytes, pq: bytes) -> HybridKey:
        """Return the pair of two seeds of 32 bytes."""
        return cls(
            ed25519.Ed25519PrivateKey.from_private_bytes(classical),
            mldsa.MLDSA65PrivateKey.from_seed_bytes(pq),
        )

    @property
    def seeds(self) -> tuple[bytes, bytes]:
        """Two seeds of 32 bytes: the whole secret."""
        return self.classical.private_bytes_raw(), self.pq.private_bytes_raw()

    @property
    def public(self) -> tuple[bytes, bytes]:
        """Raw public keys: 32 and 1,952 bytes."""
        return (
            self.classical.public_key().public_bytes_raw(),
            self.pq.public_key().public_bytes_raw(),
        )

    @property
    def signers(self) -> tuple[Signer, Signer]:
        """Both halves, to sign a document with."""
        return document_signer(self.classical), pq_signer(self.pq)


_SCALAR_BYTES = 48


@dataclass(frozen=True, slots=True)
class RootKey:
    """A key of root documents, in the hands of one holder; it counts with both halves only."""

    classical: ec.EllipticCurvePrivateKey = field(repr=False)
    """ECDSA P-384."""
    pq: mldsa.MLDSA65PrivateKey = field(repr=False)
    """ML-DSA-65."""

    @classmethod
    def generate(cls) -> RootKey:
        """Return a fresh pair. Cost: about a millisecond."""
        return cls(ec.generate_private_key(ec.SECP384R1()), mldsa.MLDSA65PrivateKey.generate())

    @classmethod
    def from_seeds(cls, classical: bytes, pq: bytes) -> RootKey:
        """Return the pair of a number of 48 bytes and a seed of 32. Raises: ValueError."""
        number = int.from_bytes(classical, "big")
        return cls(
            ec.derive_private_key(number, ec.SECP384R1()),
            mldsa.MLDSA65PrivateKey.from_seed_bytes(pq),
        )

    @property
    def seeds(self) -> tuple[bytes, bytes]:
        """The private number (48 bytes) and a seed (32 bytes): the whole secret."""
        number = self.classical.private_numbers().private_value
        return number.to_bytes(_SCALAR_BYTES, "big"), self.pq.private_bytes_raw()

    @property
    def public(self) -> tuple[bytes, bytes]:
        """DER of the public key as root documents hold it, and 1,952 raw bytes."""
        return (
            public_key_der(self.classical.public_key()),
            self.pq.public_key().public_bytes_raw(),
        )

    @property
    def signers(self) -> tuple[Signer, Signer]:
        """Both halves, to sign a root document with."""
        return root_signer(self.classical), pq_signer(self.pq)


DocumentKey: TypeAlias = HybridKey | RootKey
"""What one holder signs one class of document with."""


@dataclass(frozen=True, slots=True)
class AuthorityKeys:
    """Access to the keys of one folder; a key is read when it is needed and not kept."""

    folder: Path
    """Where the files are."""
    _password: bytes = field(repr=False)
    """Encrypts the PKCS#8 files."""
    _state_key: bytes = field(repr=False)
    """32 bytes; seals the state."""
    scrypt_cost: int = field(default=SCRYPT_COST, repr=False)
    """How dear a guess at the passphrase is; cards are sealed alike."""

    @classmethod
    def prepare(
        cls, folder: Path, passphrase: str, salt: bytes, scrypt_cost: int | None = None
    ) -> AuthorityKeys:
        """Choose how the passphrase is stretched in a new folder.

        Raises: AuthorityError for one that is guessed too soon.
        """
        check_passphrase(passphrase)
        cost = SCRYPT_COST if scrypt_cost is None else scrypt_cost
        parameters = {"schema": 1, "scrypt_cost": cost, "salt": salt.hex()}
        write_private(folder / "passphrase.json", json.dumps(parameters).encode())
        return cls.unlock(folder, passphrase)

    @classmethod
    def unlock(cls, folder: Path, passphrase: str) -> AuthorityKeys:
        """Return access by `passphrase`; a wrong one shows at the first use.

        Raises: AuthorityError if it is empty or the folder is not whole.
        """
        if not passphrase:
            raise AuthorityError("the passphrase is empty")
        try:
            parameters = json.loads((folder / "passphrase.json").read_bytes())
            cost, salt = parameters["scrypt_cost"], bytes.fromhex(parameters["salt"])
            if parameters["schema"] != 1:
                raise ValueError("parameters of another version")
            stretched = stretch(passphrase, salt, cost)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise AuthorityError(f"{folder} is damaged: restore it from its copy") from error
        return cls(
            folder,
            _expand(stretched, _PASSWORD_DOMAIN).hex().encode(),
            _expand(stretched, _STATE_DOMAIN),
            cost,
        )

    def write(self, label: str, key: _PrivateKey) -> None:
        """Save a key as LABEL.pem: PKCS#8, encrypted, mode 0600."""
        pem = key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(self._password)
        )
        write_private(self.folder / f"{label}.pem", pem)

    def read_ec(self, label: str) -> ec.EllipticCurvePrivateKey:
        """Return the elliptic curve key in LABEL.pem. Raises: AuthorityError."""
        key = self._read(label)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise AuthorityError(f"{label}.pem holds another kind of key")
        return key

    def read_ed25519(self, label: str) -> ed25519.Ed25519PrivateKey:
        """Return the Ed25519 key in LABEL.pem. Raises: AuthorityError."""
        key = self._read(label)
        if not isinstance(key, ed25519.Ed25519PrivateKey):
            raise AuthorityError(f"{label}.pem holds another kind of key")
        return key

    def write_hybrid(self, label: str, key: HybridKey) -> None:
        """Save both halves, as LABEL.pem and LABEL-pq.pem."""
        self.write(label, key.classical)
        self.write(f"{label}-pq", key.pq)

    def read_hybrid(self, label: str) -> HybridKey:
        """Return the pair in LABEL.pem and LABEL-pq.pem. Raises: AuthorityError."""
        return HybridKey(self.read_ed25519(label), self.read_mldsa(f"{label}-pq"))

    def read_root(self) -> RootKey | None:
        """Return the root key of a folder whose root has no cards. Raises: AuthorityError."""
        if not (self.folder / "root.pem").exists():
            return None
        return RootKey(self.read_ec("root"), self.read_mldsa("root-pq"))

    def forget_root(self) -> None:
        """Erase the root key of the folder: cards have taken its place. Raises: OSError."""
        for label in ("root", "root-pq"):
            erase(self.folder / f"{label}.pem")

    def read_mldsa(self, label: str) -> mldsa.MLDSA65PrivateKey:
        """Return the ML-DSA-65 key in LABEL.pem. Raises: AuthorityError."""
        key = self._read(label)
        if not isinstance(key, mldsa.MLDSA65PrivateKey):
            raise AuthorityError(f"{label}.pem holds another kind of key")
        return key

    def _read(self, label: str) -> object:
        path = self.folder / f"{label}.pem"
        try:
            return load_pem_private_key(path.read_bytes(), self._password)
        except OSError as error:
            raise AuthorityError(f"{path} cannot be read: put the key back") from error
        except (ValueError, TypeError) as error:
            raise AuthorityError(f"{path} is damaged or of another passphrase") from error

    def seal(self, state: bytes, nonce: bytes) -> bytes:
        """Return `state` sealed under a fresh 12-byte nonce."""
        return nonce + ChaCha20Poly1305(self._state_key).encrypt(nonce, state, _STATE_DOMAIN)

    def unseal(self, sealed: bytes) -> bytes:
        """Return what `seal` sealed. Raises: AuthorityError for a wrong passphrase."""
        try:
            cipher = ChaCha20Poly1305(self._state_key)
            return cipher.decrypt(sealed[:12], sealed[12:], _STATE_DOMAIN)
        except (InvalidTag, ValueError) as error:
            raise AuthorityError("the passphrase is wrong, or the state is damaged") from error


def check_passphrase(passphrase: str) -> None:
    """Check a passphrase that is new. Raises: AuthorityError for one that is guessed too soon."""
    if len(passphrase) < PASSPHRASE_CHARACTERS_MIN:
        raise AuthorityError(
            f"a passphrase has at least {PASSPHRASE_CHARACTERS_MIN} characters; take five words"
        )


def stretch(passphrase: str, salt: bytes, cost: int) -> bytes:
    """Return 32 bytes that cost `cost` kilobytes of memory to make (scrypt, r = 8, p = 1).

    Raises: ValueError for a cost that nobody chose.
    """
    if not 2 <= cost <= _SCRYPT_COST_MAX:
        raise ValueError("parameters of another version")
    return Scrypt(salt, 32, n=cost, r=8, p=1).derive(passphrase.encode())


def _expand(stretched: bytes, domain: bytes) -> bytes:
    return HKDFExpand(hashes.SHA256(), 32, domain).derive(stretched)
