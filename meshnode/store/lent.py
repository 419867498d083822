"""The store for one who was lent the agent's keys, while everybody else finds it shut.

The vault of the store stays locked. Another one, open, lies at a connection for as long as one
function of the borrower runs there, and nothing else runs on that connection then: one thread has
it. Source: decision 66, security 2.10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from meshnode.store.engine import Connection, Store, Transaction
from meshnode.store.sealing import VAULT
from meshnode.vault.vault import Vault

__all__ = ["LentStore"]

T = TypeVar("T")


class LentStore(Store):
    """A store as its borrower sees it; the commits, the sketches and the files are the lender's."""

    def __init__(self, store: Store, vault: Vault | None) -> None:
        """Without a `vault` (tests, simulations) the rows lie open to everybody anyway."""
        super().__init__(store._database, store._runtime, store.bytes_max, vault)
        self.index = store.index
        self.incarnation = store.incarnation
        self.spool_bytes_max = store.spool_bytes_max
        self._lender = store

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """See `Store.write`."""

        def lent(tx: Transaction) -> T:
            with self._laid_at(tx.connection):
                return work(tx)

        return await self._lender.write(lent)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """See `Store.read`."""

        def lent(connection: Connection) -> T:
            with self._laid_at(connection):
                return work(connection)

        return await self._lender.read(lent)

    async def compact(self) -> bool:
        """See `Store.compact`."""
        return await self._lender.compact()

    async def close(self) -> None:
        """End the loan; the store stays open for whoever it belongs to."""
        if self.vault is not None:
            self.vault.lock()

    @contextmanager
    def _laid_at(self, connection: Connection) -> Iterator[None]:
        kept = connection.info.get(VAULT)
        connection.info[VAULT] = self.vault
        try:
            yield
        finally:
            connection.info[VAULT] = kept
