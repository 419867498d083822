"""Which columns are sealed, each at its seat: kind of data, day, table and place in it.

The day of a row is that of the date in its table which says when it is over, or where there is
none, when it came; so a purge of a day takes one key. With another date, kind or name beside it a
sealed value does not open. A connection without a vault (tests, simulations) keeps what it is
given. Source: security 2.10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from meshnode.errors import SealBrokenError
from meshnode.store.records import LedgerEvent
from meshnode.store.schema import METADATA, DataKeyRow, NodeRow, table
from meshnode.store.statements import rows_of
from meshnode.vault.kinds import DataKind, day_of
from meshnode.vault.vault import DataKey, Vault
from protocol.canonical import encode
from protocol.limits import Kind

__all__ = [
    "SEALED",
    "VAULT",
    "SealedColumn",
    "Seals",
    "Seat",
    "alarm_step_seat",
    "attachment_seat",
    "bundle_seat",
    "document_seat",
    "evidence_seat",
    "is_unsealed",
    "ledger_seat",
    "message_seat",
    "network_key_seat",
    "peer_seat",
    "piece_seat",
    "position_seat",
    "prekey_seat",
    "receiving_seat",
    "seal_store",
    "sending_seat",
    "state_seat",
    "track_point_seat",
    "track_seat",
]

VAULT: Final = "vault"
"""Where a connection of the driver keeps its vault."""

_NODE = table(NodeRow)
_DATA_KEY = table(DataKeyRow)
_SELECT_KEY: Final = "SELECT wrapped FROM data_key WHERE kind = ? AND day = ?"
_BUNDLE: Final = DataKind.BUNDLE
_SLICE: Final = 500
"""Rows sealed at a time when an older store is sealed."""
_ZONE_SOS: Final = 2
"""`KeyPurpose.ZONE_SOS`; the keyring stands above this file."""
_TOLD_BY_AGENT: Final = frozenset({LedgerEvent.CREATED.value, LedgerEvent.WAITING.value})
"""Lines that only an unlocked device writes; they name recipients."""


class Seat(NamedTuple):
    """Where a sealed value stands. Two values never have the same."""

    kind: DataKind
    """Says which tier opens it."""
    day: int
    """Days since 1970."""
    table: bytes
    """Table, and column where more than one is sealed."""
    place: bytes
    """Place in the table."""


class Seals:
    """Seals and opens values on one connection, with each data key looked up once.

    Made anew for each call of the store: a data key may be new, undone or purged by then.
    """

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._vault: Vault | None = conn.info.get(VAULT)
        self._keys: dict[tuple[DataKind, int], DataKey] = {}
        self._last: DataKey | None = None

    def seal(self, seat: Seat, plaintext: bytes) -> bytes:
        """Return what the column keeps; a new day's key is kept in this transaction.

        A day's key that is damaged is replaced: what lies under it opens no more in any case, and
        nothing new may fail for it. Raises: LockedError.
        """
        if self._vault is None:
            return plaintext
        key = self._key(seat) or self._new_key(self._vault, seat)
        try:
            return self._vault.seal(key, seat.table, seat.place, plaintext)
        except SealBrokenError:
            key = self._new_key(self._vault, seat)
        return self._vault.seal(key, seat.table, seat.place, plaintext)

    def require(self, kind: DataKind) -> None:
        """Raises: LockedError if values of `kind` cannot be opened now, be there any or none."""
        if self._vault is not None:
            self._vault.require(kind)

    def open_or_none(self, seat: Seat, sealed: bytes) -> bytes | None:
        """Return what the column was given, None for a value that does not open.

        For all that works through many rows, or must go on without this one: the vault has told
        of the broken one, which must neither hide nor stop the others. Raises: LockedError.
        """
        try:
            return self.open(seat, sealed)
        except SealBrokenError:
            return None

    def whole(
        self, rows: Iterable[Row[Any]], seat: Callable[[Row[Any]], Seat], column: str
    ) -> list[tuple[Row[Any], bytes]]:
        """Return the rows whose sealed `column` opens, each with its value. Raises: LockedError."""
        found = ((row, self.open_or_none(seat(row), getattr(row, column))) for row in rows)
        return [(row, value) for row, value in found if value is not None]

    def open(self, seat: Seat, sealed: bytes) -> bytes:
        """Return what the column was given, to somebody who asked for this one alone.

        Raises: LockedError, SealBrokenError.
        """
        if self._vault is None:
            return sealed
        key = self._key(seat)
        if key is None:
            self._vault.require(seat.kind)
            raise self._vault.broken(seat.kind)
        return self._vault.open(key, seat.table, seat.place, sealed)

    def _key(self, seat: Seat) -> DataKey | None:
        # Most values of a batch are of one kind and day, and hashing an enumeration is dear.
        last = self._last
        if last is not None and last.day == seat.day and last.kind is seat.kind:
            return last
        name = seat[:2]
        found = self._keys.get(name)
        if found is None:
            rows = rows_of(self._conn, _SELECT_KEY, (int(seat.kind), seat.day))
            if not rows:
                return None
            found = self._keys[name] = DataKey(*name, rows[0][0])
        self._last = found
        return found

    def _new_key(self, vault: Vault, seat: Seat) -> DataKey:
        made = self._last = self._keys[seat[:2]] = vault.make_key(seat.kind, seat.day)
        values = {"kind": int(made.kind), "day": made.day, "wrapped": made.wrapped}
        here = (_DATA_KEY.c.kind == values["kind"], _DATA_KEY.c.day == made.day)
        self._conn.execute(delete(_DATA_KEY).where(*here))
        self._conn.execute(insert(_DATA_KEY).values(values))
        return made


# --- seats -----------------------------------------------------------------------------------


def bundle_seat(short_id: int, expires_ms: int) -> Seat:
    """Seat of a container; `short_id` as the signed number the table holds."""
    place = short_id.to_bytes(8, "big", signed=True)
    return Seat(_BUNDLE, day_of(expires_ms), b"bundle", place)


def document_seat(document_class: int, scope: bytes, received_ms: int) -> Seat:
    """Seat of a document of the authority."""
    place = encode([int(document_class), scope])
    return Seat(DataKind.DOCUMENT, day_of(received_ms), b"document", place)


def evidence_seat(subject: str, raw_hash: bytes, at_ms: int) -> Seat:
    """Seat of the second version of something."""
    place = encode([subject.encode(), raw_hash])
    return Seat(DataKind.EVIDENCE, day_of(at_ms), b"evidence", place)


def _key_kind(purpose: int) -> DataKind:
    return DataKind.SOS_KEY if purpose == _ZONE_SOS else DataKind.NETWORK_KEY


def network_key_seat(purpose: int, key_id: bytes, since_ms: int) -> Seat:
    """Seat of a key that many share; only those of the SOS need the agent."""
    kind = _key_kind(purpose)
    return Seat(kind, day_of(since_ms), b"network_key", encode([purpose, key_id]))


def peer_seat(node: bytes, address_ms: int) -> Seat:
    """Seat of the address at which a node was met."""
    return Seat(DataKind.CONTACT, day_of(address_ms), b"peer", node)


def _message_kind(kind: int) -> DataKind:
    return DataKind.ALARM if kind == int(Kind.SOS) else DataKind.MESSAGE


def message_seat(
    author: bytes, incarnation: int, seq: int, direction: str, kind: int, expires_ms: int
) -> Seat:
    """Seat of a text; `seq` as the signed number the table holds."""
    number = seq.to_bytes(8, "big", signed=True)
    place = encode([author, incarnation, number, direction.encode()])
    return Seat(_message_kind(kind), day_of(expires_ms), b"message", place)


def _line_kind(event: str) -> DataKind:
    return DataKind.MESSAGE if event in _TOLD_BY_AGENT else DataKind.LEDGER


def ledger_seat(message: int, at_ms: int, event: str, node: bytes | None) -> Seat:
    """Seat of what a line of the ledger adds to its event."""
    place = encode([message, at_ms, event.encode(), node or b""])
    return Seat(_line_kind(event), day_of(at_ms), b"ledger", place)


def prekey_seat(prekey_id: bytes, erase_ms: int) -> Seat:
    """Seat of the private half of a prekey."""
    return Seat(DataKind.PREKEY, day_of(erase_ms), b"own_prekey", prekey_id)


def sending_seat(column: str, chain_id: bytes, ends_ms: int) -> Seat:
    """Seat of a state of a chain this node sends on: its `first`, or its present `state`."""
    name = f"sending_chain.{column}".encode()
    return Seat(DataKind.CHAIN, day_of(ends_ms), name, chain_id)


def receiving_seat(chain_id: bytes, author: bytes, ends_ms: int) -> Seat:
    """Seat of the state of a chain of another author."""
    return Seat(DataKind.CHAIN, day_of(ends_ms), b"receiving_chain", encode([chain_id, author]))


def _first_seat(chain_id: bytes, ends_ms: int) -> Seat:
    return sending_seat("first", chain_id, ends_ms)


def _state_seat(chain_id: bytes, ends_ms: int) -> Seat:
    return sending_seat("state", chain_id, ends_ms)


def position_seat(author: bytes, scope: bytes, shift_id: bytes, taken_ms: int) -> Seat:
    """Seat of a position that is kept; its day is that on which it was taken."""
    place = encode([author, scope, shift_id, taken_ms])
    return Seat(DataKind.POSITION, day_of(taken_ms), b"position", place)


def state_seat(author: bytes, scope: bytes, stamp: int, received_ms: int) -> Seat:
    """Seat of a state; `stamp` as the signed number the table holds. It is told like positions."""
    place = encode([author, scope, stamp.to_bytes(8, "big", signed=True)])
    return Seat(DataKind.POSITION, day_of(received_ms), b"state", place)


def track_point_seat(shift_id: bytes, taken_ms: int) -> Seat:
    """Seat of a place of this device that waits for its track."""
    return Seat(DataKind.POSITION, day_of(taken_ms), b"track_point", encode([shift_id, taken_ms]))


def track_seat(author: bytes, incarnation: int, seq: int, first_ms: int) -> Seat:
    """Seat of a segment of a track; `seq` as the signed number the table holds."""
    place = encode([author, incarnation, seq.to_bytes(8, "big", signed=True)])
    return Seat(DataKind.POSITION, day_of(first_ms), b"track", place)


def alarm_step_seat(author: bytes, incarnation: int, seq: int, expires_ms: int) -> Seat:
    """Seat of a step of an alarm; `seq` as the signed number the table holds."""
    place = encode([author, incarnation, seq.to_bytes(8, "big", signed=True)])
    return Seat(DataKind.ALARM, day_of(expires_ms), b"alarm_step", place)


def attachment_seat(author: bytes, file_id: bytes, ends_ms: int) -> Seat:
    """Seat of what is told of an attached file."""
    place = encode([author, file_id])
    return Seat(DataKind.ATTACHMENT, day_of(ends_ms), b"attachment", place)


def piece_seat(attachment: int, number: int, ends_ms: int) -> Seat:
    """Seat of one piece of an attached file."""
    return Seat(DataKind.ATTACHMENT, day_of(ends_ms), b"piece", encode([attachment, number]))


# --- all of them -----------------------------------------------------------------------------


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
        kind_of=_key_kind,
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
        kind_of=_message_kind,
        divided_by="kind",
    ),
    SealedColumn(
        table="ledger",
        column="detail",
        born="at_ms",
        time="at_ms",
        seat=ledger_seat,
        named_by=("message", "at_ms", "event", "node"),
        kind_of=_line_kind,
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
