"""The key of an archive: made once, kept in the home under the agent's key, given to others sealed.

All gateways of one archive share it. It goes from one to the other in a file that the receiving
device alone can open, signed by the giver's badge, so that nobody can pass off another key.
Source: decision 54, security 2.5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from meshnode.errors import ArchiveKeyError, KeystoreError
from meshnode.files import write_private
from meshnode.gateway.archive.purge_log import Head
from meshnode.home import Home
from meshnode.vault.kinds import Tier
from meshnode.vault.vault import MASTER_BYTES, Vault
from protocol.canonical import as_array, as_bytes, as_uint, decode_untrusted, encode
from protocol.envelope import PrekeyRecord, PrekeySecret, Sealer
from protocol.errors import EnvelopeError, RemoteProtocolError
from protocol.ids import NodeId

__all__ = ["GivenKey", "HeadFile", "MasterFile", "give", "given_untrusted", "taken"]

_VERSION: Final = 1
_NAME: Final = b"archive key"
_HEAD_NAME: Final = b"archive head"
_DOMAIN: Final = b"meshnode archive key 1\0"
_BYTES_MAX: Final = 8_192
_FILE_BYTES_MAX: Final = 256


class MasterFile:
    """`archive.key` in a home: there is an archive where it is."""

    def __init__(self, home: Path) -> None:
        self.path = Home(home).archive_key

    def exists(self) -> bool:
        """True once this gateway has the key of an archive."""
        return self.path.exists()

    def create(self, vault: Vault, entropy: Callable[[int], bytes]) -> None:
        """Make the key of a new archive. Raises: ArchiveKeyError where there is one; LockedError.

        Raises: OSError.
        """
        self.keep(vault, entropy(MASTER_BYTES))

    def keep(self, vault: Vault, master: bytes, *, is_instead: bool = False) -> None:
        """Keep a key, `is_instead` of one that opens nothing. Raises: as `create`."""
        if self.exists() and not is_instead:
            raise ArchiveKeyError("this gateway has the key of an archive already")
        write_private(self.path, vault.seal_file(Tier.AGENT, _NAME, master))

    def open(self, vault: Vault) -> bytes:
        """Return the key, 32 bytes. Raises: ArchiveKeyError, LockedError."""
        try:
            return vault.open_file(Tier.AGENT, _NAME, _read(self.path))
        except OSError as error:
            raise ArchiveKeyError(
                "this gateway has no archive yet: run 'meshnode gateway run'"
            ) from error
        except KeystoreError as error:
            if type(error) is not KeystoreError:
                raise
            raise ArchiveKeyError(
                "the key of the archive is damaged: bring it from another gateway, or a backup"
            ) from error


class HeadFile:
    """`archive.head` in a home: where the purge log ended when this gateway saw it last."""

    def __init__(self, home: Path) -> None:
        self._path = Home(home).archive_head

    def read(self, vault: Vault) -> Head | None:
        """Return the head; None before the first. Raises: ArchiveKeyError, LockedError."""
        try:
            raw = vault.open_file(Tier.AGENT, _HEAD_NAME, _read(self._path))
            fields = as_array(decode_untrusted(raw, max_bytes=_FILE_BYTES_MAX), "head", 3)
            as_uint(fields[0], "version of the head", _VERSION, _VERSION)
            return Head(as_uint(fields[1], "number"), as_bytes(fields[2], "hash", 32))
        except FileNotFoundError:
            return None
        except (OSError, RemoteProtocolError) as error:
            raise ArchiveKeyError(f"{self._path} cannot be read") from error

    def write(self, vault: Vault, head: Head) -> None:
        """Remember a head, unless a later one is known. Raises: as `read`; OSError."""
        known = self.read(vault)
        if known is None or known.number < head.number:
            raw = encode([_VERSION, head.number, head.hash])
            write_private(self._path, vault.seal_file(Tier.AGENT, _HEAD_NAME, raw))


def _read(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(_FILE_BYTES_MAX)


# --- from one gateway to another ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GivenKey:
    """The file in which a key goes to another gateway."""

    giver: NodeId
    """Whose badge signed it."""
    taker: NodeId
    """Whose device opens it."""
    prekey_id: bytes
    """Prekey of the taker that it is sealed to, 8 bytes."""
    sealed: bytes = field(repr=False)
    """The key."""
    message: bytes = field(repr=False)
    """What was signed."""
    signature: bytes
    """By the giver, 64 bytes."""


def give(
    master: bytes,
    giver: NodeId,
    taker: NodeId,
    prekey: PrekeyRecord,
    sealer: Sealer,
    sign: Callable[[bytes], bytes],
) -> bytes:
    """Return a file with the key, for one device. Raises: WeakKeyError, LockedError."""
    sealed = sealer.seal_hybrid(prekey.public, _info(giver, taker), master)
    record = encode([_VERSION, giver, taker, prekey.prekey_id, sealed])
    return encode([record, sign(_DOMAIN + record)])


def given_untrusted(raw: bytes) -> GivenKey:
    """Return what a file claims; nothing proves it yet. Raises: MalformedError, LimitExceeded."""
    parts = as_array(decode_untrusted(raw, max_bytes=_BYTES_MAX), "file with a key", 2)
    record = as_bytes(parts[0], "record", _BYTES_MAX, 1)
    fields = as_array(decode_untrusted(record, max_bytes=_BYTES_MAX), "record", 5)
    as_uint(fields[0], "version of the file", _VERSION, _VERSION)
    return GivenKey(
        NodeId(as_bytes(fields[1], "giver", 16)),
        NodeId(as_bytes(fields[2], "taker", 16)),
        as_bytes(fields[3], "prekey", 8),
        as_bytes(fields[4], "sealed key", _BYTES_MAX, 1),
        _DOMAIN + record,
        as_bytes(parts[1], "signature", 64),
    )


def taken(given: GivenKey, secret: PrekeySecret, sealer: Sealer) -> bytes:
    """Return the key in a file whose signature was checked. Raises: ArchiveKeyError."""
    try:
        master = sealer.open_hybrid(secret, _info(given.giver, given.taker), given.sealed)
    except EnvelopeError as error:
        raise ArchiveKeyError("this file was sealed for another device, or changed") from error
    if len(master) != MASTER_BYTES:
        raise ArchiveKeyError("this file holds no key of an archive")
    return master


def _info(giver: NodeId, taker: NodeId) -> bytes:
    return encode([_DOMAIN, giver, taker])
