"""Gateways that make the keys of a new day at the same time do not wait in a ring."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import pytest
import trio

from meshnode.gateway.archive import writing
from meshnode.gateway.archive.database import ArchiveDatabase, open_archive_database
from meshnode.gateway.archive.keys import archive_vault
from meshnode.gateway.archive.records import Put, Taken
from protocol.limits import Kind
from tests.meshnode.gateway.parts import MASTER, bundle, node
from tests.postgres import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.real]


async def test_two_batches_that_begin_a_day_in_two_orders_both_get_in(
    tmp_path: Path, cluster: Cluster
) -> None:
    # The rows stand by author: the first batch meets positions first, the second texts.
    batches = [
        [
            bundle(number, kind, author=author)
            for kind, author in zip(kinds, _authors(), strict=True)
        ]
        for number, kinds in enumerate(
            [(Kind.POSITION, Kind.TEXT), (Kind.TEXT, Kind.POSITION)], start=1
        )
    ]
    both = Barrier(2)

    def entropy(count: int) -> bytes:
        # Whoever has made its first key waits a moment for the other to have one, too.
        with suppress(BrokenBarrierError):
            both.wait(0.5)
        return os.urandom(count)

    database = open_archive_database(cluster.database(), tmp_path / "unused")
    done: list[Put] = []

    async def put(number: int, batch: list[Taken]) -> None:
        work = _putting(database, entropy, number, batch)
        done.append(await trio.to_thread.run_sync(work))

    try:
        async with trio.open_nursery() as nursery:
            for number, batch in enumerate(batches):
                nursery.start_soon(put, number, batch)
    finally:
        database.close()
    assert done == [Put(2, 0, 0)] * 2


def _authors() -> list[int]:
    """Return two authors, the one with the lower id first."""
    return sorted((1, 2), key=node)


def _putting(
    database: ArchiveDatabase, entropy: Callable[[int], bytes], number: int, batch: list[Taken]
) -> Callable[[], Put]:
    vault = archive_vault(MASTER, os.urandom)
    return lambda: database.write(
        lambda conn: writing.put(database, conn, vault, entropy, node(90 + number), batch)
    )
