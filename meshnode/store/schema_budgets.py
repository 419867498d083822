"""Tables of what bearers have cost; no behaviour."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column
from sqlmodel import AutoString, Field

from meshnode.store.tables import Base, whole_column

__all__ = ["SpentRow"]


class SpentRow(Base, table=True):
    """What one bearer has cost in one period; in clear, since a locked device pays too."""

    __tablename__ = "spent"
    bearer: str = Field(sa_column=Column(AutoString, primary_key=True))
    period: str = Field(sa_column=Column(AutoString, primary_key=True))
    start_ms: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    billed_bytes: int = Field(sa_column=whole_column())
    microeuros: int = Field(sa_column=whole_column())
