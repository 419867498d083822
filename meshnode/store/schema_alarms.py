"""The table of alarms; no behaviour."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index
from sqlmodel import Field

from meshnode.store.tables import METADATA, Base, bytes_column, key_column, whole_column

__all__ = ["AlarmStepRow"]


class AlarmStepRow(Base, table=True):
    """One step of one alarm, our own steps included; what it says is sealed."""

    __tablename__ = "alarm_step"
    key: int | None = Field(default=None, sa_column=key_column())
    raiser: bytes = Field(sa_column=bytes_column())
    alarm_id: bytes = Field(sa_column=bytes_column())
    author: bytes = Field(sa_column=bytes_column())
    incarnation: int = Field(sa_column=whole_column())
    seq: int = Field(sa_column=whole_column())
    scope: bytes = Field(sa_column=bytes_column())
    at_ms: int = Field(sa_column=whole_column())
    expires_ms: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))
    received_ms: int = Field(sa_column=whole_column())
    body: bytes = Field(sa_column=bytes_column())


_STEP = METADATA.tables["alarm_step"].c
Index("alarm_step_identity", _STEP.author, _STEP.incarnation, _STEP.seq, unique=True)
Index("alarm_step_alarm", _STEP.raiser, _STEP.alarm_id)
