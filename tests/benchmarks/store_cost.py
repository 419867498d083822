"""Measures what storing a bundle costs beside a plain insert; prints one line of JSON.

CPU of the thread, microseconds per bundle, 400-byte containers in batches of 250, each batch one
commit with one fsync. The work runs on the measuring thread, so that nothing else is counted.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import trio

from meshnode.store import bundles
from meshnode.store.engine import Transaction, open_store
from meshnode.store.index import Changes, Index
from meshnode.store.records import BundleRecord
from protocol.limits import BATCH_BUNDLES_MAX, TrafficClass
from protocol.reconcile.interest import Interest
from protocol.reports import Reception
from tests.meshnode.store.parts import inline_runtime, record

_ROUNDS = 3


def _per_bundle(started_s: float, records: Sequence[BundleRecord]) -> float:
    return (time.thread_time() - started_s) / len(records) * 1e6


async def _store(path: Path, records: Sequence[BundleRecord]) -> float:
    async with open_store(path, inline_runtime()) as store:
        started_s = time.thread_time()
        for first in range(0, len(records), BATCH_BUNDLES_MAX):
            batch = records[first : first + BATCH_BUNDLES_MAX]

            def add(tx: Transaction, batch: Sequence[BundleRecord] = batch) -> list[Reception]:
                return bundles.add_many(tx, batch)

            assert set(await store.write(add)) == {Reception.STORED}
        return _per_bundle(started_s, records)


def _plain(path: Path, records: Sequence[BundleRecord]) -> float:
    """The floor: one table, one unique id, one blob, the same commits."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE bundle (key INTEGER PRIMARY KEY, id UNIQUE, raw BLOB)")
        rows = [(each.digest, each.raw) for each in records]
        started_s = time.thread_time()
        for first in range(0, len(rows), BATCH_BUNDLES_MAX):
            connection.execute("BEGIN IMMEDIATE")
            batch = rows[first : first + BATCH_BUNDLES_MAX]
            connection.executemany("INSERT INTO bundle (id, raw) VALUES (?, ?)", batch)
            connection.execute("COMMIT")
        return _per_bundle(started_s, records)


def _sketch(records: Sequence[BundleRecord]) -> float:
    """The part of `_store` that keeps the sketches."""
    index = Index()
    changes = Changes()
    ids = [each.short_id for each in records]
    changes.add(Interest(1, TrafficClass.MESSAGE), ids, 0)
    started_s = time.thread_time()
    index.apply(changes)
    return _per_bundle(started_s, records)


def measure(count: int) -> dict[str, float]:
    """Return the least of three rounds; a ratio is of two costs of the same round.

    Noise only ever adds to a cost. A machine that is fast for one round alone would spoil a ratio
    of costs of two rounds.
    """
    records = [record(seq, author=seq % 20) for seq in range(1, count + 1)]
    found: dict[str, list[float]] = {"store_us": [], "plain_us": [], "sketch_us": []}
    for _round in range(_ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            found["store_us"].append(trio.run(_store, home / "store.sqlite", records))
            found["plain_us"].append(_plain(home / "plain.sqlite", records))
        found["sketch_us"].append(_sketch(records))
    found["store_to_plain"] = _ratios(found["store_us"], found["plain_us"])
    found["sketch_to_store"] = _ratios(found["sketch_us"], found["store_us"])
    return {name: round(min(values), 4) for name, values in found.items()}


def _ratios(costs: Sequence[float], others: Sequence[float]) -> list[float]:
    return [cost / other for cost, other in zip(costs, others, strict=True)]


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
