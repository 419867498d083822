"""What was possible: the earliest time at which each message could be at its destination.

No policy can deliver more, or sooner, over the same contacts: the oracle knows all of them before,
has stores without bound, and lets every message have the links for itself. What a policy reaches
is told as a share of this. Source: DESIGN D12, routing.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from sims.contacts import ContactPlan, TraceError, Workload
from sims.oracle_core import arrivals_at_once, arrivals_at_rate

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Deliveries", "best_arrivals", "sum_up"]

Floats: TypeAlias = "NDArray[np.float64]"

_BITS_BYTES_MAX: Final = 192_000_000
"""Of the sweep's three tables of bits; a larger workload is taken in several sweeps."""


@dataclass(frozen=True, slots=True)
class Deliveries:
    """What arrived of a workload, in time; of an oracle or of a run."""

    messages: int
    """How many were written."""
    delivered: int
    """How many of them arrived."""
    share: float
    """`delivered / messages`, from 0 to 1; NaN without messages."""
    share_of: tuple[float, float, float]
    """The same for the urgent, the normal and the bulk ones; NaN where there are none."""
    delay_median_s: float
    """Of those that arrived, seconds; NaN where none did."""
    delays_s: Floats
    """Arrival less creation of those that arrived, rising, shape (delivered,)."""


def best_arrivals(plan: ContactPlan, workload: Workload, rate_bytes_s: float = 0.0) -> Floats:
    """Return the earliest possible arrival of each message, shape (n_messages,), seconds.

    NaN stands where it cannot arrive within its lifetime. At rate 0 a transfer takes no time: a
    whole path of open contacts is crossed at one instant. At another rate each hop takes size /
    rate seconds and lies wholly within one contact; messages do not wait for each other, so this
    is a bound, not a schedule. Raises: TraceError if the rate is below 0 or no number. Cost: at
    rate 0 up to 3 s for 10⁶ contacts and 10⁴ messages, otherwise 2 to 32 s.
    """
    if not (math.isfinite(rate_bytes_s) and rate_bytes_s >= 0):
        raise TraceError("rate", "is a number of bytes per second, 0 for no bound")
    arrival_s = np.full(len(workload), np.nan)
    words = max(1, _BITS_BYTES_MAX // (3 * 8 * plan.nodes))
    end_order = np.argsort(plan.end_s, kind="stable")
    for low in range(0, len(workload), 64 * words):
        some = slice(low, low + 64 * words)
        arrival_s[some] = arrivals_at_once(
            (plan.start_s, plan.end_s, plan.a, plan.b),
            end_order,
            _messages(workload, some),
            plan.nodes,
        )
    if rate_bytes_s == 0:
        return arrival_s
    hop_s = workload.size_bytes / rate_bytes_s
    return arrivals_at_rate(
        _ways(plan), _messages(workload, slice(None)), hop_s, arrival_s, plan.nodes
    )


def sum_up(workload: Workload, arrivals_s: Floats) -> Deliveries:
    """Return shares and delays of arrivals, shape (n_messages,) with NaN where there is none."""
    has_arrived = ~np.isnan(arrivals_s)
    delays_s = np.sort((arrivals_s - workload.created_s)[has_arrived])
    urgent, normal, bulk = (_share(has_arrived[workload.priority == each]) for each in range(3))
    return Deliveries(
        len(workload),
        int(has_arrived.sum()),
        _share(has_arrived),
        (urgent, normal, bulk),
        float(np.median(delays_s)) if len(delays_s) else math.nan,
        delays_s,
    )


def _share(has_arrived: NDArray[np.bool_]) -> float:
    return float(has_arrived.mean()) if len(has_arrived) else math.nan


def _messages(
    workload: Workload, some: slice
) -> tuple[Floats, Floats, NDArray[np.int32], NDArray[np.int32]]:
    deadline_s = workload.created_s + workload.lifetime_s
    return (
        workload.created_s[some],
        deadline_s[some],
        workload.source[some],
        workload.destination[some],
    )


def _ways(
    plan: ContactPlan,
) -> tuple[NDArray[np.int64], Floats, Floats, Floats, NDArray[np.int32]]:
    """Return the contacts of each node, as the search takes them."""
    node = np.concatenate((plan.a, plan.b))
    peer = np.concatenate((plan.b, plan.a))
    start_s, end_s = np.tile(plan.start_s, 2), np.tile(plan.end_s, 2)
    order = np.lexsort((peer, start_s, node))
    node, peer, start_s, end_s = node[order], peer[order], start_s[order], end_s[order]
    first = np.searchsorted(node, np.arange(plan.nodes + 1))
    # The latest end so far within each node: by rank, so that nodes are kept apart exactly.
    times, rank = np.unique(end_s, return_inverse=True)
    shift = node.astype(np.int64) * len(times)
    reach_s = times[np.maximum.accumulate(rank + shift) - shift]
    return first.astype(np.int64), start_s, end_s, reach_s, peer
