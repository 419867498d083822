"""Figures of one run, from its arrays: what arrived when, how it compares with the best possible,
where messages died, how often nodes met. Knows no chart and no language.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sims.abstract.records import Fate, Outcome
from sims.region import Region
from sims.report.words import DAY_S, ReportError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sims.costs import CostAccount
    from sims.energy import EnergyUse

__all__ = [
    "CLASSES",
    "STRETCH_EDGES",
    "Run",
    "death_places",
    "delays_of",
    "make_run",
    "mean_open",
    "open_by_hour",
    "share_until",
    "stretch_of",
]

CLASSES: Final = ("urgent", "normal", "bulk")
"""Names of the priorities 0, 1 and 2."""
STRETCH_EDGES: Final = (1.1, 1.5, 2.0, 5.0, 10.0)
"""Upper edges of the groups of messages by how many times longer than necessary they took."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run with what it is judged against."""

    region: Region
    """What was simulated."""
    outcome: Outcome
    """What it came to."""
    arrivals_s: NDArray[np.float64] | None
    """Best possible arrival of each message, seconds, shape (n_messages,); NaN where no policy
    brings it there in time; None where it was not computed."""
    energy: EnergyUse | None = None
    """What it took, where it was accounted."""
    account: CostAccount | None = None
    """What satellite and LoRa would have cost, where it was accounted."""

    @property
    def delivered(self) -> NDArray[np.bool_]:
        """Which messages arrived in time, shape (n_messages,)."""
        return np.isfinite(self.outcome.delivered_s)

    @property
    def possible(self) -> NDArray[np.bool_] | None:
        """Which messages could arrive in time, shape (n_messages,)."""
        return None if self.arrivals_s is None else np.isfinite(self.arrivals_s)

    @property
    def carried(self) -> NDArray[np.bool_]:
        """Which nodes are devices that people carry, shape (n_nodes,); all where none is."""
        people = np.isin(np.array(self.region.roles), ("agent", "leader"))
        return people if people.any() else ~people

    def of_class(self, number: int) -> NDArray[np.bool_]:
        """Which messages have priority `number`, shape (n_messages,)."""
        chosen: NDArray[np.bool_] = self.region.workload.priority == number
        return chosen


def make_run(
    region: Region,
    outcome: Outcome,
    arrivals_s: NDArray[np.float64] | None,
    energy: EnergyUse | None = None,
    account: CostAccount | None = None,
) -> Run:
    """Return the run, its parts checked against each other.

    An arrival after a message's lifetime counts as none. Raises: ReportError where the arrays are
    not of this region.
    """
    messages, nodes = len(region.workload), region.plan.nodes
    lengths = [(len(outcome.delivered_s), messages), (len(outcome.sent_bytes), nodes)]
    lengths += [] if arrivals_s is None else [(len(arrivals_s), messages)]
    lengths += [] if energy is None else [(len(energy.per_day_j), nodes)]
    if any(found != due for found, due in lengths):
        raise ReportError(
            f"the results are of another region than '{region.name}': it has {messages} messages "
            f"and {nodes} nodes; simulate it again"
        )
    if arrivals_s is not None:
        last = region.workload.created_s + region.workload.lifetime_s
        arrivals_s = np.where(arrivals_s <= last, arrivals_s, np.nan)
    return Run(region, outcome, arrivals_s, energy, account)


def share_until(
    times_s: NDArray[np.float64], total: int, grid_s: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the share of `total` events that happened at or before each time of the grid.

    Events that never happened are NaN in `times_s`. Cost: O(n log n).
    """
    known = np.sort(times_s[np.isfinite(times_s)])
    return np.searchsorted(known, grid_s, side="right") / max(total, 1)


def delays_of(run: Run, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the time from writing to `times_s` of each message, seconds; NaN without."""
    return times_s - run.region.workload.created_s


def stretch_of(run: Run) -> NDArray[np.float64]:
    """Return delay over best possible delay of each message; NaN where one of them is missing.

    At least one second counts as the best possible, so that neighbours do not divide by zero.
    """
    if run.arrivals_s is None:
        return np.full(len(run.region.workload), np.nan)
    taken = np.maximum(delays_of(run, run.outcome.delivered_s), 1.0)
    return taken / np.maximum(delays_of(run, run.arrivals_s), 1.0)


def death_places(run: Run) -> NDArray[np.int64]:
    """Return how many messages met their end at each node, shape (n_nodes, n_fates).

    The end of a message is where its last copy was dropped; one that never left died at its source.
    A message that expired on several carriers at once has no place.
    """
    outcome = run.outcome
    place = np.where(
        outcome.fate == Fate.NEVER_LEFT, run.region.workload.source, outcome.died_at
    ).astype(np.int64)
    is_dead = (place >= 0) & ~np.isin(outcome.fate, (Fate.DELIVERED, Fate.UNDER_WAY))
    counts = np.zeros((run.region.plan.nodes, len(Fate)), np.int64)
    np.add.at(counts, (place[is_dead], outcome.fate[is_dead]), 1)
    return counts


def mean_open(
    start_s: NDArray[np.float64], end_s: NDArray[np.float64], edges_s: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how many of the intervals are open on average between neighbouring edges.

    Shape (n_edges - 1,). Cost: O(n log n).
    """
    covered = _covered_until(start_s, edges_s) - _covered_until(end_s, edges_s)
    mean: NDArray[np.float64] = np.diff(covered) / np.diff(edges_s)
    # What rounding leaves of a difference of large sums is nothing.
    return np.where(np.abs(mean) < 1e-9, 0.0, mean)


def _covered_until(begin_s: NDArray[np.float64], at_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the seconds since each begin, summed over the begins before each time."""
    ordered = np.sort(begin_s)
    sums = np.concatenate(([0.0], np.cumsum(ordered)))
    count = np.searchsorted(ordered, at_s)
    covered: NDArray[np.float64] = count * at_s - sums[count]
    return covered


def open_by_hour(run: Run) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how many contacts are open on average in each hour of the day: all, with a gateway.

    Shapes (24,). The day begins when the run does; hours that the run never reached are NaN.
    """
    plan, duration = run.region.plan, max(run.region.duration_s, 1.0)
    edges = np.append(np.arange(0.0, duration, DAY_S / 24), duration)
    with_gateway = np.isin(plan.a, run.region.gateways) | np.isin(plan.b, run.region.gateways)
    hours = np.arange(len(edges) - 1) % 24
    lengths = np.diff(edges)
    whole = np.bincount(hours, lengths, minlength=24)
    means = []
    for chosen in (np.ones(len(plan), bool), with_gateway):
        seconds = mean_open(plan.start_s[chosen], plan.end_s[chosen], edges) * lengths
        summed = np.bincount(hours, seconds, minlength=24)
        means.append(np.divide(summed, whole, out=np.full(24, np.nan), where=whole > 0))
    return means[0], means[1]
