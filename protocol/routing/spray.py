"""Binary spray and wait: a message has a number of copies, and each hand-over gives half of them.

A copy that stands for one only waits for the destination. Source: Spyropoulos, Psounis and
Raghavendra, "Spray and Wait", WDTN 2005.
"""

from __future__ import annotations

__all__ = ["COPIES", "given", "may_spray"]

COPIES = 10
"""Copies of a message where nothing else is said; the figure that comparisons use."""


def may_spray(copies: int) -> bool:
    """Tell whether a holder of `copies` gives some to a node that is not the destination."""
    return copies > 1


def given(copies: int) -> int:
    """Return how many of `copies` the other node gets; the holder keeps the larger half."""
    return copies // 2
