"""What is left of a world when it has ended: each device's store as plain records, and the trace.

Checkers and measures work on this alone, so that they can be shown to fail on a changed copy.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from meshnode.store import bundles, messages, peers
from meshnode.store.engine import Connection, Store
from meshnode.store.records import LedgerEntry, MessageRecord, RecipientRecord
from protocol.bundle import decode_untrusted
from protocol.identity import Role
from protocol.ids import BundleId, NodeId
from protocol.reconcile.interest import Interest
from sims.runtime import TraceLine
from sims.scenario import Scenario

__all__ = [
    "DeviceRecord",
    "SentRecord",
    "Story",
    "WorldRecord",
    "collect",
    "digest_of",
    "text_of",
]


@dataclass(frozen=True, slots=True)
class SentRecord:
    """A message that a node promised to keep."""

    at_ms: int
    """Virtual milliseconds since the world began."""
    sender: NodeId
    """Who wrote it."""
    message: BundleId
    """Its identity."""
    text: str
    """What people read."""
    recipients: frozenset[NodeId]
    """Who shall get it."""
    is_any_enough: bool
    """For the operations centre: one of the recipients is enough."""


@dataclass(frozen=True, slots=True)
class Story:
    """An outgoing message with what its author knows of it."""

    message: MessageRecord
    """As the author's store holds it."""
    recipients: tuple[RecipientRecord, ...]
    """What is known of each."""
    ledger: tuple[LedgerEntry, ...]
    """In the order in which it became known."""


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """One device at the end."""

    name: str
    """As the scenario names it."""
    node: NodeId
    """16 bytes."""
    role: Role
    """What it may do."""
    now_ms: int
    """What its wall clock shows, Unix milliseconds."""
    clock_ahead_ms: int
    """How far its clock is ahead of the world's."""
    up_since_ms: int
    """When its node was last started, virtual milliseconds."""
    outgoing: tuple[Story, ...]
    """Messages written here."""
    incoming: tuple[MessageRecord, ...]
    """Messages opened here."""
    incoming_ledgers: Mapping[BundleId, tuple[LedgerEntry, ...]]
    """The ledger of each message that was opened here."""
    held: Mapping[BundleId, bytes]
    """Digest of every bundle in the store, by its identity."""
    ids: frozenset[int]
    """Short ids of all these bundles."""
    moved_bytes: int
    """Bytes sent in all finished sessions."""
    image: bytes = field(repr=False)
    """Every byte of its database."""


@dataclass(frozen=True, slots=True)
class WorldRecord:
    """A whole world at its end."""

    scenario: Scenario
    """What was run."""
    seed: int
    """What decided the rest."""
    end_ms: int
    """Virtual milliseconds from its begin to its end."""
    devices: tuple[DeviceRecord, ...]
    """In the order of the scenario."""
    sent: tuple[SentRecord, ...]
    """In the order of writing."""
    lines: tuple[TraceLine, ...] = field(repr=False)
    """The trace."""

    @property
    def digest(self) -> str:
        """SHA-256 over every line of the trace, in hexadecimal."""
        return digest_of(self.lines)

    def device(self, node: NodeId) -> DeviceRecord:
        """Return the device with this id, which must be one of the world."""
        return next(device for device in self.devices if device.node == node)

    def name_of(self, node: NodeId | None) -> str:
        """Return what people call a device."""
        found = [device.name for device in self.devices if device.node == node]
        return found[0] if found else "a stranger"


def text_of(line: TraceLine) -> str:
    """Return a line of the trace as one JSON object."""
    head = {"at_ms": line.at_ms, "node": line.node, "event": line.event}
    return json.dumps({**head, **dict(line.fields)}, ensure_ascii=False)


def digest_of(lines: Iterable[TraceLine]) -> str:
    """Return the SHA-256 of a trace, in hexadecimal."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(text_of(line).encode() + b"\n")
    return digest.hexdigest()


async def collect(
    store: Store, name: str, identity: tuple[NodeId, Role], clock: tuple[int, int, int]
) -> DeviceRecord:
    """Read one store. `clock`: what its wall clock shows, how far that is ahead, and since when
    its node runs. Raises: StoreError.
    """
    node, role = identity
    now_ms, ahead_ms, up_since_ms = clock

    def read(conn: Connection) -> DeviceRecord:
        incoming = messages.list_inbox(conn, 0, _LIST_MAX)
        return DeviceRecord(
            name=name,
            node=node,
            role=role,
            now_ms=now_ms,
            clock_ahead_ms=ahead_ms,
            up_since_ms=up_since_ms,
            outgoing=tuple(_stories(conn)),
            incoming=tuple(incoming),
            incoming_ledgers={one.id: tuple(messages.ledger(conn, one.key)) for one in incoming},
            held=_held(conn, store.sketches),
            ids=frozenset(_ids(conn, store.sketches)),
            moved_bytes=sum(peer.sent_bytes for peer in peers.list_peers(conn)),
            image=_image(conn),
        )

    return await store.read(read)


_LIST_MAX = 1_000_000


def _stories(conn: Connection) -> Iterable[Story]:
    for message in messages.list_outgoing(conn, 0, _LIST_MAX):
        recipients = tuple(messages.recipients(conn, message.key))
        yield Story(message, recipients, tuple(messages.ledger(conn, message.key)))


def _ids(conn: Connection, interests: Iterable[Interest]) -> Iterable[int]:
    for interest in interests:
        yield from bundles.ids(conn, interest)


def _held(conn: Connection, interests: Iterable[Interest]) -> dict[BundleId, bytes]:
    ids = sorted(_ids(conn, interests))
    found = [decode_untrusted(raw) for raw, _hops in bundles.raw_many(conn, ids).values()]
    return {bundle.header.id: bundle.digest for bundle in found}


def _image(conn: Connection) -> bytes:
    """Return the pages of the database, deleted rows that were not overwritten among them."""
    driver = conn.connection.driver_connection
    assert driver is not None, "a connection in use has its driver's"
    image: bytes = driver.serialize()
    return image
