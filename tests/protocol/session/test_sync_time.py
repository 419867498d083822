"""Silence, debts and slow lines: who is given up, and when."""

from __future__ import annotations

import pytest

from protocol.errors import CloseCode
from protocol.limits import (
    SESSION_HELLO_MS_MAX,
    SESSION_IDLE_MS_MAX,
    SESSION_PING_MS,
    SESSION_STEP_MS_MAX,
)
from protocol.session import (
    RoundFinished,
    SessionClosed,
    SessionRole,
    messages,
)
from protocol.session.frames import FrameType
from tests.protocol.session.ends import (
    HELLO,
    TEXTS,
    End,
    code_of,
    deadline,
    frame,
    frames_of,
    ids,
    live_pair,
    pair,
    scripted,
)
from tests.protocol.session.steps import documents

# --- time --------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", SessionRole)
def test_half_a_hello_has_five_seconds(role: SessionRole) -> None:
    end = End(role)
    end.give()
    end.take(frame(FrameType.HELLO, messages.encode_hello(HELLO))[:-1])
    assert deadline(end.session) == SESSION_HELLO_MS_MAX
    end.session.handle_timeout(SESSION_HELLO_MS_MAX - 1)
    end.act()
    assert end.closed is None
    end.session.handle_timeout(SESSION_HELLO_MS_MAX)
    end.act()
    assert code_of(end) is CloseCode.TIMEOUT


def test_documents_that_do_not_come_end_the_session() -> None:
    session = documents()
    assert deadline(session) == SESSION_STEP_MS_MAX
    session.handle_timeout(SESSION_STEP_MS_MAX)
    event = session.next_event()
    assert isinstance(event, SessionClosed)
    assert event.code is CloseCode.TIMEOUT


def test_a_quiet_line_is_asked_and_answers() -> None:
    both = live_pair()
    for end in both.ends:
        end.now_ms = deadline(both.initiator.session)
    assert both.initiator.now_ms == SESSION_PING_MS
    both.initiator.session.handle_timeout(both.initiator.now_ms)
    sent = both.initiator.give()
    assert [frame_type for frame_type, _payload in frames_of(sent)] == [FrameType.PING]
    both.responder.take(sent)
    both.initiator.take(both.responder.give())
    assert deadline(both.initiator.session) == 2 * SESSION_PING_MS
    assert both.initiator.closed is None


def test_a_line_that_stays_quiet_is_given_up() -> None:
    both = live_pair()
    session = both.initiator.session
    times = []
    while both.initiator.closed is None:
        both.initiator.now_ms = deadline(session)
        times.append(both.initiator.now_ms)
        session.handle_timeout(both.initiator.now_ms)
        both.initiator.act()
        both.initiator.give()
    assert times == [SESSION_PING_MS, 2 * SESSION_PING_MS, SESSION_IDLE_MS_MAX]
    assert both.initiator.closed.code is CloseCode.TIMEOUT


def test_a_peer_that_answers_pings_and_never_acknowledges_is_given_up() -> None:
    both = pair({TEXTS: ids(3)}, {})
    both.responder.is_storing = False
    both.run()
    assert not both.initiator.session.is_idle
    ends = both.ends
    while both.initiator.closed is None:
        for end in ends:
            end.now_ms = min(deadline(each.session) for each in ends)
        for end in ends:
            end.session.handle_timeout(end.now_ms)
            end.act()
        both.run(until=lambda: both.initiator.closed is not None)
    assert both.initiator.closed.code is CloseCode.TIMEOUT
    assert both.initiator.now_ms == SESSION_STEP_MS_MAX


def test_a_frame_that_is_still_coming_is_progress() -> None:
    end = scripted(SessionRole.INITIATOR)
    stream = frame(FrameType.SYMBOLS, bytes(50_000))
    for second in range(1, 100):
        end.now_ms = second * 1_000
        assert deadline(end.session) > end.now_ms
        end.take(stream[(second - 1) * 500 : second * 500])
    assert end.closed is None


def test_a_long_list_that_goes_out_slowly_is_progress() -> None:
    both = pair({TEXTS: ids(10)}, {TEXTS: ids(12_500, 20)})
    both.run(until=lambda: both.responder.session.round_trips > 0)
    for second in (15, 30, 45):
        assert not both.initiator.all_of(RoundFinished)
        for end in both.ends:
            end.now_ms = second * 1_000
            end.session.handle_timeout(end.now_ms)
            end.act()
            assert end.closed is None
        while not (sent := frames_of(both.responder.give(1))) or sent[0][0] is not FrameType.LIST:
            both.initiator.take(b"".join(frame(*each) for each in sent))
            both.responder.take(both.initiator.give())
        both.initiator.take(b"".join(frame(*each) for each in sent))
    assert both.initiator.all_of(RoundFinished)
