"""Contacts: who becomes a neighbour of whom, and what two nodes tell each other when they meet."""

from __future__ import annotations

from typing import Any

import numpy as np

from protocol.routing.prophet import GAMMA, TIME_UNIT_S, aged, encountered, transitive
from protocol.routing.waits import pair_wait_s, relayed_wait_s
from sims.abstract.bits import has, lowest
from sims.abstract.state import (
    AGED,
    APART,
    CONTACT,
    DEGREE,
    FIRST,
    GAIN,
    HALF_SQUARES,
    HOME,
    MATE,
    MET,
    NOBODY,
    PROPHET,
    State,
)
from sims.abstract.stores import learn
from sims.abstract.transfers import cut
from sims.compiled import compiled, leaf

__all__ = ["join", "separate"]

_pair_wait_s = leaf(pair_wait_s)
_relayed_wait_s = leaf(relayed_wait_s)
_encountered = leaf(encountered)
_aged = leaf(aged)
_transitive = leaf(transitive)


@compiled
def join(state: State, first: int, second: int, contact: int, now_s: float) -> None:
    """Two nodes meet: they learn of receipts and of waits."""
    _add_neighbour(state, first, second, now_s)
    _add_neighbour(state, second, first, now_s)
    if state.has_receipts:
        _tell_receipts(state, first, second)
    if state.policy == GAIN:
        _learn_waits(state, first, second, contact, now_s)
    elif state.policy == PROPHET:
        _learn_predictions(state, first, second, contact, now_s)


@compiled
def separate(
    state: State, first: int, second: int, contact: int, partial: Any, now_s: float
) -> None:
    """The contact of two nodes ends, and with it a transfer between them."""
    if state.nodes[MATE, first] == second:
        cut(state, first, partial, now_s)
    _remove_neighbour(state, first, second, now_s)
    _remove_neighbour(state, second, first, now_s)
    state.meetings[APART, state.pair[contact]] = now_s


@leaf
def _add_neighbour(state: State, node: int, other: int, now_s: float) -> None:
    if state.nodes[DEGREE, node] == 0:
        state.amounts[MET, node] = now_s
    place = state.nodes[FIRST, node] + state.nodes[DEGREE, node]
    state.neighbour[place] = other
    if place < state.told.shape[0]:
        for word in range(state.told.shape[1]):
            state.told[place, word] = 0
    state.nodes[DEGREE, node] += 1


@leaf
def _remove_neighbour(state: State, node: int, other: int, now_s: float) -> None:
    """Take a neighbour out; the last one takes its place."""
    place = state.nodes[FIRST, node]
    while state.neighbour[place] != other:
        place += 1
    state.nodes[DEGREE, node] -= 1
    last = state.nodes[FIRST, node] + state.nodes[DEGREE, node]
    state.neighbour[place] = state.neighbour[last]
    if last < state.told.shape[0]:
        for word in range(state.told.shape[1]):
            state.told[place, word] = state.told[last, word]
    if state.nodes[DEGREE, node] == 0:
        state.amounts[CONTACT, node] += now_s - state.amounts[MET, node]


@compiled
def _tell_receipts(state: State, first: int, second: int) -> None:
    receipted = state.receipted
    for word in range(receipted.shape[1]):
        rest = receipted[first, word] ^ receipted[second, word]
        while rest != 0:
            message = word * 64 + lowest(rest)
            rest &= rest - np.uint64(1)
            # Telling one may have told the other over a third node.
            if not has(receipted, second, message):
                learn(state, second, message)
            elif not has(receipted, first, message):
                learn(state, first, message)


@leaf
def _learn_waits(state: State, first: int, second: int, contact: int, now_s: float) -> None:
    wait, pair = state.wait, state.pair[contact]
    gap_s = now_s - state.meetings[APART, pair]
    state.meetings[HALF_SQUARES, pair] += 0.5 * gap_s * gap_s
    meeting_s = _pair_wait_s(state.meetings[HALF_SQUARES, pair], max(now_s, 1.0))
    for column in range(wait.shape[1]):
        here, there = float(wait[first, column]), float(wait[second, column])
        wait[first, column] = _relayed_wait_s(here, meeting_s, there)
        wait[second, column] = _relayed_wait_s(there, meeting_s, here)
    for node, other in ((first, second), (second, first)):
        home = state.nodes[HOME, node]
        if home != NOBODY:
            wait[node, home] = 0.0
            wait[other, home] = min(wait[other, home], meeting_s)


@leaf
def _learn_predictions(state: State, first: int, second: int, contact: int, now_s: float) -> None:
    predicted = state.predicted
    since_s = now_s - state.meetings[APART, state.pair[contact]]
    for node in (first, second):
        factor = GAMMA ** ((now_s - state.amounts[AGED, node]) / TIME_UNIT_S)
        state.amounts[AGED, node] = now_s
        for other in range(predicted.shape[1]):
            predicted[node, other] = _aged(float(predicted[node, other]), factor)
    for node, other in ((first, second), (second, first)):
        predicted[node, other] = _encountered(float(predicted[node, other]), since_s)
    there_first, there_second = float(predicted[first, second]), float(predicted[second, first])
    for third in range(predicted.shape[1]):
        if third not in (first, second):
            here, there = float(predicted[first, third]), float(predicted[second, third])
            predicted[first, third] = _transitive(here, there_first, there)
            predicted[second, third] = _transitive(there, there_second, here)
