"""The table of the coverage map: what shifts met, one row each; no behaviour."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary
from sqlmodel import Field

from meshnode.store.tables import Base, bytes_column, whole_column

__all__ = ["CoverageRow"]


class CoverageRow(Base, table=True):
    """What one shift met; `shift_id` is empty in all but those of this device that are not told.

    Without a rowid, so that the rows of others stand in no order of arrival.
    """

    __tablename__ = "coverage"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 - the name that SQLAlchemy reads
    id: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    shift_id: bytes = Field(sa_column=bytes_column())
    day_ms: int = Field(sa_column=whole_column())
    ends_ms: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))
    body: bytes = Field(sa_column=bytes_column())
