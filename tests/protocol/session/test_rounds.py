"""One round, both halves joined by hand: what is found, what is refused."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest

from protocol.errors import LimitExceededError, RemoteProtocolError
from protocol.limits import IDS_PER_FRAME_MAX, IDS_PER_LIST_MAX, SKETCH_SYMBOLS
from protocol.reconcile.interest import Interest
from protocol.reconcile.sketch import Sketch, SketchSnapshot
from protocol.session import messages
from protocol.session.events import (
    Event,
    IdsNeeded,
    Needed,
    PeerLacks,
    RoundFinished,
    StreamWanted,
)
from protocol.session.frames import FrameType
from protocol.session.messages import IdList, More, Summary, Symbols
from protocol.session.rounds import InitiatorRound, Output, ResponderRound
from tests.protocol.session.ends import BULK, SOS, TEXTS

Sets = Mapping[Interest, Iterable[int]]


def sketches(sets: Sets, symbols: int = SKETCH_SYMBOLS) -> dict[Interest, SketchSnapshot]:
    return {interest: Sketch.build(ids, symbols).snapshot() for interest, ids in sets.items()}


def ids(count: int, start: int = 0) -> range:
    """Return ids far apart: an id is a hash, and small numbers are all in the same symbols."""
    step = 0x0003_4567_89AB_CDEF
    return range(1 + start * step, 1 + (start + count) * step, step)


class Round:
    """Both halves of a round, and everything that they told their shells."""

    def __init__(self, ours: Sets, theirs: Sets) -> None:
        self.sets = (ours, theirs)
        self.initiator = InitiatorRound(1, sketches(ours))
        self.events: tuple[list[Event], list[Event]] = ([], [])
        self.sent: list[FrameType] = []
        summary = self.initiator.start().frames[0][1]
        self.sent.append(FrameType.SUMMARY)
        self.responder = ResponderRound(
            messages.decode_summary_untrusted(summary), sketches(theirs)
        )
        self._from_responder(self.responder.start())

    def _from_responder(self, output: Output) -> None:
        self.events[1].extend(output.events)
        for _class, pages in output.lists:
            for page in pages:
                self.sent.append(FrameType.LIST)
                read = messages.decode_list_untrusted(page)
                self._from_initiator(self.initiator.on_list_untrusted(read))
        for frame_type, payload in output.frames:
            self.sent.append(frame_type)
            if frame_type is FrameType.SYMBOLS:
                symbols = messages.decode_symbols_frame_untrusted(payload)
                self._from_initiator(self.initiator.on_symbols_untrusted(symbols))
            else:
                _number, equal = messages.decode_equal_untrusted(payload)
                self._from_initiator(self.initiator.on_equal_untrusted(equal))
        for event in output.events:
            if isinstance(event, IdsNeeded):
                given = array("Q", self.sets[1].get(event.interest, ()))
                self._from_responder(self.responder.supply_ids(event.interest, given))

    def _from_initiator(self, output: Output) -> None:
        self.events[0].extend(output.events)
        for event in output.events:
            if isinstance(event, IdsNeeded):
                given = self.sets[0][event.interest]
                self._from_initiator(self.initiator.supply_ids(event.interest, given))
        for frame_type, payload in output.frames:
            self.sent.append(frame_type)
            if frame_type is FrameType.MORE:
                more = messages.decode_more_untrusted(payload)
                self._from_responder(self.responder.on_more_untrusted(more))

    def found(self) -> tuple[dict[Interest, set[int]], set[int]]:
        """Return what the responder lacks, and what the initiator needs."""
        lacks: dict[Interest, set[int]] = {}
        needs: set[int] = set()
        for event in self.events[0]:
            if isinstance(event, PeerLacks):
                lacks.setdefault(event.interest, set()).update(event.ids)
            elif isinstance(event, Needed):
                needs.update(event.ids)
        return lacks, needs


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(1, 0), (0, 1), (15, 15), (90, 60), (0, 1_000), (1_000, 0), (400, 700)],
)
def test_the_difference_is_found(ours: int, theirs: int) -> None:
    common = list(ids(3_000))
    only_ours, only_theirs = set(ids(ours, 4_000)), set(ids(theirs, 6_000))
    each = Round({TEXTS: [*common, *only_ours]}, {TEXTS: [*common, *only_theirs]})
    assert each.found() == (({TEXTS: only_ours} if ours else {}), only_theirs)
    assert each.initiator.is_finished
    assert each.sent[-1] is FrameType.ROUND_END
    assert each.events[0][-1] == RoundFinished(1)
    assert each.initiator.flights == each.responder.flights
    assert FrameType.LIST not in each.sent


def test_equal_sets_take_one_small_answer() -> None:
    sets = {TEXTS: ids(1_000), SOS: ids(5, 5_000)}
    each = Round(sets, sets)
    assert each.sent == [FrameType.SUMMARY, FrameType.EQUAL, FrameType.ROUND_END]
    assert each.found() == ({}, set())


def test_some_equal_some_not_and_some_that_one_end_lacks() -> None:
    each = Round({TEXTS: ids(1_000), SOS: ids(5, 5_000)}, {TEXTS: ids(1_000), BULK: ids(9, 6_000)})
    assert each.sent == [
        FrameType.SUMMARY,
        FrameType.EQUAL,
        FrameType.SYMBOLS,
        FrameType.ROUND_END,
    ]
    assert [event for event in each.events[0] if isinstance(event, StreamWanted)] == [
        StreamWanted(SOS)
    ]
    assert each.events[1] == [StreamWanted(BULK)]


@pytest.mark.parametrize(("ours", "theirs"), [({}, {TEXTS: ids(3)}), ({TEXTS: ids(3)}, {})])
def test_an_empty_end_is_streamed_to_at_once(ours: Sets, theirs: Sets) -> None:
    each = Round(ours, theirs)
    assert each.initiator.is_finished
    assert StreamWanted(TEXTS) in each.events[0] + each.events[1]
    assert each.initiator.flights == 1


def test_two_empty_ends_have_nothing_to_compare() -> None:
    each = Round({}, {})
    assert each.initiator.is_finished
    assert each.events == ([RoundFinished(1)], [])


def test_a_small_set_is_listed_instead() -> None:
    each = Round({TEXTS: ids(500)}, {TEXTS: ids(50, 480)})
    assert each.sent == [FrameType.SUMMARY, FrameType.LIST, FrameType.ROUND_END]
    assert each.found() == ({TEXTS: set(ids(480))}, set(ids(30, 500)))
    assert each.events[1] == [IdsNeeded(TEXTS)]


def test_sets_that_share_little_fall_back_to_a_list() -> None:
    each = Round({TEXTS: ids(6_000)}, {TEXTS: ids(6_000, 3_000)})
    assert each.sent.count(FrameType.LIST) == -(-6_000 // IDS_PER_FRAME_MAX)
    assert each.found() == ({TEXTS: set(ids(3_000))}, set(ids(3_000, 6_000)))
    assert each.initiator.flights == 2


# --- what a peer may not answer ----------------------------------------------------------------


def asking(ours: Sets | None = None) -> InitiatorRound:
    each = InitiatorRound(1, sketches(ours or {TEXTS: ids(2_000)}))
    each.start()
    return each


def flight(count: int, first: int = 0, theirs: Iterable[int] = ids(2_000, 200)) -> Symbols:
    """Return symbols as a responder with `theirs` would send them."""
    theirs = tuple(theirs)
    responder = ResponderRound(Summary(1, ()), sketches({TEXTS: theirs}))
    _type, payload = responder._symbols(TEXTS, first, count)
    return messages.decode_symbols_frame_untrusted(payload)


def asked_of(output: Output) -> More:
    (frame_type, payload), *_ = output.frames
    assert frame_type is FrameType.MORE
    return messages.decode_more_untrusted(payload)


def test_symbols_of_an_interest_that_was_not_asked_for() -> None:
    with pytest.raises(RemoteProtocolError):
        asking().on_symbols_untrusted(replace(flight(64), interest=SOS))


@pytest.mark.parametrize(
    "change",
    [{"first": 1}, {"count": 0, "columns": b""}, {"columns": b""}, {"count": 63}],
)
def test_a_first_flight_that_is_none(change: dict[str, int | bytes]) -> None:
    with pytest.raises(RemoteProtocolError):
        asking().on_symbols_untrusted(replace(flight(64), **change))  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_second_flight_must_be_the_one_that_was_asked_for() -> None:
    for change in ({"n": 5}, {"set_hash": 5}, {"n": 0}):
        each = asking()
        more = asked_of(each.on_symbols_untrusted(flight(64)))
        good = flight(more.count, more.first)
        with pytest.raises(RemoteProtocolError):
            each.on_symbols_untrusted(replace(good, **change))  # type: ignore[arg-type]
    for first, count in ((0, 64), (more.first, more.count - 1), (more.first + 1, more.count)):
        each = asking()
        each.on_symbols_untrusted(flight(64))
        with pytest.raises(RemoteProtocolError):
            each.on_symbols_untrusted(flight(count, first))
    each = asking()
    each.on_symbols_untrusted(flight(64))
    each.on_symbols_untrusted(good)


def test_symbols_end_with_the_sketch() -> None:
    with pytest.raises(LimitExceededError):
        asking().on_symbols_untrusted(replace(flight(64), count=SKETCH_SYMBOLS + 1))
    small = InitiatorRound(1, sketches({TEXTS: ids(500)}, symbols=100))
    small.start()
    with pytest.raises(LimitExceededError):
        small.on_symbols_untrusted(flight(101))


def test_more_is_asked_for_only_within_the_smaller_sketch() -> None:
    small = InitiatorRound(1, sketches({TEXTS: ids(500)}, symbols=100))
    small.start()
    more = asked_of(small.on_symbols_untrusted(flight(64, theirs=ids(500, 40))))
    assert (more.first, more.count) == (64, 36)
    more = asked_of(small.on_symbols_untrusted(flight(36, 64, theirs=ids(500, 40))))
    assert more.count == 0


@pytest.mark.parametrize("equal", [(SOS,), (TEXTS, TEXTS), (TEXTS,), ()])
def test_what_differs_cannot_be_called_equal(equal: tuple[Interest, ...]) -> None:
    each = asking({TEXTS: ids(2_000), BULK: ids(3)})
    each.on_symbols_untrusted(flight(64))
    with pytest.raises(RemoteProtocolError):
        each.on_equal_untrusted(equal)


def page(count: int, start: int = 0, *, is_last: bool = False) -> IdList:
    return IdList(1, TEXTS, is_last, array("Q", ids(count, start)))


def test_a_list_has_pages_with_ids_and_one_end() -> None:
    each = asking()
    assert each.on_list_untrusted(page(10)).events == [IdsNeeded(TEXTS)]
    with pytest.raises(RemoteProtocolError):
        each.on_list_untrusted(page(0))
    with pytest.raises(RemoteProtocolError):
        each.on_symbols_untrusted(flight(64))
    each.on_list_untrusted(page(10, 10, is_last=True))
    with pytest.raises(RemoteProtocolError):
        each.on_list_untrusted(page(1, 30, is_last=True))
    assert PeerLacks(TEXTS, tuple(ids(1_980, 20))) in each.supply_ids(TEXTS, ids(2_000)).events
    assert each.is_finished
    assert each.supply_ids(TEXTS, ids(2_000)) == Output()


def test_a_list_with_ids_twice_counts_them_once() -> None:
    each = asking({TEXTS: ids(2)})
    each.supply_ids(TEXTS, ids(2))
    each.on_list_untrusted(page(3))
    each.supply_ids(TEXTS, ids(2))
    output = each.on_list_untrusted(page(3, is_last=True))
    assert Needed(tuple(ids(1, 2))) in output.events
    assert not any(isinstance(event, PeerLacks) for event in output.events)


def test_a_list_that_was_not_asked_for() -> None:
    with pytest.raises(RemoteProtocolError):
        asking().on_list_untrusted(replace(page(1), interest=SOS))
    each = asking()
    each.on_symbols_untrusted(flight(64))
    with pytest.raises(RemoteProtocolError):
        each.on_list_untrusted(page(1))


def test_a_list_has_an_end_of_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    assert IDS_PER_LIST_MAX >= 10**6
    monkeypatch.setattr("protocol.session.rounds.IDS_PER_LIST_MAX", 20)
    each = asking()
    each.on_list_untrusted(page(20))
    with pytest.raises(LimitExceededError):
        each.on_list_untrusted(page(1, 20))


def test_lists_of_several_interests_have_one_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.session.rounds.IDS_PER_LIST_MAX", 20)
    each = InitiatorRound(1, sketches({TEXTS: ids(9), SOS: ids(9)}))
    each.start()
    each.on_list_untrusted(page(20))
    with pytest.raises(LimitExceededError):
        each.on_list_untrusted(replace(page(1), interest=SOS))


# --- what a peer may not ask -------------------------------------------------------------------


def answering(theirs: Sets | None = None) -> ResponderRound:
    summary = InitiatorRound(1, sketches({TEXTS: ids(2_000), SOS: ids(9)})).start().frames[0][1]
    each = ResponderRound(
        messages.decode_summary_untrusted(summary),
        sketches(theirs or {TEXTS: ids(2_000, 200), SOS: ids(9)}),
    )
    each.start()
    return each


@pytest.mark.parametrize("interest", [SOS, BULK])
def test_more_of_what_is_equal_or_not_compared(interest: Interest) -> None:
    with pytest.raises(RemoteProtocolError):
        answering().on_more_untrusted(More(1, interest, 64, 10))


def test_each_symbol_is_given_once() -> None:
    each = answering()
    for first in (0, 63, 65):
        with pytest.raises(RemoteProtocolError):
            each.on_more_untrusted(More(1, TEXTS, first, 10))
    each.on_more_untrusted(More(1, TEXTS, 64, 10))
    with pytest.raises(RemoteProtocolError):
        each.on_more_untrusted(More(1, TEXTS, 64, 10))
    each.on_more_untrusted(More(1, TEXTS, 74, SKETCH_SYMBOLS - 74))
    with pytest.raises(LimitExceededError):
        each.on_more_untrusted(More(1, TEXTS, SKETCH_SYMBOLS, 1))


def test_symbols_beyond_the_sketch_are_refused() -> None:
    with pytest.raises(LimitExceededError):
        answering().on_more_untrusted(More(1, TEXTS, 64, SKETCH_SYMBOLS - 63))


def test_a_list_is_given_once_and_symbols_no_more() -> None:
    each = answering()
    assert each.on_more_untrusted(More(1, TEXTS, 0, 0)).events == [IdsNeeded(TEXTS)]
    for count in (0, 10):
        with pytest.raises(RemoteProtocolError):
            each.on_more_untrusted(More(1, TEXTS, 64, count))
    assert len(each.supply_ids(TEXTS, array("Q", [1])).lists) == 1
    assert each.supply_ids(TEXTS, array("Q", [1])) == Output()


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (0, [0]),
        (1, [1]),
        (IDS_PER_FRAME_MAX, [IDS_PER_FRAME_MAX]),
        (IDS_PER_FRAME_MAX + 1, [IDS_PER_FRAME_MAX, 1]),
    ],
)
def test_a_list_is_cut_into_pages(count: int, sizes: list[int]) -> None:
    each = answering()
    each.on_more_untrusted(More(1, TEXTS, 0, 0))
    ((traffic_class, pages),) = each.supply_ids(TEXTS, array("Q", range(count))).lists
    assert traffic_class is TEXTS.traffic_class
    read = [messages.decode_list_untrusted(payload) for payload in pages]
    assert [len(each.ids) for each in read] == sizes
    assert [each.is_last for each in read] == [False] * (len(sizes) - 1) + [True]
