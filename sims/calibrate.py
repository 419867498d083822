"""Holds the abstract simulator against the world of real nodes, message by message.

Both run the same scenario. What the abstract one leaves out is put into its contact plan: a
session needs time before its first bundle arrives, and that time follows from the link alone.
Nothing is fitted to a scenario. What stays apart shows on slow links whose contacts end before all
has moved: with real nodes each direction of each link has the whole rate and up to 32 kB wait in
the link itself, whatever is more urgent by then; here a node serves one transfer at a time.
Source: DESIGN D11, wire-format 6.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from protocol.limits import SESSION_HELLO_MS_MAX, STORE_RESERVE_PCT, STORE_ROW_BYTES
from sims.abstract.engine import simulate
from sims.abstract.records import Options, PolicyName
from sims.contacts import ContactPlan, make_plan
from sims.record import WorldRecord
from sims.region import Region
from sims.scenario import Scenario
from sims.translation import region_of
from sims.world import run_world

__all__ = [
    "Agreement",
    "Difference",
    "Fit",
    "calibrate",
    "compare",
    "later",
    "options_of",
    "room_bytes",
    "setup_s",
]

SETUP_TRIPS: Final = 7
"""One-way times of a link from the sighting to the first bundle: two for the dial, one each for
HELLO, documents, symbols and the wish for what is missing, and that of the bundle itself."""
PREKEY_BYTES: Final = 1_400
"""Container of a prekey bundle."""
RECEIPT_BYTES: Final = 148
"""Container of a receipt bundle with a few runs."""
SETUP_BYTES: Final = 2_400
"""Bytes ahead of the first bundle, one way: badge chain and binding of the HELLO, versions of
documents, and symbols of a small difference."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A message that came in one of the two and not in the other."""

    scenario: str
    """Name of the scenario."""
    seed: int
    """Of the world of real nodes."""
    message: int
    """Place among the messages of the scenario, from 0."""
    real_s: float
    """When it came with real nodes, seconds from the begin; NaN where it did not."""
    abstract_s: float
    """When it came in the abstract simulator; NaN where it did not."""
    deadline_s: float
    """End of its life."""


@dataclass(frozen=True, slots=True)
class Fit:
    """One scenario in both. Arrays have shape (n_messages,), in the order of the scenario."""

    scenario: Scenario
    """What was run."""
    seed: int
    """Of the world of real nodes."""
    created_s: np.ndarray[tuple[int], np.dtype[np.float64]]
    """When each message was written, seconds from the begin."""
    real_s: np.ndarray[tuple[int], np.dtype[np.float64]]
    """When it came with real nodes; NaN where it did not in time."""
    abstract_s: np.ndarray[tuple[int], np.dtype[np.float64]]
    """When it came in the abstract simulator."""
    deadline_s: np.ndarray[tuple[int], np.dtype[np.float64]]
    """End of its life."""

    @property
    def differences(self) -> tuple[Difference, ...]:
        """The messages that came in one and not in the other."""
        is_apart = np.isnan(self.real_s) != np.isnan(self.abstract_s)
        return tuple(
            Difference(
                self.scenario.name,
                self.seed,
                int(number),
                float(self.real_s[number]),
                float(self.abstract_s[number]),
                float(self.deadline_s[number]),
            )
            for number in np.flatnonzero(is_apart)
        )


@dataclass(frozen=True, slots=True)
class Agreement:
    """Several runs of scenarios of one kind, taken together."""

    name: str
    """What they have in common."""
    messages: int
    """Messages of all runs."""
    real_share: float
    """Share that came with real nodes, 0 to 1."""
    abstract_share: float
    """Share that came in the abstract simulator."""
    real_median_s: float
    """Median delay of what came with real nodes; NaN where nothing came."""
    abstract_median_s: float
    """Median delay of what came in the abstract simulator."""
    differences: tuple[Difference, ...] = field(repr=False)
    """The messages that came in one and not in the other."""

    @property
    def share_apart(self) -> float:
        """By how much the shares differ, 0 to 1."""
        return abs(self.abstract_share - self.real_share)

    @property
    def median_apart(self) -> float:
        """By which part of the real one the medians differ; NaN where nothing came."""
        return abs(self.abstract_median_s / self.real_median_s - 1.0)


def calibrate(name: str, scenarios: Iterable[tuple[Scenario, int]]) -> Agreement:
    """Run each scenario with its seed in both and return what they come to together.

    Raises: ScenarioError. Cost: that of the real nodes, a second for some hours of ten.
    """
    return _pooled(name, [compare(scenario, seed) for scenario, seed in scenarios])


def compare(scenario: Scenario, seed: int) -> Fit:
    """Run one scenario in both. Raises: ScenarioError where no region can stand for it."""
    region = region_of(scenario)
    created_s = np.array([message.at_s for message in scenario.messages])
    deadline_s = _in_order(region, region.workload.created_s + region.workload.lifetime_s)
    real_s = _arrivals(run_world(scenario, seed))
    region = replace(region, plan=later(region.plan, setup_s(scenario)))
    outcome = simulate(region, options_of(scenario, seed))
    return Fit(
        scenario,
        seed,
        created_s,
        np.where(real_s <= deadline_s, real_s, np.nan),
        _in_order(region, outcome.delivered_s),
        deadline_s,
    )


def setup_s(scenario: Scenario) -> float:
    """Return how long after a sighting a session moves its first bundle, seconds.

    A contact that is shorter moves nothing. Both terms were measured on links of 0 to 0.5 s and
    10 kB/s to 1 GB/s; a test measures them again. Infinite where the answer to a HELLO needs
    longer than nodes wait for it.
    """
    if 2000 * scenario.latency_s >= SESSION_HELLO_MS_MAX:
        return float("inf")
    return SETUP_TRIPS * scenario.latency_s + SETUP_BYTES / scenario.rate_bytes_s


def later(plan: ContactPlan, begin_s: float) -> ContactPlan:
    """Return the plan in which each contact begins `begin_s` later; those that end by then go."""
    stays = plan.end_s - plan.start_s > begin_s
    columns = (plan.start_s + begin_s, plan.end_s, plan.a, plan.b)
    table = np.column_stack([column.astype(np.float64) for column in columns])
    return make_plan(plan.nodes, table[stays])


def options_of(scenario: Scenario, seed: int) -> Options:
    """Return the options that stand for the nodes of a scenario.

    A session moves whole bundles, so what the end of a contact cuts begins again.
    """
    return Options(
        policy=PolicyName.GAIN,
        buffer_bytes=room_bytes(scenario),
        rate_bytes_s=scenario.rate_bytes_s,
        seed=seed,
        has_resume=False,
    )


def room_bytes(scenario: Scenario) -> int:
    """Return what messages have of a store, counted as the abstract simulator counts them.

    A real store keeps a part for urgent bundles, holds a prekey of each device and a receipt from
    each to each, and charges its rows: 256 bytes for each bundle beside the container.
    """
    devices = len(scenario.devices)
    keys = devices * (PREKEY_BYTES + STORE_ROW_BYTES)
    receipts = devices * (devices - 1) * (RECEIPT_BYTES + STORE_ROW_BYTES)
    room = scenario.store_bytes * (100 - STORE_RESERVE_PCT) // 100 - keys - receipts
    sizes = region_of(scenario).workload.size_bytes
    part = float(sizes.mean() / (sizes.mean() + STORE_ROW_BYTES)) if len(sizes) else 1.0
    return max(1, int(room * part))


# --- helpers -----------------------------------------------------------------------------------

_Times = np.ndarray[tuple[int], np.dtype[np.float64]]


def _in_order(region: Region, values: _Times) -> _Times:
    """Return what belongs to the messages of a region in the order of the scenario."""
    found = np.full(len(values), np.nan)
    found[np.array([int(name) for name in region.workload.names], dtype=np.int64)] = values
    return found


def _arrivals(world: WorldRecord) -> _Times:
    """Return when each message of the scenario was opened where it was to go; NaN if it was not."""
    announced: dict[tuple[str, str], float] = {}
    for line in world.lines:
        if line.event == "message_arrived":
            place = (line.node, str(dict(line.fields)["message"]))
            announced.setdefault(place, line.at_ms / 1000)
    came: dict[tuple[str, str], float] = {}
    for sent in world.sent:
        names = [world.name_of(node) for node in sent.recipients]
        times = [announced.get((name, str(sent.message)), np.nan) for name in names]
        came[world.name_of(sent.sender), sent.text] = float(np.fmin.reduce(times))
    messages = world.scenario.messages
    return np.array([came.get((each.sender, each.text), np.nan) for each in messages])


def _pooled(name: str, fits: Sequence[Fit]) -> Agreement:
    created_s = np.concatenate([fit.created_s for fit in fits])
    real_s = np.concatenate([fit.real_s for fit in fits]) - created_s
    abstract_s = np.concatenate([fit.abstract_s for fit in fits]) - created_s
    return Agreement(
        name,
        len(created_s),
        float(np.isfinite(real_s).mean()),
        float(np.isfinite(abstract_s).mean()),
        _median(real_s),
        _median(abstract_s),
        tuple(difference for fit in fits for difference in fit.differences),
    )


def _median(delays_s: _Times) -> float:
    came = delays_s[np.isfinite(delays_s)]
    return float(np.median(came)) if len(came) else float("nan")
