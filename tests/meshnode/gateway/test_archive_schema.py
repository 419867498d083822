"""Migrations of the archive lead from nothing to exactly the tables of the classes, on both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect

from meshnode.errors import ArchiveError
from meshnode.gateway.archive.database import (
    ARCHIVE_MIGRATIONS,
    ARCHIVE_VERSIONS,
    check_url,
    open_archive_database,
)
from meshnode.gateway.archive.schema import METADATA
from meshnode.store.upgrade import migration_config, upgrade

pytestmark = [pytest.mark.slow, pytest.mark.real]
Address = tuple[str, Path]


def _url(address: Address) -> str:
    return address[0] or f"sqlite:///{address[1]}"


@pytest.fixture
def migrated(address: Address) -> Iterator[Connection]:
    """A connection to a database that has seen nothing but the migrations."""
    engine = create_engine(_url(address))
    with engine.begin() as connection:
        upgrade(connection, ARCHIVE_MIGRATIONS)
        yield connection
    engine.dispose()


def test_an_empty_database_becomes_the_schema(migrated: Connection) -> None:
    assert compare_metadata(MigrationContext.configure(migrated), METADATA) == []
    assert set(inspect(migrated).get_table_names()) == {*METADATA.tables, "alembic_version"}


def test_alembic_finds_nothing_to_migrate(migrated: Connection) -> None:
    command.check(migration_config(migrated, ARCHIVE_MIGRATIONS))


def test_alembic_would_find_a_difference(migrated: Connection) -> None:
    migrated.exec_driver_sql("DROP TABLE word")
    assert compare_metadata(MigrationContext.configure(migrated), METADATA) != []


def test_versions_are_those_of_the_scripts(migrated: Connection) -> None:
    scripts = ScriptDirectory.from_config(migration_config(migrated, ARCHIVE_MIGRATIONS))
    found = [each.revision for each in scripts.walk_revisions()]
    assert tuple(reversed(found)) == ARCHIVE_VERSIONS


def test_going_back_to_the_start_leaves_nothing(migrated: Connection) -> None:
    command.downgrade(migration_config(migrated, ARCHIVE_MIGRATIONS), "base")
    assert inspect(migrated).get_table_names() == ["alembic_version"]
    upgrade(migrated, ARCHIVE_MIGRATIONS)
    assert compare_metadata(MigrationContext.configure(migrated), METADATA) == []


def test_an_archive_is_opened_again_as_it_is_and_a_newer_one_is_refused(address: Address) -> None:
    for _ in range(2):
        open_archive_database(*address).close()
    engine = create_engine(_url(address))
    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    with pytest.raises(ArchiveError, match="9999"):
        open_archive_database(*address)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///elsewhere",
        "postgresql://mesh@host/name",
        "mysql://mesh:the-password@host/name",
        "the-password",
        "postgresql+psycopg://mesh:the-password@host:port/name",
    ],
)
def test_what_names_no_postgresql_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ArchiveError) as caught:
        check_url(url)
    assert "the-password" not in str(caught.value)


def test_a_file_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="cannot open"):
        open_archive_database("", tmp_path / "nowhere" / "archive.sqlite")
