"""Quantiles of Student's t distribution, for intervals over a few seeds."""

from __future__ import annotations

import math

__all__ = ["t_central", "t_quantile"]


def t_central(t: float, freedom: int) -> float:
    """Return the probability that |T| <= `t`, for a whole number of degrees of freedom from 1 on.

    Source: Abramowitz and Stegun, 26.7.3 and 26.7.4, finite series. Cost: O(freedom).
    """
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    is_odd = freedom % 2 == 1
    term = cosine if is_odd else 1.0
    total = 0.0 if freedom == 1 else term
    for step in range(3 if is_odd else 2, freedom - 1, 2):
        term *= cosine**2 * (step - 1) / step
        total += term
    return 2.0 / math.pi * (angle + sine * total) if is_odd else sine * total


def t_quantile(confidence: float, freedom: int) -> float:
    """Return t with P(|T| <= t) = `confidence`, which lies between 0 and 1: by bisection."""
    assert 0 < confidence < 1, "a probability that can be reached"
    assert freedom >= 1, "one difference alone has no spread"
    low, high = 0.0, 1.0
    while t_central(high, freedom) < confidence:
        high *= 2.0
    while (middle := (low + high) / 2.0) not in (low, high):
        if t_central(middle, freedom) < confidence:
            low = middle
        else:
            high = middle
    return high
