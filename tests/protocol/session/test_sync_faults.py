"""Faults of the peer end the session with the code of their kind, whichever end it is."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import CloseCode, LocalProtocolError
from protocol.limits import TrafficClass
from protocol.reconcile.interest import Interest
from protocol.reports import Reception, Standing
from protocol.session import (
    BundleReceived,
    DocumentsReceived,
    HelloReceived,
    ReconcileStarting,
    SessionClosed,
    SessionRole,
    SyncSession,
)
from protocol.session import messages as wire
from protocol.session.frames import FrameType, encode_frame
from protocol.session.states import TABLE, State
from tests.protocol.session.reaching import (
    EMPTY_SUMMARY_FRAME,
    END_FRAME,
    INITIATOR,
    PEER,
    REACH,
    READING,
    RESPONDER,
    ROLES,
    WAITING,
    closed,
    events,
    finished,
    fresh,
    hello_frame,
    live,
    sent,
)

TEXTS = Interest(7, TrafficClass.MESSAGE)
GOODBYE = {code: encode_frame(FrameType.BYE, wire.encode_bye(code)) for code in CloseCode}
MISSING = [
    (state, frame_type)
    for state, frame_type in product(READING, FrameType)
    if (state, frame_type) not in TABLE
]
ADVANCE: dict[State, Callable[[SyncSession], None]] = {
    State.ADMITTING: lambda session: session.admit(PEER),
    State.APPLYING: lambda session: session.documents_applied(Standing.FULL),
    State.REFRESHING: lambda session: session.documents_applied(Standing.FULL),
}
AFTER = {
    State.ADMITTING: State.DOCUMENTS,
    State.APPLYING: State.LIVE,
    State.REFRESHING: State.LIVE,
}


def ends_with(session: SyncSession, code: CloseCode) -> None:
    """Check that the session ended by our word, with this code, and says nothing after it."""
    end = closed(session)
    assert (end.code, end.by_peer) == (code, False)
    assert end.reason
    assert sent(session) == [(FrameType.BYE, wire.encode_bye(code))]
    assert session.next_deadline_ms() is None
    assert not session.wants_read


# --- frames in a state that has no place for them ----------------------------------------------


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("state", "frame_type"), MISSING)
def test_a_frame_that_the_table_does_not_name_ends_the_session(
    role: SessionRole, state: State, frame_type: FrameType
) -> None:
    session = REACH[state](role)
    sent(session)
    session.receive_data(encode_frame(frame_type, b""), 0)
    ends_with(session, CloseCode.UNEXPECTED_FRAME)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("state", "frame_type"), [*product(WAITING, FrameType)])
def test_a_frame_waits_until_the_shell_has_answered(
    role: SessionRole, state: State, frame_type: FrameType
) -> None:
    session = REACH[state](role)
    session.receive_data(encode_frame(frame_type, b""), 0)
    assert session.next_event() is None
    assert not session.wants_read
    ADVANCE[state](session)
    is_over = any(isinstance(event, SessionClosed) for event in events(session))
    if (AFTER[state], frame_type) not in TABLE:
        assert is_over
        last = sent(session)[-1]
        assert last == (FrameType.BYE, wire.encode_bye(CloseCode.UNEXPECTED_FRAME))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("frame_type", [*FrameType])
def test_after_the_end_nothing_is_read(role: SessionRole, frame_type: FrameType) -> None:
    session = finished(role)
    before_bytes = session.bytes_received
    session.receive_data(encode_frame(frame_type, bytes(8)), 0)
    session.receive_eof()
    assert events(session) == []
    assert sent(session) == []
    assert session.bytes_received == before_bytes


# --- errors and their codes --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "data", "code"),
    [
        (RESPONDER, b"\x7f\x00\x00", CloseCode.UNEXPECTED_FRAME),
        (RESPONDER, b"\x00\xff\xff", CloseCode.UNEXPECTED_FRAME),
        (RESPONDER, encode_frame(FrameType.HELLO, b"\xc0"), CloseCode.MALFORMED),
        (RESPONDER, encode_frame(FrameType.HELLO, b"\x91\x02"), CloseCode.VERSION),
        (INITIATOR, encode_frame(FrameType.HELLO, b"\x91\x00"), CloseCode.VERSION),
        (INITIATOR, encode_frame(FrameType.HELLO, b""), CloseCode.MALFORMED),
        (INITIATOR, encode_frame(FrameType.HELLO, bytes(60_000)), CloseCode.LIMIT_EXCEEDED),
    ],
)
def test_a_broken_opening_ends_with_the_code_of_the_fault(
    role: SessionRole, data: bytes, code: CloseCode
) -> None:
    session = fresh(role)
    sent(session)
    session.receive_data(data, 0)
    ends_with(session, code)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("frame_type", "payload", "code"),
    [
        (FrameType.BUNDLE, b"", CloseCode.MALFORMED),
        (FrameType.BUNDLE, b"\x01", CloseCode.MALFORMED),
        (FrameType.WANT, b"1234567", CloseCode.MALFORMED),
        (FrameType.OFFER, b"123456789", CloseCode.MALFORMED),
        (FrameType.ACK, b"", CloseCode.MALFORMED),
        (FrameType.ACK, wire.encode_ack(wire.Ack(1, ())), CloseCode.UNEXPECTED_FRAME),
        (FrameType.PING, bytes(7), CloseCode.MALFORMED),
        (FrameType.PING, bytes(9), CloseCode.MALFORMED),
        (FrameType.PONG, bytes(7), CloseCode.MALFORMED),
        (FrameType.PONG, bytes(8), CloseCode.UNEXPECTED_FRAME),
        (FrameType.PONG, bytes(7) + b"\1", CloseCode.UNEXPECTED_FRAME),
        (FrameType.SUMMARY, b"\x90", CloseCode.MALFORMED),
        (FrameType.SYMBOLS, b"\x90", CloseCode.MALFORMED),
        (FrameType.MORE, b"\x90", CloseCode.MALFORMED),
        (FrameType.MORE, wire.encode_more(wire.More(1, TEXTS, 0, 0)), CloseCode.UNEXPECTED_FRAME),
        (FrameType.LIST, b"\x90", CloseCode.MALFORMED),
        (FrameType.EQUAL, b"\x90", CloseCode.MALFORMED),
        (FrameType.EQUAL, wire.encode_equal(1, ()), CloseCode.UNEXPECTED_FRAME),
        (FrameType.ROUND_END, b"\x90", CloseCode.MALFORMED),
        (FrameType.ROUND_END, wire.encode_round(1), CloseCode.UNEXPECTED_FRAME),
        (FrameType.BYE, b"", CloseCode.MALFORMED),
    ],
)
def test_a_fault_in_a_live_session_ends_it_with_its_code(
    role: SessionRole, frame_type: FrameType, payload: bytes, code: CloseCode
) -> None:
    session = live(role)
    session.receive_data(encode_frame(frame_type, payload), 0)
    ends_with(session, code)


@pytest.mark.parametrize("role", ROLES)
def test_what_came_before_a_fault_is_told_and_what_comes_after_is_not(role: SessionRole) -> None:
    session = live(role)
    good = encode_frame(FrameType.BUNDLE, b"\1container")
    bad = encode_frame(FrameType.PONG, bytes(8))
    session.receive_data(good + bad + good, 0)
    kinds = [type(event) for event in events(session)]
    assert kinds == [BundleReceived, SessionClosed]
    assert session.bundles_received == 1


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("code", [*CloseCode])
@pytest.mark.parametrize("state", [State.OPENING, State.DOCUMENTS, State.LIVE])
def test_a_goodbye_is_not_answered(state: State, code: CloseCode, role: SessionRole) -> None:
    session = REACH[state](role)
    session.receive_data(GOODBYE[code] + GOODBYE[code], 0)
    end = closed(session)
    assert (end.code, end.by_peer) == (code, True)
    assert sent(session) == []


def test_a_code_of_a_later_version_is_a_goodbye_all_the_same() -> None:
    session = live(RESPONDER)
    session.receive_data(encode_frame(FrameType.BYE, wire.encode_bye(255)), 0)
    end = closed(session)
    assert (end.code, end.by_peer) == (CloseCode.GOING_AWAY, True)
    assert "255" in end.reason


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("state", [*REACH])
def test_the_end_of_the_link_is_an_end_without_words(state: State, role: SessionRole) -> None:
    session = REACH[state](role)
    session.receive_data(b"\x22\x00", 0)
    session.receive_eof()
    end = closed(session)
    assert (end.code, end.by_peer) == (CloseCode.GOING_AWAY, True)
    assert sent(session) == []


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("code", [*CloseCode])
@pytest.mark.parametrize("state", [*REACH])
def test_we_may_leave_at_any_time(state: State, code: CloseCode, role: SessionRole) -> None:
    session = REACH[state](role)
    session.close(code)
    ends_with(session, code)
    session.close(CloseCode.INTERNAL)
    assert events(session) == []


@pytest.mark.parametrize("code", [CloseCode.REFUSED, CloseCode.NOT_AUTHENTICATED])
@pytest.mark.parametrize("role", ROLES)
def test_a_refused_peer_hears_why_and_nothing_else(role: SessionRole, code: CloseCode) -> None:
    session = REACH[State.ADMITTING](role)
    session.refuse(code)
    ends_with(session, code)


# --- a peer that is half there ------------------------------------------------------------------


@given(data=st.data(), role=st.sampled_from(ROLES), state=st.sampled_from([*REACH]))
def test_no_bytes_at_all_raise(data: st.DataObject, role: SessionRole, state: State) -> None:
    """Garbage may be a frame by chance; whatever it is, the session ends or goes on."""
    session = REACH[state](role)
    before_bytes = session.bytes_received
    heads = st.sampled_from([bytes((frame_type, 0, 8)) for frame_type in FrameType])
    pieces = data.draw(st.lists(st.binary(max_size=40) | heads, max_size=12))
    for piece in pieces:
        session.receive_data(piece, 0)
    found = events(session)
    ends = [event for event in found if isinstance(event, SessionClosed)]
    assert ends == found[-1:] if ends else True
    assert all(end.code in CloseCode for end in ends)
    assert session.bytes_received - before_bytes <= sum(map(len, pieces))
    if not ends:
        assert session.bytes_received - before_bytes == sum(map(len, pieces))


SCRIPT = (
    hello_frame(),
    END_FRAME,
    encode_frame(FrameType.BUNDLE, b"\1container"),
    encode_frame(FrameType.PING, bytes(8)),
    EMPTY_SUMMARY_FRAME,
    GOODBYE[CloseCode.NORMAL],
)


def hear(data: bytes, piece_bytes: int) -> tuple[list[object], SyncSession]:
    """Return what a responder says that hears `data` in pieces and answers at once."""
    session, said = fresh(RESPONDER), list[object]()
    for start in range(0, len(data), piece_bytes):
        session.receive_data(data[start : start + piece_bytes], 0)
        while (event := session.next_event()) is not None:
            said.append(event)
            match event:
                case HelloReceived():
                    session.admit(PEER)
                case DocumentsReceived():
                    session.documents_applied(Standing.FULL)
                case ReconcileStarting():
                    session.reconcile({})
                case BundleReceived():
                    session.acknowledge(1, [])
    return said, session


def test_every_beginning_of_a_session_waits_for_its_rest() -> None:
    whole = b"".join(SCRIPT)
    expected, _session = hear(whole, len(whole))
    assert isinstance(expected[-1], SessionClosed)
    ends = {sum(map(len, SCRIPT[:count])) for count in range(len(SCRIPT) + 1)}
    for size_bytes in range(len(whole)):
        said, session = hear(whole[:size_bytes], len(whole))
        assert said == expected[: len(said)]
        assert len(said) < len(expected)
        assert session.bytes_received == size_bytes
        frames_here = sum(end <= size_bytes for end in ends) - 1
        assert len(said) == len(hear(b"".join(SCRIPT[:frames_here]), len(whole))[0])


@pytest.mark.parametrize("piece_bytes", [1, 2, 3, 5, 11, 64])
def test_how_the_bytes_are_cut_makes_no_difference(piece_bytes: int) -> None:
    whole = b"".join(SCRIPT)
    assert hear(whole, piece_bytes)[0] == hear(whole, len(whole))[0]


# --- late words of our own shell ----------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_only_what_was_received_is_acknowledged(role: SessionRole) -> None:
    session = live(role)
    session.receive_data(encode_frame(FrameType.BUNDLE, b"\1container") * 3, 0)
    session.acknowledge(2, [(1, Reception.QUOTA)])
    for upto in (1, 4):
        with pytest.raises(LocalProtocolError):
            session.acknowledge(upto, [])
    session.acknowledge(3, [])
    acks = [wire.decode_ack_untrusted(payload) for _type, payload in sent(session)]
    assert acks == [wire.Ack(2, ((1, Reception.QUOTA),)), wire.Ack(3, ())]


@pytest.mark.parametrize("role", ROLES)
def test_ids_and_containers_that_nobody_asked_for_are_ignored(role: SessionRole) -> None:
    session = live(role)
    session.supply_ids(TEXTS, array("Q", [1, 2, 3]))
    session.supply(1, b"container", 0)
    assert sent(session) == []
    assert events(session) == []
    assert session.is_idle
