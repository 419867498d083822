"""Plain records that go into and come out of the store; no row of the database leaves it.

Frozen, comparable, free of SQL. Those that exist once per bundle of a contact are named tuples,
which are made ten times as fast (decision 8). Secrets have their own records in `store/keyring.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from protocol.ids import BundleId, NodeId, ShortId
from protocol.limits import Kind, TrafficClass

__all__ = [
    "FINAL_STATES",
    "BundleRecord",
    "BundleSummary",
    "Cursor",
    "Direction",
    "DocumentRecord",
    "EvidenceRecord",
    "IncomingReason",
    "LedgerEntry",
    "LedgerEvent",
    "MessageRecord",
    "MessageState",
    "NewMessage",
    "Page",
    "PeerRecord",
    "ReceiptPage",
    "RecipientRecord",
    "RecipientState",
    "Unopened",
]


class BundleSummary(NamedTuple):
    """What the store knows of one live bundle, without its bytes."""

    short_id: ShortId
    """Unsigned 64-bit name used in reconciliation."""
    digest: bytes
    """32 bytes, hash of the signed bytes."""
    author: NodeId
    """16 bytes."""
    incarnation: int
    """32-bit number of the author's store."""
    seq: int
    """Number of the bundle within the incarnation, from 1."""
    kind: Kind
    """What it is, as far as relays may know."""
    traffic_class: TrafficClass
    """Order of service."""
    zone: int
    """Zone of the scope, 1-65535."""
    scope: bytes
    """Encoded scope (wire-format 3.4)."""
    slot: int
    """Message number in its chain, or slot for kinds that supersede."""
    hlc: int
    """Author's hybrid logical clock: milliseconds << 16 | counter."""
    expires_ms: int
    """End of life, Unix milliseconds."""
    size_bytes: int
    """Length of the container."""
    hops: int
    """Hand-overs this copy has behind it."""
    received_ms: int
    """When this store took it, Unix milliseconds."""
    is_own: bool
    """Written by this node; evicted last."""


class BundleRecord(NamedTuple):
    """One bundle on its way into the store: a summary's fields and the container."""

    short_id: ShortId
    """Unsigned 64-bit name used in reconciliation."""
    digest: bytes
    """32 bytes, hash of the signed bytes."""
    author: NodeId
    """16 bytes."""
    incarnation: int
    """32-bit number of the author's store."""
    seq: int
    """Number of the bundle within the incarnation, from 1."""
    kind: Kind
    """What it is, as far as relays may know."""
    traffic_class: TrafficClass
    """Order of service."""
    zone: int
    """Zone of the scope, 1-65535."""
    scope: bytes
    """Encoded scope (wire-format 3.4)."""
    slot: int
    """Message number in its chain, or slot for kinds that supersede."""
    hlc: int
    """Author's hybrid logical clock: milliseconds << 16 | counter."""
    expires_ms: int
    """End of life, Unix milliseconds."""
    size_bytes: int
    """Length of the container."""
    hops: int
    """Hand-overs this copy has behind it."""
    received_ms: int
    """When this store took it, Unix milliseconds."""
    is_own: bool
    """Written by this node; evicted last."""
    raw: bytes
    """The container as received."""


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """Place in the order of service of one interest; the next page starts behind it."""

    size_class: int
    """0 for up to 1 kB, one more for each factor of four."""
    expires_ms: int
    """Deadline of the last bundle seen."""
    key: int
    """Tie breaker: the short id as the signed number the table holds."""


@dataclass(frozen=True, slots=True)
class Page:
    """Bundles of one interest in order of service."""

    summaries: tuple[BundleSummary, ...]
    """At most as many as were asked for."""
    next_cursor: Cursor | None
    """Where the next page starts; None where this is the last."""


class Direction(StrEnum):
    """Which way a message goes, seen from this node."""

    OUTGOING = "outgoing"
    INCOMING = "incoming"


class MessageState(StrEnum):
    """Where a message is, as far as this node knows it."""

    WAITING = "waiting"
    """Written, but not sealed: a key is missing, or it is for the next hour; no bundle exists."""
    QUEUED = "queued"
    """Sealed and durable here; nobody else has it."""
    CARRIED = "carried"
    """At least one other node took a copy."""
    DELIVERED = "delivered"
    """Every recipient receipted it."""
    EXPIRED = "expired"
    """Its lifetime ended before every recipient receipted it."""
    REFUSED = "refused"
    """It will not be delivered; the reason is beside it."""
    RECEIVED = "received"
    """Incoming: opened and stored here."""
    WITHDRAWN = "withdrawn"
    """Incoming: its author took it back before anybody saw it; its text is gone."""


FINAL_STATES = frozenset({MessageState.DELIVERED, MessageState.EXPIRED, MessageState.REFUSED})
"""An outgoing message ends in exactly one of these and never leaves it."""


class IncomingReason(StrEnum):
    """Why whoever reads an incoming message should take care."""

    REVOKED = "revoked author"
    """Its author was revoked, and wrote it after the last bundle that can be trusted."""


class RecipientState(StrEnum):
    """What is known of one message at one recipient."""

    PENDING = "pending"
    """No receipt yet."""
    AT_GATEWAY = "at gateway"
    """A gateway receipted it for the operations centre."""
    ON_DEVICE = "on device"
    """The recipient's device receipted it."""
    WITHDRAWN = "withdrawn"
    """The recipient's device says that the author took it back before it was shown."""
    READ = "read"
    """The recipient's device says that it was shown to a person."""
    EXPIRED = "expired"
    """The lifetime ended without a receipt."""
    REFUSED = "refused"
    """It will not get it; the message's reason says why."""


class LedgerEvent(StrEnum):
    """One step in the story of a message."""

    CREATED = "created"
    WAITING = "waiting for key"
    HELD_BACK = "held back"
    SEALED = "sealed"
    QUEUED = "queued"
    HANDED = "handed over"
    RECEIPT = "receipt"
    RECEIVED = "received"
    OPENED = "opened"
    READ = "read"
    DELIVERED = "delivered"
    EXPIRED = "expired"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    RESENT = "resent"
    TURNED_DOWN = "turned down"


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to be written into the store, outgoing or just opened."""

    id: BundleId
    """Identity of its bundle; an outgoing one takes its number before it is sealed."""
    scope: bytes
    """Encoded scope (wire-format 3.4)."""
    kind: Kind
    """TEXT or SOS."""
    text: str = field(repr=False)
    """What people read."""
    created_ms: int
    """Author's time, Unix milliseconds."""
    expires_ms: int
    """End of life, Unix milliseconds."""
    received_ms: int = 0
    """When it was opened here; 0 for outgoing ones."""
    alarm_id: bytes = b""
    """8 bytes that bind the steps of one SOS, or empty."""
    step: int = 0
    """Step of the SOS, 0 where there is none."""
    suite: int = 0
    """How it was sealed (wire-format 4.2); 0 as long as it is not."""
    reason: str = ""
    """What is odd about it, one of `IncomingReason`; empty for most."""


@dataclass(frozen=True, slots=True)
class MessageRecord:
    """One message as the store holds it."""

    key: int
    """Local number, rising in the order of arrival; the cursor of `list_inbox`."""
    id: BundleId
    """Identity of its bundle."""
    direction: Direction
    """Which way it goes."""
    scope: bytes
    """Encoded scope (wire-format 3.4)."""
    kind: Kind
    """TEXT or SOS."""
    text: str = field(repr=False)
    """What people read."""
    created_ms: int
    """Author's time, Unix milliseconds."""
    expires_ms: int
    """End of life, Unix milliseconds."""
    received_ms: int
    """When it was opened here; 0 for outgoing ones."""
    alarm_id: bytes
    """8 bytes that bind the steps of one SOS, or empty."""
    step: int
    """Step of the SOS, 0 where there is none."""
    suite: int
    """How it was sealed (wire-format 4.2); 0 as long as it is not."""
    state: MessageState
    """Where it is."""
    reason: str
    """Why it was refused, or how far it came before it expired; else empty."""
    ended_ms: int
    """When an outgoing one reached its final state; 0 before."""
    is_read: bool
    """Incoming: somebody has seen it."""
    short_id: ShortId | None
    """Name of its bundle; None as long as it is not sealed."""
    digest: bytes | None
    """32 bytes; None as long as it is not sealed."""


@dataclass(frozen=True, slots=True)
class RecipientRecord:
    """One recipient of an outgoing message."""

    node: NodeId
    """16 bytes."""
    state: RecipientState
    """What is known."""
    at_ms: int
    """When it became known, Unix milliseconds."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One line of a message's ledger."""

    at_ms: int
    """When this node learned it, Unix milliseconds."""
    event: LedgerEvent
    """What happened."""
    node: NodeId | None
    """Who took part, where there is somebody."""
    detail: str
    """A few words, or empty."""


@dataclass(frozen=True, slots=True, order=True)
class ReceiptPage:
    """A page of an author's bundles that deserves a new receipt. Source: wire-format 4.12."""

    author: NodeId
    """Whose bundles, 16 bytes."""
    incarnation: int
    """Of which store of that author."""
    page: int
    """seq >> 10."""
    since_ms: int
    """When the oldest bundle without a receipt was opened."""


@dataclass(frozen=True, slots=True)
class Unopened:
    """A held bundle for this node that has not been opened yet."""

    short_id: ShortId
    """Which bundle."""
    author: NodeId
    """Who wrote it; asked for the key where that is missing."""
    keyref: bytes
    """The key it waits for, 8 bytes; empty where nobody has tried to open it yet."""
    since_ms: int
    """When it came, Unix milliseconds."""


@dataclass(frozen=True, slots=True)
class PeerRecord:
    """What is remembered of one node that was met."""

    node: NodeId
    """16 bytes."""
    address: str
    """Where it was last reached, as text; empty if it always called us."""
    is_up: bool
    """A session with it is open now."""
    first_ms: int
    """First contact, Unix milliseconds."""
    last_ms: int
    """Last sign of life, Unix milliseconds."""
    contacts: int
    """Sessions begun."""
    sent_bytes: int
    """Bytes sent in all finished sessions."""
    received_bytes: int
    """Bytes received in all finished sessions."""


@dataclass(frozen=True, slots=True)
class DocumentRecord:
    """One authority document in force. Source: wire-format 7."""

    document_class: int
    """1 root, 2 roster, 3 revocation, 4 wipe, 5 beacon."""
    scope: bytes
    """What it is about; empty for the root."""
    epoch: int
    """Key set it was signed under."""
    version: int
    """Rises with each issue within the epoch."""
    digest: bytes
    """32 bytes, to recognise equivocation."""
    raw: bytes
    """As received."""
    received_ms: int
    """When it came into force here, Unix milliseconds."""


@dataclass(frozen=True, slots=True)
class EvidenceRecord:
    """Proof that somebody signed two things under one name."""

    at_ms: int
    """When it was seen, Unix milliseconds."""
    node: NodeId
    """Who signed."""
    subject: str
    """Which bundle or document, as text."""
    first_digest: bytes
    """Digest of what is held."""
    raw: bytes
    """The second version, as received."""
