"""What it costs two nodes to find out who lacks what: bytes, round trips, CPU.

Two real sessions speak over a list of bytes. Building the sketches is not measured: a store keeps
them by add and remove, a contact only reads them. Source: DESIGN D2, wire-format 6.6.
"""

from __future__ import annotations

import hashlib
import sys
import time
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field

from protocol.ids import ShortId
from protocol.limits import IDS_PER_LIST_MAX, TrafficClass
from protocol.reconcile.interest import Interest
from protocol.reconcile.sketch import Sketch, SketchSnapshot
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

__all__ = ["Contact", "Held", "make_pair", "measure", "meet"]

_INTEREST = Interest(1, TrafficClass.MESSAGE)
_SCHEMA = 1
_PIECE_BYTES = 65_536


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
    """Return the figures of one contact of two ends that hold `ids` each, half of which differ.

    `differences` counts those that one end alone holds; each end has half of them, so that the
    sizes tell nothing. Raises: ValueError if there are more differences than `ids`.
    """
    if not 0 <= differences <= ids <= IDS_PER_LIST_MAX:
        raise ValueError(f"0 <= differences <= ids <= {IDS_PER_LIST_MAX} must hold")
    initiator, responder = make_pair(ids, differences, seed)
    contact = meet(initiator, responder)
    return {
        "schema": _SCHEMA,
        "ids": ids,
        "differences": differences,
        "bytes": contact.bytes,
        "round_trips": contact.round_trips,
        "contact_cpu_ms": round(contact.cpu_ms, 3),
        "bytes_per_difference": round(contact.bytes / max(differences, 1), 2),
    }


def make_pair(ids: int, differences: int, seed: int = 0) -> tuple[Held, Held]:
    """Return what two ends hold. Cost: 8 µs per id; the sketch of the common ids is made once."""
    ours, theirs = differences - differences // 2, differences // 2
    numbers = array("Q")
    label = f"{seed} {ids} {differences}".encode()
    numbers.frombytes(hashlib.shake_128(label).digest(8 * (ids + theirs)))
    if sys.byteorder == "big":
        numbers.byteswap()
    common, first = numbers[: ids - ours], numbers[ids - ours : ids]
    second = numbers[ids:]
    base = Sketch.build(common)
    pair = Held(common + first, base.copy()), Held(common + second, base)
    for held, more in zip(pair, (first, second), strict=True):
        for short_id in more:
            held.sketch.add(short_id)
    return pair


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
                    other.documents_applied()
    return ends
