"""The slow, obvious simulator with our policy: only what differs from the policies of the books."""

from __future__ import annotations

from protocol.limits import TrafficClass
from protocol.routing.gain import (
    BUDGET,
    SMALL_BYTES,
    copy_value,
    is_crowded,
    may_displace,
    may_hand_over,
    moves_on,
    service_level,
    size_class,
    store_share,
)
from protocol.routing.spray import given
from protocol.routing.waits import NEVER_S, chance, pair_wait_s, relayed_wait_s
from sims.abstract.records import Options
from sims.region import Region
from tests.reference.simulator import Rank, Simulator, single

__all__ = ["GainSimulator"]

_CLASSES = (TrafficClass.SOS, TrafficClass.MESSAGE, TrafficClass.BULK)


class GainSimulator(Simulator):
    """One run by our policy."""

    def __init__(self, region: Region, options: Options) -> None:
        super().__init__(region, options)
        self.has_receipts = options.has_receipts is not False
        self.half_squares_s2: dict[frozenset[int], float] = {}
        targets = set(self.target)
        self.wait_s = [
            {target: 0.0 if target == node else single(NEVER_S) for target in targets}
            for node in range(region.plan.nodes)
        ]

    def traffic_class(self, message: int) -> int:
        """Return the class of a message."""
        return int(_CLASSES[self.priority[message]])

    def value(self, node: int, message: int, copies: int) -> float:
        """Return what a copy at a node is worth."""
        remaining_s = self.deadline_s[message] - self.now_s
        likely = chance(remaining_s, self.wait_s[node][self.target[message]])
        return copy_value(self.traffic_class(message), self.size[message], likely, copies)

    def is_counted(self, receiver: int, message: int) -> bool:
        """Tell whether a message is large and the receiver's store nearly full."""
        is_full = is_crowded(self.used(receiver), self.store_bytes)
        return self.size[message] > SMALL_BYTES and is_full

    def rank(self, sender: int, receiver: int, message: int) -> Rank | None:
        """Return how urgent a transfer is: level, for the peer itself, size, rareness."""
        size, is_for_peer = self.size[message], self.target[message] == receiver
        copy = self.nodes[sender].store[message]
        if not is_for_peer and not self._may_have(sender, receiver, message):
            return None
        level = service_level(self.traffic_class(message), size, is_for_peer)
        return (level, not is_for_peer, size_class(size), copy.copies)

    def _may_have(self, sender: int, receiver: int, message: int) -> bool:
        copy = self.nodes[sender].store[message]
        if self.now_s + self.size[message] / self.rate > self.deadline_s[message]:
            return False
        target = self.target[message]
        here_s, there_s = self.wait_s[sender][target], self.wait_s[receiver][target]
        if self.is_counted(receiver, message) and not may_hand_over(
            copy.budget, copy.copies, here_s, there_s
        ):
            return False
        return self._has_room(receiver, message, copy.copies + 1)

    def _limit(self, node: int, message: int) -> float:
        """Return up to how many bytes a message may fill a store; own ones fill it wholly."""
        if self.source[message] == node:
            return self.store_bytes
        return store_share(self.traffic_class(message), self.size[message]) * self.store_bytes

    def _may_go(self, node: int, message: int, copies: int) -> list[int]:
        """Return what may go for a message that comes in.

        For an own one all, but urgent ones only where it is urgent too; for a relayed one what is
        worth less, but own ones only where it is urgent and they are not.
        """
        value, found = self.value(node, message, copies), []
        for held, copy in self.nodes[node].store.items():
            held_class, its_class = self.traffic_class(held), self.traffic_class(message)
            held_value = self.value(node, held, copy.copies)
            if self.source[message] == node:
                may_go = not self._is_urgent(held) or self._is_urgent(message)
            elif self.source[held] == node:
                may_go = self._is_urgent(message) and not self._is_urgent(held)
            else:
                may_go = may_displace(held_class, held_value, its_class, value)
            if may_go:
                found.append(held)
        return found

    def _is_urgent(self, message: int) -> bool:
        return self.priority[message] == 0

    def _has_room(self, node: int, message: int, copies: int) -> bool:
        may_go = sum(self.size[held] for held in self._may_go(node, message, copies))
        return self.used(node) - may_go + self.size[message] <= self._limit(node, message)

    def make_room(self, node: int, message: int, copies: int) -> bool:
        """Drop what may go: relayed before own, urgent last, and what is worth least before."""
        store = self.nodes[node].store
        if self.size[message] > self.store_bytes:
            return False
        if not self._has_room(node, message, copies):
            return False
        may_go = self._may_go(node, message, copies)
        worth = {held: self.value(node, held, store[held].copies) for held in may_go}
        may_go.sort(
            key=lambda held: (self._is_urgent(held), self.source[held] == node, worth[held], held)
        )
        while self.used(node) + self.size[message] > self._limit(node, message):
            self.evict(node, may_go.pop(0))
        return True

    def forget(self, node: int, message: int) -> None:
        """What was evicted is not taken again."""

    def first_budget(self) -> int:
        """Return the copies of a new message."""
        return BUDGET

    def on_copy(self, sender: int, receiver: int, message: int) -> None:
        """Both believe in a copy more; the budget is shared, and the last copy may move on."""
        here, there = self.nodes[sender].store[message], self.nodes[receiver].store[message]
        here.copies = there.copies = here.copies + 1
        target = self.target[message]
        waits_s = (self.wait_s[sender][target], self.wait_s[receiver][target])
        is_moved = self.is_counted(receiver, message) and moves_on(here.budget, *waits_s)
        part = given(here.budget)
        there.budget, here.budget = max(part, 1), max(here.budget - part, 1)
        if is_moved and self.source[message] != sender:
            del self.nodes[sender].store[message]

    def on_meeting(self, a: int, b: int, gap_s: float) -> None:
        """Learn how long it takes to meet each other, and of the waits to third nodes."""
        pair = frozenset((a, b))
        self.half_squares_s2[pair] = self.half_squares_s2.get(pair, 0.0) + 0.5 * gap_s * gap_s
        meeting_s = pair_wait_s(self.half_squares_s2[pair], max(self.now_s, 1.0))
        first, second = self.wait_s[a], self.wait_s[b]
        for target in set(self.target):
            here, there = first[target], second[target]
            first[target] = single(relayed_wait_s(here, meeting_s, there))
            second[target] = single(relayed_wait_s(there, meeting_s, here))
        for own, other, node in ((first, second, a), (second, first, b)):
            if node in own:
                own[node] = 0.0
                other[node] = single(min(other[node], meeting_s))
