"""Bundles of one direction: order of service, bounds, and acknowledgements that fit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import RemoteProtocolError
from protocol.limits import (
    HOPS_MAX,
    KNOWN_AT_PEER_MAX,
    PUSH_BYTES_MAX,
    SUPPLY_AHEAD_BYTES,
    UNREAD_BUNDLES_MAX,
    UNREAD_BYTES_MAX,
    WINDOW_BYTES_FIRST,
    WINDOW_BYTES_MIN,
    TrafficClass,
)
from protocol.reports import Reception
from protocol.session.events import Item
from protocol.session.frames import FrameType
from protocol.session.messages import Ack
from protocol.session.transfer import Inflow, Outflow
from tests.protocol.session.ends import frames_of

MESSAGE, SOS, BULK = TrafficClass.MESSAGE, TrafficClass.SOS, TrafficClass.BULK


def items(*ids: int, cls: TrafficClass = MESSAGE, size_bytes: int = 100) -> list[Item]:
    return [Item(short, cls, size_bytes) for short in ids]


def supply(outflow: Outflow, max_bytes: int = 10**9, size_bytes: int = 100) -> list[int]:
    ids = outflow.next_to_supply(max_bytes)
    for short in ids:
        outflow.supply(short, short.to_bytes(8, "big").ljust(size_bytes, b"."), 1)
    return ids


def send(outflow: Outflow, max_bytes: int = 10**9, now_ms: int = 0) -> list[int]:
    """Return the ids that go on the wire now, in order."""
    parts: list[bytes] = []
    size_bytes = 0
    for traffic_class in TrafficClass:
        size_bytes, is_through = outflow.frames_into(
            traffic_class, parts, size_bytes, max_bytes, now_ms
        )
        if not is_through:
            break
    assert size_bytes == sum(map(len, parts))
    return [int.from_bytes(payload[1:9], "big") for _type, payload in frames_of(b"".join(parts))]


def test_a_frame_holds_hops_and_container() -> None:
    outflow = Outflow()
    parts: list[bytes] = []
    outflow.offer(items(5, 6, 7))
    for short, hops in zip(
        outflow.next_to_supply(1_000), (3, HOPS_MAX, HOPS_MAX + 200), strict=True
    ):
        outflow.supply(short, b"raw", hops)
    outflow.frames_into(MESSAGE, parts, 0, 10**6, 0)
    frames = frames_of(b"".join(parts))
    assert frames == [
        (FrameType.BUNDLE, bytes([each]) + b"raw") for each in (3, HOPS_MAX, HOPS_MAX)
    ]
    assert outflow.sent == 3


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from(TrafficClass)), max_size=60))
def test_classes_are_served_in_order_and_nothing_twice(
    offers: list[tuple[int, TrafficClass]],
) -> None:
    outflow = Outflow()
    expected: dict[int, TrafficClass] = {}
    for short, traffic_class in offers:
        outflow.offer(items(short, cls=traffic_class))
        expected.setdefault(short, traffic_class)
    assert outflow.waiting == len(expected)
    # Whatever stage bundles are in, their bytes are counted until the peer answers.
    counted = [outflow.unsettled_bytes]
    supply(outflow)
    counted.append(outflow.unsettled_bytes)
    sent = send(outflow)
    counted.append(outflow.unsettled_bytes)
    assert [each > 0 for each in counted] == [bool(expected)] * 3
    outflow.on_ack_untrusted(Ack(len(sent), ()), 0)
    assert (outflow.unsettled_bytes, outflow.settled) == (0, len(sent))
    assert outflow.settled_bytes == counted[2]
    assert sorted(sent) == sorted(expected)
    order = [(expected[short], list(expected).index(short)) for short in sent]
    assert order == sorted(order)


def test_a_later_sos_goes_first() -> None:
    outflow = Outflow()
    outflow.offer(items(*range(10), cls=BULK))
    supply(outflow)
    outflow.offer(items(99, cls=SOS))
    supply(outflow)
    assert send(outflow)[:2] == [99, 0]


def test_containers_are_read_just_ahead() -> None:
    outflow = Outflow()
    outflow.offer(items(*range(20), cls=BULK, size_bytes=60_000))
    first = outflow.next_to_supply(10**9)
    assert len(first) == -(-SUPPLY_AHEAD_BYTES // 60_000)
    assert outflow.next_to_supply(10**9) == []
    # What is more urgent is read although much is ahead, but not without end.
    for start, traffic_class in ((100, MESSAGE), (200, SOS)):
        outflow.offer(items(*range(start, start + 20), cls=traffic_class, size_bytes=60_000))
        more = outflow.next_to_supply(10**9)
        assert more == list(range(start, start + len(first)))
        assert outflow.next_to_supply(10**9) == []
    outflow.offer(items(300, cls=BULK))
    assert outflow.next_to_supply(10**9) == []


def test_as_much_is_read_at_once_as_is_asked_for() -> None:
    outflow = Outflow()
    outflow.offer(items(*range(10)))
    assert outflow.next_to_supply(250) == [0, 1, 2]
    assert outflow.next_to_supply(0) == []


def test_a_container_that_is_gone_is_left_out() -> None:
    outflow = Outflow()
    outflow.offer(items(1, 2))
    outflow.next_to_supply(1_000)
    outflow.supply(1, None, 0)
    outflow.supply(1, b"late", 0)
    outflow.supply(77, b"never asked for", 0)
    outflow.supply(2, bytes(100), 0)
    assert len(send(outflow)) == 1
    assert outflow.waiting == 0
    assert not outflow.is_idle
    outflow.on_ack_untrusted(Ack(1, ()), 1)
    assert outflow.is_idle


def test_what_the_peer_brings_meanwhile_is_not_sent_back() -> None:
    outflow = Outflow()
    outflow.offer(items(1, 2, 3))
    outflow.note_known(2)
    outflow.note_known(4)
    outflow.offer(items(4))
    assert outflow.next_to_supply(1_000) == [1, 3]
    assert outflow.waiting == 2


def test_a_piece_holds_whole_frames_up_to_its_size() -> None:
    outflow = Outflow()
    outflow.offer(items(*range(5), size_bytes=100) + items(9, cls=BULK, size_bytes=10))
    supply(outflow)
    assert send(outflow, max_bytes=1) == [0]
    assert send(outflow, max_bytes=2 * 104) == [1, 2]
    # A small frame of a lower class may not slip past one that does not fit.
    assert send(outflow, max_bytes=2 * 104 + 103) == [3, 4]
    assert send(outflow) == [9]


def test_the_window_stops_all_but_the_urgent() -> None:
    outflow = Outflow()
    for start in range(0, 60, 4):
        outflow.offer(items(*range(start, start + 4), cls=BULK, size_bytes=60_000))
        supply(outflow, size_bytes=60_000)
        if not send(outflow):
            break
    assert WINDOW_BYTES_FIRST <= 60_000 * outflow.sent < WINDOW_BYTES_FIRST + 60_004
    outflow.offer(items(100, cls=MESSAGE) + items(*range(200, 203), cls=SOS, size_bytes=60_000))
    supply(outflow, size_bytes=60_000)
    sent = send(outflow)
    assert sent == [200, 201][: len(sent)]
    assert len(sent) * 60_000 <= WINDOW_BYTES_MIN + 60_000
    outflow.on_ack_untrusted(Ack(outflow.sent, ()), 100)
    after = send(outflow)
    assert [short for short in after if short >= 100] == after[: after.index(100) + 1]


def test_outcomes_are_in_order_of_sending() -> None:
    outflow = Outflow()
    outflow.offer(items(1, 2, 3, 4))
    supply(outflow)
    send(outflow)
    owed = outflow.owes_ack
    refusals = ((0, Reception.DUPLICATE), (2, Reception.QUOTA))
    assert outflow.on_ack_untrusted(Ack(3, refusals), 1) == (
        (1, Reception.DUPLICATE),
        (2, Reception.STORED),
        (3, Reception.QUOTA),
    )
    assert outflow.on_ack_untrusted(Ack(4, ()), 1) == ((4, Reception.STORED),)
    assert (owed, outflow.owes_ack) == (True, False)
    # What was refused may be offered again, what is held there may not.
    outflow.offer(items(1, 2, 3, 4))
    assert outflow.next_to_supply(1_000) == [3]


@pytest.mark.parametrize(
    "ack",
    [
        Ack(3, ()),
        Ack(2**64 - 1, ()),
        Ack(0, ()),
        Ack(2, ((0, Reception.QUOTA),)),
        Ack(2, ((2, Reception.QUOTA),)),
    ],
)
def test_an_ack_of_what_was_not_sent_or_is_settled_is_refused(ack: Ack) -> None:
    outflow = Outflow()
    outflow.offer(items(1, 2))
    supply(outflow)
    send(outflow)
    outflow.on_ack_untrusted(Ack(1, ()), 1)
    with pytest.raises(RemoteProtocolError):
        outflow.on_ack_untrusted(ack, 1)


def test_a_peer_that_dropped_a_bundle_gets_it_again_but_not_while_it_is_under_way() -> None:
    outflow = Outflow()
    outflow.offer(items(1, 2))
    supply(outflow)
    send(outflow)
    outflow.on_ack_untrusted(Ack(1, ()), 1)
    outflow.note_lacking([1, 2, 3])
    outflow.offer(items(1, 2, 3))
    assert outflow.next_to_supply(1_000) == [1, 3]


def test_small_news_are_pushed_and_large_ones_named() -> None:
    outflow = Outflow()
    outflow.note_known(1)
    outflow.offer(items(2))
    news = items(1, 2, 3, size_bytes=PUSH_BYTES_MAX) + items(1, 2, 4, size_bytes=PUSH_BYTES_MAX + 1)
    assert outflow.announce(news) == [4]
    assert outflow.next_to_supply(10**6) == [2, 3]


def test_what_the_peer_holds_is_remembered_up_to_a_bound() -> None:
    outflow = Outflow()
    for short in range(KNOWN_AT_PEER_MAX):
        outflow.note_known(short)
    outflow.offer(items(5))
    assert outflow.waiting == 0
    outflow.note_known(KNOWN_AT_PEER_MAX)
    outflow.offer(items(5, KNOWN_AT_PEER_MAX))
    assert outflow.next_to_supply(1_000) == [5]


# --- receiving ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size_bytes", [1, 65_000])
def test_no_more_is_read_than_the_shell_may_owe(size_bytes: int) -> None:
    inflow = Inflow()
    while inflow.has_room:
        assert inflow.take(size_bytes) == inflow.received - 1
    assert inflow.received == UNREAD_BUNDLES_MAX or inflow.received * size_bytes >= UNREAD_BYTES_MAX
    assert inflow.pending == inflow.received
    assert inflow.acknowledge(1, ()) == Ack(1, ())
    assert inflow.has_room or size_bytes * inflow.pending >= UNREAD_BYTES_MAX


def test_only_what_came_can_be_acknowledged_and_in_order() -> None:
    inflow = Inflow()
    for _ in range(3):
        inflow.take(10)
    refusals = [(0, Reception.EXPIRED)]
    assert inflow.acknowledge(2, refusals) == Ack(2, ((0, Reception.EXPIRED),))
    for upto in (1, 4):
        with pytest.raises(ValueError):
            inflow.acknowledge(upto, ())
    assert inflow.acknowledge(3, ()).upto == 3
    assert inflow.pending == 0
