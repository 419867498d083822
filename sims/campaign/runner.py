"""Does the jobs of a campaign on a cluster, and keeps each row as it comes.

A job is a pure function, so it may be done anywhere and again: a worker that is lost costs time
and changes nothing. Rows are kept before the next are waited for, and a second run of the same
campaign does what is missing. Source: DESIGN D11.
"""

# mypy: allow-untyped-calls
from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, TypeAlias

from distributed import CancelledError, Future, WorkerPlugin, get_worker
from distributed.scheduler import KilledWorker

from protocol.errors import MeshError
from sims.campaign.cluster import ClusterPlan, Connection, connected
from sims.campaign.grid import Campaign, Job, program_version
from sims.campaign.job import Bench, Row, Simulate, failed_row, region_key
from sims.campaign.parameters import CampaignError
from sims.campaign.results import CampaignResults, RowFile, open_rows

if TYPE_CHECKING:
    from distributed import Client, Worker

    from sims.campaign.sources import Source

__all__ = ["Progress", "WatchProgress", "run_campaign"]

BATCH_S: Final = 1.0
"""Work that one task should bring: short jobs go together, long ones alone."""
BATCH_JOBS_MAX: Final = 64
"""Of one task: what is lost with a worker stays small."""
AHEAD: Final = 2
"""Tasks for each thread: one that runs and one that waits at its side."""
NO_WORKER_S_MAX: Final = 120.0
"""So long a campaign waits for a worker to come, or to come back."""
_TICK_S: Final = 1.0
_RESULT_S_MAX: Final = 60.0
"""A row has a kilobyte: who does not hand it over in this time is gone."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a campaign is."""

    done: int
    """Jobs with a row, those of earlier runs among them."""
    total: int
    """Jobs in all."""
    failed: int
    """Jobs of this run that failed."""
    threads: int
    """Jobs that can run at a time."""
    left_s: float | None
    """Expected wall time to the end, seconds; None before the first job of this run is done."""


WatchProgress: TypeAlias = Callable[[Progress], None]
"""Called about once a second and after each task, on the thread that runs the campaign."""


def run_campaign(
    campaign: Campaign,
    folder: Path,
    simulate: Simulate,
    *,
    cluster: ClusterPlan | None = None,
    watch: WatchProgress | None = None,
) -> CampaignResults:
    """Do every job that has no row in `folder` yet; return all rows in the order of the grid.

    `simulate` is found by its name on every worker. An interrupt leaves the rows so far.
    Raises: CampaignError if folder or cluster cannot be used; a job that fails has a row instead.
    """
    with open_rows(folder, campaign) as rows:
        if rows.missing:
            try:
                _fill(rows, campaign, simulate, cluster or ClusterPlan(), watch)
            finally:
                rows.write_summary()
        rows.finish()
        return rows.results()


def _fill(
    rows: RowFile,
    campaign: Campaign,
    simulate: Simulate,
    plan: ClusterPlan,
    watch: WatchProgress | None,
) -> None:
    missing = rows.missing
    total, failed = rows.results().jobs, 0
    with connected(plan) as cluster, _benches(cluster.client, campaign.source, simulate) as bench:
        tasks = _Tasks(cluster, bench, missing)
        for found in tasks.rows():
            if found:
                rows.append(found)
            failed += sum(row.figures is None for row in found)
            if watch is not None:
                watch(Progress(total - tasks.left, total, failed, tasks.threads, tasks.left_s))


# --- on a worker -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Done:
    """What a task brings back."""

    program: str
    """Version of the program on the worker."""
    rows: list[Row]
    """One for each job."""
    wall_s: float
    """How long they took together."""


class _BenchPlugin(WorkerPlugin):
    """Gives every worker a bench, also one that comes later or comes back."""

    def __init__(self, name: str, source: Source, simulate: Simulate) -> None:
        self.name = name
        self._parts = (source, simulate)
        self.bench: Bench | None = None

    def setup(self, worker: Worker) -> None:
        self.bench = Bench(*self._parts)


def _do(bench_name: str, jobs: Sequence[Job]) -> _Done:
    """Do some jobs on the bench of this worker. Raises: whatever the simulator raises."""
    plugin = get_worker().plugins[bench_name]
    assert isinstance(plugin, _BenchPlugin), "nothing else bears this name"
    assert plugin.bench is not None, "a worker sets up what it gets before it works"
    started_s = time.perf_counter()
    rows = [_row(plugin.bench, job) for job in jobs]
    return _Done(program_version(), rows, time.perf_counter() - started_s)


def _row(bench: Bench, job: Job) -> Row:
    try:
        return bench.run(job)
    except MeshError as error:
        return failed_row(job, f"{type(error).__name__}: {error}")


# --- at the side of the client ---------------------------------------------------------------


@contextmanager
def _benches(client: Client, source: Source, simulate: Simulate) -> Iterator[str]:
    """Give the name under which every worker has its bench."""
    name = f"meshnode-campaign-{uuid.uuid4().hex}"
    try:
        client.register_plugin(_BenchPlugin(name, source, simulate))
    except (ImportError, AttributeError) as error:
        reason = f"a worker lacks the program, or has another version of it: {error}"
        raise CampaignError("cluster", reason) from error
    yield name
    client.unregister_worker_plugin(name)


@dataclass(frozen=True, slots=True)
class _Task:
    """What was sent out."""

    future: Future[_Done]
    """Held here, or the cluster would forget the task."""
    jobs: tuple[Job, ...]
    """One or more."""
    is_suspect: bool
    """Whether it is alone on the cluster, because a worker ended with it before."""


class _Tasks:
    """Sends jobs out in tasks, a few ahead, and takes rows in."""

    def __init__(self, cluster: Connection, bench: str, jobs: Sequence[Job]) -> None:
        self._cluster = cluster
        self._bench = bench
        # Jobs on one region come together, so that a bench prepares it once.
        ordered = sorted(jobs, key=lambda job: (job.seed, region_key(job.parameters)))
        self._waiting = deque(ordered)
        self._alone: deque[Job] = deque()
        # Jobs whose worker ended: what ran or waited beside them may have been the cause.
        self._suspects: deque[Job] = deque()
        self._flying: dict[object, _Task] = {}
        self._landed: SimpleQueue[Future[_Done]] = SimpleQueue()
        self._jobs_done, self._job_wall_s = 0, 0.0
        self._started_s = self._looked_s = self._worker_seen_s = time.monotonic()
        self.left = len(jobs)
        self.threads = 0

    @property
    def left_s(self) -> float | None:
        """Expected wall time to the end, seconds; None before a job is done."""
        if not self._jobs_done:
            return None
        return (time.monotonic() - self._started_s) / self._jobs_done * self.left

    def rows(self) -> Iterator[list[Row]]:
        """Yield rows as they come, and an empty list where none came for a second.

        Raises: CampaignError if the cluster cannot go on.
        """
        self._look()
        while self.left:
            self._launch()
            found = self._take()
            self._jobs_done += len(found)
            self.left -= len(found)
            if time.monotonic() - self._looked_s >= _TICK_S:
                self._look()
            yield found

    def _look(self) -> None:
        """Count the threads there are. Raises: CampaignError if none has been for long."""
        try:
            self.threads = self._cluster.threads()
        except (OSError, TimeoutError, ValueError) as error:
            raise _gone() from error
        self._looked_s = time.monotonic()
        if self.threads:
            self._worker_seen_s = self._looked_s
        elif self._looked_s - self._worker_seen_s > NO_WORKER_S_MAX:
            reason = f"has had no worker for {NO_WORKER_S_MAX:.0f} s: start some with 'dask worker'"
            raise CampaignError("cluster", f"{reason}, and run the same command again")

    def _launch(self) -> None:
        """Keep every thread busy, and the next task at its side."""
        while (self._alone or self._waiting) and len(self._flying) < AHEAD * max(self.threads, 1):
            self._send(self._batch())
        if self._suspects and not self._flying:
            self._send((self._suspects.popleft(),), is_suspect=True)

    def _send(self, jobs: tuple[Job, ...], is_suspect: bool = False) -> None:
        future = self._cluster.client.submit(_do, self._bench, jobs, pure=False)
        self._flying[future.key] = _Task(future, jobs, is_suspect)
        future.add_done_callback(self._landed.put)

    def _batch(self) -> tuple[Job, ...]:
        if self._alone:
            return (self._alone.popleft(),)
        size = 1
        if self._jobs_done:
            # Towards the end tasks get smaller, so that all workers end together.
            fair = len(self._waiting) // (AHEAD * max(self.threads, 1))
            mean_s = max(self._job_wall_s / self._jobs_done, 1e-6)
            size = max(1, min(int(BATCH_S / mean_s), fair, BATCH_JOBS_MAX))
        return tuple(self._waiting.popleft() for _ in range(min(size, len(self._waiting))))

    def _take(self) -> list[Row]:
        """Return the rows of the next task that ends; none if it has to be done again."""
        try:
            future = self._landed.get(timeout=_TICK_S)
        except Empty:
            return []
        task = self._flying.pop(future.key)
        try:
            error = future.exception(timeout=_RESULT_S_MAX)
            done = future.result(timeout=_RESULT_S_MAX) if error is None else None
        except TimeoutError:
            # The worker ended between telling and handing over.
            self._waiting.extendleft(reversed(task.jobs))
            return []
        except (CancelledError, OSError) as error_of_scheduler:
            raise _gone() from error_of_scheduler
        if done is None:
            return self._failed(task, error)
        if done.program != program_version():
            reason = f"a worker has version {done.program} of the program, not {program_version()}"
            raise CampaignError("cluster", reason)
        self._job_wall_s += done.wall_s
        return list(done.rows)

    def _failed(self, task: _Task, error: BaseException | None) -> list[Row]:
        """Return the row of a job that failed; if it may have been another, none: it is retried."""
        if isinstance(error, KilledWorker):
            if not task.is_suspect:
                self._suspects.extend(task.jobs)
                return []
            reason = "KilledWorker: each worker that ran this job ended with it"
            return [failed_row(task.jobs[0], reason)]
        if len(task.jobs) > 1:
            self._alone.extend(task.jobs)
            return []
        return [failed_row(task.jobs[0], f"{type(error).__name__}: {error}")]


def _gone() -> CampaignError:
    reason = "the scheduler does not answer any more: start it, and run the same command again"
    return CampaignError("cluster", reason)
