"""What a session tells its shell, and the records that the shell hands in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, TypeAlias

from protocol.errors import CloseCode
from protocol.ids import ShortId
from protocol.limits import TrafficClass
from protocol.reconcile.interest import Interest
from protocol.reports import Reception

__all__ = [
    "BundleReceived",
    "BundlesAcked",
    "DocumentKey",
    "DocumentReceived",
    "DocumentsReceived",
    "DocumentsWanted",
    "Event",
    "HelloReceived",
    "IdsNeeded",
    "Item",
    "LocalHello",
    "Needed",
    "PeerLacks",
    "ReconcileStarting",
    "RoundFinished",
    "SessionClosed",
    "SessionRole",
    "StreamWanted",
    "Wanted",
]

DocumentKey: TypeAlias = tuple[int, bytes]
"""Class number and scope of an authority document."""


class SessionRole(Enum):
    """Who dialled."""

    INITIATOR = "initiator"
    RESPONDER = "responder"


@dataclass(frozen=True, slots=True)
class LocalHello:
    """What we show of ourselves."""

    badge_chain: tuple[bytes, ...]
    """Our badge and its issuers, DER."""
    binding_signature: bytes
    """64 bytes by the badge key over our link certificate (wire-format 6.3)."""
    documents: Mapping[DocumentKey, tuple[int, int]]
    """(epoch, version) of every authority document we hold."""
    nonce: bytes = field(default=bytes(16))
    """16 bytes that make two HELLOs differ."""


class Item(NamedTuple):
    """A bundle that may be sent."""

    short_id: ShortId
    """Its name in reconciliation."""
    traffic_class: TrafficClass
    """Order of service."""
    size_bytes: int
    """Length of the container."""


@dataclass(frozen=True, slots=True)
class HelloReceived:
    """The peer showed its badge; answer with `admit` or `refuse`."""

    badge_chain: tuple[bytes, ...]
    """Badge and issuers, DER, unchecked."""
    binding_signature: bytes
    """64 bytes, unchecked."""
    documents_digest: bytes
    """8 bytes."""


@dataclass(frozen=True, slots=True)
class DocumentsWanted:
    """The peer lacks these; answer with `supply_documents`."""

    keys: tuple[DocumentKey, ...]
    """Which documents."""


@dataclass(frozen=True, slots=True)
class DocumentReceived:
    """One authority document, unchecked."""

    raw: bytes
    """As received."""


@dataclass(frozen=True, slots=True)
class DocumentsReceived:
    """All documents are here; check and save them, then call `documents_applied`."""


@dataclass(frozen=True, slots=True)
class ReconcileStarting:
    """A round begins; answer with `reconcile`."""

    round: int
    """Counts from 1."""


@dataclass(frozen=True, slots=True)
class IdsNeeded:
    """All ids of an interest are needed for the list; answer with `supply_ids`."""

    interest: Interest
    """Which set."""


@dataclass(frozen=True, slots=True)
class PeerLacks:
    """The peer lacks these of ours; answer with `offer`, in order."""

    interest: Interest
    """Where they belong."""
    ids: tuple[ShortId, ...]
    """Short ids."""


@dataclass(frozen=True, slots=True)
class StreamWanted:
    """The peer holds nothing of this interest; `offer` all of it, page by page."""

    interest: Interest
    """Which set."""


@dataclass(frozen=True, slots=True)
class Needed:
    """The peer holds these; call `want` for those we really lack."""

    ids: tuple[ShortId, ...]
    """Short ids."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The peer asks for these; `offer` those we hold."""

    ids: tuple[ShortId, ...]
    """Short ids."""


class BundleReceived(NamedTuple):
    """A bundle, unchecked; after the commit `acknowledge` it."""

    number: int
    """Counts from 0 in this direction."""
    hops: int
    """Hand-overs behind it."""
    raw: bytes
    """The container."""


@dataclass(frozen=True, slots=True)
class BundlesAcked:
    """The peer stored these, or refused them for the reason given."""

    outcomes: tuple[tuple[ShortId, Reception], ...]
    """In order of sending."""


@dataclass(frozen=True, slots=True)
class RoundFinished:
    """The difference of every interest is known; what follows is transfer."""

    round: int
    """Counts from 1."""


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """The session is over."""

    code: CloseCode
    """Why."""
    by_peer: bool
    """The peer said so, or the link ended."""
    reason: str
    """For people and traces."""


Event: TypeAlias = (
    HelloReceived
    | DocumentsWanted
    | DocumentReceived
    | DocumentsReceived
    | ReconcileStarting
    | IdsNeeded
    | PeerLacks
    | StreamWanted
    | Needed
    | Wanted
    | BundleReceived
    | BundlesAcked
    | RoundFinished
    | SessionClosed
)
