"""Attached files at rest: what is told of each, and its pieces, sealed for the agent.

A piece is one chunk's plaintext under the key of the day on which the file ends. Relaying code
cannot import this room. Source: security 2.10, wire-format 4.23.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from meshnode.store import chunks
from meshnode.store.chunks import AttachmentState
from meshnode.store.engine import Transaction
from meshnode.store.schema import AttachmentRow, PieceRow, table
from meshnode.store.sealing import Seals, attachment_seat, piece_seat
from meshnode.vault.kinds import DataKind
from protocol.attachments import (
    Manifest,
    Media,
    decode_manifest_untrusted,
    encode_manifest,
    file_id_of,
)
from protocol.ids import NodeId

__all__ = [
    "AttachmentRecord",
    "NewAttachment",
    "abandon_loading",
    "add_incoming",
    "add_loading",
    "add_pieces",
    "bind",
    "by_file",
    "find",
    "forget_pieces",
    "get",
    "kept_bytes",
    "list_all",
    "missing",
    "of_message",
    "piece_numbers",
    "pieces",
    "queued",
    "set_manifest",
    "set_media",
    "set_removed",
    "whole",
]

_ATTACHMENT = table(AttachmentRow)
_PIECE = table(PieceRow)


@dataclass(frozen=True, slots=True)
class AttachmentRecord:
    """One file, and what is told of it."""

    key: int
    """Its local number."""
    author: NodeId
    """Whose it is."""
    file_id: bytes
    """8 bytes; what relays see of it."""
    message: int
    """Local number of its message; 0 before there is one."""
    is_own: bool
    """It goes out from here."""
    scope: bytes
    """Whom it is for, encoded."""
    state: AttachmentState
    """Where it is."""
    have: int
    """Pieces that are here."""
    created_ms: int
    """When it began to be kept, Unix milliseconds."""
    ends_ms: int
    """When its lifetime ends, Unix milliseconds."""
    media: Media
    """What it is: by its content once it is whole, before by its sender's word."""
    manifest: Manifest = field(repr=False)
    """What its message tells."""


@dataclass(frozen=True, slots=True)
class NewAttachment:
    """A file to be."""

    author: NodeId
    """Whose it is."""
    message: int
    """Local number of its message; 0 before there is one."""
    scope: bytes
    """Whom it is for, encoded; empty before it is known."""
    created_ms: int
    """Unix milliseconds."""
    ends_ms: int
    """Unix milliseconds."""
    manifest: Manifest = field(repr=False)
    """As far as it is known."""


# --- files -------------------------------------------------------------------------------------


def add_loading(tx: Transaction, new: NewAttachment) -> int:
    """Begin to take in an own file; return its local number."""
    return _add(tx, new, AttachmentState.LOADING, is_own=True)


def add_incoming(tx: Transaction, new: NewAttachment) -> int | None:
    """Expect the chunks of another's file; None if it is known."""
    if by_file(tx.connection, new.author, file_id_of(new.manifest.key)) is not None:
        return None
    return _add(tx, new, AttachmentState.ARRIVING, is_own=False)


def _add(tx: Transaction, new: NewAttachment, state: AttachmentState, *, is_own: bool) -> int:
    manifest, file_id = new.manifest, file_id_of(new.manifest.key)
    seat = attachment_seat(new.author, file_id, new.ends_ms)
    made = tx.connection.execute(
        insert(_ATTACHMENT).values(
            author=new.author,
            file_id=file_id,
            message=new.message,
            is_own=int(is_own),
            scope=new.scope,
            size_bytes=manifest.size_bytes,
            chunk_bytes=manifest.chunk_bytes,
            media=int(manifest.media),
            state=state.value,
            have=0,
            created_ms=new.created_ms,
            ends_ms=new.ends_ms,
            manifest=Seals(tx.connection).seal(seat, encode_manifest(manifest)),
        )
    ).inserted_primary_key
    assert made is not None, "a rowid is given on every insert"
    return int(made[0])


def set_manifest(tx: Transaction, record: AttachmentRecord, manifest: Manifest) -> None:
    """Write down what is known once an own file was read to its end; its key stays."""
    assert manifest.key == record.manifest.key, "the seat is named by the key"
    seat = attachment_seat(record.author, record.file_id, record.ends_ms)
    values = {
        "size_bytes": manifest.size_bytes,
        "media": int(manifest.media),
        "manifest": Seals(tx.connection).seal(seat, encode_manifest(manifest)),
    }
    _change(tx, record.key, values)


def bind(tx: Transaction, key: int, message: int, scope: bytes) -> bool:
    """Tie an own file that was taken in to its message: it may leave; False if it cannot."""
    loading = (_ATTACHMENT.c.key == key, _ATTACHMENT.c.state == AttachmentState.LOADING.value)
    values = {"message": message, "scope": scope, "state": AttachmentState.QUEUED.value}
    return bool(tx.connection.execute(update(_ATTACHMENT).where(*loading).values(values)).rowcount)


def set_media(tx: Transaction, key: int, media: Media) -> None:
    """Write down what a file is by its content."""
    _change(tx, key, {"media": int(media)})


def abandon_loading(tx: Transaction, busy: Sequence[int]) -> int:
    """Drop own files that no message tells of and nobody takes in; return how many went."""
    query = select(_ATTACHMENT.c.key).where(
        _ATTACHMENT.c.state == AttachmentState.LOADING.value, _ATTACHMENT.c.key.not_in(busy)
    )
    gone = list(tx.connection.execute(query).scalars())
    chunks.erase_pieces(tx, gone)
    if gone:
        tx.connection.execute(delete(_ATTACHMENT).where(_ATTACHMENT.c.key.in_(gone)))
    return len(gone)


def get(conn: Connection, key: int) -> AttachmentRecord | None:
    """Return one file by its local number. Raises: LockedError."""
    return next(iter(_records(conn, select(_ATTACHMENT).where(_ATTACHMENT.c.key == key))), None)


def by_file(conn: Connection, author: NodeId, file_id: bytes) -> AttachmentRecord | None:
    """Return the file that chunks of an author name. Raises: LockedError."""
    here = (_ATTACHMENT.c.author == author, _ATTACHMENT.c.file_id == file_id)
    return next(iter(_records(conn, select(_ATTACHMENT).where(*here))), None)


def of_message(conn: Connection, message: int) -> AttachmentRecord | None:
    """Return the file that goes with a message. Raises: LockedError."""
    here = _ATTACHMENT.c.message == message
    return next(iter(_records(conn, select(_ATTACHMENT).where(here))), None)


def find(conn: Connection, first: bytes, last: bytes) -> list[AttachmentRecord]:
    """Return up to nine files whose ids lie in a range, ends included; relays see these ids too.

    Raises: LockedError.
    """
    here = _ATTACHMENT.c.file_id.between(first, last)
    query = select(_ATTACHMENT).where(here).order_by(_ATTACHMENT.c.file_id)
    return _records(conn, query.limit(9))


def list_all(conn: Connection, limit: int) -> list[AttachmentRecord]:
    """Return what is known of files, the newest first. Raises: LockedError."""
    query = (
        select(_ATTACHMENT)
        .where(_ATTACHMENT.c.state != AttachmentState.LOADING.value)
        .order_by(_ATTACHMENT.c.key.desc())
        .limit(limit)
    )
    Seals(conn).require(DataKind.ATTACHMENT)
    return _records(conn, query)


def queued(conn: Connection, limit: int) -> list[AttachmentRecord]:
    """Return own files that are under way, the oldest first."""
    here = _ATTACHMENT.c.state == AttachmentState.QUEUED.value
    return _records(conn, select(_ATTACHMENT).where(here).order_by(_ATTACHMENT.c.key).limit(limit))


def whole(conn: Connection, limit: int) -> list[AttachmentRecord]:
    """Return files of others whose pieces are all here and whose hash nobody has looked at."""
    total = (_ATTACHMENT.c.size_bytes + _ATTACHMENT.c.chunk_bytes - 1) // _ATTACHMENT.c.chunk_bytes
    query = select(_ATTACHMENT).where(
        _ATTACHMENT.c.state == AttachmentState.ARRIVING.value, _ATTACHMENT.c.have >= total
    )
    return _records(conn, query.order_by(_ATTACHMENT.c.key).limit(limit))


def set_removed(tx: Transaction, key: int) -> None:
    """Somebody here wants a file of another no more: its pieces are erased, its line stays."""
    chunks.erase_pieces(tx, [key])
    _change(tx, key, {"state": AttachmentState.REMOVED.value, "have": 0})


def _change(tx: Transaction, key: int, values: Mapping[str, Any]) -> None:
    tx.connection.execute(update(_ATTACHMENT).where(_ATTACHMENT.c.key == key).values(values))


def _records(conn: Connection, query: Select[Any]) -> list[AttachmentRecord]:
    """Return those that are whole. Raises: LockedError."""

    def seat(row: Row[Any]) -> Any:
        return attachment_seat(row.author, row.file_id, row.ends_ms)

    found = Seals(conn).whole(conn.execute(query), seat, "manifest")
    return [_record(row, decode_manifest_untrusted(raw)) for row, raw in found]


def _record(row: Row[Any], manifest: Manifest) -> AttachmentRecord:
    return AttachmentRecord(
        key=row.key,
        author=row.author,
        file_id=row.file_id,
        message=row.message,
        is_own=bool(row.is_own),
        scope=row.scope,
        state=AttachmentState(row.state),
        have=row.have,
        created_ms=row.created_ms,
        ends_ms=row.ends_ms,
        media=Media(row.media),
        manifest=manifest,
    )


# --- pieces ------------------------------------------------------------------------------------


def add_pieces(tx: Transaction, key: int, ends_ms: int, found: Mapping[int, bytes]) -> int:
    """Keep pieces by their numbers; one that is here stays. Return how many were new."""
    conn, seals = tx.connection, Seals(tx.connection)
    known = set(piece_numbers(conn, key, found))
    rows = [
        {
            "attachment": key,
            "number": number,
            "ends_ms": ends_ms,
            "body": seals.seal(piece_seat(key, number, ends_ms), body),
        }
        for number, body in sorted(found.items())
        if number not in known
    ]
    if rows:
        conn.execute(insert(_PIECE), rows)
        _change(tx, key, {"have": _ATTACHMENT.c.have + len(rows)})
    return len(rows)


def piece_numbers(conn: Connection, key: int, among: Mapping[int, object]) -> list[int]:
    """Return which of some pieces are here."""
    query = select(_PIECE.c.number).where(
        _PIECE.c.attachment == key, _PIECE.c.number.in_(list(among))
    )
    return list(conn.execute(query).scalars())


def pieces(
    conn: Connection, record: AttachmentRecord, first: int, count: int
) -> dict[int, bytes | None]:
    """Return up to `count` pieces from number `first` on; None for one that is damaged.

    Raises: LockedError.
    """
    query = select(_PIECE).where(
        _PIECE.c.attachment == record.key, _PIECE.c.number.between(first, first + count - 1)
    )
    open_body = Seals(conn).open_or_none
    return {
        row.number: open_body(piece_seat(row.attachment, row.number, row.ends_ms), row.body)
        for row in conn.execute(query.order_by(_PIECE.c.number))
    }


def missing(conn: Connection, record: AttachmentRecord) -> list[int]:
    """Return the numbers of the pieces that are not here."""
    query = select(_PIECE.c.number).where(_PIECE.c.attachment == record.key)
    here = set(conn.execute(query).scalars())
    return [number for number in range(record.manifest.chunk_count) if number not in here]


def forget_pieces(tx: Transaction, key: int, numbers: Sequence[int]) -> None:
    """Let go of pieces that no longer open."""
    bad = (_PIECE.c.attachment == key, _PIECE.c.number.in_(numbers))
    gone = tx.connection.execute(delete(_PIECE).where(*bad)).rowcount
    _change(tx, key, {"have": _ATTACHMENT.c.have - gone})


def kept_bytes(conn: Connection) -> int:
    """Return the bytes of all pieces that are kept here."""
    had = func.sum(_ATTACHMENT.c.have * _ATTACHMENT.c.chunk_bytes)
    erased = select(had).where(
        _ATTACHMENT.c.state.in_(
            [
                AttachmentState.LOADING.value,
                AttachmentState.QUEUED.value,
                AttachmentState.ARRIVING.value,
            ]
        )
        | ((_ATTACHMENT.c.is_own == 0) & (_ATTACHMENT.c.state == AttachmentState.COMPLETE.value))
    )
    return int(conn.execute(erased).scalar() or 0)
