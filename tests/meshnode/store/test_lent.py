"""Keys lent to one: what it reads and writes is open for it, and for nobody else on the store."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from meshnode.errors import LockedError
from meshnode.store import messages
from meshnode.store.engine import Connection, Store, Transaction, open_store
from meshnode.store.lent import LentStore
from tests.meshnode.store.vaults import AGENT, RUNTIME, TEXT, fill_agent, vault


def texts(conn: Connection) -> list[str]:
    """Return what was written on this device."""
    return [each.text for each in messages.list_outgoing(conn, 0, 9)]


def failing(tx: Transaction) -> None:
    """Write, and fail."""
    assert texts(tx.connection) == [TEXT]
    raise RuntimeError("on purpose")


@pytest.mark.parametrize("is_shared", [True, False], ids=["in memory", "on the disk"])
async def test_whoever_borrows_reads_and_writes_and_others_do_not(
    is_shared: bool, tmp_path: Path
) -> None:
    own = vault()
    path = None if is_shared else tmp_path / "store.sqlite"
    async with open_store(path, RUNTIME, vault=own) as store:
        await store.write(fill_agent)
        own.lock()
        lent = LentStore(store, own.opened(AGENT))
        assert await lent.read(texts) == [TEXT]
        assert await lent.write(lambda tx: texts(tx.connection)) == [TEXT]
        with pytest.raises(RuntimeError, match="on purpose"):
            await lent.write(failing)
        assert own.is_locked
        for work in (store.read(texts), store.write(lambda tx: texts(tx.connection))):
            with pytest.raises(LockedError):
                await work
        # In one commit with others it is the same.
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(lent.write, lambda tx: texts(tx.connection))
                nursery.start_soon(refused, store)
        await lent.close()
        with pytest.raises(LockedError):
            await lent.read(texts)
        assert await store.read(messages.counts), "what needs no key is there all the time"


async def refused(store: Store) -> None:
    """Check that a write finds the store shut."""
    with pytest.raises(LockedError):
        await store.write(lambda tx: texts(tx.connection))
