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


def test_a_store_in_memory_has_the_same_tables(migrated: Connection) -> None:
    database = open_database(None)
    with database.writer.connect() as connection:
        in_memory = _shape(connection)
    database.close()
    wanted = _shape(migrated)
    # alembic gives its own table a key; nothing of ours looks at it.
    assert in_memory.pop("alembic_version")[0] == wanted.pop("alembic_version")[0]
    assert in_memory == wanted
    assert in_memory.keys() == METADATA.tables.keys()


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
