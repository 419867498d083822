"""Records between a session and its shell: nothing changes them, and none looks like another."""

from __future__ import annotations

from typing import get_args

import pytest

from protocol.limits import TrafficClass
from protocol.session import events
from protocol.session.events import BundleReceived, Event, Item, LocalHello, SessionRole


def test_no_record_can_be_changed() -> None:
    item = Item(1, TrafficClass.SOS, 100)
    hello = LocalHello((b"badge",), bytes(64), {})
    for record, name in ((item, "size_bytes"), (hello, "nonce")):
        with pytest.raises(AttributeError):
            setattr(record, name, 0)


def test_every_event_is_one_of_those_the_shell_matches() -> None:
    kinds = set(get_args(Event))
    assert all(kind.__module__ == events.__name__ for kind in kinds)
    assert {kind.__name__ for kind in kinds} | {
        "DocumentKey",
        "Event",
        "Item",
        "LocalHello",
        "SessionRole",
    } == set(events.__all__)


def test_events_of_two_kinds_are_never_mistaken() -> None:
    bundle = BundleReceived(0, 1, b"raw")
    assert [kind for kind in get_args(Event) if isinstance(bundle, kind)] == [BundleReceived]
    assert len(SessionRole) == 2
