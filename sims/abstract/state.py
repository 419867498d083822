"""Everything that a run changes, as arrays.

Compiled functions take arrays, so what is known of messages and of nodes stands in tables whose
rows have names. Shapes use n for nodes, m for messages, w for words of 64 messages, d for
destinations that waits are kept of.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from protocol.errors import MeshError
from protocol.limits import TrafficClass
from protocol.routing.gain import SMALL_BYTES
from protocol.routing.waits import NEVER_S
from sims.abstract.bits import make_bits
from sims.abstract.records import Fate, Options, PolicyName
from sims.contacts import ContactPlan, Workload
from sims.region import Region

__all__ = ["SimulationError", "State", "make_state"]

Array: TypeAlias = Any
"""A NumPy array; its shape and type stand in the line below each field."""

DIRECT, EPIDEMIC, SPRAY, PROPHET, GAIN = range(5)
_NUMBERS: Final = {
    PolicyName.DIRECT: DIRECT,
    PolicyName.EPIDEMIC: EPIDEMIC,
    PolicyName.SPRAY: SPRAY,
    PolicyName.PROPHET: PROPHET,
    PolicyName.GAIN: GAIN,
}
NOBODY: Final = -1
IDLE: Final = 99
"""Service level of a node that transfers nothing: worse than any."""
_CLASSES: Final = (TrafficClass.SOS, TrafficClass.MESSAGE, TrafficClass.BULK)
"""Class of each priority of a workload."""
_UNBOUNDED: Final = 1e18
"""Bytes of a store without bound."""
_WAITS_MAX: Final = 25_000_000
"""Waits that are kept, 100 MB: with more, only those to the most frequent destinations."""
_PREDICTED_MAX: Final = 10_000
"""Nodes for which PRoPHET keeps its table, 400 MB."""
_COPIES_MAX: Final = 30_000


class SimulationError(MeshError):
    """A run cannot be done with these options."""


# Rows of `State.times`, seconds.
CREATED, DEADLINE, DELIVERED = range(3)
# Rows of `State.facts`. DEADLINE is the last moment at which arriving counts; COLUMN is where waits
# to the target stand, or NOBODY; PLACE is the column in `State.budget`; COPIES exist now.
SOURCE, TARGET, SIZE, CLASS, COLUMN, PLACE, COPIES, TRANSFERS, FATE, DIED_AT, HOPS = range(11)
# Rows of `State.amounts`: bytes, and seconds. BEGAN is when a transfer would have begun without
# what was moved before, OPENED when it did; MET is since when somebody is in reach.
USED, SENT, RECEIVED, BEGAN, OPENED, CONTACT, MET, AGED = range(8)
# Rows of `State.nodes`. FIRST is where the neighbours of a node begin, HOME its column as a target;
# the others tell of its neighbours and of its transfer.
FIRST, DEGREE, HOME, MATE, IS_SENDER, MESSAGE, SERIAL, LEVEL, EVICTIONS = range(9)
# Rows of `State.meetings`: sum of g²/2 over past gaps, s²; and since when a pair is apart, s.
HALF_SQUARES, APART = range(2)
# Places in `State.clock`: transfers begun, arrivals in stores, transfers cut.
BEGUN, ARRIVALS, CUT = range(3)


class State(NamedTuple):
    """All that a run changes. It is flat: compiled functions copy what they are given."""

    times: Array
    """(3, m) float64."""
    facts: Array
    """(11, m) int64."""
    amounts: Array
    """(8, n) float64."""
    nodes: Array
    """(9, n) int64."""
    held: Array
    """(n, w) bits: what each node holds."""
    seen: Array
    """(n, w) bits: what it ever held; without memory of eviction, what it holds or received."""
    receipted: Array
    """(n, w) bits: what it knows to have arrived."""
    believed: Array
    """(n, m) uint8: copies that the holder believes to exist; GAIN only."""
    budget: Array
    """(n, large messages or m) int16: copies that ours stands for; GAIN and SPRAY only."""
    arrival: Array
    """(n, m) int32: order of coming into the store; not for GAIN."""
    hops: Array
    """(n, m) uint8: hand-overs of the copy."""
    neighbour: Array
    """(most neighbours at once of all nodes,) int64."""
    told: Array
    """(the same or 1, w) bits: what was sent to this neighbour in this contact; not for GAIN."""
    pair: Array
    """(contacts,) int64: number of the pair."""
    meetings: Array
    """(2, pairs) float64."""
    wait: Array
    """(n, d) float32: expected wait to each destination, seconds; GAIN only."""
    predicted: Array
    """(n, n) float32: delivery predictability; PROPHET only."""
    clock: Array
    """(3,) int64."""
    policy: int
    """DIRECT, EPIDEMIC, SPRAY, PROPHET or GAIN."""
    store_bytes: float
    """Of every node."""
    rate: float
    """Bytes per second; infinite without bound."""
    quantum_s: float
    """Transfers take whole multiples of it; 0 for none."""
    copies: int
    """What SPRAY begins with."""
    has_receipts: bool
    """Receipts spread and purge."""
    has_resume: bool
    """Bytes of a cut transfer count later."""


def make_state(region: Region, options: Options) -> State:
    """Return the state before a run. Raises: SimulationError."""
    plan, workload = region.plan, region.workload
    policy = _NUMBERS[options.policy]
    _check(plan.nodes, options)
    count, messages = plan.nodes, max(1, len(workload))
    home = _homes(count, workload)
    nodes, places = _nodes(plan, home)
    pairs, pair = np.unique(
        plan.a.astype(np.int64) * count + plan.b.astype(np.int64), return_inverse=True
    )
    large = max(1, int((workload.size_bytes > SMALL_BYTES).sum()))
    budgets = {GAIN: (count, large), SPRAY: (count, messages)}.get(policy, (1, 1))
    is_gain = policy == GAIN
    return State(
        times=_times(workload),
        facts=_facts(workload, home, policy),
        amounts=np.zeros((8, count)),
        nodes=nodes,
        held=make_bits(count, messages),
        seen=make_bits(count, messages),
        receipted=make_bits(count, messages),
        believed=np.zeros((count, messages) if is_gain else (1, 1), np.uint8),
        budget=np.zeros(budgets, np.int16),
        arrival=np.zeros((1, 1) if is_gain else (count, messages), np.int32),
        hops=np.zeros((count, messages), np.uint8),
        neighbour=np.zeros(places, np.int64),
        told=make_bits(1 if is_gain else places, messages),
        pair=pair.astype(np.int64),
        meetings=np.zeros((2, max(1, len(pairs)))),
        wait=_waits(count, home, policy),
        predicted=np.zeros((count, count) if policy == PROPHET else (1, 1), np.float32),
        clock=np.zeros(3, np.int64),
        policy=policy,
        store_bytes=float(options.buffer_bytes) or _UNBOUNDED,
        rate=float(options.rate_bytes_s) or np.inf,
        quantum_s=options.quantum_s,
        copies=options.copies,
        has_receipts=is_gain if options.has_receipts is None else options.has_receipts,
        has_resume=options.has_resume,
    )


def _check(nodes: int, options: Options) -> None:
    if options.buffer_bytes < 0 or not options.rate_bytes_s >= 0:
        raise SimulationError("buffer and rate are 0, for no bound, or above")
    if not 0.0 <= options.quantum_s <= 3600.0:
        raise SimulationError("quantum_s is between 0 and 3600 s")
    if not 1 <= options.copies <= _COPIES_MAX:
        raise SimulationError(f"copies are between 1 and {_COPIES_MAX}")
    if options.policy is PolicyName.PROPHET and nodes > _PREDICTED_MAX:
        raise SimulationError(f"prophet keeps a table of n² nodes: at most {_PREDICTED_MAX} nodes")


def _homes(nodes: int, workload: Workload) -> Array:
    """Return the column of each node that waits are kept of: the most frequent destinations."""
    often = np.bincount(workload.destination, minlength=nodes)
    columns = min(int((often > 0).sum()), max(1, _WAITS_MAX // nodes))
    chosen = np.argsort(-often, kind="stable")[:columns]
    home = np.full(nodes, NOBODY, np.int64)
    home[chosen] = np.arange(columns)
    return home


def _times(workload: Workload) -> Array:
    times = np.full((3, len(workload)), np.nan)
    times[CREATED] = workload.created_s
    times[DEADLINE] = workload.created_s + workload.lifetime_s
    return times


def _facts(workload: Workload, home: Array, policy: int) -> Array:
    facts = np.zeros((11, len(workload)), np.int64)
    is_counted = (workload.size_bytes > SMALL_BYTES) | (policy != GAIN)
    facts[SOURCE] = workload.source
    facts[TARGET] = workload.destination
    facts[SIZE] = workload.size_bytes
    facts[CLASS] = np.array(_CLASSES, np.int64)[workload.priority]
    facts[COLUMN] = home[workload.destination]
    facts[PLACE] = np.where(is_counted, np.cumsum(is_counted) - 1, 0)
    facts[FATE] = Fate.UNDER_WAY
    facts[DIED_AT] = NOBODY
    return facts


def _nodes(plan: ContactPlan, home: Array) -> tuple[Array, int]:
    """Return the rows of nodes, and how many places all neighbours need."""
    nodes = np.zeros((9, plan.nodes), np.int64)
    most = _most_neighbours(plan)
    nodes[FIRST] = np.cumsum(most) - most
    nodes[HOME] = home
    nodes[MATE] = nodes[MESSAGE] = NOBODY
    nodes[LEVEL] = IDLE
    return nodes, max(1, int(most.sum()))


def _most_neighbours(plan: ContactPlan) -> Array:
    """Return how many neighbours each node has at most at one time, shape (n,)."""
    who = np.concatenate((plan.a, plan.b, plan.a, plan.b))
    when = np.concatenate((plan.start_s, plan.start_s, plan.end_s, plan.end_s))
    step = np.concatenate((np.ones(2 * len(plan)), -np.ones(2 * len(plan))))
    # At one moment ends come before starts: intervals are half-open.
    order = np.lexsort((step, when, who))
    # Starts and ends of each node sum to 0, so the running sum begins anew with the next node.
    level = np.cumsum(step[order])
    most = np.zeros(plan.nodes, np.int64)
    np.maximum.at(most, who[order], level.astype(np.int64))
    return most


def _waits(nodes: int, home: Array, policy: int) -> Array:
    columns = int(home.max(initial=0)) + 1
    wait = np.full((nodes, columns) if policy == GAIN else (1, 1), NEVER_S, np.float32)
    if policy == GAIN:
        at_home = np.flatnonzero(home >= 0)
        wait[at_home, home[at_home]] = 0.0
    return wait
