"""Which round runs, who may begin one, and whose frames are of it."""

from __future__ import annotations

from array import array

import pytest

from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.limits import INTERESTS_MAX, TrafficClass
from protocol.reconcile.interest import Interest
from protocol.reconcile.sketch import Sketch, SketchSnapshot
from protocol.session import messages
from protocol.session.events import IdsNeeded, ReconcileStarting, RoundFinished
from protocol.session.frames import FrameType
from protocol.session.messages import More, Summary
from protocol.session.reconciliation import Reconciliation
from protocol.session.rounds import Output
from tests.protocol.session.ends import TEXTS

HELD = {TEXTS: Sketch.build(range(10**6, 10**9, 10**6)).snapshot()}


def ends() -> tuple[Reconciliation, Reconciliation]:
    return Reconciliation(is_initiator=True), Reconciliation(is_initiator=False)


def start(
    asking: Reconciliation, answering: Reconciliation, held: dict[Interest, SketchSnapshot]
) -> Output:
    """Start a round at both ends; the initiator holds `held`, the responder nothing."""
    asking.begin()
    (frame_type, payload), *_ = asking.start(held).frames
    assert frame_type is FrameType.SUMMARY
    answering.on_frame_untrusted(FrameType.SUMMARY, payload)
    return answering.start({})


def finish(asking: Reconciliation, answering: Reconciliation, output: Output) -> None:
    for frame_type, payload in output.frames:
        for each_type, each in asking.on_frame_untrusted(frame_type, payload).frames:
            answering.on_frame_untrusted(each_type, each)


def test_rounds_are_counted_one_by_one() -> None:
    asking, answering = ends()
    for number in range(1, 4):
        seen = [(asking.may_begin, asking.is_idle, asking.is_running)]
        assert asking.begin().events == [ReconcileStarting(number)]
        seen.append((asking.may_begin, asking.is_idle, asking.is_running))
        (_type, payload), *_ = asking.start(HELD).frames
        seen.append((asking.may_begin, asking.is_idle, asking.is_running))
        assert seen == [(True, True, False), (False, False, False), (False, False, True)]
        starting = answering.on_frame_untrusted(FrameType.SUMMARY, payload)
        assert starting.events == [ReconcileStarting(number)]
        finish(asking, answering, answering.start({}))
        assert asking.is_idle
        assert answering.is_idle
        assert asking.round_trips == answering.round_trips == number
    assert not answering.may_begin


def test_a_round_is_not_started_out_of_turn() -> None:
    asking, answering = ends()
    payload = messages.encode_summary(Summary(1, ()))
    with pytest.raises(RemoteProtocolError):
        asking.on_frame_untrusted(FrameType.SUMMARY, payload)
    with pytest.raises(RemoteProtocolError):
        later = messages.encode_summary(Summary(2, ()))
        answering.on_frame_untrusted(FrameType.SUMMARY, later)
    answering.on_frame_untrusted(FrameType.SUMMARY, payload)
    with pytest.raises(RemoteProtocolError):
        answering.on_frame_untrusted(FrameType.SUMMARY, payload)
    answering.start({})
    with pytest.raises(RemoteProtocolError):
        answering.on_frame_untrusted(FrameType.SUMMARY, payload)


def test_our_shell_starts_only_what_was_announced() -> None:
    asking, _answering = ends()
    with pytest.raises(LocalProtocolError):
        asking.start({})
    asking.begin()
    too_many = {
        Interest(zone, TrafficClass.SOS): HELD[TEXTS] for zone in range(1, INTERESTS_MAX + 2)
    }
    with pytest.raises(LocalProtocolError):
        asking.start(too_many)
    del too_many[Interest(1, TrafficClass.SOS)]
    asking.start(too_many)
    with pytest.raises(LocalProtocolError):
        asking.start({})


ANSWERS = {
    FrameType.SYMBOLS: b"",
    FrameType.EQUAL: messages.encode_equal(1, []),
    FrameType.LIST: messages.encode_list(messages.IdList(1, TEXTS, True, array("Q"))),
}
QUESTIONS = {
    FrameType.MORE: messages.encode_more(More(1, TEXTS, 64, 10)),
    FrameType.ROUND_END: messages.encode_round(1),
}


def test_frames_without_a_round_or_of_the_wrong_end() -> None:
    asking, answering = ends()
    for frame_type, payload in (ANSWERS | QUESTIONS).items():
        for each in (asking, answering):
            with pytest.raises(RemoteProtocolError):
                each.on_frame_untrusted(frame_type, payload)
    start(asking, answering, HELD)
    for frame_type, payload in QUESTIONS.items():
        with pytest.raises(RemoteProtocolError):
            asking.on_frame_untrusted(frame_type, payload)
    for frame_type, payload in ANSWERS.items():
        with pytest.raises(RemoteProtocolError):
            answering.on_frame_untrusted(frame_type, payload)


def test_frames_of_another_round() -> None:
    asking, answering = ends()
    start(asking, answering, HELD)
    with pytest.raises(RemoteProtocolError):
        asking.on_frame_untrusted(FrameType.EQUAL, messages.encode_equal(2, []))
    with pytest.raises(RemoteProtocolError):
        answering.on_frame_untrusted(FrameType.ROUND_END, messages.encode_round(2))
    assert answering.on_frame_untrusted(FrameType.ROUND_END, messages.encode_round(1)).events == [
        RoundFinished(1)
    ]


def test_ids_that_nobody_asks_for_any_more_are_ignored() -> None:
    asking, answering = ends()
    assert asking.supply_ids(TEXTS, array("Q")) == Output()
    finish(asking, answering, start(asking, answering, HELD))
    for each in (asking, answering):
        assert each.supply_ids(TEXTS, array("Q")) == Output()


def test_the_end_of_a_list_ends_the_round() -> None:
    asking, _answering = ends()
    asking.begin()
    asking.start(HELD)
    page = messages.encode_list(messages.IdList(1, TEXTS, True, array("Q", [10**6])))
    assert asking.on_frame_untrusted(FrameType.LIST, page).events == [IdsNeeded(TEXTS)]
    assert asking.is_running
    output = asking.supply_ids(TEXTS, array("Q", [10**6]))
    assert output.events[-1] == RoundFinished(1)
    assert asking.is_idle


def test_a_session_that_ends_stops_its_round() -> None:
    asking, answering = ends()
    start(asking, answering, HELD)
    asking.stop()
    assert asking.is_idle
    assert asking.round_trips == 1
    asking.begin()
    asking.stop()
    assert asking.is_idle
