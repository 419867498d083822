"""What is left of a world when it has ended: each device's store as plain records, and the trace.

Checkers and measures work on this alone, so that they can be shown to fail on a changed copy.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from meshnode.store import alarms, bundles, messages, peers, reading, sheets
from meshnode.store.alarms import AlarmName
from meshnode.store.engine import Connection, Store
from meshnode.store.records import LedgerEntry, MessageRecord, RecipientRecord
from protocol import hlc, payloads
from protocol.alarms import Told
from protocol.bundle import Scope, decode_untrusted
from protocol.identity import Role
from protocol.ids import BundleId, NodeId
from protocol.payloads import Sos
from protocol.reconcile.interest import Interest
from sims.bounds import sizes
from sims.fault_plan import FaultPlan
from sims.runtime import TraceLine
from sims.scenario import Scenario

__all__ = [
    "DeviceRecord",
    "Ending",
    "Held",
    "SentRecord",
    "SheetsHeld",
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
class Held:
    """A bundle in a store at the end."""

    id: BundleId
    """Its identity."""
    scope: Scope
    """Whom it is for."""
    stamp_ms: int
    """Author's time, Unix milliseconds."""
    expires_ms: int
    """End of life, Unix milliseconds."""
    digest: bytes
    """32 bytes."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a device came to the end of its world."""

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
    """When its node was last started, virtual milliseconds; the end if it does not run."""
    is_lost: bool = False
    """It went away for good; its store is as it was then."""
    is_up: bool = True
    """Its node ran at the end."""


@dataclass(frozen=True, slots=True)
class SheetsHeld:
    """Reflex sheets of a device at the end."""

    whole: Mapping[str, int]
    """Version of each sheet that can be opened, by name."""
    retracted: Mapping[bytes, int]
    """Versions up to which nobody may open a sheet, by its id."""
    stray_pieces: int
    """Pieces of content that belong to no sheet that it may open."""


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """One device at the end."""

    ending: Ending
    """Who it is, and how it got there."""
    outgoing: tuple[Story, ...]
    """Messages written here."""
    incoming: tuple[MessageRecord, ...]
    """Messages opened here."""
    incoming_ledgers: Mapping[BundleId, tuple[LedgerEntry, ...]]
    """The ledger of each message that was opened here."""
    withdrawn: frozenset[BundleId]
    """What others took back from here, as far as it is known here."""
    copies: Mapping[BundleId, BundleId]
    """Of each message of its own that repeats another one: which."""
    held: Mapping[int, Held]
    """Every bundle in the store, by its short id."""
    moved_bytes: int
    """Bytes sent in all finished sessions."""
    sizes: Mapping[str, int]
    """What it holds of everything that has a bound, by the names of `sims.bounds`."""
    image: bytes = field(repr=False)
    """Every byte of its database."""
    alarms: Mapping[AlarmName, tuple[Told, ...]] = field(default_factory=dict)
    """The steps of each alarm that were opened or made here."""
    sheets: SheetsHeld = field(default_factory=lambda: SheetsHeld({}, {}, 0))
    """Its reflex sheets."""

    @property
    def name(self) -> str:
        """As the scenario names it."""
        return self.ending.name

    @property
    def node(self) -> NodeId:
        """16 bytes."""
        return self.ending.node

    @property
    def holds(self) -> frozenset[BundleId]:
        """Identities of all bundles in its store."""
        return frozenset(each.id for each in self.held.values())


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
    plan: FaultPlan = field(default_factory=FaultPlan)
    """What the seed decided to go wrong."""
    peaks: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """The largest count of each bounded thing while the world ran, by device and name."""

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


async def collect(store: Store, ending: Ending) -> DeviceRecord:
    """Read one store. Raises: StoreError."""

    def read(conn: Connection) -> DeviceRecord:
        incoming = messages.list_inbox(conn, 0, _LIST_MAX)
        return DeviceRecord(
            ending=ending,
            outgoing=tuple(_stories(conn)),
            incoming=tuple(incoming),
            incoming_ledgers={one.id: tuple(messages.ledger(conn, one.key)) for one in incoming},
            withdrawn=reading.all_cancelled(conn, ending.node),
            copies=_copies(conn),
            held=_held(conn, store.sketches),
            moved_bytes=sum(peer.sent_bytes for peer in peers.list_peers(conn)),
            sizes=sizes(conn, store),
            image=_image(conn),
            alarms=_alarms(conn),
            sheets=_sheets(conn),
        )

    return await store.read(read)


_LIST_MAX = 1_000_000


def _stories(conn: Connection) -> Iterable[Story]:
    for message in messages.list_outgoing(conn, 0, _LIST_MAX):
        recipients = tuple(messages.recipients(conn, message.key))
        yield Story(message, recipients, tuple(messages.ledger(conn, message.key)))


def _alarms(conn: Connection) -> dict[AlarmName, tuple[Told, ...]]:
    found = {}
    for name in alarms.names(conn, _LIST_MAX):
        steps = []
        for each in alarms.steps(conn, name):
            sos = payloads.decode_untrusted(each.body, each.name.author, each.scope)
            assert isinstance(sos, Sos), "nothing else is kept there"
            steps.append(Told(each.name, each.at_ms, sos))
        found[name] = tuple(steps)
    return found


def _sheets(conn: Connection) -> SheetsHeld:
    have, found = sheets.have(conn), [each.sheet for each in sheets.records(conn)]
    stray = have.keys() - {each.file_id for each in found}
    return SheetsHeld(
        {e.name: e.version for e in found if have.get(e.file_id, 0) == e.chunk_count},
        sheets.catalogue(conn).retracted,
        sum(have[file_id] for file_id in stray),
    )


def _copies(conn: Connection) -> dict[BundleId, BundleId]:
    found = {}
    for message in messages.list_outgoing(conn, 0, _LIST_MAX):
        first = messages.get(conn, reading.origin(conn, message.key) or 0)
        if first is not None:
            found[message.id] = first.id
    return found


def _ids(conn: Connection, interests: Iterable[Interest]) -> Iterable[int]:
    for interest in interests:
        yield from bundles.ids(conn, interest)


def _held(conn: Connection, interests: Iterable[Interest]) -> dict[int, Held]:
    ids = sorted(_ids(conn, interests))
    found = {}
    for short_id, (raw, _hops) in bundles.raw_many(conn, ids).items():
        bundle = decode_untrusted(raw)
        header = bundle.header
        stamp_ms = hlc.wall_ms(header.hlc)
        found[short_id] = Held(header.id, header.scope, stamp_ms, header.expires_ms, bundle.digest)
    return found


def _image(conn: Connection) -> bytes:
    """Return the pages of the database, deleted rows that were not overwritten among them."""
    driver = conn.connection.driver_connection
    assert driver is not None, "a connection in use has its driver's"
    image: bytes = driver.serialize()
    return image
