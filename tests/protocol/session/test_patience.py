"""Deadlines: who is late, who is only quiet, and whose silence is our own doing."""

from __future__ import annotations

import pytest

from protocol.limits import (
    SESSION_HELLO_MS_MAX,
    SESSION_IDLE_MS_MAX,
    SESSION_PING_LATER_MS,
    SESSION_PING_MS,
    SESSION_STEP_MS_MAX,
)
from protocol.session.patience import Due, Patience
from protocol.session.states import State

START_MS = 1_000


def patience(*, is_initiator: bool = True) -> Patience:
    return Patience(START_MS, is_initiator=is_initiator)


@pytest.mark.parametrize("state", [State.OPENING, State.ADMITTING])
def test_the_hello_has_five_seconds_whatever_comes(state: State) -> None:
    each = patience()
    each.heard(START_MS + 4_000)
    each.progressed(START_MS + 4_000)
    assert each.next_ms(state, is_owed=False) == START_MS + SESSION_HELLO_MS_MAX
    assert each.due(state, START_MS + SESSION_HELLO_MS_MAX - 1, is_owed=False) is Due.NOTHING
    assert each.due(state, START_MS + SESSION_HELLO_MS_MAX, is_owed=False) is Due.GIVE_UP


@pytest.mark.parametrize("state", [State.DOCUMENTS, State.PARTING])
def test_documents_must_go_on(state: State) -> None:
    each = patience()
    each.heard(START_MS + 20_000)
    assert each.next_ms(state, is_owed=False) == START_MS + SESSION_STEP_MS_MAX
    each.progressed(START_MS + 10_000)
    late_ms = START_MS + 10_000 + SESSION_STEP_MS_MAX
    assert each.due(state, late_ms - 1, is_owed=False) is Due.NOTHING
    assert each.due(state, late_ms, is_owed=False) is Due.GIVE_UP


@pytest.mark.parametrize("state", [State.APPLYING, State.REFRESHING, State.CLOSED])
def test_nobody_is_late_while_our_shell_works(state: State) -> None:
    assert patience().next_ms(state, is_owed=True) is None
    assert patience().due(state, 10**9, is_owed=True) is Due.NOTHING


@pytest.mark.parametrize(
    ("is_initiator", "ping_ms"),
    [(True, SESSION_PING_MS), (False, SESSION_PING_MS + SESSION_PING_LATER_MS)],
)
def test_two_pings_fit_into_a_silence(is_initiator: bool, ping_ms: int) -> None:
    each, due = patience(is_initiator=is_initiator), []
    for _ in range(3):
        next_ms = each.next_ms(State.LIVE, is_owed=False)
        assert next_ms is not None
        due.append((next_ms - START_MS, each.due(State.LIVE, next_ms, is_owed=False)))
    assert due == [
        (ping_ms, Due.PING),
        (2 * ping_ms, Due.PING),
        (SESSION_IDLE_MS_MAX, Due.GIVE_UP),
    ]


def test_a_word_of_the_peer_starts_the_silence_anew() -> None:
    each = patience()
    assert each.due(State.LIVE, START_MS + SESSION_PING_MS, is_owed=False) is Due.PING
    each.heard(START_MS + 25_000)
    assert each.next_ms(State.LIVE, is_owed=False) == START_MS + 25_000 + SESSION_PING_MS


def test_an_answer_is_owed_whatever_signs_of_life_there_are() -> None:
    each = patience()
    for second in range(30):
        each.heard(START_MS + second * 1_000)
    late_ms = START_MS + SESSION_STEP_MS_MAX
    assert each.next_ms(State.LIVE, is_owed=True) == late_ms
    assert each.due(State.LIVE, late_ms, is_owed=False) is Due.NOTHING
    assert each.due(State.LIVE, late_ms - 1, is_owed=True) is Due.NOTHING
    assert each.due(State.LIVE, late_ms, is_owed=True) is Due.GIVE_UP


def test_a_pause_of_ours_is_forgiven_once() -> None:
    each = patience()
    each.excuse()
    late_ms = START_MS + 10 * SESSION_IDLE_MS_MAX
    assert each.due(State.LIVE, late_ms, is_owed=True) is Due.NOTHING
    assert each.next_ms(State.LIVE, is_owed=False) == late_ms + SESSION_PING_MS
    gone_ms = late_ms + SESSION_STEP_MS_MAX
    assert each.due(State.LIVE, gone_ms, is_owed=True) is Due.GIVE_UP


def test_what_is_heard_after_a_pause_ends_the_excuse() -> None:
    each = patience()
    each.excuse()
    each.heard(START_MS)
    assert each.due(State.LIVE, START_MS + SESSION_IDLE_MS_MAX, is_owed=False) is Due.GIVE_UP
