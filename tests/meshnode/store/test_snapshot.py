"""A copy of a database as of one commit: nothing later, nothing that was freed, or nothing."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from meshnode.errors import StoreCorruptError, StoreError
from meshnode.store.database import open_database
from meshnode.store.snapshot import take_snapshot


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Path]:
    """A database of the node's own making, open in another connection."""
    path = tmp_path / "store.sqlite"
    database = open_database(path)
    with database.writer.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE kept (text)")
        connection.exec_driver_sql("INSERT INTO kept VALUES ('here')")
    yield path
    database.close()


def texts(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT text FROM kept")]


def test_a_copy_has_the_last_commit_and_the_settings_of_its_file(
    source: Path, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(source, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO kept VALUES ('not committed')")
        size = take_snapshot(source, tmp_path / "copy")
        writer.execute("COMMIT")
    assert size == (tmp_path / "copy").stat().st_size
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o600
    assert texts(tmp_path / "copy") == ["here"]
    assert texts(source) == ["here", "not committed"]
    with closing(sqlite3.connect(tmp_path / "copy")) as copy:
        # Two: incremental. It cannot be set once there are tables.
        assert copy.execute("PRAGMA auto_vacuum").fetchone() == (2,)


def test_what_was_deleted_is_not_copied(source: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(source, isolation_level=None)) as writer:
        writer.execute("PRAGMA secure_delete=OFF")
        writer.execute("INSERT INTO kept VALUES ('a word that was deleted')")
        writer.execute("DELETE FROM kept WHERE text LIKE 'a word%'")
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"a word that was deleted" in source.read_bytes()
    take_snapshot(source, tmp_path / "copy")
    assert b"a word that was deleted" not in (tmp_path / "copy").read_bytes()


def test_nothing_is_overwritten_and_nothing_is_made_of_nothing(
    source: Path, tmp_path: Path
) -> None:
    (tmp_path / "there").write_text("mine")
    with pytest.raises(StoreError, match="cannot write"):
        take_snapshot(source, tmp_path / "there")
    assert (tmp_path / "there").read_text() == "mine"
    with pytest.raises(StoreError):
        take_snapshot(tmp_path / "missing", tmp_path / "copy")
    assert not (tmp_path / "missing").exists()
    assert not (tmp_path / "copy").exists()


def test_what_is_no_database_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreCorruptError):
        take_snapshot(tmp_path / "broken", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
