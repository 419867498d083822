"""Direct delivery: only what is for the peer, most urgent first."""

from __future__ import annotations

from itertools import permutations

from protocol.limits import TrafficClass
from protocol.routing.direct import Direct
from tests.protocol.test_routing_base import NOW_MS, PEER, candidate

ROUTER = Direct()


def test_what_is_for_others_stays() -> None:
    items = [candidate(1), candidate(2, is_for_peer=True), candidate(3, TrafficClass.SOS)]
    assert ROUTER.order(items, PEER, NOW_MS) == [items[1]]


def test_class_comes_before_age() -> None:
    expected = [
        candidate(9, TrafficClass.SOS, is_for_peer=True),
        candidate(1, is_for_peer=True),
        candidate(2, is_for_peer=True),
        candidate(0, TrafficClass.BULK, is_for_peer=True),
    ]
    for items in permutations(expected):
        assert ROUTER.order(items, PEER, NOW_MS) == expected


def test_what_expired_stays() -> None:
    assert ROUTER.order([candidate(1, is_for_peer=True, expires_ms=NOW_MS)], PEER, NOW_MS) == []
