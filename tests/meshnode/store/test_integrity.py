"""Whether a database file is whole, asked beside whoever has it open."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from meshnode.errors import StoreError
from meshnode.store.integrity import integrity_faults


def make(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT)")
        connection.execute("CREATE INDEX i ON t(b)")
        connection.executemany("INSERT INTO t(b) VALUES (?)", [("x" * 200,)] * 500)
        connection.commit()


def test_a_whole_file_has_no_faults_even_beside_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "s"
    make(path)
    before = path.read_bytes()
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO t(b) VALUES ('y')")
        assert integrity_faults(path) == ()
        writer.rollback()
    assert path.read_bytes() == before


def test_broken_pages_are_told_but_not_without_end(tmp_path: Path) -> None:
    path = tmp_path / "s"
    make(path)
    raw = bytearray(path.read_bytes())
    for start in range(8_192, len(raw), 4_096):
        raw[start : start + 32] = b"\xff" * 32
    path.write_bytes(raw)
    assert 1 <= len(integrity_faults(path)) <= 10


def test_a_file_that_is_no_database_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"no database" * 1_000)
    assert integrity_faults(tmp_path / "s") == ("file is not a database",)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        integrity_faults(tmp_path / "none")
    assert not (tmp_path / "none").exists()
