"""Regions made harder or easier: more messages, other lifetimes, dead nodes, broken timetables.

Each change draws from a generator of its own, seeded by the job's seed, and the draws nest: what
is dead or cancelled at one share is so at every larger one. Then a sweep shows the share alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sims.contacts import ContactPlan, TraceError, Workload, make_plan, make_workload

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sims.campaign.parameters import Parameters
    from sims.region import Region

__all__ = ["MESSAGES_MAX", "vary"]

MESSAGES_MAX = 10_000_000
"""Of one run after `load_scale`: ten times what the simulator is made for."""

_LOAD, _DEAD, _CANCELLED, _JITTER = range(4)


def vary(region: Region, parameters: Parameters, seed: int) -> Region:
    """Return the region that a job with these parameters runs on.

    Raises: TraceError if there would be too many messages. Cost: O(contacts + messages).
    """
    plan = _without_dead(region, parameters.dead_share, seed)
    plan = _without_cancelled(plan, parameters.cancelled_share, seed)
    plan = _shifted(plan, parameters.jitter_s, seed)
    workload = _loaded(region.workload, parameters.load_scale, region.plan.nodes, seed)
    if parameters.lifetime_scale != 1.0:
        workload = replace(workload, lifetime_s=workload.lifetime_s * parameters.lifetime_scale)
    return replace(region, plan=plan, workload=workload)


def _draws(seed: int, change: int) -> np.random.Generator:
    return np.random.default_rng([seed, change])


def _without_dead(region: Region, share: float, seed: int) -> ContactPlan:
    """Leave out the contacts of nodes that are off; gateways never are."""
    plan = region.plan
    mortal = np.array([i for i, role in enumerate(region.roles) if role != "gateway"], np.int64)
    order = _draws(seed, _DEAD).permutation(mortal)
    is_dead = np.zeros(plan.nodes, dtype=bool)
    is_dead[order[: round(share * len(mortal))]] = True
    return _kept(plan, ~(is_dead[plan.a] | is_dead[plan.b]))


def _without_cancelled(plan: ContactPlan, share: float, seed: int) -> ContactPlan:
    if share == 0.0:
        return plan
    return _kept(plan, _draws(seed, _CANCELLED).random(len(plan)) >= share)


def _kept(plan: ContactPlan, is_kept: NDArray[np.bool_]) -> ContactPlan:
    if is_kept.all():
        return plan
    return ContactPlan(
        plan.nodes, plan.start_s[is_kept], plan.end_s[is_kept], plan.a[is_kept], plan.b[is_kept]
    )


def _shifted(plan: ContactPlan, jitter_s: float, seed: int) -> ContactPlan:
    """Move each contact by up to `jitter_s`, as long as before; none begins before 0."""
    if jitter_s == 0.0:
        return plan
    shift_s = _draws(seed, _JITTER).uniform(-jitter_s, jitter_s, len(plan))
    start_s = np.maximum(plan.start_s + shift_s, 0.0)
    end_s = start_s + (plan.end_s - plan.start_s)
    # A contact shorter than the step between neighbouring numbers would lose its length.
    end_s = np.maximum(end_s, np.nextafter(start_s, np.inf))
    return make_plan(plan.nodes, np.column_stack((start_s, end_s, plan.a, plan.b)))


def _loaded(workload: Workload, scale: float, nodes: int, seed: int) -> Workload:
    """Return `scale` times as many messages: a part, or all and copies at other times.

    A copy has the ends, size, lifetime and priority of its original and the time of another
    message, so that the course of the day stays.
    """
    count = round(scale * len(workload))
    if count == len(workload):
        return workload
    if not count:
        return make_workload((), np.empty((0, 6)), nodes, "load_scale")
    if count > MESSAGES_MAX:
        raise TraceError("load_scale", f"gives {count} messages; {MESSAGES_MAX} at most")
    draws = _draws(seed, _LOAD)
    # Two draws for each wave, so that a wave does not depend on how many come after it.
    waves = [
        (draws.permutation(len(workload)), draws.permutation(len(workload)))
        for _ in range(-(-count // len(workload)))
    ]
    chosen, times = (np.concatenate(each)[:count] for each in zip(*waves, strict=True))
    wave = np.arange(count) // len(workload)
    created_s = workload.created_s[np.where(wave == 0, chosen, times)]
    columns = (
        created_s,
        workload.source[chosen],
        workload.destination[chosen],
        workload.size_bytes[chosen],
        workload.lifetime_s[chosen],
        workload.priority[chosen],
    )
    names = tuple(
        f"{workload.names[index]}#{number}" if number else workload.names[index]
        for index, number in zip(chosen.tolist(), wave.tolist(), strict=True)
    )
    return make_workload(names, np.column_stack(columns), nodes, "load_scale")
