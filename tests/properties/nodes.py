"""Two nodes with the least that a session needs of them: a set, a roster, and time to answer.

Nothing is answered at once, as on a real node: every question, container and received bundle waits
until the test lets the node go on. What a node did is written down, so that the other can be
judged by it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from functools import cache

from protocol.errors import CloseCode
from protocol.ids import ShortId
from protocol.limits import PUSH_BYTES_MAX, SESSION_HELLO_MS_MAX, TrafficClass
from protocol.reconcile.interest import Interest
from protocol.reconcile.sketch import Sketch, SketchSnapshot
from protocol.reports import Reception, Standing
from protocol.session import (
    BundleReceived,
    BundlesAcked,
    DocumentReceived,
    DocumentsReceived,
    DocumentsWanted,
    Event,
    HelloReceived,
    IdsNeeded,
    Item,
    LocalHello,
    Needed,
    PeerLacks,
    ReconcileStarting,
    RoundFinished,
    SessionClosed,
    SessionRole,
    StreamWanted,
    SyncSession,
    Wanted,
)
from protocol.session.frames import FrameReader, FrameType
from protocol.session.states import State

__all__ = ["IDS_MAX", "ROSTERS_MAX", "Node"]

IDS_MAX = 2_000
ROSTERS_MAX = 3
SYMBOLS = 128
"""Symbols of a sketch here: few, so that a decode fails now and then and lists are used."""
ROSTER_KEY = (2, b"roster")
CLASSES = (TrafficClass.SOS, TrafficClass.MESSAGE, TrafficClass.BULK)
FOR_EVERYBODY = {
    FrameType.HELLO,
    FrameType.DOCUMENT_DIGESTS,
    FrameType.DOCUMENT_VERSIONS,
    FrameType.DOCUMENT,
    FrameType.DOCUMENTS_END,
    FrameType.BYE,
}
"""What may go to a peer that is revoked, or whose badge has expired."""
ENDS_OF_OUR_OWN = (CloseCode.NORMAL, CloseCode.GOING_AWAY)


def interest_of(short_id: ShortId) -> Interest:
    return Interest(1 + short_id // 3 % 2, CLASSES[short_id % 3])


def size_of(short_id: ShortId) -> int:
    """Return the bytes of a container: every fifth is too large to be pushed."""
    return PUSH_BYTES_MAX + 500 if short_id % 5 == 0 else 40


def roster_needed(short_id: ShortId) -> int:
    """Return the version of the roster in which the author of a bundle stands."""
    return max(0, short_id % 17 - 13)


@cache
def container(short_id: ShortId) -> bytes:
    return short_id.to_bytes(8, "big").ljust(size_of(short_id), b".")


def snapshots(held: Iterable[ShortId]) -> dict[Interest, SketchSnapshot]:
    sets: dict[Interest, list[ShortId]] = {}
    for short_id in held:
        sets.setdefault(interest_of(short_id), []).append(short_id)
    return {interest: Sketch.build(ids, SYMBOLS).snapshot() for interest, ids in sets.items()}


class Node:
    """What lasts beyond a session, and one session at a time."""

    def __init__(self) -> None:
        self.held: set[ShortId] = set()
        self.evicted: set[ShortId] = set()
        self.roster = 0
        self.now_ms = 0
        self.peers_stand = Standing.FULL
        self.dial(self, SessionRole.INITIATOR)

    def dial(self, peer: Node, role: SessionRole) -> None:
        """Begin a session; what the last one left unanswered is forgotten."""
        hello = LocalHello((b"badge",), bytes(64), {ROSTER_KEY: (1, self.roster)})
        self.session = SyncSession(role, hello, self.now_ms)
        self.peer = peer
        self.dialled_ms = self.now_ms
        self.is_live = self.is_restricting = False
        self.closed: SessionClosed | None = None
        self.questions: list[Event] = []
        self.documents: list[bytes] = []
        self.given_out: list[ShortId] = []
        self.unsettled: list[ShortId] = []
        self.settled = 0
        self.fates: list[tuple[ShortId, Reception]] = []
        self.outcomes: list[tuple[ShortId, Reception]] = []
        self.rounds = 0
        self.wire = bytearray()
        self.sent_bytes = self.fed_bytes = self.reconcile_bytes = 0

    # --- what a node does by itself ---------------------------------------------------------

    def write(self, ids: Iterable[ShortId]) -> None:
        """Make bundles; a live peer is told."""
        new = [each for each in ids if each not in self.held and roster_needed(each) <= self.roster]
        self.held.update(new)
        if self.is_live:
            self.session.announce(self.items(new))
            self.look()

    def evict(self, short_id: ShortId) -> None:
        """Drop a bundle."""
        self.held.discard(short_id)
        self.evicted.add(short_id)

    def learn(self) -> None:
        """Get a newer roster from somewhere else; the peer is told."""
        if self.roster < ROSTERS_MAX:
            self.roster += 1
            self.session.tell_documents([bytes([self.roster])])
            self.look()

    def doubt(self, standing: Standing) -> None:
        """Learn that the peer stands otherwise now."""
        self.peers_stand = standing
        if standing is not Standing.FULL:
            self.session.restrict()
            self.is_restricting |= self.session._state is State.PARTING
            self.look()

    def items(self, ids: Iterable[ShortId]) -> list[Item]:
        held = (each for each in ids if each in self.held)
        return [Item(each, interest_of(each).traffic_class, size_of(each)) for each in held]

    # --- steps of the shell -----------------------------------------------------------------

    def look(self) -> None:
        """Take what the session says; only the snapshot of a round is given at once."""
        while (event := self.session.next_event()) is not None:
            assert self.closed is None, "nothing comes after the end"
            match event:
                case ReconcileStarting(number):
                    self.rounds += 1
                    assert number == self.rounds, "rounds are counted one by one"
                    self.is_live = True
                    self.session.reconcile(snapshots(self.held))
                case BundleReceived():
                    self.take_bundle(event)
                case BundlesAcked(outcomes):
                    self.take_outcomes(outcomes)
                case DocumentReceived(raw):
                    self.documents.append(raw)
                case RoundFinished(number):
                    assert number == self.rounds
                case SessionClosed(code):
                    is_late = self.now_ms >= self.dialled_ms + SESSION_HELLO_MS_MAX
                    is_timeout = code is CloseCode.TIMEOUT and is_late
                    is_doubted = self.is_restricting or self.peer.is_restricting
                    is_refusal = code is CloseCode.REFUSED and is_doubted
                    assert code in ENDS_OF_OUR_OWN or is_timeout or is_refusal, event
                    self.closed = event
                    self.is_live = False
                case _:
                    self.questions.append(event)

    def take_bundle(self, event: BundleReceived) -> None:
        short_id = int.from_bytes(event.raw[:8], "big")
        assert event.raw == container(short_id)
        assert event.number == self.settled + len(self.unsettled), "numbered in order of sending"
        assert event.hops == short_id % 5
        assert self.is_live, "no bundle before the documents are through"
        self.unsettled.append(short_id)

    def take_outcomes(self, outcomes: tuple[tuple[ShortId, Reception], ...]) -> None:
        start = len(self.outcomes)
        self.outcomes += outcomes
        assert self.outcomes[start:] == self.peer.fates[start : len(self.outcomes)]
        for short_id, fate in outcomes:
            is_there = short_id in self.peer.held | self.peer.evicted
            assert is_there or not fate.is_held, "acknowledged and not stored"

    def answer(self, place: int) -> None:
        """Answer one of the questions that wait."""
        if not self.questions:
            return
        session, event = self.session, self.questions.pop(place % len(self.questions))
        match event:
            case HelloReceived():
                session.admit(bytes(16))
            case DocumentsWanted():
                session.supply_documents([bytes([self.roster])])
            case DocumentsReceived():
                self.roster = max([self.roster, *(raw[0] for raw in self.documents)])
                self.documents = []
                self.is_restricting |= self.peers_stand is not Standing.FULL
                session.documents_applied(self.peers_stand)
            case IdsNeeded(interest):
                ids = [each for each in self.held if interest_of(each) == interest]
                session.supply_ids(interest, array("Q", ids))
            case PeerLacks(_, ids) | Wanted(ids):
                session.offer(self.items(ids))
            case StreamWanted(interest):
                session.offer(self.items(e for e in self.held if interest_of(e) == interest))
            case Needed(ids):
                session.want([each for each in ids if each not in self.held])
            case _:
                raise AssertionError(event)
        self.look()

    def read_store(self, max_bytes: int) -> None:
        """Begin to read the containers that go next; they come with `supply`."""
        self.given_out += self.session.next_to_supply(max_bytes)

    def supply(self, count: int) -> None:
        """Give the oldest containers that were read."""
        for short_id in self.given_out[:count]:
            raw = container(short_id) if short_id in self.held else None
            self.session.supply(short_id, raw, short_id % 5)
        del self.given_out[:count]

    def store(self, count: int) -> None:
        """Commit the oldest bundles received, then acknowledge them."""
        batch, self.unsettled = self.unsettled[:count], self.unsettled[count:]
        if not batch:
            return
        refusals = []
        for index, short_id in enumerate(batch, self.settled):
            fate = Reception.STORED
            if short_id in self.held:
                fate = Reception.DUPLICATE
            elif roster_needed(short_id) > self.roster:
                fate = Reception.UNKNOWN_AUTHOR
            self.fates.append((short_id, fate))
            if fate.is_held:
                self.held.add(short_id)
                self.session.note_received(short_id)
            if fate is not Reception.STORED:
                refusals.append((index, fate))
        self.settled += len(batch)
        self.session.acknowledge(self.settled, refusals)
        self.look()

    # --- bytes ------------------------------------------------------------------------------

    def send(self, max_bytes: int) -> None:
        """Put what the session gives on the way to the peer."""
        is_told = self.session.may_send
        data = self.session.data_to_send(max_bytes, self.now_ms)
        assert is_told or not data, "a shell that goes by `may_send` misses nothing"
        reader = FrameReader()
        reader.feed(data)
        frames = []
        while (frame := reader.next_untrusted()) is not None:
            frames.append(frame)
        assert reader.buffered_bytes == 0, "whole frames"
        if self.is_restricting:
            assert {frame_type for frame_type, _payload in frames} <= FOR_EVERYBODY
            self.look()
        assert len(data) <= max_bytes or len(frames) == 1
        self.sent_bytes += len(data)
        self.reconcile_bytes += sum(
            3 + len(payload)
            for frame_type, payload in frames
            if FrameType.SUMMARY <= frame_type <= FrameType.ROUND_END
        )
        self.wire += data

    def hear(self, size_bytes: int) -> bool:
        """Take the next bytes from the way; False if there were none."""
        data = bytes(self.peer.wire[:size_bytes])
        del self.peer.wire[:size_bytes]
        if data and self.closed is None:
            self.fed_bytes += len(data)
            self.session.receive_data(data, self.now_ms)
            self.look()
        return bool(data)

    def pass_time(self, now_ms: int) -> None:
        """Let the clock go on, and do what the deadline asks for."""
        self.now_ms = now_ms
        deadline_ms = self.session.next_deadline_ms()
        if deadline_ms is not None and deadline_ms <= now_ms:
            self.session.handle_timeout(now_ms)
            self.look()

    def go_on(self) -> bool:
        """Do everything that can be done without the peer; False if there was nothing."""
        was_busy = bool(self.questions or self.given_out or self.unsettled)
        while self.questions:
            self.answer(0)
        self.read_store(1 << 20)
        self.supply(len(self.given_out))
        if self.unsettled:
            self.store(len(self.unsettled))
        before_bytes = self.sent_bytes
        self.send(1 << 16)
        if self.is_restricting:
            # The goodbye comes after everything else has gone.
            self.send(1 << 16)
        return was_busy or self.sent_bytes > before_bytes
