"""Documents that cross while a session is live: saved before more is read, and followed by a round.

What was refused for want of a roster is welcome once the roster is there, in the same session.
"""

from __future__ import annotations

import pytest

from protocol.errors import LocalProtocolError
from protocol.limits import SESSION_DOCUMENTS_MAX, TrafficClass
from protocol.reconcile.interest import Interest
from protocol.reconcile.sketch import Sketch
from protocol.reports import Reception, Standing
from protocol.session import (
    BundleReceived,
    DocumentReceived,
    DocumentsReceived,
    DocumentsWanted,
    HelloReceived,
    ReconcileStarting,
    RoundFinished,
    SessionRole,
)
from protocol.session import messages as wire
from protocol.session.frames import FrameType, encode_frame
from protocol.session.messages import Summary, SummaryLine
from tests.properties.nodes import Node
from tests.protocol.session.reaching import (
    END_FRAME,
    INITIATOR,
    PEER,
    RESPONDER,
    ROLES,
    applying,
    events,
    exchanging,
    fresh,
    hello_frame,
    live,
    refreshing,
    sent,
)

TEXTS = Interest(7, TrafficClass.MESSAGE)
UNIT, OTHER = (2, b"unit"), (2, b"other")
DOCUMENT_FRAME = encode_frame(FrameType.DOCUMENT, b"document")
BUNDLE_FRAME = encode_frame(FrameType.BUNDLE, b"\1container")


def types(frames: list[tuple[FrameType, bytes]]) -> list[FrameType]:
    return [frame_type for frame_type, _payload in frames]


# --- before the session is live ----------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_each_end_gives_what_it_holds_newer_and_only_that(role: SessionRole) -> None:
    session = exchanging(role, {UNIT: (2, 5), OTHER: (1, 1)})
    theirs = {UNIT: (2, 4), OTHER: (1, 2), (9, b"new"): (1, 1)}
    data = encode_frame(FrameType.DOCUMENT_VERSIONS, wire.encode_versions(theirs))
    session.receive_data(data + DOCUMENT_FRAME + END_FRAME, 0)
    assert events(session) == [DocumentsWanted((UNIT,)), DocumentReceived(b"document")]
    assert sent(session) == []
    session.supply_documents([b"newer"])
    assert events(session) == [DocumentsReceived()]
    assert sent(session) == [(FrameType.DOCUMENT, b"newer"), (FrameType.DOCUMENTS_END, b"")]


@pytest.mark.parametrize("role", ROLES)
def test_who_holds_nothing_newer_says_so_at_once(role: SessionRole) -> None:
    session = exchanging(role, {UNIT: (1, 1)})
    data = encode_frame(FrameType.DOCUMENT_VERSIONS, wire.encode_versions({UNIT: (1, 1)}))
    session.receive_data(data, 0)
    assert events(session) == []
    assert sent(session) == [(FrameType.DOCUMENTS_END, b"")]


def test_an_answer_that_is_not_asked_for_yet_is_a_defect_of_ours() -> None:
    session = exchanging(RESPONDER, {UNIT: (1, 1)})
    with pytest.raises(LocalProtocolError):
        session.supply_documents([b"the peer's versions are not here"])
    assert sent(session) == []


@pytest.mark.parametrize("role", ROLES)
def test_no_frame_of_bundles_goes_before_the_documents_are_through(role: SessionRole) -> None:
    """Bundles may be offered at any time; nothing of them is asked for or sent before."""
    session = fresh(role)
    node = Node()
    node.held = set(range(1, 60))
    early: list[FrameType] = []

    def offer() -> None:
        session.offer(node.items(range(1, 30)))
        assert session.next_to_supply(1 << 20) == []
        early.extend(types(sent(session)))

    offer()
    session.receive_data(hello_frame(), 0)
    assert isinstance(session.next_event(), HelloReceived)
    offer()
    session.admit(PEER)
    offer()
    session.receive_data(END_FRAME, 0)
    offer()
    assert early == [FrameType.HELLO, FrameType.DOCUMENTS_END]
    session.documents_applied(Standing.FULL)
    assert len(session.next_to_supply(1 << 20)) == 29


@pytest.mark.parametrize("role", ROLES)
def test_bundles_that_came_with_the_documents_wait_until_these_are_saved(
    role: SessionRole,
) -> None:
    session = exchanging(role)
    session.receive_data(END_FRAME + BUNDLE_FRAME, 0)
    assert events(session) == [DocumentsReceived()]
    session.documents_applied(Standing.FULL)
    assert [event for event in events(session) if isinstance(event, BundleReceived)] == [
        BundleReceived(0, 1, b"container")
    ]


@pytest.mark.parametrize("role", ROLES)
def test_news_of_the_time_before_go_out_first_once_it_is_live(role: SessionRole) -> None:
    session = applying(role)
    session.tell_documents([b"one"])
    session.tell_documents([b"two"])
    assert sent(session) == []
    session.documents_applied(Standing.FULL)
    assert sent(session) == [(FrameType.DOCUMENT, b"one"), (FrameType.DOCUMENT, b"two")]


def test_news_that_wait_have_a_bound() -> None:
    session = applying(RESPONDER)
    session.tell_documents([b"a"] * (SESSION_DOCUMENTS_MAX - 1))
    session.tell_documents([b"b", b"c"])
    session.tell_documents([b"d"])
    session.documents_applied(Standing.FULL)
    frames = sent(session, 1 << 24)
    assert len(frames) == SESSION_DOCUMENTS_MAX
    assert frames[-1] == (FrameType.DOCUMENT, b"b")


# --- while it is live --------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_what_follows_a_document_is_not_read_before_it_is_saved(role: SessionRole) -> None:
    session = live(role)
    session.receive_data(BUNDLE_FRAME + DOCUMENT_FRAME * 2 + BUNDLE_FRAME, 0)
    assert events(session) == [
        BundleReceived(0, 1, b"container"),
        DocumentReceived(b"document"),
        DocumentsReceived(),
    ]
    assert not session.wants_read
    assert session.next_deadline_ms() is None
    session.documents_applied(Standing.FULL)
    assert not session.wants_read
    starts = [ReconcileStarting(2)] if role is INITIATOR else []
    assert events(session) == [*starts, DocumentReceived(b"document"), DocumentsReceived()]
    session.documents_applied(Standing.FULL)
    assert events(session) == [BundleReceived(1, 1, b"container")]
    assert session.wants_read


def test_bundles_are_acknowledged_while_a_document_is_being_saved() -> None:
    session = live(RESPONDER)
    session.receive_data(BUNDLE_FRAME + DOCUMENT_FRAME, 0)
    session.acknowledge(1, [(0, Reception.UNKNOWN_AUTHOR)])
    assert types(sent(session)) == [FrameType.ACK]


def test_the_initiator_starts_a_round_for_documents_that_came_and_that_it_told() -> None:
    session = refreshing(INITIATOR)
    session.documents_applied(Standing.FULL)
    assert events(session) == [ReconcileStarting(2)]
    session = live(INITIATOR)
    session.tell_documents([b"new"])
    assert events(session) == [ReconcileStarting(2)]
    session.reconcile({})
    assert types(sent(session)) == [FrameType.DOCUMENT, FrameType.SUMMARY]


def test_the_responder_waits_for_the_round_of_the_initiator() -> None:
    session = refreshing(RESPONDER)
    session.documents_applied(Standing.FULL)
    session.tell_documents([b"new"])
    assert events(session) == []
    assert types(sent(session)) == [FrameType.DOCUMENT]


def test_a_document_told_while_one_is_being_saved_goes_out_at_once() -> None:
    session = refreshing(INITIATOR)
    session.tell_documents([b"new"])
    assert events(session) == []
    assert sent(session) == [(FrameType.DOCUMENT, b"new")]
    session.documents_applied(Standing.FULL)
    assert events(session) == [ReconcileStarting(2)]


def test_a_round_asked_for_while_a_document_is_being_saved_is_the_one_that_follows() -> None:
    """The node asks for rounds when it likes: it need not know what the session is saving."""
    session = refreshing(INITIATOR)
    session.start_round()
    assert events(session) == []
    session.documents_applied(Standing.FULL)
    assert events(session) == [ReconcileStarting(2)]
    session = refreshing(RESPONDER)
    with pytest.raises(LocalProtocolError):
        session.start_round()


@pytest.mark.parametrize("is_told", [False, True])
def test_a_document_during_a_round_has_a_round_of_its_own(is_told: bool) -> None:
    """The running round was asked before the roster changed: what it left out is still out."""
    session = live(INITIATOR)
    session.start_round()
    assert events(session) == [ReconcileStarting(2)]
    session.reconcile({TEXTS: Sketch.build([1, 2]).snapshot()})
    if is_told:
        session.tell_documents([b"new"])
        session.tell_documents([b"newer"])
    else:
        session.receive_data(DOCUMENT_FRAME, 0)
        assert len(events(session)) == 2
        session.documents_applied(Standing.FULL)
    assert events(session) == []
    session.receive_data(encode_frame(FrameType.EQUAL, wire.encode_equal(2, ())), 0)
    assert events(session) == [RoundFinished(2), ReconcileStarting(3)]
    session.reconcile({})
    session.receive_data(encode_frame(FrameType.EQUAL, wire.encode_equal(3, ())), 0)
    assert events(session) == [RoundFinished(3)]
    assert session.is_idle is False
    sent(session)
    assert session.is_idle


def test_a_round_that_has_not_taken_its_snapshot_needs_no_other() -> None:
    session = live(INITIATOR)
    session.start_round()
    session.tell_documents([b"new"])
    assert events(session) == [ReconcileStarting(2)]
    session.reconcile({})
    session.receive_data(encode_frame(FrameType.EQUAL, wire.encode_equal(2, ())), 0)
    assert events(session) == [RoundFinished(2)]


def test_the_responder_answers_a_round_after_it_has_saved_the_document_before_it() -> None:
    session = live(RESPONDER)
    line = SummaryLine(TEXTS, 1, 1)
    summary = encode_frame(FrameType.SUMMARY, wire.encode_summary(Summary(2, (line,))))
    session.receive_data(DOCUMENT_FRAME + summary, 0)
    assert events(session) == [DocumentReceived(b"document"), DocumentsReceived()]
    session.documents_applied(Standing.FULL)
    assert events(session) == [ReconcileStarting(2)]


# --- two nodes ---------------------------------------------------------------------------------

FORBIDDEN = 16
"""An id whose author stands in the third version of the roster only, see `nodes`."""


@pytest.mark.parametrize("teller", [0, 1])
@pytest.mark.parametrize("author", [0, 1])
def test_what_was_refused_is_welcome_after_the_roster_came(teller: int, author: int) -> None:
    """Either node hears of the new roster, either holds the bundle: it arrives in this session."""
    nodes = (Node(), Node())
    nodes[author].roster = 3
    nodes[author].write([FORBIDDEN, 1, 2])
    nodes[author].roster = 0
    nodes[0].dial(nodes[1], INITIATOR)
    nodes[1].dial(nodes[0], RESPONDER)
    talk(nodes)
    reader = nodes[1 - author]
    assert FORBIDDEN not in reader.held
    assert {1, 2} <= reader.held
    assert dict(nodes[author].outcomes)[FORBIDDEN] is Reception.UNKNOWN_AUTHOR
    for _ in range(3):
        nodes[teller].learn()
    talk(nodes)
    assert FORBIDDEN in reader.held
    assert nodes[author].outcomes[-1] == (FORBIDDEN, Reception.STORED)


def talk(nodes: tuple[Node, Node]) -> None:
    for _ in range(100):
        acted = [node.go_on() for node in nodes]
        if not any(acted + [node.hear(1 << 20) for node in nodes]):
            return
    raise AssertionError("two nodes never stop talking")
