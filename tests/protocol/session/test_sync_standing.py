"""Peers that may have documents only: what goes to them, in which order, and how it ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from protocol.errors import CloseCode
from protocol.limits import SESSION_STEP_MS_MAX, TrafficClass
from protocol.reports import Standing
from protocol.session import (
    DocumentReceived,
    DocumentsReceived,
    DocumentsWanted,
    Item,
    ReconcileStarting,
    SessionClosed,
    SessionRole,
    SyncSession,
)
from protocol.session import messages as wire
from protocol.session.frames import FrameType, encode_frame
from tests.protocol.session.reaching import (
    EMPTY_SUMMARY_FRAME,
    END_FRAME,
    RESPONDER,
    ROLES,
    admitting,
    applying,
    events,
    exchanging,
    fresh,
    live,
    refreshing,
    sent,
)

UNIT = (2, b"unit")
RESTRICTED = [standing for standing in Standing if standing is not Standing.FULL]
BYE = (FrameType.BYE, wire.encode_bye(CloseCode.REFUSED))
DOCUMENT_FRAME = encode_frame(FrameType.DOCUMENT, b"document")


def said(session: SyncSession) -> list[tuple[FrameType, bytes]]:
    """Return all that goes out until nothing more does."""
    frames = []
    while some := sent(session):
        frames += some
    return frames + sent(session)


def parted(session: SyncSession) -> SessionClosed:
    (event,) = events(session)
    assert isinstance(event, SessionClosed)
    assert session.has_ended
    return event


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("standing", RESTRICTED)
def test_a_peer_not_in_full_standing_hears_nothing_after_the_documents(
    role: SessionRole, standing: Standing
) -> None:
    session = applying(role)
    session.offer([Item(1, TrafficClass.SOS, 100)])
    session.documents_applied(standing)
    assert not session.wants_read
    session.receive_data(EMPTY_SUMMARY_FRAME, 0)
    assert said(session) == [BYE]
    end = parted(session)
    assert (end.code, end.by_peer) == (CloseCode.REFUSED, False)


@pytest.mark.parametrize("role", ROLES)
def test_our_documents_go_out_before_the_goodbye(role: SessionRole) -> None:
    """What the peer brought is applied while ours still wait on a slow link."""
    session = exchanging(role, {UNIT: (2, 5)})
    versions = encode_frame(FrameType.DOCUMENT_VERSIONS, wire.encode_versions({}))
    session.receive_data(versions + DOCUMENT_FRAME + END_FRAME, 0)
    assert events(session) == [DocumentsWanted((UNIT,)), DocumentReceived(b"document")]
    session.supply_documents([bytes(50_000)])
    assert events(session) == [DocumentsReceived()]
    session.tell_documents([b"came into force meanwhile"])
    session.documents_applied(Standing.REVOKED)
    session.tell_documents([b"and one more"])
    assert events(session) == []
    frames = [
        (FrameType.DOCUMENT, bytes(50_000)),
        (FrameType.DOCUMENTS_END, b""),
        (FrameType.DOCUMENT, b"came into force meanwhile"),
        (FrameType.DOCUMENT, b"and one more"),
    ]
    assert said(session) == [*frames, BYE]
    assert parted(session).code is CloseCode.REFUSED


@pytest.mark.parametrize("role", ROLES)
def test_whoever_is_cleared_by_the_documents_goes_on(role: SessionRole) -> None:
    session = applying(role)
    session.restrict()
    session.documents_applied(Standing.FULL)
    session.receive_data(EMPTY_SUMMARY_FRAME if role is RESPONDER else b"", 0)
    assert events(session) == [ReconcileStarting(1)]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("reach", [fresh, admitting, exchanging, applying])
def test_before_the_documents_are_through_a_doubt_changes_nothing(
    role: SessionRole, reach: Callable[[SessionRole], SyncSession]
) -> None:
    session = reach(role)
    state = session._state
    session.restrict()
    assert session._state is state


@pytest.mark.parametrize("role", ROLES)
def test_a_live_peer_that_is_revoked_gets_the_news_and_no_bundle(role: SessionRole) -> None:
    session = live(role)
    session.announce([Item(number, TrafficClass.MESSAGE, 100) for number in range(5)])
    session.announce([Item(9, TrafficClass.BULK, 60_000)])
    session.want([77])
    for number in session.next_to_supply(10_000):
        session.supply(number, b"container", 0)
    session.tell_documents([b"revocation"])
    session.restrict()
    session.announce([Item(10, TrafficClass.SOS, 100)])
    session.want([78])
    session.start_round()
    session.reconcile({})
    session.acknowledge(3, ())
    assert session.next_to_supply(10_000) == []
    assert said(session) == [(FrameType.DOCUMENT, b"revocation"), BYE]
    assert [event for event in events(session) if not isinstance(event, ReconcileStarting)] == [
        SessionClosed(CloseCode.REFUSED, False, "the peer may have documents only")
    ]


@pytest.mark.parametrize("role", ROLES)
def test_a_peer_that_brings_its_own_revocation_is_parted_with(role: SessionRole) -> None:
    session = refreshing(role)
    session.documents_applied(Standing.REVOKED)
    session.documents_applied(Standing.FULL)
    assert said(session) == [BYE]
    assert parted(session).code is CloseCode.REFUSED


@pytest.mark.parametrize("role", ROLES)
def test_a_peer_that_does_not_take_its_documents_is_given_up(role: SessionRole) -> None:
    session = live(role)
    session.tell_documents([b"revocation"])
    events(session)
    session.restrict()
    assert session.next_deadline_ms() == SESSION_STEP_MS_MAX
    session.handle_timeout(SESSION_STEP_MS_MAX)
    assert parted(session).code is CloseCode.TIMEOUT


@pytest.mark.parametrize("role", ROLES)
def test_a_link_that_ends_while_parting_ends_the_session(role: SessionRole) -> None:
    session = live(role)
    session.restrict()
    session.receive_eof()
    assert parted(session).by_peer
