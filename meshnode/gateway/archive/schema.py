"""Tables of the archive, the same in SQLite and PostgreSQL; no behaviour.

Ids, kinds, sizes and times stand in clear, so that a database can sort and find; containers and
contents are sealed. 64-bit unsigned numbers of the wire are kept as signed ones. `day` is the day
that the retention of a row counts from, and the day of the key that seals it.
"""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table
from sqlmodel import AutoString, Field, SQLModel

__all__ = [
    "METADATA",
    "ArchivedRow",
    "ContentRow",
    "DayKeyRow",
    "RecordRow",
    "VocabularyRow",
    "WordRow",
    "table",
]

METADATA = MetaData()
"""Every table of the archive and nothing else."""


class _Base(SQLModel):
    """Keeps these tables apart from those of the store."""

    metadata: ClassVar[MetaData] = METADATA


def table(row: type[SQLModel]) -> Table:
    """Return the Core table of a row class."""
    return METADATA.tables[str(row.__tablename__)]


def _key() -> Column[int]:
    return Column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)


def _whole() -> Column[int]:
    return Column(BigInteger, nullable=False)


def _bytes() -> Column[bytes]:
    return Column(LargeBinary, nullable=False)


class DayKeyRow(_Base, table=True):
    """The wrapped key of one class and day, and the key of its words sealed under it."""

    __tablename__ = "day_key"
    data_class: str = Field(sa_column=Column(AutoString, primary_key=True))
    day: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    wrapped: bytes = Field(sa_column=_bytes())
    words: bytes = Field(sa_column=_bytes())


class ArchivedRow(_Base, table=True):
    """One bundle that a gateway took in; `sealed` is its container."""

    __tablename__ = "archived"
    author: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    incarnation: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    seq: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    data_class: str = Field(sa_column=Column(AutoString, nullable=False))
    day: int
    kind: int
    scope: bytes = Field(sa_column=_bytes())
    zone: int
    created_ms: int = Field(sa_column=_whole())
    expires_ms: int = Field(sa_column=_whole())
    arrived_ms: int = Field(sa_column=_whole())
    size_bytes: int
    hops: int
    digest: bytes = Field(sa_column=_bytes())
    gateway: bytes = Field(sa_column=_bytes())
    sealed: bytes = Field(sa_column=_bytes())


_ARCHIVED = METADATA.tables["archived"].c
Index("archived_day", _ARCHIVED.data_class, _ARCHIVED.day)


class ContentRow(_Base, table=True):
    """What a gateway could open: a text of the centre, a place of its zone, a step of an alarm."""

    __tablename__ = "content"
    key: int | None = Field(default=None, sa_column=_key())
    author: bytes = Field(sa_column=_bytes())
    incarnation: int = Field(sa_column=_whole())
    seq: int = Field(sa_column=_whole())
    data_class: str = Field(sa_column=Column(AutoString, nullable=False))
    day: int
    kind: int
    scope: bytes = Field(sa_column=_bytes())
    created_ms: int = Field(sa_column=_whole())
    opened_ms: int = Field(sa_column=_whole())
    gateway: bytes = Field(sa_column=_bytes())
    sealed: bytes = Field(sa_column=_bytes())


_CONTENT = METADATA.tables["content"].c
Index("content_name", _CONTENT.author, _CONTENT.incarnation, _CONTENT.seq, unique=True)
Index("content_scope", _CONTENT.scope, _CONTENT.data_class, _CONTENT.day)
Index("content_time", _CONTENT.data_class, _CONTENT.day, _CONTENT.created_ms)


class WordRow(_Base, table=True):
    """A word of a content, as a keyed hash that nobody can turn back without its day's key."""

    __tablename__ = "word"
    __table_args__: ClassVar[dict[str, bool]] = {"sqlite_with_rowid": False}
    token: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    content: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))


Index("word_content", METADATA.tables["word"].c.content)


class VocabularyRow(_Base, table=True):
    """Words that were new to a class and day, sealed under its key."""

    __tablename__ = "vocabulary"
    key: int | None = Field(default=None, sa_column=_key())
    data_class: str = Field(sa_column=Column(AutoString, nullable=False))
    day: int
    level: int
    sealed: bytes = Field(sa_column=_bytes())


_VOCABULARY = METADATA.tables["vocabulary"].c
Index("vocabulary_day", _VOCABULARY.data_class, _VOCABULARY.day, _VOCABULARY.level)


class RecordRow(_Base, table=True):
    """One entry of the purge log: what was destroyed, exported or answered; signed and chained."""

    __tablename__ = "record"
    number: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    body: bytes = Field(sa_column=_bytes())
    hash: bytes = Field(sa_column=_bytes())
    signature: bytes = Field(sa_column=_bytes())
