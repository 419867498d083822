"""Measures how the abstract simulator's cost grows; prints a line of JSON for each case.

`python -m tests.benchmarks.simulator_speed [CONTACTS_MOST]`: from 10³ contacts up to 10⁷ unless
told otherwise, and from 10² to 10⁴ nodes, each in a process of its own, so that its memory is its
own. Events are begins and ends of contacts; the time is CPU time of the run, without reading and
compiling. Memory is the most that the process had, and `idle_mb` what it had before the case:
the interpreter, the libraries and the compiled code.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from sims.abstract.engine import simulate
from sims.abstract.records import Options, PolicyName
from sims.contacts import make_plan, make_workload
from sims.region import Region, plain_region

__all__ = ["CASES", "Case", "measure", "region_of"]

_SPAN_S: Final = 600_000.0
_LIFETIME_S: Final = 86_400.0
_NEIGHBOURS: Final = 30
"""A node meets those whose numbers are so near, as in squads and valleys."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is run."""

    nodes: int
    """How many."""
    contacts: int
    """Drawn; those of a pair that overlap are joined."""
    messages: int = 1_000
    """Written in the first 70 % of a week."""
    policy: PolicyName = PolicyName.GAIN
    """Who gets a copy."""
    contact_s: float = 60.0
    """Mean length of a contact, seconds."""


CASES: Final = (
    *(Case(1_000, 10**power) for power in range(3, 8)),
    *(Case(nodes, 1_000_000) for nodes in (100, 10_000)),
    *(Case(1_000, 1_000_000, policy=each) for each in PolicyName if each is not PolicyName.GAIN),
    *(Case(nodes, 1_000_000, 10_000) for nodes in (1_000, 10_000)),
    Case(1_000, 1_000_000, 10_000, PolicyName.SPRAY),
    Case(1_000, 1_000_000, 10_000, PolicyName.EPIDEMIC),
)


def region_of(case: Case, seed: int = 1) -> Region:
    """Return a region: sizes and ways as in the recorded workloads, to one gateway mostly."""
    draw = np.random.default_rng(seed)
    count, nodes = case.contacts, case.nodes
    first = draw.integers(0, nodes, count)
    second = (first + draw.integers(1, min(_NEIGHBOURS, nodes - 1) + 1, count)) % nodes
    # One in fifty is with the gateway.
    second = np.where((draw.random(count) < 0.02) & (first != 0), 0, second)
    start_s = draw.uniform(0.0, _SPAN_S, count)
    end_s = start_s + draw.exponential(case.contact_s, count) + 1.0
    plan = make_plan(nodes, np.column_stack((start_s, end_s, first, second)))
    total = case.messages
    source = draw.integers(1, nodes, total)
    others = (source + draw.integers(1, nodes, total)) % nodes
    target = np.where(draw.random(total) < 0.7, 0, others)
    kind = draw.choice(3, total, p=[0.6, 0.3, 0.1])
    low, high = np.array([1e3, 2e5, 1e6])[kind], np.array([4e3, 8e5, 3e6])[kind]
    size = np.floor(draw.uniform(low, high))
    priority = np.where(kind == 0, draw.integers(0, 2, total), kind)
    created_s = draw.uniform(0.0, 0.7 * _SPAN_S, total)
    lifetime_s = np.full(total, _LIFETIME_S)
    rows = np.column_stack((created_s, source, target, size, lifetime_s, priority))
    names = tuple(f"m{number}" for number in range(total))
    return plain_region("synthetic", plan, make_workload(names, rows, nodes, "messages"))


def measure(case: Case) -> dict[str, float | str]:
    """Run one case in this process and return its figures."""
    simulate(region_of(Case(3, 10, 3)), Options(case.policy))
    idle_mb = _most_mb()
    region = region_of(case)
    found = simulate(region, Options(case.policy))
    events = 2 * len(region.plan)
    return {
        **asdict(case),
        "joined_contacts": len(region.plan),
        "delivered": round(float((~np.isnan(found.delivered_s)).mean()), 3),
        "transfers": found.transfers,
        "cpu_s": round(found.cpu_seconds, 3),
        "contact_events_per_s": round(events / max(found.cpu_seconds, 1e-6)),
        "most_mb": round(_most_mb()),
        "idle_mb": round(idle_mb),
    }


def _most_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(arguments: list[str]) -> None:
    """Run one case given as JSON after `--case`, or all in a process for each."""
    if arguments[:1] == ["--case"]:
        told = json.loads(arguments[1])
        print(json.dumps(measure(Case(**{**told, "policy": PolicyName(told["policy"])}))))
        return
    most = float(arguments[0]) if arguments else 1e7
    for case in CASES:
        if case.contacts <= most:
            command = [sys.executable, "-m", "tests.benchmarks.simulator_speed", "--case"]
            subprocess.run([*command, json.dumps(asdict(case))], check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
