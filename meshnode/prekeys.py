"""The prekeys of this node: a fresh one each day, told to everybody it shares a zone with.

What is sealed to a prekey can be opened until the prekey is erased, ten days after its issue; so
a device that is seized opens nothing older. Source: security 2.7, wire-format 4.11.
"""

from __future__ import annotations

from meshnode.author import Author, Draft
from meshnode.reception import Checked
from meshnode.runtime import Runtime
from meshnode.store import keyring
from meshnode.store.engine import Store, Transaction
from protocol.bundle import Scope, Suite
from protocol.envelope import Sealer, encode_prekey
from protocol.limits import PREKEY_RENEW_MS, Kind

__all__ = ["Prekeys"]


class Prekeys:
    """Renews our prekey."""

    def __init__(
        self, author: Author, store: Store, runtime: Runtime, sealer: Sealer, zone: int
    ) -> None:
        self._author = author
        self._store = store
        self._runtime = runtime
        self._sealer = sealer
        self._zone = zone
        # Between these moments of the clock there is nothing to read: reading wakes the machine.
        self._read_ms = self._due_ms = 0

    async def renew(self) -> list[Checked]:
        """Make, keep and sign a new prekey if the newest is a day old; the caller announces it.

        Raises: StoreError.
        """
        now_ms = self._runtime.now_ms()
        if self._read_ms <= now_ms < self._due_ms:
            return []
        newest = await self._store.read(lambda conn: keyring.newest_own_prekey(conn, now_ms))
        if newest is not None and now_ms < newest.issued_ms + PREKEY_RENEW_MS:
            self._read_ms, self._due_ms = now_ms, newest.issued_ms + PREKEY_RENEW_MS
            return []
        secret, record = await self._runtime.run_blocking(self._sealer.make_prekey, now_ms)

        def keep(tx: Transaction) -> Checked:
            keyring.put_own_prekey(tx, secret, record)
            draft = Draft(Kind.PREKEY, Suite.CLEAR, Scope.for_zone(self._zone))
            return self._author.make(tx, draft, lambda _header: encode_prekey(record))

        return [await self._store.write(keep)]
