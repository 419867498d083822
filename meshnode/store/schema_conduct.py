"""Tables about conduct: quotas, the audit log, and how far the clock is trusted; no behaviour."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary
from sqlmodel import Field

from meshnode.store.tables import Base, bytes_column, key_column, whole_column

__all__ = ["AuditBaseRow", "AuditRow", "ClockRow", "HoldingRow", "QuotaRow", "ResidenceRow"]


class QuotaRow(Base, table=True):
    """What one author made within one hour of its own clock, as far as it came here."""

    __tablename__ = "quota"
    node: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    hour: int = Field(
        sa_column=Column(BigInteger, primary_key=True, autoincrement=False, index=True)
    )
    texts: int
    states: int
    positions: int
    sos: int
    bulk: int
    size_bytes: int = Field(sa_column=whole_column())
    bulk_bytes: int = Field(sa_column=whole_column())


class HoldingRow(Base, table=True):
    """What this store holds of one author, and took in during one hour of its own clock."""

    __tablename__ = "holding"
    node: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    live_bytes: int = Field(sa_column=whole_column())
    sos_bytes: int = Field(sa_column=whole_column())
    hour: int = Field(sa_column=whole_column())
    arrived_bytes: int = Field(sa_column=whole_column())
    bulk_bytes: int = Field(sa_column=whole_column())
    bulk_arrived_bytes: int = Field(sa_column=whole_column())


class AuditRow(Base, table=True):
    """One entry of the audit log; its hash covers the one before."""

    __tablename__ = "audit"
    number: int = Field(sa_column=key_column())
    at_ms: int = Field(sa_column=whole_column())
    event: str
    node: bytes = Field(sa_column=bytes_column())
    count: int = Field(sa_column=whole_column())
    previous: bytes = Field(sa_column=bytes_column())
    hash: bytes = Field(sa_column=bytes_column())


class AuditBaseRow(Base, table=True):
    """The last entry that went; the chain that is left begins behind it."""

    __tablename__ = "audit_base"
    key: int = Field(primary_key=True)
    number: int = Field(sa_column=whole_column())
    hash: bytes = Field(sa_column=bytes_column())


class ClockRow(Base, table=True):
    """How far this store trusts the wall clock, and how long it has run in all."""

    __tablename__ = "clock"
    key: int = Field(primary_key=True)
    uptime_ms: int = Field(sa_column=whole_column())
    anchor_wall_ms: int = Field(sa_column=whole_column())
    anchor_uptime_ms: int = Field(sa_column=whole_column())
    doubt_wall_ms: int = Field(sa_column=whole_column())
    doubt_uptime_ms: int = Field(sa_column=whole_column())
    is_doubted: int


class ResidenceRow(Base, table=True):
    """At this uptime and wall time all bundles up to this number had arrived."""

    __tablename__ = "residence"
    uptime_ms: int = Field(sa_column=key_column())
    wall_ms: int = Field(sa_column=whole_column())
    last_key: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))
