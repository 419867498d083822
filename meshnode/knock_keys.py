"""The knock keys of a node, read from its store: at the start, and whenever new ones were kept.

Whoever keeps a key of purpose KNOCK sets `changed`; nothing here looks at the store in between.
Source: security 2.1, 2.3.
"""

from __future__ import annotations

from meshnode.links.level import Level
from meshnode.store import keyring
from meshnode.store.engine import Store
from meshnode.store.keyring import KeyPurpose
from protocol.knock import KnockKeys
from protocol.network_keys import epoch_of

__all__ = ["KnockKeyring", "keys_by_epoch"]


def keys_by_epoch(found: dict[bytes, bytes]) -> dict[int, list[bytes]]:
    """Return {key id: key}, the newest first, by the epoch that each id names."""
    keys: dict[int, list[bytes]] = {}
    for key_id, key in found.items():
        keys.setdefault(epoch_of(key_id), []).append(key)
    return keys


class KnockKeyring:
    """Gives the keys of this moment to links and to multicast; a call never waits."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._keys: KnockKeys = {}
        self.changed = Level()

    def __call__(self) -> KnockKeys:
        """Return the keys by epoch; the mapping is replaced, never changed."""
        return self._keys

    async def load(self) -> None:
        """Read the keys that the store holds. Raises: StoreError."""
        found = await self._store.read(lambda conn: keyring.network_keys(conn, KeyPurpose.KNOCK))
        self._keys = keys_by_epoch(found)

    async def run(self) -> None:
        """Read them again after each change, until cancelled. Raises: StoreError."""
        while True:
            await self.load()
            await self.changed.wait()
