"""Tables of the squad board and of tracks: what a shift has beside positions; no behaviour."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary
from sqlmodel import Field

from meshnode.store.tables import METADATA, Base, bytes_column, key_column, whole_column

__all__ = ["StateRow", "TrackPointRow", "TrackRow"]


class StateRow(Base, table=True):
    """The newest that a device told a squad of its battery and coverage, until its shift ends."""

    __tablename__ = "state"
    author: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    scope: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    stamp: int = Field(sa_column=whole_column())
    incarnation: int = Field(sa_column=whole_column())
    seq: int = Field(sa_column=whole_column())
    received_ms: int = Field(sa_column=whole_column())
    ends_ms: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))
    body: bytes = Field(sa_column=bytes_column())


class TrackPointRow(Base, table=True):
    """A place of this device that waits for the next segment of its track."""

    __tablename__ = "track_point"
    key: int | None = Field(default=None, sa_column=key_column())
    shift_id: bytes = Field(sa_column=bytes_column())
    taken_ms: int = Field(sa_column=whole_column())
    ends_ms: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))
    body: bytes = Field(sa_column=bytes_column())


class TrackRow(Base, table=True):
    """A segment of a track of another device, kept at the operations centre."""

    __tablename__ = "track"
    key: int | None = Field(default=None, sa_column=key_column())
    author: bytes = Field(sa_column=bytes_column())
    scope: bytes = Field(sa_column=bytes_column())
    shift_id: bytes = Field(sa_column=bytes_column())
    first_ms: int = Field(sa_column=whole_column())
    ends_ms: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))
    incarnation: int = Field(sa_column=whole_column())
    seq: int = Field(sa_column=whole_column())
    body: bytes = Field(sa_column=bytes_column())


_POINT = METADATA.tables["track_point"].c
Index("track_point_place", _POINT.shift_id, _POINT.taken_ms, unique=True)
_TRACK = METADATA.tables["track"].c
Index("track_source", _TRACK.author, _TRACK.incarnation, _TRACK.seq, unique=True)
