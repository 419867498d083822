"""The table of what waits for the archive of a gateway; no behaviour."""

from __future__ import annotations

from typing import ClassVar

from sqlmodel import Field

from meshnode.store.tables import Base, bytes_column, key_column, whole_column

__all__ = ["SpoolRow"]


class SpoolRow(Base, table=True):
    """A bundle that was taken in, or content that was opened, until the archive has it.

    `mark` is the running total of `size_bytes` up to this row: what waits is told by the first and
    the last row alone.
    """

    __tablename__ = "spool"
    # A number is never given twice: what was handed over is deleted by its number.
    __table_args__: ClassVar[dict[str, bool]] = {"sqlite_autoincrement": True}
    key: int | None = Field(default=None, sa_column=key_column())
    is_opened: int
    sealed_as: int
    author: bytes = Field(sa_column=bytes_column())
    incarnation: int = Field(sa_column=whole_column())
    seq: int = Field(sa_column=whole_column())
    digest: bytes = Field(sa_column=bytes_column())
    kind: int
    scope: bytes = Field(sa_column=bytes_column())
    created_ms: int = Field(sa_column=whole_column())
    expires_ms: int = Field(sa_column=whole_column())
    at_ms: int = Field(sa_column=whole_column())
    size_bytes: int
    hops: int
    mark: int = Field(sa_column=whole_column())
    raw: bytes = Field(sa_column=bytes_column())
