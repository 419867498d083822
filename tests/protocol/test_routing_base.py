"""What every routing policy keeps to, whatever it prefers; one suite for all of them."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.limits import HOPS_MAX, Kind, TrafficClass
from protocol.routing.base import Candidate, Router
from protocol.routing.epidemic import Epidemic
from protocol.routing.gain import Gain
from tests.strategies import uints

PEER = bytes(16)
NOW_MS = 1_800_000_000_000
ROUTERS: list[Router] = [Epidemic(), Gain()]
everywhere = pytest.mark.parametrize("router", ROUTERS, ids=lambda router: type(router).__name__)


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


@everywhere
@given(CANDIDATES)
def test_what_expired_or_went_too_far_is_left_out_and_nothing_is_doubled(
    router: Router, items: list[Candidate]
) -> None:
    ordered = router.order(items, PEER, NOW_MS)
    expected = {
        item.short_id for item in items if item.expires_ms > NOW_MS and item.hops < HOPS_MAX
    }
    assert len(ordered) == len(expected)
    assert {item.short_id for item in ordered} == expected


@everywhere
@given(CANDIDATES)
def test_no_lower_class_goes_before_a_higher(router: Router, items: list[Candidate]) -> None:
    for first, second in pairwise(router.order(items, PEER, NOW_MS)):
        assert first.traffic_class <= second.traffic_class


@everywhere
@given(CANDIDATES, st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_that_of_the_store(
    router: Router, items: list[Candidate], random: Random
) -> None:
    shuffled = list(items)
    random.shuffle(shuffled)
    assert router.order(shuffled, PEER, NOW_MS) == router.order(items, PEER, NOW_MS)
