"""Kill -9 before every statement, commit and flush of a purge: it is finished at the next start."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio
from sqlalchemy import Engine, event

from meshnode.purging import purge
from meshnode.store import messages
from meshnode.store.engine import Transaction, open_store
from tests.faults.dying import Moment, deaths
from tests.meshnode.store.parts import DAY_MS, NOW_MS
from tests.meshnode.store.vaults import RUNTIME, fill_agent, fill_device, message, vault

pytestmark = pytest.mark.slow

_LATER_MS = NOW_MS + 400 * DAY_MS
_TEXTS = 3


def _fill(tx: Transaction) -> None:
    fill_device(tx)
    fill_agent(tx)
    messages.expire_messages(tx, NOW_MS + DAY_MS, 9)
    for seq in range(10, 10 + _TEXTS):
        messages.add_incoming(tx, message(seq, f"text {seq}"), seq, b"d" * 32, NOW_MS)


async def _make(path: Path) -> None:
    async with open_store(path, RUNTIME, vault=vault()) as store:
        await store.write(_fill)


def _purge(home: Path) -> None:
    trio.run(_purge_store, home / "store.sqlite")


async def _purge_store(path: Path) -> None:
    async with open_store(path, RUNTIME, vault=vault()) as store:
        await purge(store, _LATER_MS)
        await store.compact()


async def _texts(path: Path) -> int:
    """Return how many messages are there; each of them opens."""
    async with open_store(path, RUNTIME, vault=vault()) as store:
        states = await store.read(messages.counts)
        shown = await store.read(
            lambda conn: messages.list_inbox(conn, 0, 99) + messages.list_outgoing(conn, 0, 99)
        )
        assert len(shown) == sum(states.values())
        return len(shown)


def _statements(moment: Moment) -> None:
    event.listen(Engine, "before_cursor_execute", moment)
    event.listen(Engine, "begin", moment)
    event.listen(Engine, "commit", moment)


def test_a_purge_is_whole_or_not_begun_and_finished_at_the_next_start(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    trio.run(_make, base / "store.sqlite")
    with closing(sqlite3.connect(base / "store.sqlite")) as connection:
        ciphertexts = [row[0] for row in connection.execute("SELECT text FROM message")]
    seen = set()
    for home, _is_done in deaths(tmp_path, base, _purge, 20, _statements):
        path = home / "store.sqlite"
        seen.add(trio.run(_texts, path))
        _purge(home)
        assert trio.run(_texts, path) == 0
        raw = b"".join(each.read_bytes() for each in home.iterdir())
        assert not [each for each in ciphertexts if each in raw]
    assert seen == {0, _TEXTS + 2}
