"""Stores of nodes: what comes in, what makes room, what receipts and expiry purge."""

from __future__ import annotations

import numpy as np

from protocol.limits import TrafficClass
from protocol.routing.gain import (
    SMALL_BYTES,
    copy_value,
    is_crowded,
    may_displace,
    store_share,
)
from protocol.routing.waits import NEVER_S, chance
from sims.abstract.bits import add, has, lowest, remove
from sims.abstract.records import Fate
from sims.abstract.state import (
    ARRIVALS,
    CLASS,
    COLUMN,
    COPIES,
    DEADLINE,
    DEGREE,
    DIED_AT,
    EVICTIONS,
    FATE,
    FIRST,
    GAIN,
    IS_SENDER,
    MESSAGE,
    NOBODY,
    SIZE,
    SOURCE,
    TRANSFERS,
    USED,
    State,
)
from sims.compiled import compiled, leaf

__all__ = [
    "believe",
    "copies_of",
    "expire",
    "has_room",
    "is_counted",
    "keep",
    "learn",
    "make_room",
    "purge",
    "wait_of",
]

_copy_value = leaf(copy_value)
_chance = leaf(chance)
_is_crowded = leaf(is_crowded)
_may_displace = leaf(may_displace)
_store_share = leaf(store_share)

_DELIVERED, _NEVER_LEFT, _EXPIRED, _EVICTED, _UNDER_WAY = (int(fate) for fate in Fate)
_URGENT = int(TrafficClass.SOS)
_BELIEVED_MAX = 255
_HOPS_MAX = 255


@leaf
def wait_of(state: State, node: int, message: int) -> float:
    """Return what a node expects until it meets the target of a message, seconds."""
    column = state.facts[COLUMN, message]
    return NEVER_S if column == NOBODY else float(state.wait[node, column])


@leaf
def is_counted(state: State, receiver: int, message: int) -> bool:
    """Tell whether copies of a message for a receiver are counted: it is large, and that full."""
    is_large = state.facts[SIZE, message] > SMALL_BYTES
    return is_large and _is_crowded(state.amounts[USED, receiver], state.store_bytes)


@leaf
def value_here(state: State, node: int, message: int, now_s: float, copies: int) -> float:
    """Return what a copy at `node` is worth; see `copy_value`."""
    remaining_s = state.times[DEADLINE, message] - now_s
    likely = _chance(remaining_s, wait_of(state, node, message))
    return _copy_value(state.facts[CLASS, message], state.facts[SIZE, message], likely, copies)


@leaf
def copies_of(state: State, node: int, message: int) -> int:
    """Return how many copies the holder believes to exist."""
    return max(1, int(state.believed[node, message]))


@leaf
def _is_urgent(state: State, message: int) -> bool:
    """Tell whether nothing goes before a message, and nothing takes its room."""
    return bool(state.facts[CLASS, message] <= _URGENT)


@leaf
def _limit(state: State, node: int, message: int) -> float:
    """Return up to how many bytes a message may fill a store."""
    if state.policy != GAIN or state.facts[SOURCE, message] == node:
        return state.store_bytes
    share = _store_share(state.facts[CLASS, message], state.facts[SIZE, message])
    return share * state.store_bytes


@leaf
def _may_go(state: State, node: int, held: int, message: int, now_s: float, value: float) -> bool:
    """Tell whether a copy may go for a message that comes in.

    For an own one everything, but urgent ones only where it is urgent too; for a relayed one what
    is worth less, but own ones only where it is urgent and they are not.
    """
    if state.facts[SOURCE, message] == node:
        return _is_urgent(state, message) or not _is_urgent(state, held)
    if state.facts[SOURCE, held] == node:
        return _is_urgent(state, message) and not _is_urgent(state, held)
    if state.facts[CLASS, held] < state.facts[CLASS, message]:
        return False
    held_value = value_here(state, node, held, now_s, copies_of(state, node, held))
    return _may_displace(state.facts[CLASS, held], held_value, state.facts[CLASS, message], value)


@leaf
def has_room(state: State, node: int, message: int, now_s: float, copies: int) -> bool:
    """Tell whether `node` has room for a message, or would make it; for the policy GAIN."""
    free = _limit(state, node, message) - state.amounts[USED, node]
    if free >= state.facts[SIZE, message]:
        return True
    value = value_here(state, node, message, now_s, copies)
    for word in range(state.held.shape[1]):
        rest = state.held[node, word]
        while rest != 0:
            held = word * 64 + lowest(rest)
            rest &= rest - np.uint64(1)
            if _may_go(state, node, held, message, now_s, value):
                free += state.facts[SIZE, held]
                if free >= state.facts[SIZE, message]:
                    return True
    return False


@compiled
def make_room(state: State, node: int, message: int, now_s: float, copies: int) -> bool:
    """Drop what must go until `message` fits; False, and nothing dropped, where it cannot."""
    if state.facts[SIZE, message] > state.store_bytes:
        return False
    limit = _limit(state, node, message)
    if state.amounts[USED, node] + state.facts[SIZE, message] <= limit:
        return True
    if state.policy != GAIN:
        while state.amounts[USED, node] + state.facts[SIZE, message] > limit:
            _evict(state, node, _oldest(state, node))
        return True
    if not has_room(state, node, message, now_s, copies):
        return False
    value = value_here(state, node, message, now_s, copies)
    while state.amounts[USED, node] + state.facts[SIZE, message] > limit:
        _evict(state, node, _least(state, node, message, now_s, value))
    return True


@leaf
def _oldest(state: State, node: int) -> int:
    """Return what came into the store first, and is not on its way out."""
    busy = state.nodes[MESSAGE, node] if state.nodes[IS_SENDER, node] else NOBODY
    found, first, spare = NOBODY, 0, NOBODY
    for word in range(state.held.shape[1]):
        rest = state.held[node, word]
        while rest != 0:
            held = word * 64 + lowest(rest)
            rest &= rest - np.uint64(1)
            spare = held
            arrival = state.arrival[node, held]
            if held != busy and (found == NOBODY or arrival < first):
                found, first = held, arrival
    return spare if found == NOBODY else found


@leaf
def _least(state: State, node: int, message: int, now_s: float, value: float) -> int:
    """Return what goes first of that which may: relayed before own, urgent last, by worth."""
    found, first, least = NOBODY, 0, 0.0
    for word in range(state.held.shape[1]):
        rest = state.held[node, word]
        while rest != 0:
            held = word * 64 + lowest(rest)
            rest &= rest - np.uint64(1)
            if not _may_go(state, node, held, message, now_s, value):
                continue
            turn = 2 if _is_urgent(state, held) else 0
            if state.facts[SOURCE, held] == node:
                turn += 1
            worth = value_here(state, node, held, now_s, copies_of(state, node, held))
            if found == NOBODY or turn < first or (turn == first and worth < least):
                found, first, least = held, turn, worth
    return found


@compiled
def _evict(state: State, node: int, message: int) -> None:
    purge(state, node, message)
    state.nodes[EVICTIONS, node] += 1
    if state.policy != GAIN:
        # No memory of eviction: it may come again.
        remove(state.seen, node, message)
    if state.facts[COPIES, message] == 0 and state.facts[FATE, message] == _UNDER_WAY:
        state.facts[FATE, message] = _EVICTED
        state.facts[DIED_AT, message] = node


@leaf
def purge(state: State, node: int, message: int) -> None:
    """Take a copy out of a store."""
    remove(state.held, node, message)
    state.amounts[USED, node] -= state.facts[SIZE, message]
    state.facts[COPIES, message] -= 1


@leaf
def keep(state: State, node: int, message: int, hops: int) -> None:
    """Put a copy into a store that has room for it."""
    add(state.held, node, message)
    add(state.seen, node, message)
    state.amounts[USED, node] += state.facts[SIZE, message]
    state.hops[node, message] = min(hops, _HOPS_MAX)
    state.facts[COPIES, message] += 1
    if state.policy != GAIN:
        state.clock[ARRIVALS] += 1
        state.arrival[node, message] = state.clock[ARRIVALS]


@leaf
def believe(state: State, node: int, message: int, copies: int) -> None:
    """Note how many copies a holder believes to exist."""
    state.believed[node, message] = min(copies, _BELIEVED_MAX)


@compiled
def learn(state: State, node: int, message: int) -> None:
    """Tell a node that a message has arrived, and all whom it reaches now."""
    add(state.receipted, node, message)
    told = [node]
    while len(told) > 0:
        teller = told.pop()
        if has(state.held, teller, message):
            purge(state, teller, message)
        begin = state.nodes[FIRST, teller]
        for place in range(begin, begin + state.nodes[DEGREE, teller]):
            other = state.neighbour[place]
            if not has(state.receipted, other, message):
                add(state.receipted, other, message)
                told.append(other)


@compiled
def expire(state: State, message: int) -> None:
    """End the life of a message: every copy goes."""
    if state.facts[FATE, message] == _UNDER_WAY:
        was_passed_on = state.facts[TRANSFERS, message] > 0
        state.facts[FATE, message] = _EXPIRED if was_passed_on else _NEVER_LEFT
    for node in range(state.held.shape[0]):
        if state.facts[COPIES, message] == 0:
            return
        if has(state.held, node, message):
            purge(state, node, message)
