"""Epidemic order: classes strictly, then what is for the peer, then small before large."""

from __future__ import annotations

from itertools import permutations

from protocol.limits import HOPS_MAX, TrafficClass
from protocol.routing.epidemic import Epidemic
from tests.protocol.test_routing_base import NOW_MS, PEER, candidate

ROUTER = Epidemic()


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
