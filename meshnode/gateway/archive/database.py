"""SQLite or PostgreSQL as the archive wants it: connections, schema, bulk inserts, errors.

The one file that knows which of the two it is. Every call blocks and runs in a worker thread; a
connection belongs to one call. Source: decision 54, ecosystem 3.2.
"""

from __future__ import annotations

import errno
import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    QueuePool,
    Table,
    create_engine,
    event,
    inspect,
    make_url,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, SQLAlchemyError

from meshnode.errors import ArchiveDownError, ArchiveError, ArchiveReason

__all__ = [
    "ARCHIVE_MIGRATIONS",
    "ARCHIVE_VERSIONS",
    "ArchiveDatabase",
    "check_url",
    "open_archive_database",
    "translated",
]

T = TypeVar("T")

ARCHIVE_VERSIONS: Final = ("0001", "0002")
"""Every schema of the archive this build can open, oldest first."""
ARCHIVE_MIGRATIONS: Final = Path(__file__).parent / "migrations"
"""What leads from one to the next."""
_POSTGRES: Final = "postgresql+psycopg"
_SQLITE_PRAGMAS: Final = (
    # auto_vacuum must come before anything is written, journal_mode included, or it stays off.
    "auto_vacuum=INCREMENTAL",
    "journal_mode=WAL",
    "synchronous=FULL",
    "secure_delete=ON",
    "temp_store=MEMORY",
    "cache_size=-32000",
    "journal_size_limit=16777216",
)
_BUSY_S: Final = 10.0
_READERS_MAX: Final = 4
_CONNECT_S: Final = 5
_SILENT_MS: Final = 15_000
"""A server that acknowledges nothing for so long is gone."""
_STATEMENT_MS: Final = 120_000
_REASON_CHARACTERS: Final = 120
"""Of why a server could not be reached."""
_FOR_A_WHILE: Final = re.compile("starting up|shutting down|recovery|too many|remaining connection")
"""How a server says that it takes nobody now."""
_FILE_REASONS: Final = {
    errno.ENOSPC: ArchiveReason.FULL,
    errno.EDQUOT: ArchiveReason.FULL,
    errno.EROFS: ArchiveReason.READ_ONLY,
    errno.EACCES: ArchiveReason.REFUSED,
    errno.EPERM: ArchiveReason.REFUSED,
    errno.EIO: ArchiveReason.BROKEN,
}
"""Why a file cannot be opened."""
_SQLITE_REASONS: Final = {
    sqlite3.SQLITE_BUSY: ArchiveReason.BUSY,
    sqlite3.SQLITE_LOCKED: ArchiveReason.BUSY,
    sqlite3.SQLITE_FULL: ArchiveReason.FULL,
    sqlite3.SQLITE_READONLY: ArchiveReason.READ_ONLY,
    sqlite3.SQLITE_PERM: ArchiveReason.REFUSED,
    sqlite3.SQLITE_AUTH: ArchiveReason.REFUSED,
    sqlite3.SQLITE_CANTOPEN: ArchiveReason.REFUSED,
    sqlite3.SQLITE_IOERR: ArchiveReason.BROKEN,
    sqlite3.SQLITE_CORRUPT: ArchiveReason.BROKEN,
    sqlite3.SQLITE_NOTADB: ArchiveReason.BROKEN,
}
_SQLITE_AWAY: Final = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
)
"""What passes by itself, or by somebody who makes room."""
_STATE_REASONS: Final = {
    "25006": ArchiveReason.READ_ONLY,
    "28000": ArchiveReason.REFUSED,
    "28P01": ArchiveReason.REFUSED,
    "3D000": ArchiveReason.REFUSED,
    "42501": ArchiveReason.REFUSED,
    "53100": ArchiveReason.FULL,
    "55P03": ArchiveReason.BUSY,
    "57014": ArchiveReason.BUSY,
    "XX001": ArchiveReason.BROKEN,
    "XX002": ArchiveReason.BROKEN,
    "58030": ArchiveReason.BROKEN,
}
"""What PostgreSQL's states mean. Source: PostgreSQL manual, appendix A."""
_LOCK: Final = 0x6D657368
"""Whom the one writer of the purge log is told from, and whoever migrates."""


class ArchiveDatabase:
    """One open archive database; made by `open_archive_database`."""

    def __init__(self, writer: Engine, reader: Engine) -> None:
        self._writer = writer
        self._reader = reader
        self.is_shared = writer.dialect.name == "postgresql"
        """True where other gateways may write, too."""

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction and return its value after the commit.

        Raises: ArchiveDownError, ArchiveError, and what `work` raises; nothing was done then.
        """
        with translated(), self._writer.begin() as connection:
            return work(connection)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on what was committed. Raises: as `write`."""
        with translated(), self._reader.connect() as connection:
            return work(connection)

    def ping(self) -> None:
        """Ask the server whether it is there. Raises: ArchiveDownError, ArchiveError."""
        with translated(), self._reader.connect() as connection:
            connection.exec_driver_sql("SELECT 1")

    def insert_new(
        self, connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]
    ) -> int:
        """Insert rows, values in the order of the columns but `key`; return how many were new.

        What is there already, by any unique index, is passed over.
        """
        if not rows:
            return 0
        names = [column.name for column in table.columns if column.name != "key"]
        listed = f"INSERT INTO {table.name} ({','.join(names)})"
        if not self.is_shared:
            text = f"{listed} VALUES ({','.join('?' * len(names))}) ON CONFLICT DO NOTHING"
            return connection.exec_driver_sql(text, list(rows)).rowcount
        # One statement for all, each column as an array: a third of the cost of a row at a time.
        types = (_array_of(table.columns[name]) for name in names)
        arrays = ",".join(f"%b::{each}[]" for each in types)
        text = f"{listed} SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING"  # noqa: S608 - names of our own columns
        columns = tuple(list(column) for column in zip(*rows, strict=True))
        return connection.exec_driver_sql(text, columns).rowcount

    def lock(self, connection: Connection) -> None:
        """Be the only one who writes the purge log until this transaction ends."""
        if self.is_shared:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))

    def notify(self, connection: Connection, channel: str, payload: str) -> None:
        """Tell the other gateways something at the commit of this transaction."""
        if self.is_shared:
            connection.exec_driver_sql("SELECT pg_notify(%s, %s)", (channel, payload))

    def compact(self) -> None:
        """Give back what deleted rows took, so that no old copy of them stays readable.

        SQLite overwrites what it deletes; PostgreSQL keeps old versions until a vacuum, and the
        table of keys is written anew as a whole. Raises: ArchiveDownError, ArchiveError.
        """
        with translated(), self._writer.connect() as connection:
            driver: Any = connection.connection.dbapi_connection
            if not self.is_shared:
                # `execute` would free a single page: the pragma returns a row for each one.
                driver.executescript("PRAGMA incremental_vacuum;")
                driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                return
            alone = connection.execution_options(isolation_level="AUTOCOMMIT")
            # A vacuum takes as long as the tables are large; the bound is for searches.
            alone.exec_driver_sql("SET statement_timeout = 0")
            try:
                alone.exec_driver_sql("VACUUM (FULL) day_key")
                alone.exec_driver_sql("VACUUM archived, content, word, vocabulary")
            finally:
                connection.invalidate()

    def listen(
        self, channel: str, heard: Callable[[str], None], is_over: Callable[[], bool]
    ) -> None:
        """Call `heard` with what others tell, until `is_over`, which is asked every half second.

        Returns at once where nobody else can write. Raises: ArchiveDownError, ArchiveError.
        """
        if not self.is_shared:
            return
        with translated(), self._reader.connect() as connection:
            alone = connection.execution_options(isolation_level="AUTOCOMMIT")
            alone.exec_driver_sql(f"LISTEN {channel}")
            driver: Any = alone.connection.dbapi_connection
            with _driver_errors(driver):
                while not is_over():
                    for note in driver.notifies(timeout=0.5):
                        heard(note.payload)
            connection.invalidate()

    def close(self) -> None:
        """Close every connection."""
        self._reader.dispose()
        self._writer.dispose()


def open_archive_database(url: str, path: Path) -> ArchiveDatabase:
    """Open the archive at `url`, or in SQLite at `path` where that is empty; make its tables.

    Raises: ArchiveDownError, ArchiveError.
    """
    if url:
        check_url(url)
        with translated():
            engine = _postgres(url)
            database = ArchiveDatabase(engine, engine)
    else:
        _create_private(path)
        with translated():
            database = ArchiveDatabase(
                _sqlite(path, is_writer=True), _sqlite(path, is_writer=False)
            )
    try:
        database.write(lambda connection: _upgrade(database, connection))
    except BaseException:
        database.close()
        raise
    return database


def check_url(url: str) -> None:
    """Refuse what names no PostgreSQL. Raises: ArchiveError, which never repeats the password."""
    try:
        found = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ArchiveError(
            "this names no database: write postgresql+psycopg://USER@HOST/NAME"
        ) from error
    if found.drivername != _POSTGRES:
        raise ArchiveError(
            f"the archive lies in SQLite or PostgreSQL: a URL begins with {_POSTGRES}://"
        )


def _upgrade(database: ArchiveDatabase, connection: Connection) -> None:
    # Two gateways that start at the same time must not both make the tables.
    database.lock(connection)
    if inspect(connection).has_table("alembic_version"):
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        if found == ARCHIVE_VERSIONS[-1]:
            return
        if found is not None and found not in ARCHIVE_VERSIONS:
            raise ArchiveError(
                f"the archive has schema {found}; this build knows {ARCHIVE_VERSIONS[-1]}",
                ArchiveReason.NEWER,
            )
    # Imported here: most starts find the schema current and need no alembic.
    from meshnode.store.upgrade import upgrade

    upgrade(connection, ARCHIVE_MIGRATIONS)


def _array_of(column: Any) -> str:
    name = type(column.type).__name__
    return {"LargeBinary": "bytea", "BigInteger": "bigint", "Integer": "integer"}.get(name, "text")


def _create_private(path: Path) -> None:
    """Make the file readable by its owner alone; log and index files take over its rights."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        reason = _FILE_REASONS.get(error.errno or 0, ArchiveReason.UNREACHABLE)
        raise ArchiveError(f"cannot open {path}: {error.strerror}", reason) from error


def _sqlite(path: Path, *, is_writer: bool) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=QueuePool,
        pool_size=1 if is_writer else _READERS_MAX,
        max_overflow=0,
        connect_args={"check_same_thread": False, "timeout": _BUSY_S},
        # Parameters are keys and texts: they stay out of every error.
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in _SQLITE_PRAGMAS if is_writer else ("query_only=ON", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")

    begin = "BEGIN IMMEDIATE" if is_writer else "BEGIN"

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _postgres(url: str) -> Engine:
    try:
        return create_engine(
            make_url(url),
            pool_size=_READERS_MAX,
            max_overflow=2,
            pool_timeout=_CONNECT_S,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={
                "connect_timeout": _CONNECT_S,
                "tcp_user_timeout": _SILENT_MS,
                "application_name": "meshnode",
                # What this gateway acknowledges is on the disk, whatever the server is set to.
                "options": f"-c statement_timeout={_STATEMENT_MS} -c synchronous_commit=on",
            },
        )
    except ModuleNotFoundError as error:
        raise ArchiveError(
            "PostgreSQL needs the driver psycopg: install meshnode[gateway]"
        ) from error


# --- errors ----------------------------------------------------------------------------------


@contextmanager
def translated() -> Iterator[None]:
    """Turn database errors that leave the block into the archive's own; they name no value."""
    try:
        yield
    except DBAPIError as error:
        raise _translate(error) from error
    except SQLAlchemyError as error:
        # A pool that is exhausted waits for a server that does not answer.
        raise ArchiveDownError(f"the archive does not answer: {type(error).__name__}") from error
    except sqlite3.Error as error:
        reason = _sqlite_reason(error)
        raise ArchiveError(f"the archive cannot do this: {error}", reason) from error


def _translate(error: DBAPIError) -> ArchiveError:
    cause = error.orig
    state = str(getattr(cause, "sqlstate", None) or "")
    name = type(cause).__name__
    if error.statement is None and not isinstance(cause, sqlite3.Error):
        # No connection came about: the driver says why, and has seen no value of ours.
        words = _first_line(cause) or name
        return ArchiveDownError(f"the archive does not answer: {words}", _refusal(words))
    if isinstance(cause, sqlite3.Error):
        if _code(cause) in _SQLITE_AWAY:
            return ArchiveDownError(f"the archive does not answer: {cause}", _sqlite_reason(cause))
        return ArchiveError(f"the archive cannot do this: {cause}", _sqlite_reason(cause))
    # 57: shut down by an administrator or by a crash; 53: out of room; 08: no connection.
    is_away = error.connection_invalidated or isinstance(error, InterfaceError)
    if is_away or state[:2] in ("", "08", "53", "57"):
        reason = _STATE_REASONS.get(state, ArchiveReason.UNREACHABLE)
        return ArchiveDownError(f"the archive does not answer: {name}", reason)
    reason = _STATE_REASONS.get(state, ArchiveReason.OTHER)
    return ArchiveError(f"the archive cannot do this: {name} ({state})", reason)


def _code(cause: sqlite3.Error) -> int:
    return getattr(cause, "sqlite_errorcode", 0) & 0xFF


def _sqlite_reason(cause: sqlite3.Error) -> ArchiveReason:
    return _SQLITE_REASONS.get(_code(cause), ArchiveReason.OTHER)


def _refusal(words: str) -> ArchiveReason:
    """Tell a server that refuses from one that is away: drivers say both in words alone.

    A server that starts, stops or is full of others refuses everybody for a while.
    """
    if not words.startswith("FATAL:") or _FOR_A_WHILE.search(words):
        return ArchiveReason.UNREACHABLE
    return ArchiveReason.REFUSED


def _first_line(cause: BaseException | None) -> str:
    """Return the end of what a driver says of a connection, which is why there is none."""
    words, _, _rest = str(cause).partition("\n")
    return words.rpartition("failed: ")[2].strip()[:_REASON_CHARACTERS]


@contextmanager
def _driver_errors(driver: Any) -> Iterator[None]:
    """Turn errors of the driver's own calls, which SQLAlchemy does not see, into ours."""
    try:
        yield
    except driver.Error as error:
        raise ArchiveDownError(f"the archive does not answer: {type(error).__name__}") from error
