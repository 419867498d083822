"""One session brought into a state by the frames of a peer that exists as bytes only."""

from __future__ import annotations

from collections.abc import Mapping

from protocol.limits import BUNDLE_BYTES_MAX
from protocol.reports import Standing
from protocol.session import (
    DocumentKey,
    DocumentsReceived,
    Event,
    HelloReceived,
    LocalHello,
    ReconcileStarting,
    RoundFinished,
    SessionClosed,
    SessionRole,
    SyncSession,
)
from protocol.session import messages as wire
from protocol.session.frames import FrameReader, FrameType, encode_frame
from protocol.session.states import State

INITIATOR, RESPONDER = SessionRole.INITIATOR, SessionRole.RESPONDER
ROLES = (INITIATOR, RESPONDER)
LARGEST = 8 * BUNDLE_BYTES_MAX
PEER = bytes(range(16))
WAITING = (State.ADMITTING, State.APPLYING, State.REFRESHING)
READING = (State.OPENING, State.DOCUMENTS, State.LIVE)

Documents = Mapping[DocumentKey, tuple[int, int]]


def hello(documents: Documents | None = None) -> LocalHello:
    return LocalHello((b"badge", b"issuer"), bytes(64), documents or {})


def hello_frame(documents: Documents | None = None) -> bytes:
    return encode_frame(FrameType.HELLO, wire.encode_hello(hello(documents)))


DIGESTS_FRAME = encode_frame(FrameType.DOCUMENT_DIGESTS, wire.encode_digests({}))
"""Of a peer that holds no document."""
END_FRAME = encode_frame(FrameType.DOCUMENTS_END, b"")
EMPTY_SUMMARY_FRAME = encode_frame(FrameType.SUMMARY, wire.encode_summary(wire.Summary(1, ())))


def events(session: SyncSession) -> list[Event]:
    """Return everything that the session has to tell, and so far has not told."""
    found = []
    while (event := session.next_event()) is not None:
        found.append(event)
    return found


def sent(session: SyncSession, max_bytes: int = LARGEST) -> list[tuple[FrameType, bytes]]:
    """Return the frames that the session has to send now."""
    reader, found = FrameReader(), []
    reader.feed(session.data_to_send(max_bytes))
    while (frame := reader.next_untrusted()) is not None:
        found.append(frame)
    assert reader.buffered_bytes == 0, "whole frames only"
    return found


def closed(session: SyncSession) -> SessionClosed:
    """Return how the session ended, which must be the last thing it says."""
    last = events(session)[-1]
    assert isinstance(last, SessionClosed)
    return last


def fresh(role: SessionRole, documents: Documents | None = None) -> SyncSession:
    return SyncSession(role, hello(documents), 0)


def admitting(role: SessionRole) -> SyncSession:
    session = fresh(role)
    session.receive_data(hello_frame(), 0)
    assert isinstance(session.next_event(), HelloReceived)
    return session


def exchanging(role: SessionRole, documents: Documents | None = None) -> SyncSession:
    """Return a session in DOCUMENTS; where we hold some, the peer holds none."""
    session = fresh(role, documents)
    session.receive_data(hello_frame(), 0)
    assert isinstance(session.next_event(), HelloReceived)
    session.admit(PEER)
    if documents:
        session.receive_data(DIGESTS_FRAME, 0)
    sent(session)
    return session


def applying(role: SessionRole) -> SyncSession:
    session = exchanging(role)
    session.receive_data(END_FRAME, 0)
    assert session.next_event() == DocumentsReceived()
    return session


def live(role: SessionRole) -> SyncSession:
    """Return a session that is live, after a first round of two ends that hold nothing.

    The clock stands at 0, and all that was to be sent was sent.
    """
    session = applying(role)
    session.documents_applied(Standing.FULL)
    if role is RESPONDER:
        session.receive_data(EMPTY_SUMMARY_FRAME, 0)
    assert session.next_event() == ReconcileStarting(1)
    session.reconcile({})
    if role is INITIATOR:
        answer = encode_frame(FrameType.EQUAL, wire.encode_equal(1, ()))
    else:
        answer = encode_frame(FrameType.ROUND_END, wire.encode_round(1))
    session.receive_data(answer, 0)
    assert events(session) == [RoundFinished(1)]
    sent(session)
    return session


def refreshing(role: SessionRole) -> SyncSession:
    session = live(role)
    session.receive_data(encode_frame(FrameType.DOCUMENT, b"document"), 0)
    assert len(events(session)) == 2
    return session


def parting(role: SessionRole) -> SyncSession:
    session = live(role)
    session.restrict()
    return session


REACH = {
    State.OPENING: fresh,
    State.ADMITTING: admitting,
    State.DOCUMENTS: exchanging,
    State.APPLYING: applying,
    State.LIVE: live,
    State.REFRESHING: refreshing,
    State.PARTING: parting,
}


def finished(role: SessionRole) -> SyncSession:
    """Return a session that has ended and said everything."""
    session = live(role)
    session.receive_eof()
    events(session)
    return session
