"""Bounds at and above their number, and a peer that says what is not so."""

from __future__ import annotations

import pytest

from protocol.errors import CloseCode
from protocol.limits import (
    BUNDLE_BYTES_MAX,
    CONTROL_BYTES_MAX,
    IDS_PER_FRAME_MAX,
    SESSION_DOCUMENTS_MAX,
    TrafficClass,
)
from protocol.reports import Reception
from protocol.session import (
    BundleReceived,
    BundlesAcked,
    HelloReceived,
    Item,
    RoundFinished,
    SessionClosed,
    SessionRole,
    messages,
)
from protocol.session.frames import FrameType
from protocol.session.messages import Ack, Summary
from tests.protocol.session.ends import (
    HELLO,
    PIECE_BYTES,
    TEXTS,
    End,
    code_of,
    container,
    frame,
    frames_of,
    pair,
    scripted,
)
from tests.protocol.session.steps import live

# --- bounds ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", CloseCode.MALFORMED),
        (b"\x01", CloseCode.MALFORMED),
        (b"\x01" + bytes(BUNDLE_BYTES_MAX), None),
        (b"\x01" + bytes(BUNDLE_BYTES_MAX + 1), CloseCode.LIMIT_EXCEEDED),
    ],
)
def test_the_size_of_a_bundle_has_bounds(payload: bytes, code: CloseCode | None) -> None:
    session = live()
    session.receive_data(frame(FrameType.BUNDLE, payload), 0)
    event = session.next_event()
    if code is None:
        assert event == BundleReceived(0, 1, payload[1:])
    else:
        assert isinstance(event, SessionClosed)
        assert event.code is code


@pytest.mark.parametrize("frame_type", [FrameType.WANT, FrameType.OFFER])
def test_ids_in_a_frame_have_a_bound(frame_type: FrameType) -> None:
    end = scripted()
    end.take(frame(frame_type, bytes(8 * IDS_PER_FRAME_MAX)))
    assert end.closed is None
    end.take(frame(frame_type, bytes(8 * (IDS_PER_FRAME_MAX - 1) + 1)))
    assert code_of(end) is CloseCode.MALFORMED
    end = scripted()
    end.take(frame(frame_type, bytes(8 * (IDS_PER_FRAME_MAX + 1))))
    assert code_of(end) is CloseCode.LIMIT_EXCEEDED


def test_documents_of_one_peer_have_a_bound() -> None:
    end = scripted()
    for _ in range(SESSION_DOCUMENTS_MAX):
        end.take(frame(FrameType.DOCUMENT, b"x"))
    assert end.closed is None
    end.take(frame(FrameType.DOCUMENT, b"x"))
    assert code_of(end) is CloseCode.LIMIT_EXCEEDED


@pytest.mark.slow
def test_a_peer_that_asks_and_never_reads_ends_at_a_bound() -> None:
    end = scripted()
    ping = frame(FrameType.PING, bytes(8))
    per_piece = PIECE_BYTES // len(ping)
    for _ in range(CONTROL_BYTES_MAX // (per_piece * len(ping))):
        end.take(ping * per_piece)
        assert end.closed is None
    end.take(ping * per_piece)
    assert code_of(end) is CloseCode.LIMIT_EXCEEDED


@pytest.mark.slow
def test_large_news_beyond_the_bound_end_the_session() -> None:
    end = scripted()
    per_step = IDS_PER_FRAME_MAX
    for step in range(CONTROL_BYTES_MAX // (8 * per_step) + 1):
        short = range(step * per_step, (step + 1) * per_step)
        end.session.announce([Item(each, TrafficClass.BULK, 60_000) for each in short])
    end.act()
    assert code_of(end) is CloseCode.LIMIT_EXCEEDED


@pytest.mark.slow
def test_nothing_is_queued_behind_the_bye_of_a_bound() -> None:
    """A peer that never reads fills the queue; the next answer is one too many."""
    end = scripted()
    ping = frame(FrameType.PING, bytes(8))
    end.take(ping * (CONTROL_BYTES_MAX // len(ping)))
    assert end.closed is None
    end.take(frame(FrameType.SUMMARY, messages.encode_summary(Summary(1, ()))))
    assert code_of(end) is CloseCode.LIMIT_EXCEEDED
    assert end.all_of(RoundFinished) == []
    end = scripted()
    count = CONTROL_BYTES_MAX // 8 + 2 * IDS_PER_FRAME_MAX
    end.session.announce([Item(each, TrafficClass.BULK, 60_000) for each in range(count)])
    end.act()
    assert code_of(end) is CloseCode.LIMIT_EXCEEDED


# --- a peer that lies --------------------------------------------------------------------------


@pytest.mark.parametrize("ack", [Ack(1, ()), Ack(2**64 - 1, ()), Ack(0, ((0, Reception.QUOTA),))])
def test_an_ack_of_what_was_not_sent(ack: Ack) -> None:
    end = scripted()
    end.take(frame(FrameType.ACK, messages.encode_ack(ack)))
    assert code_of(end) is CloseCode.UNEXPECTED_FRAME


def test_an_ack_that_settles_nothing_is_no_event() -> None:
    end = scripted()
    end.take(frame(FrameType.ACK, messages.encode_ack(Ack(0, ()))))
    assert end.closed is None
    assert end.all_of(BundlesAcked) == []


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (bytes(7), CloseCode.MALFORMED),
        (bytes(9), CloseCode.MALFORMED),
        (bytes(8), CloseCode.UNEXPECTED_FRAME),
        (bytes(7) + b"\x01", CloseCode.UNEXPECTED_FRAME),
    ],
)
def test_an_answer_to_a_ping_that_was_not_sent(payload: bytes, code: CloseCode) -> None:
    end = scripted()
    end.take(frame(FrameType.PONG, payload))
    assert code_of(end) is code


@pytest.mark.parametrize("size", [0, 7, 9])
def test_a_ping_has_eight_bytes(size: int) -> None:
    end = scripted()
    end.take(frame(FrameType.PING, bytes(size)))
    assert code_of(end) is CloseCode.MALFORMED


def test_the_end_of_documents_is_empty() -> None:
    end = End(SessionRole.RESPONDER)
    end.take(frame(FrameType.HELLO, messages.encode_hello(HELLO)))
    end.take(frame(FrameType.DOCUMENTS_END, b"x"))
    assert code_of(end) is CloseCode.MALFORMED


def test_a_summary_twice_and_one_at_the_wrong_end() -> None:
    summary = frame(FrameType.SUMMARY, messages.encode_summary(Summary(1, ())))
    end = scripted()
    end.take(summary + summary)
    assert code_of(end) is CloseCode.UNEXPECTED_FRAME
    end = scripted(SessionRole.INITIATOR)
    end.take(summary)
    assert code_of(end) is CloseCode.UNEXPECTED_FRAME


def test_a_bundle_twice_is_only_a_duplicate() -> None:
    end = scripted()
    raw = b"\x01" + container(5, TEXTS, 100)
    end.take(frame(FrameType.BUNDLE, raw) * 2)
    acks = [messages.decode_ack_untrusted(payload) for _type, payload in frames_of(end.give())]
    assert acks == [Ack(2, ((1, Reception.DUPLICATE),))]


@pytest.mark.parametrize("code", [*CloseCode, 12, 255])
def test_a_goodbye_is_told_with_its_code(code: int) -> None:
    end = scripted()
    end.take(frame(FrameType.BYE, messages.encode_bye(code)))
    assert end.closed is not None
    assert end.closed.by_peer
    assert code_of(end) is (CloseCode(code) if code in list(CloseCode) else CloseCode.GOING_AWAY)


def test_what_comes_after_a_goodbye_is_not_read() -> None:
    end = scripted()
    end.take(frame(FrameType.BYE, messages.encode_bye(1)) + b"\xff" * 100)
    assert code_of(end) is CloseCode.GOING_AWAY


def test_what_came_before_the_end_is_still_told() -> None:
    session = live()
    raw = b"\x01" + container(5, TEXTS, 100)
    session.receive_data(frame(FrameType.BUNDLE, raw) + b"\xff\x00\x00", 0)
    assert session.next_event() == BundleReceived(0, 1, raw[1:])
    assert isinstance(session.next_event(), SessionClosed)


def test_a_refused_peer_is_told() -> None:
    both = pair()
    session = both.responder.session
    session.receive_data(both.initiator.give(), 0)
    assert isinstance(session.next_event(), HelloReceived)
    session.refuse(CloseCode.NOT_AUTHENTICATED)
    both.initiator.take(session.data_to_send(PIECE_BYTES, 0))
    assert both.initiator.closed is not None
    assert both.initiator.closed.code is CloseCode.NOT_AUTHENTICATED
    assert both.initiator.closed.by_peer
