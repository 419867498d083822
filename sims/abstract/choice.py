"""Which message goes next between two nodes, by each policy."""

from __future__ import annotations

import numpy as np

from protocol.routing.gain import may_hand_over, service_level, size_class
from protocol.routing.prophet import is_better
from protocol.routing.spray import may_spray
from sims.abstract.bits import lowest
from sims.abstract.state import (
    CLASS,
    DEADLINE,
    DIRECT,
    GAIN,
    IDLE,
    LEVEL,
    MATE,
    NOBODY,
    PLACE,
    PROPHET,
    SIZE,
    SPRAY,
    TARGET,
    State,
)
from sims.abstract.stores import copies_of, has_room, is_counted, wait_of
from sims.compiled import leaf

__all__ = ["best_between", "level_of"]

_service_level = leaf(service_level)
_size_class = leaf(size_class)
_may_hand_over = leaf(may_hand_over)
_may_spray = leaf(may_spray)
_is_better = leaf(is_better)

NOTHING = 1e300
"""Rank of no message at all."""
_LEVEL = 1e6
"""Ranks of two service levels are this far apart."""
_SIZE = 1e3
"""And those of two size classes."""


@leaf
def level_of(state: State, message: int, receiver: int) -> int:
    """Return the service level of a transfer; 0 for all of a policy without levels."""
    if state.policy != GAIN:
        return 0
    return _service_level(
        state.facts[CLASS, message],
        state.facts[SIZE, message],
        state.facts[TARGET, message] == receiver,
    )


@leaf
def best_between(
    state: State, sender: int, receiver: int, place: int, now_s: float, limit: int
) -> tuple[int, float]:
    """Return what `sender` should give `receiver` now, and its rank; less is more urgent.

    Args:
        place: where the receiver stands among the neighbours of the sender.
        limit: only service levels below this one.
    """
    is_gain = state.policy == GAIN
    best, best_rank = NOBODY, NOTHING
    for word in range(state.held.shape[1]):
        rest = state.held[sender, word] & ~state.receipted[receiver, word]
        rest &= ~state.seen[receiver, word]
        if not is_gain:
            rest &= ~state.told[place, word]
        while rest != 0:
            message = word * 64 + lowest(rest)
            rest &= rest - np.uint64(1)
            if is_gain:
                rank = _rank_by_gain(state, sender, receiver, message, now_s, limit)
            else:
                rank = _plain_rank(state, sender, receiver, message)
            if rank < best_rank:
                best, best_rank = message, rank
    return best, best_rank


@leaf
def _rank_by_gain(
    state: State, sender: int, receiver: int, message: int, now_s: float, limit: int
) -> float:
    is_for_peer = state.facts[TARGET, message] == receiver
    size = state.facts[SIZE, message]
    level = _service_level(state.facts[CLASS, message], size, is_for_peer)
    if level >= limit or now_s > state.times[DEADLINE, message]:
        return NOTHING
    copies = copies_of(state, sender, message)
    if not is_for_peer:
        if now_s + size / state.rate > state.times[DEADLINE, message]:
            return NOTHING
        if not _may_have(state, sender, receiver, message, copies):
            return NOTHING
        if not has_room(state, receiver, message, now_s, copies + 1):
            return NOTHING
    # Within a level: by size class, then the rarest, which has most to gain.
    away = 0.0 if is_for_peer else _LEVEL / 2.0
    return level * _LEVEL + away + _size_class(size) * _SIZE + copies


@leaf
def _may_have(state: State, sender: int, receiver: int, message: int, copies: int) -> bool:
    """Tell whether the receiver gets a copy of a message that is for somebody else."""
    if not is_counted(state, receiver, message):
        return True
    budget = state.budget[sender, state.facts[PLACE, message]]
    here_s, there_s = wait_of(state, sender, message), wait_of(state, receiver, message)
    return _may_hand_over(budget, copies, here_s, there_s)


@leaf
def _plain_rank(state: State, sender: int, receiver: int, message: int) -> float:
    """Return the rank by a policy of the books: deliveries first, then first come, first served."""
    policy = state.policy
    arrival = float(state.arrival[sender, message])
    if state.facts[TARGET, message] == receiver:
        return arrival
    if policy == DIRECT or state.facts[SIZE, message] > state.store_bytes:
        return NOTHING
    if policy == SPRAY and not _may_spray(state.budget[sender, message]):
        return NOTHING
    if policy == PROPHET:
        predicted, target = state.predicted, state.facts[TARGET, message]
        if not _is_better(predicted[sender, target], predicted[receiver, target]):
            return NOTHING
    return 1e12 + arrival


@leaf
def worst_level(state: State, first: int, second: int) -> int:
    """Return the level below which a transfer between two nodes may begin now."""
    if state.policy != GAIN:
        is_idle = state.nodes[MATE, first] == NOBODY and state.nodes[MATE, second] == NOBODY
        return IDLE if is_idle else 0
    return int(min(state.nodes[LEVEL, first], state.nodes[LEVEL, second]))
