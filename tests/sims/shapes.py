"""Small regions of different shapes, drawn from a seed, for calibration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from protocol.limits import STORE_BYTES_DEFAULT
from sims.contacts import make_plan, make_workload
from sims.region import Region
from sims.scenario import Scenario
from sims.translation import scenario_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

Row = tuple[float, float, int, int]

_HOUR_S = 3600.0


def line(seed: int) -> Region:
    """Ten people in a row each meet their neighbours for minutes; the gateway is at one end."""
    random = np.random.default_rng((seed, 1))
    rows: list[Row] = []
    for node in range(9):
        start_s = random.uniform(0, 1500)
        while start_s < 8 * _HOUR_S:
            end_s = start_s + random.uniform(30, 300)
            rows.append((start_s, end_s, node, node + 1))
            start_s = end_s + random.uniform(600, 4500)
    roles = ("gateway", *["agent"] * 9)
    span = (0.0, 7 * _HOUR_S)
    return _region("line", rows, roles, 8 * _HOUR_S, _drawn(random, 80, 10, span))


def squad(seed: int) -> Region:
    """Two squads out of reach of each other; a walker goes to and fro, now and then by the post."""
    random = np.random.default_rng((seed, 2))
    rows: list[Row] = []
    for members in ((2, 3, 4), (5, 6, 7)):
        for first, second in combinations(members, 2):
            rows += _meetings(random, first, second, (0, 6 * _HOUR_S), 1200, (120, 1800))
    start_s = 300.0
    stops = ((2, 3, 4), (1,), (5, 6, 7), (0,))
    for number in range(24):
        for member in stops[number % 4]:
            rows.append((start_s + random.uniform(0, 60), start_s + 400, 8, member))
        rows.append((start_s + 450, start_s + random.uniform(460, 600), 0, 1))
        start_s += random.uniform(800, 1000)
    roles = ("gateway", "relay", *["agent"] * 6, "leader")
    written = _drawn(random, 100, 9, (0.0, 5 * _HOUR_S), skip=2)
    return _region("squad", rows, roles, 6 * _HOUR_S, written)


def port(seed: int) -> Region:
    """Boats come home with what people on board wrote; the port's link is slow, calls are short."""
    random = np.random.default_rng((seed, 3))
    rows: list[Row] = []
    for boat in (1, 2):
        for person in (1 + 2 * boat, 2 + 2 * boat):
            rows += _meetings(random, boat, person, (0, 24 * _HOUR_S), 3600, (60, 600))
        call_s = random.uniform(5, 8) * _HOUR_S
        while call_s < 24 * _HOUR_S:
            rows.append((call_s, call_s + random.uniform(5, 20), 0, boat))
            call_s += random.uniform(2, 6) * _HOUR_S
    roles = ("gateway", "relay", "relay", *["agent"] * 4)
    written = _drawn(random, 160, 7, (0.0, 20 * _HOUR_S), skip=3, to_gateway=0.7)
    return _region("port", rows, roles, 24 * _HOUR_S, written)


def crowd(seed: int) -> Region:
    """Ten people meet at random, many only for some seconds."""
    random = np.random.default_rng((seed, 4))
    rows: list[Row] = []
    for first, second in combinations(range(10), 2):
        rows += _meetings(random, first, second, (0, 6 * _HOUR_S), 2 * _HOUR_S, (1, 60))
    span = (0.0, 5 * _HOUR_S)
    return _region("crowd", rows, ("agent",) * 10, 6 * _HOUR_S, _drawn(random, 100, 10, span))


@dataclass(frozen=True, slots=True)
class Case:
    """A shape with the links and stores of its nodes."""

    name: str
    """What people call it."""
    shape: Callable[[int], Region]
    """Draws a region from a seed."""
    rate_bytes_s: float = 250_000.0
    """Of every link and direction."""
    store_bytes: int = STORE_BYTES_DEFAULT
    """Of every node."""

    def scenarios(self, seeds: Sequence[int]) -> Iterator[tuple[Scenario, int]]:
        """Yield the scenario of each seed, and the seed."""
        for seed in seeds:
            scenario = scenario_of(
                self.shape(seed), rate_bytes_s=self.rate_bytes_s, store_bytes=self.store_bytes
            )
            yield scenario, seed


CASES = (
    Case("line of carriers", line),
    Case("squads and a walker", squad),
    Case("boats with a backlog", port, rate_bytes_s=10_000.0),
    Case("random meetings", crowd),
    Case("small stores", crowd, rate_bytes_s=50_000.0, store_bytes=150_000),
)
"""Those in which both simulators must agree."""


def _meetings(
    random: np.random.Generator,
    first: int,
    second: int,
    span: tuple[float, float],
    apart_s: float,
    lasting_s: tuple[float, float],
) -> list[Row]:
    """Return meetings of two, apart for an exponential time in the mean `apart_s`."""
    rows: list[Row] = []
    start_s = span[0] + random.exponential(apart_s)
    while start_s < span[1]:
        end_s = start_s + random.uniform(*lasting_s)
        rows.append((start_s, end_s, first, second))
        start_s = end_s + 1.0 + random.exponential(apart_s)
    return rows


def _drawn(
    random: np.random.Generator,
    count: int,
    nodes: int,
    span: tuple[float, float],
    *,
    skip: int = 0,
    to_gateway: float = 0.4,
) -> NDArray[np.float64]:
    """Return messages, shape (count, 6); nodes from 1 to below `skip` neither write nor read."""
    people = np.array([0, *range(max(1, skip), nodes)])
    rows = []
    for _ in range(count):
        source, destination = random.choice(people, 2, replace=False)
        if random.random() < to_gateway and source != 0:
            destination = 0
        rows.append(
            (
                random.uniform(*span),
                source,
                destination,
                np.exp(random.uniform(np.log(1_500), np.log(20_000))),
                random.choice([1, 2, 4, 8]) * _HOUR_S,
                random.choice([0, 1, 1, 1, 2]),
            )
        )
    return np.array(rows, dtype=np.float64)


def _region(
    name: str,
    rows: Sequence[Row],
    roles: tuple[str, ...],
    duration_s: float,
    written: NDArray[np.float64],
) -> Region:
    nodes = len(roles)
    table = np.array([row for row in rows if row[0] < duration_s])
    table[:, 1] = np.minimum(table[:, 1], duration_s)
    names = tuple(f"m{number}" for number in range(len(written)))
    return Region(
        name,
        make_plan(nodes, table),
        make_workload(names, written, nodes, "messages"),
        tuple(f"node {number}" for number in range(nodes)),
        roles,
        ("",) * nodes,
        duration_s,
    )
