"""A region: who is there, who meets whom, who writes what. What every kind of run starts from.

Generators, traces and importers give one; the oracle, the abstract simulator and, for small ones,
the world of real nodes take one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sims.contacts import ContactPlan, Workload

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Region", "Tracks", "plain_region"]


@dataclass(frozen=True, slots=True)
class Tracks:
    """Where nodes were, for maps; sampled at the same times for all."""

    times_s: NDArray[np.float64]
    """Shape (n_times,), seconds, rising."""
    east_m: NDArray[np.float32]
    """Shape (n_times, n_nodes), metres east of the region's origin; NaN where unknown."""
    north_m: NDArray[np.float32]
    """Shape (n_times, n_nodes), metres north of it."""


@dataclass(frozen=True, slots=True)
class Region:
    """Everything that a run is made from, beside policy, buffers, rates and seed."""

    name: str
    """What people call it."""
    plan: ContactPlan
    """Who reaches whom when."""
    workload: Workload
    """Who writes what."""
    labels: tuple[str, ...]
    """Name of each node, shape (n_nodes,)."""
    roles: tuple[str, ...]
    """`gateway`, `relay`, `leader` or `agent` for each node."""
    groups: tuple[str, ...]
    """Squad or place of each node; empty where it belongs to none."""
    duration_s: float
    """Seconds from the begin to the end; contacts and lifetimes may go beyond."""
    tracks: Tracks | None = field(default=None, repr=False)
    """Where nodes were, where the region knows it."""

    @property
    def gateways(self) -> NDArray[np.int32]:
        """Numbers of the gateways."""
        return np.array([i for i, role in enumerate(self.roles) if role == "gateway"], np.int32)


def plain_region(name: str, plan: ContactPlan, workload: Workload) -> Region:
    """Return the region of a trace that tells nothing of its nodes."""
    ends = [plan.span_s, float((workload.created_s + workload.lifetime_s).max(initial=0.0))]
    return Region(
        name,
        plan,
        workload,
        tuple(f"node {number}" for number in range(plan.nodes)),
        ("agent",) * plan.nodes,
        ("",) * plan.nodes,
        min(ends) if len(workload) else plan.span_s,
    )
