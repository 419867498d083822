"""Regions, outcomes and campaigns made by hand, for pages to be made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sims.abstract.records import Fate, Options, Outcome, PolicyName, Samples
from sims.campaign.job import Figures
from sims.campaign.job import Row as JobRow
from sims.campaign.parameters import Parameters
from sims.campaign.results import CampaignResults
from sims.contacts import make_plan, make_workload
from sims.region import Region, Tracks

if TYPE_CHECKING:
    from numpy.typing import NDArray

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Size:
    """How large a sample is."""

    nodes: int = 12
    days: float = 2.0
    contacts: int = 300
    messages: int = 60


USUAL = Size()


def sample_region(size: Size = USUAL, has_tracks: bool = True, seed: int = 7) -> Region:
    """Return squads of five around a gateway, a relay for every ten nodes."""
    chance = np.random.default_rng(seed)
    nodes, duration = size.nodes, size.days * DAY_S
    roles = ["gateway", *(_role(node) for node in range(1, nodes))]
    groups = ["", *(f"squad {(node - 1) // 5 + 1}" for node in range(1, nodes))]
    labels = ["post", *(f"{roles[node]} {node}" for node in range(1, nodes))]
    return Region(
        "Queyras squads",
        make_plan(nodes, _contacts(chance, size, duration)),
        make_workload(
            tuple(f"m{number}" for number in range(size.messages)),
            _messages(chance, size, duration),
            nodes,
            "sample",
        ),
        tuple(labels),
        tuple(roles),
        tuple(groups),
        duration,
        _tracks(chance, size, duration) if has_tracks else None,
    )


def _role(node: int) -> str:
    return "leader" if node % 5 == 1 else "relay" if node % 10 == 3 else "agent"


def _contacts(chance: np.random.Generator, size: Size, duration: float) -> NDArray[np.float64]:
    day = chance.integers(0, max(int(size.days), 1), size.contacts) * DAY_S
    start = np.minimum(day + chance.normal(13, 3, size.contacts).clip(5, 22) * 3600, duration - 60)
    a = chance.integers(0, size.nodes, size.contacts)
    b = (a + chance.integers(1, size.nodes, size.contacts)) % size.nodes
    return np.column_stack([start, start + chance.exponential(1500, size.contacts) + 20, a, b])


def _messages(chance: np.random.Generator, size: Size, duration: float) -> NDArray[np.float64]:
    count = size.messages
    source = chance.integers(1, size.nodes, count)
    destination = np.where(chance.random(count) < 0.7, 0, source % (size.nodes - 1) + 1)
    priority = chance.choice([0, 1, 2], count, p=[0.2, 0.5, 0.3])
    size_bytes = np.array([2_000, 300_000, 2_000_000])[priority]
    return np.column_stack(
        [
            chance.uniform(0, duration * 0.7, count),
            source,
            destination,
            size_bytes,
            np.full(count, DAY_S),
            priority,
        ]
    )


def _tracks(chance: np.random.Generator, size: Size, duration: float) -> Tracks:
    times = np.arange(0.0, duration + 1, 600.0)
    walk = chance.normal(0, 120, (2, len(times), size.nodes))
    walk[:, :, 0] = 0
    east, north = np.cumsum(walk, axis=1).astype(np.float32)
    return Tracks(times, east, north)


def sample_arrivals(region: Region, seed: int = 3) -> NDArray[np.float64]:
    """Return best possible arrivals: one message in ten has none."""
    chance = np.random.default_rng(seed)
    count = len(region.workload)
    delays = np.exp(chance.normal(8.5, 1.2, count)).clip(1, 80_000)
    arrivals: NDArray[np.float64] = region.workload.created_s + delays
    arrivals[chance.random(count) < 0.1] = np.nan
    return arrivals


def sample_outcome(
    region: Region,
    arrivals_s: NDArray[np.float64],
    policy: PolicyName = PolicyName.GAIN,
    seed: int = 5,
) -> Outcome:
    """Return what a policy could come to that is never quicker than the best possible."""
    chance = np.random.default_rng(seed)
    workload, nodes = region.workload, region.plan.nodes
    count = len(workload)
    delivered = workload.created_s + (arrivals_s - workload.created_s) * (
        1 + chance.exponential(0.6, count)
    )
    delivered[(chance.random(count) < 0.12) | (delivered > workload.created_s + DAY_S)] = np.nan
    is_delivered = np.isfinite(delivered)
    lost = chance.choice([1, 2, 3, 4], count, p=[0.3, 0.3, 0.3, 0.1])
    fate = np.where(is_delivered, int(Fate.DELIVERED), lost).astype(np.int8)
    evicted = np.isin(fate, (Fate.EVICTED, Fate.EXPIRED)) & (chance.random(count) < 0.8)
    died_at = np.where(evicted, chance.integers(1, nodes, count), -1).astype(np.int32)
    times = np.arange(0.0, region.duration_s, 900.0)
    fill = 2.4e6 + 1.6e6 * np.sin(times / DAY_S * 6.28)
    return Outcome(
        options=Options(policy=policy),
        delivered_s=delivered,
        fate=fate,
        died_at=died_at,
        hops=np.where(is_delivered, chance.integers(1, 5, count), 0).astype(np.int16),
        transfers_of=chance.integers(0, 30, count).astype(np.int32),
        sent_bytes=chance.integers(0, 10**8, nodes),
        received_bytes=chance.integers(0, 10**8, nodes),
        contact_s=chance.uniform(0, 40_000, nodes),
        evictions=chance.integers(0, 9, nodes).astype(np.int32),
        cut_transfers=count,
        samples=Samples(times, fill, np.minimum(fill * 1.6, 5e6)),
        cpu_seconds=0.5,
        digest="d" * 64,
    )


# --- campaigns -------------------------------------------------------------------------------


def sample_results(
    name: str = "stores",
    policies: Sequence[PolicyName] = tuple(PolicyName),
    buffers: Sequence[int] = (1_000_000, 5_000_000, 50_000_000, 0),
    loads: Sequence[float] = (1.0,),
    *,
    seeds: Sequence[int] = (1, 2, 3, 4, 5),
    failing: int = 0,
) -> CampaignResults:
    """Return a campaign over a grid; its last `failing` jobs failed."""
    points = [
        (Parameters(policy=policy, buffer_bytes=buffer, load_scale=load), seed)
        for policy in policies
        for buffer in buffers
        for load in loads
        for seed in seeds
    ]
    rows = [
        JobRow(f"{number:08x}", seed, parameters, sample_figures(parameters, seed), "")
        for number, (parameters, seed) in enumerate(points)
    ]
    for number in range(len(rows) - failing, len(rows)):
        each = rows[number]
        rows[number] = JobRow(each.identity, each.seed, each.parameters, None, "out of memory")
    return CampaignResults(
        name=name,
        about="How much room a phone needs.",
        scenario="queyras_squads",
        scenario_hash="a" * 64,
        version="0.1.0",
        jobs=len(points),
        rows=tuple(rows),
    )


def sample_figures(parameters: Parameters, seed: int) -> Figures:
    """Return figures that get better with room, differ by policy, and vary by seed."""
    chance = np.random.default_rng([seed, len(parameters.policy), parameters.buffer_bytes])
    room = parameters.buffer_bytes or 10**9
    quality = 0.6 + 0.05 * list(PolicyName).index(parameters.policy)
    share = min(quality + 0.06 * np.log10(room / 1e6) / parameters.load_scale, 0.92)
    share = float(share + chance.normal(0, 0.01))
    return Figures(
        messages=1000,
        delivered=round(1000 * share),
        delivered_share=share,
        delivered_urgent=min(share + 0.03, 0.95),
        delivered_normal=share,
        delivered_bulk=share - 0.1,
        oracle_share=0.95,
        oracle_urgent=0.95,
        of_oracle=share / 0.95,
        overhead=20 + chance.random(),
        delay_median_s=3600 * (1.2 + chance.random()),
        delay_p90_s=40_000.0,
        transfers=20_000,
        cut_transfers=100,
        evictions=5_000,
        sent_bytes=10**9,
        node_bytes_mean=1e7,
        node_bytes_max=10**8,
        stored_bytes_max=5e6,
        digest=f"{seed:064x}",
        cpu_seconds=1.5,
    )
