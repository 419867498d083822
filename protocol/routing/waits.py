"""How long it takes until one node meets another: learned from past contacts, with no constant.

Plain arithmetic on numbers, so that the node and the compiled simulator run the same text.
Source: routing point 3; the waiting-time paradox (Feller, vol. 2, ch. 1) for the squared gaps.
"""

from __future__ import annotations

__all__ = ["FADING", "NEVER_S", "UNKNOWN_S", "chance", "pair_wait_s", "relayed_wait_s"]

NEVER_S = 1e18
"""Stands for a wait that nothing is known of; finite, so that sums and quotients stay numbers."""
UNKNOWN_S = 2_600_000.0
"""What is expected at most, a month: who was never met may be met all the same, s."""
FADING = 1.02
"""What a wait that was heard of grows by at each contact: old news counts for less."""


def pair_wait_s(half_squares_s2: float, observed_s: float) -> float:
    """Return the expected wait from a random moment until two nodes are in contact, seconds.

    Args:
        half_squares_s2: sum of g²/2 over the gaps g between their contacts so far, s².
        observed_s: how long they have been watched, contacts included; above 0.
    """
    return half_squares_s2 / observed_s


def relayed_wait_s(known_s: float, meeting_s: float, onward_s: float) -> float:
    """Return the expected wait to a third node after a contact with one that waits `onward_s`.

    Args:
        known_s: what was expected before the contact.
        meeting_s: the expected wait until the other node is met again.
        onward_s: the wait that the other node expects.
    """
    return min(min(known_s, NEVER_S) * FADING, meeting_s + onward_s)


def chance(remaining_s: float, wait_s: float) -> float:
    """Return the chance of a meeting within `remaining_s` where one is expected in `wait_s`.

    The first term of the continued fraction of 1 - exp(-remaining/wait): in [0, 1), rising with
    the one and falling with the other, and the same on every machine, which `exp` is not.
    """
    if remaining_s <= 0.0:
        return 0.0
    return remaining_s / (remaining_s + min(wait_s, UNKNOWN_S))
