"""Parsers inside a session: each gets its bytes in the state in which a peer could send them."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from functools import cache
from typing import Any

from protocol.canonical import encode
from protocol.errors import LimitExceededError, MalformedError, RemoteProtocolError
from protocol.limits import TrafficClass
from protocol.reconcile.interest import Interest
from protocol.reconcile.sketch import Sketch, SketchSnapshot
from protocol.reports import Reception, Standing
from protocol.session import messages
from protocol.session.egress import is_reconciliation
from protocol.session.events import (
    DocumentsReceived,
    DocumentsWanted,
    HelloReceived,
    Item,
    LocalHello,
    SessionClosed,
    SessionRole,
)
from protocol.session.exchange import Exchange
from protocol.session.frames import FrameReader, FrameType, encode_frame
from protocol.session.messages import Ack, IdList, More, Summary, SummaryLine, Symbols
from protocol.session.rounds import InitiatorRound, ResponderRound
from protocol.session.sync import SyncSession
from protocol.session.transfer import Outflow
from tests.properties.table import Parser, array_of, value_of

__all__ = ["SESSION_PARSERS"]

REMOTE = (RemoteProtocolError,)
INTEREST = Interest(7, TrafficClass.MESSAGE)
OURS = {INTEREST: Sketch.build(range(1, 2_000)).snapshot()}
THEIRS = {INTEREST: Sketch.build(range(100, 2_100)).snapshot()}
ROSTER_KEY = (2, b"\1\0\7squad-id")
OUR_HELLO = LocalHello((b"badge",), bytes(64), {ROSTER_KEY: (1, 2)})
THEIR_HELLO = LocalHello((b"badge",), bytes(64), {ROSTER_KEY: (1, 1)})


# --- states ------------------------------------------------------------------------------------


def _talk(ends: tuple[SyncSession, SyncSession], rounds: int) -> None:
    """Carry bytes both ways; the shells admit everybody and save every document."""
    for _ in range(rounds):
        for end, other in (ends, ends[::-1]):
            while (event := end.next_event()) is not None:
                assert not isinstance(event, SessionClosed), event
                if isinstance(event, HelloReceived):
                    end.admit(bytes(16))
                elif isinstance(event, DocumentsWanted):
                    end.supply_documents([b"document"])
                elif isinstance(event, DocumentsReceived):
                    end.documents_applied(Standing.FULL)
            other.receive_data(end.data_to_send(1 << 20, 0), 0)


def _pair() -> tuple[SyncSession, SyncSession]:
    return (
        SyncSession(SessionRole.INITIATOR, OUR_HELLO, 0),
        SyncSession(SessionRole.RESPONDER, THEIR_HELLO, 0),
    )


def opening() -> SyncSession:
    """Return an end that waits for the peer's HELLO."""
    return _pair()[1]


def exchanging() -> SyncSession:
    """Return an end that was promised documents."""
    initiator, responder = _pair()
    responder.receive_data(initiator.data_to_send(1 << 20, 0), 0)
    responder.admit(bytes(16))
    return responder


def comparing() -> SyncSession:
    """Return an end that knows where the peer's documents differ."""
    end = exchanging()
    end.receive_data(encode_frame(FrameType.DOCUMENT_DIGESTS, DIGESTS), 0)
    return end


def promised() -> SyncSession:
    """Return an end that knows which documents the peer holds, and waits for the newer ones."""
    end = comparing()
    end.receive_data(encode_frame(FrameType.DOCUMENT_VERSIONS, VERSIONS), 0)
    return end


def pinging() -> SyncSession:
    """Return an end that asked whether the peer is still there."""
    end = live()
    deadline_ms = end.next_deadline_ms()
    assert deadline_ms is not None
    end.handle_timeout(deadline_ms)
    return end


def asking() -> SyncSession:
    """Return an end that waits for symbols, with a bundle under way."""
    ends = _pair()
    _talk(ends, 4)
    ends[0].reconcile(OURS)
    ends[0].offer([Item(5, TrafficClass.SOS, 100)])
    for short_id in ends[0].next_to_supply(1_000):
        ends[0].supply(short_id, b"container", 0)
    ends[0].data_to_send(1 << 20, 0)
    return ends[0]


def answering() -> SyncSession:
    """Return an end that answered a SUMMARY."""
    ends = _pair()
    _talk(ends, 4)
    ends[0].reconcile(OURS)
    _talk(ends, 1)
    ends[1].reconcile(THEIRS)
    return ends[1]


def live() -> SyncSession:
    """Return an end that is reconciled with nothing, and waits for a SUMMARY."""
    ends = _pair()
    _talk(ends, 4)
    return ends[1]


class _Writer(pickle.Pickler):
    """Leaves out the sketches, which no session changes."""

    def persistent_id(self, found: Any) -> int | None:
        return _SHARED_IDS.get(id(found))


class _Reader(pickle.Unpickler):
    """Puts the sketches back."""

    def persistent_load(self, number: int) -> SketchSnapshot:
        return _SHARED[number]


_SHARED = (*OURS.values(), *THEIRS.values())
_SHARED_IDS = {id(sketch): number for number, sketch in enumerate(_SHARED)}


@cache
def _written(make: Callable[[], SyncSession]) -> bytes:
    file = io.BytesIO()
    _Writer(file, 5).dump(make())
    return file.getvalue()


def copied(make: Callable[[], SyncSession]) -> SyncSession:
    """Return what `make` makes; a copy costs a third of what reaching a state does."""
    found = _Reader(io.BytesIO(_written(make))).load()
    assert isinstance(found, SyncSession)
    return found


def _first_flight() -> Symbols:
    (_, payload), *_ = ResponderRound(Summary(1, (_line(),)), THEIRS).start().frames
    return messages.decode_symbols_frame_untrusted(payload)


def _line() -> SummaryLine:
    return SummaryLine(INTEREST, OURS[INTEREST].n, OURS[INTEREST].set_hash)


SYMBOLS = messages.encode_symbols_frame(_first_flight())
SUMMARY = messages.encode_summary(Summary(1, (_line(),)))
MORE = messages.encode_more(More(1, INTEREST, 64, 64))
LIST = messages.encode_list(
    IdList(1, INTEREST, True, messages.decode_ids_untrusted(messages.encode_ids([1, 2, 3])))
)
EQUAL = messages.encode_equal(1, [INTEREST])
IDS = messages.encode_ids([1, 2**64 - 1])
ACK = messages.encode_ack(Ack(1, ((0, Reception.DUPLICATE),)))
HELLO = messages.encode_hello(OUR_HELLO)
DIGESTS = bytes(256)
VERSIONS = messages.encode_versions({ROSTER_KEY: (1, 3), (1, b""): (1, 1)})
ROUND, BYE, SIGN = messages.encode_round(1), messages.encode_bye(0), bytes(8)

FRAMES: dict[FrameType, tuple[Callable[[], SyncSession], str, bytes]] = {
    FrameType.HELLO: (opening, "hello", HELLO),
    FrameType.DOCUMENT_DIGESTS: (exchanging, "digests", DIGESTS),
    FrameType.DOCUMENT_VERSIONS: (comparing, "versions", VERSIONS),
    FrameType.DOCUMENT: (promised, "document", b"document"),
    FrameType.DOCUMENTS_END: (promised, "documents_end", b""),
    FrameType.SUMMARY: (live, "summary", SUMMARY),
    FrameType.SYMBOLS: (asking, "symbols", SYMBOLS),
    FrameType.MORE: (answering, "more", MORE),
    FrameType.LIST: (asking, "list", LIST),
    FrameType.EQUAL: (asking, "equal", EQUAL),
    FrameType.ROUND_END: (answering, "round_end", ROUND),
    FrameType.WANT: (live, "want", IDS),
    FrameType.OFFER: (live, "offer", IDS),
    FrameType.BUNDLE: (live, "bundle", b"\3container"),
    FrameType.ACK: (asking, "ack", ACK),
    FrameType.PING: (live, "ping", SIGN),
    FrameType.PONG: (pinging, "pong", bytes(7) + b"\1"),
    FrameType.BYE: (live, "bye", BYE),
}
"""In which state a frame is due, the name of its handler, and one example."""
assert set(FRAMES) == set(FrameType)


# --- readers -----------------------------------------------------------------------------------


def _handled(state: Callable[[], SyncSession], frame_type: FrameType) -> Callable[[bytes], object]:
    return lambda data: copied(state)._on_frame_untrusted(frame_type, data)


def _handler(frame_type: FrameType) -> str:
    """Return the name of the function that reads a frame's payload."""
    owner = "session.sync.SyncSession"
    if is_reconciliation(frame_type):
        owner = "session.reconciliation.Reconciliation"
    return f"{owner}._on_{FRAMES[frame_type][1]}_untrusted"


def _reconciled(data: bytes) -> object:
    """Let the first byte choose the frame of a round."""
    chosen = [frame_type for frame_type in FrameType if is_reconciliation(frame_type)]
    frame_type = chosen[data[0] % len(chosen)] if data else chosen[0]
    session = copied(FRAMES[frame_type][0])
    return session._rounds.on_frame_untrusted(frame_type, data[1:])


def _interest(data: bytes) -> object:
    zone, cls, *_ = (*array_of(value_of(data)), 0, 0)
    return messages._interest_untrusted(zone, cls)


def _any_frame(data: bytes) -> object:
    """Let the first byte choose the frame, as a peer does."""
    frame_type = list(FrameType)[data[0] % len(FrameType)] if data else FrameType.HELLO
    session = copied(FRAMES[frame_type][0])
    session._on_frame_untrusted(frame_type, data[1:])
    return session.next_event()


def _first_frames(data: bytes) -> object:
    reader = FrameReader()
    reader.feed(data)
    frames = []
    while (frame := reader.next_untrusted()) is not None:
        frames.append(frame)
    return frames


def _whole_session(data: bytes) -> object:
    """Feed a whole session; it must end by an event and never by an error."""
    session = copied(opening)
    session.receive_data(encode_frame(FrameType.HELLO, HELLO) + data, 0)
    while (event := session.next_event()) is not None:
        if isinstance(event, HelloReceived):
            session.admit(bytes(16))
        elif isinstance(event, DocumentsReceived):
            session.documents_applied(Standing.FULL)
        elif isinstance(event, SessionClosed):
            break
    return session.data_to_send(1 << 20, 0)


def _after_frames(*frames: tuple[FrameType, bytes]) -> bytes:
    return b"".join(encode_frame(frame_type, payload) for frame_type, payload in frames)


SCRIPT = _after_frames(
    (FrameType.DOCUMENT_DIGESTS, DIGESTS),
    (FrameType.DOCUMENT_VERSIONS, VERSIONS),
    (FrameType.DOCUMENT, b"document"),
    (FrameType.DOCUMENTS_END, b""),
    (FrameType.SUMMARY, SUMMARY),
    (FrameType.BUNDLE, b"\3container"),
    (FrameType.BYE, BYE),
)


def _initiator() -> InitiatorRound:
    started = InitiatorRound(1, OURS)
    started.start()
    return started


def _responder() -> ResponderRound:
    started = ResponderRound(Summary(1, (_line(),)), THEIRS)
    started.start()
    return started


def _second_flight(data: bytes) -> object:
    """A first flight as it should be, then one of the peer's choice."""
    started = _initiator()
    started.on_symbols_untrusted(_first_flight())
    return started.on_symbols_untrusted(messages.decode_symbols_frame_untrusted(data))


def _good_second_flight() -> bytes:
    """Return the flight that the initiator asks for after the first."""
    responder, initiator = _responder(), _initiator()
    (_, asked), *_ = initiator.on_symbols_untrusted(_first_flight()).frames
    (_, payload), *_ = responder.on_more_untrusted(messages.decode_more_untrusted(asked)).frames
    return payload


def _ack(data: bytes) -> object:
    outflow = Outflow()
    outflow.offer([Item(number, TrafficClass.MESSAGE, 9) for number in range(4)])
    for short_id in outflow.next_to_supply(1_000):
        outflow.supply(short_id, b"container", 0)
    outflow.frames_into(TrafficClass.MESSAGE, [], 0, 1 << 16, 0)
    return outflow.on_ack_untrusted(messages.decode_ack_untrusted(data), 1)


def _exchange(data: bytes) -> object:
    """Let each byte be one frame of documents, in an order of the peer's choice."""
    exchange = Exchange(OUR_HELLO.documents)
    exchange.compare(data[:8])
    for byte in data[8:]:
        if byte % 7 == 6:
            exchange.differing_untrusted([bytes([byte]) * 4] * messages.DOCUMENT_BUCKETS)
        elif byte % 3 == 0:
            exchange.newer_untrusted({ROSTER_KEY: (1, byte)})
        elif byte % 3 == 1:
            exchange.on_document_untrusted()
        elif byte > 0xF0:
            exchange.on_news_untrusted()
        else:
            exchange.on_end_untrusted()
    return exchange.is_done


ORDER = bytes(8) + bytes([6, 0, 1, 1, 2])

SESSION_PARSERS: tuple[Parser, ...] = (
    *(
        Parser(_handler(frame_type), _handled(state, frame_type), (seed,), REMOTE)
        for frame_type, (state, _name, seed) in FRAMES.items()
    ),
    Parser(
        "session.reconciliation.Reconciliation.on_frame_untrusted",
        _reconciled,
        (b"\0" + SUMMARY, b"\1" + SYMBOLS, b"\2" + MORE, b"\3" + LIST, b"\4" + EQUAL),
        REMOTE,
    ),
    Parser(
        "session.sync.SyncSession._on_frame_untrusted",
        _any_frame,
        tuple(bytes([place]) + FRAMES[frame_type][2] for place, frame_type in enumerate(FrameType)),
        REMOTE,
    ),
    Parser("session.sync.SyncSession.receive_data", _whole_session, (SCRIPT,), ()),
    Parser("session.frames.FrameReader.next_untrusted", _first_frames, (SCRIPT,), REMOTE),
    Parser("session.exchange.Exchange.differing_untrusted", _exchange, (ORDER[:9],), REMOTE),
    Parser("session.exchange.Exchange.newer_untrusted", _exchange, (ORDER,), REMOTE),
    Parser("session.exchange.Exchange.on_document_untrusted", _exchange, (ORDER[:11],), REMOTE),
    Parser("session.exchange.Exchange.on_news_untrusted", _exchange, (ORDER + b"\xf2",), REMOTE),
    Parser("session.exchange.Exchange.on_end_untrusted", _exchange, (ORDER, ORDER + b"\2"), REMOTE),
    Parser("session.transfer.Outflow.on_ack_untrusted", _ack, (ACK,), REMOTE),
    Parser(
        "session.rounds.InitiatorRound.on_symbols_untrusted",
        lambda data: _initiator().on_symbols_untrusted(
            messages.decode_symbols_frame_untrusted(data)
        ),
        (SYMBOLS,),
        REMOTE,
    ),
    Parser(
        "session.rounds.InitiatorRound.on_symbols_untrusted",
        _second_flight,
        (_good_second_flight(), SYMBOLS),
        REMOTE,
    ),
    Parser(
        "session.rounds.InitiatorRound.on_list_untrusted",
        lambda data: _initiator().on_list_untrusted(messages.decode_list_untrusted(data)),
        (LIST,),
        REMOTE,
    ),
    Parser(
        "session.rounds.InitiatorRound.on_equal_untrusted",
        lambda data: _initiator().on_equal_untrusted(messages.decode_equal_untrusted(data)[1]),
        (EQUAL,),
        REMOTE,
    ),
    Parser(
        "session.rounds.ResponderRound.on_more_untrusted",
        lambda data: _responder().on_more_untrusted(messages.decode_more_untrusted(data)),
        (MORE,),
        REMOTE,
    ),
    Parser(
        "session.messages.decode_digests_untrusted",
        messages.decode_digests_untrusted,
        (DIGESTS,),
    ),
    Parser(
        "session.messages.decode_versions_untrusted",
        messages.decode_versions_untrusted,
        (VERSIONS,),
    ),
    Parser(
        "session.messages.decode_digests_untrusted",
        messages.decode_digests_untrusted,
        (DIGESTS,),
    ),
    Parser(
        "session.messages.decode_hello_untrusted",
        messages.decode_hello_untrusted,
        (HELLO, encode((2, b"a later version"))),
        REMOTE,
    ),
    Parser(
        "session.messages._interest_untrusted",
        _interest,
        (encode((7, 2)), encode((2**64 - 1, 2))),
    ),
    Parser(
        "session.messages._round_untrusted",
        lambda data: messages._round_untrusted(value_of(data)),
        (encode(1), encode(2**32)),
    ),
    Parser(
        "session.messages.decode_summary_untrusted", messages.decode_summary_untrusted, (SUMMARY,)
    ),
    Parser(
        "session.messages.decode_symbols_frame_untrusted",
        messages.decode_symbols_frame_untrusted,
        (SYMBOLS,),
    ),
    Parser("session.messages.decode_more_untrusted", messages.decode_more_untrusted, (MORE,)),
    Parser("session.messages.decode_equal_untrusted", messages.decode_equal_untrusted, (EQUAL,)),
    Parser("session.messages.decode_round_untrusted", messages.decode_round_untrusted, (ROUND,)),
    Parser("session.messages.decode_ids_untrusted", messages.decode_ids_untrusted, (IDS,)),
    Parser("session.messages.decode_list_untrusted", messages.decode_list_untrusted, (LIST,)),
    Parser("session.messages.decode_ack_untrusted", messages.decode_ack_untrusted, (ACK,)),
    Parser("session.messages.decode_bye_untrusted", messages.decode_bye_untrusted, (BYE,)),
)

assert issubclass(MalformedError, REMOTE)
assert issubclass(LimitExceededError, REMOTE)
