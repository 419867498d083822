"""Our policy as arithmetic: total orders, ranges, and what rises and falls with what."""

from __future__ import annotations

from itertools import pairwise, permutations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from protocol.limits import HOPS_MAX, TrafficClass
from protocol.routing.base import Candidate
from protocol.routing.gain import (
    LEVELS,
    SMALL_BYTES,
    Gain,
    copy_value,
    is_crowded,
    may_displace,
    may_hand_over,
    moves_on,
    service_level,
    size_class,
    store_share,
)
from protocol.routing.waits import NEVER_S
from tests.protocol.test_routing_base import CANDIDATES, NOW_MS, PEER, candidate

CLASSES = st.integers(0, 4)
SIZES = st.integers(1, 2**40)
CHANCES = st.floats(0.0, 1.0)
COPIES = st.integers(1, 255)
WAITS = st.floats(0.0, 1e8) | st.just(NEVER_S)
URGENT = (TrafficClass.AUTHORITY, TrafficClass.SOS)


@given(CLASSES, SIZES, st.booleans())
def test_a_service_level_is_within_its_bounds(
    traffic_class: int, size_bytes: int, is_for_peer: bool
) -> None:
    assert 0 <= service_level(traffic_class, size_bytes, is_for_peer) < LEVELS


@given(CLASSES, SIZES, st.booleans(), st.booleans())
def test_what_is_urgent_goes_before_all_else_and_by_class_alone(
    traffic_class: int, size_bytes: int, is_for_peer: bool, is_urgent_for_peer: bool
) -> None:
    assume(traffic_class > TrafficClass.SOS)
    for number in URGENT:
        urgent = service_level(number, size_bytes, is_urgent_for_peer)
        assert urgent == number < service_level(traffic_class, size_bytes, is_for_peer)


@given(CLASSES, CLASSES, SIZES, st.booleans())
def test_within_a_kind_no_lower_class_goes_before_a_higher(
    one: int, other: int, size_bytes: int, is_for_peer: bool
) -> None:
    higher, lower = sorted((one, other))
    assert service_level(higher, size_bytes, is_for_peer) <= service_level(
        lower, size_bytes, is_for_peer
    )


@given(CLASSES, CLASSES)
def test_small_goes_before_large(one: int, other: int) -> None:
    assume(min(one, other) > TrafficClass.SOS)
    small = service_level(one, SMALL_BYTES, False)
    large = [service_level(other, SMALL_BYTES + 1, is_for_peer) for is_for_peer in (False, True)]
    assert small < min(large)
    assert large[1] < large[0]


@given(SIZES, SIZES)
def test_a_size_class_rises_with_the_size(one: int, other: int) -> None:
    less, more = sorted((one, other))
    assert 0 <= size_class(less) <= size_class(more) <= 12


@pytest.mark.parametrize(
    ("size", "expected"), [(1, 0), (1_024, 0), (1_025, 1), (4_096, 1), (2**60, 12)]
)
def test_size_classes_at_their_edges(size: int, expected: int) -> None:
    assert size_class(size) == expected


@given(CLASSES, SIZES, CHANCES, COPIES, COPIES)
def test_a_copy_is_worth_less_where_there_are_more(
    traffic_class: int, size_bytes: int, likely: float, one: int, other: int
) -> None:
    fewer, more = sorted((one, other))
    worth = copy_value(traffic_class, size_bytes, likely, fewer)
    assert 0.0 <= copy_value(traffic_class, size_bytes, likely, more) <= worth


@given(CLASSES, SIZES, CHANCES, CHANCES, COPIES)
def test_a_copy_is_worth_more_where_it_is_likelier_to_arrive(
    traffic_class: int, size_bytes: int, one: float, other: float, copies: int
) -> None:
    less, more = sorted((one, other))
    worth = copy_value(traffic_class, size_bytes, less, copies)
    assert worth <= copy_value(traffic_class, size_bytes, more, copies) * (1 + 1e-12)


@given(CLASSES, SIZES, SIZES, CHANCES, COPIES)
def test_a_large_copy_is_worth_less(
    traffic_class: int, one: int, other: int, likely: float, copies: int
) -> None:
    less, more = sorted((one, other))
    worth = copy_value(traffic_class, less, likely, copies)
    assert copy_value(traffic_class, more, likely, copies) <= worth * (1 + 1e-12)


@given(CLASSES, CLASSES, SIZES, CHANCES, COPIES)
def test_a_lower_class_is_not_worth_more(
    one: int, other: int, size_bytes: int, likely: float, copies: int
) -> None:
    higher, lower = sorted((one, other))
    worth = copy_value(higher, size_bytes, likely, copies)
    assert copy_value(lower, size_bytes, likely, copies) <= worth


@given(CLASSES, CLASSES, st.floats(0, 1e9), st.floats(0, 1e9))
def test_two_never_take_each_others_place_and_none_that_of_a_more_urgent(
    one: int, other: int, one_value: float, other_value: float
) -> None:
    assert not (
        may_displace(one, one_value, other, other_value)
        and may_displace(other, other_value, one, one_value)
    )
    if one < other:
        assert not may_displace(one, one_value, other, other_value)


@given(CLASSES, SIZES)
def test_a_share_of_a_store_leaves_room_for_what_is_more_urgent(
    traffic_class: int, size_bytes: int
) -> None:
    share = store_share(traffic_class, size_bytes)
    assert 0.5 < share <= 1.0
    assert share <= store_share(traffic_class, min(size_bytes, SMALL_BYTES))
    assert share <= store_share(TrafficClass.SOS, size_bytes) == 1.0


@given(st.floats(0, 1e9), st.floats(0, 1e9), st.floats(1, 1e9))
def test_a_fuller_store_is_no_less_crowded(one: float, other: float, store_bytes: float) -> None:
    less, more = sorted((one, other))
    assert is_crowded(less, store_bytes) <= is_crowded(more, store_bytes)
    assert not is_crowded(0.0, store_bytes)
    assert is_crowded(store_bytes, store_bytes)


@given(st.integers(1, 10), COPIES, WAITS, WAITS)
def test_what_moves_on_may_be_handed_over(
    budget: int, copies: int, wait_s: float, peer_wait_s: float
) -> None:
    if moves_on(budget, wait_s, peer_wait_s):
        assert may_hand_over(budget, copies, wait_s, peer_wait_s)
        assert not moves_on(budget, peer_wait_s, wait_s)


@given(COPIES, WAITS)
def test_the_last_copy_stays_where_nobody_is_nearer(copies: int, wait_s: float) -> None:
    assert not may_hand_over(1, copies, wait_s, wait_s)
    assert not moves_on(1, wait_s, wait_s)


@given(CANDIDATES)
def test_within_a_class_the_order_is_that_of_the_service_levels(items: list[Candidate]) -> None:
    for first, second in pairwise(Gain().order(items, PEER, NOW_MS)):
        assert _turn(first) <= _turn(second)


def _turn(item: Candidate) -> tuple[int, int]:
    level = service_level(item.traffic_class, item.size_bytes, item.is_for_peer)
    return item.traffic_class, level


def test_what_decides_comes_in_this_order() -> None:
    expected = [
        candidate(9, TrafficClass.SOS, 60_000),
        candidate(8, size_bytes=5_000, is_for_peer=True),
        candidate(7, size_bytes=300, hops=1, expires_ms=NOW_MS + 2),
        candidate(1, size_bytes=300, hops=1, expires_ms=NOW_MS + 3),
        candidate(2, size_bytes=300, hops=2),
        candidate(3, size_bytes=5_000),
        candidate(6, size_bytes=60_000, is_for_peer=True),
        candidate(0, size_bytes=60_000),
        candidate(4, TrafficClass.STATE),
        candidate(5, TrafficClass.BULK, 60_000, is_for_peer=True),
    ]
    for turn in range(len(expected)):
        items = [*expected[turn:], *expected[:turn]]
        assert Gain().order(items, PEER, NOW_MS) == expected
    for some in permutations(expected[:5]):
        assert Gain().order(some, PEER, NOW_MS) == expected[:5]


def test_hops_and_expiry_at_the_limit_and_above() -> None:
    assert Gain().order([candidate(1, hops=HOPS_MAX - 1)], PEER, NOW_MS)
    assert Gain().order([candidate(1, hops=HOPS_MAX)], PEER, NOW_MS) == []
    assert Gain().order([candidate(1, expires_ms=NOW_MS)], PEER, NOW_MS) == []
