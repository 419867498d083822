"""How statements become SQL: put into words once in a process, whatever stores it has open.

SQLAlchemy keeps the words of a statement with the engine it first ran on, by the dialect of that
engine. A store has two engines, and a command, a restarted node or a simulated fleet opens stores
again and again: putting the same statements into words anew would cost more than running them.
Source: SQLAlchemy, "SQL Compilation Caching".
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache

__all__ = ["DRIVER", "WORDED", "StoreDialect"]

_STATEMENTS_MAX: Final = 2_000
"""Several times as many as the store has; the ones used longest ago go first."""


class StoreDialect(SQLiteDialect_pysqlite):
    """SQLite as each store speaks it: with the same library and pragmas, so all are equal."""

    supports_statement_cache = True

    def __init__(self, begin: str = "BEGIN", **options: Any) -> None:
        super().__init__(**options)
        self._begin = begin
        """What begins a transaction; the driver's begin too late, and end before a savepoint."""

    def do_begin(self, dbapi_connection: Any) -> None:
        """Begin a transaction, as SQLAlchemy asks for it; no event, and no statement to word."""
        dbapi_connection.execute(self._begin)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))


DRIVER: Final = "sqlite+store"
"""How a URL names it."""
registry.register("sqlite.store", __name__, StoreDialect.__name__)

WORDED: Final[MutableMapping[Any, Any]] = LRUCache(_STATEMENTS_MAX)
"""Statements that were put into words, of all engines; it holds no parameter."""
