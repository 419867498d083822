"""Tables about what became of messages beside their rows: read, taken back, sent again."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary
from sqlmodel import Field

from meshnode.store.tables import Base, whole_column

__all__ = ["CancelledRow", "ReadDueRow", "ResentRow"]


class CancelledRow(Base, table=True):
    """A text that its author took back: our own, or one for this device."""

    __tablename__ = "cancelled"
    author: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    incarnation: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    seq: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    scope: bytes = Field(sa_column=Column(LargeBinary, nullable=False, index=True))
    at_ms: int = Field(sa_column=whole_column())
    expires_ms: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))


class ReadDueRow(Base, table=True):
    """A scope whose read receipt of this device lags behind."""

    __tablename__ = "read_due"
    scope: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    since_ms: int = Field(sa_column=whole_column())


class ResentRow(Base, table=True):
    """An outgoing message that repeats an earlier one, for those that lack it."""

    __tablename__ = "resent"
    message: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    origin: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))
