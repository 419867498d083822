"""Disks at the moment of a power cut: SQLite comes back with a whole commit, and the right one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sims import disk
from sims.disk import DiskImage, committed_end, freeze, scratch, thaw, torn
from sims.draws import Draw

REPEATED = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database as the store does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE IF NOT EXISTS line (words BLOB)")
        yield database


def written(path: Path, sizes: list[int]) -> tuple[DiskImage, list[DiskImage]]:
    """Return the disk before, and after one commit of each size."""
    path.unlink(missing_ok=True)
    with opened(path) as database:
        first, found = freeze(path), []
        for size in sizes:
            database.execute("BEGIN IMMEDIATE")
            database.execute("INSERT INTO line VALUES (zeroblob(?))", (size,))
            database.execute("COMMIT")
            found.append(freeze(path))
    return first, found


def sizes_in(path: Path, image: DiskImage) -> list[int]:
    """Return what SQLite finds on a disk after it was switched on again."""
    thaw(path, image)
    with opened(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [row[0] for row in database.execute("SELECT length(words) FROM line ORDER BY rowid")]


def test_what_was_committed_is_there_after_a_power_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    _first, images = written(path, [10, 5_000, 20_000])
    for place, image in enumerate(images, start=1):
        assert sizes_in(path, image) == [10, 5_000, 20_000][:place]


def test_leftovers_of_the_running_database_are_gone(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    first, images = written(path, [10])
    thaw(path, images[0])
    assert path.with_name("a.sqlite-wal").exists()
    thaw(path, DiskImage(first.database, b""))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.sqlite"]


@pytest.mark.slow
@REPEATED
@given(seed=st.integers(0, 2**32), sizes=st.lists(st.integers(0, 30_000), min_size=1, max_size=4))
def test_a_torn_commit_is_as_if_it_had_never_begun(
    seed: int, sizes: list[int], tmp_path: Path
) -> None:
    path = tmp_path / "a.sqlite"
    first, images = written(path, sizes)
    before, after = [first, *images][-2:]
    image = torn(before, after, Draw(seed, "tear"))
    assert image is not None
    assert image != after
    assert sizes_in(path, image) == sizes[:-1]


def test_nothing_is_torn_where_nothing_was_committed(tmp_path: Path) -> None:
    _first, (image,) = written(tmp_path / "a.sqlite", [10])
    assert torn(image, image, Draw(1, "tear")) is None


def test_a_commit_that_reached_the_database_is_not_torn(tmp_path: Path) -> None:
    _first, (image,) = written(tmp_path / "a.sqlite", [10])
    assert torn(DiskImage(b"other pages", b""), image, Draw(1, "tear")) is None


@pytest.mark.parametrize("log", [b"", b"short", bytes(32), bytes(33)])
def test_a_log_without_a_commit_ends_at_its_head(log: bytes) -> None:
    assert committed_end(log)[1] == (32 if len(log) >= 32 else 0)


def test_frames_of_an_earlier_round_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with opened(path) as database:
        database.executemany("INSERT INTO line VALUES (zeroblob(?))", [(9_000,)] * 4)
        long = committed_end(freeze(path).log)
        database.execute("PRAGMA wal_checkpoint(RESTART)")
        before = freeze(path)
        database.execute("INSERT INTO line VALUES (zeroblob(10))")
        after = freeze(path)
    short = committed_end(after.log)
    assert len(after.log) == len(before.log)
    assert short[0] != long[0]
    assert short[1] < long[1]
    image = torn(before, after, Draw(2, "tear"))
    assert image is not None
    assert sizes_in(path, image) == [9_000] * 4


def test_stores_lie_in_memory_where_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "_MEMORY", tmp_path)
    assert scratch(1) == tmp_path
    assert scratch(1 << 60) is None
    monkeypatch.setattr(disk, "_MEMORY", tmp_path / "nowhere")
    assert scratch(1) is None
