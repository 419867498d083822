"""SQLite as this store wants it: pragmas, connections, schema version, errors in our words.

The only file that knows that the database is SQLite, beside the statements of the sync path.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Pool,
    QueuePool,
    StaticPool,
    create_engine,
    create_mock_engine,
    event,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import ExecutableDDLElement

from meshnode.errors import SchemaTooNewError, StoreCorruptError, StoreError, StoreFullError
from meshnode.store.dialect import DRIVER, WORDED
from meshnode.store.schema import METADATA
from meshnode.store.sealed_columns import is_unsealed, seal_store
from meshnode.store.sealing import VAULT
from meshnode.vault.vault import Vault
from protocol.limits import STORE_READERS_MAX

__all__ = [
    "SCHEMA_VERSIONS",
    "Database",
    "is_of_disk",
    "is_undone",
    "open_database",
    "translate",
    "translated",
]

SCHEMA_VERSIONS: Final = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
    "0006",
    "0007",
    "0008",
    "0009",
    "0010",
    "0011",
    "0012",
    "0013",
    "0014",
    "0015",
)
"""Every schema this build can open, oldest first; the last is the one it works with."""

# auto_vacuum must come before anything is written, journal_mode included, or it stays off.
_WRITER_PRAGMAS: Final = (
    "auto_vacuum=INCREMENTAL",
    "journal_mode=WAL",
    "synchronous=FULL",
    "secure_delete=ON",
    "temp_store=MEMORY",
    "cache_size=-8000",
    "journal_size_limit=16777216",
    "wal_autocheckpoint=4000",
)
_READER_PRAGMAS: Final = ("query_only=ON", "temp_store=MEMORY", "cache_size=-4000")
_BUSY_S: Final = 5.0

_FULL_CODES: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_TOOBIG})
_DISK_CODES: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
    }
)
"""What a disk does that is full, fails, or was mounted for reading alone."""
_CORRUPT_CODES: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


@dataclass(frozen=True, slots=True)
class Database:
    """The engines of one open store."""

    writer: Engine
    """One connection; every transaction takes the write lock at its start."""
    reader: Engine
    """Up to `STORE_READERS_MAX` connections; the writer's own where the store is in memory."""

    @property
    def is_shared(self) -> bool:
        """True where reads and writes go over one connection and must take turns."""
        return self.reader is self.writer

    def compact(self) -> bool:
        """Give freed pages back to the disk and empty the log; False if a reader kept it.

        Raises: StoreError.
        """
        with translated(), self.writer.connect() as connection:
            driver: Any = connection.connection.dbapi_connection
            # `execute` would free a single page: the pragma returns a row for each one.
            driver.executescript("PRAGMA incremental_vacuum;")
            is_busy, *_pages = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return not is_busy

    def close(self) -> None:
        """Close every connection; the last one copies the log into the file."""
        self.reader.dispose()
        self.writer.dispose()


def open_database(path: Path | None, vault: Vault | None = None) -> Database:
    """Open or create the database, at the schema of this build; None is one in memory.

    With a vault, what lies there unsealed is sealed before anything else is done.
    Raises: SchemaTooNewError, StoreCorruptError, StoreError; LockedError where rows are to be
    sealed for an agent whose vault is locked.
    """
    with translated():
        if path is None:
            writer = _engine("", StaticPool, _WRITER_PRAGMAS, vault)
            with writer.begin() as connection:
                _create(connection)
            return Database(writer, writer)
        _create_private(path)
        writer = _engine(str(path), QueuePool, _WRITER_PRAGMAS, vault, pool_size=1, max_overflow=0)
        reader = _engine(
            str(path),
            QueuePool,
            _READER_PRAGMAS,
            vault,
            pool_size=STORE_READERS_MAX,
            max_overflow=0,
        )
        database = Database(writer, reader)
        try:
            if _upgrade(writer, vault):
                # What was in clear still lies in the log, and in pages that are free now.
                database.compact()
        except BaseException:
            database.close()
            raise
        return database


def _create_private(path: Path) -> None:
    """Make the file readable by its owner alone; log and index files take over its rights."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreError(f"cannot open {path}: {error.strerror}") from error


def _engine(
    name: str, pool: type[Pool], pragmas: tuple[str, ...], vault: Vault | None, **options: Any
) -> Engine:
    engine = create_engine(
        URL.create(DRIVER, database=name),
        poolclass=pool,
        # Worker threads take turns; the pool hands a connection to one of them at a time.
        connect_args={"check_same_thread": False, "timeout": _BUSY_S},
        # Parameters are keys and texts: they stay out of every error.
        hide_parameters=True,
        execution_options={"compiled_cache": WORDED},
        # A listener to an event of the engine would slow down each of its statements.
        begin="BEGIN IMMEDIATE" if pragmas is _WRITER_PRAGMAS else "BEGIN",
        **options,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, record: Any) -> None:
        # Found again by whoever reads or writes a sealed column on this connection.
        record.info[VAULT] = vault
        # Transactions are begun by the dialect, and never by the driver.
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    return engine


# --- schema version --------------------------------------------------------------------------


def _create(connection: Connection) -> None:
    """Make the tables straight from the classes; a test holds that migrations give the same."""
    for statement in _statements():
        connection.exec_driver_sql(statement)


@cache
def _statements() -> tuple[str, ...]:
    """Return what makes a new store; put into words once, for each of many stores to run."""
    found = []

    def write(element: ExecutableDDLElement, *_arguments: Any, **_options: Any) -> None:
        found.append(str(element.compile(dialect=engine.dialect)))

    engine = create_mock_engine("sqlite://", write)
    METADATA.create_all(engine, checkfirst=False)
    return (
        *found,
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
        " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))",
        f"INSERT INTO alembic_version VALUES ('{SCHEMA_VERSIONS[-1]}')",  # noqa: S608 - our own
    )


def _upgrade(writer: Engine, vault: Vault | None) -> bool:
    """Bring schema and seals up to this build in one transaction; True if rows were sealed."""
    with writer.begin() as connection:
        version = _version(connection)
        if version and version not in SCHEMA_VERSIONS:
            raise SchemaTooNewError(
                f"the store has schema {version}; this build knows {SCHEMA_VERSIONS[-1]}"
            )
        if version is None:
            _create(connection)
        elif version != SCHEMA_VERSIONS[-1]:
            # Imported here: most starts find the schema current, or no store, and need no alembic.
            from meshnode.store.upgrade import upgrade

            upgrade(connection)
        if vault is None or not is_unsealed(connection):
            return False
        seal_store(connection)
        return True


def _version(connection: Connection) -> str | None:
    """Return the schema version of the file, None for a new one, empty if all was undone."""
    found = connection.exec_driver_sql(
        "SELECT name FROM sqlite_master WHERE name = 'alembic_version'"
    ).first()
    if found is None:
        return None
    row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
    return "" if row is None else str(row[0])


def is_undone(connection: Connection) -> bool:
    """True if SQLite itself ended the transaction of `connection`, as it does on a full disk.

    What follows on the connection would be committed statement by statement.
    """
    driver: Any = connection.connection.dbapi_connection
    return not driver.in_transaction


# --- errors ----------------------------------------------------------------------------------


def translate(error: BaseException) -> BaseException:
    """Return the store's own error for one of the database, any other unchanged."""
    if isinstance(error, SQLAlchemyError):
        cause = getattr(error, "orig", None)
        found = _translate_driver(cause if isinstance(cause, sqlite3.Error) else None, str(error))
    elif isinstance(error, sqlite3.Error):
        found = _translate_driver(error, str(error))
    else:
        return error
    found.__cause__ = error
    return found


def _translate_driver(cause: sqlite3.Error | None, message: str) -> StoreError:
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    words = str(cause) if cause is not None else message
    if code in _FULL_CODES:
        return StoreFullError(f"the disk is full: {words}")
    if code in _CORRUPT_CODES:
        return StoreCorruptError(f"the store is damaged: {words}")
    return StoreError(f"the store cannot do this: {words}")


def is_of_disk(error: BaseException | None) -> bool:
    """True for an error by which the database says that the disk does not take what is written."""
    cause = None if error is None else error.__cause__
    driver = getattr(cause, "orig", cause)
    return getattr(driver, "sqlite_errorcode", 0) & 0xFF in _DISK_CODES


@contextmanager
def translated() -> Iterator[None]:
    """Turn database errors that leave the block into the store's own."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise translate(error) from error
