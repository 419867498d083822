"""The life of an alarm: any order gives one state, and forged steps give none."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.alarms import (
    AIRED_TEXT_BYTES_MAX,
    BASES,
    CLOSERS_MIN,
    CUT_MARK,
    STEPS,
    Basis,
    Outcome,
    Standing,
    Step,
    Told,
    aired_text,
    counts,
    summed,
)
from protocol.ids import BundleId, NodeId
from protocol.payloads import Sos
from tests.reference.alarms import Sign, outcome_of, state_of

SCOPE = b"\x04\x00\x07"
STANDINGS = {
    bytes([number]) * 16: standing
    for number, standing in enumerate(
        (
            Standing.RAISER,
            Standing.OPERATOR,
            Standing.OPERATOR,
            Standing.MEMBER,
            Standing.MEMBER,
            Standing.MEMBER,
            Standing.NONE,
        )
    )
}
RAISER, OPERATOR, _OTHER, ANNA, BRUNO, CARLA, STRANGER = STANDINGS
TIMES = iter(range(1, 10**9))


def standing_of(told: Told) -> Standing:
    """What an author is to the alarm."""
    return STANDINGS[told.name.author]


def sos_of(who: NodeId, step: int, **more: Any) -> Sos:
    """A step as its author would write it."""
    if step == Step.CLOSED and "basis" not in more:
        more["basis"] = BASES.get(STANDINGS[who], Basis.NONE)
    if step == Step.CLOSED and "outcome" not in more:
        more["outcome"] = Outcome.OVER
    raiser = b"" if step == Step.RAISED else RAISER
    return Sos(who, SCOPE, "", b"alarm-id", step, raiser=raiser, **more)


def told(who: NodeId, step: int, seq: int = 0, **more: Any) -> Told:
    """A step that came."""
    return Told(BundleId(who, 1, seq or next(TIMES)), 1_000, sos_of(who, step, **more))


def signs_of(steps: list[Told]) -> list[Sign]:
    """The same for the slow reference."""
    return [
        Sign(
            each.name.author,
            standing_of(each).name.lower(),
            each.sos.step,
            each.sos.round,
            each.sos.basis,
            each.sos.outcome,
        )
        for each in steps
    ]


@st.composite
def histories(draw: st.DrawFn) -> list[Told]:
    """Steps by anybody, right and wrong ones."""
    steps = []
    for seq in range(1, draw(st.integers(1, 12)) + 1):
        who, step = draw(st.sampled_from(list(STANDINGS))), draw(st.integers(0, 5))
        more = {"round": draw(st.integers(0, 2))}
        if draw(st.booleans()):
            more |= {"basis": draw(st.integers(0, 3)), "outcome": draw(st.integers(0, 2))}
        if step == 0:
            more["number"] = draw(st.integers(0, 3))
        steps.append(told(who, step, seq, **more))
    return steps


@given(histories(), st.data())
def test_any_order_and_any_number_of_copies_come_to_the_same(
    steps: list[Told], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(steps))
    again = [*shuffled, *data.draw(st.lists(st.sampled_from(steps), max_size=5))]
    assert summed(steps, standing_of) == summed(again, standing_of)


@given(histories())
def test_the_state_is_what_counting_by_hand_gives(steps: list[Told]) -> None:
    found = summed(steps, standing_of)
    assert int(found.state) == state_of(signs_of(steps))
    allowed = outcome_of(signs_of(steps))
    assert (found.outcome in allowed) if allowed else found.outcome is Outcome.NONE


@given(histories(), histories())
def test_two_halves_join_to_the_whole(left: list[Told], right: list[Told]) -> None:
    """What two nodes know is joined by uniting it: commutative, associative and idempotent."""
    right = [replace(each, name=replace(each.name, incarnation=2)) for each in right]
    whole = summed([*left, *right], standing_of)
    assert whole == summed([*right, *left, *right], standing_of)
    assert whole.round >= summed(left, standing_of).round


@given(histories())
def test_more_steps_never_lead_back_within_a_round(steps: list[Told]) -> None:
    before = None
    for count in range(1, len(steps) + 1):
        found = summed(steps[:count], standing_of)
        if before is not None and before.round == found.round and before.raised is not None:
            assert found.state >= before.state
        before = found


def test_all_orders_of_a_whole_life() -> None:
    life = [
        told(RAISER, Step.RAISED),
        told(ANNA, Step.SEEN),
        told(ANNA, Step.TAKEN),
        told(BRUNO, Step.TAKEN),
        told(ANNA, Step.ON_SCENE),
        told(OPERATOR, Step.CLOSED),
    ]
    assert {summed(order, standing_of).state for order in permutations(life)} == {Step.CLOSED}
    states = [summed(life[: count + 1], standing_of).state for count in range(len(life))]
    assert states == [0, 1, 2, 2, 3, 4]
    found = summed(life, standing_of)
    assert [each.name.author for each in found.taken] == [ANNA, BRUNO]


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("standing", Standing)
def test_the_table_says_who_may_do_what(step: Step, standing: Standing) -> None:
    who = next(node for node, each in STANDINGS.items() if each is standing)
    assert counts(sos_of(who, step), standing) is (standing in STEPS[step])


def test_one_witness_is_too_few_and_the_same_one_twice_as_well() -> None:
    raised = told(RAISER, Step.RAISED)
    first, again = told(ANNA, Step.CLOSED), told(ANNA, Step.CLOSED)
    assert summed([raised, first, again], standing_of).state is Step.RAISED
    assert len(summed([raised, first, again], standing_of).closings) == 1
    assert summed([raised, first, told(BRUNO, Step.CLOSED)], standing_of).state is Step.CLOSED
    assert min(CLOSERS_MIN.values()) == 1


@pytest.mark.parametrize(
    ("who", "basis"),
    [
        (ANNA, Basis.AGENT),
        (ANNA, Basis.OPERATOR),
        (ANNA, Basis.NONE),
        (RAISER, Basis.OPERATOR),
        (RAISER, Basis.WITNESS),
        (OPERATOR, Basis.AGENT),
        (STRANGER, Basis.WITNESS),
        (STRANGER, Basis.AGENT),
    ],
)
def test_nobody_closes_by_a_right_of_others(who: NodeId, basis: Basis) -> None:
    raised = told(RAISER, Step.RAISED)
    forged = told(who, Step.CLOSED, basis=basis)
    found = summed([raised, forged, told(BRUNO, Step.CLOSED)], standing_of)
    assert (found.state, found.ignored) == (Step.RAISED, 1)


def test_a_closed_alarm_opens_again_by_its_agent_alone() -> None:
    life = [told(RAISER, Step.RAISED), told(OPERATOR, Step.CLOSED, outcome=Outcome.FALSE_ALARM)]
    assert summed(life, standing_of).outcome is Outcome.FALSE_ALARM
    assert summed([*life, told(ANNA, Step.RAISED, round=1)], standing_of).state is Step.CLOSED
    anew = [*life, told(RAISER, Step.RAISED, round=1)]
    assert summed(anew, standing_of).state is Step.RAISED
    # A closing of the round before, however late it comes, does not close this one.
    late = [*anew, told(RAISER, Step.CLOSED), told(ANNA, Step.CLOSED), told(BRUNO, Step.CLOSED)]
    assert summed(late, standing_of).state is Step.RAISED
    assert summed([*late, told(RAISER, Step.CLOSED, round=1)], standing_of).state is Step.CLOSED


def test_steps_before_their_alarm_wait_for_it() -> None:
    early = [told(ANNA, Step.TAKEN), told(OPERATOR, Step.CLOSED)]
    found = summed(early, standing_of)
    assert (found.raised, found.state) == (None, Step.TAKEN)
    assert summed([*early, told(RAISER, Step.RAISED)], standing_of).state is Step.CLOSED


def test_the_newest_repeat_is_shown() -> None:
    steps = [told(RAISER, Step.RAISED, number=number) for number in (2, 0, 1)]
    found = summed(steps, standing_of)
    assert (found.raised, found.first) == (steps[0], steps[1])


def raising(number: int, text: str, round_: int = 0) -> Told:
    """Return a raising by the agent with these words."""
    one = told(RAISER, Step.RAISED, number=number, round=round_)
    return replace(one, sos=replace(one.sos, text=text))


def test_a_text_that_was_cut_is_spelled_out_once_the_whole_one_is_there() -> None:
    whole, cut = "Chute au col, jambe cassée", "Chute au col,…"
    steps = [raising(1, cut), raising(0, whole), raising(2, "Chute au…")]
    for some, shown in (([0], cut), ([0, 2], cut), ([0, 1, 2], whole), ([1], whole)):
        found = summed([steps[each] for each in some], standing_of)
        assert found.raised is not None
        assert found.raised.sos.text == shown
        assert found.raised.sos.number == max(steps[each].sos.number for each in some)
    for other in (
        raising(0, "Une autre chose, et plus longue"),
        raising(0, whole, 1),
        raising(0, "Chute"),
    ):
        found = summed([steps[0], other], standing_of)
        assert found.raised is not None
        assert found.raised.sos.text == (whole if other.sos.round else cut)


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_a_text_for_the_air_is_a_beginning_of_bounded_length(text: str) -> None:
    aired = aired_text(text)
    assert len(aired.encode()) <= AIRED_TEXT_BYTES_MAX
    if len(text.encode()) <= AIRED_TEXT_BYTES_MAX:
        assert aired == text
    else:
        assert aired.endswith(CUT_MARK)
        assert text.startswith(aired.removesuffix(CUT_MARK))
        assert len(aired.encode()) > AIRED_TEXT_BYTES_MAX - 4 * 17 - 4


def test_a_cut_is_between_words_where_one_ends_near() -> None:
    assert aired_text("a" * 60 + " " + "b" * 60) == "a" * 60 + CUT_MARK
    assert aired_text("é" * 60) == "é" * 34 + CUT_MARK


def test_what_is_said_is_not_printed() -> None:
    sos = replace(sos_of(RAISER, Step.RAISED), text="blessée au col")
    assert "bless" not in repr(Told(BundleId(RAISER, 1, 1), 0, sos))
