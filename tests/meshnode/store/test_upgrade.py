"""A store of the first schema becomes one of this build, sealed, with nothing left in clear."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine, event

from meshnode.store import keyring, messages, peers, positions
from meshnode.store.engine import open_store
from meshnode.store.upgrade import migration_config
from protocol.orders import Revocation
from tests.meshnode.store.parts import NOW_MS, node
from tests.meshnode.store.vaults import (
    ADDRESS,
    ALARM,
    DOCUMENT,
    NETWORK_KEY,
    RUNTIME,
    TEXT,
    vault,
)

pytestmark = pytest.mark.slow

_ROWS = (
    "INSERT INTO node VALUES (1, 7, 5, 0, 0)",
    f"INSERT INTO document VALUES (1, x'', 1, 1, x'00', x'{DOCUMENT.hex()}', {NOW_MS})",
    f"INSERT INTO network_key VALUES (1, x'', x'{NETWORK_KEY.hex()}', {NOW_MS})",
    f"INSERT INTO peer VALUES (x'{'04' * 16}', '{ADDRESS}', 0, 1, {NOW_MS}, 1, 0, 0)",
)
_MESSAGE = (
    "INSERT INTO message VALUES ({key}, x'01', 7, {key}, 'incoming', x'01', {kind}, '{text}', "
    "1, {now}, 1, x'', 0, 1, 'received', '', 0, 0, {key}, x'00')"
)


def first_schema(path: Path) -> None:
    """Write a store as the first build left it."""
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")

    with engine.begin() as connection:
        command.upgrade(migration_config(connection), "0001")
    engine.dispose()
    with closing(sqlite3.connect(path)) as written:
        for each in _ROWS:
            written.execute(each)
        for key in range(1, 1_200):
            text, kind = (ALARM, 3) if key == 2 else (f"{TEXT} {key}", 1)
            written.execute(_MESSAGE.format(key=key, text=text, kind=kind, now=NOW_MS))
            line = "INSERT INTO ledger VALUES (?, ?, 1, 'received', NULL, 'detail')"
            written.execute(line, (key, key))
        written.commit()


def in_files(folder: Path) -> bytes:
    return b"".join(each.read_bytes() for each in folder.iterdir())


async def test_a_store_of_the_first_schema_is_upgraded_and_sealed(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    first_schema(path)
    secrets = [TEXT.encode(), ALARM.encode(), ADDRESS.encode(), DOCUMENT, NETWORK_KEY]
    assert all(each in path.read_bytes() for each in secrets)
    async with open_store(path, RUNTIME, vault=vault()) as store:
        files = in_files(tmp_path)
        assert not [each for each in secrets if each in files]
        found = await store.read(lambda conn: messages.list_inbox(conn, 0, 2_000))
        assert len(found) == 1_199
        assert found[0].text == f"{TEXT} 1"
        givers = await store.read(
            lambda conn: keyring.network_key_givers(conn, keyring.KeyPurpose.NETWORK)
        )
        assert givers == {b"": b""}, "nobody knows who gave the keys of before"
        assert (await store.read(lambda conn: messages.ledger(conn, 5)))[0].detail == "detail"
        assert (await store.read(peers.list_peers))[0].address == ADDRESS
        assert store.incarnation == 7
    async with open_store(path, RUNTIME, vault=vault()) as store:
        assert len(await store.read(lambda conn: messages.list_inbox(conn, 0, 2_000))) == 1_199


async def test_numbers_of_messages_go_on_after_an_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    first_schema(path)
    async with open_store(path, RUNTIME):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO message SELECT NULL, x'09', incarnation, seq, direction, scope, kind, "
            "text, created_ms, expires_ms, received_ms, alarm_id, step, suite, state, reason, "
            "ended_ms, is_read, short_id, digest FROM message WHERE key = 1"
        )
        connection.execute("DELETE FROM message WHERE key < 1200")
        connection.execute("DELETE FROM message WHERE key = 1200")
        (number,) = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'message'")
        assert number == (1_200,)


async def test_a_position_of_before_has_no_number(tmp_path: Path) -> None:
    """It counts as told after the last good bundle once its author is revoked."""
    path = tmp_path / "store.sqlite"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA auto_vacuum=INCREMENTAL")
        command.upgrade(migration_config(connection), "0006")
        connection.exec_driver_sql(
            "INSERT INTO position (author, scope, shift_id, taken_ms, ends_ms, body) "
            f"VALUES (x'{node(1).hex()}', x'73', x'696e2061', {NOW_MS}, {NOW_MS + 9}, x'626f6479')"
        )
    engine.dispose()
    async with open_store(path, RUNTIME) as store:
        (found,) = await store.read(lambda conn: positions.of_author(conn, node(1), 9))
    assert (found.incarnation, found.seq, found.body) == (0, 0, b"body")
    for revoked in (Revocation(node(1), 0, 7, 2**40), Revocation(node(1), 0, 0, 0)):
        assert not revoked.is_good(found.incarnation, found.seq)
