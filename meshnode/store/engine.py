"""Opens the store, keeps the one writer, and lets several readers look at the same time.

A write is a function of a `Transaction`. All that wait are run in one transaction, in one hop to
a worker thread, each behind its own savepoint; one commit with one fsync then serves them all.
The order is: commit, sketches, return. Source: DESIGN D6, STYLE 24 and 25, ecosystem 3.2.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

import trio
from sqlalchemy import Connection, insert, select, update

from meshnode.errors import StoreError, StoreFullError
from meshnode.runtime import Runtime
from meshnode.store.database import (
    Database,
    is_of_disk,
    is_undone,
    open_database,
    translate,
    translated,
)
from meshnode.store.index import Changes, Index
from meshnode.store.records import BundleSummary
from meshnode.store.schema import NodeRow, table
from meshnode.store.statements import signed64, unsigned64
from meshnode.vault.vault import Vault
from protocol.limits import (
    STORE_BYTES_DEFAULT,
    STORE_READERS_MAX,
    WRITES_PER_COMMIT_MAX,
    TrafficClass,
)
from protocol.reconcile.interest import Interest
from protocol.reconcile.sketch import Sketch

__all__ = ["Connection", "Store", "Transaction", "open_store"]

T = TypeVar("T")

_NODE = table(NodeRow)


class Transaction:
    """What a function of `Store.write` may do; not valid after the function returned."""

    def __init__(self, store: Store, connection: Connection, earlier: Changes) -> None:
        self.connection = connection
        self.changes = Changes()
        self.dropped: list[BundleSummary] = []
        """Bundles that this function evicted, superseded or dropped."""
        self.bytes_max = store.bytes_max
        self.spool_bytes_max = store.spool_bytes_max
        """Bytes that may wait for the archive; None where nothing is archived."""
        self.spool_shed = 0
        """Bundles refused because the archive is too far behind."""
        self.incarnation = store.incarnation
        self._held = store.index.totals
        self._earlier = earlier
        self.class_bytes = [0] * len(TrafficClass)
        """Bytes charged to each class, with what this transaction changed so far."""
        for interest, totals in (*self._held.items(), *earlier.totals.items()):
            self.class_bytes[interest.traffic_class] += totals.size_bytes

    def note_added(self, interest: Interest, ids: Sequence[int], charged_bytes: int) -> None:
        """Tell the index about rows that were inserted."""
        self.changes.add(interest, ids, charged_bytes)
        self.class_bytes[interest.traffic_class] += charged_bytes

    def note_removed(self, interest: Interest, ids: Sequence[int], charged_bytes: int) -> None:
        """Tell the index about rows that were deleted."""
        self.changes.remove(interest, ids, charged_bytes)
        self.class_bytes[interest.traffic_class] -= charged_bytes

    def interests(self) -> set[Interest]:
        """Return every interest that holds something, as this transaction sees it."""
        return set(self._held) | set(self._earlier.totals) | set(self.changes.totals)

    def take_seq(self) -> int:
        """Return the next number of this incarnation; it is used up if the function succeeds."""
        self.connection.execute(update(_NODE).values(seq=_NODE.c.seq + 1))
        return int(self.connection.execute(select(_NODE.c.seq)).scalar_one())

    @property
    def hlc(self) -> int:
        """The last stamp of this node's clock, kept across restarts."""
        return unsigned64(self.connection.execute(select(_NODE.c.hlc)).scalar_one())

    @hlc.setter
    def hlc(self, stamp: int) -> None:
        self.connection.execute(update(_NODE).values(hlc=signed64(stamp)))


class _Job(Generic[T]):
    """One function that waits for the writer, then its outcome."""

    def __init__(self, work: Callable[[Transaction], T]) -> None:
        self.work = work
        self.is_done = False
        self.error: BaseException | None = None
        self._value: T | None = None

    def run(self, tx: Transaction) -> None:
        """Call the function; what it raises is kept for its caller and stops nobody else."""
        with self:
            self._value = self.work(tx)

    def __enter__(self) -> None:
        self.error = None

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> bool:
        self.error = error if error is None else translate(error)
        return error is not None

    def result(self) -> T:
        """Return what the function returned, or raise what it raised."""
        if self.error is not None:
            raise self.error
        return self._value  # type: ignore[return-value]


class Store:
    """One open store; made by `open_store`."""

    def __init__(
        self, database: Database, runtime: Runtime, bytes_max: int, vault: Vault | None = None
    ) -> None:
        self.vault = vault
        """Seals and opens columns; None in tests and simulations, whose rows lie open."""
        self.bytes_max = bytes_max
        """Bytes that bundles may be charged with, containers and `STORE_ROW_BYTES` each."""
        self.spool_bytes_max: int | None = None
        """Bytes that may wait for the archive of a gateway; None, and nothing is archived here."""
        self.spool_shed = 0
        """Bundles that were refused because the archive was too far behind, since the start."""
        self.incarnation = 0
        """32-bit number of this store, drawn when it was created."""
        self.index = Index()
        self.is_in_contact: Callable[[], bool] = lambda: False
        """True while peers wait: what sketches can do later is done later then."""
        self.on_commit: Callable[[BaseException | None], None] = lambda _fault: None
        """Told after each commit, on the trio thread: what the disk said of it, None for all well.

        It must not raise.
        """
        self._database = database
        self._runtime = runtime
        self._waiting: list[_Job[Any]] = []
        self._turn = trio.Lock()
        self._readers = trio.CapacityLimiter(STORE_READERS_MAX)
        self._is_closed = False

    @property
    def sketches(self) -> Mapping[Interest, Sketch]:
        """One sketch per interest that holds something, equal to the last commit."""
        return self.index.sketches

    @property
    def total_bytes(self) -> int:
        """Bytes that all bundles are charged with."""
        return sum(totals.size_bytes for totals in self.index.totals.values())

    def charged(self, interest: Interest) -> tuple[int, int]:
        """Return how many live bundles an interest has, and the bytes they are charged with."""
        totals = self.index.totals.get(interest)
        return (0, 0) if totals is None else (totals.count, totals.size_bytes)

    @property
    def class_counts(self) -> dict[TrafficClass, int]:
        """Live bundles of each class, as of the last commit."""
        found = dict.fromkeys(TrafficClass, 0)
        for interest, totals in self.index.totals.items():
            found[interest.traffic_class] += totals.count
        return found

    @property
    def rebuilt_count(self) -> int:
        """Interests whose stated totals did not fit their rows at open."""
        return self.index.rebuilt_count

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction and return its value once it is on the disk.

        What `work` raises comes back from here and undoes its changes alone. A cancelled caller
        is told so before or after, never in between: what was begun is finished. Each waiting
        write is one waiting task, so the queue is as long as there are tasks.
        Raises: StoreFullError, StoreCorruptError, StoreError; none of it was done then. A disk
        that runs full, or fails, undoes every write of the commit, and each of them hears it.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._is_closed:
            raise StoreError("the store is closed")
        job = _Job(work)
        self._waiting.append(job)
        with trio.CancelScope(shield=True):
            async with self._turn:
                # Whoever has the turn commits for everybody; most find their job done.
                while not job.is_done:
                    await self._commit()
        return job.result()

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on one consistent view of the last commit and return its value.

        Raises: StoreCorruptError, StoreError, and what `work` raises.
        """
        if self._is_closed:
            raise StoreError("the store is closed")
        if self._database.is_shared:
            async with self._turn:
                return await self._runtime.run_blocking(self._read, work)
        return await self._runtime.run_blocking(self._read, work, limiter=self._readers)

    async def compact(self) -> bool:
        """Give freed pages back to the disk and empty the log; False if a reader kept it.

        Raises: StoreError.
        """
        async with self._turn:
            return await self._runtime.run_blocking(self._database.compact)

    async def close(self) -> None:
        """Finish what waits and close the files; further calls raise StoreError."""
        self._is_closed = True
        with trio.CancelScope(shield=True):
            async with self._turn:
                await self._runtime.run_blocking(self._database.close)

    # --- in a worker thread -----------------------------------------------------------------

    def _open(self) -> None:
        with translated(), self._database.writer.begin() as connection:
            self.incarnation = self._identity(connection)
            self.index.load(connection)

    def _identity(self, connection: Connection) -> int:
        row = connection.execute(select(_NODE.c.incarnation, _NODE.c.is_sealed)).first()
        if row is not None:
            if row[1] and self.vault is None:
                raise StoreError("the store is sealed: it opens with the keys of its home only")
            return int(row[0])
        incarnation = int.from_bytes(self._runtime.entropy(4), "big")
        connection.execute(
            insert(_NODE).values(
                key=1,
                incarnation=incarnation,
                seq=0,
                hlc=0,
                created_ms=self._runtime.now_ms(),
                is_sealed=int(self.vault is not None),
            )
        )
        return incarnation

    def _read(self, work: Callable[[Connection], T]) -> T:
        with translated(), self._database.reader.connect() as connection:
            return work(connection)

    def _run(self, jobs: Sequence[_Job[Any]]) -> Changes:
        """Run all `jobs` in one transaction; return what to change in the sketches."""
        changes = Changes()
        with translated(), self._database.writer.begin() as connection:
            for job in jobs:
                # Whoever is alone needs no savepoint: the whole transaction is its own.
                savepoint = connection.begin_nested() if len(jobs) > 1 else connection
                tx = Transaction(self, connection, changes)
                job.run(tx)
                if is_undone(connection):
                    # Nothing of the earlier ones is left either; going on would commit halves.
                    raise job.error or StoreFullError("the database undid this transaction")
                if job.error is not None:
                    savepoint.rollback()
                    continue
                if savepoint is not connection:
                    savepoint.commit()
                changes.merge(tx.changes)
                self.spool_shed += tx.spool_shed
            self.index.save(connection, changes)
        return changes

    # --- on the trio thread -----------------------------------------------------------------

    async def _commit(self) -> None:
        jobs, self._waiting = (
            self._waiting[:WRITES_PER_COMMIT_MAX],
            self._waiting[WRITES_PER_COMMIT_MAX:],
        )
        failed = _Job(lambda _tx: None)
        with failed:
            changes = await self._runtime.run_blocking(self._run, jobs)
            self.index.apply(changes, is_hurried=self.is_in_contact())
        for job in jobs:
            # A transaction that failed as a whole failed for those too whose function was fine.
            job.error = job.error or failed.error
            job.is_done = True
        faults = (job.error for job in jobs if is_of_disk(job.error))
        self.on_commit(next(faults, None))


@asynccontextmanager
async def open_store(
    path: Path | None,
    runtime: Runtime,
    *,
    bytes_max: int = STORE_BYTES_DEFAULT,
    vault: Vault | None = None,
) -> AsyncIterator[Store]:
    """Open the store at `path`, or one in memory; on leaving, finish what waits and close it.

    With a vault its rows are sealed, those of an older store before anything else is done.
    Raises: SchemaTooNewError, StoreCorruptError, StoreError; LockedError where an older store is
    to be sealed and the vault is locked.
    """
    database = await runtime.run_blocking(open_database, path, vault)
    store = Store(database, runtime, bytes_max, vault)
    try:
        await runtime.run_blocking(store._open)
        yield store
    finally:
        await store.close()
