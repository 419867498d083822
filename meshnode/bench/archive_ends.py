"""One process of the measurement of an archive: a gateway that takes in, the bare floor, a search.

`gateway HOME FILE URL` lets the node of a gateway receive the bundles of FILE as from a few
contacts while its feeder archives them, until nothing waits any more; `floor FOLDER FILE URL KEYS`
verifies and inserts the same and does nothing else. An empty URL (`-`) is SQLite. Both print one
line of JSON.
"""

from __future__ import annotations

import json
import resource
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import trio

from meshnode.bench.floor import items_of
from meshnode.config import Settings
from meshnode.gateway.gateway import Gateway
from meshnode.memory import calm_collector
from meshnode.node import Node
from meshnode.running import open_guarded
from meshnode.runtime import system_runtime
from meshnode.store import spool
from protocol import bundle as bundles
from protocol.limits import BATCH_BUNDLES_MAX

__all__ = ["main"]

_CONTACTS = 4
"""Contacts that hand over at the same time."""
_SAMPLES = 20
"""Looks at the memory of the process in one run."""


def _rss_mib() -> float:
    """Return the memory that this process has now, MiB; of the peak where /proc is missing."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 2**20


# --- the gateway -------------------------------------------------------------------------------


async def _gateway(home: Path, rows: Sequence[bytes], url: str) -> dict[str, Any]:
    settings = replace(Settings(), gateway=replace(Settings().gateway, database=url))
    async with open_guarded(home, settings, system_runtime()) as guard:
        gateway = guard.gateway
        assert gateway is not None, "the home is a gateway's"
        gateway.found()
        feeder = await gateway.feeder()
        await feeder.drain()
        memory = [_rss_mib()]
        began_s, cpu_s = time.monotonic(), time.process_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(feeder.run)
            stored = await _take_in(guard.node, rows, memory)
            taken_s = time.monotonic()
            await _emptied(guard.node, gateway)
            ended_s = time.monotonic()
            nursery.cancel_scope.cancel()
    return {
        "stored": stored,
        "seconds": ended_s - began_s,
        "taken_seconds": taken_s - began_s,
        "cpu_seconds": time.process_time() - cpu_s,
        "memory_mib": [round(each, 1) for each in memory],
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


async def _take_in(node: Node, rows: Sequence[bytes], memory: list[float]) -> int:
    """Let some contacts hand the rows over at once, each one batch after the other."""
    before = node.metrics.value("bundles_stored")
    starts = iter(range(0, len(rows), BATCH_BUNDLES_MAX))
    step = max(1, len(rows) // BATCH_BUNDLES_MAX // _SAMPLES)

    async def contact() -> None:
        for start in starts:
            batch = [(0, raw) for raw in rows[start : start + BATCH_BUNDLES_MAX]]
            await node.relay.receive(None, batch)
            if start // BATCH_BUNDLES_MAX % step == step - 1:
                memory.append(_rss_mib())

    async with trio.open_nursery() as nursery:
        for _ in range(_CONTACTS):
            nursery.start_soon(contact)
    return node.metrics.value("bundles_stored") - before


async def _emptied(node: Node, gateway: Gateway) -> None:
    """Return once nothing waits for the archive any more."""
    feeder = await gateway.feeder()
    while (await node.store.read(spool.waiting)).rows:
        feeder.wake.set()
        await trio.sleep(0.01)


# --- the floor ---------------------------------------------------------------------------------


def _floor(folder: Path, rows: Sequence[bytes], url: str, keys: Path) -> dict[str, Any]:
    """Verify with the keys of the authors: a JSON of {node id: key}, both hexadecimal."""
    public = {
        bytes.fromhex(node): bundles.load_public_key(bytes.fromhex(key))
        for node, key in json.loads(keys.read_text()).items()
    }
    insert = _into_postgres(url) if url else _into_sqlite(folder / "floor.sqlite")
    began_s, cpu_s = time.monotonic(), time.process_time()
    for start in range(0, len(rows), BATCH_BUNDLES_MAX):
        batch = []
        for raw in rows[start : start + BATCH_BUNDLES_MAX]:
            found = bundles.decode_untrusted(raw)
            bundles.verify(found, public[found.header.author])
            batch.append((found.digest, raw))
        insert(batch)
    return {
        "seconds": time.monotonic() - began_s,
        "cpu_seconds": time.process_time() - cpu_s,
        "stored": len(rows),
    }


_Insert = Callable[[Sequence[tuple[bytes, bytes]]], None]


def _into_sqlite(path: Path) -> _Insert:
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE item (id BLOB PRIMARY KEY, raw BLOB) WITHOUT ROWID")

    def insert(batch: Sequence[tuple[bytes, bytes]]) -> None:
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO item VALUES (?, ?)", batch)
        connection.execute("COMMIT")

    return insert


def _into_postgres(url: str) -> _Insert:
    import psycopg

    address = url.replace("postgresql+psycopg://", "postgresql://", 1)
    connection = psycopg.connect(address, options="-c synchronous_commit=on")
    with closing(connection.cursor()) as cursor:
        cursor.execute("DROP TABLE IF EXISTS meshnode_floor")
        cursor.execute("CREATE TABLE meshnode_floor (id BYTEA PRIMARY KEY, raw BYTEA)")
    connection.commit()

    def insert(batch: Sequence[tuple[bytes, bytes]]) -> None:
        with closing(connection.cursor()) as cursor:
            cursor.executemany("INSERT INTO meshnode_floor VALUES (%s, %s)", batch)
        connection.commit()

    return insert


def main(arguments: list[str]) -> None:
    """Run one process: `gateway HOME FILE URL` or `floor FOLDER FILE URL KEYS`."""
    name, folder, file, url = arguments[0], Path(arguments[1]), arguments[2], arguments[3]
    url = "" if url == "-" else url
    rows = items_of(bytearray(Path(file).read_bytes()))
    calm_collector()
    if name == "gateway":
        found = trio.run(partial(_gateway, folder, rows, url))
    else:
        found = _floor(folder, rows, url, Path(arguments[4]))
    print(json.dumps(found), flush=True)  # noqa: T201 - the protocol with the parent


if __name__ == "__main__":
    main(sys.argv[1:])
