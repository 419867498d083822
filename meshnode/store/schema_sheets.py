"""Tables about reflex sheets: what is known of each, its pieces, its chunks on their way."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary
from sqlmodel import Field

from meshnode.store.tables import METADATA, Base, bytes_column, whole_column

__all__ = ["SheetChunkRow", "SheetPackRow", "SheetPieceRow", "SheetRetractedRow", "SheetRow"]


class SheetPackRow(Base, table=True):
    """The pack as a whole: one row, no content."""

    __tablename__ = "sheet_pack"
    key: int = Field(primary_key=True)
    version: int = Field(sa_column=whole_column())
    changed_ms: int = Field(sa_column=whole_column())
    is_publisher: int
    renewed_ms: int = Field(sa_column=whole_column())
    key_id: bytes = Field(sa_column=bytes_column())


class SheetRow(Base, table=True):
    """One sheet, as a catalogue names it."""

    __tablename__ = "sheet"
    sheet_id: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    file_id: bytes = Field(sa_column=bytes_column())
    is_own: int
    received_ms: int = Field(sa_column=whole_column())
    entry: bytes = Field(sa_column=bytes_column())


Index("sheet_file", METADATA.tables["sheet"].c.file_id, unique=True)


class SheetRetractedRow(Base, table=True):
    """A sheet that nobody may open up to a version; stays for good."""

    __tablename__ = "sheet_retracted"
    sheet_id: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    version: int = Field(sa_column=whole_column())


class SheetPieceRow(Base, table=True):
    """The plaintext of one chunk of a sheet, sealed for this device."""

    __tablename__ = "sheet_piece"
    file_id: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    number: int = Field(primary_key=True)
    received_ms: int = Field(sa_column=whole_column())
    body: bytes = Field(sa_column=bytes_column())


class SheetChunkRow(Base, table=True):
    """The newest bundle of one chunk that this node made; no content."""

    __tablename__ = "sheet_chunk"
    file_id: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    number: int = Field(primary_key=True)
    incarnation: int = Field(sa_column=whole_column())
    seq: int = Field(sa_column=whole_column())
    short_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    digest: bytes = Field(sa_column=bytes_column())
    made_ms: int = Field(sa_column=whole_column())
