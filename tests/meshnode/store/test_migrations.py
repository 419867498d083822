"""Migrations lead from an empty file to exactly the tables of the classes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect

from meshnode.store.database import SCHEMA_VERSIONS, open_database
from meshnode.store.schema import METADATA
from meshnode.store.upgrade import migration_config, upgrade

pytestmark = pytest.mark.slow


@pytest.fixture
def migrated(tmp_path: Path) -> Iterator[Connection]:
    """A connection to a file that has seen nothing but the migrations."""
    engine = create_engine(f"sqlite:///{tmp_path / 'store.sqlite'}")
    with engine.begin() as connection:
        upgrade(connection)
        yield connection
    engine.dispose()


def _shape(connection: Connection) -> dict[str, Any]:
    """Return tables, columns, keys and indexes, as the database itself tells them."""
    found = inspect(connection)
    shape = {}
    for name in found.get_table_names():
        columns = [
            (each["name"], str(each["type"]), each["nullable"]) for each in found.get_columns(name)
        ]
        indexes = sorted(
            (each["name"] or "", tuple(each["column_names"]), bool(each["unique"]))
            for each in found.get_indexes(name)
        )
        conditions = sorted(
            str(each["dialect_options"].get("sqlite_where", "")) for each in found.get_indexes(name)
        )
        key = found.get_pk_constraint(name)["constrained_columns"]
        unique = sorted(tuple(each["column_names"]) for each in found.get_unique_constraints(name))
        shape[name] = (columns, key, indexes, conditions, unique)
    return shape


def test_an_empty_file_becomes_the_schema(migrated: Connection) -> None:
    context = MigrationContext.configure(migrated)
    assert compare_metadata(context, METADATA) == []


def test_alembic_finds_nothing_to_migrate(migrated: Connection) -> None:
    command.check(migration_config(migrated))


def test_alembic_would_find_a_difference(migrated: Connection) -> None:
    migrated.exec_driver_sql("DROP TABLE evidence")
    context = MigrationContext.configure(migrated)
    assert compare_metadata(context, METADATA) != []


def _words(connection: Connection) -> dict[str, str]:
    """Return the SQL of tables and indexes; a table that was rebuilt has its name in quotes."""
    found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {name: "".join(sql.replace('"', "").split()) for name, sql in found}


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_a_new_store_has_the_same_tables(migrated: Connection, kind: str, tmp_path: Path) -> None:
    database = open_database(None if kind == "memory" else tmp_path / "new.sqlite")
    with database.writer.connect() as connection:
        shape, words = _shape(connection), _words(connection)
        version = MigrationContext.configure(connection).get_current_revision()
    database.close()
    assert shape == _shape(migrated)
    assert words == _words(migrated)
    assert version == SCHEMA_VERSIONS[-1]
    assert shape.keys() == {*METADATA.tables, "alembic_version"}


def test_versions_are_those_of_the_scripts(migrated: Connection) -> None:
    scripts = ScriptDirectory.from_config(migration_config(migrated))
    found = [each.revision for each in scripts.walk_revisions()]
    assert tuple(reversed(found)) == SCHEMA_VERSIONS
    assert MigrationContext.configure(migrated).get_current_revision() == SCHEMA_VERSIONS[-1]


def test_going_back_to_the_start_leaves_nothing(migrated: Connection) -> None:
    command.downgrade(migration_config(migrated), "base")
    assert inspect(migrated).get_table_names() == ["alembic_version"]
    upgrade(migrated)
    assert compare_metadata(MigrationContext.configure(migrated), METADATA) == []


def test_an_upgrade_that_has_nothing_to_do_does_nothing(migrated: Connection) -> None:
    before = _shape(migrated)
    upgrade(migrated)
    assert _shape(migrated) == before


def test_a_file_that_went_back_to_the_start_is_brought_up_again(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    for _ in range(2):
        database = open_database(path)
        with database.writer.begin() as connection:
            assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
            command.downgrade(migration_config(connection), "base")
        database.close()
