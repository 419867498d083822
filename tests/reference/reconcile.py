"""What two sets lack of each other, and what may be spent to find it out: the judge.

Sets of Python and plain arithmetic; nothing of `protocol.reconcile` is used. Source: wire-format 5
and 6.6, DESIGN D2.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["bytes_max", "difference"]

_ID_BYTES = 8
_ROUND_BYTES = 160
"""SUMMARY, heads of two flights, MORE and ROUND_END."""


def difference(ours: Iterable[int], theirs: Iterable[int]) -> tuple[set[int], set[int]]:
    """Return what only we hold, and what only they hold."""
    ours, theirs = set(ours), set(theirs)
    return ours - theirs, theirs - ours


def bytes_max(ours: Iterable[int], theirs: Iterable[int]) -> int:
    """Return what one round may cost at most: all symbols there are, then the list of ids."""
    symbols = 4_096
    return _ROUND_BYTES + 13 * symbols + 40 * symbols // 64 + _ID_BYTES * len(set(theirs)) * 2
