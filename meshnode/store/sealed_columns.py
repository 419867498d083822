"""Every sealed column of the store, and how an older store is sealed as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, update

from meshnode.store.schema import METADATA, NodeRow, table
from meshnode.store.sealing import (
    Seals,
    Seat,
    alarm_step_seat,
    attachment_seat,
    bundle_seat,
    coverage_seat,
    document_seat,
    evidence_seat,
    key_kind,
    ledger_seat,
    line_kind,
    message_kind,
    message_seat,
    network_key_seat,
    peer_seat,
    piece_seat,
    position_seat,
    prekey_seat,
    receiving_seat,
    sending_seat,
    sheet_piece_seat,
    sheet_seat,
    spool_seat,
    state_seat,
    track_point_seat,
    track_seat,
)
from meshnode.vault.kinds import DataKind

__all__ = ["SEALED", "SealedColumn", "is_unsealed", "seal_store"]

_NODE = table(NodeRow)
_SLICE: Final = 500
"""Rows sealed at a time when an older store is sealed."""


def _first_seat(chain_id: bytes, ends_ms: int) -> Seat:
    return sending_seat("first", chain_id, ends_ms)


def _state_seat(chain_id: bytes, ends_ms: int) -> Seat:
    return sending_seat("state", chain_id, ends_ms)


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column whose values are sealed."""

    table: str
    """Its table."""
    column: str
    """Its name."""
    born: str
    """The column that says how old a row is, Unix milliseconds."""
    time: str
    """The column whose day is the day of the seat."""
    seat: Callable[..., Seat]
    """Gives the seat of a row."""
    named_by: tuple[str, ...]
    """Columns that `seat` takes, in order."""
    kind_of: Callable[[Any], DataKind]
    """Gives the kind of a row by the column `divided_by`, or of all rows by None."""
    divided_by: str | None = None
    """The column that divides the rows into kinds; None where all are of one."""


def _all_of(kind: DataKind) -> Callable[[Any], DataKind]:
    return lambda _value: kind


SEALED: Final = (
    SealedColumn(
        table="bundle",
        column="raw",
        born="received_ms",
        time="expires_ms",
        seat=bundle_seat,
        named_by=("short_id", "expires_ms"),
        kind_of=_all_of(DataKind.BUNDLE),
    ),
    SealedColumn(
        table="document",
        column="raw",
        born="received_ms",
        time="received_ms",
        seat=document_seat,
        named_by=("document_class", "scope", "received_ms"),
        kind_of=_all_of(DataKind.DOCUMENT),
    ),
    SealedColumn(
        table="evidence",
        column="raw",
        born="at_ms",
        time="at_ms",
        seat=evidence_seat,
        named_by=("subject", "raw_hash", "at_ms"),
        kind_of=_all_of(DataKind.EVIDENCE),
    ),
    SealedColumn(
        table="network_key",
        column="key",
        born="since_ms",
        time="since_ms",
        seat=network_key_seat,
        named_by=("purpose", "key_id", "since_ms"),
        kind_of=key_kind,
        divided_by="purpose",
    ),
    SealedColumn(
        table="peer",
        column="address",
        born="first_ms",
        time="address_ms",
        seat=peer_seat,
        named_by=("node", "address_ms"),
        kind_of=_all_of(DataKind.CONTACT),
    ),
    SealedColumn(
        table="message",
        column="text",
        born="created_ms",
        time="expires_ms",
        seat=message_seat,
        named_by=("author", "incarnation", "seq", "direction", "kind", "expires_ms"),
        kind_of=message_kind,
        divided_by="kind",
    ),
    SealedColumn(
        table="ledger",
        column="detail",
        born="at_ms",
        time="at_ms",
        seat=ledger_seat,
        named_by=("message", "at_ms", "event", "node"),
        kind_of=line_kind,
        divided_by="event",
    ),
    SealedColumn(
        table="own_prekey",
        column="secret",
        born="issued_ms",
        time="erase_ms",
        seat=prekey_seat,
        named_by=("prekey_id", "erase_ms"),
        kind_of=_all_of(DataKind.PREKEY),
    ),
    SealedColumn(
        table="sending_chain",
        column="first",
        born="started_ms",
        time="ends_ms",
        seat=_first_seat,
        named_by=("chain_id", "ends_ms"),
        kind_of=_all_of(DataKind.CHAIN),
    ),
    SealedColumn(
        table="sending_chain",
        column="state",
        born="started_ms",
        time="ends_ms",
        seat=_state_seat,
        named_by=("chain_id", "ends_ms"),
        kind_of=_all_of(DataKind.CHAIN),
    ),
    SealedColumn(
        table="receiving_chain",
        column="state",
        born="ends_ms",
        time="ends_ms",
        seat=receiving_seat,
        named_by=("chain_id", "author", "ends_ms"),
        kind_of=_all_of(DataKind.CHAIN),
    ),
    SealedColumn(
        table="position",
        column="body",
        born="taken_ms",
        time="taken_ms",
        seat=position_seat,
        named_by=("author", "scope", "shift_id", "taken_ms"),
        kind_of=_all_of(DataKind.POSITION),
    ),
    SealedColumn(
        table="state",
        column="body",
        born="received_ms",
        time="received_ms",
        seat=state_seat,
        named_by=("author", "scope", "stamp", "received_ms"),
        kind_of=_all_of(DataKind.POSITION),
    ),
    SealedColumn(
        table="track_point",
        column="body",
        born="taken_ms",
        time="taken_ms",
        seat=track_point_seat,
        named_by=("shift_id", "taken_ms"),
        kind_of=_all_of(DataKind.POSITION),
    ),
    SealedColumn(
        table="track",
        column="body",
        born="first_ms",
        time="first_ms",
        seat=track_seat,
        named_by=("author", "incarnation", "seq", "first_ms"),
        kind_of=_all_of(DataKind.POSITION),
    ),
    SealedColumn(
        table="alarm_step",
        column="body",
        born="received_ms",
        time="expires_ms",
        seat=alarm_step_seat,
        named_by=("author", "incarnation", "seq", "expires_ms"),
        kind_of=_all_of(DataKind.ALARM),
    ),
    SealedColumn(
        table="attachment",
        column="manifest",
        born="created_ms",
        time="ends_ms",
        seat=attachment_seat,
        named_by=("author", "file_id", "ends_ms"),
        kind_of=_all_of(DataKind.ATTACHMENT),
    ),
    SealedColumn(
        table="piece",
        column="body",
        born="ends_ms",
        time="ends_ms",
        seat=piece_seat,
        named_by=("attachment", "number", "ends_ms"),
        kind_of=_all_of(DataKind.ATTACHMENT),
    ),
    SealedColumn(
        table="sheet",
        column="entry",
        born="received_ms",
        time="received_ms",
        seat=sheet_seat,
        named_by=("sheet_id", "file_id", "received_ms"),
        kind_of=_all_of(DataKind.SHEET),
    ),
    SealedColumn(
        table="sheet_piece",
        column="body",
        born="received_ms",
        time="received_ms",
        seat=sheet_piece_seat,
        named_by=("file_id", "number", "received_ms"),
        kind_of=_all_of(DataKind.SHEET),
    ),
    SealedColumn(
        table="coverage",
        column="body",
        born="day_ms",
        time="ends_ms",
        seat=coverage_seat,
        named_by=("id", "ends_ms"),
        kind_of=_all_of(DataKind.COVERAGE),
    ),
    SealedColumn(
        table="spool",
        column="raw",
        born="at_ms",
        time="at_ms",
        seat=spool_seat,
        named_by=("is_opened", "sealed_as", "author", "incarnation", "seq", "at_ms"),
        kind_of=DataKind,
        divided_by="sealed_as",
    ),
)
"""Every sealed column of the store."""


def is_unsealed(conn: Connection) -> bool:
    """True for a store that was made without a vault."""
    return conn.execute(select(_NODE.c.is_sealed)).scalar() == 0


def seal_store(conn: Connection) -> None:
    """Seal every value of a store that was made without a vault, in the caller's transaction.

    Raises: LockedError. Cost: about 40 µs per value.
    """
    seals = Seals(conn)
    for each in SEALED:
        _seal_column(conn, seals, each)
    conn.execute(update(_NODE).values(is_sealed=1))


def _seal_column(conn: Connection, seals: Seals, column: SealedColumn) -> None:
    rows, name = METADATA.tables[column.table], column.column
    keys = list(rows.primary_key.columns)
    wanted = [*keys, *(rows.c[each] for each in column.named_by), rows.c[name]]
    change = update(rows).where(*(key == bindparam(f"at_{key.name}") for key in keys))
    change = change.values({name: bindparam("sealed")})
    found = conn.execute(select(*wanted))
    while part := found.fetchmany(_SLICE):
        conn.execute(change, [_change(seals, column, keys, row) for row in part])


def _change(
    seals: Seals, column: SealedColumn, keys: Sequence[Any], row: Sequence[Any]
) -> dict[str, Any]:
    seat = column.seat(*row[len(keys) : -1])
    at = {f"at_{key.name}": value for key, value in zip(keys, row, strict=False)}
    return at | {"sealed": seals.seal(seat, row[-1])}
