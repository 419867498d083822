"""Which columns are sealed, each at its seat: kind of data, day, table and place in it.

The day of a row is that of the date in its table which says when it is over, or where there is
none, when it came; so a purge of a day takes one key. With another date, kind or name beside it a
sealed value does not open. A connection without a vault (tests, simulations) keeps what it is
given. Source: security 2.10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, delete, insert

from meshnode.errors import SealBrokenError
from meshnode.store.records import LedgerEvent
from meshnode.store.schema import DataKeyRow, NodeRow, table
from meshnode.store.statements import rows_of
from meshnode.vault.kinds import DAY_MS, DataKind, day_of
from meshnode.vault.vault import DataKey, Vault
from protocol.canonical import encode
from protocol.limits import Kind

__all__ = [
    "VAULT",
    "Seals",
    "Seat",
    "alarm_step_seat",
    "attachment_seat",
    "bundle_seat",
    "coverage_seat",
    "document_seat",
    "evidence_seat",
    "key_kind",
    "ledger_seat",
    "line_kind",
    "message_kind",
    "message_seat",
    "network_key_seat",
    "peer_seat",
    "piece_seat",
    "position_seat",
    "prekey_seat",
    "receiving_seat",
    "sending_seat",
    "sheet_piece_seat",
    "sheet_seat",
    "spool_seat",
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
_CONTAINER: Final = b"bundle"
"""Table in which containers lie."""
_DATA_KINDS: Final = {int(kind): kind for kind in DataKind}
"""Looked up, not called: an enumeration's own look-up costs a microsecond."""
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

    def seal_containers(self, rows: Sequence[tuple[int, int, bytes]]) -> list[bytes]:
        """As `seal` at `bundle_seat`, for each (short id, expires_ms, container) of a batch.

        The keys are looked up once for each day, not for each bundle. Raises: LockedError.
        """
        vault = self._vault
        if vault is None:
            return [raw for _short_id, _expires_ms, raw in rows]
        sealed = [b""] * len(rows)
        for day, places in _days(row[1] for row in rows).items():
            seat = Seat(_BUNDLE, day, _CONTAINER, b"")
            texts = [(rows[at][0].to_bytes(8, "big", signed=True), rows[at][2]) for at in places]
            key = self._key(seat) or self._new_key(vault, seat)
            try:
                values = vault.seal_many(key, _CONTAINER, texts)
            except SealBrokenError:
                values = vault.seal_many(self._new_key(vault, seat), _CONTAINER, texts)
            for at, value in zip(places, values, strict=True):
                sealed[at] = value
        return sealed

    def open_containers(self, rows: Sequence[Sequence[Any]]) -> list[bytes | None]:
        """As `open_or_none` at `bundle_seat`, for each row of a batch: its first three columns are
        short id, expires_ms and sealed container.

        Raises: LockedError.
        """
        vault = self._vault
        if vault is None:
            return [row[2] for row in rows]
        opened: list[bytes | None] = [None] * len(rows)
        for day, places in _days(row[1] for row in rows).items():
            texts = [(rows[at][0].to_bytes(8, "big", signed=True), rows[at][2]) for at in places]
            for at, value in zip(places, self._open_day(vault, day, texts), strict=True):
                opened[at] = value
        return opened

    def _open_day(
        self, vault: Vault, day: int, texts: Sequence[tuple[bytes, bytes]]
    ) -> Sequence[bytes | None]:
        key, told = self._key(Seat(_BUNDLE, day, _CONTAINER, b"")), 0
        if key is not None:
            try:
                return vault.open_many(key, _CONTAINER, texts)
            except SealBrokenError:
                # The day's key does not open. That was told of the first one; each is told of.
                told = 1
        seats = [Seat(_BUNDLE, day, _CONTAINER, place) for place, _sealed in texts[told:]]
        for seat, (_place, sealed) in zip(seats, texts[told:], strict=True):
            self.open_or_none(seat, sealed)
        return [None] * len(texts)

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
    return Seat(_BUNDLE, day_of(expires_ms), _CONTAINER, place)


def _days(expiries_ms: Iterable[int]) -> dict[int, list[int]]:
    """Return the places of a batch by the day on which each is over."""
    found: dict[int, list[int]] = {}
    for place, expires_ms in enumerate(expiries_ms):
        day = expires_ms // DAY_MS
        if day in found:
            found[day].append(place)
        else:
            found[day] = [place]
    return found


def document_seat(document_class: int, scope: bytes, received_ms: int) -> Seat:
    """Seat of a document of the authority."""
    place = encode([int(document_class), scope])
    return Seat(DataKind.DOCUMENT, day_of(received_ms), b"document", place)


def evidence_seat(subject: str, raw_hash: bytes, at_ms: int) -> Seat:
    """Seat of the second version of something."""
    place = encode([subject.encode(), raw_hash])
    return Seat(DataKind.EVIDENCE, day_of(at_ms), b"evidence", place)


def key_kind(purpose: int) -> DataKind:
    """Return the kind of a shared key by its purpose."""
    return DataKind.SOS_KEY if purpose == _ZONE_SOS else DataKind.NETWORK_KEY


def network_key_seat(purpose: int, key_id: bytes, since_ms: int) -> Seat:
    """Seat of a key that many share; only those of the SOS need the agent."""
    kind = key_kind(purpose)
    return Seat(kind, day_of(since_ms), b"network_key", encode([purpose, key_id]))


def peer_seat(node: bytes, address_ms: int) -> Seat:
    """Seat of the address at which a node was met."""
    return Seat(DataKind.CONTACT, day_of(address_ms), b"peer", node)


def message_kind(kind: int) -> DataKind:
    """Return the kind of a message by that of its bundle."""
    return DataKind.ALARM if kind == int(Kind.SOS) else DataKind.MESSAGE


def message_seat(
    author: bytes, incarnation: int, seq: int, direction: str, kind: int, expires_ms: int
) -> Seat:
    """Seat of a text; `seq` as the signed number the table holds."""
    number = seq.to_bytes(8, "big", signed=True)
    place = encode([author, incarnation, number, direction.encode()])
    return Seat(message_kind(kind), day_of(expires_ms), b"message", place)


def line_kind(event: str) -> DataKind:
    """Return the kind of a line of a ledger by its event."""
    return DataKind.MESSAGE if event in _TOLD_BY_AGENT else DataKind.LEDGER


def ledger_seat(message: int, at_ms: int, event: str, node: bytes | None) -> Seat:
    """Seat of what a line of the ledger adds to its event."""
    place = encode([message, at_ms, event.encode(), node or b""])
    return Seat(line_kind(event), day_of(at_ms), b"ledger", place)


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


def sheet_seat(sheet_id: bytes, file_id: bytes, received_ms: int) -> Seat:
    """Seat of what is told of a reflex sheet, with the key of its chunks."""
    place = encode([sheet_id, file_id])
    return Seat(DataKind.SHEET, day_of(received_ms), b"sheet", place)


def sheet_piece_seat(file_id: bytes, number: int, received_ms: int) -> Seat:
    """Seat of one piece of a reflex sheet."""
    place = encode([file_id, number])
    return Seat(DataKind.SHEET, day_of(received_ms), b"sheet_piece", place)


def coverage_seat(key: bytes, ends_ms: int) -> Seat:
    """Seat of what one shift met."""
    return Seat(DataKind.COVERAGE, day_of(ends_ms), b"coverage", key)


def spool_seat(
    is_opened: int, sealed_as: int, author: bytes, incarnation: int, seq: int, at_ms: int
) -> Seat:
    """Seat of what waits for the archive; `seq` as the signed number the table holds."""
    place = encode([is_opened, author, incarnation, seq.to_bytes(8, "big", signed=True)])
    return Seat(_DATA_KINDS[sealed_as], day_of(at_ms), b"spool", place)
