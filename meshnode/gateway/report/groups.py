"""Groups of a report, and the rule that no group of few devices is shown; pure.

A group of fewer than DEVICES_MIN devices goes into the rest, and where the rest has as few, the
smallest group beside it goes there too: what is left out of a total is never the figure of a few.
Source: decision 61.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

__all__ = [
    "DEVICES_MIN",
    "Arrivals",
    "Delivery",
    "Looks",
    "coarse_s",
    "merged",
    "percentile_s",
    "shown",
]

DEVICES_MIN: Final = 5
"""Devices of the smallest group that is shown; a boat's crew or a patrol has fewer."""
_DIGITS: Final = 3
"""Digits of a delay that are kept: its percentiles are true to one per cent."""


@dataclass(slots=True)
class Arrivals:
    """Bundles that came, and how long they took."""

    devices: set[int] = field(default_factory=set)
    """Numbers of their authors."""
    bundles: int = 0
    """All of them."""
    delays: Counter[int] = field(default_factory=Counter)
    """How many took so many seconds, `coarse_s`."""
    timed: set[int] = field(default_factory=set)
    """Numbers of the authors of those."""
    ahead: int = 0
    """Came before they were written, by the author's clock, and tell no delay."""

    def add(self, other: Arrivals) -> None:
        """Take in what another group counted."""
        self.devices |= other.devices
        self.bundles += other.bundles
        self.delays.update(other.delays)
        self.timed |= other.timed
        self.ahead += other.ahead


@dataclass(slots=True)
class Delivery:
    """Messages, and what is known of where they came."""

    devices: set[int] = field(default_factory=set)
    """Numbers of their authors."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """How many of each outcome."""

    def add(self, other: Delivery) -> None:
        """Take in what another group counted."""
        self.devices |= other.devices
        self.outcomes.update(other.outcomes)


@dataclass(slots=True)
class Looks:
    """Looks at the network at one place."""

    devices: set[int] = field(default_factory=set)
    """Numbers of the devices that looked."""
    bearers: Counter[str] = field(default_factory=Counter)
    """How often each was there."""

    def add(self, other: Looks) -> None:
        """Take in what another group counted."""
        self.devices |= other.devices
        self.bearers.update(other.bearers)


G = TypeVar("G", Arrivals, Delivery, Looks)
K = TypeVar("K", bound=Hashable)


def shown(groups: Mapping[K, G], empty: G) -> tuple[dict[K, G], G | None]:
    """Return the groups that may be shown, and the rest in one: None for nothing, or for too few.

    `empty` becomes the rest. Where all together are too few, nothing is shown.
    """
    large = {key: each for key, each in groups.items() if len(each.devices) >= DEVICES_MIN}
    small = [each for key, each in groups.items() if key not in large]
    if not small:
        return large, None
    for each in small:
        empty.add(each)
    by_size = sorted(large, key=lambda key: (len(large[key].devices), repr(key)))
    while len(empty.devices) < DEVICES_MIN and by_size:
        empty.add(large.pop(by_size.pop(0)))
    return large, empty if len(empty.devices) >= DEVICES_MIN else None


def coarse_s(delay_ms: int) -> int:
    """Return whole seconds of a delay, rounded down to three digits."""
    seconds = delay_ms // 1000
    digits = len(str(seconds))
    if digits <= _DIGITS:
        return seconds
    step: int = 10 ** (digits - _DIGITS)
    return seconds // step * step


def percentile_s(delays: Mapping[int, int], per_cent: int) -> int | None:
    """Return the delay that so many per cent did not exceed, by nearest rank.

    None where not even one value lies beyond it: such a figure would be that of one bundle.
    """
    count = sum(delays.values())
    rank = math.ceil(count * per_cent / 100)
    if count * (100 - per_cent) < 100:
        return None
    for seconds in sorted(delays):
        rank -= delays[seconds]
        if rank <= 0:
            return seconds
    raise AssertionError("a rank lies within its values")


def merged(groups: Iterable[G], empty: G) -> G:
    """Return all groups in one, which `empty` becomes."""
    for each in groups:
        empty.add(each)
    return empty
