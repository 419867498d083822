"""One open archive as the gateway's rooms use it: every call runs in a worker thread.

One write at a time from this process; several readers beside it. What another gateway does on the
same database is seen by the next call. Source: decision 54.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio
from sqlalchemy import Connection

from meshnode.gateway.archive import facts, keys, purging, searching, writing
from meshnode.gateway.archive.database import ArchiveDatabase, open_archive_database
from meshnode.gateway.archive.keys import archive_vault
from meshnode.gateway.archive.purge_log import Action, Head, Signed
from meshnode.gateway.archive.purging import Scribe
from meshnode.gateway.archive.records import Day, Found, Held, Put, Query, Taken
from meshnode.retention import DataClass, Terms
from meshnode.runtime import Runtime
from protocol.ids import NodeId

__all__ = ["Archive", "Purged", "open_archive"]

T = TypeVar("T")

_READERS_MAX = 4


@dataclass(frozen=True, slots=True)
class Purged:
    """What one purge took."""

    days: tuple[Day, ...]
    """Classes and days whose keys were destroyed."""
    rows: int
    """Rows deleted, those that an earlier purge had left among them."""
    head: Head
    """Where the purge log ends now."""


class Archive:
    """One open archive; made by `open_archive`."""

    def __init__(
        self, database: ArchiveDatabase, runtime: Runtime, gateway: NodeId, master: bytes
    ) -> None:
        self._database = database
        self._runtime = runtime
        self._gateway = gateway
        self._vault = archive_vault(master, runtime.entropy)
        self._turn = trio.Lock()
        self._readers = trio.CapacityLimiter(_READERS_MAX)

    def __repr__(self) -> str:
        return "<Archive>"

    @property
    def is_shared(self) -> bool:
        """True where several gateways may write."""
        return self._database.is_shared

    async def put(self, batch: Sequence[Taken]) -> Put:
        """Put a batch in one transaction; what is there already is passed over.

        Raises: ArchiveDownError, ArchiveKeyError, ArchiveError; nothing of it is there then, or,
        where the answer to the commit was lost, all of it: it may be put again.
        """

        def work(connection: Connection) -> Put:
            fresh = self._runtime.entropy
            return writing.put(self._database, connection, self._vault, fresh, self._gateway, batch)

        return await self._write(work)

    async def ping(self) -> None:
        """Raises: ArchiveDownError, ArchiveError where the database does not answer."""
        await self._runtime.run_blocking(self._database.ping, limiter=self._readers)

    async def contents(self, query: Query) -> list[Found]:
        """Return contents that fit, the newest day first. Raises: as `put`."""
        return await self._read(
            lambda conn: list(searching.contents(self._database, conn, self._vault, query))
        )

    async def bundles(self, query: Query) -> list[Found]:
        """Return containers that fit, the newest day first. Raises: as `put`."""
        return await self._read(
            lambda conn: list(searching.bundles(self._database, conn, self._vault, query))
        )

    async def held(self, author: NodeId | None = None) -> list[Held]:
        """Return what is held of each class, of one author or of all. Raises: as `put`."""
        return await self._read(lambda conn: searching.held(conn, author))

    # --- for reports ------------------------------------------------------------------------

    async def days(self, first_day: int, last_day: int) -> list[tuple[DataClass, int]]:
        """Return each class and day of a run of days that holds anything. Raises: as `put`."""
        return await self._read(lambda conn: facts.days(conn, first_day, last_day))

    async def fold_arrivals(
        self,
        data_class: DataClass,
        day: int,
        take: Callable[[DataClass, int, Iterator[facts.Arrival]], None],
    ) -> None:
        """Hand every bundle of a class and day to `take`, in a worker thread. Raises: as `put`."""
        await self._read(lambda conn: take(data_class, day, facts.arrivals(conn, data_class, day)))

    async def fold_receipts(self, day: int, take: Callable[[Iterator[bytes]], None]) -> None:
        """Hand the container of each receipt of a day to `take`. Raises: as `put`."""
        await self._read(lambda conn: take(facts.receipts(self._database, conn, self._vault, day)))

    async def count_contents(self, data_class: DataClass, day: int) -> int:
        """Return how many contents a class and day has. Raises: as `put`."""
        return await self._read(lambda conn: facts.count_contents(conn, data_class, day))

    async def fold_contents(
        self,
        data_class: DataClass,
        day: int,
        take: Callable[[Iterator[facts.Opened]], None],
        share: int = facts.SHARE_WHOLE,
    ) -> None:
        """Hand the contents of a share of the authors of a day to `take`. Raises: as `put`."""
        opened = partial(facts.contents, self._database, vault=self._vault)
        await self._read(
            lambda conn: take(opened(conn, data_class=data_class, day=day, share=share))
        )

    # --- retention --------------------------------------------------------------------------

    async def over(self, terms: Terms, today: int) -> list[Day]:
        """Return every class and day that is over and still has a key. Raises: as `put`."""
        return await self._read(lambda conn: purging.over(conn, terms, today))

    async def purge(self, terms: Terms, today: int, scribe: Scribe) -> Purged:
        """Destroy all that is over: keys with their entry first, then rows, then the files' rest.

        Raises: as `put`, and LockedError before anything is destroyed.
        """

        def destroy(connection: Connection) -> tuple[list[Day], list[bytes], Head]:
            days = purging.over(connection, terms, today)
            gone, head = purging.destroy_keys(self._database, connection, scribe, days)
            return days, gone, head

        days, gone, head = await self._write(destroy)
        self._vault.forget(gone)
        rows = 0
        for data_class, kept in terms.items():
            drop = partial(_drop_rows, data_class=data_class, before_day=today - kept)
            while deleted := await self._write(drop):
                rows += deleted
        if days or rows:
            async with self._turn:
                await self._runtime.run_blocking(self._database.compact)
        return Purged(tuple(days), rows, head)

    async def note(
        self, scribe: Scribe, action: Action, details: Sequence[tuple[str, str]]
    ) -> Head:
        """Write an entry into the purge log; return its head. Raises: as `purge`."""
        return await self._write(
            lambda conn: purging.append(self._database, conn, scribe, action, tuple(details))
        )

    async def log(self, last: int | None = None) -> list[Signed]:
        """Return the purge log, or its `last` entries, the oldest first. Raises: as `put`."""
        return await self._read(lambda conn: purging.read_log(conn, last))

    async def has_entry(self, head: Head) -> bool:
        """True where the purge log has this very entry. Raises: as `put`."""
        return await self._read(lambda conn: purging.has_entry(conn, head))

    async def is_used(self) -> bool:
        """True once anything was archived under this key.

        Raises: ArchiveKeyError where the archive is that of another key; as `put`.
        """
        return await self._read(lambda conn: keys.is_used(conn, self._vault))

    # --- others -----------------------------------------------------------------------------

    async def listen(self, heard: Callable[[NodeId, int, int], None]) -> None:
        """Call `heard` with the gateway, bundles and contents of what others put in.

        Until cancelled; waits for ever where nobody else can. Raises: ArchiveDownError,
        ArchiveError.
        """
        while not self.is_shared:
            await trio.sleep_forever()
        is_over = False
        token = trio.lowlevel.current_trio_token()

        def tell(payload: str) -> None:
            found = _told(payload)
            if found is not None and found[0] != self._gateway:
                token.run_sync_soon(heard, *found)

        try:
            await trio.to_thread.run_sync(
                lambda: self._database.listen(writing.CHANNEL, tell, lambda: is_over),
                abandon_on_cancel=True,
            )
        finally:
            is_over = True

    async def close(self) -> None:
        """Finish what was begun and close the database."""
        with trio.CancelScope(shield=True):
            async with self._turn:
                await self._runtime.run_blocking(self._database.close)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        # Once begun it is finished: whoever is cancelled then finds it done.
        async with self._turn:
            return await self._runtime.run_blocking(self._database.write, work)

    async def _read(self, work: Callable[[Connection], T]) -> T:
        return await self._runtime.run_blocking(self._database.read, work, limiter=self._readers)


def _drop_rows(connection: Connection, data_class: DataClass, before_day: int) -> int:
    return purging.drop_rows(connection, data_class, before_day)


def _told(payload: str) -> tuple[NodeId, int, int] | None:
    """Read what a gateway told; None for what none tells. Whoever has the database may say it."""
    parts = payload.split(" ")
    try:
        node, bundles, contents = bytes.fromhex(parts[0]), int(parts[1]), int(parts[2])
    except (ValueError, IndexError):
        return None
    return (NodeId(node), bundles, contents) if len(node) == 16 else None


@asynccontextmanager
async def open_archive(
    url: str, path: Path, runtime: Runtime, gateway: NodeId, master: bytes
) -> AsyncIterator[Archive]:
    """Open the archive at `url`, in SQLite at `path` where that is empty; close it on leaving.

    Raises: ArchiveDownError, ArchiveError, ArchiveKeyError.
    """
    database = await runtime.run_blocking(open_archive_database, url, path)
    archive = Archive(database, runtime, gateway, master)
    try:
        yield archive
    finally:
        await archive.close()
