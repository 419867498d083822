"""The file: its rights, its pragmas, its schema version, and what damage is called."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest
from sqlalchemy import literal, select, text
from sqlalchemy.engine.interfaces import CacheStats

from meshnode.errors import SchemaTooNewError, StoreCorruptError, StoreError, StoreFullError
from meshnode.store.database import SCHEMA_VERSIONS, open_database, translate
from meshnode.store.dialect import WORDED
from meshnode.store.engine import Store, open_store
from meshnode.store.schema import PeerRow, table
from tests.meshnode.store.parts import add, all_tables, drop, files_of, record, rows, runtime


async def test_only_the_owner_may_read_any_file(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    async with open_store(path, runtime()) as store:
        await add(store, record(1))
        for each in files_of(path):
            assert stat.S_IMODE(each.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("pragma", "file_value", "memory_value"),
    [
        ("journal_mode", "wal", "memory"),
        ("synchronous", 2, 2),
        ("secure_delete", 1, 1),
        ("auto_vacuum", 2, 2),
        ("temp_store", 2, 2),
    ],
)
async def test_pragmas_of_the_writer(
    store: Store, pragma: str, file_value: object, memory_value: object
) -> None:
    found = await store.write(
        lambda tx: tx.connection.execute(text(f"PRAGMA {pragma}")).scalar_one()
    )
    is_file = (await rows(store, "PRAGMA database_list"))[0][2] != ""
    assert found == (file_value if is_file else memory_value)


async def test_what_is_deleted_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    secret = record(1)
    async with open_store(path, runtime()) as store:
        await add(store, secret, record(2))
        await store.compact()
        assert secret.raw[:64] in path.read_bytes()
        await drop(store, secret.short_id)
        await store.compact()
        for each in files_of(path):
            assert secret.raw[:64] not in each.read_bytes()
    assert secret.raw[:64] not in path.read_bytes()
    assert record(2).raw[:64] in path.read_bytes()


def test_statements_are_put_into_words_once_for_all_stores(tmp_path: Path) -> None:
    """Of a value that it was first run with nothing is kept, in this store or another."""
    peer = table(PeerRow)
    hits = []
    for name, count in (("one", 3), ("two", 4), (None, 5)):
        database = open_database(None if name is None else tmp_path / name)
        for engine in (database.writer, database.reader):
            with engine.connect() as connection:
                found = connection.execute(select(peer.c.node).where(peer.c.contacts > count))
                hits.append(found.context.cache_hit)
                assert found.all() == []
                (shown,) = connection.execute(select(literal(count).label("only here"))).one()
                assert shown == count
        database.close()
    assert hits == [hits[0], *[CacheStats.CACHE_HIT] * 5]
    assert len(WORDED) > 1


async def test_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    async with open_store(path, runtime()):
        pass
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    before = all_tables(path)
    with pytest.raises(SchemaTooNewError, match=f"9999.*{SCHEMA_VERSIONS[-1]}"):
        async with open_store(path, runtime()):
            pass
    assert all_tables(path) == before


@pytest.mark.parametrize("garbage", [b"this is no database " * 300, bytes(range(256)) * 20])
async def test_garbage_is_called_damage(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(garbage)
    with pytest.raises(StoreCorruptError):
        async with open_store(path, runtime()):
            pass
    assert path.read_bytes() == garbage


async def test_a_page_of_garbage_is_called_damage(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    async with open_store(path, runtime()) as store:
        await add(store, *(record(seq) for seq in range(1, 200)))
    content = bytearray(path.read_bytes())
    # Everything behind the schema's page: no tree of the database is whole.
    content[4_096 * 4 :] = b"\x5a" * (len(content) - 4_096 * 4)
    path.write_bytes(content)
    with pytest.raises(StoreCorruptError):
        async with open_store(path, runtime()) as store:
            await rows(store, "SELECT * FROM bundle")


async def test_an_empty_file_is_a_new_store(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.touch()
    async with open_store(path, runtime()) as store:
        await add(store, record(1))


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        async with open_store(tmp_path / "none" / "store.sqlite", runtime()):
            pass


def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="directory"):
        open_database(tmp_path)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, StoreFullError),
        (sqlite3.SQLITE_CORRUPT, StoreCorruptError),
        (sqlite3.SQLITE_CORRUPT_INDEX, StoreCorruptError),
        (sqlite3.SQLITE_NOTADB, StoreCorruptError),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreError),
        (sqlite3.SQLITE_BUSY, StoreError),
    ],
)
def test_codes_have_their_own_errors(code: int, kind: type[StoreError]) -> None:
    error = sqlite3.OperationalError("words")
    error.sqlite_errorcode = code
    found = translate(error)
    assert type(found) is kind
    assert found.__cause__ is error
    assert "words" in str(found)


def test_other_errors_stay_themselves() -> None:
    error = KeyError("mine")
    assert translate(error) is error
