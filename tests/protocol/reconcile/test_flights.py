"""How large flights are: neither wasteful nor in need of many round trips."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.limits import SKETCH_SYMBOLS
from protocol.reconcile.estimate import Estimate
from protocol.reconcile.flights import FIRST_FLIGHT, first_count, next_count, symbols_for
from protocol.reconcile.symbols import SYMBOL_BYTES

MANY = 10**6


def test_a_difference_takes_less_the_more_there_are() -> None:
    rates = [symbols_for(count) / count for count in (5, 20, 100, 1_000, 10_000)]
    assert rates == sorted(rates, reverse=True)
    assert 1.35 < rates[-1] < 1.4
    assert symbols_for(0) == 0


@pytest.mark.parametrize(
    ("ours", "theirs", "count"),
    [
        (MANY, MANY, FIRST_FLIGHT),
        (MANY, MANY + 30, FIRST_FLIGHT),
        (0, 5, 0),
        (104, 104, 0),
        (105, 105, FIRST_FLIGHT),
        (MANY, MANY - 2_900, 0),
        (100, MANY, 0),
    ],
)
def test_the_first_flight(ours: int, theirs: int, count: int) -> None:
    assert first_count(ours, theirs) == count


@pytest.mark.parametrize("proven", [100, 500, 2_500])
def test_a_difference_of_the_sizes_makes_the_first_flight_larger(proven: int) -> None:
    for ours, theirs in ((MANY, MANY + proven), (MANY + proven, MANY)):
        assert 1.38 * proven < first_count(ours, theirs) < 1.6 * proven


def test_the_first_flight_ends_with_the_sketch() -> None:
    assert first_count(MANY, MANY, 63) == 0
    assert first_count(MANY, MANY, 64) == 64


@given(
    st.integers(1, 10**6),
    st.floats(0.01, 1.0),
    st.integers(0, 10**4),
    st.integers(1, SKETCH_SYMBOLS),
    st.integers(0, 10**6),
    st.integers(1, SKETCH_SYMBOLS),
)
def test_any_flight_is_within_its_bounds(
    differences: int, doubt: float, found: int, held: int, theirs: int, size: int
) -> None:
    found = min(found, differences)
    count = next_count(Estimate(differences, doubt), found, held, theirs, size)
    assert count >= 0
    if count:
        assert held + count <= size
        assert count * SYMBOL_BYTES <= 8 * theirs


def test_a_second_flight_covers_its_doubt() -> None:
    sure = next_count(Estimate(1_000, 0.01), 0, 64, MANY, SKETCH_SYMBOLS)
    unsure = next_count(Estimate(1_000, 0.18), 0, 64, MANY, SKETCH_SYMBOLS)
    assert symbols_for(1_000) < sure + 64 < unsure + 64 < 2 * 1_000


def test_what_was_almost_decoded_gets_a_few_symbols_more() -> None:
    assert next_count(Estimate(20, 0.1), 18, 64, MANY, SKETCH_SYMBOLS) == 4
    assert next_count(Estimate(30, 0.1), 10, 64, MANY, SKETCH_SYMBOLS) >= 4


def test_later_flights_are_no_drops() -> None:
    assert next_count(Estimate(100, 0.05), 99, 400, MANY, SKETCH_SYMBOLS) == 60


def test_near_the_end_of_the_sketch_all_is_asked_for() -> None:
    assert next_count(Estimate(2_900, 0.18), 0, 64, MANY, SKETCH_SYMBOLS) == SKETCH_SYMBOLS - 64
    assert next_count(Estimate(6_000, 0.1), 0, 64, MANY, SKETCH_SYMBOLS) == 0
    assert next_count(Estimate(2_900, 0.02), 0, SKETCH_SYMBOLS, MANY, SKETCH_SYMBOLS) == 0


def test_a_list_is_taken_where_it_is_cheaper() -> None:
    assert next_count(Estimate(500, 0.1), 0, 64, 700, SKETCH_SYMBOLS) == 0
    assert next_count(Estimate(500, 0.1), 0, 64, 2_000, SKETCH_SYMBOLS) > 0
