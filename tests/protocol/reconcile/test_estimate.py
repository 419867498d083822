"""The estimate is near the truth, and knows how near."""

from __future__ import annotations

from statistics import mean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.reconcile.estimate import Estimate, chance_of, estimate_differences
from protocol.reconcile.symbols import indices
from tests.protocol.reconcile.sets import numbers

SYMBOLS = 64


def observed(differences: int, seed: int) -> Estimate:
    """Return the estimate of a first flight between two sets of one size."""
    counts, held = [0] * SYMBOLS, [0] * SYMBOLS
    for place, short_id in enumerate(numbers(f"{seed} {differences}", differences)):
        for index in indices(short_id, SYMBOLS):
            counts[index] += 1 if place % 2 else -1
            held[index] += 1
    spread = sum(
        counts[index] ** 2 / (chance_of(index) * (1 - chance_of(index)))
        for index in range(1, SYMBOLS)
    )
    return estimate_differences(spread, SYMBOLS - 1, [each < 2 for each in held[1:]])


@pytest.mark.slow
@pytest.mark.parametrize("differences", [10, 40, 100, 1_000, 5_000])
def test_the_estimate_is_right_on_average_and_doubts_as_much_as_it_errs(differences: int) -> None:
    seen = [observed(differences, seed) for seed in range(25 if differences > 100 else 80)]
    found = [each.differences for each in seen]
    assert mean(found) == pytest.approx(differences, rel=0.12)
    doubt = mean(each.doubt for each in seen)
    assert 0.5 < pstdev(found) / differences / doubt < 1.7
    assert doubt < 0.2


def test_few_differences_are_known_better_than_by_counts_alone() -> None:
    alone = estimate_differences(50.0 * 63, 63, [])
    assert alone.doubt == pytest.approx((2 / 63) ** 0.5)
    assert observed(50, 1).doubt < 0.8 * alone.doubt


def test_without_symbols_nothing_is_known() -> None:
    assert estimate_differences(0.0, 0, []) == Estimate(1, 1.0)


@given(
    st.floats(0, 1e18, allow_nan=False),
    st.integers(1, 4_095),
    st.lists(st.booleans(), max_size=63),
)
def test_any_observation_gives_an_estimate(
    spread: float, symbols: int, is_sparse: list[bool]
) -> None:
    estimate = estimate_differences(spread, symbols, is_sparse)
    assert estimate.differences >= 1
    assert 0 < estimate.doubt <= 2


def test_the_chance_of_a_symbol() -> None:
    assert chance_of(0) == 1
    assert chance_of(2) == 0.5
