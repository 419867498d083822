"""Runs the migrations of the archive, on either database."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

__all__ = ["migration_config", "upgrade"]


def migration_config(connection: Connection) -> Config:
    """Return alembic's settings for an open transaction on the archive."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection) -> None:
    """Bring the schema to the newest version inside the caller's transaction."""
    command.upgrade(migration_config(connection), "head")
