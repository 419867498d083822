"""The life of an alarm by counting, clause by clause of wire-format 4.19: slow and obvious.

Knows nothing of `protocol.alarms`: standings and steps are the words of the page.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Sign", "outcome_of", "state_of"]


class Sign(NamedTuple):
    """One step, as the page sees it."""

    who: bytes
    """Its author."""
    standing: str
    """`none`, `member`, `operator` or `raiser`."""
    step: int
    """0-15."""
    round: int
    """0-15."""
    basis: int
    """0-3."""
    outcome: int
    """0-2."""


def _counts(sign: Sign) -> bool:
    if sign.step == 0:
        return sign.standing == "raiser" and (sign.basis, sign.outcome) == (0, 0)
    if sign.step in (1, 2, 3):
        return sign.standing in ("member", "operator") and (sign.basis, sign.outcome) == (0, 0)
    right = {"raiser": 1, "operator": 2, "member": 3}
    return sign.step == 4 and right.get(sign.standing) == sign.basis != 0 and sign.outcome in (1, 2)


def _round(signs: Iterable[Sign]) -> int | None:
    rounds = [sign.round for sign in signs if _counts(sign) and sign.step == 0]
    return max(rounds) if rounds else None


def _closers(signs: Iterable[Sign], standing: str) -> set[bytes]:
    signs = list(signs)
    return {
        sign.who
        for sign in signs
        if _counts(sign) and (sign.step, sign.standing, sign.round) == (4, standing, _round(signs))
    }


def state_of(signs: Iterable[Sign]) -> int:
    """Return the step that the alarm has reached."""
    signs = list(signs)
    if (
        _closers(signs, "raiser")
        or _closers(signs, "operator")
        or len(_closers(signs, "member")) >= 2
    ):
        return 4
    reached = 0
    for sign in signs:
        if _counts(sign) and sign.step in (1, 2, 3) and sign.round == (_round(signs) or 0):
            reached = max(reached, sign.step)
    return reached


def outcome_of(signs: Iterable[Sign]) -> set[int]:
    """Return the outcomes that the word of the closers allows; empty while it is open."""
    signs = list(signs)
    if state_of(signs) != 4:
        return set()
    for standing, needed in (("raiser", 1), ("operator", 1), ("member", 2)):
        who = _closers(signs, standing)
        if len(who) >= needed:
            return {
                sign.outcome
                for sign in signs
                if _counts(sign)
                and (sign.step, sign.standing, sign.round) == (4, standing, _round(signs))
            }
    raise AssertionError("a closed alarm has closers")
