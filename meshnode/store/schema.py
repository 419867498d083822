"""Tables of the store and their constraints; no behaviour.

Work is done by Core statements on `Row.__table__`, never through the ORM: it costs five times the
CPU. 64-bit unsigned numbers of the wire are kept as signed ones (`signed64` in `statements.py`).
Which columns are sealed stands in `sealing.py`. Columns of `bundle` stand in the order in which
they are read; the container comes last so that reading the others never touches its overflow pages.
Tables about conduct, of the squad board, of alarms, about delivery and of attached files stand
beside, in `schema_conduct.py`, `schema_board.py`, `schema_alarms.py`, `schema_delivery.py`,
`schema_files.py`, `schema_budgets.py`, `schema_spool.py` and `schema_coverage.py`.
"""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import BigInteger, Column, Index, LargeBinary
from sqlmodel import Field

from meshnode.store.schema_alarms import AlarmStepRow
from meshnode.store.schema_board import StateRow, TrackPointRow, TrackRow
from meshnode.store.schema_budgets import SpentRow
from meshnode.store.schema_conduct import (
    AuditBaseRow,
    AuditRow,
    ClockRow,
    HoldingRow,
    QuotaRow,
    ResidenceRow,
)
from meshnode.store.schema_coverage import CoverageRow
from meshnode.store.schema_delivery import CancelledRow, ReadDueRow, ResentRow
from meshnode.store.schema_files import AttachmentRow, ChunkReachRow, ChunkRow, PieceRow
from meshnode.store.schema_sheets import (
    SheetChunkRow,
    SheetPackRow,
    SheetPieceRow,
    SheetRetractedRow,
    SheetRow,
)
from meshnode.store.schema_spool import SpoolRow
from meshnode.store.tables import METADATA, Base, bytes_column, key_column, table, whole_column

__all__ = [
    "METADATA",
    "AlarmStepRow",
    "AttachmentRow",
    "AuditBaseRow",
    "AuditRow",
    "AuthorRow",
    "BundleRow",
    "CancelledRow",
    "ChunkReachRow",
    "ChunkRow",
    "ClockRow",
    "CopyRow",
    "CoverageRow",
    "DataKeyRow",
    "DocumentRow",
    "EvidenceRow",
    "GivenRow",
    "HoldingRow",
    "InterestRow",
    "LedgerRow",
    "MessageRow",
    "NetworkKeyRow",
    "NodeRow",
    "OwnBundleRow",
    "OwnPrekeyRow",
    "PeerPrekeyRow",
    "PeerRow",
    "PieceRow",
    "PositionRow",
    "PurgeRow",
    "QuotaRow",
    "ReadDueRow",
    "ReceiptDueRow",
    "ReceivedRow",
    "ReceivingChainRow",
    "RecipientRow",
    "ResentRow",
    "ResidenceRow",
    "SendingChainRow",
    "SheetChunkRow",
    "SheetPackRow",
    "SheetPieceRow",
    "SheetRetractedRow",
    "SheetRow",
    "ShiftEndRow",
    "SpentRow",
    "SpoolRow",
    "StateRow",
    "TimeFloorRow",
    "TombstoneRow",
    "TrackPointRow",
    "TrackRow",
    "UnopenedRow",
    "table",
]


class NodeRow(Base, table=True):
    """The one row about this store itself."""

    __tablename__ = "node"
    key: int = Field(primary_key=True)
    incarnation: int = Field(sa_column=whole_column())
    seq: int = Field(sa_column=whole_column())
    hlc: int = Field(sa_column=whole_column())
    created_ms: int = Field(sa_column=whole_column())
    is_sealed: int


class DataKeyRow(Base, table=True):
    """The wrapped key of one kind of data and one day; its rows are lost with it."""

    __tablename__ = "data_key"
    kind: int = Field(primary_key=True)
    day: int = Field(primary_key=True)
    wrapped: bytes = Field(sa_column=bytes_column())


class PurgeRow(Base, table=True):
    """When a kind of data was purged last, and what went then."""

    __tablename__ = "purge"
    kind: int = Field(primary_key=True)
    at_ms: int = Field(sa_column=whole_column())
    row_count: int
    key_count: int


class AuthorRow(Base, table=True):
    """A small number for each author, which keeps the unique index of `bundle` small."""

    __tablename__ = "author"
    key: int | None = Field(default=None, sa_column=key_column())
    node: bytes = Field(sa_column=Column(LargeBinary, nullable=False, unique=True))


class BundleRow(Base, table=True):
    """One live bundle."""

    __tablename__ = "bundle"
    key: int | None = Field(default=None, sa_column=key_column())
    short_id: int = Field(sa_column=whole_column())
    digest: bytes = Field(sa_column=bytes_column())
    author: int = Field(sa_column=whole_column())
    incarnation: int = Field(sa_column=whole_column())
    seq: int = Field(sa_column=whole_column())
    kind: int
    traffic_class: int
    zone: int
    scope: bytes = Field(sa_column=bytes_column())
    slot: int = Field(sa_column=whole_column())
    hlc: int = Field(sa_column=whole_column())
    expires_ms: int = Field(sa_column=whole_column())
    size_bytes: int
    hops: int
    received_ms: int = Field(sa_column=whole_column())
    is_own: int
    size_class: int
    supersedes: int
    raw: bytes = Field(sa_column=bytes_column())


_BUNDLE = METADATA.tables["bundle"].c
Index("bundle_short_id", _BUNDLE.short_id, unique=True)
Index("bundle_identity", _BUNDLE.author, _BUNDLE.incarnation, _BUNDLE.seq, unique=True)
# Order of service, deadlines and the ids of an interest, all from the index alone.
Index(
    "bundle_service",
    _BUNDLE.zone,
    _BUNDLE.traffic_class,
    _BUNDLE.size_class,
    _BUNDLE.expires_ms,
    _BUNDLE.short_id,
)
# Partial on a flag: an IN list in the condition costs 4 µs on every insert.
Index(
    "bundle_slot",
    _BUNDLE.kind,
    _BUNDLE.scope,
    _BUNDLE.slot,
    _BUNDLE.author,
    sqlite_where=_BUNDLE.supersedes == 1,
    postgresql_where=_BUNDLE.supersedes == 1,
)
Index(
    "bundle_own",
    _BUNDLE.traffic_class,
    _BUNDLE.expires_ms,
    sqlite_where=_BUNDLE.is_own == 1,
    postgresql_where=_BUNDLE.is_own == 1,
)


class TombstoneRow(Base, table=True):
    """A bundle that must not come back; `reason` is the Reception it gets if it tries."""

    __tablename__ = "tombstone"
    short_id: int = Field(sa_column=key_column())
    until_ms: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))
    reason: int


class InterestRow(Base, table=True):
    """What the sketch of one interest must amount to."""

    __tablename__ = "interest"
    zone: int = Field(primary_key=True)
    traffic_class: int = Field(primary_key=True)
    count: int = Field(sa_column=whole_column())
    set_hash: int = Field(sa_column=whole_column())
    size_bytes: int = Field(sa_column=whole_column())


class EvidenceRow(Base, table=True):
    """Two versions under one name; the second is kept whole."""

    __tablename__ = "evidence"
    key: int | None = Field(default=None, sa_column=key_column())
    at_ms: int = Field(sa_column=whole_column())
    node: bytes = Field(sa_column=bytes_column())
    subject: str
    first_digest: bytes = Field(sa_column=bytes_column())
    raw_hash: bytes = Field(sa_column=bytes_column())
    raw: bytes = Field(sa_column=bytes_column())


_EVIDENCE = METADATA.tables["evidence"].c
Index("evidence_once", _EVIDENCE.subject, _EVIDENCE.raw_hash, unique=True)


class CopyRow(Base, table=True):
    """Another node took a copy of a bundle held here."""

    __tablename__ = "copy"
    short_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    node: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    at_ms: int = Field(sa_column=whole_column())


class OwnBundleRow(Base, table=True):
    """Digest of every bundle this node wrote, needed to check receipts after it is gone."""

    __tablename__ = "own_bundle"
    incarnation: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    seq: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    digest: bytes = Field(sa_column=bytes_column())
    expires_ms: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))


class MessageRow(Base, table=True):
    """One message for people, either way."""

    __tablename__ = "message"
    # A number is never given twice: it is the cursor of whoever reads on after a purge.
    __table_args__: ClassVar[dict[str, bool]] = {"sqlite_autoincrement": True}
    key: int | None = Field(default=None, sa_column=key_column())
    author: bytes = Field(sa_column=bytes_column())
    incarnation: int = Field(sa_column=whole_column())
    seq: int = Field(sa_column=whole_column())
    direction: str
    scope: bytes = Field(sa_column=bytes_column())
    kind: int
    text: bytes = Field(sa_column=bytes_column())
    created_ms: int = Field(sa_column=whole_column())
    expires_ms: int = Field(sa_column=whole_column())
    received_ms: int = Field(sa_column=whole_column())
    alarm_id: bytes = Field(sa_column=bytes_column())
    step: int
    suite: int
    state: str
    reason: str
    ended_ms: int = Field(sa_column=whole_column())
    is_read: int
    short_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    digest: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))


_MESSAGE = METADATA.tables["message"].c
Index("message_identity", _MESSAGE.author, _MESSAGE.incarnation, _MESSAGE.seq, unique=True)
Index("message_short_id", _MESSAGE.short_id)
Index("message_state", _MESSAGE.direction, _MESSAGE.state, _MESSAGE.expires_ms)


class RecipientRow(Base, table=True):
    """One recipient of an outgoing message."""

    __tablename__ = "recipient"
    message: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    node: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    state: str
    at_ms: int = Field(sa_column=whole_column())


class LedgerRow(Base, table=True):
    """One line in the story of a message."""

    __tablename__ = "ledger"
    key: int | None = Field(default=None, sa_column=key_column())
    message: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))
    at_ms: int = Field(sa_column=whole_column())
    event: str
    node: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    detail: bytes = Field(sa_column=bytes_column())


class UnopenedRow(Base, table=True):
    """A held bundle for this node that the inbox has not opened yet."""

    __tablename__ = "unopened"
    short_id: int = Field(sa_column=key_column())
    author: bytes = Field(sa_column=bytes_column())
    keyref: bytes = Field(sa_column=Column(LargeBinary, nullable=False, index=True))
    since_ms: int = Field(sa_column=whole_column())


class ReceivedRow(Base, table=True):
    """A bundle this node opened, with the digest that its receipt commits to."""

    __tablename__ = "received"
    author: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    incarnation: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    seq: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    digest: bytes = Field(sa_column=bytes_column())
    at_ms: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))


class ReceiptDueRow(Base, table=True):
    """A page of some author's bundles whose receipt is not written yet."""

    __tablename__ = "receipt_due"
    author: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    incarnation: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    page: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    since_ms: int = Field(sa_column=whole_column())


class PeerRow(Base, table=True):
    """One node that was met."""

    __tablename__ = "peer"
    node: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    address: bytes = Field(sa_column=bytes_column())
    address_ms: int = Field(sa_column=whole_column())
    is_up: int
    first_ms: int = Field(sa_column=whole_column())
    last_ms: int = Field(sa_column=whole_column())
    contacts: int
    sent_bytes: int = Field(sa_column=whole_column())
    received_bytes: int = Field(sa_column=whole_column())


class DocumentRow(Base, table=True):
    """One authority document in force."""

    __tablename__ = "document"
    document_class: int = Field(primary_key=True)
    scope: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    epoch: int = Field(sa_column=whole_column())
    version: int = Field(sa_column=whole_column())
    digest: bytes = Field(sa_column=bytes_column())
    raw: bytes = Field(sa_column=bytes_column())
    received_ms: int = Field(sa_column=whole_column())


class TimeFloorRow(Base, table=True):
    """The one row about signed time: it is surely later than this."""

    __tablename__ = "time_floor"
    key: int = Field(primary_key=True)
    floor_ms: int = Field(sa_column=whole_column())


class OwnPrekeyRow(Base, table=True):
    """A prekey of this node with its private part."""

    __tablename__ = "own_prekey"
    prekey_id: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    issued_ms: int = Field(sa_column=whole_column())
    ends_ms: int = Field(sa_column=whole_column())
    erase_ms: int = Field(sa_column=whole_column())
    suites: int
    public: bytes = Field(sa_column=bytes_column())
    secret: bytes = Field(sa_column=bytes_column())


class PeerPrekeyRow(Base, table=True):
    """The newest prekey known of another node."""

    __tablename__ = "peer_prekey"
    node: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    prekey_id: bytes = Field(sa_column=bytes_column())
    issued_ms: int = Field(sa_column=whole_column())
    ends_ms: int = Field(sa_column=whole_column())
    suites: int
    public: bytes = Field(sa_column=bytes_column())


class SendingChainRow(Base, table=True):
    """A chain this node sends on."""

    __tablename__ = "sending_chain"
    chain_id: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    scope: bytes = Field(sa_column=Column(LargeBinary, nullable=False, index=True))
    started_ms: int = Field(sa_column=whole_column())
    ends_ms: int = Field(sa_column=whole_column())
    is_closed: int
    first: bytes = Field(sa_column=bytes_column())
    state: bytes = Field(sa_column=bytes_column())


class GivenRow(Base, table=True):
    """Who was given which chain of ours, and from which message on."""

    __tablename__ = "given"
    chain_id: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    node: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    index: int
    at_ms: int = Field(sa_column=whole_column())


class ReceivingChainRow(Base, table=True):
    """A chain of another author, as far as it was read."""

    __tablename__ = "receiving_chain"
    chain_id: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    author: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    scope: bytes = Field(sa_column=bytes_column())
    ends_ms: int = Field(sa_column=whole_column())
    state: bytes = Field(sa_column=bytes_column())


class NetworkKeyRow(Base, table=True):
    """A key shared by all devices of the network or of the zone."""

    __tablename__ = "network_key"
    purpose: int = Field(primary_key=True)
    key_id: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    key: bytes = Field(sa_column=bytes_column())
    since_ms: int = Field(sa_column=whole_column())
    giver: bytes = Field(sa_column=bytes_column())


class PositionRow(Base, table=True):
    """Where a device was; squads keep the newest of each until the shift ends, the centre all."""

    __tablename__ = "position"
    key: int | None = Field(default=None, sa_column=key_column())
    author: bytes = Field(sa_column=bytes_column())
    scope: bytes = Field(sa_column=bytes_column())
    shift_id: bytes = Field(sa_column=bytes_column())
    taken_ms: int = Field(sa_column=whole_column())
    ends_ms: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))
    incarnation: int = Field(sa_column=whole_column())
    seq: int = Field(sa_column=whole_column())
    body: bytes = Field(sa_column=bytes_column())


_POSITION = METADATA.tables["position"].c
Index("position_newest", _POSITION.author, _POSITION.scope, _POSITION.taken_ms, unique=True)


class ShiftEndRow(Base, table=True):
    """What must be erased here when a shift ends: its keys and its positions."""

    __tablename__ = "shift_end"
    author: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    subject: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    ends_ms: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))
