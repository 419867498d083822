"""Two whole sessions joined by lists of bytes, and one session against a peer that misbehaves."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import CloseCode, LocalProtocolError
from protocol.limits import (
    BUNDLE_BYTES_MAX,
    CONTROL_BYTES_MAX,
    IDS_PER_FRAME_MAX,
    SESSION_DOCUMENTS_MAX,
    SESSION_HELLO_MS_MAX,
    SESSION_IDLE_MS_MAX,
    SESSION_PING_MS,
    SESSION_STEP_MS_MAX,
    UNREAD_BUNDLES_MAX,
    TrafficClass,
)
from protocol.reports import Reception
from protocol.session import (
    BundleReceived,
    BundlesAcked,
    DocumentReceived,
    DocumentsReceived,
    DocumentsWanted,
    HelloReceived,
    Item,
    LocalHello,
    Needed,
    ReconcileStarting,
    RoundFinished,
    SessionClosed,
    SessionRole,
    SyncSession,
    Wanted,
    messages,
)
from protocol.session.frames import FrameType
from protocol.session.messages import Ack, Summary
from protocol.session.states import TABLE, State
from tests.protocol.session.ends import (
    BULK,
    PIECE_BYTES,
    SOS,
    TEXTS,
    End,
    Pair,
    container,
    frame,
    frames_of,
    live_pair,
    pair,
)

HELLO = LocalHello((b"badge",), bytes(64), {})


def ids(count: int, start: int = 0) -> range:
    step = 0x0003_4567_89AB_CDEF
    return range(1 + start * step, 1 + (start + count) * step, step)


def assert_equal_sets(both: Pair) -> None:
    assert both.initiator.held == both.responder.held
    for end in both.ends:
        assert end.closed is None
        assert end.session.is_idle
        assert end.session.bundles_waiting == 0


# --- a good contact ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs", "common"),
    [(0, 0, 0), (3, 0, 0), (0, 3, 0), (2, 3, 20), (40, 50, 300), (0, 0, 300), (700, 900, 0)],
)
def test_two_nodes_end_with_the_same_set(ours: int, theirs: int, common: int) -> None:
    both = pair(
        {TEXTS: [*ids(common), *ids(ours, 2_000)], SOS: ids(min(ours, 2), 6_000)},
        {TEXTS: [*ids(common), *ids(theirs, 4_000)], BULK: ids(min(theirs, 2), 7_000)},
    )
    both.run()
    assert_equal_sets(both)
    extra_ours, extra_theirs = min(ours, 2), min(theirs, 2)
    assert len(both.initiator.received) == theirs + extra_theirs
    assert len(both.responder.received) == ours + extra_ours
    assert both.initiator.session.bundles_sent == both.responder.session.bundles_received
    assert {short for short, _fate in both.initiator.acked} == set(both.responder.received)
    for end in both.ends:
        assert end.all_of(RoundFinished) == [RoundFinished(1)]


def test_both_ends_count_the_same() -> None:
    both = pair({TEXTS: ids(400)}, {TEXTS: ids(400, 100)})
    both.run()
    first, second = (end.session for end in both.ends)
    assert first.bytes_sent == second.bytes_received
    assert second.bytes_sent == first.bytes_received
    assert first.reconcile_bytes == second.reconcile_bytes > 500
    assert first.round_trips == second.round_trips >= 1
    assert first.bundles_sent == second.bundles_received == 100


def test_another_round_finds_what_came_meanwhile() -> None:
    both = pair({TEXTS: ids(200)}, {TEXTS: ids(200)})
    both.run()
    both.initiator.held.update(dict.fromkeys(ids(30, 500), TEXTS))
    both.responder.held.update(dict.fromkeys(ids(3, 900), SOS))
    both.initiator.session.start_round()
    assert not both.initiator.session.is_idle
    both.initiator.act()
    both.run()
    assert_equal_sets(both)
    assert len(both.initiator.held) == 233
    assert both.initiator.all_of(ReconcileStarting)[-1] == ReconcileStarting(2)


def test_nothing_is_sent_back_to_whom_it_came_from() -> None:
    both = pair({TEXTS: ids(50)}, {})
    both.run()
    both.responder.session.announce(both.responder.items(ids(50)))
    both.run()
    assert both.initiator.received == []
    assert both.responder.session.bundles_sent == 0


# --- documents ---------------------------------------------------------------------------------

ROOT, ROSTER, OTHER = (1, b"root"), (2, b"roster"), (2, b"other")


def test_each_end_gets_the_documents_that_are_newer_elsewhere() -> None:
    both = pair(
        our_documents={ROOT: 3, ROSTER: 1},
        their_documents={ROOT: 2, ROSTER: 1, OTHER: 9},
    )
    both.run()
    assert both.initiator.brought == [b"other"]
    assert both.responder.brought == [b"root"]
    assert all(len(end.all_of(DocumentsReceived)) == 1 for end in both.ends)


def test_equal_documents_cost_one_empty_frame() -> None:
    both = pair(our_documents={ROOT: 3}, their_documents={ROOT: 3})
    seen: list[FrameType] = []
    for _ in range(4):
        for end, other in (both.ends, both.ends[::-1]):
            data = end.give()
            seen += [frame_type for frame_type, _payload in frames_of(data)]
            other.take(data)
    assert seen.count(FrameType.DOCUMENTS_END) == 2
    assert FrameType.DOCUMENT_VERSIONS not in seen
    assert FrameType.DOCUMENT not in seen


def test_no_bundle_goes_before_both_ends_have_their_documents() -> None:
    both = pair({TEXTS: ids(3)}, {TEXTS: ids(3, 100)}, our_documents={ROOT: 1})
    seen: list[tuple[int, FrameType]] = []
    for _ in range(12):
        for number, (end, other) in enumerate((both.ends, both.ends[::-1])):
            data = end.give()
            seen += [(number, frame_type) for frame_type, _payload in frames_of(data)]
            other.take(data)
    ends = [place for place, each in enumerate(seen) if each[1] is FrameType.DOCUMENTS_END]
    first = min(place for place, each in enumerate(seen) if each[1] is FrameType.BUNDLE)
    assert max(ends) < first
    assert_equal_sets(both)


def test_a_document_that_comes_into_force_goes_to_live_peers() -> None:
    both = live_pair()
    both.responder.session.tell_documents([b"new root", b"new roster"])
    both.run()
    assert both.initiator.brought == [b"new root", b"new roster"]
    both.initiator.session.tell_documents([b"another"])
    both.initiator.act()
    both.run()
    assert both.responder.brought == [b"another"]
    assert len(both.initiator.all_of(RoundFinished)) > 1
    assert_equal_sets(both)


def test_news_before_the_session_is_live_wait_for_it() -> None:
    both = pair({TEXTS: ids(3)}, {})
    for end in both.ends:
        end.session.tell_documents([b"news"])
    both.run()
    assert both.initiator.brought == both.responder.brought == [b"news"]
    assert_equal_sets(both)


# --- live --------------------------------------------------------------------------------------


def test_small_news_are_pushed_and_large_ones_asked_for() -> None:
    both = live_pair()
    for size_bytes, short in ((300, 5), (50_000, 6)):
        both.responder.held[short] = BULK
        both.responder.size_bytes = size_bytes
        both.responder.session.announce(both.responder.items([short]))
        both.run()
        assert both.initiator.held[short] == BULK
    assert both.initiator.all_of(Needed) == [Needed((6,))]
    assert both.responder.all_of(Wanted) == [Wanted((6,))]


def test_news_during_a_round_are_not_lost() -> None:
    both = pair({TEXTS: ids(3_000)}, {TEXTS: ids(3_000, 300)})
    number = 0

    def news() -> bool:
        nonlocal number
        for end in both.ends:
            is_running = end.all_of(ReconcileStarting) and not end.all_of(RoundFinished)
            if is_running:
                number += 1
                end.held[10**6 + number] = TEXTS
                end.session.announce(end.items([10**6 + number]))
        return False

    both.run(until=news)
    assert number >= 3
    assert_equal_sets(both)
    assert len(both.initiator.held) == 3_300 + number


def test_a_bundle_that_is_gone_is_not_waited_for() -> None:
    both = pair({TEXTS: ids(5)}, {})
    both.run(until=lambda: both.initiator.session.bundles_waiting > 0)
    del both.initiator.held[ids(5)[2]]
    both.run()
    assert len(both.responder.held) == 4
    assert both.initiator.session.is_idle


def test_an_sos_passes_bulk_that_waits_and_bulk_that_is_ready() -> None:
    both = pair({BULK: ids(200)}, {}, size_bytes=20_000)
    both.responder.is_storing = False
    both.run(until=lambda: both.responder.session.bundles_received > 3)
    both.run()
    waiting = both.initiator.session.bundles_waiting
    assert waiting > 100
    both.initiator.held[7] = SOS
    both.initiator.session.announce([Item(7, TrafficClass.SOS, 200)])
    both.run()
    assert both.responder.received[-1] == 7
    assert both.initiator.session.bundles_waiting == waiting


def test_nothing_more_is_read_than_the_shell_has_stored() -> None:
    both = pair({TEXTS: ids(6_000)}, {}, size_bytes=20)
    both.responder.is_storing = False
    both.run(until=lambda: not both.responder.session.wants_read)
    assert both.responder.session.bundles_received == UNREAD_BUNDLES_MAX
    assert both.responder.session.next_deadline_ms() is None
    both.responder.now_ms = 10**7
    both.responder.session.handle_timeout(both.responder.now_ms)
    both.responder.is_storing = True
    both.responder.settle()
    both.run()
    assert_equal_sets(both)


def test_refusals_reach_the_sender() -> None:
    both = pair({TEXTS: ids(3)}, {})
    both.responder.is_storing = False
    both.run()
    both.responder.session.acknowledge(2, [(1, Reception.QUOTA)])
    both.responder.session.acknowledge(3, [(2, Reception.DUPLICATE)])
    both.run()
    codes = [Reception.STORED, Reception.QUOTA, Reception.DUPLICATE]
    assert both.initiator.acked == list(zip(ids(3), codes, strict=True))
    both.initiator.session.offer(both.initiator.items(ids(3)))
    assert both.initiator.session.bundles_waiting == 1


def test_a_session_holds_a_bound_of_what_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.session.sync.KNOWN_AT_PEER_MAX", 100)
    both = live_pair()
    news = [Item(short, TrafficClass.STATE, 50) for short in range(101)]
    both.initiator.session.announce(news[:100])
    both.initiator.act()
    assert both.initiator.all_of(SessionClosed) == []
    both.initiator.session.announce(news[100:])
    both.initiator.act()
    assert code_of(both.initiator) is CloseCode.LIMIT_EXCEEDED


# --- cuts, halves and garbage ------------------------------------------------------------------


@given(
    st.lists(st.sampled_from([1, 500, PIECE_BYTES]), min_size=1, max_size=6),
    st.lists(st.sampled_from([1, 7, 1_000, 10**6]), min_size=1, max_size=6),
)
def test_any_cut_of_the_bytes_gives_the_same_contact(gives: list[int], takes: list[int]) -> None:
    both = pair(
        {TEXTS: ids(150), SOS: ids(2, 500)},
        {TEXTS: ids(150, 20)},
        our_documents={ROOT: 1},
    )
    ways: tuple[bytearray, bytearray] = (bytearray(), bytearray())
    for give, take in zip(cycle(gives), cycle([*takes, 5_000]), strict=False):
        for way, end in zip(ways, both.ends, strict=True):
            way += end.give(give)
        if not any(ways):
            break
        for way, end in zip(ways, both.ends[::-1], strict=True):
            end.take(bytes(way[:take]))
            del way[:take]
    assert_equal_sets(both)


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


@given(st.binary(min_size=1, max_size=300))
def test_garbage_ends_a_session_or_waits_for_more(data: bytes) -> None:
    for end in (End(SessionRole.RESPONDER), End(SessionRole.INITIATOR), scripted()):
        end.give()
        end.take(data)
        if end.closed is not None:
            assert code_of(end) not in (CloseCode.INTERNAL, CloseCode.TIMEOUT)


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_contact_with_one_changed_byte_ends_or_goes_on(place: int, value: int) -> None:
    both = pair({TEXTS: ids(60)}, {TEXTS: ids(60, 5)}, our_documents={ROOT: 1})
    passed = 0
    for _ in range(200):
        data = bytearray(both.initiator.give())
        if passed <= place < passed + len(data):
            data[place - passed] = value
        passed += len(data)
        both.responder.take(bytes(data))
        back = both.responder.give()
        if not back and not data:
            break
        if both.initiator.closed is None:
            both.initiator.take(back)
    for end in both.ends:
        if end.closed is not None and not end.closed.by_peer:
            assert end.closed.code is not CloseCode.INTERNAL


SCRIPT_STATES: dict[State, Callable[[], SyncSession]] = {}


def _in(state: State) -> Callable[[Callable[[], SyncSession]], Callable[[], SyncSession]]:
    def note(make: Callable[[], SyncSession]) -> Callable[[], SyncSession]:
        SCRIPT_STATES[state] = make
        return make

    return note


@_in(State.OPENING)
def opening() -> SyncSession:
    return SyncSession(SessionRole.RESPONDER, HELLO, 0)


@_in(State.ADMITTING)
def admitting() -> SyncSession:
    session = opening()
    session.receive_data(frame(FrameType.HELLO, messages.encode_hello(HELLO)), 0)
    assert isinstance(session.next_event(), HelloReceived)
    return session


@_in(State.DOCUMENTS)
def documents() -> SyncSession:
    session = admitting()
    session.admit(bytes(16))
    return session


@_in(State.APPLYING)
def applying() -> SyncSession:
    session = documents()
    session.receive_data(frame(FrameType.DOCUMENTS_END), 0)
    assert isinstance(session.next_event(), DocumentsReceived)
    return session


@_in(State.LIVE)
def live() -> SyncSession:
    session = applying()
    session.documents_applied()
    return session


@_in(State.REFRESHING)
def refreshing() -> SyncSession:
    session = live()
    session.receive_data(frame(FrameType.DOCUMENT, b"document"), 0)
    assert isinstance(session.next_event(), DocumentReceived)
    assert isinstance(session.next_event(), DocumentsReceived)
    return session


@_in(State.CLOSED)
def closed() -> SyncSession:
    session = live()
    session.close(CloseCode.NORMAL)
    assert isinstance(session.next_event(), SessionClosed)
    return session


@pytest.mark.parametrize("frame_type", FrameType)
@pytest.mark.parametrize("state", State)
def test_every_frame_in_every_state_does_what_the_table_says(
    state: State, frame_type: FrameType
) -> None:
    session = SCRIPT_STATES[state]()
    session.receive_data(frame(frame_type), 0)
    event = session.next_event()
    if state in (State.ADMITTING, State.APPLYING, State.REFRESHING, State.CLOSED):
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


ANSWERS: dict[str, tuple[Callable[[SyncSession], None], set[State]]] = {
    "admit": (lambda session: session.admit(bytes(16)), {State.ADMITTING}),
    "refuse": (lambda session: session.refuse(CloseCode.REFUSED), {State.ADMITTING}),
    "documents": (lambda session: session.supply_documents([]), set()),
    "applied": (lambda session: session.documents_applied(), {State.APPLYING, State.REFRESHING}),
    "round": (lambda session: session.start_round(), set()),
    "reconcile": (lambda session: session.reconcile({}), set()),
    "acknowledge": (lambda session: session.acknowledge(1, ()), set()),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("state", State)
def test_a_wrong_answer_of_our_shell_is_a_defect_of_ours(state: State, name: str) -> None:
    answer, states = ANSWERS[name]
    session = SCRIPT_STATES[state]()
    if state in states or state is State.CLOSED:
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
    both = pair(our_documents={ROOT: 1})
    both.run(until=lambda: bool(both.initiator.all_of(DocumentsWanted)))
    with pytest.raises(LocalProtocolError):
        both.initiator.session.supply_documents([])


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


def test_a_peer_that_asks_and_never_reads_ends_at_a_bound() -> None:
    end = scripted()
    ping = frame(FrameType.PING, bytes(8))
    per_piece = PIECE_BYTES // len(ping)
    for _ in range(CONTROL_BYTES_MAX // (per_piece * len(ping))):
        end.take(ping * per_piece)
        assert end.closed is None
    end.take(ping * per_piece)
    assert code_of(end) is CloseCode.LIMIT_EXCEEDED


def test_large_news_beyond_the_bound_end_the_session() -> None:
    end = scripted()
    per_step = IDS_PER_FRAME_MAX
    for step in range(CONTROL_BYTES_MAX // (8 * per_step) + 1):
        short = range(step * per_step, (step + 1) * per_step)
        end.session.announce([Item(each, TrafficClass.BULK, 60_000) for each in short])
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


# --- time --------------------------------------------------------------------------------------


def deadline(session: SyncSession) -> int:
    at_ms = session.next_deadline_ms()
    assert at_ms is not None
    return at_ms


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
