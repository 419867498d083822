"""After a purge no file of the archive holds the text, the container or the key of that day."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine

from meshnode.gateway.archive.archive import open_archive
from meshnode.gateway.archive.records import Query
from meshnode.retention import DataClass, default_terms
from meshnode.vault.kinds import DAY_MS
from protocol.limits import Kind
from tests.meshnode.gateway.parts import MASTER, NOW_MS, TODAY, Badge, bundle, node, runtime, text
from tests.postgres import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.real]
OLD_MS = NOW_MS - 400 * DAY_MS
WORDS = "the word that shall not be found anywhere"


def _rows(url: str, query: str) -> list[bytes]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = [bytes(row[0]) for row in connection.exec_driver_sql(query)]
    engine.dispose()
    return found


async def _fill_and_purge(url: str, path: Path) -> list[bytes]:
    """Archive something old, purge it, and return what must stand in no file any more."""
    at = url or f"sqlite:///{path}"
    async with open_archive(url, path, runtime(), node(90), MASTER) as archive:
        old = [bundle(seq, created_ms=OLD_MS) for seq in range(300)]
        await archive.put([*old, text(1, WORDS, created_ms=OLD_MS), bundle(999), text(998, "now")])
        gone = _rows(at, f"SELECT wrapped FROM day_key WHERE day < {TODAY}")
        gone += _rows(at, f"SELECT words FROM day_key WHERE day < {TODAY}")
        gone += _rows(at, f"SELECT sealed FROM archived WHERE day < {TODAY} LIMIT 9")
        gone += _rows(at, f"SELECT sealed FROM content WHERE day < {TODAY}")
        assert len(gone) == 12
        await archive.purge(default_terms(), TODAY, Badge().scribe())
        assert [each.name.seq for each in await archive.bundles(Query())] == [999]
        assert [each.raw for each in await archive.contents(Query())] == [b"now"]
    return gone


def _held(folder: Path, wanted: list[bytes]) -> list[str]:
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file()
        for raw in [path.read_bytes()]
        if any(each in raw for each in wanted)
    ]


async def test_sqlite_keeps_nothing_in_any_file(tmp_path: Path) -> None:
    gone = await _fill_and_purge("", tmp_path / "archive.sqlite")
    assert _held(tmp_path, [*gone, WORDS.encode(), MASTER]) == []


async def test_postgresql_keeps_nothing_in_its_tables(cluster: Cluster, tmp_path: Path) -> None:
    gone = await _fill_and_purge(cluster.database(), tmp_path / "unused")
    engine = create_engine(cluster.database(), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("CHECKPOINT")
    engine.dispose()
    # Its log of changes keeps them until it is written over: the how-to page says so.
    wrapped = gone[:2]
    assert _held(cluster.data / "base", [*wrapped, WORDS.encode(), MASTER]) == []
    assert _held(cluster.data, [WORDS.encode(), MASTER]) == []


async def test_positions_go_after_two_months_and_their_tracks_too(tmp_path: Path) -> None:
    at = NOW_MS - 62 * DAY_MS
    async with open_archive("", tmp_path / "a.sqlite", runtime(), node(90), MASTER) as archive:
        kinds = (Kind.POSITION, Kind.TRACK, Kind.STATE, Kind.TEXT)
        await archive.put([bundle(int(each), each, created_ms=at) for each in kinds])
        purged = await archive.purge(default_terms(), TODAY, Badge().scribe())
        assert {each.data_class for each in purged.days} == {DataClass.POSITIONS}
        assert [each.kind for each in await archive.bundles(Query())] == [Kind.TEXT]
