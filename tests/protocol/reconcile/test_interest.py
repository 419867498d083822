"""Interests have one order: by zone, then by urgency."""

from __future__ import annotations

from itertools import product

from protocol.limits import TrafficClass
from protocol.reconcile.interest import Interest


def test_interests_are_ordered_by_zone_then_class() -> None:
    expected = [Interest(zone, cls) for zone, cls in product((1, 2, 700), TrafficClass)]
    assert sorted(set(expected)) == expected
    assert len(set(expected)) == len(expected)


def test_the_same_interest_is_one_key() -> None:
    assert {Interest(7, TrafficClass.SOS): 1}[Interest(7, TrafficClass(1))] == 1
