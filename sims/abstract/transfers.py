"""Transfers: one at a time per node, begun, cut, gone on with, and done."""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np

from protocol.routing.gain import BUDGET, SMALL_BYTES, moves_on
from protocol.routing.spray import given
from sims.abstract.bits import add, has
from sims.abstract.choice import NOTHING, best_between, level_of, worst_level
from sims.abstract.records import Fate
from sims.abstract.state import (
    BEGAN,
    BEGUN,
    CREATED,
    CUT,
    DEADLINE,
    DEGREE,
    DELIVERED,
    DIED_AT,
    FATE,
    FIRST,
    GAIN,
    HOPS,
    IDLE,
    IS_SENDER,
    LEVEL,
    MATE,
    MESSAGE,
    NOBODY,
    OPENED,
    PLACE,
    RECEIVED,
    SENT,
    SERIAL,
    SIZE,
    SOURCE,
    SPRAY,
    TARGET,
    TRANSFERS,
    State,
)
from sims.abstract.stores import (
    believe,
    copies_of,
    is_counted,
    keep,
    learn,
    make_room,
    purge,
    wait_of,
)
from sims.compiled import compiled, leaf

__all__ = ["cut", "finish", "serve", "write"]

_given = leaf(given)
_moves_on = leaf(moves_on)

_DELIVERED = int(Fate.DELIVERED)
_EVICTED = int(Fate.EVICTED)


@compiled
def write(state: State, message: int) -> None:
    """A message is written: its source keeps it, if its store can."""
    source = state.facts[SOURCE, message]
    if not make_room(state, source, message, state.times[CREATED, message], 1):
        state.facts[FATE, message] = _EVICTED
        state.facts[DIED_AT, message] = source
        return
    keep(state, source, message, 0)
    if state.policy == GAIN:
        believe(state, source, message, 1)
        if state.facts[SIZE, message] > SMALL_BYTES:
            state.budget[source, state.facts[PLACE, message]] = BUDGET
    elif state.policy == SPRAY:
        state.budget[source, state.facts[PLACE, message]] = state.copies


@compiled
def serve(state: State, waiting: Any, done: Any, partial: Any, now_s: float) -> None:
    """Begin the most urgent transfer of each node that waits for it, until nothing more may.

    Args:
        waiting: list of nodes whose surroundings changed; empty afterwards.
        done: heap of (time, sender, serial) of the transfers under way.
        partial: bytes that a receiver has of a message, by receiver and message.
    """
    while len(waiting) > 0:
        node = waiting.pop()
        while _serve_one(state, node, waiting, done, partial, now_s):
            pass


@compiled
def _serve_one(
    state: State, node: int, waiting: Any, done: Any, partial: Any, now_s: float
) -> bool:
    """Begin the most urgent transfer of one node; False if there is none."""
    sender = receiver = message = NOBODY
    least, at = NOTHING, 0
    begin = state.nodes[FIRST, node]
    for place in range(begin, begin + state.nodes[DEGREE, node]):
        other = state.neighbour[place]
        limit = worst_level(state, node, other)
        if limit == 0:
            continue
        found, rank = best_between(state, node, other, place, now_s, limit)
        if rank < least:
            sender, receiver, message, least, at = node, other, found, rank, place
        back = _place_of(state, other, node)
        found, rank = best_between(state, other, node, back, now_s, limit)
        if rank < least:
            sender, receiver, message, least, at = other, node, found, rank, back
    if message == NOBODY:
        return False
    for end in (sender, receiver):
        if state.nodes[MATE, end] != NOBODY:
            waiting.append(state.nodes[MATE, end])
            cut(state, end, partial, now_s)
    waiting.append(receiver if sender == node else sender)
    if state.policy != GAIN:
        add(state.told, at, message)
    _begin(state, sender, receiver, message, done, partial, now_s)
    return True


@leaf
def _place_of(state: State, node: int, other: int) -> int:
    """Return where `other` stands among the neighbours of `node`."""
    place = int(state.nodes[FIRST, node])
    while state.neighbour[place] != other:
        place += 1
    return place


@compiled
def _begin(
    state: State, sender: int, receiver: int, message: int, done: Any, partial: Any, now_s: float
) -> None:
    size = state.facts[SIZE, message]
    there = 0.0
    if len(partial) > 0:
        there = partial.get((receiver, message), 0.0)
    level = level_of(state, message, receiver)
    state.clock[BEGUN] += 1
    serial = state.clock[BEGUN]
    state.nodes[MATE, sender], state.nodes[MATE, receiver] = receiver, sender
    state.nodes[IS_SENDER, sender], state.nodes[IS_SENDER, receiver] = True, False
    state.nodes[LEVEL, sender] = state.nodes[LEVEL, receiver] = level
    state.nodes[MESSAGE, sender] = state.nodes[MESSAGE, receiver] = message
    state.amounts[BEGAN, sender] = now_s - there / state.rate
    state.amounts[OPENED, sender] = now_s
    state.nodes[SERIAL, sender] = serial
    lasting_s = (size - there) / state.rate
    if state.quantum_s > 0.0:
        lasting_s = np.ceil(lasting_s / state.quantum_s) * state.quantum_s
    heapq.heappush(done, (now_s + lasting_s, sender, serial))


@leaf
def _end(state: State, sender: int) -> None:
    """Free both ends of a transfer."""
    receiver = state.nodes[MATE, sender]
    for node in (sender, receiver):
        state.nodes[MATE, node] = NOBODY
        state.nodes[IS_SENDER, node] = False
        state.nodes[MESSAGE, node] = NOBODY
        state.nodes[LEVEL, node] = IDLE
    state.nodes[SERIAL, sender] = 0


@compiled
def cut(state: State, node: int, partial: Any, now_s: float) -> None:
    """End the transfer of a node before its time; what was moved may count later."""
    sender = node if state.nodes[IS_SENDER, node] else state.nodes[MATE, node]
    receiver, message = state.nodes[MATE, sender], state.nodes[MESSAGE, sender]
    if now_s > state.amounts[BEGAN, sender]:
        # All of it may be there already, where transfers take whole multiples of a time.
        there = (now_s - state.amounts[BEGAN, sender]) * state.rate
        there = min(there, float(state.facts[SIZE, message]))
        ahead_s = state.amounts[OPENED, sender] - state.amounts[BEGAN, sender]
        moved = there - ahead_s * state.rate
        state.amounts[SENT, sender] += moved
        state.amounts[RECEIVED, receiver] += moved
        if state.has_resume:
            partial[(receiver, message)] = there
    state.clock[CUT] += 1
    _end(state, sender)


@compiled
def finish(state: State, sender: int, partial: Any, now_s: float) -> None:
    """A transfer is complete: the receiver has the message, or its copy of it."""
    receiver, message = state.nodes[MATE, sender], state.nodes[MESSAGE, sender]
    moved = float(state.facts[SIZE, message])
    ahead_s = state.amounts[OPENED, sender] - state.amounts[BEGAN, sender]
    if ahead_s > 0.0:
        moved -= ahead_s * state.rate
    state.amounts[SENT, sender] += moved
    state.amounts[RECEIVED, receiver] += moved
    if len(partial) > 0:
        partial.pop((receiver, message), 0.0)
    _end(state, sender)
    state.facts[TRANSFERS, message] += 1
    if state.facts[TARGET, message] == receiver:
        _deliver(state, sender, receiver, message, now_s)
    elif not has(state.receipted, receiver, message):
        _take_copy(state, sender, receiver, message, now_s)


@compiled
def _deliver(state: State, sender: int, receiver: int, message: int, now_s: float) -> None:
    is_in_time = now_s <= state.times[DEADLINE, message]
    if is_in_time and state.facts[FATE, message] != _DELIVERED:
        state.facts[FATE, message] = _DELIVERED
        state.facts[DIED_AT, message] = NOBODY
        state.times[DELIVERED, message] = now_s
        state.facts[HOPS, message] = state.hops[sender, message] + 1
    add(state.seen, receiver, message)
    if state.has_receipts:
        learn(state, receiver, message)


@compiled
def _take_copy(state: State, sender: int, receiver: int, message: int, now_s: float) -> None:
    policy = state.policy
    if has(state.held, receiver, message) or not has(state.held, sender, message):
        return
    copies = copies_of(state, sender, message) + 1 if policy == GAIN else 1
    if not make_room(state, receiver, message, now_s, copies):
        return
    keep(state, receiver, message, state.hops[sender, message] + 1)
    if policy == GAIN:
        believe(state, sender, message, copies)
        believe(state, receiver, message, copies)
        _maybe_move(state, sender, receiver, message)
    if policy == SPRAY or (policy == GAIN and state.facts[SIZE, message] > SMALL_BYTES):
        _share_budget(state, sender, receiver, message)


@leaf
def _maybe_move(state: State, sender: int, receiver: int, message: int) -> None:
    """Take a copy from its holder where it has moved on."""
    if state.facts[SOURCE, message] == sender or not is_counted(state, receiver, message):
        return
    budget = state.budget[sender, state.facts[PLACE, message]]
    if _moves_on(budget, wait_of(state, sender, message), wait_of(state, receiver, message)):
        purge(state, sender, message)


@leaf
def _share_budget(state: State, sender: int, receiver: int, message: int) -> None:
    budget, place = state.budget, state.facts[PLACE, message]
    part = _given(budget[sender, place])
    budget[receiver, place] = max(part, 1)
    budget[sender, place] = max(budget[sender, place] - part, 1)
