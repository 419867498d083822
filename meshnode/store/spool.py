"""What a gateway took in and its archive does not have yet: written with the acceptance itself.

A node that archives puts each bundle, and what it opened of it, into the spool in the transaction
that accepts them; the feeder (`meshnode.gateway.feeder`) hands them over and deletes them after
the archive's commit. So whatever is acknowledged is either in the spool or in the archive. The
spool is bounded: near its bound a class after the other is refused, the least urgent first, and
what is refused is not acknowledged. Keys, claims and sheets are not archived: they say nothing of
what people did. Source: decision 54, ecosystem 3.2.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from sqlalchemy import Connection, delete

from meshnode.store.engine import Transaction
from meshnode.store.records import BundleRecord
from meshnode.store.schema import SpoolRow, table
from meshnode.store.sealing import Seals, message_kind, spool_seat
from meshnode.store.statements import rows_of, run_many, signed64, unsigned64
from meshnode.vault.kinds import DataKind, Tier
from protocol import hlc
from protocol.bundle import ScopeKind
from protocol.ids import BundleId
from protocol.limits import Kind, TrafficClass

__all__ = [
    "SHED_PCT",
    "SPOOLED_KINDS",
    "Content",
    "Spooled",
    "Waiting",
    "add_bundles",
    "add_opened",
    "batch",
    "drop",
    "shed",
    "waiting",
]

_SPOOL = table(SpoolRow)
_COLUMNS: Final = tuple(column.name for column in _SPOOL.columns if column.name != "key")
_INSERT: Final = (
    f"INSERT INTO spool ({','.join(_COLUMNS)}) "  # noqa: S608 - names of our own columns
    f"VALUES ({','.join('?' * len(_COLUMNS))})"
)
_ENDS: Final = (
    "SELECT (SELECT mark - size_bytes FROM spool ORDER BY key LIMIT 1), "
    "(SELECT mark FROM spool ORDER BY key DESC LIMIT 1)"
)
_READ: Final = ",".join(("key", *(name for name in _COLUMNS if name != "mark")))
_OLDEST: Final = f"SELECT {_READ} FROM spool ORDER BY key LIMIT ?"  # noqa: S608 - our own columns
_DEVICE_KINDS: Final = ",".join(str(int(each)) for each in DataKind if each.tier is Tier.DEVICE)
_OLDEST_OF_DEVICE: Final = (
    f"SELECT {_READ} FROM spool WHERE sealed_as IN ({_DEVICE_KINDS}) "  # noqa: S608 - our own
    "ORDER BY key LIMIT ?"
)
# Looked up, not called: an enumeration's own look-up costs a microsecond.
_KINDS: Final = {int(kind): kind for kind in Kind}
SPOOLED_KINDS: Final = frozenset(
    {
        Kind.SOS,
        Kind.TEXT,
        Kind.NOTE,
        Kind.CHUNK,
        Kind.POSITION,
        Kind.STATE,
        Kind.TRACK,
        Kind.SHIFT,
        Kind.RECEIPT,
        Kind.READ,
        Kind.CANCEL,
        Kind.AUDIT_HEAD,
    }
)
"""Bundles that an archive is for: what people said and did, and the proof of it."""
SHED_PCT: Final[Mapping[TrafficClass, int]] = MappingProxyType(
    {TrafficClass.BULK: 70, TrafficClass.STATE: 85, TrafficClass.MESSAGE: 100}
)
"""From this fill of the spool on a class is refused, per cent of its bound; an SOS never is."""
_ZONE: Final = int(ScopeKind.ZONE)
"""First byte of the scope of what is for a whole zone."""
_OPENED_AS: Final = MappingProxyType(
    {Kind.POSITION: DataKind.POSITION, Kind.STATE: DataKind.POSITION, Kind.TRACK: DataKind.POSITION}
)


class Spooled(NamedTuple):
    """One row that the archive lacks."""

    key: int
    """Its number, rising."""
    is_opened: bool
    """True for opened content, False for a bundle."""
    name: BundleId
    """The bundle, or the message that the content is of."""
    digest: bytes
    """32 bytes of a bundle; empty for content."""
    kind: Kind
    """What it is."""
    scope: bytes
    """Encoded scope."""
    created_ms: int
    """When its author wrote it, Unix milliseconds by the author's clock."""
    expires_ms: int
    """End of its life in the mesh, Unix milliseconds."""
    at_ms: int
    """When this node took it, Unix milliseconds."""
    size_bytes: int
    """Length of `raw`."""
    hops: int
    """Hand-overs behind the copy; 0 for content."""
    raw: bytes
    """Container, or content: UTF-8 of a text, else the encoded payload."""

    def __repr__(self) -> str:
        return f"<Spooled {self.key} {self.name}>"


class Waiting(NamedTuple):
    """How much waits."""

    rows: int
    """Rows, at most; numbers of rows that were undone count too."""
    size_bytes: int
    """Bytes of containers and contents."""
    oldest_ms: int
    """When the oldest was taken in, Unix milliseconds; 0 where nothing waits."""


# --- putting in, with the acceptance ---------------------------------------------------------


def shed(tx: Transaction, fresh: Mapping[int, BundleRecord]) -> Iterator[int]:
    """Yield those of `fresh` that must be refused because the archive is too far behind.

    Bundles of this very node never are. Cost: two index probes.
    """
    if tx.spool_bytes_max is None:
        return
    fill_pct = 100 * _mark(tx.connection)[1] // tx.spool_bytes_max
    if fill_pct < min(SHED_PCT.values()):
        return
    for position, record in fresh.items():
        bound = SHED_PCT.get(record.traffic_class)
        if bound is not None and fill_pct >= bound and not record.is_own and _is_spooled(record):
            tx.spool_shed += 1
            yield position


def add_bundles(tx: Transaction, records: Collection[BundleRecord]) -> None:
    """Put bundles into the spool that are stored in this transaction; nothing where none is kept.

    Cost: 6 µs each.
    """
    if tx.spool_bytes_max is None:
        return
    mark, seals = _mark(tx.connection)[0], Seals(tx.connection)
    rows = []
    for each in records:
        if not _is_spooled(each):
            continue
        mark += each.size_bytes
        seq = signed64(each.seq)
        place = (each.author, each.incarnation, seq, each.received_ms)
        seat = spool_seat(0, int(DataKind.BUNDLE), *place)
        rows.append(
            (
                0,
                int(DataKind.BUNDLE),
                each.author,
                each.incarnation,
                seq,
                each.digest,
                int(each.kind),
                each.scope,
                hlc.wall_ms(each.hlc),
                each.expires_ms,
                each.received_ms,
                each.size_bytes,
                each.hops,
                mark,
                seals.seal(seat, each.raw),
            )
        )
    run_many(tx.connection, _INSERT, rows)


class Content(NamedTuple):
    """What was opened of a bundle, or written here."""

    name: BundleId
    """The message, position or step."""
    kind: Kind
    """What it is."""
    scope: bytes
    """For whom it is, encoded; of a position the squad."""
    created_ms: int
    """When it was written or taken, Unix milliseconds."""
    expires_ms: int
    """End of its life in the mesh, Unix milliseconds."""
    at_ms: int
    """When this node opened it, Unix milliseconds."""
    raw: bytes
    """UTF-8 of a text, else the encoded payload."""

    def __repr__(self) -> str:
        return f"<Content {self.name}>"


def add_opened(tx: Transaction, content: Content) -> None:
    """Put content into the spool that is kept in this transaction; nothing where none is kept.

    Raises: LockedError.
    """
    if tx.spool_bytes_max is None:
        return
    name, at_ms = content.name, content.at_ms
    sealed_as = int(_OPENED_AS.get(content.kind, message_kind(int(content.kind))))
    seq = signed64(name.seq)
    seat = spool_seat(1, sealed_as, name.author, name.incarnation, seq, at_ms)
    row = (
        1,
        sealed_as,
        name.author,
        name.incarnation,
        seq,
        b"",
        int(content.kind),
        content.scope,
        content.created_ms,
        content.expires_ms,
        at_ms,
        len(content.raw),
        0,
        _mark(tx.connection)[0] + len(content.raw),
        Seals(tx.connection).seal(seat, content.raw),
    )
    run_many(tx.connection, _INSERT, [row])


def _is_spooled(record: BundleRecord) -> bool:
    if record.kind is Kind.CHUNK:
        # Chunks for a whole zone are of sheets, which everybody has.
        return record.scope[0] != _ZONE
    return record.kind in SPOOLED_KINDS


def _mark(conn: Connection) -> tuple[int, int]:
    """Return the running total at the end of the spool, and the bytes that wait."""
    ((first, last),) = rows_of(conn, _ENDS, ())
    return (0, 0) if last is None else (last, last - first)


# --- taking out, by the feeder ---------------------------------------------------------------


def batch(conn: Connection, rows_max: int, *, has_agent: bool) -> tuple[list[Spooled], list[int]]:
    """Return the oldest rows, and the numbers of those that are damaged and open nowhere.

    While the device is locked (`has_agent` false) what needs its agent is passed over.
    """
    open_raw, found, broken = Seals(conn).open_or_none, [], []
    statement = _OLDEST if has_agent else _OLDEST_OF_DEVICE
    for row in rows_of(conn, statement, (rows_max,)):
        key, is_opened, sealed_as, author, incarnation, seq, digest, kind, *rest, sealed = row
        scope, created_ms, expires_ms, at_ms, size_bytes, hops = rest
        raw = open_raw(spool_seat(is_opened, sealed_as, author, incarnation, seq, at_ms), sealed)
        if raw is None:
            broken.append(key)
            continue
        name = BundleId(author, incarnation, unsigned64(seq))
        times = (created_ms, expires_ms, at_ms)
        found.append(
            Spooled(
                key,
                is_opened == 1,
                name,
                digest,
                _KINDS[kind],
                scope,
                *times,
                size_bytes,
                hops,
                raw,
            )
        )
    return found, broken


def drop(tx: Transaction, keys: Sequence[int]) -> int:
    """Delete rows that the archive has; return how many there were.

    A batch is a run of numbers, so it goes by its ends; what lies between and is not of it stays.
    """
    if not keys:
        return 0
    first, last = min(keys), max(keys)
    within = _SPOOL.c.key.between(first, last)
    if last - first + 1 == len(keys):
        return tx.connection.execute(delete(_SPOOL).where(within)).rowcount
    return sum(
        tx.connection.execute(
            delete(_SPOOL).where(within, _SPOOL.c.key.in_(keys[start : start + 500]))
        ).rowcount
        for start in range(0, len(keys), 500)
    )


def waiting(conn: Connection) -> Waiting:
    """Return how much waits. Cost: four index probes."""
    ((first, last, oldest_ms),) = rows_of(
        conn,
        "SELECT min(key), max(key), (SELECT at_ms FROM spool ORDER BY key LIMIT 1) FROM spool",
        (),
    )
    if last is None:
        return Waiting(0, 0, 0)
    return Waiting(last - first + 1, _mark(conn)[1], oldest_ms)
