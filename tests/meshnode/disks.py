"""A disk without room, as a database sees it."""

from __future__ import annotations

from sqlalchemy import Connection

__all__ = ["full", "roomy"]


def full(connection: Connection) -> None:
    """Let this database grow no more, as on a disk without room."""
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")


def roomy(connection: Connection) -> None:
    """Let this database grow again."""
    connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
