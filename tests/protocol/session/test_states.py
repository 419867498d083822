"""The table of states: no way back, an end from everywhere, and a page that says the same."""

from __future__ import annotations

import pytest

from protocol.session.frames import FrameType
from protocol.session.states import TABLE, Answer, State, render

ENDS = (FrameType.BYE, Answer.CLOSE, Answer.TIMEOUT, Answer.END)


def test_every_state_can_end_and_nothing_leads_out_of_the_end() -> None:
    for state in State:
        for end in ENDS:
            expected = None if state is State.CLOSED else State.CLOSED
            assert TABLE.get((state, end)) is expected
    assert not any(source is State.CLOSED for source, _item in TABLE)


def test_every_state_is_reached_from_the_first() -> None:
    reached, fresh = {State.OPENING}, {State.OPENING}
    while fresh:
        fresh = {target for (source, _), target in TABLE.items() if source in fresh} - reached
        reached |= fresh
    assert reached == set(State)


@pytest.mark.parametrize("frame_type", [FrameType.BUNDLE, FrameType.SUMMARY, FrameType.WANT])
def test_nothing_of_bundles_is_taken_before_documents_are_applied(frame_type: FrameType) -> None:
    assert {state for state, item in TABLE if item is frame_type} == {State.LIVE}


def test_no_frame_is_taken_while_the_shell_is_asked() -> None:
    for state in (State.ADMITTING, State.APPLYING, State.REFRESHING, State.PARTING):
        frames = {item for source, item in TABLE if source is state and item in FrameType}
        assert frames == {FrameType.BYE}


def test_nothing_leads_out_of_parting_but_the_end() -> None:
    assert {target for (source, _), target in TABLE.items() if source is State.PARTING} == {
        State.CLOSED
    }


def test_every_frame_has_a_place() -> None:
    assert {item for _state, item in TABLE if isinstance(item, FrameType)} == set(FrameType)


def test_the_page_names_every_state_and_every_step() -> None:
    page = render()
    assert page.endswith("\n")
    for (source, item), target in TABLE.items():
        name = item.value if isinstance(item, Answer) else item.name
        if source is target:
            assert any(
                line.startswith(f"| {source.value} |") and name in line
                for line in page.splitlines()
            )
        elif item not in ENDS:
            assert f"{source.value} --> {target.value}: {name}" in page
