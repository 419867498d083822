"""A request that waits for its answer: its keys in HOME/authority.request, and what it said.

A unit's request and a zone's wait in the same way; what they ask for is their own business. The
folder is renamed to HOME/authority when the answer has made it whole. Source: security 2.2.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from meshnode.authority_inviting import Entropy
from meshnode.authority_keys import AuthorityKeys, check_passphrase
from meshnode.files import make_private_folder, write_private
from protocol.canonical import as_array, as_bytes, as_uint, encode
from protocol.canonical import decode_untrusted as decode_record_untrusted
from protocol.envelope import PrekeySecret, decode_prekey_secret, encode_prekey_secret

__all__ = ["Waiting", "begin_waiting", "open_waiting", "save_waiting"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that was made here, opened."""

    keys: AuthorityKeys = field(repr=False)
    """Of the folder, unlocked."""
    secret: PrekeySecret = field(repr=False)
    """To it the answer seals the keys of the network."""
    text: str = field(repr=False)
    """The request as it was carried away."""


def begin_waiting(
    home: Path, passphrase: str, entropy: Entropy, scrypt_cost: int | None
) -> tuple[Path, AuthorityKeys]:
    """Make HOME/authority.request with its keys; a request that waited there is given up.

    Raises: AuthorityError if the passphrase is too short.
    """
    check_passphrase(passphrase)
    folder = home / "authority.request"
    shutil.rmtree(folder, ignore_errors=True)
    make_private_folder(folder)
    return folder, AuthorityKeys.prepare(folder, passphrase, entropy(16), scrypt_cost)


def save_waiting(path: Path, waiting: Waiting, entropy: Entropy) -> None:
    """Write what the answer is read with."""
    plain = encode([1, encode_prekey_secret(waiting.secret), waiting.text.encode()])
    write_private(path, waiting.keys.seal(plain, entropy(12)))


def open_waiting(path: Path, passphrase: str, bytes_max: int) -> Waiting:
    """Read it again, at most `bytes_max` bytes. Raises: AuthorityError, MalformedError."""
    keys = AuthorityKeys.unlock(path.parent, passphrase)
    plain = keys.unseal(path.read_bytes())
    record = as_array(decode_record_untrusted(plain, max_bytes=bytes_max), "request", 3)
    as_uint(record[0], "version of the request", 1, 1)
    text = as_bytes(record[2], "request", bytes_max, 1).decode()
    secret = decode_prekey_secret(as_bytes(record[1], "prekey secret", 256, 1))
    return Waiting(keys, secret, text)
