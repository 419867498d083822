"""What every table of the store is made from: its catalogue, its base class, its usual columns."""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, Table
from sqlmodel import SQLModel

__all__ = ["METADATA", "Base", "bytes_column", "key_column", "table", "whole_column"]

METADATA = MetaData()
"""Every table of the store and nothing else."""


class Base(SQLModel):
    """Keeps these tables apart from those of any other SQLModel user in the process."""

    metadata: ClassVar[MetaData] = METADATA


def table(row: type[SQLModel]) -> Table:
    """Return the Core table of a row class."""
    return METADATA.tables[str(row.__tablename__)]


def key_column() -> Column[int]:
    """A rowid alias: SQLite gives the number, in the order of insertion."""
    return Column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)


def whole_column() -> Column[int]:
    """A 64-bit whole number."""
    return Column(BigInteger, nullable=False)


def bytes_column() -> Column[bytes]:
    """Bytes that are never missing."""
    return Column(LargeBinary, nullable=False)
