"""Two sessions joined by lists of bytes, with the smallest shells that answer them."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from protocol.errors import CloseCode
from protocol.ids import ShortId
from protocol.limits import TrafficClass
from protocol.reconcile.interest import Interest
from protocol.reconcile.sketch import Sketch
from protocol.reports import Reception, Standing
from protocol.session import (
    BundleReceived,
    BundlesAcked,
    DocumentKey,
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
    SessionClosed,
    SessionRole,
    StreamWanted,
    SyncSession,
    Wanted,
    messages,
)
from protocol.session.frames import FrameReader, FrameType, encode_frame

PIECE_BYTES = 65_536
HELLO = LocalHello((b"badge",), bytes(64), {})
TEXTS = Interest(7, TrafficClass.MESSAGE)
SOS = Interest(7, TrafficClass.SOS)
BULK = Interest(7, TrafficClass.BULK)

SomeEvent = TypeVar("SomeEvent", bound=Event)


def frame(frame_type: FrameType, payload: bytes = b"") -> bytes:
    return encode_frame(frame_type, payload)


def frames_of(data: bytes) -> list[tuple[FrameType, bytes]]:
    """Return the frames in `data`, which holds whole ones only."""
    reader = FrameReader()
    reader.feed(data)
    found = []
    while (each := reader.next_untrusted()) is not None:
        found.append(each)
    assert reader.buffered_bytes == 0
    return found


def container(short_id: ShortId, interest: Interest, size_bytes: int) -> bytes:
    """Return bytes that say which bundle they are, in place of a real container."""
    head = short_id.to_bytes(8, "big") + interest.zone.to_bytes(2, "big")
    return (head + bytes([interest.traffic_class])).ljust(size_bytes, b".")


class End:
    """A session and a shell that keeps everything in dictionaries."""

    def __init__(
        self,
        role: SessionRole,
        ids: Mapping[Interest, Iterable[ShortId]] | None = None,
        documents: Mapping[DocumentKey, int] | None = None,
        size_bytes: int = 40,
    ) -> None:
        self.documents = dict(documents or {})
        versions = {key: (1, version) for key, version in self.documents.items()}
        hello = LocalHello((b"badge",), bytes(64), versions)
        self.session = SyncSession(role, hello, 0)
        self.held: dict[ShortId, Interest] = {}
        self.size_bytes = size_bytes
        for interest, each in (ids or {}).items():
            self.held.update(dict.fromkeys(each, interest))
        self.events: list[Event] = []
        self.brought: list[bytes] = []
        self.received: list[ShortId] = []
        self.acked: list[tuple[ShortId, Reception]] = []
        self.closed: SessionClosed | None = None
        self.now_ms = 0
        self.is_storing = True
        self._unsettled: list[tuple[int, Reception]] = []
        self._settled = 0

    def all_of(self, kind: type[SomeEvent]) -> list[SomeEvent]:
        return [event for event in self.events if isinstance(event, kind)]

    def ids_of(self, interest: Interest) -> array[int]:
        return array("Q", [short for short, held in self.held.items() if held == interest])

    def items(self, ids: Iterable[ShortId]) -> list[Item]:
        return [
            Item(short, self.held[short].traffic_class, self.size_bytes)
            for short in ids
            if short in self.held
        ]

    # --- what a shell does ------------------------------------------------------------------

    def take(self, data: bytes) -> None:
        """Give bytes to the session and act upon all that it says."""
        self.session.receive_data(data, self.now_ms)
        self.act()

    def give(self, max_bytes: int = PIECE_BYTES) -> bytes:
        """Supply what the session asks for, and return what it has to send."""
        for short in self.session.next_to_supply(max_bytes):
            held = self.held.get(short)
            raw = None if held is None else container(short, held, self.size_bytes)
            self.session.supply(short, raw, 1)
        is_told = self.session.may_send
        data = self.session.data_to_send(max_bytes, self.now_ms)
        assert is_told or not data, "a shell that goes by `may_send` misses nothing"
        return data

    def act(self) -> None:
        while (event := self.session.next_event()) is not None:
            assert self.closed is None, "nothing comes after the end"
            self.events.append(event)
            self._answer(event)
        if self.is_storing:
            self.settle()

    def settle(self) -> None:
        """Acknowledge everything received."""
        if self._unsettled and self.closed is None:
            upto = self._unsettled[-1][0] + 1
            refusals = [each for each in self._unsettled if each[1] is not Reception.STORED]
            self._unsettled = []
            self.session.acknowledge(upto, refusals)
            self.act()

    def _answer(self, event: Event) -> None:
        session = self.session
        match event:
            case HelloReceived():
                session.admit(bytes(16))
            case DocumentsWanted(keys):
                session.supply_documents([key[1] for key in keys])
            case DocumentReceived(raw):
                self.brought.append(raw)
            case DocumentsReceived():
                session.documents_applied(Standing.FULL)
            case ReconcileStarting():
                interests = set(self.held.values())
                session.reconcile(
                    {each: Sketch.build(self.ids_of(each)).snapshot() for each in interests}
                )
            case IdsNeeded(interest):
                session.supply_ids(interest, self.ids_of(interest))
            case PeerLacks(ids=ids) | Wanted(ids=ids):
                session.offer(self.items(ids))
            case StreamWanted(interest):
                session.offer(self.items(self.ids_of(interest)))
            case Needed(ids):
                missing = [short for short in ids if short not in self.held]
                if missing:
                    session.want(missing)
            case BundleReceived():
                self._store(event)
            case BundlesAcked(outcomes):
                self.acked += outcomes
            case SessionClosed():
                self.closed = event

    def _store(self, event: BundleReceived) -> None:
        short = int.from_bytes(event.raw[:8], "big")
        self.received.append(short)
        fate = Reception.DUPLICATE if short in self.held else Reception.STORED
        if len(event.raw) > 10 and event.raw[10] in list(TrafficClass):
            zone = int.from_bytes(event.raw[8:10], "big")
            self.held[short] = Interest(zone, TrafficClass(event.raw[10]))
            self.session.note_received(short)
        else:
            fate = Reception.MALFORMED
        self._unsettled.append((event.number, fate))


class Pair:
    """An initiator and a responder, and what lies on the way between them."""

    def __init__(self, initiator: End, responder: End) -> None:
        self.ends = (initiator, responder)

    @property
    def initiator(self) -> End:
        return self.ends[0]

    @property
    def responder(self) -> End:
        return self.ends[1]

    def step(self, max_bytes: int = PIECE_BYTES) -> bool:
        """Carry one piece each way; False if there was none."""
        has_moved = False
        for end, other in (self.ends, self.ends[::-1]):
            data = end.give(max_bytes)
            if data:
                has_moved = True
                other.take(data)
        return has_moved

    def run(self, steps_max: int = 2_000, until: Callable[[], bool] = lambda: False) -> None:
        """Carry bytes until nobody has any, or `until` holds."""
        for _ in range(steps_max):
            if until() or not self.step():
                return
        raise AssertionError("two ends never stop talking")


def pair(
    ours: Mapping[Interest, Iterable[ShortId]] | None = None,
    theirs: Mapping[Interest, Iterable[ShortId]] | None = None,
    *,
    our_documents: Mapping[DocumentKey, int] | None = None,
    their_documents: Mapping[DocumentKey, int] | None = None,
    size_bytes: int = 40,
) -> Pair:
    return Pair(
        End(SessionRole.INITIATOR, ours, our_documents, size_bytes),
        End(SessionRole.RESPONDER, theirs, their_documents, size_bytes),
    )


def live_pair() -> Pair:
    """Return two ends that hold nothing and have nothing more to say."""
    both = pair()
    both.run()
    return both


def ids(count: int, start: int = 0) -> range:
    step = 0x0003_4567_89AB_CDEF
    return range(1 + start * step, 1 + (start + count) * step, step)


def assert_equal_sets(both: Pair) -> None:
    assert both.initiator.held == both.responder.held
    for end in both.ends:
        assert end.closed is None
        assert end.session.is_idle
        assert end.session.bundles_waiting == 0


def scripted(role: SessionRole = SessionRole.RESPONDER) -> End:
    """Return one end that has admitted its peer and has no documents to wait for."""
    end = End(role)
    end.take(frame(FrameType.HELLO, messages.encode_hello(HELLO)))
    end.take(frame(FrameType.DOCUMENTS_END))
    end.give()
    assert end.session.wants_read
    return end


def code_of(end: End) -> CloseCode:
    """Return why the session ended, and check that it says so and no more."""
    assert end.closed is not None, "the session goes on"
    assert not end.session.wants_read
    assert end.session.next_deadline_ms() is None
    sent = frames_of(end.give())
    if end.closed.by_peer:
        assert sent == []
    else:
        assert sent == [(FrameType.BYE, messages.encode_bye(end.closed.code))]
    assert end.give() == b""
    return end.closed.code


def deadline(session: SyncSession) -> int:
    at_ms = session.next_deadline_ms()
    assert at_ms is not None
    return at_ms
