"""The slow, obvious abstract simulator: sets and lists, one event after the other.

The rules are those of the routing page and of the engine's docstrings. Where several things could
come first, this order holds:

* At one moment transfers end first (by number of the sender), then contacts end, then contacts
  begin (both in the order of the plan), then messages are written, then lives end (both in the
  order of the workload).
* After each event the nodes that it touched are served. Who came last into the list is served
  first, again and again until nothing more may begin; after a contact's begin or end that is its
  smaller node, after a transfer its sender. A node with whom a transfer began comes into the list,
  after those whose transfers were cut for it.
* A node looks through its neighbours in the order in which they came; where one leaves, the last
  takes its place. With each it looks first at what it could give, then at what it could get; of
  equal ranks the first that was found counts, and of a neighbour's messages the oldest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from protocol.routing.prophet import GAMMA, TIME_UNIT_S, aged, encountered, is_better, transitive
from protocol.routing.spray import given, may_spray
from sims.abstract.records import Fate, Options, PolicyName
from sims.region import Region

__all__ = ["Copy", "Node", "Rank", "Simulator", "Transfer", "single"]

Rank = tuple[float, ...]
"""Less is more urgent; the first entry is the service level."""
ANYTHING = 99
"""A service level that is worse than any."""


def single(number: float) -> float:
    """Round to 32 bits: so long tables keep their numbers."""
    return float(np.float32(number))


@dataclass
class Copy:
    """A message in a store."""

    arrival: int
    """Copies came into stores in this order."""
    hops: int
    """Hand-overs of this copy."""
    budget: int = 1
    """Copies that it stands for."""
    copies: int = 1
    """How many its holder believes to exist."""


@dataclass
class Transfer:
    """What two nodes are busy with."""

    sender: int
    receiver: int
    message: int
    level: int
    opened_s: float
    before_bytes: float
    """What the receiver had of it before."""
    hops: int
    """Of the sender's copy, which may be gone when the transfer ends."""
    ends_s: float


@dataclass
class Node:
    """All that there is about one node."""

    store: dict[int, Copy] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    receipts: set[int] = field(default_factory=set)
    neighbours: list[int] = field(default_factory=list)
    told: dict[int, set[int]] = field(default_factory=dict)
    """What was sent to each neighbour in this contact."""
    partial: dict[int, float] = field(default_factory=dict)
    """Bytes that it has of messages whose transfers were cut."""
    transfer: Transfer | None = None
    predicted: dict[int, float] = field(default_factory=dict)
    aged_s: float = 0.0
    met_s: float = 0.0
    sent_bytes: float = 0.0
    received_bytes: float = 0.0
    contact_s: float = 0.0
    evictions: int = 0


class Simulator:
    """One run by a policy of the books; `run` does it."""

    def __init__(self, region: Region, options: Options) -> None:
        self.options = options
        self.plan = region.plan
        load = region.workload
        self.source = [int(node) for node in load.source]
        self.target = [int(node) for node in load.destination]
        self.size = [int(size) for size in load.size_bytes]
        self.priority = [int(priority) for priority in load.priority]
        self.created_s = [float(time) for time in load.created_s]
        self.deadline_s = [float(time) for time in load.created_s + load.lifetime_s]
        self.nodes = [Node() for _ in range(region.plan.nodes)]
        self.now_s = 0.0
        self.arrivals = 0
        self.cut_transfers = 0
        self.waiting: list[int] = []
        self.apart_s: dict[frozenset[int], float] = {}
        self.fate = [Fate.UNDER_WAY] * len(load)
        self.delivered_s = [math.nan] * len(load)
        self.died_at = [-1] * len(load)
        self.hops = [0] * len(load)
        self.transfers = [0] * len(load)
        self.largest_bytes = 0
        self.store_bytes = options.buffer_bytes or 10**18
        self.rate = options.rate_bytes_s or math.inf
        self.has_receipts = bool(options.has_receipts)

    # --- events --------------------------------------------------------------------------------

    def run(self) -> None:
        """Go through all events."""
        plan, lives = self.plan, range(len(self.size))
        fixed = [
            *((float(plan.end_s[each]), 1, each) for each in range(len(plan))),
            *((float(plan.start_s[each]), 2, each) for each in range(len(plan))),
            *((self.created_s[each], 3, each) for each in lives),
            *((self.deadline_s[each], 4, each) for each in lives),
        ]
        fixed.sort()
        while fixed or any(node.transfer for node in self.nodes):
            ready = [
                (node.transfer.ends_s, 0, number)
                for number, node in enumerate(self.nodes)
                if node.transfer is not None and node.transfer.sender == number
            ]
            event = min(ready + fixed[:1])
            if event[1] != 0:
                fixed.pop(0)
            self.now_s, kind, number = event
            (self._finish, self._part, self._meet, self._write, self._expire)[kind](number)
            while self.waiting:
                node = self.waiting.pop()
                while self._serve(node):
                    pass
            used = [self.used(node) for node in range(len(self.nodes))]
            self.largest_bytes = max(self.largest_bytes, *used)

    def _meet(self, contact: int) -> None:
        a, b = int(self.plan.a[contact]), int(self.plan.b[contact])
        for node, other in ((a, b), (b, a)):
            if not self.nodes[node].neighbours:
                self.nodes[node].met_s = self.now_s
            self.nodes[node].neighbours.append(other)
            self.nodes[node].told[other] = set()
        if self.has_receipts:
            for message in sorted(self.nodes[a].receipts ^ self.nodes[b].receipts):
                self._spread_receipt(a, message)
        self.on_meeting(a, b, self.now_s - self.apart_s.get(frozenset((a, b)), 0.0))
        self.waiting += [b, a]

    def _part(self, contact: int) -> None:
        a, b = int(self.plan.a[contact]), int(self.plan.b[contact])
        transfer = self.nodes[a].transfer
        if transfer is not None and {transfer.sender, transfer.receiver} == {a, b}:
            self._cut(transfer)
        for node, other in ((self.nodes[a], b), (self.nodes[b], a)):
            place = node.neighbours.index(other)
            last = node.neighbours.pop()
            if last != other:
                node.neighbours[place] = last
            if not node.neighbours:
                node.contact_s += self.now_s - node.met_s
        self.apart_s[frozenset((a, b))] = self.now_s
        self.waiting += [b, a]

    def _write(self, message: int) -> None:
        source = self.source[message]
        if self.make_room(source, message, 1):
            self._keep(source, message, 0)
            self.nodes[source].store[message].budget = self.first_budget()
        else:
            self.fate[message] = Fate.EVICTED
            self.died_at[message] = source
        self.waiting.append(source)

    def _expire(self, message: int) -> None:
        if self.fate[message] is Fate.UNDER_WAY:
            self.fate[message] = Fate.EXPIRED if self.transfers[message] else Fate.NEVER_LEFT
        for node in self.nodes:
            node.store.pop(message, None)

    # --- transfers -----------------------------------------------------------------------------

    def _serve(self, node: int) -> bool:
        """Begin the most urgent transfer of a node; False if there is none."""
        found: tuple[Rank, int, int, int] | None = None
        for rank, sender, receiver, message in self._choices(node):
            if found is None or rank < found[0]:
                found = (rank, sender, receiver, message)
        if found is None:
            return False
        rank, sender, receiver, message = found
        for end in (self.nodes[sender], self.nodes[receiver]):
            if end.transfer is not None:
                mates = {end.transfer.sender, end.transfer.receiver}
                self.waiting += [mate for mate in mates if self.nodes[mate] is not end]
                self._cut(end.transfer)
        self.waiting.append(receiver if sender == node else sender)
        self.nodes[sender].told[receiver].add(message)
        self._begin(sender, receiver, message, int(rank[0]))
        return True

    def _choices(self, node: int) -> Iterator[tuple[Rank, int, int, int]]:
        for other in self.nodes[node].neighbours:
            below = min(self._level(node), self._level(other))
            for sender, receiver in ((node, other), (other, node)):
                for message in sorted(self.nodes[sender].store):
                    if message in self.nodes[receiver].receipts | self.nodes[receiver].seen:
                        continue
                    rank = self.rank(sender, receiver, message)
                    if rank is not None and rank[0] < below:
                        yield rank, sender, receiver, message

    def _level(self, node: int) -> int:
        transfer = self.nodes[node].transfer
        return ANYTHING if transfer is None else transfer.level

    def _begin(self, sender: int, receiver: int, message: int, level: int) -> None:
        before = self.nodes[receiver].partial.get(message, 0.0)
        lasting_s = (self.size[message] - before) / self.rate
        if self.options.quantum_s:
            lasting_s = math.ceil(lasting_s / self.options.quantum_s) * self.options.quantum_s
        hops = self.nodes[sender].store[message].hops
        transfer = Transfer(
            sender, receiver, message, level, self.now_s, before, hops, self.now_s + lasting_s
        )
        self.nodes[sender].transfer = self.nodes[receiver].transfer = transfer

    def _count(self, transfer: Transfer, moved_bytes: float) -> None:
        sender, receiver = self.nodes[transfer.sender], self.nodes[transfer.receiver]
        sender.sent_bytes += moved_bytes
        receiver.received_bytes += moved_bytes
        sender.transfer = receiver.transfer = None

    def _cut(self, transfer: Transfer) -> None:
        passed_s = self.now_s - transfer.opened_s
        rest = self.size[transfer.message] - transfer.before_bytes
        moved = min(passed_s * self.rate, rest) if passed_s else 0.0
        there = transfer.before_bytes + moved
        if self.options.has_resume and there:
            self.nodes[transfer.receiver].partial[transfer.message] = there
        self.cut_transfers += 1
        self._count(transfer, moved)

    def _finish(self, sender: int) -> None:
        transfer = self.nodes[sender].transfer
        assert transfer is not None
        receiver, message = transfer.receiver, transfer.message
        self._count(transfer, self.size[message] - transfer.before_bytes)
        self.nodes[receiver].partial.pop(message, None)
        self.transfers[message] += 1
        self.waiting += [receiver, sender]
        if self.target[message] == receiver:
            self._deliver(transfer)
        elif message not in self.nodes[receiver].receipts:
            self._take(sender, receiver, message)

    def _deliver(self, transfer: Transfer) -> None:
        receiver, message = transfer.receiver, transfer.message
        is_first = self.fate[message] is not Fate.DELIVERED
        if is_first and self.now_s <= self.deadline_s[message]:
            self.fate[message] = Fate.DELIVERED
            self.delivered_s[message] = self.now_s
            self.died_at[message] = -1
            self.hops[message] = transfer.hops + 1
        self.nodes[receiver].seen.add(message)
        if self.has_receipts:
            self.nodes[receiver].receipts.add(message)
            self.nodes[receiver].store.pop(message, None)
            self._spread_receipt(receiver, message)

    def _take(self, sender: int, receiver: int, message: int) -> None:
        copy = self.nodes[sender].store.get(message)
        if copy is None or message in self.nodes[receiver].store:
            return
        if self.make_room(receiver, message, copy.copies + 1):
            self._keep(receiver, message, copy.hops + 1)
            self.on_copy(sender, receiver, message)

    def _spread_receipt(self, node: int, message: int) -> None:
        """Tell all who are in reach, over any number of nodes, of an arrival."""
        reached, todo = {node}, [node]
        while todo:
            for other in self.nodes[todo.pop()].neighbours:
                if other not in reached:
                    reached.add(other)
                    todo.append(other)
        for each in reached:
            self.nodes[each].receipts.add(message)
            self.nodes[each].store.pop(message, None)

    # --- stores --------------------------------------------------------------------------------

    def used(self, node: int) -> int:
        """Return the bytes in a store."""
        return sum(self.size[message] for message in self.nodes[node].store)

    def _keep(self, node: int, message: int, hops: int) -> None:
        self.arrivals += 1
        self.nodes[node].store[message] = Copy(self.arrivals, hops)
        self.nodes[node].seen.add(message)

    def evict(self, node: int, message: int) -> None:
        """Drop a copy to make room."""
        del self.nodes[node].store[message]
        self.nodes[node].evictions += 1
        self.forget(node, message)
        is_last = not any(message in each.store for each in self.nodes)
        if is_last and self.fate[message] is Fate.UNDER_WAY:
            self.fate[message] = Fate.EVICTED
            self.died_at[message] = node

    # --- what a policy decides -----------------------------------------------------------------

    def rank(self, sender: int, receiver: int, message: int) -> Rank | None:
        """Return how urgent a transfer is; None if it may not be."""
        policy = self.options.policy
        copy = self.nodes[sender].store[message]
        if message in self.nodes[sender].told[receiver]:
            return None
        if self.target[message] == receiver:
            return (0, 0, copy.arrival)
        if policy is PolicyName.DIRECT or self.size[message] > self.store_bytes:
            return None
        if policy is PolicyName.SPRAY and not may_spray(copy.budget):
            return None
        if policy is PolicyName.PROPHET:
            here, there = (
                self.nodes[node].predicted.get(self.target[message], 0.0)
                for node in (sender, receiver)
            )
            if not is_better(here, there):
                return None
        return (0, 1, copy.arrival)

    def make_room(self, node: int, message: int, copies: int) -> bool:
        """Drop the oldest until a message fits, that under way last; False if it never can."""
        if self.size[message] > self.store_bytes:
            return False
        while self.used(node) + self.size[message] > self.store_bytes:
            transfer, store = self.nodes[node].transfer, self.nodes[node].store
            busy = transfer.message if transfer and transfer.sender == node else None
            self.evict(node, min(store, key=lambda each: (each == busy, store[each].arrival)))
        return True

    def forget(self, node: int, message: int) -> None:
        """Policies of the books take again what they evicted."""
        self.nodes[node].seen.discard(message)

    def first_budget(self) -> int:
        """Return the copies of a new message."""
        return self.options.copies

    def on_copy(self, sender: int, receiver: int, message: int) -> None:
        """Share the copies that a message stands for."""
        if self.options.policy is PolicyName.SPRAY:
            here = self.nodes[sender].store[message]
            part = given(here.budget)
            self.nodes[receiver].store[message].budget = part
            here.budget -= part

    def on_meeting(self, a: int, b: int, gap_s: float) -> None:
        """Learn what PRoPHET learns: age, meet, and hear of others."""
        if self.options.policy is not PolicyName.PROPHET:
            return
        first, second = self.nodes[a].predicted, self.nodes[b].predicted
        for node in (self.nodes[a], self.nodes[b]):
            factor = GAMMA ** ((self.now_s - node.aged_s) / TIME_UNIT_S)
            node.aged_s = self.now_s
            for other, before in node.predicted.items():
                node.predicted[other] = single(aged(before, factor))
        first[b] = single(encountered(first.get(b, 0.0), gap_s))
        second[a] = single(encountered(second.get(a, 0.0), gap_s))
        for third in set(range(len(self.nodes))) - {a, b}:
            here, there = first.get(third, 0.0), second.get(third, 0.0)
            first[third] = single(transitive(here, first[b], there))
            second[third] = single(transitive(there, second[a], here))
