"""Moves batches from the spool of the store into the archive, for ever and in this order.

Read, put, commit there, then delete here: whatever fails between is brought again and is there
once, because the archive knows names. A database that does not answer is tried again, later each
time, while the spool grows up to its bound. Source: decision 54.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

import trio

from meshnode.errors import ArchiveError
from meshnode.gateway.archive.archive import Archive
from meshnode.gateway.archive.records import Taken
from meshnode.gateway.standing import Part, Standing
from meshnode.links.level import Level
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from meshnode.store import spool
from meshnode.store.engine import Store
from meshnode.store.spool import Spooled

__all__ = ["BATCH_ROWS", "Feeder"]

BATCH_ROWS: Final = 1_000
"""Rows handed over in one transaction of each database."""
_LOOK_S: Final = 2.0
"""Between two looks at the spool that nobody asked for: opened content announces itself not."""
_GATHER_S: Final = 0.25
"""After a batch that was not full the next one waits for so long."""
_SILENT_S: Final = 30.0
"""With nothing to bring for so long, the archive is asked whether it is there."""
_WAIT_S_MIN: Final = 0.5
_WAIT_S_MAX: Final = 30.0


class Feeder:
    """Feeds one archive from one store."""

    def __init__(
        self,
        store: Store,
        archive: Archive,
        runtime: Runtime,
        metrics: Metrics,
        standing: Standing | None = None,
    ) -> None:
        self._store = store
        self._standing = standing if standing is not None else Standing()
        self._archive = archive
        self._runtime = runtime
        self._metrics = metrics
        self._shed_told = 0
        self._heard_s = float("-inf")
        self.wake = Level()
        """Set after something was put into the spool."""

    async def run(self) -> None:
        """Feed until cancelled. Raises: StoreError."""
        wait_s = _WAIT_S_MIN
        while True:
            try:
                moved = await self.feed()
            except ArchiveError as error:
                self._failed(error)
                await trio.sleep(wait_s)
                wait_s = min(2 * wait_s, _WAIT_S_MAX)
                continue
            wait_s = _WAIT_S_MIN
            self._standing.works(Part.FEED)
            if not moved:
                with trio.move_on_after(_LOOK_S):
                    await self.wake.wait()
            if moved < BATCH_ROWS:
                # A transaction of each database costs as much as some hundred rows: let some come.
                await trio.sleep(_GATHER_S)

    async def drain(self) -> int:
        """Feed until the spool is empty; return how many rows that were.

        Raises: ArchiveError, StoreError.
        """
        moved = 0
        while count := await self.feed():
            moved += count
        return moved

    async def feed(self) -> int:
        """Move the oldest rows; return how many left. Raises: ArchiveError, StoreError."""
        self._tell_shed()
        read = partial(spool.batch, rows_max=BATCH_ROWS, has_agent=self._has_agent)
        rows, broken = await self._store.read(read)
        if not (rows or broken):
            await self._ask()
            return 0
        if rows:
            done = await self._archive.put([_taken(each) for each in rows])
            self._heard_s = trio.current_time()
            self._metrics.count("archive_bundles", done.bundles)
            self._metrics.count("archive_contents", done.contents)
            self._metrics.count("archive_again", done.again)
        await self._drop([*(each.key for each in rows), *broken])
        self._metrics.count("spool_damaged", len(broken))
        return len(rows) + len(broken)

    async def _ask(self) -> None:
        """Find out that the archive is away before anything has to wait for it."""
        if trio.current_time() - self._heard_s >= _SILENT_S:
            await self._archive.ping()
            self._heard_s = trio.current_time()

    @property
    def _has_agent(self) -> bool:
        return self._store.vault is None or not self._store.vault.is_locked

    async def _drop(self, keys: Sequence[int]) -> None:
        # The archive has them: a cancelled feeder must not leave them to be brought again.
        with trio.CancelScope(shield=True):
            await self._store.write(lambda tx: spool.drop(tx, sorted(keys)))

    def _failed(self, error: ArchiveError) -> None:
        self._standing.fails(Part.FEED, error)
        self._metrics.count("archive_failures")
        self._runtime.trace("archive_failed", reason=type(error).__name__)

    def _tell_shed(self) -> None:
        shed, self._shed_told = self._store.spool_shed - self._shed_told, self._store.spool_shed
        self._metrics.count("archive_shed", shed)


def _taken(row: Spooled) -> Taken:
    return Taken(
        row.is_opened,
        row.name,
        row.digest,
        row.kind,
        row.scope,
        row.created_ms,
        row.expires_ms,
        row.at_ms,
        row.hops,
        row.raw,
    )
