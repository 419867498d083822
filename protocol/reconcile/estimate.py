"""How many differences the symbols at hand speak of, and how sure that is.

Two observations per symbol: how far its count strays from what the sizes of the sets explain, and
whether it holds fewer than two ids. The second tells more while differences are few. Both scores
are added as if they were independent; the root is the estimate. Source: wire-format 5.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, exp, sqrt

__all__ = ["Estimate", "chance_of", "estimate_differences"]

_STEPS = 16
"""Halvings of the logarithm between a quarter and the fourfold of the first guess."""
_FACTOR = 4.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is known of the number of differences."""

    differences: int
    """Most likely number, at least 1."""
    doubt: float
    """Relative standard deviation."""


def chance_of(index: int) -> float:
    """Return how likely an id is in a symbol: 2 / (index + 2)."""
    return 2 / (index + 2)


def estimate_differences(spread: float, symbols: int, is_sparse: Sequence[bool]) -> Estimate:
    """Return the estimate from `symbols` symbols, number 0 not counted.

    `spread` is the sum of (count - expected)^2 / (p (1 - p)); `is_sparse` tells of the symbols
    from number 1 on, as many as wanted, whether they hold none or one. Cost: 16 µs per flag.
    """
    if symbols < 1:
        return Estimate(1, 1.0)
    guess = max(1.0, spread / symbols)
    low, high = max(1.0, guess / _FACTOR), guess * _FACTOR
    chances = [chance_of(index) for index in range(1, len(is_sparse) + 1)]
    for _ in range(_STEPS):
        middle = sqrt(low * high)
        score, _certainty = _sparse_score(middle, chances, is_sparse)
        if (spread / middle - symbols) / 2 + score > 0:
            low = middle
        else:
            high = middle
    _score, certainty = _sparse_score(high, chances, is_sparse)
    return Estimate(ceil(high), 1 / sqrt(symbols / 2 + certainty))


def _sparse_score(
    differences: float, chances: Sequence[float], is_sparse: Sequence[bool]
) -> tuple[float, float]:
    """Return the score by the logarithm of `differences`, and the information in it."""
    score = certainty = 0.0
    for chance, sparse in zip(chances, is_sparse, strict=True):
        load = differences * chance
        slope = load * load * exp(-load)
        likely = (1 + load) * exp(-load)
        unlikely = 1 - likely
        if likely < 1e-9 or unlikely < 1e-9:
            continue
        score += -slope / likely if sparse else slope / unlikely
        certainty += slope * slope / (likely * unlikely)
    return score, certainty
