"""Two whole sessions joined by lists of bytes end with the same set."""

from __future__ import annotations

from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import CloseCode
from protocol.limits import (
    UNREAD_BUNDLES_MAX,
    TrafficClass,
)
from protocol.reports import Reception
from protocol.session import (
    DocumentsReceived,
    Item,
    Needed,
    ReconcileStarting,
    RoundFinished,
    SessionClosed,
    SessionRole,
    Wanted,
)
from protocol.session.frames import FrameType
from tests.protocol.session.ends import (
    BULK,
    PIECE_BYTES,
    SOS,
    TEXTS,
    End,
    assert_equal_sets,
    code_of,
    frames_of,
    ids,
    live_pair,
    pair,
    scripted,
)

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


@pytest.mark.slow
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
