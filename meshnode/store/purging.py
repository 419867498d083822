"""How long each kind of data is kept, and the purge that ends it: rows go, then their day's key.

A purge takes whole days: once every row of a kind and day is over, the data key is dropped, and
with it whatever copy of those rows lies in a backup or in the blocks of a flash disk. The caller
empties the log afterwards. Source: security 2.10.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select, update

from meshnode.store import chunks
from meshnode.store.audit import drop_before
from meshnode.store.engine import Transaction
from meshnode.store.records import MessageState
from meshnode.store.schema import (
    METADATA,
    AlarmStepRow,
    AuditRow,
    DataKeyRow,
    EvidenceRow,
    LedgerRow,
    MessageRow,
    NodeRow,
    PeerRow,
    PositionRow,
    PurgeRow,
    RecipientRow,
    ResentRow,
    table,
)
from meshnode.store.sealed_columns import SEALED, SealedColumn
from meshnode.store.sealing import Seals, peer_seat
from meshnode.vault.kinds import DAY_MS, DataKind, day_of
from meshnode.vault.vault import DataKey
from protocol.guards import (
    ALARM_KEEP_MS,
    AUDIT_KEEP_MS,
    CONTACT_KEEP_MS,
    EVIDENCE_KEEP_MS,
    POSITION_KEEP_MS,
    PURGE_PERIOD_MS,
    TEXT_KEEP_MS,
)
from protocol.limits import Kind

__all__ = ["RULES", "Holding", "Purged", "Rule", "holdings", "purge", "purged_ms"]

_AUDIT = table(AuditRow)
_DATA_KEY = table(DataKeyRow)
_EVIDENCE = table(EvidenceRow)
_LEDGER = table(LedgerRow)
_MESSAGE = table(MessageRow)
_NODE = table(NodeRow)
_PEER = table(PeerRow)
_POSITION = table(PositionRow)
_PURGE = table(PurgeRow)
_RECIPIENT = table(RecipientRow)
_STEP = table(AlarmStepRow)
_RESENT = table(ResentRow)

_OPEN: Final = (
    MessageState.WAITING.value,
    MessageState.QUEUED.value,
    MessageState.CARRIED.value,
)


@dataclass(frozen=True, slots=True)
class Rule:
    """How long a kind of data is kept."""

    keep_ms: int | None
    """After the day that its date names, milliseconds; None as long as it is in force."""
    sentence: str
    """The same for people."""


RULES: Final[Mapping[DataKind, Rule]] = MappingProxyType(
    {
        DataKind.BUNDLE: Rule(0, "carried until its lifetime ends"),
        DataKind.DOCUMENT: Rule(None, "kept until a newer one takes its place"),
        DataKind.EVIDENCE: Rule(EVIDENCE_KEEP_MS, "kept for one year"),
        DataKind.NETWORK_KEY: Rule(None, "kept as long as the key is in use"),
        DataKind.AUDIT: Rule(AUDIT_KEEP_MS, "kept for one year"),
        DataKind.CONTACT: Rule(CONTACT_KEEP_MS, "kept for two months after the last contact"),
        DataKind.LEDGER: Rule(None, "kept as long as its message"),
        DataKind.MESSAGE: Rule(TEXT_KEEP_MS, "kept for one month after its lifetime ends"),
        DataKind.ALARM: Rule(
            ALARM_KEEP_MS, "kept for six months after its lifetime ends, its steps for two"
        ),
        DataKind.PREKEY: Rule(0, "kept for ten days, then erased"),
        DataKind.CHAIN: Rule(0, "kept until the chain can be read no more"),
        DataKind.SOS_KEY: Rule(None, "kept as long as the key is in use"),
        DataKind.POSITION: Rule(
            POSITION_KEEP_MS,
            "kept until its shift ends, at the centre for two months; a sealed track that the "
            "centre alone opens is carried there for nine days",
        ),
        DataKind.ATTACHMENT: Rule(TEXT_KEEP_MS, "kept for one month after its lifetime ends"),
        DataKind.COVERAGE: Rule(
            0, "kept for two months after it was told; of an own shift until it is told"
        ),
        DataKind.SHEET: Rule(None, "kept until it is retracted or a newer one takes its place"),
    }
)
"""The rule of every kind."""


@dataclass(frozen=True, slots=True)
class Purged:
    """What one purge took."""

    rows: Mapping[DataKind, int]
    """Rows deleted, by kind."""
    keys: tuple[DataKey, ...]
    """Data keys dropped; the caller has the vault forget them after the commit."""
    has_more: bool
    """There are more rows than one transaction should delete: call again."""

    @property
    def row_count(self) -> int:
        """Rows deleted in all."""
        return sum(self.rows.values())


@dataclass(frozen=True, slots=True)
class Holding:
    """What is held of one kind."""

    kind: DataKind
    """Which kind."""
    count: int
    """Rows."""
    oldest_ms: int
    """When the oldest began to be held, Unix milliseconds; 0 where nothing is."""
    last_purge_ms: int
    """When the last purge looked at it, Unix milliseconds; 0 before the first."""
    next_purge_ms: int
    """When the next purge takes something, Unix milliseconds; 0 where nothing ends by time."""
    purged_rows: int
    """Rows that purges have taken since this store began."""
    dropped_keys: int
    """Data keys that went with them."""


def purge(tx: Transaction, now_ms: int, rows_max: int) -> Purged:
    """Delete what is over by its rule, and drop the data keys of days that hold nothing more.

    Raises: StoreError. Cost: a pass over the dates of a kind for each key of a past day.
    """
    rows = {
        DataKind.MESSAGE: _drop_messages(tx, _over(DataKind.MESSAGE, now_ms), rows_max),
        DataKind.ALARM: _drop_alarms(tx, now_ms, rows_max),
        DataKind.EVIDENCE: _drop_evidence(tx, _over(DataKind.EVIDENCE, now_ms)),
        DataKind.ATTACHMENT: chunks.drop_over(tx, _over(DataKind.ATTACHMENT, now_ms)),
        DataKind.CONTACT: _drop_contacts(tx, _over(DataKind.CONTACT, now_ms), now_ms),
        DataKind.AUDIT: drop_before(tx, _over(DataKind.AUDIT, now_ms)),
    }
    keys = tuple(_drop_keys(tx.connection, day_of(now_ms)))
    for kind in RULES:
        dropped = sum(key.kind is kind for key in keys)
        _note(tx.connection, kind, now_ms, rows.get(kind, 0), dropped)
    return Purged(rows, keys, rows_max in rows.values())


def purged_ms(conn: Connection) -> int:
    """Return when the last purge was, or the store was made, Unix milliseconds."""
    made_ms = int(conn.execute(select(func.max(_NODE.c.created_ms))).scalar() or 0)
    return max(made_ms, int(conn.execute(select(func.max(_PURGE.c.at_ms))).scalar() or 0))


def _over(kind: DataKind, now_ms: int) -> int:
    """Return the time before which rows of `kind` are over; the start of a day."""
    keep_ms = RULES[kind].keep_ms
    assert keep_ms is not None, "only what ends by time is asked for"
    return day_of(now_ms - keep_ms) * DAY_MS


def _drop_messages(tx: Transaction, before_ms: int, rows_max: int, *, is_sos: bool = False) -> int:
    sos = int(Kind.SOS)
    is_kind = _MESSAGE.c.kind == sos if is_sos else _MESSAGE.c.kind != sos
    query = (
        select(_MESSAGE.c.key)
        .where(_MESSAGE.c.expires_ms < before_ms, is_kind, _MESSAGE.c.state.not_in(_OPEN))
        .order_by(_MESSAGE.c.key)
        .limit(rows_max)
    )
    keys = list(tx.connection.execute(query).scalars())
    if keys:
        hanging = (_LEDGER, _RECIPIENT, _RESENT)
        for rows, column in (*((rows, "message") for rows in hanging), (_MESSAGE, "key")):
            tx.connection.execute(delete(rows).where(rows.c[column].in_(keys)))
    return len(keys)


def _drop_alarms(tx: Transaction, now_ms: int, rows_max: int) -> int:
    """Drop texts of alarms by their rule, and their steps, which hold places, when places go."""
    count = _drop_messages(tx, _over(DataKind.ALARM, now_ms), rows_max, is_sos=True)
    over = _STEP.c.expires_ms < _over(DataKind.POSITION, now_ms)
    found = select(_STEP.c.key).where(over).order_by(_STEP.c.key).limit(rows_max - count)
    keys = list(tx.connection.execute(found).scalars())
    if keys:
        tx.connection.execute(delete(_STEP).where(_STEP.c.key.in_(keys)))
    return count + len(keys)


def _drop_evidence(tx: Transaction, before_ms: int) -> int:
    return tx.connection.execute(delete(_EVIDENCE).where(_EVIDENCE.c.at_ms < before_ms)).rowcount


def _drop_contacts(tx: Transaction, before_ms: int, now_ms: int) -> int:
    gone = (_PEER.c.last_ms < before_ms, _PEER.c.is_up == 0)
    count = tx.connection.execute(delete(_PEER).where(*gone)).rowcount
    stale = select(_PEER.c.node).where(_PEER.c.address_ms < before_ms)
    seals = Seals(tx.connection)
    for node in tx.connection.execute(stale).scalars().all():
        # It is still met, but not where it was two months ago.
        empty = seals.seal(peer_seat(node, now_ms), b"")
        values = {"address": empty, "address_ms": now_ms}
        tx.connection.execute(update(_PEER).where(_PEER.c.node == node).values(values))
    return count


# --- keys ------------------------------------------------------------------------------------


def _drop_keys(conn: Connection, today: int) -> Iterator[DataKey]:
    """Drop the keys of past days that no row needs any more."""
    past = select(_DATA_KEY).where(_DATA_KEY.c.day < today)
    for kind, day, wrapped in conn.execute(past).all():
        key = DataKey(DataKind(kind), day, wrapped)
        if any(_is_used(conn, key, column) for column in SEALED):
            continue
        here = (_DATA_KEY.c.kind == kind, _DATA_KEY.c.day == day)
        conn.execute(delete(_DATA_KEY).where(*here))
        yield key


def _is_used(conn: Connection, key: DataKey, column: SealedColumn) -> bool:
    rows = METADATA.tables[column.table]
    time = rows.c[column.time]
    divided_by = rows.c[column.divided_by or column.time]
    query = select(divided_by).where(time >= key.day * DAY_MS, time < (key.day + 1) * DAY_MS)
    if column.divided_by is None:
        is_kind = column.kind_of(None) is key.kind
        return is_kind and conn.execute(query.limit(1)).first() is not None
    values = conn.execute(query.distinct()).scalars()
    return any(column.kind_of(value) is key.kind for value in values)


def _note(conn: Connection, kind: DataKind, now_ms: int, rows: int, keys: int) -> None:
    here = _PURGE.c.kind == int(kind)
    totals = {
        "at_ms": now_ms,
        "row_count": _PURGE.c.row_count + rows,
        "key_count": _PURGE.c.key_count + keys,
    }
    if not conn.execute(update(_PURGE).where(here).values(totals)).rowcount:
        values = {"kind": int(kind), "at_ms": now_ms, "row_count": rows, "key_count": keys}
        conn.execute(insert(_PURGE).values(values))


# --- what is held ----------------------------------------------------------------------------


def holdings(conn: Connection, now_ms: int) -> list[Holding]:
    """Return what is held of every kind; a locked device can tell.

    Cost: a pass over the dates of every sealed table.
    """
    counts: dict[DataKind, int] = dict.fromkeys(RULES, 0)
    oldest: dict[DataKind, int] = {}
    ends: dict[DataKind, int] = {}
    for column in SEALED:
        for kind, count, born_ms, time_ms in _counted(conn, column):
            if column.column != "state" or column.table != "sending_chain":
                counts[kind] += count
            oldest[kind] = min(oldest.get(kind, born_ms), born_ms)
            ends[kind] = min(ends.get(kind, time_ms), time_ms)
    _count_audit(conn, counts, oldest, ends)
    purges = {row.kind: row for row in conn.execute(select(_PURGE))}
    found = [
        _holding(kind, counts[kind], oldest.get(kind, 0), ends.get(kind), purges.get(kind), now_ms)
        for kind in RULES
    ]
    # A position is erased at an hour of its own, and not with its day.
    ends_ms = conn.execute(select(func.min(_POSITION.c.ends_ms))).scalar() or 0
    return [
        replace(each, next_purge_ms=ends_ms) if each.kind is DataKind.POSITION else each
        for each in found
    ]


def _count_audit(
    conn: Connection,
    counts: dict[DataKind, int],
    oldest: dict[DataKind, int],
    ends: dict[DataKind, int],
) -> None:
    """Count the entries of the audit log, which lie in no sealed column."""
    count, oldest_ms = conn.execute(select(func.count(), func.min(_AUDIT.c.at_ms))).one()
    if count:
        counts[DataKind.AUDIT] = count
        oldest[DataKind.AUDIT] = ends[DataKind.AUDIT] = oldest_ms


def _counted(conn: Connection, column: SealedColumn) -> Iterator[tuple[DataKind, int, int, int]]:
    rows = METADATA.tables[column.table]
    facts = (func.count(), func.min(rows.c[column.born]), func.min(rows.c[column.time]))
    if column.divided_by is None:
        count, born_ms, time_ms = conn.execute(select(*facts)).one()
        if count:
            yield column.kind_of(None), count, born_ms, time_ms
        return
    by = rows.c[column.divided_by]
    for value, count, born_ms, time_ms in conn.execute(select(by, *facts).group_by(by)):
        yield column.kind_of(value), count, born_ms, time_ms


def _holding(
    kind: DataKind,
    count: int,
    oldest_ms: int,
    end_ms: int | None,
    last: Any,
    now_ms: int,
) -> Holding:
    keep_ms = RULES[kind].keep_ms
    last_ms = 0 if last is None else int(last.at_ms)
    next_ms = 0
    if end_ms is not None and keep_ms is not None:
        over_ms = (day_of(end_ms) + 1) * DAY_MS + keep_ms
        next_ms = max(over_ms, (last_ms or now_ms) + PURGE_PERIOD_MS)
    rows, keys = (0, 0) if last is None else (last.row_count, last.key_count)
    return Holding(kind, count, oldest_ms, last_ms, next_ms, rows, keys)
