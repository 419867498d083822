"""What a session says of itself while it works, and what is left of it at the end."""

from __future__ import annotations

import pytest

from protocol.limits import TrafficClass
from protocol.session import Item, SessionRole
from protocol.session.frames import FrameType, encode_frame
from tests.protocol.session.reaching import ROLES, events, fresh, live, sent


def test_a_fresh_session_has_done_nothing() -> None:
    session = fresh(SessionRole.RESPONDER)
    assert session.is_idle
    figures = (session.bundles_waiting, session.bundles_sent, session.bundles_received)
    assert figures == (0, 0, 0)
    assert (session.bytes_sent, session.bytes_received) == (0, 0)
    assert (session.reconcile_bytes, session.round_trips) == (0, 0)


@pytest.mark.parametrize("role", ROLES)
def test_bundles_are_counted_where_they_are(role: SessionRole) -> None:
    session = live(role)
    idle_before = session.is_idle
    assert idle_before
    assert session.reconcile_bytes > 0
    session.offer([Item(5, TrafficClass.SOS, 100)])
    assert session.is_idle is False
    assert (session.bundles_waiting, session.bundles_sent) == (1, 0)
    for number in session.next_to_supply(1_000):
        session.supply(number, b"container", 0)
    before_bytes = session.bytes_sent
    sent(session)
    assert session.bytes_sent == before_bytes + 4 + len(b"container")
    assert (session.bundles_waiting, session.bundles_sent) == (0, 1)
    assert not session.is_idle, "its fate is not known yet"
    frame = encode_frame(FrameType.BUNDLE, b"\1other")
    before_bytes = session.bytes_received
    session.receive_data(frame, 0)
    assert session.bytes_received == before_bytes + len(frame)
    assert session.bundles_received == 1


@pytest.mark.parametrize("role", ROLES)
def test_figures_outlive_a_session_that_parts(role: SessionRole) -> None:
    session = live(role)
    session.offer([Item(5, TrafficClass.SOS, 100)])
    for number in session.next_to_supply(1_000):
        session.supply(number, b"container", 0)
    sent(session)
    session.restrict()
    sent(session)
    events(session)
    assert session.bundles_sent == 1
    assert session.round_trips == live(role).round_trips
