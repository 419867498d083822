"""Delivery predictability of PRoPHET version 2 (RFC 6693), as arithmetic on numbers.

Source: RFC 6693, sections 2.1 (the equations) and 3.3 (the values). The encounter rule is that of
version 2, which counts less where two nodes meet again at once.
"""

from __future__ import annotations

__all__ = ["TIME_UNIT_S", "aged", "encountered", "is_better", "transitive"]

ENCOUNTER_MAX = 0.7
"""P_encounter_max."""
BETA = 0.9
"""Weight of what was heard of."""
GAMMA = 0.999
"""What is left of a predictability after one time unit."""
DELTA = 0.01
"""So that no predictability reaches 1."""
TIME_UNIT_S = 30.0
"""One time unit of aging, seconds."""
INTERVAL_S = 1800.0
"""I_typ: meetings closer than this count in proportion, seconds."""


def encountered(before: float, since_s: float) -> float:
    """Return the predictability of a node that is met now, after `since_s` without it."""
    weight = ENCOUNTER_MAX if since_s >= INTERVAL_S else ENCOUNTER_MAX * since_s / INTERVAL_S
    return before + (1.0 - DELTA - before) * weight


def aged(before: float, factor: float) -> float:
    """Return the predictability after time has passed; `factor` is GAMMA per unit gone by."""
    return before * factor


def transitive(before: float, to_peer: float, of_peer: float) -> float:
    """Return the predictability of a third node after hearing what a peer has."""
    return max(before, to_peer * of_peer * BETA)


def is_better(here: float, there: float) -> bool:
    """Tell whether the other node gets a copy (the rule GRTR of section 3.6)."""
    return there > here
