"""Runs the migrations of a database; the only file of the running node that imports alembic."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

__all__ = ["STORE_MIGRATIONS", "migration_config", "upgrade"]

STORE_MIGRATIONS: Final = Path(__file__).parent / "migrations"
"""Those of the store of a node."""


def migration_config(connection: Connection, migrations: Path = STORE_MIGRATIONS) -> Config:
    """Return alembic's settings for an open transaction on what `migrations` belong to."""
    config = Config()
    config.set_main_option("script_location", str(migrations))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection, migrations: Path = STORE_MIGRATIONS) -> None:
    """Bring the schema to the newest version inside the caller's transaction."""
    command.upgrade(migration_config(connection, migrations), "head")
