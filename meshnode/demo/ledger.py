"""What the stores say once the nodes are stopped: who wrote what, and where it arrived.

Reads homes and nothing else: no word of the story's script reaches this room.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from meshnode.client import NodeApi

__all__ = [
    "Account",
    "Haul",
    "Landing",
    "Met",
    "Sheet",
    "Shown",
    "Written",
    "duplicates",
    "haul",
    "landing",
    "ledger",
    "lost",
    "read_sheet",
]

_PAGE: Final = 500
_CENTRE: Final = "codt"


@dataclass(frozen=True, slots=True)
class Written:
    """One message in the store of its author."""

    message: str
    """Its id, as people see it."""
    to: str
    """Whom it is for, in the words of `send`."""
    kind: str
    """`text`, `note` or `sos`."""
    text: str = field(repr=False)
    """What it says."""
    state: str
    """How it ended, or how far it is, as its author's store has it."""
    recipients: tuple[tuple[str, str], ...]
    """Name and state of each device that must receipt it."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One message in the inbox of a device."""

    message: str
    """Its id."""
    author: str
    """Name of the device that wrote it."""
    kind: str
    """`text`, `note` or `sos`."""
    text: str = field(repr=False)
    """What it says."""
    received_ms: int
    """When it was opened here, Unix milliseconds."""


@dataclass(frozen=True, slots=True)
class Met:
    """What a store says of all contacts with one device."""

    name: str
    """The other device."""
    first_ms: int
    """Begin of the first contact, Unix milliseconds."""
    sent_bytes: int
    """Bytes sent to it, all frames of all contacts."""


@dataclass(frozen=True, slots=True)
class Haul:
    """A backlog that reached a device in one go."""

    notes: int
    """Notes that arrived."""
    bytes: int
    """Bytes that the carrier sent there, with everything else it had to say."""
    seconds: float
    """From the begin of the contact to the last note opened."""
    overtaken: int
    """Notes that were opened after an SOS which was written last of all."""


@dataclass(frozen=True, slots=True)
class Landing:
    """What a boat brought at a later call."""

    notes: int
    """Notes that arrived."""
    bytes: int
    """Bytes that its box sent from then on."""
    seconds: float
    """From the first note opened to the last."""

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"notes": self.notes, "bytes": self.bytes, "seconds": round(self.seconds, 2)}


@dataclass(frozen=True, slots=True)
class Sheet:
    """All that one store says of messages."""

    name: str
    """The device."""
    written: tuple[Written, ...]
    """Oldest first."""
    shown: tuple[Shown, ...]
    """In order of arrival."""
    met: tuple[Met, ...] = ()
    """Every device that was ever in contact."""


@dataclass(frozen=True, slots=True)
class Account:
    """One message with what all stores say of it."""

    author: str
    """Name of the device that wrote it."""
    written: Written
    """As its author's store has it."""
    arrived: tuple[str, ...]
    """Devices that it is for and whose inboxes hold it, sorted."""
    missing: tuple[str, ...]
    """Devices that it is for and that lack it, sorted."""

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        written = self.written
        return {
            "message": written.message,
            "from": self.author,
            "to": written.to,
            "kind": written.kind,
            "text": written.text,
            "state": written.state,
            "recipients": [{"name": name, "state": state} for name, state in written.recipients],
            "arrived": list(self.arrived),
            "missing": list(self.missing),
        }


async def read_sheet(name: str, api: NodeApi) -> Sheet:
    """Read the store of a stopped, unlocked node. Raises: StoreError, LockedError."""
    written = [_written(await api.message(each["message"])) for each in await _outgoing(api)]
    met = [Met(p["name"], p["first_ms"], p["sent_bytes"]) for p in await api.peers()]
    return Sheet(name, tuple(written), tuple(await _inbox(api)), tuple(met))


async def _outgoing(api: NodeApi) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while page := await api.outgoing(found[-1]["key"] if found else 0, _PAGE):
        found += page
    return found


def _written(message: dict[str, Any]) -> Written:
    return Written(
        message["message"],
        message["to"],
        message["kind"],
        message["text"],
        message["state"],
        tuple(sorted((each["name"], each["state"]) for each in message["recipients"])),
    )


async def _inbox(api: NodeApi) -> list[Shown]:
    found: list[Shown] = []
    after = 0
    while page := await api.inbox(after, _PAGE):
        after = page[-1]["key"]
        found += [
            Shown(each["message"], each["from"], each["kind"], each["text"], each["received_ms"])
            for each in page
        ]
    return found


def ledger(sheets: Sequence[Sheet]) -> list[Account]:
    """Return an account of every message that any store says was written."""
    inboxes = {sheet.name: {(s.message, s.text) for s in sheet.shown} for sheet in sheets}
    return [_account(sheet.name, written, inboxes) for sheet in sheets for written in sheet.written]


def _account(author: str, written: Written, inboxes: dict[str, set[tuple[str, str]]]) -> Account:
    readers = sorted(name for name, _state in written.recipients)
    place = (written.message, written.text)
    arrived = [name for name in readers if place in inboxes.get(name, set())]
    missing = [name for name in readers if name not in arrived]
    if written.to == _CENTRE and arrived:
        # The centre is one reader, however many devices it has.
        missing = []
    return Account(author, written, tuple(arrived), tuple(missing))


def lost(accounts: Iterable[Account]) -> list[Account]:
    """Return the messages that somebody whom they are for lacks, or that nobody receipted."""
    return [each for each in accounts if each.missing or each.written.state != "delivered"]


def haul(
    carrier: Sheet, reader: Sheet, texts: Collection[str], sent_bytes: int | None = None
) -> Haul | None:
    """Return how the notes with these texts came to `reader`; None if they did not meet at all.

    `sent_bytes` is what `carrier` had sent it by then; by default what it has sent at all.
    """
    contact = next((each for each in carrier.met if each.name == reader.name), None)
    came = [each for each in reader.shown if each.kind == "sos" or each.text in texts]
    opened = [each.received_ms for each in came if each.kind == "note"]
    if contact is None or not opened:
        return None
    kinds = [each.kind for each in came]
    overtaken = kinds[kinds.index("sos") :].count("note") if "sos" in kinds else 0
    seconds = (max(opened) - contact.first_ms) / 1000
    sent = contact.sent_bytes if sent_bytes is None else sent_bytes
    return Haul(len(opened), sent, seconds, overtaken)


def landing(
    carrier: Sheet, reader: Sheet, texts: Collection[str], sent_before_bytes: int
) -> Landing | None:
    """Return what came at a later call, of which `texts` are the notes; None if none of them did.

    `sent_before_bytes` is what `carrier` had sent to `reader` before it.
    """
    opened = [each.received_ms for each in reader.shown if each.text in texts]
    sent_bytes = sum(each.sent_bytes for each in carrier.met if each.name == reader.name)
    if not opened:
        return None
    seconds = (max(opened) - min(opened)) / 1000
    return Landing(len(opened), sent_bytes - sent_before_bytes, seconds)


def duplicates(sheets: Sequence[Sheet]) -> int:
    """Return how often a message is shown beyond once: by its id, and by what it says.

    An author may write the same words twice; they count as often as they were written.
    """
    spoken = Counter((sheet.name, each.text) for sheet in sheets for each in sheet.written)
    total = 0
    for sheet in sheets:
        by_id = Counter(each.message for each in sheet.shown)
        by_words = Counter((each.author, each.text) for each in sheet.shown)
        again = sum(count - 1 for count in by_id.values())
        total += max(again, sum(max(0, n - max(1, spoken[w])) for w, n in by_words.items()))
    return total
