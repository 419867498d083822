"""A process that writes to a store for ever and says what is durable; it waits to be killed.

Lines: `+ID` stored, `?ID` about to be dropped, `-ID` dropped; each only after its commit.
"""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from meshnode.runtime import system_runtime
from meshnode.store import bundles
from meshnode.store.engine import Store, open_store
from protocol.limits import Kind
from protocol.reports import Reception
from tests.meshnode.store.parts import record

_WRITERS = 3
_BATCH = 20


def _say(sign: str, ids: list[int]) -> None:
    sys.stdout.write("".join(f"{sign}{short_id}\n" for short_id in ids))
    sys.stdout.flush()


async def _write(store: Store, author: int) -> None:
    first = 1
    while True:
        made = [record(seq, author=author) for seq in range(first, first + _BATCH)]
        made.append(
            record(first, Kind.POSITION, author=author + 1_000, size_bytes=2_000, slot=first)
        )
        ids = [each.short_id for each in made]
        outcomes = await store.write(
            lambda tx, some=made: bundles.add_many(tx, some)  # type: ignore[misc]
        )
        assert set(outcomes) == {Reception.STORED}
        _say("+", ids)
        _say("?", ids[:5])
        await store.write(
            lambda tx, some=ids[:5]: bundles.drop_many(tx, some, Reception.DELIVERED)  # type: ignore[misc]
        )
        _say("-", ids[:5])
        first += _BATCH


async def _main(path: Path, first_author: int) -> None:
    async with open_store(path, system_runtime()) as store, trio.open_nursery() as nursery:
        for author in range(first_author, first_author + _WRITERS):
            nursery.start_soon(_write, store, author)


if __name__ == "__main__":
    trio.run(_main, Path(sys.argv[1]), int(sys.argv[2]))
