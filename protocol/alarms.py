"""The life of an alarm: raised, seen, taken, on scene, closed.

Every node keeps the steps that came and asks here what they come to. The answer depends on the
set of steps alone, never on their order or on a clock: two nodes with the same steps and the same
documents say the same. A step that may not be taken stays in the set and counts for nothing.
Source: wire-format 4.19 and 4.40, security 2.8, decision 26.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from protocol.guards import ALARM_REPEAT_EVERY_MS, ALARM_REPEAT_MS
from protocol.ids import BundleId, NodeId
from protocol.payloads import Sos

__all__ = [
    "AIRED_TEXT_BYTES_MAX",
    "BASES",
    "CLOSERS_MIN",
    "CUT_MARK",
    "STEPS",
    "Alarm",
    "Basis",
    "Outcome",
    "Standing",
    "Step",
    "Told",
    "aired_text",
    "counts",
    "is_to_be_cut",
    "repeat_due_ms",
    "summed",
]

AIRED_TEXT_BYTES_MAX: Final = 72
"""Longest text of an alarm with a place and a number that fits a narrow form sent whole."""
CUT_MARK: Final = "\u2026"
"""Stands at the end of a text that was cut."""
_WORD_CHARACTERS_MAX: Final = 16
"""A longer piece of a word is kept: the text may have no spaces."""


class Step(IntEnum):
    """A step, and the state in which it leaves the alarm; a later one includes those before."""

    RAISED = 0
    SEEN = 1
    TAKEN = 2
    ON_SCENE = 3
    CLOSED = 4


class Standing(IntEnum):
    """What somebody is to an alarm, by the documents in force."""

    NONE = 0
    """A stranger, a member of another zone, a relay, a gateway, or revoked when it wrote."""
    MEMBER = 1
    """A colleague of the zone."""
    OPERATOR = 2
    """An operator of the zone."""
    RAISER = 3
    """The agent who raised it."""


class Basis(IntEnum):
    """By which right somebody closes."""

    NONE = 0
    AGENT = 1
    OPERATOR = 2
    WITNESS = 3


class Outcome(IntEnum):
    """How it ended."""

    NONE = 0
    OVER = 1
    """Help was given, or is needed no more."""
    FALSE_ALARM = 2


_HELPERS: Final = frozenset({Standing.MEMBER, Standing.OPERATOR})
STEPS: Final[Mapping[Step, frozenset[Standing]]] = MappingProxyType(
    {
        Step.RAISED: frozenset({Standing.RAISER}),
        Step.SEEN: _HELPERS,
        Step.TAKEN: _HELPERS,
        Step.ON_SCENE: _HELPERS,
        Step.CLOSED: _HELPERS | {Standing.RAISER},
    }
)
"""Who may take each step. Every other pair counts for nothing."""
_KNOWN: Final = frozenset(int(each) for each in Step)
BASES: Final[Mapping[Standing, Basis]] = MappingProxyType(
    {
        Standing.RAISER: Basis.AGENT,
        Standing.OPERATOR: Basis.OPERATOR,
        Standing.MEMBER: Basis.WITNESS,
    }
)
"""The basis on which each closes; with another one a closing counts for nothing."""
CLOSERS_MIN: Final[Mapping[Standing, int]] = MappingProxyType(
    {Standing.RAISER: 1, Standing.OPERATOR: 1, Standing.MEMBER: 2}
)
"""How many distinct people of a standing close it: the agent, an operator, or two witnesses."""


@dataclass(frozen=True, slots=True)
class Told:
    """One step as it came."""

    name: BundleId
    """The bundle that brought it; who took the step is its author."""
    at_ms: int
    """When, by the stamp of its author, Unix milliseconds; shown, and decides nothing."""
    sos: Sos = field(repr=False)
    """What it says."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """What the steps of one alarm come to."""

    state: Step
    """The furthest that was reached in this round."""
    round: int
    """How often the agent raised it anew after a closing."""
    raised: Told | None
    """The newest raising of this round, its text spelled out by an earlier one where it was cut;
    None where no raising has come, and nobody may act."""
    first: Told | None
    """The first raising of this round that is known."""
    seen: tuple[Told, ...]
    """Who saw it in this round, each once, ascending by author."""
    taken: tuple[Told, ...]
    """Who took it on; there may be several."""
    on_scene: tuple[Told, ...]
    """Who is there."""
    closings: tuple[Told, ...]
    """Who wants it closed: fewer than are needed leave it open."""
    outcome: Outcome
    """How it ended; NONE while it is open."""
    ignored: int
    """Steps that count for nothing: forged, foreign, or of another round."""


def counts(sos: Sos, standing: Standing) -> bool:
    """True if somebody of this standing may take this step, on the basis that it gives."""
    if sos.step not in _KNOWN or standing not in STEPS[Step(sos.step)]:
        return False
    if sos.step != Step.CLOSED:
        return sos.basis == Basis.NONE and sos.outcome == Outcome.NONE
    return sos.basis == BASES[standing] and sos.outcome in (Outcome.OVER, Outcome.FALSE_ALARM)


def summed(told: Iterable[Told], standing: Callable[[Told], Standing]) -> Alarm:
    """Return what steps of one alarm come to, in whatever order and however often they came.

    `standing` says what the author of a step is to the alarm. Cost: O(n log n).
    """
    steps = {each.name: each for each in told}
    valid = [(each, who) for each in steps.values() if counts(each.sos, who := standing(each))]
    raisings = [each for each, _who in valid if each.sos.step == Step.RAISED]
    current = max((each.sos.round for each in raisings), default=0)
    here = [(each, who) for each, who in valid if each.sos.round == current]
    raised = sorted((each for each in raisings if each.sos.round == current), key=_by_number)
    closings = _firsts(here, Step.CLOSED)
    deciding = _deciding(closings, here) if raised else None
    by_step = {step: _firsts(here, step) for step in (Step.SEEN, Step.TAKEN, Step.ON_SCENE)}
    reached = [step for step, found in by_step.items() if found]
    return Alarm(
        state=Step.CLOSED if deciding is not None else max(reached, default=Step.RAISED),
        round=current,
        raised=_spelled_out(raised) if raised else None,
        first=raised[0] if raised else None,
        seen=by_step[Step.SEEN],
        taken=by_step[Step.TAKEN],
        on_scene=by_step[Step.ON_SCENE],
        closings=closings,
        outcome=Outcome.NONE if deciding is None else Outcome(deciding.sos.outcome),
        ignored=len(steps) - len(here),
    )


def _order(told: Told) -> tuple[NodeId, int, int]:
    return told.name.author, told.name.incarnation, told.name.seq


def _by_number(told: Told) -> tuple[int, tuple[NodeId, int, int]]:
    return told.sos.number, _order(told)


def _firsts(here: Iterable[tuple[Told, Standing]], step: Step) -> tuple[Told, ...]:
    """Return the first time that each took `step`, by the number of its bundle."""
    found: dict[NodeId, Told] = {}
    for each, _who in here:
        author = each.name.author
        if each.sos.step == step and (author not in found or _order(each) < _order(found[author])):
            found[author] = each
    return tuple(found[author] for author in sorted(found))


def _deciding(closings: Iterable[Told], here: Iterable[tuple[Told, Standing]]) -> Told | None:
    """Return the closing whose outcome holds: of the highest standing, None if too few closed."""
    standings = {each.name: who for each, who in here}
    for who in (Standing.RAISER, Standing.OPERATOR, Standing.MEMBER):
        found = [each for each in closings if standings[each.name] is who]
        if len(found) >= CLOSERS_MIN[who]:
            return min(found, key=lambda each: (each.sos.outcome, _order(each)))
    return None


def aired_text(text: str) -> str:
    """Return `text`, or its beginning and a mark where that alone fits a narrow form sent whole.

    It is cut between characters, at a space where one is near. Source: wire-format 4.40.
    """
    raw = text.encode("utf-8")
    if len(raw) <= AIRED_TEXT_BYTES_MAX:
        return text
    room = AIRED_TEXT_BYTES_MAX - len(CUT_MARK.encode("utf-8"))
    stem = raw[:room].decode("utf-8", "ignore")
    head, _space, tail = stem.rpartition(" ")
    return (head if head and len(tail) <= _WORD_CHARACTERS_MAX else stem) + CUT_MARK


def is_to_be_cut(sos: Sos) -> bool:
    """True for a raising that not everybody hears by the air before its beginning is repeated."""
    return sos.number == 0 and aired_text(sos.text) != sos.text


def _spelled_out(raisings: Sequence[Told]) -> Told:
    """Return the last raising, with the longest text that it may have been cut from."""
    last = raisings[-1]
    if not last.sos.text.endswith(CUT_MARK):
        return last
    stem, texts = last.sos.text.removesuffix(CUT_MARK), [each.sos.text for each in raisings]
    longer = [each for each in texts if each.startswith(stem) and len(each) > len(stem)]
    text = max(longer, key=lambda each: (not each.endswith(CUT_MARK), len(each), each))
    return replace(last, sos=replace(last.sos, text=text))


def repeat_due_ms(first_ms: int, last_ms: int) -> int:
    """Return when an alarm first raised at `first_ms` is looked at anew, after `last_ms`.

    One, two and five minutes after it was raised, then every ten; Unix milliseconds.
    """
    for mark_ms in ALARM_REPEAT_MS:
        if first_ms + mark_ms > last_ms:
            return first_ms + mark_ms
    begun_ms = first_ms + ALARM_REPEAT_MS[-1]
    return begun_ms + ((last_ms - begun_ms) // ALARM_REPEAT_EVERY_MS + 1) * ALARM_REPEAT_EVERY_MS
