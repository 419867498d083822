"""A small trace, campaigns on it, and stand-ins for the simulator that workers can import."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import numpy as np

from sims.abstract.records import Options, Outcome, PolicyName, Samples
from sims.campaign.grid import Campaign
from sims.campaign.reading import read_campaign
from sims.contacts import TraceError
from sims.region import Region

NODES = 12

CAMPAIGN = """
about = "Policies and stores on a small trace."
contacts = "contacts.csv"
messages = "messages.csv"
seeds = {from = 3, count = 4}
[grid]
policy = ["epidemic", "spray", "gain"]
buffer_bytes = [100_000, 1_000_000]
load_scale = [1.0, 0.5]
"""


def write_trace(folder: Path) -> None:
    """Write contacts and messages of a small group."""
    draws = np.random.default_rng(5)
    lines = ["t_start,t_end,a,b"]
    for start in range(0, 4_000, 20):
        a, b = draws.choice(NODES, 2, replace=False)
        lines.append(f"{start},{start + 15},{a},{b}")
    (folder / "contacts.csv").write_text("\n".join(lines))
    lines = ["id,t,src,dst,size,ttl,prio"]
    for number in range(60):
        a, b = draws.choice(NODES, 2, replace=False)
        lines.append(f"m{number},{number * 20},{a},{b},{1000 + number},2000,{number % 3}")
    (folder / "messages.csv").write_text("\n".join(lines))


def small_campaign(folder: Path, text: str = CAMPAIGN) -> Campaign:
    """Return a campaign of 48 jobs, its trace in `folder`."""
    write_trace(folder)
    return read_campaign(text.encode(), "small", folder)


def simulate(region: Region, options: Options) -> Outcome:
    """Return an outcome that depends on everything it is given, and costs next to nothing."""
    words = f"{options} {len(region.plan)} {len(region.workload)} {region.plan.start_s.sum()}"
    draws = np.random.default_rng(list(hashlib.sha256(words.encode()).digest()))
    messages, nodes = len(region.workload), region.plan.nodes
    is_there = draws.random(messages) < 0.6
    delivered_s = region.workload.created_s + draws.random(messages) * region.workload.lifetime_s
    return Outcome(
        options=options,
        delivered_s=np.where(is_there, delivered_s, np.nan),
        fate=np.where(is_there, 0, 2).astype(np.int8),
        died_at=np.full(messages, -1, np.int32),
        hops=is_there.astype(np.int16),
        transfers_of=(is_there * draws.integers(1, 9, messages)).astype(np.int32),
        sent_bytes=draws.integers(0, 10**6, nodes),
        received_bytes=draws.integers(0, 10**6, nodes),
        contact_s=np.zeros(nodes),
        evictions=draws.integers(0, 5, nodes).astype(np.int32),
        cut_transfers=int(draws.integers(0, 50)),
        samples=Samples(np.zeros(1), np.zeros(1), np.full(1, 9.0)),
        cpu_seconds=time.process_time(),
        digest=hashlib.sha256(words.encode()).hexdigest(),
    )


def slow_simulate(region: Region, options: Options) -> Outcome:
    """The same, after a quarter of a second: long enough to be killed in."""
    time.sleep(0.25)
    return simulate(region, options)


def busy_simulate(region: Region, options: Options) -> Outcome:
    """The same, after a second of work; tells its CPU time."""
    started_s = time.process_time()
    while time.process_time() - started_s < 1.0:
        np.sort(np.random.default_rng(1).random(20_000))
    outcome = simulate(region, options)
    fields = {name: getattr(outcome, name) for name in outcome.__dataclass_fields__}
    return Outcome(**fields | {"cpu_seconds": time.process_time() - started_s})


def failing_simulate(region: Region, options: Options) -> Outcome:
    """Fail in three ways, each for one policy and one seed; else as `simulate`."""
    if options.seed == 4 and options.buffer_bytes == 100_000 and len(region.workload) == 60:
        if options.policy is PolicyName.EPIDEMIC:
            raise ValueError("a defect,\nin two lines")
        if options.policy is PolicyName.SPRAY:
            raise TraceError("row 7", "cannot be")
        os._exit(1)
    return simulate(region, options)


class OddError(Exception):
    """An error that cannot be sent: it needs two arguments and keeps one."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def odd_simulate(region: Region, options: Options) -> Outcome:
    """Fail always, with an error that cannot be sent."""
    raise OddError("much", "odd")
