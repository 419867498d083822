"""How long a peer is waited for, to the millisecond, and what waits behind what, to the byte."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable

import pytest

from protocol.errors import CloseCode, LocalProtocolError
from protocol.limits import (
    IDS_PER_LIST_MAX,
    INTERESTS_MAX,
    SESSION_HELLO_MS_MAX,
    SESSION_IDLE_MS_MAX,
    SESSION_PING_LATER_MS,
    SESSION_PING_MS,
    SESSION_STEP_MS_MAX,
    UNREAD_BYTES_MAX,
    WINDOW_BYTES_FIRST,
    WINDOW_BYTES_MIN,
    TrafficClass,
)
from protocol.reconcile.interest import Interest
from protocol.reconcile.sketch import Sketch
from protocol.reports import Standing
from protocol.session import (
    IdsNeeded,
    Item,
    ReconcileStarting,
    SessionRole,
    SyncSession,
    sync,
)
from protocol.session import messages as wire
from protocol.session.egress import is_reconciliation
from protocol.session.frames import FrameType, encode_frame
from protocol.session.messages import Ack, IdList, Summary, SummaryLine
from protocol.session.states import State
from tests.protocol.session.ends import frames_of, pair
from tests.protocol.session.reaching import (
    INITIATOR,
    REACH,
    RESPONDER,
    ROLES,
    closed,
    events,
    live,
    sent,
)

TEXTS = Interest(7, TrafficClass.MESSAGE)
CLASSES = (
    TrafficClass.SOS,
    TrafficClass.MESSAGE,
    TrafficClass.STATE,
    TrafficClass.BULK,
)
BULK_BYTES = 10_000


# --- time --------------------------------------------------------------------------------------


def silence(session: SyncSession, deadline_ms: int) -> None:
    """Check that nothing is due a millisecond before, and that the session ends then."""
    assert session.next_deadline_ms() == deadline_ms
    session.handle_timeout(deadline_ms - 1)
    assert events(session) == []
    assert sent(session) == []
    session.handle_timeout(deadline_ms)
    end = closed(session)
    assert (end.code, end.by_peer) == (CloseCode.TIMEOUT, False)
    assert sent(session) == [(FrameType.BYE, wire.encode_bye(CloseCode.TIMEOUT))]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("state", "silence_ms"),
    [
        (State.OPENING, SESSION_HELLO_MS_MAX),
        (State.ADMITTING, SESSION_HELLO_MS_MAX),
        (State.DOCUMENTS, SESSION_STEP_MS_MAX),
    ],
)
def test_a_peer_that_stops_on_the_way_is_given_up_in_time(
    state: State, silence_ms: int, role: SessionRole
) -> None:
    session = REACH[state](role)
    sent(session)
    silence(session, silence_ms)


def test_the_hello_is_timed_from_the_start_whatever_trickles_in() -> None:
    session = SyncSession(RESPONDER, REACH[State.OPENING](RESPONDER)._hello, 1_000)
    whole = encode_frame(FrameType.HELLO, bytes(200))
    for place in range(100):
        session.receive_data(whole[place : place + 1], 1_000 + place)
    silence(session, 1_000 + SESSION_HELLO_MS_MAX)


@pytest.mark.parametrize("role", ROLES)
def test_two_pings_then_the_end(role: SessionRole) -> None:
    session = live(role)
    ping_ms = SESSION_PING_MS + (0 if role is INITIATOR else SESSION_PING_LATER_MS)
    for number in (1, 2):
        assert session.next_deadline_ms() == number * ping_ms
        session.handle_timeout(number * ping_ms - 1)
        assert sent(session) == []
        session.handle_timeout(number * ping_ms)
        assert sent(session) == [(FrameType.PING, number.to_bytes(8, "big"))]
    silence(session, SESSION_IDLE_MS_MAX)


@pytest.mark.parametrize("role", ROLES)
def test_an_answer_to_either_ping_starts_the_silence_anew(role: SessionRole) -> None:
    session = live(role)
    pings = []
    for _ in range(2):
        deadline_ms = session.next_deadline_ms()
        assert deadline_ms is not None
        session.handle_timeout(deadline_ms)
        pings += sent(session)
    later_ms = SESSION_IDLE_MS_MAX - 1
    session.receive_data(encode_frame(FrameType.PONG, pings[0][1]), later_ms)
    session.receive_data(encode_frame(FrameType.PONG, pings[1][1]), later_ms)
    assert events(session) == []
    deadline_ms = session.next_deadline_ms()
    assert deadline_ms is not None
    assert deadline_ms >= later_ms + SESSION_PING_MS
    session.receive_data(encode_frame(FrameType.PONG, (3).to_bytes(8, "big")), later_ms)
    assert closed(session).code is CloseCode.UNEXPECTED_FRAME


def bundle_under_way(role: SessionRole) -> SyncSession:
    session = live(role)
    session.offer([Item(1, TrafficClass.MESSAGE, 9)])
    supply(session)
    assert [frame_type for frame_type, _payload in sent(session)] == [FrameType.BUNDLE]
    return session


def summary_under_way(role: SessionRole) -> SyncSession:
    assert role is INITIATOR
    session = live(role)
    session.start_round()
    assert events(session) == [ReconcileStarting(2)]
    session.reconcile({TEXTS: Sketch.build([1]).snapshot()})
    sent(session)
    return session


@pytest.mark.parametrize(
    ("make", "role"),
    [(bundle_under_way, INITIATOR), (bundle_under_way, RESPONDER), (summary_under_way, INITIATOR)],
)
def test_who_owes_an_answer_and_only_shows_life_is_given_up(
    make: Callable[[SessionRole], SyncSession], role: SessionRole
) -> None:
    session = make(role)
    for second in range(1, 30):
        session.receive_data(encode_frame(FrameType.PING, bytes(8)), second * 1_000)
    sent(session)
    silence(session, SESSION_STEP_MS_MAX)


def test_what_still_waits_to_be_sent_is_no_fault_of_the_peer() -> None:
    session = summary_under_way(INITIATOR)
    session.want([1])
    for second in range(1, 40):
        session.receive_data(encode_frame(FrameType.PING, bytes(8)), second * 1_000)
    session.handle_timeout(39_000)
    assert events(session) == []


def test_a_round_that_waits_for_our_own_shell_is_no_fault_of_the_peer() -> None:
    """A list of a million ids takes a slow disk a while."""
    line = SummaryLine(TEXTS, 1, 5)
    summary = encode_frame(FrameType.SUMMARY, wire.encode_summary(Summary(2, (line,))))
    responder = live(RESPONDER)
    responder.receive_data(summary, 0)
    responder.reconcile({TEXTS: Sketch.build([2]).snapshot()})
    initiator = summary_under_way(INITIATOR)
    page = encode_frame(FrameType.LIST, wire.encode_list(IdList(2, TEXTS, True, array("Q", [2]))))
    initiator.receive_data(page, 0)
    for session in (initiator, responder):
        assert events(session)[-1] == IdsNeeded(TEXTS)
        assert session.next_deadline_ms() == SESSION_PING_MS + (
            SESSION_PING_LATER_MS if session is responder else 0
        )
        session.receive_data(encode_frame(FrameType.PING, bytes(8)), 49_000)
        sent(session)
        session.handle_timeout(49_001)
        assert events(session) == []
        session.supply_ids(TEXTS, array("Q", [2]))
    assert [frame_type for frame_type, _payload in sent(initiator)] == [FrameType.ROUND_END]
    frames = [frame_type for frame_type, _payload in sent(responder)]
    assert frames == [FrameType.LIST]
    responder.handle_timeout(49_000 + SESSION_PING_MS + SESSION_PING_LATER_MS)
    assert [frame_type for frame_type, _payload in sent(responder)] == [FrameType.PING]
    silence(responder, 49_001 + SESSION_STEP_MS_MAX)


@pytest.mark.parametrize("role", ROLES)
def test_the_time_in_which_we_saved_documents_is_no_silence_of_the_peer(
    role: SessionRole,
) -> None:
    session = REACH[State.REFRESHING](role)
    assert session.next_deadline_ms() is None
    session.handle_timeout(100_000)
    session.documents_applied(Standing.FULL)
    events(session)
    session.handle_timeout(100_000)
    assert events(session) == []
    later_ms = SESSION_PING_MS + (0 if role is INITIATOR else SESSION_PING_LATER_MS)
    assert session.next_deadline_ms() == 100_000 + later_ms


# --- order of service --------------------------------------------------------------------------


def supply(session: SyncSession, size_bytes: int = 9) -> None:
    for short_id in session.next_to_supply(1 << 20):
        session.supply(short_id, short_id.to_bytes(8, "big").ljust(size_bytes, b"."), 0)


def ids_of(frames: Iterable[tuple[FrameType, bytes]]) -> list[int]:
    return [
        int.from_bytes(payload[1:9], "big")
        for frame_type, payload in frames
        if frame_type is FrameType.BUNDLE
    ]


def offer_bulk(session: SyncSession, count: int) -> None:
    session.offer([Item(1_000 + n, TrafficClass.BULK, BULK_BYTES) for n in range(count)])


@pytest.mark.parametrize("role", ROLES)
def test_an_sos_goes_next_whatever_waits(role: SessionRole) -> None:
    session = live(role)
    offer_bulk(session, 100)
    supply(session, BULK_BYTES)
    assert len(ids_of(sent(session, 3 * BULK_BYTES))) == 2
    session.announce([Item(1, TrafficClass.MESSAGE, 100), Item(2, TrafficClass.SOS, 100)])
    supply(session, 100)
    assert ids_of(sent(session, 3 * BULK_BYTES))[:2] == [2, 1]


@pytest.mark.parametrize("role", ROLES)
def test_bulk_fills_the_window_and_an_sos_passes_it_by_its_reserve(role: SessionRole) -> None:
    session = live(role)
    offer_bulk(session, 100)
    bulk_bytes = 0
    while True:
        supply(session, BULK_BYTES)
        frames = sent(session, 1 << 16)
        if not frames:
            break
        bulk_bytes += sum(3 + len(payload) for _type, payload in frames)
    frame_bytes = BULK_BYTES + 4
    assert WINDOW_BYTES_FIRST <= bulk_bytes < WINDOW_BYTES_FIRST + frame_bytes
    session.announce([Item(n, TrafficClass.SOS, 4_000) for n in range(1, 101)])
    session.announce([Item(200, TrafficClass.MESSAGE, 100)])
    urgent_bytes = 0
    while True:
        supply(session, 4_000)
        frames = sent(session, 1 << 16)
        if not frames:
            break
        assert all(1 <= short_id <= 100 for short_id in ids_of(frames))
        urgent_bytes += sum(3 + len(payload) for _type, payload in frames)
    reserve_bytes = WINDOW_BYTES_FIRST + WINDOW_BYTES_MIN - bulk_bytes
    assert reserve_bytes <= urgent_bytes < reserve_bytes + 4_004


@pytest.mark.parametrize("role", ROLES)
def test_a_window_that_is_acknowledged_takes_more(role: SessionRole) -> None:
    session = live(role)
    offer_bulk(session, 40)
    got: list[int] = []
    for _ in range(40):
        supply(session, BULK_BYTES)
        got += ids_of(sent(session, 1 << 16))
        session.receive_data(encode_frame(FrameType.ACK, wire.encode_ack(Ack(len(got), ()))), 1)
    assert got == [1_000 + n for n in range(40)]
    assert session.is_idle


@pytest.mark.parametrize("role", ROLES)
def test_what_the_peer_asks_for_again_it_gets_again(role: SessionRole) -> None:
    """It stored the bundle and dropped it; only its own word says so."""
    session = bundle_under_way(role)
    session.receive_data(encode_frame(FrameType.ACK, wire.encode_ack(Ack(1, ()))), 0)
    session.announce([Item(1, TrafficClass.MESSAGE, 9)])
    assert session.is_idle
    session.receive_data(encode_frame(FrameType.WANT, wire.encode_ids([1])), 0)
    session.offer([Item(1, TrafficClass.MESSAGE, 9)])
    supply(session)
    assert ids_of(sent(session)) == [1]


# --- what a round costs --------------------------------------------------------------------------


@pytest.mark.parametrize(("differences", "bytes_max"), [(0, 100), (1, 1_000), (20, 1_000)])
def test_a_round_costs_little_and_both_ends_say_how_much(differences: int, bytes_max: int) -> None:
    """The bytes of the frames themselves are the judge, and the targets of the design."""
    step = 0x0001_1234_5678_9ABD
    held = {Interest(7, each): {step * (100 * n + each) for n in range(1, 500)} for each in CLASSES}
    fewer = {**held, TEXTS: set(sorted(held[TEXTS])[differences:])}
    both = pair(held, fewer)
    found_bytes = 0
    for _ in range(100):
        pieces = [end.give() for end in both.ends]
        for end, data in zip(both.ends, reversed(pieces), strict=True):
            end.take(data)
            found_bytes += sum(
                3 + len(payload)
                for frame_type, payload in frames_of(data)
                if is_reconciliation(frame_type)
            )
    assert both.initiator.held == both.responder.held
    assert found_bytes <= bytes_max
    for end in both.ends:
        assert end.session.reconcile_bytes == found_bytes
        assert end.session.is_idle
    assert len(both.responder.received) == differences
    assert both.initiator.session.round_trips == both.responder.session.round_trips


# --- bounds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_unread_bytes_stop_the_reading_at_their_bound(role: SessionRole) -> None:
    """A session that is full reads no further frame, not even one that is here already."""
    session = live(role)
    size_bytes = UNREAD_BYTES_MAX // 64
    frame = encode_frame(FrameType.BUNDLE, bytes(1 + size_bytes))
    session.receive_data(frame * 63, 0)
    session.receive_data(encode_frame(FrameType.BUNDLE, bytes(size_bytes)), 0)
    is_reading = [session.wants_read]
    smallest = encode_frame(FrameType.BUNDLE, bytes(2))
    session.receive_data(smallest * 2, 0)
    assert session.bundles_received == 65
    is_reading.append(session.wants_read)
    session.acknowledge(1, [])
    assert session.bundles_received == 66
    is_reading.append(session.wants_read)
    assert is_reading == [True, False, True]


@pytest.mark.parametrize("role", ROLES)
def test_a_peer_that_asks_and_never_reads_ends_one_byte_beyond_the_bound(
    role: SessionRole, monkeypatch: pytest.MonkeyPatch
) -> None:
    ping = encode_frame(FrameType.PING, bytes(8))
    for bound, is_over in ((2 * len(ping), False), (2 * len(ping) - 1, True)):
        session = live(role)
        monkeypatch.setattr(sync, "CONTROL_BYTES_MAX", bound)
        session.receive_data(ping * 2, 0)
        monkeypatch.undo()
        if is_over:
            assert closed(session).code is CloseCode.LIMIT_EXCEEDED
            assert [frame_type for frame_type, _payload in sent(session)] == [FrameType.BYE]
        else:
            assert len(sent(session)) == 2
            session.receive_data(ping * 2, 0)
            assert events(session) == []


@pytest.mark.parametrize("role", ROLES)
def test_ids_to_ask_for_have_a_bound(role: SessionRole) -> None:
    session = live(role)
    session.want(array("Q", bytes(8 * (IDS_PER_LIST_MAX - 1))))
    session.want([1])
    assert events(session) == []
    session.want([2])
    assert closed(session).code is CloseCode.LIMIT_EXCEEDED
    assert [frame_type for frame_type, _payload in sent(session)] == [FrameType.BYE]


def test_as_many_interests_as_a_session_reconciles_and_one_more() -> None:
    sketch = Sketch.build([1], 1).snapshot()
    sketches = {Interest(1 + n // 5, TrafficClass(n % 5)): sketch for n in range(INTERESTS_MAX + 1)}
    session = live(INITIATOR)
    session.start_round()
    with pytest.raises(LocalProtocolError):
        session.reconcile(sketches)
    del sketches[min(sketches)]
    session.reconcile(sketches)
    ((frame_type, payload),) = sent(session)
    assert frame_type is FrameType.SUMMARY
    assert len(wire.decode_summary_untrusted(payload).lines) == INTERESTS_MAX
