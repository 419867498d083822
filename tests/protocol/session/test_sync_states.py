"""Every frame and every answer of the shell in every state."""

from __future__ import annotations

from array import array
from collections.abc import Callable

import pytest

from protocol.errors import CloseCode, LocalProtocolError
from protocol.limits import (
    TrafficClass,
)
from protocol.reports import Standing
from protocol.session import (
    DocumentsWanted,
    Item,
    SessionClosed,
    SyncSession,
    messages,
)
from protocol.session.frames import FrameType
from protocol.session.states import TABLE, State
from tests.protocol.session.ends import (
    PIECE_BYTES,
    TEXTS,
    frame,
    pair,
)
from tests.protocol.session.reaching import READING
from tests.protocol.session.steps import SCRIPT_STATES, closed


@pytest.mark.parametrize("frame_type", FrameType)
@pytest.mark.parametrize("state", State)
def test_every_frame_in_every_state_does_what_the_table_says(
    state: State, frame_type: FrameType
) -> None:
    session = SCRIPT_STATES[state]()
    session.receive_data(frame(frame_type), 0)
    event = session.next_event()
    if state not in READING:
        assert event is None
        assert not session.wants_read
    elif (state, frame_type) not in TABLE:
        assert isinstance(event, SessionClosed)
        assert event.code is CloseCode.UNEXPECTED_FRAME
        assert not event.by_peer
    elif isinstance(event, SessionClosed):
        assert event.code in (CloseCode.MALFORMED, CloseCode.UNEXPECTED_FRAME)


@pytest.mark.parametrize("state", State)
def test_a_session_can_be_closed_and_cut_from_every_state(state: State) -> None:
    for is_cut in (False, True):
        session = SCRIPT_STATES[state]()
        if is_cut:
            session.receive_eof()
        else:
            session.close(CloseCode.GOING_AWAY)
        event = session.next_event()
        assert (event is None) is (state is State.CLOSED)
        if event is not None:
            assert isinstance(event, SessionClosed)
            assert event.code is CloseCode.GOING_AWAY
        assert session.next_deadline_ms() is None
        assert not session.wants_read


OVER = {State.PARTING, State.CLOSED}
"""The session is over, or nearly: an answer of the shell that comes now is late, not wrong."""
ALWAYS_REFUSED = {"admit", "refuse", "documents"}
"""What can come late only after the very end."""
ANSWERS: dict[str, tuple[Callable[[SyncSession], None], set[State]]] = {
    "admit": (lambda session: session.admit(bytes(16)), {State.ADMITTING}),
    "refuse": (lambda session: session.refuse(CloseCode.REFUSED), {State.ADMITTING}),
    "documents": (lambda session: session.supply_documents([]), set()),
    "applied": (
        lambda session: session.documents_applied(Standing.FULL),
        {State.APPLYING, State.REFRESHING},
    ),
    "round": (lambda session: session.start_round(), set()),
    "reconcile": (lambda session: session.reconcile({}), set()),
    "acknowledge": (lambda session: session.acknowledge(1, ()), set()),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("state", State)
def test_a_wrong_answer_of_our_shell_is_a_defect_of_ours(state: State, name: str) -> None:
    answer, states = ANSWERS[name]
    session = SCRIPT_STATES[state]()
    over = {State.CLOSED} if name in ALWAYS_REFUSED else OVER
    if state in states | over:
        answer(session)
    else:
        with pytest.raises(LocalProtocolError):
            answer(session)


def test_after_the_end_every_call_is_ignored() -> None:
    session = closed()
    assert session.data_to_send(PIECE_BYTES, 0) == frame(FrameType.BYE, messages.encode_bye(0))
    for answer, _states in ANSWERS.values():
        answer(session)
    session.receive_data(frame(FrameType.PING, bytes(8)), 1)
    session.tell_documents([b"late"])
    session.supply_ids(TEXTS, array("Q", [1]))
    session.offer([Item(1, TrafficClass.SOS, 100)])
    session.want([1])
    session.announce([Item(1, TrafficClass.SOS, 100)])
    session.supply(1, b"late", 1)
    session.note_received(1)
    session.handle_timeout(10**9)
    session.close(CloseCode.INTERNAL)
    session.receive_eof()
    assert session.next_to_supply(10**6) == []
    assert session.next_event() is None
    assert session.data_to_send(PIECE_BYTES, 0) == b""


def test_answers_to_documents_are_asked_for_once() -> None:
    both = pair(our_documents={(1, b"root"): 1})
    both.run(until=lambda: bool(both.initiator.all_of(DocumentsWanted)))
    with pytest.raises(LocalProtocolError):
        both.initiator.session.supply_documents([])
