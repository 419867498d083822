"""Who writes what to whom and when: drawn from rates per person and day.

Times are those at which people are on duty. Each message goes from a carrier to a gateway, from a
gateway to a carrier, or from one carrier to another; carriers are agents and leaders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sims.contacts import TraceError, Workload, make_workload
from sims.tables import read_record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sims.generators.movement import Floats
    from sims.tables import Table

__all__ = ["MESSAGES_MAX", "Writing", "draw_workload", "read_writing"]

MESSAGES_MAX: Final = 1_000_000
"""Of one region and priority: a hundred a day from each of 10⁴ people."""
_DAY_S: Final = 86_400.0
_RATE: Final = (0.0, 10_000.0)
_SIZE: Final = (1.0, 1e9)
_LIFETIME: Final = (1.0, 366 * _DAY_S)
_SHARE: Final = (0.0, 1.0)
_BOUNDS: Final = {
    "urgent_per_day": _RATE,
    "normal_per_day": _RATE,
    "bulk_per_day": _RATE,
    "urgent_bytes": _SIZE,
    "normal_bytes": _SIZE,
    "bulk_bytes": _SIZE,
    "urgent_lifetime_s": _LIFETIME,
    "normal_lifetime_s": _LIFETIME,
    "bulk_lifetime_s": _LIFETIME,
    "to_gateway_share": _SHARE,
    "from_gateway_share": _SHARE,
    "written_share": _SHARE,
}


@dataclass(frozen=True, slots=True)
class Writing:
    """What people write. Rates are means of each agent and leader, per day of 24 hours."""

    urgent_per_day: float = 0.5
    """Messages of priority 0."""
    normal_per_day: float = 3.0
    """Messages of priority 1."""
    bulk_per_day: float = 1.0
    """Messages of priority 2."""
    urgent_bytes: tuple[float, float] = (1_000.0, 4_000.0)
    """Smallest and largest; sizes between are equally likely on a scale of factors."""
    normal_bytes: tuple[float, float] = (1_000.0, 20_000.0)
    """Likewise."""
    bulk_bytes: tuple[float, float] = (200_000.0, 3_000_000.0)
    """Likewise."""
    urgent_lifetime_s: float = _DAY_S
    """Delivered means: within this."""
    normal_lifetime_s: float = _DAY_S
    """Likewise."""
    bulk_lifetime_s: float = _DAY_S
    """Likewise."""
    to_gateway_share: float = 0.7
    """Share of all messages that go from a carrier to a gateway."""
    from_gateway_share: float = 0.1
    """Share that goes from a gateway to a carrier; the rest goes from carrier to carrier."""
    written_share: float = 0.75
    """Messages are written in this first share of the time, so that lifetimes end within it."""


def read_writing(table: Table) -> Writing:
    """Return the settings in `[workload]`. Raises: ScenarioError."""
    writing = read_record(table, Writing(), _BOUNDS)
    if writing.to_gateway_share + writing.from_gateway_share > 1.0 + 1e-9:
        raise table.error("from_gateway_share", "and to_gateway_share are at most 1 together")
    return writing


def draw_workload(
    writing: Writing,
    roles: tuple[str, ...],
    duty: Floats,
    duration_s: float,
    random: np.random.Generator,
) -> Workload:
    """Return messages; their count is a Poisson number for each priority.

    `duty` has rows (start_s, end_s, node), shape (n_spans, 3). Where nobody is on duty, or nobody
    is there to write to, there are no messages.
    Raises: TraceError where there would be more than `MESSAGES_MAX`.
    """
    gateways = np.flatnonzero(np.array(roles) == "gateway")
    carriers = np.flatnonzero(np.isin(roles, ("agent", "leader")))
    end_s = writing.written_share * duration_s
    spans = duty[duty[:, 0] < end_s]
    spans = np.column_stack((spans[:, 0], np.minimum(spans[:, 1], end_s), spans[:, 2]))
    rates = (writing.urgent_per_day, writing.normal_per_day, writing.bulk_per_day)
    sizes = (writing.urgent_bytes, writing.normal_bytes, writing.bulk_bytes)
    lifetimes = (writing.urgent_lifetime_s, writing.normal_lifetime_s, writing.bulk_lifetime_s)
    rows = [np.empty((0, 6))]
    for priority, (rate, (low, high), lifetime_s) in enumerate(
        zip(rates, sizes, lifetimes, strict=True)
    ):
        mean = rate * len(carriers) * end_s / _DAY_S
        if mean > MESSAGES_MAX:
            raise TraceError("workload", f"comes to more than {MESSAGES_MAX} messages")
        count = int(random.poisson(mean)) if len(spans) else 0
        times_s, writer = _times(spans, count, random)
        source, destination = _ends(writing, writer, gateways, carriers, random)
        size = np.exp(random.uniform(np.log(low), np.log(high), count)).round()
        rest = np.full((2, count), [[lifetime_s], [priority]])
        rows.append(np.stack((times_s, source, destination, size, *rest), axis=1))
    table = np.concatenate(rows)
    table = table[table[:, 1] != table[:, 2]]
    table = table[np.argsort(table[:, 0], kind="stable")]
    names = tuple(f"M{number}" for number in range(len(table)))
    return make_workload(names, table, len(roles), "workload")


def _times(
    spans: Floats, count: int, random: np.random.Generator
) -> tuple[Floats, NDArray[np.int64]]:
    """Return whole seconds on duty, all equally likely, and who is on duty then."""
    ends = np.cumsum(spans[:, 1] - spans[:, 0])
    place = random.uniform(0.0, ends[-1] if len(ends) else 0.0, count)
    span = np.minimum(np.searchsorted(ends, place, side="right"), max(0, len(ends) - 1))
    times_s = spans[span, 1] - (ends[span] - place)
    return np.floor(times_s), spans[span, 2].astype(np.int64)


def _ends(
    writing: Writing,
    writer: NDArray[np.int64],
    gateways: NDArray[np.int64],
    carriers: NDArray[np.int64],
    random: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return source and destination of each message; equal ones where there is nobody else."""
    count = len(writer)
    kind = random.random(count)
    gateway = _some(gateways, writer, random)
    other = _some(carriers, writer, random)
    # One place further where it fell on the writer: never to oneself.
    place = np.searchsorted(carriers, writer)
    other = np.where(other == writer, carriers[(place + 1) % max(1, len(carriers))], other)
    is_up = kind < writing.to_gateway_share
    is_down = ~is_up & (kind < writing.to_gateway_share + writing.from_gateway_share)
    source = np.where(is_down, gateway, writer)
    destination = np.where(is_up, gateway, np.where(is_down, writer, other))
    return source, destination


def _some(
    among: NDArray[np.int64], default: NDArray[np.int64], random: np.random.Generator
) -> NDArray[np.int64]:
    """Return one of `among` for each of `default`, or that itself where there is none."""
    if not len(among):
        return default
    return among[random.integers(0, len(among), len(default))]
