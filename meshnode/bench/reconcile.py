"""What it costs two nodes to find out who lacks what: bytes, round trips, CPU.

Two real sessions speak over a list of bytes. Building the sketches is not measured: a store keeps
them by add and remove, a contact only reads them. Source: DESIGN D2, wire-format 6.6.
"""

from __future__ import annotations

import hashlib
import sys
import time
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median

from protocol.ids import ShortId
from protocol.limits import IDS_PER_LIST_MAX, TrafficClass
from protocol.reconcile.interest import Interest
from protocol.reconcile.sketch import Sketch, SketchSnapshot
from protocol.reports import Standing
from protocol.session import (
    DocumentsReceived,
    Event,
    HelloReceived,
    IdsNeeded,
    LocalHello,
    Needed,
    PeerLacks,
    ReconcileStarting,
    SessionRole,
    StreamWanted,
    SyncSession,
)

__all__ = ["Contact", "Held", "make_pairs", "measure", "meet"]

_INTEREST = Interest(1, TrafficClass.MESSAGE)
_SCHEMA = 1
_PIECE_BYTES = 65_536
_CONTACTS = 15
"""Contacts of one measurement: what a single one costs depends on luck."""


@dataclass(slots=True)
class Held:
    """What one end holds of the interest that is reconciled."""

    ids: array[int]
    """'Q', short ids; read only when a list is needed."""
    sketch: Sketch
    """Its coded symbols."""


@dataclass(slots=True)
class Contact:
    """What one round between two ends found, and what it took."""

    have: set[ShortId] = field(default_factory=set)
    """Ids that only the initiator holds."""
    need: set[ShortId] = field(default_factory=set)
    """Ids that only the responder holds."""
    streamed: int = 0
    """Ends that stream everything, as the other holds nothing."""
    lists: int = 0
    """Times an end had to list all its ids."""
    bytes: int = 0
    """Both ways, from SUMMARY to the known difference."""
    round_trips: int = 0
    """Flights of the initiator."""
    cpu_ms: float = 0.0
    """Of both ends together."""


def measure(ids: int, differences: int, seed: int = 0) -> dict[str, int | float]:
    """Return the figures of contacts of two ends that hold `ids` each; medians of 15 contacts.

    `differences` counts those that one end alone holds; each end has half of them, so that the
    sizes tell nothing. Raises: ValueError if the numbers do not fit together.
    """
    if not 0 <= differences <= ids <= IDS_PER_LIST_MAX:
        raise ValueError(f"0 <= differences <= ids <= {IDS_PER_LIST_MAX} must hold")
    contacts = [meet(*pair) for pair in make_pairs(ids, differences, seed, _CONTACTS)]
    size_bytes = round(median(contact.bytes for contact in contacts))
    return {
        "schema": _SCHEMA,
        "ids": ids,
        "differences": differences,
        "contacts": _CONTACTS,
        "bytes": size_bytes,
        "bytes_max": max(contact.bytes for contact in contacts),
        "round_trips": round(median(contact.round_trips for contact in contacts)),
        "round_trips_max": max(contact.round_trips for contact in contacts),
        "contact_cpu_ms": round(median(contact.cpu_ms for contact in contacts), 3),
        "bytes_per_difference": round(size_bytes / max(differences, 1), 2),
    }


def make_pairs(ids: int, differences: int, seed: int, count: int) -> Iterator[tuple[Held, Held]]:
    """Yield what two ends hold in `count` contacts; the ids they have in common stay the same.

    Cost: 8 µs per id once, then per difference.
    """
    ours, theirs = differences - differences // 2, differences // 2
    common = _numbers(f"{seed} common {ids - ours}", ids - ours)
    base = Sketch.build(common)
    for contact in range(count):
        fresh = _numbers(f"{seed} contact {contact} of {ids}", differences)
        pair = []
        for more in (fresh[:ours], fresh[ours:]):
            sketch = base.copy()
            for short_id in more:
                sketch.add(short_id)
            sketch.settle()
            pair.append(Held(common + more, sketch))
        assert len(pair[1].ids) == ids - ours + theirs
        yield pair[0], pair[1]


def _numbers(label: str, count: int) -> array[int]:
    numbers = array("Q", hashlib.shake_128(label.encode()).digest(8 * count))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def meet(initiator: Held, responder: Held) -> Contact:
    """Return what one round between two open sessions finds, and what it takes."""
    ends = _opened()
    held = dict(zip(ends, (initiator, responder), strict=True))
    contact = Contact()
    started_s = time.process_time()
    _answer(ends[0], ReconcileStarting(1), held, contact)
    while not _is_over(ends):
        for end, other in (ends, ends[::-1]):
            other.receive_data(end.data_to_send(_PIECE_BYTES, 0), 0)
            while (event := other.next_event()) is not None:
                _answer(other, event, held, contact)
    contact.cpu_ms = (time.process_time() - started_s) * 1_000
    contact.bytes, contact.round_trips = ends[0].reconcile_bytes, ends[0].round_trips
    return contact


def _is_over(ends: tuple[SyncSession, SyncSession]) -> bool:
    return all(end.is_idle and end.round_trips for end in ends)


def _answer(
    end: SyncSession, event: Event, held: Mapping[SyncSession, Held], contact: Contact
) -> None:
    match event:
        case ReconcileStarting():
            end.reconcile(_snapshot(held[end]))
        case IdsNeeded(interest):
            contact.lists += 1
            end.supply_ids(interest, held[end].ids)
        case StreamWanted():
            contact.streamed += 1
        case PeerLacks(_interest, ids):
            contact.have.update(ids)
        case Needed(ids):
            contact.need.update(ids)


def _snapshot(held: Held) -> dict[Interest, SketchSnapshot]:
    """Return the snapshot that a store gives at the start of a round, which the contact pays."""
    return {_INTEREST: held.sketch.snapshot()} if held.sketch.n else {}


def _opened() -> tuple[SyncSession, SyncSession]:
    """Return two sessions that said all that comes before reconciliation, which is due next."""
    hello = LocalHello((b"badge",), bytes(64), {})
    ends = (
        SyncSession(SessionRole.INITIATOR, hello, 0),
        SyncSession(SessionRole.RESPONDER, hello, 0),
    )
    is_saying = True
    while is_saying:
        is_saying = False
        for end, other in (ends, ends[::-1]):
            data = end.data_to_send(_PIECE_BYTES, 0)
            is_saying = is_saying or bool(data)
            other.receive_data(data, 0)
            while (event := other.next_event()) is not None:
                if isinstance(event, HelloReceived):
                    other.admit(bytes(16))
                elif isinstance(event, DocumentsReceived):
                    other.documents_applied(Standing.FULL)
    return ends
