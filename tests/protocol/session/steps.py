"""One session brought into each of its states by the frames of its peer."""

from __future__ import annotations

from collections.abc import Callable

from protocol.errors import CloseCode
from protocol.reports import Standing
from protocol.session import (
    DocumentReceived,
    DocumentsReceived,
    HelloReceived,
    SessionClosed,
    SessionRole,
    SyncSession,
    messages,
)
from protocol.session.frames import FrameType
from protocol.session.states import State
from tests.protocol.session.ends import (
    HELLO,
    frame,
)


def opening() -> SyncSession:
    return SyncSession(SessionRole.RESPONDER, HELLO, 0)


def admitting() -> SyncSession:
    session = opening()
    session.receive_data(frame(FrameType.HELLO, messages.encode_hello(HELLO)), 0)
    assert isinstance(session.next_event(), HelloReceived)
    return session


def documents() -> SyncSession:
    session = admitting()
    session.admit(bytes(16))
    return session


def applying() -> SyncSession:
    session = documents()
    session.receive_data(frame(FrameType.DOCUMENTS_END), 0)
    assert isinstance(session.next_event(), DocumentsReceived)
    return session


def live() -> SyncSession:
    session = applying()
    session.documents_applied(Standing.FULL)
    return session


def refreshing() -> SyncSession:
    session = live()
    session.receive_data(frame(FrameType.DOCUMENT, b"document"), 0)
    assert isinstance(session.next_event(), DocumentReceived)
    assert isinstance(session.next_event(), DocumentsReceived)
    return session


def parting() -> SyncSession:
    session = live()
    session.restrict()
    return session


def closed() -> SyncSession:
    session = live()
    session.close(CloseCode.NORMAL)
    assert isinstance(session.next_event(), SessionClosed)
    return session


SCRIPT_STATES: dict[State, Callable[[], SyncSession]] = {
    State.OPENING: opening,
    State.ADMITTING: admitting,
    State.DOCUMENTS: documents,
    State.APPLYING: applying,
    State.LIVE: live,
    State.REFRESHING: refreshing,
    State.PARTING: parting,
    State.CLOSED: closed,
}
