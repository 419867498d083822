"""Seals and opens what lies in the store; the only holder of master keys while a node runs.

Each kind and day has a random data key, wrapped by the master key of its tier. The wrapped keys
lie in the store and go with their day; here they are unwrapped, and forgotten on `lock`. Rows are
AES-256-GCM-SIV with their place as additional data: a row that was moved does not open. GCM-SIV
because a repeated nonce after a restored snapshot tells no more than that two texts are equal.
Source: security 2.10, RFC 8452.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from meshnode.errors import KeystoreError, LockedError, SealBrokenError
from meshnode.vault.kinds import DataKind, Tier
from protocol.canonical import encode
from protocol.guards import DATA_KEYS_CACHED_MAX

__all__ = ["MASTER_BYTES", "SEAL_BYTES", "DataKey", "Vault"]

MASTER_BYTES: Final = 32
_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12
_NONCES_AT_ONCE: Final = 64
_TAG_BYTES: Final = 16
SEAL_BYTES: Final = len(_VERSION) + _NONCE_BYTES + _TAG_BYTES
"""A sealed row is longer than its plaintext by this much."""
_HEAD: Final = len(_VERSION) + _NONCE_BYTES
_WRAP_DOMAIN: Final = b"meshnode data key 1\0"
_FILE_DOMAIN: Final = b"meshnode sealed file 1\0"


class DataKey(NamedTuple):
    """The wrapped key of one kind and day, as the store keeps it."""

    kind: DataKind
    """What it seals."""
    day: int
    """Days since 1970."""
    wrapped: bytes
    """Useless without the master key of its tier."""


class _Ready(NamedTuple):
    """A data key, ready for one table."""

    cipher: AESGCMSIV
    """Holds the unwrapped key."""
    head: bytes
    """What the additional data of each row begin with; it says where it ends itself."""
    kind: DataKind
    """Of the key."""
    day: int
    """Of the key."""


class Vault:
    """Master keys in memory, and what they open. Every method may be called from any thread."""

    def __init__(
        self,
        device_master: bytes,
        entropy: Callable[[int], bytes],
        agent_master: bytes | None = None,
    ) -> None:
        self._entropy = entropy
        self._guard = threading.Lock()
        self._nonces: list[bytes] = []
        self._masters: dict[Tier, bytes] = {Tier.DEVICE: device_master}
        self._ciphers: dict[tuple[bytes, bytes], _Ready] = {}
        self.on_broken: Callable[[DataKind], None] | None = None
        """Called, from whatever thread, for each row that does not open."""
        if agent_master is not None:
            self.unlock(agent_master)

    def __repr__(self) -> str:
        return f"<Vault {'locked' if self.is_locked else 'unlocked'}>"

    # --- tiers ------------------------------------------------------------------------------

    @property
    def is_locked(self) -> bool:
        """True as long as the agent's tier cannot be opened."""
        return Tier.AGENT not in self._masters

    def unlock(self, agent_master: bytes) -> None:
        """Open the agent's tier with the key that `KeyStore.agent_master` gives."""
        if len(agent_master) != MASTER_BYTES:
            raise KeystoreError("a master key has 32 bytes")
        with self._guard:
            self._masters[Tier.AGENT] = agent_master

    def lock(self) -> None:
        """Drop every key of the agent's tier. CPython cannot promise to overwrite them."""
        with self._guard:
            self._masters.pop(Tier.AGENT, None)
            # All of them: an unwrapped key does not say its tier, and the others come back alone.
            self._ciphers.clear()

    def opened(self, agent_master: bytes) -> Vault:
        """Return another vault with the agent's tier open; this one stays as it is.

        What it opens it opens for whoever is handed it alone. Raises: KeystoreError.
        """
        twin = Vault(self._masters[Tier.DEVICE], self._entropy, agent_master)
        twin.on_broken = self.on_broken
        return twin

    def require(self, kind: DataKind) -> None:
        """Raises: LockedError if rows of `kind` cannot be opened now."""
        self._master(kind.tier)

    def _master(self, tier: Tier) -> bytes:
        try:
            return self._masters[tier]
        except KeyError:
            raise LockedError("this device is locked: unlock it with the agent's secret") from None

    def derive(self, tier: Tier, label: bytes) -> bytes:
        """Return 32 bytes that only this device, and for tier 1 only its agent, can make again.

        Raises: LockedError.
        """
        domain = b"meshnode derived 1\0" + label
        return HKDFExpand(hashes.SHA256(), 32, domain).derive(self._master(tier))

    # --- data keys --------------------------------------------------------------------------

    def make_key(self, kind: DataKind, day: int) -> DataKey:
        """Return a fresh data key, wrapped; the caller keeps it with the first row it seals.

        Raises: LockedError.
        """
        wrapper = AESGCMSIV(self._master(kind.tier))
        key = self._entropy(MASTER_BYTES)
        return DataKey(kind, day, self._encrypt(wrapper, key, _wrap_place(kind, day)))

    def _ready(self, key: DataKey, table: bytes) -> _Ready:
        """Return the unwrapped key for one table. Raises: LockedError, SealBrokenError."""
        # What is here belongs to a tier that is open: `lock` leaves nothing.
        found = self._ciphers.get((key.wrapped, table))
        # A wrapped key that was passed off as that of another day is unwrapped anew, and refused.
        if found is not None and found.day == key.day and found.kind is key.kind:
            return found
        master = self._master(key.kind.tier)
        plain = self._decrypt(
            AESGCMSIV(master), key.wrapped, _wrap_place(key.kind, key.day), key.kind
        )
        ready = _Ready(AESGCMSIV(plain), encode([table, int(key.kind), key.day]), key.kind, key.day)
        with self._guard:
            if key.kind.tier not in self._masters:
                raise LockedError("this device is locked: unlock it with the agent's secret")
            while len(self._ciphers) >= DATA_KEYS_CACHED_MAX:
                del self._ciphers[next(iter(self._ciphers))]
            self._ciphers[key.wrapped, table] = ready
        return ready

    def forget(self, wrapped: Iterable[bytes]) -> None:
        """Drop the unwrapped form of data keys that a purge took from the store."""
        gone = set(wrapped)
        with self._guard:
            for each in [each for each in self._ciphers if each[0] in gone]:
                del self._ciphers[each]

    # --- rows -------------------------------------------------------------------------------

    def seal(self, key: DataKey, table: bytes, place: bytes, plaintext: bytes) -> bytes:
        """Return `plaintext` sealed for one place of one table. Raises: LockedError.

        Cost: 3 µs for 250 bytes.
        """
        ready = self._ready(key, table)
        return self._encrypt(ready.cipher, plaintext, ready.head + place)

    def open(self, key: DataKey, table: bytes, place: bytes, sealed: bytes) -> bytes:
        """Return what `seal` sealed for this very place.

        Raises: LockedError; SealBrokenError for a changed row and for one from another place.
        """
        ready = self._ready(key, table)
        return self._decrypt(ready.cipher, sealed, ready.head + place, key.kind)

    def seal_many(
        self, key: DataKey, table: bytes, rows: Iterable[tuple[bytes, bytes]]
    ) -> list[bytes]:
        """As `seal` for each (place, plaintext) of a batch, in two thirds of the time.

        Raises: LockedError, SealBrokenError; nothing is sealed then.
        """
        ready = self._ready(key, table)
        encrypt, head, fresh_nonce = ready.cipher.encrypt, ready.head, self._fresh_nonce
        return [
            _VERSION + (nonce := fresh_nonce()) + encrypt(nonce, plaintext, head + place)
            for place, plaintext in rows
        ]

    def open_many(
        self, key: DataKey, table: bytes, rows: Iterable[tuple[bytes, bytes]]
    ) -> list[bytes | None]:
        """As `open` for each (place, sealed) of a batch, None where one does not open: told of.

        Raises: LockedError; SealBrokenError where the key itself does not open.
        """
        ready, opened = self._ready(key, table), list[bytes | None]()
        decrypt, head = ready.cipher.decrypt, ready.head
        for place, sealed in rows:
            try:
                opened.append(_decrypt(decrypt, sealed, head + place))
            except ValueError:
                self.broken(key.kind)
                opened.append(None)
        return opened

    # --- files ------------------------------------------------------------------------------

    def seal_file(self, tier: Tier, name: bytes, plaintext: bytes) -> bytes:
        """Return `plaintext` sealed under a key of this name that lasts. Raises: LockedError."""
        cipher = AESGCMSIV(self.derive(tier, _FILE_DOMAIN + name))
        return self._encrypt(cipher, plaintext, _FILE_DOMAIN + name)

    def open_file(self, tier: Tier, name: bytes, sealed: bytes) -> bytes:
        """Return what `seal_file` sealed under this name. Raises: LockedError, KeystoreError."""
        cipher = AESGCMSIV(self.derive(tier, _FILE_DOMAIN + name))
        try:
            return _decrypt(cipher.decrypt, sealed, _FILE_DOMAIN + name)
        except ValueError as error:
            raise KeystoreError(
                f"the sealed file '{name.decode()}' is damaged or of another device"
            ) from error

    # --- inside -----------------------------------------------------------------------------

    def _encrypt(self, cipher: AESGCMSIV, plaintext: bytes, place: bytes) -> bytes:
        nonce = self._fresh_nonce()
        return _VERSION + nonce + cipher.encrypt(nonce, plaintext, place)

    def _fresh_nonce(self) -> bytes:
        # Drawn many at a time: asking the kernel for each costs more than sealing a row. Taking one
        # is atomic, so that only who finds none left waits for the guard.
        while True:
            try:
                return self._nonces.pop()
            except IndexError:
                with self._guard:
                    if not self._nonces:
                        drawn = self._entropy(_NONCE_BYTES * _NONCES_AT_ONCE)
                        starts = range(0, len(drawn), _NONCE_BYTES)
                        self._nonces = [drawn[at : at + _NONCE_BYTES] for at in starts]

    def _decrypt(self, cipher: AESGCMSIV, sealed: bytes, place: bytes, kind: DataKind) -> bytes:
        try:
            return _decrypt(cipher.decrypt, sealed, place)
        except ValueError as error:
            raise self.broken(kind) from error

    def broken(self, kind: DataKind) -> SealBrokenError:
        """Tell of a row that does not open, and return the error to raise."""
        if self.on_broken is not None:
            self.on_broken(kind)
        return SealBrokenError(
            f"a row of kind {kind.name} is damaged or was moved: restore the store, "
            "or enrol this device again"
        )


def _decrypt(decrypt: Callable[[bytes, bytes, bytes], bytes], sealed: bytes, place: bytes) -> bytes:
    """Raises: ValueError for anything that was not sealed for `place`."""
    if len(sealed) < SEAL_BYTES or sealed[0] != _VERSION[0]:
        raise ValueError("not a sealed text of this version")
    try:
        return decrypt(sealed[1:_HEAD], sealed[_HEAD:], place)
    except InvalidTag as error:
        raise ValueError("the seal is broken") from error


def _wrap_place(kind: DataKind, day: int) -> bytes:
    return encode([_WRAP_DOMAIN, int(kind), day])
