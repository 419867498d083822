"""Epidemic order: classes strictly, then what is for the peer, then small before large."""

from __future__ import annotations

from itertools import pairwise, permutations
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from protocol.limits import HOPS_MAX, Kind, TrafficClass
from protocol.routing.base import Candidate, Router
from protocol.routing.epidemic import Epidemic
from tests.strategies import uints

ROUTER: Router = Epidemic()
PEER = bytes(16)
NOW_MS = 1_800_000_000_000


def candidate(
    short_id: int,
    traffic_class: TrafficClass = TrafficClass.MESSAGE,
    size_bytes: int = 300,
    expires_ms: int = NOW_MS + 1,
    is_for_peer: bool = False,
    hops: int = 0,
) -> Candidate:
    return Candidate(
        short_id, traffic_class, Kind.TEXT, size_bytes, NOW_MS, expires_ms, is_for_peer, hops
    )


CANDIDATES = st.lists(
    st.builds(
        candidate,
        short_id=uints(),
        traffic_class=st.sampled_from(TrafficClass),
        size_bytes=st.integers(100, 65_000),
        expires_ms=st.integers(NOW_MS - 2, NOW_MS + 5),
        is_for_peer=st.booleans(),
        hops=st.integers(0, HOPS_MAX + 1),
    ),
    max_size=12,
    unique_by=lambda item: item.short_id,
)


@given(CANDIDATES)
def test_what_expired_or_went_too_far_is_left_out_and_nothing_else(items: list[Candidate]) -> None:
    ordered = ROUTER.order(items, PEER, NOW_MS)
    expected = {
        item.short_id for item in items if item.expires_ms > NOW_MS and item.hops < HOPS_MAX
    }
    assert len(ordered) == len(expected)
    assert {item.short_id for item in ordered} == expected


@given(CANDIDATES)
def test_no_lower_class_goes_before_a_higher(items: list[Candidate]) -> None:
    for first, second in pairwise(ROUTER.order(items, PEER, NOW_MS)):
        assert first.traffic_class <= second.traffic_class
        if first.traffic_class is second.traffic_class:
            assert first.is_for_peer or not second.is_for_peer


@given(CANDIDATES, st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_that_of_the_store(
    items: list[Candidate], random: Random
) -> None:
    shuffled = list(items)
    random.shuffle(shuffled)
    assert ROUTER.order(shuffled, PEER, NOW_MS) == ROUTER.order(items, PEER, NOW_MS)


def test_what_decides_comes_in_this_order() -> None:
    expected = [
        candidate(9, TrafficClass.SOS, 60_000, NOW_MS + 9),
        candidate(8, is_for_peer=True, size_bytes=60_000),
        candidate(7, size_bytes=1_023, expires_ms=NOW_MS + 9),
        candidate(2, size_bytes=5_000, expires_ms=NOW_MS + 1),
        candidate(6, size_bytes=4_200, expires_ms=NOW_MS + 2),
        candidate(1, TrafficClass.STATE, is_for_peer=True),
    ]
    for items in permutations(expected):
        assert ROUTER.order(items, PEER, NOW_MS) == expected


def test_the_deadline_counts_only_among_bundles_of_like_size() -> None:
    """A photo that ends sooner does not delay ten texts."""
    photo = candidate(1, size_bytes=60_000, expires_ms=NOW_MS + 1)
    texts = [candidate(number, expires_ms=NOW_MS + number) for number in range(2, 12)]
    assert ROUTER.order([photo, *reversed(texts)], PEER, NOW_MS) == [*texts, photo]


def test_hops_and_expiry_at_the_limit_and_above() -> None:
    assert ROUTER.order([candidate(1, hops=HOPS_MAX - 1)], PEER, NOW_MS)
    assert ROUTER.order([candidate(1, hops=HOPS_MAX)], PEER, NOW_MS) == []
    assert ROUTER.order([candidate(1, expires_ms=NOW_MS)], PEER, NOW_MS) == []
