"""A long stream sealed under a passphrase: whole or refused, whatever was cut, moved or changed.

`"MESHBAK1" || length (2 bytes) || header || chunks`. Header = canonical `[1, salt 16, memory KiB,
iterations, lanes, nonce prefix 7, check 16]`. 48 bytes are expanded from Argon2id(passphrase,
salt): the key of the chunks and `check`, which tells a wrong passphrase from a damaged file and
binds the file to one key. Each chunk is AES-256-GCM under the nonce prefix || counter (4 bytes,
from 0) || 1 for the last chunk and 0 for others, with all before the chunks as additional data.
Every chunk but the last holds `CHUNK_BYTES`. Source: Hoang and others, "Online Authenticated-
Encryption and its Nonce-Reuse Misuse-Resistance" (STREAM); RFC 9106, RFC 5869.
"""

from __future__ import annotations

import hmac
import unicodedata
from collections.abc import Callable
from typing import BinaryIO, Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from meshnode.errors import BackupError
from meshnode.vault.wrapping import AgentCost
from protocol.canonical import Value, as_array, as_bytes, as_uint, decode_untrusted, encode
from protocol.errors import RemoteProtocolError
from protocol.guards import (
    AGENT_ITERATIONS_MAX,
    AGENT_LANES_MAX,
    AGENT_MEMORY_KIB_MAX,
    BACKUP_CHUNK_BYTES,
    SECRET_CHARACTERS_MAX,
    SECRET_CHARACTERS_MIN,
)

__all__ = [
    "MAGIC",
    "StatedHead",
    "StreamReader",
    "StreamWriter",
    "check_backup_passphrase",
    "read_head",
]

MAGIC: Final = b"MESHBAK1"
"""A file that begins so is a backup."""
_VERSION: Final = 1
_SALT_BYTES: Final = 16
_PREFIX_BYTES: Final = 7
_CHECK_BYTES: Final = 16
_KEY_BYTES: Final = 32
_TAG_BYTES: Final = 16
_HEADER_BYTES_MAX: Final = 128
_CHUNKS_MAX: Final = 1 << 32
_DOMAIN: Final = b"meshnode backup 1\0"


class _Head(NamedTuple):
    """What stands before the chunks, and what the passphrase makes of it."""

    raw: bytes
    """From the magic on; additional data of every chunk."""
    cipher: AESGCM
    """Holds the key of the chunks."""
    prefix: bytes
    """7 bytes."""

    def nonce(self, number: int, *, is_last: bool) -> bytes:
        """Return the nonce of a chunk. Raises: BackupError beyond 2^32 chunks."""
        if number >= _CHUNKS_MAX:
            raise BackupError("size", "this is more than one backup can hold")
        return self.prefix + number.to_bytes(4, "big") + bytes([is_last])


def check_backup_passphrase(passphrase: str) -> None:
    """Refuse a new passphrase that is guessed too soon. Raises: BackupError."""
    if not SECRET_CHARACTERS_MIN <= len(passphrase) <= SECRET_CHARACTERS_MAX:
        raise BackupError(
            "passphrase",
            f"the passphrase of a backup has at least {SECRET_CHARACTERS_MIN} characters: "
            "take five words",
        )


def _stretch(passphrase: str, salt: bytes, cost: AgentCost) -> tuple[AESGCM, bytes]:
    """Return the cipher of the chunks and the check. Cost: one Argon2id."""
    stretched = Argon2id(
        salt=salt,
        length=32,
        iterations=cost.iterations,
        lanes=cost.lanes,
        memory_cost=cost.memory_kib,
    ).derive(unicodedata.normalize("NFC", passphrase).encode())
    both = HKDFExpand(hashes.SHA256(), _KEY_BYTES + _CHECK_BYTES, _DOMAIN).derive(stretched)
    return AESGCM(both[:_KEY_BYTES]), both[_KEY_BYTES:]


class StreamWriter:
    """Seals what is written to it into a file; nothing counts before `finish`."""

    def __init__(
        self,
        file: BinaryIO,
        passphrase: str,
        entropy: Callable[[int], bytes],
        cost: AgentCost,
    ) -> None:
        """Write the header. Raises: OSError. Cost: one Argon2id."""
        salt, prefix = entropy(_SALT_BYTES), entropy(_PREFIX_BYTES)
        cipher, check = _stretch(passphrase, salt, cost)
        fields: list[Value] = [_VERSION, salt, cost.memory_kib, cost.iterations, cost.lanes]
        header = encode([*fields, prefix, check])
        raw = MAGIC + len(header).to_bytes(2, "big") + header
        self._file = file
        self._head = _Head(raw, cipher, prefix)
        self._waiting = bytearray()
        self._number = 0
        file.write(raw)

    def write(self, data: bytes) -> None:
        """Seal `data`. Raises: BackupError, OSError."""
        self._waiting += data
        # The last chunk is never empty where anything was written: one is held back.
        while len(self._waiting) > BACKUP_CHUNK_BYTES:
            self._seal(bytes(self._waiting[:BACKUP_CHUNK_BYTES]), is_last=False)
            del self._waiting[:BACKUP_CHUNK_BYTES]

    def finish(self) -> None:
        """Seal what is left and mark it as the end. Raises: BackupError, OSError."""
        self._seal(bytes(self._waiting), is_last=True)

    def _seal(self, plaintext: bytes, *, is_last: bool) -> None:
        nonce = self._head.nonce(self._number, is_last=is_last)
        self._file.write(self._head.cipher.encrypt(nonce, plaintext, self._head.raw))
        self._number += 1


class StreamReader:
    """Opens a file that `StreamWriter` wrote, from its begin to its end."""

    def __init__(self, file: BinaryIO, passphrase: str) -> None:
        """Read the header. Raises: BackupError, OSError. Cost: one Argon2id."""
        self._file = file
        self._head = _open_head(file, passphrase)
        self._opened = bytearray()
        self._number = 0
        self._is_ended = False
        # One chunk is read ahead: the last one is known by nothing that follows.
        self._next = file.read(BACKUP_CHUNK_BYTES + _TAG_BYTES)

    def read(self, size: int) -> bytes:
        """Return exactly `size` bytes. Raises: BackupError where the stream ends before; OSError.

        What is returned was written by somebody who had the passphrase, in this place.
        """
        while len(self._opened) < size and not self._is_ended:
            self._open_next()
        if len(self._opened) < size:
            raise _damaged()
        found = bytes(self._opened[:size])
        del self._opened[:size]
        return found

    def expect_end(self) -> None:
        """Raises: BackupError if anything was left unread."""
        while not self._is_ended:
            self._open_next()
        if self._opened:
            raise _damaged()

    def _open_next(self) -> None:
        sealed, self._next = self._next, self._file.read(BACKUP_CHUNK_BYTES + _TAG_BYTES)
        is_last = not self._next
        nonce = self._head.nonce(self._number, is_last=is_last)
        try:
            self._opened += self._head.cipher.decrypt(nonce, sealed, self._head.raw)
        except InvalidTag as error:
            raise _damaged() from error
        self._number += 1
        self._is_ended = is_last


class StatedHead(NamedTuple):
    """What the begin of a backup says to everybody."""

    raw: bytes
    """From the magic on."""
    salt: bytes
    """16 bytes."""
    cost: AgentCost
    """What one guess at the passphrase costs."""
    prefix: bytes
    """7 bytes of each nonce."""
    check: bytes
    """16 bytes that the right passphrase makes again."""


def read_head(file: BinaryIO) -> StatedHead:
    """Read what needs no passphrase, up to the first chunk. Raises: BackupError, OSError."""
    start = file.read(len(MAGIC) + 2)
    if not start.startswith(MAGIC) or len(start) < len(MAGIC) + 2:
        raise BackupError("no_backup", "this is no backup: take the file that 'backup' wrote")
    length = int.from_bytes(start[len(MAGIC) :], "big")
    if length > _HEADER_BYTES_MAX:
        raise _damaged()
    header = file.read(length)
    try:
        record = as_array(decode_untrusted(header, max_bytes=_HEADER_BYTES_MAX), "backup", 7)
        as_uint(record[0], "version of the backup", _VERSION, _VERSION)
        salt = as_bytes(record[1], "salt", _SALT_BYTES)
        lanes = as_uint(record[4], "lanes", AGENT_LANES_MAX, 1)
        cost = AgentCost(
            as_uint(record[2], "memory", AGENT_MEMORY_KIB_MAX, 8 * lanes),
            as_uint(record[3], "iterations", AGENT_ITERATIONS_MAX, 1),
            lanes,
        )
        prefix = as_bytes(record[5], "nonce", _PREFIX_BYTES)
        check = as_bytes(record[6], "check", _CHECK_BYTES)
    except RemoteProtocolError as error:
        raise _damaged() from error
    return StatedHead(start + header, salt, cost, prefix, check)


def _open_head(file: BinaryIO, passphrase: str) -> _Head:
    stated = read_head(file)
    cipher, expected = _stretch(passphrase, stated.salt, stated.cost)
    if not hmac.compare_digest(stated.check, expected):
        raise BackupError(
            "passphrase", "this passphrase does not open the backup, or its first bytes are damaged"
        )
    return _Head(stated.raw, cipher, stated.prefix)


def _damaged() -> BackupError:
    return BackupError("damaged", "the backup is cut off or damaged: take another copy of it")
