"""Runs of regions and traces in the abstract simulator: what commands ask of it, and its figures.

A trace without a scenario is a region whose nodes nobody knows; all else is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sims.commands.options import LanguageChoice, policy_named
from sims.errors import CommandError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sims.abstract.records import Outcome
    from sims.costs import CostAccount
    from sims.energy import EnergyUse
    from sims.region import Region
    from sims.region_reading import RegionScenario

__all__ = [
    "RegionAsk",
    "RegionDone",
    "figures_of",
    "is_region",
    "load_asked",
    "report_path",
    "run_region",
    "write_report",
]

_COMPILING = "simulating; the first time after an installation this takes half a minute more"


@dataclass(frozen=True, slots=True)
class RegionAsk:
    """What was asked of a run: a scenario, or a trace in files, and how to run it."""

    scenario: str | None
    """An included region, or a file; None for a trace."""
    contacts: Path | None = None
    """Contacts of a trace."""
    messages: Path | None = None
    """Messages of a trace."""
    nodes: Path | None = None
    """Nodes of a trace; None where nobody knows them."""
    seed: int = 1
    """Decides what the scenario leaves, and what a policy leaves."""
    policy: str | None = None
    """Its name; this and the next are None where the scenario says it."""
    buffer_bytes: int | None = None
    """What each node holds; 0 is without bound."""
    rate_bytes_s: float | None = None
    """Of every contact; 0 is without bound."""
    copies: int | None = None
    """Copies that spray begins with."""


@dataclass(frozen=True, slots=True)
class RegionDone:
    """A run with what it is judged against."""

    scenario: RegionScenario
    """What was run, and how."""
    outcome: Outcome
    """What it came to."""
    arrivals_s: NDArray[np.float64]
    """Best possible arrival of each message, seconds, shape (n_messages,); NaN for none."""
    energy: EnergyUse | None
    """What it took; None where no time passed."""
    account: CostAccount
    """What satellite and LoRa would have cost."""

    @property
    def region(self) -> Region:
        """Who is there, who meets whom, who writes what."""
        return self.scenario.region


def is_region(name: str) -> bool:
    """Whether a scenario is one for the abstract simulator. Raises: ScenarioError."""
    from sims.scenario_files import kind_of

    return not name.startswith("chaos:") and kind_of(name) == "region"


def load_asked(ask: RegionAsk) -> RegionScenario:
    """Return the scenario or the trace that was asked for, with the options that were given.

    Raises: CommandError if it is neither or both, or the policy is unknown; ScenarioError,
    TraceError.
    """
    policy = None if ask.policy is None else policy_named(ask.policy)
    given = {
        "policy": policy,
        "buffer_bytes": ask.buffer_bytes,
        "rate_bytes_s": ask.rate_bytes_s,
        "copies": ask.copies,
    }
    found = _load(ask)
    changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return replace(found, options=replace(found.options, seed=ask.seed, **changed))


def _load(ask: RegionAsk) -> RegionScenario:
    has_trace = ask.contacts is not None or ask.messages is not None
    if has_trace == (ask.scenario is not None):
        raise CommandError("name a scenario, or --contacts and --messages, and not both")
    if ask.scenario is None:
        return _load_trace(ask)
    if ask.nodes is not None:
        raise CommandError("--nodes belongs to --contacts: leave it out")
    from sims.region_reading import load_region

    return load_region(ask.scenario, ask.seed)


def _load_trace(ask: RegionAsk) -> RegionScenario:
    from sims.abstract.records import Options
    from sims.campaign.sources import region_hash, trace_source
    from sims.costs import LoraFigures, SatelliteFigures
    from sims.energy import EnergyFigures
    from sims.importing import ImportOptions, Kind, import_region
    from sims.region_reading import RegionScenario

    if ask.contacts is None or ask.messages is None:
        raise CommandError("--contacts and --messages go together: name both files")
    if ask.nodes is None:
        region = trace_source(ask.contacts, ask.messages).trace
    else:
        options = ImportOptions(kind=Kind.CONTACTS, nodes=ask.nodes, messages=ask.messages)
        region = import_region(ask.contacts, options).region
    region = replace(region, name=ask.contacts.stem)
    return RegionScenario(
        name=region.name,
        about=f"A trace: {ask.contacts.name} and {ask.messages.name}.",
        seed=ask.seed,
        hash=region_hash(region),
        region=region,
        options=Options(),
        energy=EnergyFigures(),
        satellite=SatelliteFigures(),
        lora=LoraFigures(),
    )


def run_region(scenario: RegionScenario, tell: Callable[[str], None]) -> RegionDone:
    """Run a region, and find what was possible; `tell` hears what is being done.

    Raises: SimulationError for options that cannot be.
    """
    from sims.abstract.engine import simulate
    from sims.costs import account_costs
    from sims.energy import account_energy
    from sims.oracle import best_arrivals

    region = scenario.region
    tell(_COMPILING)
    outcome = simulate(region, scenario.options)
    tell("finding what was possible")
    arrivals_s = best_arrivals(region.plan, region.workload)
    has_time = region.duration_s > 0 and region.plan.nodes > 0
    return RegionDone(
        scenario,
        outcome,
        arrivals_s,
        account_energy(outcome, region, scenario.energy) if has_time else None,
        account_costs(outcome, region, scenario.satellite, scenario.lora),
    )


def figures_of(done: RegionDone) -> dict[str, Any]:
    """Return what a run came to by name; NaN where nothing can be said."""
    from sims.oracle import sum_up

    outcome, region = done.outcome, done.region
    found = sum_up(region.workload, outcome.delivered_s)
    best = sum_up(region.workload, done.arrivals_s)
    classes = ("urgent", "normal", "bulk")
    beyond = outcome.transfers - found.delivered
    return {
        "messages": found.messages,
        "delivered": found.share,
        **{f"delivered_{name}": share for name, share in zip(classes, found.share_of, strict=True)},
        "overhead": beyond / found.delivered if found.delivered else None,
        "delay_median_s": found.delay_median_s,
        "cpu_seconds": outcome.cpu_seconds,
        "digest": outcome.digest,
        "scenario": done.scenario.name,
        "scenario_hash": done.scenario.hash,
        "seed": done.scenario.seed,
        "policy": str(outcome.options.policy),
        "buffer_bytes": outcome.options.buffer_bytes,
        "rate_bytes_s": outcome.options.rate_bytes_s,
        "nodes": region.plan.nodes,
        "contacts": len(region.plan),
        "duration_s": region.duration_s,
        "messages_delivered": found.delivered,
        "delay_p90_s": _p90(found.delays_s),
        "transfers": outcome.transfers,
        "cut_transfers": int(outcome.cut_transfers),
        "evictions": int(outcome.evictions.sum()),
        "sent_bytes": int(outcome.sent_bytes.sum()),
        "stored_bytes_max": float(outcome.samples.largest_bytes.max(initial=0.0)),
        "oracle": best.share,
        **{f"oracle_{name}": share for name, share in zip(classes, best.share_of, strict=True)},
        "of_oracle": found.delivered / best.delivered if best.delivered else None,
        "fates": _fates(outcome),
        "energy": _energy(done),
        "costs": _costs(done),
    }


def _p90(delays_s: NDArray[np.float64]) -> float | None:
    import numpy as np

    return float(np.quantile(delays_s, 0.9)) if len(delays_s) else None


def _fates(outcome: Outcome) -> dict[str, int]:
    from sims.abstract.records import Fate

    return {fate.name.lower(): int((outcome.fate == fate).sum()) for fate in Fate}


def _energy(done: RegionDone) -> dict[str, Any] | None:
    use = done.energy
    if use is None:
        return None
    return {
        "mean_j_day": use.mean_j,
        "worst_j_day": use.worst_j,
        "worst_node": done.region.labels[use.worst_node],
        "worst_battery_share": use.worst_battery_share,
    }


def _costs(done: RegionDone) -> dict[str, Any]:
    worst = done.account.lora_worst_node
    label = done.region.labels[worst] if worst >= 0 else None
    return {**asdict(done.account), "lora_worst_node": label}


# --- report --------------------------------------------------------------------------------------


def report_path(scenario: RegionScenario) -> Path:
    """Return where a report goes that nobody gave a place: the current folder."""
    return Path(f"{scenario.name}-report.html")


def write_report(runs: list[RegionDone], path: Path, language: LanguageChoice) -> Path:
    """Write the report on runs over one region, the first in full; return the page's place.

    Raises: ReportError.
    """
    from sims.report import run_report

    first = runs[0]
    return run_report(
        first.region,
        [each.outcome for each in runs],
        first.arrivals_s,
        path,
        energy=first.energy,
        account=first.account,
        language=language.value,
    )
