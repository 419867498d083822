"""Measures what a campaign makes of its workers; prints a line of JSON for each number of them.

`python -m tests.benchmarks.campaign_efficiency [SECONDS [JOBS_PER_WORKER ROUNDS]]`: jobs of one
second of CPU unless told otherwise. Efficiency is the sum of the jobs' CPU time / (workers x wall
time from the begin of the first job until the last row is kept). Beside it stands the same for
plain processes that do the same jobs one after the other: what else runs slows both, so it is
their ratio that counts. The best of some rounds is taken in turns; noise only ever lowers it.
`busy` is the share of the workers' wall time within jobs, which hardly depends on what else runs.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from sims.abstract.records import Options, Outcome
from sims.campaign.cluster import ClusterPlan
from sims.campaign.grid import Campaign, Job, jobs_of
from sims.campaign.job import Bench
from sims.campaign.runner import Progress, run_campaign
from sims.region import Region
from tests.sims.campaign.parts import simulate, small_campaign

_TEXT = """
about = "Jobs that do nothing but work."
contacts = "contacts.csv"
messages = "messages.csv"
seeds = {count = COUNT}
"""


@dataclass(frozen=True, slots=True)
class Work:
    """A simulator that takes some CPU time, and notes when it began."""

    cpu_s: float
    """Of each run."""
    notes: Path
    """Folder with a file for each process."""

    def __call__(self, region: Region, options: Options) -> Outcome:
        """Work, then return an outcome."""
        begun_s, started_s = time.monotonic(), time.process_time()
        while time.process_time() - started_s < self.cpu_s:
            np.sort(np.random.default_rng(1).random(20_000))
        outcome = simulate(region, options)
        cpu_s = time.process_time() - started_s
        with (self.notes / str(os.getpid())).open("a") as file:
            file.write(f"{begun_s} {time.monotonic()} {cpu_s}\n")
        return replace(outcome, cpu_seconds=cpu_s)

    def efficiency(self, workers: int, ended_s: float) -> tuple[float, float]:
        """Return CPU time and time within runs, both as a share of the workers' wall time."""
        lines = [line for path in self.notes.iterdir() for line in path.read_text().splitlines()]
        begin_s, end_s, cpu_s = np.array([line.split() for line in lines], dtype=np.float64).T
        all_s = workers * (ended_s - begin_s.min())
        return float(cpu_s.sum() / all_s), float((end_s - begin_s).sum() / all_s)


def in_campaign(
    campaign: Campaign, folder: Path, workers: int, cpu_s: float
) -> tuple[float, float]:
    """Return the efficiency of a campaign on a cluster of its own."""
    work = Work(cpu_s, folder / "notes")
    work.notes.mkdir(parents=True)
    ended_s = 0.0

    def watch(_progress: Progress) -> None:
        nonlocal ended_s
        ended_s = time.monotonic()

    plan = ClusterPlan(workers=workers)
    assert run_campaign(campaign, folder / "rows", work, cluster=plan, watch=watch).failed == 0
    return work.efficiency(workers, ended_s)


def in_processes(
    campaign: Campaign, folder: Path, workers: int, cpu_s: float
) -> tuple[float, float]:
    """Return the efficiency of plain processes that share the jobs out before they begin."""
    work = Work(cpu_s, folder / "notes")
    work.notes.mkdir(parents=True)
    jobs = jobs_of(campaign)
    shares = [jobs[number::workers] for number in range(workers)]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        ended_s = max(pool.map(partial(_do, campaign, work), shares, chunksize=1))
    return work.efficiency(workers, ended_s)


def _do(campaign: Campaign, work: Work, jobs: Sequence[Job]) -> float:
    bench = Bench(campaign.source, work)
    for job in jobs:
        bench.run(job)
    return time.monotonic()


def measure(workers: int, cpu_s: float, jobs_per_worker: int, rounds: int) -> dict[str, float]:
    """Return both efficiencies, the best of some rounds in turns, and their ratio."""
    alone, cluster = [], []
    text = _TEXT.replace("COUNT", str(workers * jobs_per_worker))
    for _round in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            campaign = small_campaign(home, text)
            alone.append(in_processes(campaign, home / "p", workers, cpu_s))
            cluster.append(in_campaign(campaign, home / "c", workers, cpu_s))
    (efficiency, busy), (plain, _) = np.max(cluster, axis=0), np.max(alone, axis=0)
    return {
        "workers": workers,
        "job_cpu_s": cpu_s,
        "efficiency": round(float(efficiency), 3),
        "plain": round(float(plain), 3),
        "ratio": round(float(efficiency / plain), 3),
        "busy": round(float(busy), 3),
    }


if __name__ == "__main__":
    seconds, jobs_each, rounds_each = 1.0, 15, 3
    if len(sys.argv) > 1:
        seconds = float(sys.argv[1])
    if len(sys.argv) > 2:
        jobs_each, rounds_each = int(sys.argv[2]), int(sys.argv[3])
    for count in (1, 2):
        print(json.dumps(measure(count, seconds, jobs_each, rounds_each)), flush=True)
