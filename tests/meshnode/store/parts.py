"""Parts shared by the tests of the store: records, runtimes, and the check of a whole store."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import trio
from sqlalchemy import Connection, text

from meshnode.runtime import Runtime, silent, system_runtime
from meshnode.store import bundles
from meshnode.store.engine import Store, Transaction
from meshnode.store.records import BundleRecord
from protocol.ids import NodeId, ShortId
from protocol.limits import KINDS, STORE_ROW_BYTES, Kind
from protocol.reconcile.interest import Interest
from protocol.reconcile.sketch import Sketch
from protocol.reports import Reception

T = TypeVar("T")

NOW_MS = 1_800_000_000_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def node(number: int) -> NodeId:
    return hashlib.sha256(b"node %d" % number).digest()[:16]


def record(
    seq: int,
    kind: Kind = Kind.TEXT,
    *,
    author: int = 1,
    version: int = 0,
    size_bytes: int = 400,
    **changes: Any,
) -> BundleRecord:
    """Return a bundle; another `version` bears the same name with other content."""
    digest = hashlib.sha256(f"{author}.{seq}.{kind}.{version}".encode()).digest()
    made = BundleRecord(
        short_id=int.from_bytes(digest[8:16], "big"),
        digest=digest,
        author=node(author),
        incarnation=7,
        seq=seq,
        kind=kind,
        traffic_class=KINDS[kind].traffic_class,
        zone=1,
        scope=b"\x01\x00\x01",
        slot=0,
        hlc=(NOW_MS + seq) << 16,
        expires_ms=NOW_MS + DAY_MS + seq,
        size_bytes=size_bytes,
        hops=1,
        received_ms=NOW_MS,
        is_own=False,
        raw=digest * (size_bytes // 32) + digest[: size_bytes % 32],
    )
    return made._replace(**changes)


def runtime(now_ms: Callable[[], int] = lambda: NOW_MS) -> Runtime:
    """Return a runtime with threads, a fixed clock and entropy that repeats."""
    return Runtime(
        now_ms=now_ms,
        entropy=lambda count: hashlib.sha256(b"entropy").digest()[:count],
        run_blocking=system_runtime().run_blocking,
        trace=silent,
    )


def inline_runtime() -> Runtime:
    """Return a runtime whose blocking work runs on the trio thread, as in simulation."""

    async def run_inline(
        function: Callable[..., T], *args: object, limiter: trio.CapacityLimiter | None = None
    ) -> T:
        await trio.lowlevel.checkpoint()
        return function(*args)

    return Runtime(
        now_ms=lambda: NOW_MS,
        entropy=lambda count: hashlib.sha256(b"entropy").digest()[:count],
        run_blocking=run_inline,
        trace=silent,
    )


async def add(store: Store, *records: BundleRecord) -> list[Reception]:
    return await store.write(lambda tx: bundles.add_many(tx, records))


async def drop(store: Store, *ids: ShortId, reason: Reception = Reception.DELIVERED) -> None:
    await store.write(lambda tx: bundles.drop_many(tx, ids, reason))


async def held(store: Store) -> set[ShortId]:
    return {short_id for short_id, *_rest in await store.read(_live)}


async def rows(store: Store, statement: str) -> list[tuple[Any, ...]]:
    """Return what a statement written out in the test finds."""
    return await store.read(
        lambda conn: [tuple(row) for row in conn.execute(text(statement)).all()]
    )


def fail(error: BaseException) -> Callable[[Transaction], None]:
    """Return a write that stores a bundle and then raises `error`."""

    def work(tx: Transaction) -> None:
        bundles.add_many(tx, [record(999_999)])
        raise error

    return work


async def check(store: Store) -> None:
    """Sketches, totals and their rows say exactly what the table of bundles says."""
    live, stated = await store.read(lambda conn: (_live(conn), _stated(conn)))
    ids: dict[tuple[int, int], list[ShortId]] = {}
    sizes: dict[tuple[int, int], int] = {}
    for short_id, zone, traffic_class, size_bytes in live:
        ids.setdefault((zone, traffic_class), []).append(short_id)
        sizes[zone, traffic_class] = (
            sizes.get((zone, traffic_class), 0) + size_bytes + STORE_ROW_BYTES
        )
    assert {_key(each) for each in store.sketches} == ids.keys()
    for interest, sketch in store.sketches.items():
        rebuilt = Sketch.build(ids[_key(interest)])
        assert sketch.snapshot() == rebuilt.snapshot()
        totals = store.index.totals[interest]
        assert (totals.count, totals.set_hash) == (rebuilt.n, rebuilt.set_hash)
        assert totals.size_bytes == sizes[_key(interest)]
        assert stated[_key(interest)] == (rebuilt.n, rebuilt.set_hash, totals.size_bytes)
    assert stated.keys() == ids.keys()
    assert store.total_bytes == sum(sizes.values()) <= store.bytes_max


def _key(interest: Interest) -> tuple[int, int]:
    return interest.zone, int(interest.traffic_class)


def _live(conn: Connection) -> list[tuple[ShortId, int, int, int]]:
    query = text("SELECT short_id, zone, traffic_class, size_bytes FROM bundle")
    return [(row[0] % 2**64, row[1], row[2], row[3]) for row in conn.execute(query)]


def _stated(conn: Connection) -> dict[tuple[int, int], tuple[int, int, int]]:
    query = text("SELECT zone, traffic_class, count, set_hash, size_bytes FROM interest")
    return {(row[0], row[1]): (row[2], row[3] % 2**64, row[4]) for row in conn.execute(query)}


def files_of(path: Path) -> list[Path]:
    """Return the files of an open store, which must all be there."""
    return [path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")]


def all_tables(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table of a closed store, read without any of our code."""
    connection = sqlite3.connect(path)
    try:
        names = [
            row[0]
            for row in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
            )
        ]
        return {
            name: sorted(connection.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr)
            for name in names
        }
    finally:
        connection.close()
