"""Says in sentences what a run came to, and what a planner could change.

Each piece of advice follows from a count that stands in the sentence, so that it can be judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np

from sims.abstract.records import Fate
from sims.report.measures import CLASSES, Run, death_places, delays_of
from sims.report.words import Words

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["advice", "headline", "summary"]

FULL_SHARE: Final = 0.95
"""A store that is filled to this share of its bound is called full."""
ROOMY_SHARE: Final = 0.3
"""A store that never goes above this share could be smaller."""
CUT_SHARE: Final = 0.1
"""More transfers cut than this share of those completed is worth a word."""
NAMES_MAX: Final = 3
"""Names in one sentence."""


def headline(run: Run, words: Words) -> list[tuple[str, str]]:
    """Return the five or six numbers to remember, each with what it counts."""
    arrived, messages = int(run.delivered.sum()), len(run.region.workload)
    delays = delays_of(run, run.outcome.delivered_s)[run.delivered]
    tiles = [(words.percent(_share(arrived, messages)), words("tile.delivered"))]
    if run.possible is not None:
        both = int((run.delivered & run.possible).sum())
        share = _share(both, int(run.possible.sum()))
        tiles.append((words.percent(share), words("tile.of_possible")))
    urgent = run.of_class(0)
    if urgent.any():
        share = _share(int(run.delivered[urgent].sum()), int(urgent.sum()))
        tiles.append((words.percent(share), words("tile.urgent")))
    middle = float(np.median(delays)) if len(delays) else np.nan
    tiles.append((words.duration(middle), words("tile.median")))
    beyond = run.outcome.transfers - arrived
    tiles.append((words.figure(_share(beyond, arrived)), words("tile.overhead")))
    if run.energy is not None:
        mean = run.energy.mean_j / 1000
        tiles.append((f"{words.figure(mean)}\u00a0kJ", words("tile.energy")))
    return tiles


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def summary(run: Run, words: Words) -> list[str]:
    """Return what was simulated, how much arrived, how long it took, and where the rest died."""
    return [_setting(run, words), _arrivals(run, words), *_losses(run, words), *_prices(run, words)]


def _setting(run: Run, words: Words) -> str:
    region = run.region
    roles = [
        words(f"role_count.{role}", count=words.number(region.roles.count(role)))
        for role in ("gateway", "relay", "leader", "agent")
        if role in region.roles
    ]
    classes = [
        words(f"class_count.{name}", count=words.number(int(run.of_class(number).sum())))
        for number, name in enumerate(CLASSES)
        if run.of_class(number).any()
    ]
    return words(
        "summary.setting",
        name=region.name,
        nodes=words.number(region.plan.nodes),
        roles=words.listing(roles),
        duration=words.duration(region.duration_s),
        contacts=words.number(len(region.plan)),
        messages=words.number(len(region.workload)),
        classes=words.listing(classes) or "–",
    )


def _arrivals(run: Run, words: Words) -> str:
    arrived, messages = int(run.delivered.sum()), len(run.region.workload)
    text = words(
        "summary.arrived",
        arrived=words.number(arrived),
        messages=words.number(messages),
        share=words.percent(_share(arrived, messages)),
    )
    if run.possible is not None:
        possible = int(run.possible.sum())
        text += " " + words(
            "summary.possible",
            possible=words.number(possible),
            share=words.percent(_share(int((run.delivered & run.possible).sum()), possible)),
        )
    delays = delays_of(run, run.outcome.delivered_s)[run.delivered]
    if not len(delays):
        return text
    return f"{text} " + words(
        "summary.delay",
        median=words.duration(float(np.median(delays))),
        slow=words.duration(float(np.quantile(delays, 0.9))),
    )


def _losses(run: Run, words: Words) -> Iterator[str]:
    lost = [fate for fate in Fate if fate is not Fate.DELIVERED and _count(run, fate)]
    if not lost:
        yield words("summary.nothing_lost")
        return
    told = [
        words(f"summary.{fate.name.lower()}", count=words.number(_count(run, fate)))
        for fate in lost
    ]
    missing = len(run.region.workload) - int(run.delivered.sum())
    yield words("summary.lost", count=words.number(missing), reasons=words.listing(told))
    places = death_places(run).sum(axis=1)
    if places.any():
        yield words("summary.places", places=_named(run, places, words))


def _prices(run: Run, words: Words) -> Iterator[str]:
    energy, account, labels = run.energy, run.account, run.region.labels
    if energy is not None:
        yield words(
            "summary.energy",
            mean=words.figure(energy.mean_j / 1000),
            worst=words.figure(energy.worst_j / 1000),
            share=words.percent(energy.worst_battery_share),
            node=labels[energy.worst_node],
        )
    if account is not None and account.urgent_missed:
        yield words(
            "summary.satellite",
            missed=words.number(account.urgent_missed),
            euros=words.number(account.satellite_euros, 2),
        )
    if account is not None and account.lora_worst_node >= 0:
        yield words(
            "summary.airtime",
            messages=words.number(account.lora_messages),
            time=words.duration(account.lora_airtime_s),
            share=words.percent(account.lora_worst_share, 0),
            node=labels[account.lora_worst_node],
        )


def _count(run: Run, fate: Fate) -> int:
    return int((run.outcome.fate == fate).sum())


def _named(run: Run, counts: NDArray[np.int64], words: Words) -> str:
    """Return the nodes with the largest counts, each with its count."""
    order = np.argsort(-counts, kind="stable")[:NAMES_MAX].tolist()
    return words.listing(
        [
            words("named", name=run.region.labels[node], count=words.number(int(counts[node])))
            for node in order
            if counts[node]
        ]
    )


# --- advice --------------------------------------------------------------------------------------


def advice(run: Run, words: Words) -> list[str]:
    """Return what to change, the largest cause first; one sentence that says so if nothing."""
    found = [
        *_about_reach(run, words),
        *_about_urgent(run, words),
        *_about_stores(run, words),
        *_about_sources(run, words),
        *_about_time(run, words),
        *_about_contacts(run, words),
    ]
    return found or [words("advice.nothing")]


def _about_reach(run: Run, words: Words) -> Iterator[str]:
    if run.possible is None or run.possible.all():
        return
    out_of_reach = ~run.possible
    sources = np.bincount(run.region.workload.source[out_of_reach], minlength=run.region.plan.nodes)
    yield words(
        "advice.reach",
        count=words.number(int(out_of_reach.sum())),
        sources=_named(run, sources, words),
    )


def _about_urgent(run: Run, words: Words) -> Iterator[str]:
    if run.possible is None:
        return
    missed = int((run.of_class(0) & run.possible & ~run.delivered).sum())
    if missed:
        yield words("advice.urgent", count=words.number(missed))


def _about_stores(run: Run, words: Words) -> Iterator[str]:
    bound, outcome = run.outcome.options.buffer_bytes, run.outcome
    if not bound or not len(outcome.samples.times_s):
        return
    evicted, peak = _count(run, Fate.EVICTED), float(outcome.samples.largest_bytes.max())
    if evicted:
        yield words(
            "advice.stores",
            count=words.number(evicted),
            bound=words.size(bound),
            nodes=_named(run, outcome.evictions.astype(np.int64), words),
        )
    elif peak < ROOMY_SHARE * bound:
        yield words("advice.roomy", peak=words.percent(peak / bound), bound=words.size(bound))
    elif peak >= FULL_SHARE * bound and outcome.evictions.any():
        yield words("advice.full", nodes=_named(run, outcome.evictions.astype(np.int64), words))


def _about_sources(run: Run, words: Words) -> Iterator[str]:
    stuck = run.outcome.fate == Fate.NEVER_LEFT
    if stuck.any():
        sources = np.bincount(run.region.workload.source[stuck], minlength=run.region.plan.nodes)
        yield words(
            "advice.sources",
            count=words.number(int(stuck.sum())),
            nodes=_named(run, sources, words),
        )


def _about_time(run: Run, words: Words) -> Iterator[str]:
    expired, key = run.outcome.fate == Fate.EXPIRED, "advice.expired_any"
    if run.possible is not None:
        expired, key = expired & run.possible, "advice.expired"
    if expired.any():
        lifetime = float(np.median(run.region.workload.lifetime_s[expired]))
        yield words(
            key,
            count=words.number(int(expired.sum())),
            lifetime=words.duration(lifetime),
        )


def _about_contacts(run: Run, words: Words) -> Iterator[str]:
    cut, done = int(run.outcome.cut_transfers), run.outcome.transfers
    if cut > CUT_SHARE * max(done, 1):
        yield words("advice.cut", cut=words.number(cut), done=words.number(done))
