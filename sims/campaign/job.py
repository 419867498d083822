"""One job: a region, a run, and the row of figures that it leaves.

A job is a pure function of its record and of the campaign's source: the same on any computer. What
jobs share, regions and what was possible on them, is kept by the bench of each process.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import numpy as np

from sims.abstract.records import Options, Outcome
from sims.campaign.parameters import Parameters
from sims.campaign.variation import vary
from sims.oracle import Deliveries, best_arrivals, sum_up
from sims.region import Region

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sims.campaign.grid import Job
    from sims.campaign.sources import Source

__all__ = ["Bench", "Figures", "Row", "Simulate", "failed_row", "region_key", "run_job"]

Simulate: TypeAlias = Callable[[Region, Options], Outcome]
"""What runs a region: importable by its name wherever a worker is."""

_Key = TypeVar("_Key")
_Kept = TypeVar("_Kept")

_KEPT_MAX: Final = 3
"""Regions that a process keeps: jobs come ordered by region, and one of 10⁶ contacts has 24 MB."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run came to, as plain numbers; NaN where nothing can be said."""

    messages: int
    """Written."""
    delivered: int
    """At their destination in time."""
    delivered_share: float
    """Of all messages."""
    delivered_urgent: float
    """Share of the urgent messages that were delivered."""
    delivered_normal: float
    """Share of the normal ones."""
    delivered_bulk: float
    """Share of the bulk ones."""
    oracle_share: float
    """Of all messages: what no policy can exceed on these contacts."""
    oracle_urgent: float
    """The same of the urgent messages."""
    of_oracle: float
    """Messages delivered, as a share of those that could be."""
    overhead: float
    """Transfers beyond the first for each delivered message."""
    delay_median_s: float
    """Of the delivered messages, seconds."""
    delay_p90_s: float
    """Nine in ten of the delivered messages took no longer, seconds."""
    transfers: int
    """Completed."""
    cut_transfers: int
    """Cut by the end of a contact."""
    evictions: int
    """Copies dropped to make room."""
    sent_bytes: int
    """By all nodes."""
    node_bytes_mean: float
    """Sent and received by a node, mean over all."""
    node_bytes_max: int
    """Sent and received by the node that had to move most."""
    stored_bytes_max: float
    """In the fullest store at any sample."""
    digest: str
    """Of the run: two runs are equal if this is."""
    cpu_seconds: float
    """CPU time of the run; the one figure that differs from time to time."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is kept of one job."""

    identity: str
    """Name of the job."""
    seed: int
    """As the job has it."""
    parameters: Parameters
    """As the job has them."""
    figures: Figures | None
    """None where the job failed."""
    error: str
    """Why it failed; empty where it did not."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A region with what was possible on it."""

    region: Region
    best: Deliveries
    """Without bounds of stores and rates."""


class Bench:
    """Where one process does its jobs; keeps the regions that it used last."""

    def __init__(self, source: Source, simulate: Simulate) -> None:
        self._source = source
        self._simulate = simulate
        self._regions: OrderedDict[int | None, Region] = OrderedDict()
        self._prepared: OrderedDict[tuple[object, ...], _Prepared] = OrderedDict()
        self._lock = Lock()

    def run(self, job: Job) -> Row:
        """Do one job. Raises: whatever the source, the simulator or the oracle raises."""
        prepared = self._prepare(job)
        outcome = self._simulate(prepared.region, job.parameters.options(job.seed))
        figures = _figures(prepared, outcome)
        return Row(job.identity, job.seed, job.parameters, figures, "")

    def _prepare(self, job: Job) -> _Prepared:
        key = (job.seed, *region_key(job.parameters))
        # A worker may have several threads; they wait for a region rather than make it twice.
        with self._lock:
            if key not in self._prepared:
                region = vary(self._region(job.seed), job.parameters, job.seed)
                best = sum_up(region.workload, best_arrivals(region.plan, region.workload))
                _keep(self._prepared, key, _Prepared(region, best))
            return self._prepared[key]

    def _region(self, seed: int) -> Region:
        key = seed if self._source.is_seeded else None
        if key not in self._regions:
            _keep(self._regions, key, self._source.region(seed))
        return self._regions[key]


def region_key(parameters: Parameters) -> tuple[float, ...]:
    """Return what of the parameters changes the region: jobs that share it share the region."""
    return (
        parameters.load_scale,
        parameters.lifetime_scale,
        parameters.dead_share,
        parameters.cancelled_share,
        parameters.jitter_s,
    )


def run_job(job: Job, source: Source, simulate: Simulate) -> Row:
    """Do one job on a bench of its own. Raises: as `Bench.run`."""
    return Bench(source, simulate).run(job)


def failed_row(job: Job, reason: str) -> Row:
    """Return the row of a job that raised, or that no worker survived."""
    return Row(job.identity, job.seed, job.parameters, None, " ".join(reason.split()))


def _keep(kept: OrderedDict[_Key, _Kept], key: _Key, value: _Kept) -> None:
    kept[key] = value
    while len(kept) > _KEPT_MAX:
        kept.popitem(last=False)


def _figures(prepared: _Prepared, outcome: Outcome) -> Figures:
    done, best = sum_up(prepared.region.workload, outcome.delivered_s), prepared.best
    moved_bytes = outcome.sent_bytes + outcome.received_bytes
    return Figures(
        messages=done.messages,
        delivered=done.delivered,
        delivered_share=done.share,
        delivered_urgent=done.share_of[0],
        delivered_normal=done.share_of[1],
        delivered_bulk=done.share_of[2],
        oracle_share=best.share,
        oracle_urgent=best.share_of[0],
        of_oracle=_ratio(done.delivered, best.delivered),
        overhead=_ratio(outcome.transfers - done.delivered, done.delivered),
        delay_median_s=done.delay_median_s,
        delay_p90_s=_p90(done.delays_s),
        transfers=outcome.transfers,
        cut_transfers=int(outcome.cut_transfers),
        evictions=int(outcome.evictions.sum()),
        sent_bytes=int(outcome.sent_bytes.sum()),
        node_bytes_mean=float(moved_bytes.mean()),
        node_bytes_max=int(moved_bytes.max()),
        stored_bytes_max=float(outcome.samples.largest_bytes.max(initial=0.0)),
        digest=outcome.digest,
        cpu_seconds=float(outcome.cpu_seconds),
    )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else np.nan


def _p90(values: NDArray[np.float64]) -> float:
    return float(np.quantile(values, 0.9)) if len(values) else np.nan
