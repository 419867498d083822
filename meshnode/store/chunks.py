"""Chunks of own files on their way: which bundle each is, who has it, what it cost; no content.

Relaying code may use this room: it holds numbers only, and needs no key. An own file is complete
once everybody whom its message is for has receipted every chunk; for the operations centre one of
its members is enough. Its pieces are erased then. Source: wire-format 4.23.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, bindparam, delete, exists, func, insert, select, update

from meshnode.store.engine import Transaction
from meshnode.store.schema import (
    AttachmentRow,
    BundleRow,
    ChunkReachRow,
    ChunkRow,
    CopyRow,
    PieceRow,
    RecipientRow,
    TombstoneRow,
    table,
)
from meshnode.store.statements import signed64, unsigned64
from protocol.ids import NodeId, ShortId
from protocol.reports import Reception

__all__ = [
    "AttachmentState",
    "MadeChunk",
    "Travel",
    "conclude",
    "drop_over",
    "expire",
    "lost",
    "made",
    "note_receipt",
    "open_chunks",
    "put",
    "reach",
    "spend",
    "spent",
    "travel",
]

_ATTACHMENT = table(AttachmentRow)
_BUNDLE = table(BundleRow)
_CHUNK = table(ChunkRow)
_COPY = table(CopyRow)
_PIECE = table(PieceRow)
_REACH = table(ChunkReachRow)
_RECIPIENT = table(RecipientRow)
_TOMBSTONE = table(TombstoneRow)

_ANY_ONE_SCOPE: Final = 3
"""Scope type of the operations centre, where one member is enough (wire 3.4)."""


class AttachmentState(StrEnum):
    """Where an attached file is, as far as this device knows."""

    LOADING = "loading"
    """Its pieces are being taken in; no message tells of it yet."""
    QUEUED = "queued"
    """Own, and on its way or about to be."""
    ARRIVING = "arriving"
    """Of another; chunks are missing."""
    COMPLETE = "complete"
    """Here whole with the right hash, or at everybody whom it is for."""
    DAMAGED = "damaged"
    """All chunks came and are not the file that the message told of."""
    EXPIRED = "expired"
    """Its lifetime ended first."""
    CANCELLED = "cancelled"
    """Its sender gave it up."""
    REMOVED = "removed"
    """Somebody here removed it."""


_LIVE: Final = (
    AttachmentState.LOADING.value,
    AttachmentState.QUEUED.value,
    AttachmentState.ARRIVING.value,
)
_OVER: Final = select(_ATTACHMENT.c.key).where(
    _ATTACHMENT.c.ends_ms <= bindparam("now_ms"), _ATTACHMENT.c.state.in_(_LIVE)
)


@dataclass(frozen=True, slots=True)
class MadeChunk:
    """The bundle of one chunk."""

    attachment: int
    """Local number of the file."""
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


@dataclass(frozen=True, slots=True)
class Travel:
    """How far the chunks of one own file have come."""

    made: int
    """Chunks that were made into bundles."""
    carried: int
    """Of these, chunks that another device is known to hold, or was delivered."""


def put(tx: Transaction, chunk: MadeChunk) -> None:
    """Keep which bundle a chunk is; a newer one takes the place of an older."""
    place = (_CHUNK.c.attachment == chunk.attachment, _CHUNK.c.number == chunk.number)
    tx.connection.execute(delete(_CHUNK).where(*place))
    values = {
        "attachment": chunk.attachment,
        "number": chunk.number,
        "incarnation": chunk.incarnation,
        "seq": signed64(chunk.seq),
        "short_id": signed64(chunk.short_id),
        "digest": chunk.digest,
    }
    tx.connection.execute(insert(_CHUNK).values(values))


def made(conn: Connection, attachment: int) -> list[MadeChunk]:
    """Return the chunks of one file that were made, in order."""
    query = select(_CHUNK).where(_CHUNK.c.attachment == attachment).order_by(_CHUNK.c.number)
    return [
        MadeChunk(
            row.attachment,
            row.number,
            row.incarnation,
            unsigned64(row.seq),
            ShortId(unsigned64(row.short_id)),
            row.digest,
        )
        for row in conn.execute(query)
    ]


def lost(conn: Connection, attachment: int, limit: int) -> list[int]:
    """Return chunks whose bundle is neither held nor delivered: they had to make room."""
    held = exists().where(_BUNDLE.c.short_id == _CHUNK.c.short_id)
    delivered = exists().where(
        _TOMBSTONE.c.short_id == _CHUNK.c.short_id,
        _TOMBSTONE.c.reason == int(Reception.DELIVERED),
    )
    query = (
        select(_CHUNK.c.number)
        .where(_CHUNK.c.attachment == attachment, ~held, ~delivered)
        .order_by(_CHUNK.c.number)
        .limit(limit)
    )
    return list(conn.execute(query).scalars())


def travel(conn: Connection, attachment: int) -> Travel:
    """Return how far the chunks of one file have come."""
    held = exists().where(_BUNDLE.c.short_id == _CHUNK.c.short_id)
    copied = exists().where(_COPY.c.short_id == _CHUNK.c.short_id)
    mine = _CHUNK.c.attachment == attachment
    count = select(func.count()).select_from(_CHUNK)
    carried = count.where(mine, copied | ~held)
    return Travel(
        int(conn.execute(count.where(mine)).scalar_one()),
        int(conn.execute(carried).scalar_one()),
    )


def open_chunks(conn: Connection) -> dict[ShortId, int]:
    """Return the file of each held chunk of an own file that is under way."""
    query = (
        select(_CHUNK.c.short_id, _CHUNK.c.attachment)
        .join(_ATTACHMENT, _ATTACHMENT.c.key == _CHUNK.c.attachment)
        .where(_ATTACHMENT.c.state == AttachmentState.QUEUED.value)
    )
    return {ShortId(unsigned64(short)): int(key) for short, key in conn.execute(query)}


# --- receipts ----------------------------------------------------------------------------------


def note_receipt(
    tx: Transaction, node: NodeId, incarnation: int, seqs: Collection[int]
) -> list[int]:
    """Note that `node` has these own bundles; return the files that are complete by it."""
    if not seqs:
        return []
    wanted = {signed64(seq) for seq in seqs}
    query = select(_CHUNK.c.attachment, _CHUNK.c.number, _CHUNK.c.seq).where(
        _CHUNK.c.incarnation == incarnation,
        _CHUNK.c.seq.between(min(wanted), max(wanted)),
    )
    fresh: dict[int, int] = {}
    for attachment, number, seq in tx.connection.execute(query):
        if seq in wanted:
            fresh[attachment] = fresh.get(attachment, 0) | 1 << number
    done = []
    for attachment, bits in sorted(fresh.items()):
        _reach(tx, attachment, node, bits)
        is_whole = _is_complete(tx.connection, attachment)
        if is_whole and conclude(tx, attachment, AttachmentState.COMPLETE):
            done.append(attachment)
    return done


def _reach(tx: Transaction, attachment: int, node: NodeId, bits: int) -> None:
    here = (_REACH.c.attachment == attachment, _REACH.c.node == node)
    row = tx.connection.execute(select(_REACH.c.bits).where(*here)).first()
    all_bits = bits | int.from_bytes(b"" if row is None else row.bits, "big")
    raw = all_bits.to_bytes((all_bits.bit_length() + 7) // 8, "big")
    if row is not None:
        tx.connection.execute(update(_REACH).where(*here).values(bits=raw))
        return
    values = {"attachment": attachment, "node": node, "bits": raw, "spent_bytes": 0}
    tx.connection.execute(insert(_REACH).values(values))


def reach(conn: Connection, attachment: int) -> dict[NodeId, int]:
    """Return how many chunks of one file each device has receipted."""
    query = select(_REACH.c.node, _REACH.c.bits).where(_REACH.c.attachment == attachment)
    found = {node: int.from_bytes(bits, "big").bit_count() for node, bits in conn.execute(query)}
    return {node: count for node, count in found.items() if count}


def _is_complete(conn: Connection, attachment: int) -> bool:
    row = conn.execute(select(_ATTACHMENT).where(_ATTACHMENT.c.key == attachment)).first()
    if row is None:
        return False
    total = -(-row.size_bytes // row.chunk_bytes)
    have = {node for node, count in reach(conn, attachment).items() if count >= total}
    query = select(_RECIPIENT.c.node).where(_RECIPIENT.c.message == row.message)
    readers = set(conn.execute(query).scalars())
    if row.scope[:1] == bytes([_ANY_ONE_SCOPE]):
        return not have.isdisjoint(readers)
    return bool(readers) and readers <= have


# --- what it cost ------------------------------------------------------------------------------


def spend(tx: Transaction, spending: Mapping[tuple[int, NodeId], int]) -> None:
    """Add bytes that went to a device over links that cost money, by file and device."""
    for (attachment, node), size_bytes in sorted(spending.items()):
        _reach(tx, attachment, node, 0)
        here = (_REACH.c.attachment == attachment, _REACH.c.node == node)
        more = {"spent_bytes": _REACH.c.spent_bytes + size_bytes}
        tx.connection.execute(update(_REACH).where(*here).values(more))


def spent(conn: Connection) -> dict[tuple[int, NodeId], int]:
    """Return what own files have cost so far, by file and device, bytes."""
    query = select(_REACH.c.attachment, _REACH.c.node, _REACH.c.spent_bytes)
    found = conn.execute(query.where(_REACH.c.spent_bytes > 0))
    return {(int(key), node): int(size_bytes) for key, node, size_bytes in found}


# --- the end -----------------------------------------------------------------------------------


def conclude(tx: Transaction, attachment: int, state: AttachmentState) -> bool:
    """Give a file its last state and erase the pieces that serve no more; False if it had one.

    The pieces of a file of another that came whole stay: they are what people read.
    """
    live = (_ATTACHMENT.c.key == attachment, _ATTACHMENT.c.state.in_(_LIVE))
    row = tx.connection.execute(select(_ATTACHMENT.c.is_own).where(*live)).first()
    if row is None:
        return False
    tx.connection.execute(
        update(_ATTACHMENT).where(_ATTACHMENT.c.key == attachment).values(state=state.value)
    )
    if row.is_own or state is not AttachmentState.COMPLETE:
        erase_pieces(tx, [attachment])
    return True


def erase_pieces(tx: Transaction, attachments: Sequence[int]) -> int:
    """Erase the pieces of files; return how many went."""
    if not attachments:
        return 0
    gone = delete(_PIECE).where(_PIECE.c.attachment.in_(attachments))
    return tx.connection.execute(gone).rowcount


def expire(tx: Transaction, now_ms: int) -> int:
    """End files whose lifetime is over before they were whole; return how many did."""
    over = list(tx.connection.execute(_OVER, {"now_ms": now_ms}).scalars())
    return sum(conclude(tx, key, AttachmentState.EXPIRED) for key in over)


def drop_over(tx: Transaction, before_ms: int) -> int:
    """Forget files that ended before; return how many rows went."""
    query = select(_ATTACHMENT.c.key).where(_ATTACHMENT.c.ends_ms < before_ms)
    gone = list(tx.connection.execute(query).scalars())
    count = erase_pieces(tx, gone)
    if gone:
        for rows, column in ((_CHUNK, "attachment"), (_REACH, "attachment"), (_ATTACHMENT, "key")):
            count += tx.connection.execute(delete(rows).where(rows.c[column].in_(gone))).rowcount
    return count
