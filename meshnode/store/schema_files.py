"""Tables about attached files: what is told of each, its pieces, its chunks on their way."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary
from sqlmodel import Field

from meshnode.store.tables import METADATA, Base, bytes_column, key_column, whole_column

__all__ = ["AttachmentRow", "ChunkReachRow", "ChunkRow", "PieceRow"]


class AttachmentRow(Base, table=True):
    """One file that goes out from here or comes in."""

    __tablename__ = "attachment"
    key: int | None = Field(default=None, sa_column=key_column())
    author: bytes = Field(sa_column=bytes_column())
    file_id: bytes = Field(sa_column=bytes_column())
    message: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))
    is_own: int
    scope: bytes = Field(sa_column=bytes_column())
    size_bytes: int = Field(sa_column=whole_column())
    chunk_bytes: int
    media: int
    state: str
    have: int
    created_ms: int = Field(sa_column=whole_column())
    ends_ms: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))
    manifest: bytes = Field(sa_column=bytes_column())


_ATTACHMENT = METADATA.tables["attachment"].c
Index("attachment_file", _ATTACHMENT.author, _ATTACHMENT.file_id, unique=True)


class PieceRow(Base, table=True):
    """The plaintext of one chunk, sealed for this device."""

    __tablename__ = "piece"
    attachment: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    number: int = Field(primary_key=True)
    ends_ms: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))
    body: bytes = Field(sa_column=bytes_column())


class ChunkRow(Base, table=True):
    """The newest bundle of one chunk of an own file; no content."""

    __tablename__ = "chunk"
    attachment: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    number: int = Field(primary_key=True)
    incarnation: int = Field(sa_column=whole_column())
    seq: int = Field(sa_column=whole_column())
    short_id: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))
    digest: bytes = Field(sa_column=bytes_column())


_CHUNK = METADATA.tables["chunk"].c
Index("chunk_name", _CHUNK.incarnation, _CHUNK.seq)


class ChunkReachRow(Base, table=True):
    """Which chunks of an own file one device has receipted, and what was sent to it for money."""

    __tablename__ = "chunk_reach"
    attachment: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    node: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    bits: bytes = Field(sa_column=bytes_column())
    spent_bytes: int = Field(sa_column=whole_column())
