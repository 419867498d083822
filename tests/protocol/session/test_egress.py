"""What goes on the wire next, and that a piece never ends within a frame."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.limits import IDS_PER_FRAME_MAX, PUSH_BYTES_MAX, TrafficClass
from protocol.session.egress import Egress, is_reconciliation
from protocol.session.events import Item
from protocol.session.frames import FrameType
from protocol.session.messages import decode_ids_untrusted
from tests.protocol.session.ends import frames_of

KB64 = 65_536


def types_of(data: bytes) -> list[FrameType]:
    return [frame_type for frame_type, _payload in frames_of(data)]


def carry(egress: Egress, short: int, traffic_class: TrafficClass, size_bytes: int = 100) -> None:
    egress.outflow.offer([Item(short, traffic_class, size_bytes)])
    for each in egress.outflow.next_to_supply(10**6):
        egress.outflow.supply(each, bytes([traffic_class]) * size_bytes, 0)


def pages(count: int) -> Iterator[bytes]:
    yield from (b"page" for _ in range(count))


def test_the_order_of_everything_that_waits() -> None:
    egress = Egress()
    for number, traffic_class in enumerate(reversed(TrafficClass)):
        carry(egress, number, traffic_class)
    egress.put_list(TrafficClass.STATE, pages(2))
    egress.put_list(TrafficClass.SOS, pages(1))
    egress.put_wants([1, 2, 3])
    egress.put(FrameType.ACK, b"ack")
    waited = egress.has_waiting
    frames = frames_of(egress.take(KB64 * 4, 0))
    assert [frame_type for frame_type, _ in frames] == [
        FrameType.ACK,
        FrameType.BUNDLE,
        FrameType.LIST,
        FrameType.BUNDLE,
        FrameType.WANT,
        FrameType.BUNDLE,
        FrameType.LIST,
        FrameType.LIST,
        FrameType.BUNDLE,
        FrameType.BUNDLE,
    ]
    carried = [payload[1] for frame_type, payload in frames if frame_type is FrameType.BUNDLE]
    assert carried == list(TrafficClass)
    assert (waited, egress.has_waiting) == (True, False)
    assert egress.take(KB64, 0) == b""
    assert not egress.is_fruitful


def test_the_peer_is_asked_about_large_bulk_before_it_gets_any() -> None:
    egress = Egress()
    known, large = Item(1, TrafficClass.BULK, KB64), Item(2, TrafficClass.BULK, PUSH_BYTES_MAX + 1)
    small, text = Item(3, TrafficClass.BULK, PUSH_BYTES_MAX), Item(4, TrafficClass.MESSAGE, KB64)
    egress.outflow.note_known(known.short_id)
    egress.offer([known, large, small, text], ask_first=True)
    carry(egress, 5, TrafficClass.STATE)
    assert (egress.offers_waiting, egress.has_waiting) == (1, True)
    frames = frames_of(egress.take(KB64, 0))
    # Of text, state and bulk, in this order; the harness supplied the text and the small one, too.
    sent = [FrameType.BUNDLE, FrameType.BUNDLE, FrameType.OFFER, FrameType.BUNDLE]
    assert [frame_type for frame_type, _ in frames] == sent
    assert list(decode_ids_untrusted(frames[2][1])) == [large.short_id]
    assert (egress.offers_waiting, egress.has_waiting) == (0, False)
    egress.offer([large], ask_first=False)
    assert egress.outflow.next_to_supply(10**6) == [large.short_id]


def test_no_more_ids_wait_than_a_list_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.session.egress.IDS_PER_LIST_MAX", 3)
    egress = Egress()
    for start in (0, 2):
        items = [Item(start + n, TrafficClass.BULK, KB64) for n in range(2)]
        egress.offer(items, ask_first=True)
    (frame,) = frames_of(egress.take(KB64, 0))
    assert list(decode_ids_untrusted(frame[1])) == [0, 1, 2]
    egress.offer([Item(9, TrafficClass.BULK, KB64)], ask_first=True)
    egress.keep_documents()
    assert egress.offers_waiting == 0


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("control"), st.integers(0, 3_000)),
            st.tuples(st.just("bundle"), st.integers(1, 3_000)),
            st.tuples(st.just("want"), st.integers(1, 9_000)),
        ),
        max_size=12,
    ),
    st.integers(1, 70_000),
)
def test_pieces_are_whole_frames_within_their_size(
    waiting: list[tuple[str, int]], max_bytes: int
) -> None:
    egress, wants, control, bundles = Egress(), 0, 0, 0
    for number, (kind, size) in enumerate(waiting):
        if kind == "control":
            egress.put(FrameType.OFFER, bytes(size))
            control += 1
        elif kind == "bundle":
            carry(egress, number, TrafficClass.MESSAGE, size)
            bundles += 1
        else:
            egress.put_wants(range(size))
            wants += size
    found = []
    while data := egress.take(max_bytes, 0):
        frames = frames_of(data)
        assert len(data) <= max_bytes or len(frames) == 1
        found += frames
    types = [frame_type for frame_type, _ in found]
    assert types.count(FrameType.OFFER) == control
    assert types.count(FrameType.BUNDLE) == bundles
    asked = [len(decode_ids_untrusted(each)) for kind, each in found if kind is FrameType.WANT]
    assert sum(asked) == wants
    assert all(count == IDS_PER_FRAME_MAX for count in asked[:-1])


def test_an_sos_passes_between_the_pages_of_a_long_list() -> None:
    egress = Egress()
    page = bytes(8 * IDS_PER_FRAME_MAX)
    egress.put_list(TrafficClass.MESSAGE, (page for _ in range(100)))
    assert types_of(egress.take(KB64, 0)) == [FrameType.LIST]
    carry(egress, 1, TrafficClass.SOS)
    assert types_of(egress.take(KB64, 0)) == [FrameType.BUNDLE, FrameType.LIST]


def test_pages_are_made_only_when_there_is_room_for_them() -> None:
    egress, made = Egress(), []

    def counted() -> Iterator[bytes]:
        for number in range(10):
            made.append(number)
            yield bytes(30_000)

    egress.put_list(TrafficClass.MESSAGE, counted())
    assert made == []
    egress.take(KB64, 0)
    assert len(made) <= 2


def test_signs_of_life_are_no_work() -> None:
    egress, fruitful = Egress(), []

    def take() -> None:
        assert egress.take(KB64, 0)
        fruitful.append(egress.is_fruitful)

    egress.put(FrameType.PING, bytes(8))
    egress.put(FrameType.PONG, bytes(8))
    take()
    egress.put(FrameType.PONG, bytes(8))
    egress.put(FrameType.ACK, b"ack")
    take()
    egress.put(FrameType.PONG, bytes(8))
    take()
    carry(egress, 1, TrafficClass.BULK)
    take()
    assert fruitful == [False, True, False, True]


def test_bytes_that_wait_are_counted_without_documents() -> None:
    egress = Egress()
    egress.put(FrameType.OFFER, bytes(100))
    egress.put_document(bytes(50_000))
    assert egress.control_bytes == 103
    egress.take(103, 0)
    assert egress.control_bytes == 0
    egress.take(KB64, 0)
    assert egress.control_bytes == 0
    assert not egress.has_waiting


def test_ids_to_ask_for_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.session.egress.IDS_PER_LIST_MAX", 20)
    egress = Egress()
    assert egress.put_wants(range(1, 16))
    assert egress.put_wants(range(16, 21))
    assert not egress.put_wants([21])
    asked = [
        each
        for _type, payload in frames_of(egress.take(KB64, 0))
        for each in decode_ids_untrusted(payload)
    ]
    assert asked == list(range(1, 21))
    assert egress.put_wants([21])


def test_bytes_of_reconciliation_are_counted_as_they_go() -> None:
    egress = Egress()
    egress.put(FrameType.SUMMARY, bytes(10))
    egress.put(FrameType.WANT, bytes(10))
    egress.put_list(TrafficClass.SOS, pages(1))
    assert egress.reconcile_bytes == 0
    egress.take(KB64, 0)
    assert egress.reconcile_bytes == 13 + 7


def test_which_frames_find_the_difference() -> None:
    assert {each.name for each in FrameType if is_reconciliation(each)} == {
        "SUMMARY",
        "SYMBOLS",
        "MORE",
        "LIST",
        "EQUAL",
        "ROUND_END",
    }


def test_after_the_end_only_the_bye_is_left() -> None:
    egress = Egress()
    carry(egress, 1, TrafficClass.SOS)
    egress.put(FrameType.ACK, b"ack")
    egress.put_document(bytes(100))
    egress.put_wants([1])
    egress.put_list(TrafficClass.SOS, pages(5))
    egress.close([(FrameType.BYE, b"\x91\x00")])
    assert egress.control_bytes == 5
    assert frames_of(egress.take(KB64, 0)) == [(FrameType.BYE, b"\x91\x00")]
    assert egress.take(KB64, 0) == b""
    assert egress.outflow.next_to_supply(10**6) == []
