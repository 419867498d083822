"""Reflex sheets at rest: what is known of each, and its pieces, sealed for the agent.

A sheet that is retracted or replaced is deleted with its key and its pieces in one transaction;
what stays is that nobody may open it. Nothing here is indexed in clear: a search reads what it
opens. Relaying code cannot import this room. Source: security 2.10, wire-format 13.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, exists, func, insert, select, update

from meshnode.store.engine import Transaction
from meshnode.store.schema import (
    BundleRow,
    SheetChunkRow,
    SheetPackRow,
    SheetPieceRow,
    SheetRetractedRow,
    SheetRow,
    table,
)
from meshnode.store.sealing import Seals, sheet_piece_seat, sheet_seat
from meshnode.store.statements import signed64, unsigned64
from meshnode.vault.kinds import DataKind
from protocol.ids import ShortId
from protocol.sheets import Catalogue, Sheet, decode_sheet_untrusted, encode_sheet

__all__ = [
    "MadeSheetChunk",
    "Pack",
    "SheetRecord",
    "add_pieces",
    "apply",
    "by_file",
    "catalogue",
    "chunks_due",
    "chunks_of",
    "drop_strays",
    "forget_chunks",
    "forget_pieces",
    "have",
    "note_published",
    "pack",
    "pieces",
    "put_chunk",
    "records",
]

_PACK = table(SheetPackRow)
_SHEET = table(SheetRow)
_RETRACTED = table(SheetRetractedRow)
_PIECE = table(SheetPieceRow)
_CHUNK = table(SheetChunkRow)
_BUNDLE = table(BundleRow)
_ONLY: Final = 1


@dataclass(frozen=True, slots=True)
class Pack:
    """The pack as a whole."""

    version: int = 0
    """The highest that was heard of; 0 for none."""
    changed_ms: int = 0
    """When it last changed here, Unix milliseconds."""
    is_publisher: bool = False
    """This node published some of it, and keeps it on its way."""
    renewed_ms: int = 0
    """When this node's catalogue last went out, Unix milliseconds."""
    key_id: bytes = field(default=b"", repr=False)
    """Which zone key that was under."""


@dataclass(frozen=True, slots=True)
class SheetRecord:
    """One sheet that may be opened here."""

    sheet: Sheet = field(repr=False)
    """As its catalogue names it."""
    is_own: bool
    """This node makes its chunks."""
    received_ms: int
    """When this version was heard of, Unix milliseconds."""


@dataclass(frozen=True, slots=True)
class MadeSheetChunk:
    """The bundle of one chunk."""

    file_id: bytes
    """Names the file to relays."""
    number: int
    """Of the chunk, from 0."""
    incarnation: int
    """Of this store when it was made."""
    seq: int
    """Number of the bundle."""
    short_id: ShortId
    """Its name in reconciliation."""
    digest: bytes
    """32 bytes."""
    made_ms: int
    """When it was made, Unix milliseconds."""


# --- the catalogue ---------------------------------------------------------------------------


def pack(conn: Connection) -> Pack:
    """Return what is known of the pack as a whole."""
    row = conn.execute(select(_PACK)).first()
    if row is None:
        return Pack()
    return Pack(row.version, row.changed_ms, bool(row.is_publisher), row.renewed_ms, row.key_id)


def _set_pack(tx: Transaction, **values: Any) -> None:
    if not tx.connection.execute(update(_PACK).values(values)).rowcount:
        fresh = {
            "key": _ONLY,
            "version": 0,
            "changed_ms": 0,
            "is_publisher": 0,
            "renewed_ms": 0,
            "key_id": b"",
        }
        tx.connection.execute(insert(_PACK).values(fresh | values))


def note_published(tx: Transaction, now_ms: int, key_id: bytes) -> None:
    """Keep that the catalogue of this node went out under a key of the zone."""
    _set_pack(tx, is_publisher=1, renewed_ms=now_ms, key_id=key_id)


def records(conn: Connection) -> list[SheetRecord]:
    """Return the sheets that may be opened, by name. Raises: LockedError."""
    Seals(conn).require(DataKind.SHEET)
    return sorted(_records(conn, conn.execute(select(_SHEET))), key=lambda each: each.sheet.name)


def _records(conn: Connection, rows: Iterable[Row[Any]]) -> list[SheetRecord]:
    def seat(row: Row[Any]) -> Any:
        return sheet_seat(row.sheet_id, row.file_id, row.received_ms)

    return [
        SheetRecord(decode_sheet_untrusted(raw), bool(row.is_own), row.received_ms)
        for row, raw in Seals(conn).whole(rows, seat, "entry")
    ]


def by_file(conn: Connection, file_id: bytes) -> SheetRecord | None:
    """Return the sheet that chunks name. Raises: LockedError."""
    rows = conn.execute(select(_SHEET).where(_SHEET.c.file_id == file_id))
    return next(iter(_records(conn, rows)), None)


def catalogue(conn: Connection) -> Catalogue:
    """Return all that is known. Raises: LockedError."""
    retracted = {row.sheet_id: row.version for row in conn.execute(select(_RETRACTED))}
    return Catalogue(pack(conn).version, tuple(each.sheet for each in records(conn)), retracted)


def apply(tx: Transaction, fresh: Catalogue, now_ms: int, own: Collection[str] = ()) -> list[bytes]:
    """Keep what two catalogues say together; return the file ids that are destroyed.

    `own` names sheets that this node publishes. What goes, goes with its pieces.
    Raises: LockedError.
    """
    conn, seals = tx.connection, Seals(tx.connection)
    wanted = {each.file_id: each for each in fresh.sheets}
    held = {row.file_id: row.sheet_id for row in conn.execute(select(_SHEET))}
    whole = {each.sheet.file_id for each in records(conn)}
    # A row that the disk damaged is written anew, or stays until it is known what became of it.
    settled = {each.sheet_id for each in fresh.sheets} | fresh.retracted.keys()
    gone = sorted(
        file_id
        for file_id, sheet_id in held.items()
        if file_id not in wanted and (file_id in whole or sheet_id in settled)
    )
    lost = [*gone, *(held.keys() & wanted.keys() - whole)]
    if lost:
        conn.execute(delete(_SHEET).where(_SHEET.c.file_id.in_(lost)))
    _drop_pieces(tx, gone)
    for file_id in sorted(wanted.keys() - (held.keys() & whole)):
        sheet = wanted[file_id]
        seat = sheet_seat(sheet.sheet_id, file_id, now_ms)
        values = {
            "sheet_id": sheet.sheet_id,
            "file_id": file_id,
            "is_own": 0,
            "received_ms": now_ms,
            "entry": seals.seal(seat, encode_sheet(sheet)),
        }
        conn.execute(insert(_SHEET).values(values))
    if own:
        mine = [each.sheet_id for each in fresh.sheets if each.name in own]
        conn.execute(update(_SHEET).where(_SHEET.c.sheet_id.in_(mine)).values(is_own=1))
    _retract(tx, fresh.retracted)
    _set_pack(tx, version=fresh.version, changed_ms=now_ms)
    return gone


def _retract(tx: Transaction, retracted: Mapping[bytes, int]) -> None:
    known = {row.sheet_id: row.version for row in tx.connection.execute(select(_RETRACTED))}
    for sheet_id, version in sorted(retracted.items()):
        if sheet_id not in known:
            values = {"sheet_id": sheet_id, "version": version}
            tx.connection.execute(insert(_RETRACTED).values(values))
        elif known[sheet_id] < version:
            here = _RETRACTED.c.sheet_id == sheet_id
            tx.connection.execute(update(_RETRACTED).where(here).values(version=version))


# --- pieces ----------------------------------------------------------------------------------


def add_pieces(tx: Transaction, file_id: bytes, now_ms: int, found: Mapping[int, bytes]) -> int:
    """Keep pieces by their numbers; one that is here stays. Return how many were new."""
    here = select(_PIECE.c.number).where(
        _PIECE.c.file_id == file_id, _PIECE.c.number.in_(list(found))
    )
    known = set(tx.connection.execute(here).scalars())
    seals = Seals(tx.connection)
    rows = [
        {
            "file_id": file_id,
            "number": number,
            "received_ms": now_ms,
            "body": seals.seal(sheet_piece_seat(file_id, number, now_ms), body),
        }
        for number, body in sorted(found.items())
        if number not in known
    ]
    if rows:
        tx.connection.execute(insert(_PIECE), rows)
    return len(rows)


def have(conn: Connection) -> dict[bytes, int]:
    """Return how many pieces of each file are here."""
    query = select(_PIECE.c.file_id, func.count()).group_by(_PIECE.c.file_id)
    return {file_id: int(count) for file_id, count in conn.execute(query)}


def pieces(
    conn: Connection, file_id: bytes, numbers: Sequence[int] | None = None
) -> dict[int, bytes | None]:
    """Return pieces by number, all or some; None for one that is damaged. Raises: LockedError."""
    query = select(_PIECE).where(_PIECE.c.file_id == file_id)
    if numbers is not None:
        query = query.where(_PIECE.c.number.in_(numbers))
    open_body = Seals(conn).open_or_none
    return {
        row.number: open_body(sheet_piece_seat(row.file_id, row.number, row.received_ms), row.body)
        for row in conn.execute(query.order_by(_PIECE.c.number))
    }


def forget_pieces(tx: Transaction, file_id: bytes) -> None:
    """Let go of the pieces of a sheet that are not what its catalogue told of."""
    _drop_pieces(tx, [file_id])


def _drop_pieces(tx: Transaction, file_ids: Sequence[bytes]) -> int:
    if not file_ids:
        return 0
    return tx.connection.execute(delete(_PIECE).where(_PIECE.c.file_id.in_(file_ids))).rowcount


def drop_strays(tx: Transaction) -> int:
    """Drop pieces of no sheet, which a publication left that did not end; return how many went."""
    named = exists().where(_SHEET.c.file_id == _PIECE.c.file_id)
    return tx.connection.execute(delete(_PIECE).where(~named)).rowcount


# --- chunks that go out ----------------------------------------------------------------------


def put_chunk(tx: Transaction, chunk: MadeSheetChunk) -> None:
    """Keep which bundle a chunk is; a newer one takes the place of an older."""
    place = (_CHUNK.c.file_id == chunk.file_id, _CHUNK.c.number == chunk.number)
    tx.connection.execute(delete(_CHUNK).where(*place))
    values = {
        "file_id": chunk.file_id,
        "number": chunk.number,
        "incarnation": chunk.incarnation,
        "seq": signed64(chunk.seq),
        "short_id": signed64(chunk.short_id),
        "digest": chunk.digest,
        "made_ms": chunk.made_ms,
    }
    tx.connection.execute(insert(_CHUNK).values(values))


def chunks_of(conn: Connection, file_ids: Sequence[bytes]) -> list[MadeSheetChunk]:
    """Return the chunks that were made of some files."""
    query = select(_CHUNK).where(_CHUNK.c.file_id.in_(file_ids))
    return [
        MadeSheetChunk(
            row.file_id,
            row.number,
            row.incarnation,
            unsigned64(row.seq),
            ShortId(unsigned64(row.short_id)),
            row.digest,
            row.made_ms,
        )
        for row in conn.execute(query.order_by(_CHUNK.c.file_id, _CHUNK.c.number))
    ]


def forget_chunks(tx: Transaction, file_ids: Sequence[bytes]) -> None:
    """Forget the chunks that were made of some files."""
    tx.connection.execute(delete(_CHUNK).where(_CHUNK.c.file_id.in_(file_ids)))


def chunks_due(conn: Connection, sheet: Sheet, made_before_ms: int) -> list[int]:
    """Return the numbers whose bundle was never made, is old, or had to make room."""
    held = exists().where(_BUNDLE.c.short_id == _CHUNK.c.short_id)
    query = select(_CHUNK.c.number).where(
        _CHUNK.c.file_id == sheet.file_id, _CHUNK.c.made_ms >= made_before_ms, held
    )
    good = set(conn.execute(query).scalars())
    return [number for number in range(sheet.chunk_count) if number not in good]
