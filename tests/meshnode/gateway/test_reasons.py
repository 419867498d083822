"""Each known way in which an archive fails has its name, by what the databases themselves say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection

from meshnode.errors import ArchiveError, ArchiveReason
from meshnode.gateway.archive.database import ArchiveDatabase, open_archive_database
from tests.postgres import Cluster
from tests.real.daemons import free_port

pytestmark = [pytest.mark.slow, pytest.mark.real]

Work = Callable[[Connection], object]


def reason(act: Callable[[], object]) -> ArchiveReason:
    with pytest.raises(ArchiveError) as caught:
        act()
    return caught.value.reason


def runs(*statements: str) -> Work:
    def work(connection: Connection) -> None:
        for each in statements:
            connection.exec_driver_sql(each)

    return work


def test_what_sqlite_says(tmp_path: Path) -> None:
    database = open_archive_database("", tmp_path / "archive.sqlite")
    grow = runs(
        "PRAGMA max_page_count = 1",
        "CREATE TABLE room (bytes BLOB)",
        "INSERT INTO room VALUES (zeroblob(100000000))",
    )
    assert reason(lambda: database.write(grow)) is ArchiveReason.FULL
    # The readers may write nothing.
    assert reason(lambda: database.read(runs("DELETE FROM archived"))) is ArchiveReason.READ_ONLY
    database.close()
    damaged = tmp_path / "damaged.sqlite"
    damaged.write_bytes(b"no database at all " * 1_000)
    assert reason(lambda: open_archive_database("", damaged)) is ArchiveReason.BROKEN
    nowhere = tmp_path / "nowhere" / "archive.sqlite"
    assert reason(lambda: open_archive_database("", nowhere)) is ArchiveReason.UNREACHABLE


def test_what_postgresql_says(cluster: Cluster, tmp_path: Path) -> None:
    url = cluster.database()
    database = open_archive_database(url, tmp_path / "unused")

    def failing(state: str) -> ArchiveReason:
        body = f"BEGIN RAISE EXCEPTION 'it fails' USING ERRCODE = '{state}'; END"
        return reason(lambda: database.write(runs(f"DO $$ {body} $$")))

    _check_states(database, failing)
    database.close()

    def opening(other: str) -> ArchiveReason:
        return reason(lambda: open_archive_database(other, tmp_path / "unused"))

    server, mark, where = url.partition("?")
    elsewhere = f"{server.rpartition('/')[0]}/elsewhere{mark}{where}"
    assert opening(elsewhere) is ArchiveReason.REFUSED
    assert opening(url.replace("//mesh", "//stranger")) is ArchiveReason.REFUSED
    nobody = f"postgresql+psycopg://mesh@127.0.0.1:{free_port()}/x"
    assert opening(nobody) is ArchiveReason.UNREACHABLE


def _check_states(database: ArchiveDatabase, failing: Callable[[str], ArchiveReason]) -> None:
    reads = runs("SET TRANSACTION READ ONLY", "CREATE TABLE room (number INT)")
    assert reason(lambda: database.write(reads)) is ArchiveReason.READ_ONLY
    for state, expected in {
        "53100": ArchiveReason.FULL,
        "42501": ArchiveReason.REFUSED,
        "57014": ArchiveReason.BUSY,
        "57P01": ArchiveReason.UNREACHABLE,
        "XX001": ArchiveReason.BROKEN,
        "22012": ArchiveReason.OTHER,
    }.items():
        assert failing(state) is expected, state
