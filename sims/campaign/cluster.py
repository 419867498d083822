"""Workers for a campaign: a cluster of this computer's own, or one that runs already.

The only file that starts processes and opens ports. A cluster of its own listens on the loopback
alone and speaks TLS with keys made for it, because whoever reaches a scheduler can run code.
"""

# mypy: allow-untyped-calls
from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import dask
from dask.system import cpu_count
from distributed import Client, LocalCluster, Security

from sims.campaign.parameters import CampaignError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["WORKER_LOSSES_MAX", "ClusterPlan", "Connection", "connected"]

WORKER_LOSSES_MAX: Final = 2
"""A task that more workers than this end with is taken back, and its jobs are tried alone."""
WORKERS_MAX: Final = 1_024
"""Of one computer."""
_CONNECT_S_MAX: Final = 10.0
_ADDRESS: Final = re.compile(r"(tcp|tls)://[^/\s]+:[0-9]{1,5}")
_RESTART_S_MAX: Final = 30.0
"""A worker that ended is started again within this time, or another is started in its place."""
_SUBSTITUTES_MAX: Final = 32
"""Of one campaign: who loses more has another trouble."""
_IGNORE_INTERRUPT: Final = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
"""Ctrl-C reaches every process of a terminal; the one that people talk to ends the others."""


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """Where jobs are done."""

    workers: int | None = None
    """Processes of a cluster of its own; None takes one for each processor."""
    scheduler: str | None = None
    """Address of a scheduler that runs, `tcp://HOST:PORT` or `tls://HOST:PORT`; None starts one."""
    dashboard_port: int | None = None
    """Shows Dask's own page on this port of the loopback; None shows none."""


class Connection:
    """A client of a cluster, and what keeps a cluster of its own at its size."""

    def __init__(self, client: Client, cluster: LocalCluster | None = None) -> None:
        self.client = client
        self._cluster = cluster
        self._workers = len(cluster.worker_spec) if cluster is not None else 0
        self._substitutes = 0
        self._whole_s = time.monotonic()

    def threads(self) -> int:
        """Return how many jobs can run at a time; replace workers that do not come back.

        Raises: OSError, TimeoutError or ValueError if the scheduler is gone.
        """
        found = self.client.nthreads()
        lacking, now_s = self._workers - len(found), time.monotonic()
        if self._cluster is None or lacking <= 0:
            self._whole_s = now_s
        elif now_s - self._whole_s > _RESTART_S_MAX and self._substitutes < _SUBSTITUTES_MAX:
            # The library starts a worker again that ended at work, not one that ended at its start.
            self._cluster.scale(len(self._cluster.worker_spec) + lacking)
            self._substitutes += lacking
            self._whole_s = now_s
        return sum(found.values())


@contextmanager
def connected(plan: ClusterPlan) -> Iterator[Connection]:
    """Give the cluster; one that was started for it is gone when the block is left.

    Raises: CampaignError if there is no scheduler. Cost: about 2 s to start workers.
    """
    if plan.scheduler is not None:
        yield from _remote(plan.scheduler)
        return
    workers = cpu_count() if plan.workers is None else plan.workers
    if not 1 <= workers <= WORKERS_MAX:
        raise CampaignError("workers", f"is between 1 and {WORKERS_MAX}")
    with (
        dask.config.set(_settings()),
        _local(workers, plan.dashboard_port) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield Connection(client, cluster)


def _remote(address: str) -> Iterator[Connection]:
    if _ADDRESS.fullmatch(address) is None:
        reason = "is no address of a scheduler: write tcp://HOST:PORT or tls://HOST:PORT"
        raise CampaignError("scheduler", f"'{address}' {reason}")
    try:
        client = Client(address, timeout=_CONNECT_S_MAX, set_as_default=False)
    except (OSError, TimeoutError) as error:
        reason = f"no scheduler answers: start one with 'dask scheduler' ({error})"
        raise CampaignError(address, reason) from error
    with client:
        yield Connection(client)


def _local(workers: int, dashboard_port: int | None) -> LocalCluster:
    has_dashboard = dashboard_port is not None
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        security=Security.temporary(),
        silence_logs=logging.CRITICAL,
        # Without an address the library takes a port that others look for.
        dashboard_address=f"127.0.0.1:{dashboard_port or 0}",
        scheduler_kwargs={"dashboard": has_dashboard},
        preload=[_IGNORE_INTERRUPT],
    )


def _settings() -> Mapping[str, object]:
    return {
        "distributed.scheduler.allowed-failures": WORKER_LOSSES_MAX,
        # On a busy computer a worker takes longer to come back than the library waits.
        "distributed.deploy.lost-worker-timeout": "1h",
        # Workers hold no results, so there is nothing to spill, and one that pauses never ends.
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        # Looking at each worker a hundred times a second costs more than it tells here.
        "distributed.worker.profile.enabled": False,
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
    }
