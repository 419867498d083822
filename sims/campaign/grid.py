"""A campaign as one record, and the independent jobs that it stands for.

A job is named by what decides its result: scenario, parameters, seed and version of the program.
The same job has the same name on any computer, so results can be kept, resumed and compared.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from typing import Final

from sims.campaign.parameters import (
    PARAMETERS,
    CampaignError,
    Parameters,
    Value,
    parameters_of,
)
from sims.campaign.sources import Source

__all__ = ["JOBS_MAX", "Campaign", "Job", "identity_of", "jobs_of", "program_version"]

JOBS_MAX: Final = 1_000_000
"""Of one campaign: a week of a hundred laptops."""
_IDENTITY_SCHEMA: Final = "meshnode-campaign-job 1"
_IDENTITY_LETTERS: Final = 32
"""Of the hexadecimal SHA-256: 128 bits, so no two jobs of a campaign share a name."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """What is run, varied and repeated."""

    name: str
    """What people call it: the name of its file."""
    about: str
    """One sentence on what it is to show."""
    source: Source
    """Where its regions come from."""
    seeds: tuple[int, ...]
    """Each point of the grid is run once for each of them."""
    grid: tuple[tuple[str, tuple[Value, ...]], ...]
    """Name and values of each parameter that varies; all others are as the scenario says."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a campaign."""

    identity: str
    """32 hexadecimal letters over everything that decides the result."""
    seed: int
    """Of the region, of its changes and of the policy."""
    parameters: Parameters
    """Its point of the grid."""


def program_version() -> str:
    """Return the version of the program; results of two versions are not mixed."""
    return version("meshnode")


def identity_of(scenario_hash: str, program: str, seed: int, parameters: Parameters) -> str:
    """Return the name of a job. Cost: one hash."""
    values = zip(PARAMETERS, parameters.texts(), strict=True)
    lines = [_IDENTITY_SCHEMA, scenario_hash, program, str(seed)]
    lines += [f"{name}={text}" for name, text in values]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:_IDENTITY_LETTERS]


def jobs_of(campaign: Campaign) -> tuple[Job, ...]:
    """Return all jobs in the order of the grid, seeds innermost. Raises: CampaignError."""
    count = len(campaign.seeds)
    for _, values in campaign.grid:
        count *= len(values)
    if not 1 <= count <= JOBS_MAX:
        raise CampaignError("grid", f"makes {count} jobs: take between 1 and {JOBS_MAX}")
    program, scenario_hash = program_version(), campaign.source.scenario_hash
    names = [name for name, _ in campaign.grid]
    points = product(*(values for _, values in campaign.grid))
    jobs = []
    for point in points:
        parameters = parameters_of(dict(zip(names, point, strict=True)), campaign.source.options)
        for seed in campaign.seeds:
            identity = identity_of(scenario_hash, program, seed, parameters)
            jobs.append(Job(identity, seed, parameters))
    return tuple(jobs)
