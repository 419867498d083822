"""Two campaigns side by side: what differs, by how much, and whether chance would explain it.

Runs with the same seed and parameters form a pair: both see the same region, so the difference of
a pair has less noise than each side. For each figure the mean of the differences stands with its
95 % interval by the paired t test (Student 1908): mean ± t · s / √n over n seeds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from sims.campaign.job import Row
from sims.campaign.parameters import PARAMETERS, CampaignError
from sims.campaign.results import CampaignResults
from sims.campaign.student import t_quantile

__all__ = ["HIGHER_IS_BETTER", "Comparison", "Difference", "compare"]

CONFIDENCE: Final = 0.95
_FREEDOM_MAX: Final = 1_000
"""With more degrees of freedom t falls by less than 0.2 %, and takes longer to find."""
HIGHER_IS_BETTER: Final[Mapping[str, bool]] = {
    "delivered_share": True,
    "delivered_urgent": True,
    "delivered_normal": True,
    "delivered_bulk": True,
    "of_oracle": True,
    "overhead": False,
    "delay_median_s": False,
    "delay_p90_s": False,
    "transfers": False,
    "cut_transfers": False,
    "evictions": False,
    "sent_bytes": False,
    "node_bytes_mean": False,
    "node_bytes_max": False,
    "stored_bytes_max": False,
    "cpu_seconds": False,
}
"""Figures that are compared. Delays are those of delivered messages: who delivers less of the
difficult ones has shorter delays, so they are read together with the shares."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure at one point of the grid."""

    point: tuple[tuple[str, str], ...]
    """Name and value of each parameter that both sides share and that varies."""
    figure: str
    """Name of a field of a row's figures."""
    pairs: int
    """Seeds in which both sides have it."""
    mean_a: float
    """Of the first side, over the pairs."""
    mean_b: float
    """Of the second side."""
    mean: float
    """Of the second side less the first."""
    low: float | None
    """Lower end of the 95 % interval of `mean`; None with one pair only."""
    high: float | None
    """Upper end."""
    better: str
    """`a` or `b` where the interval leaves 0 out, `same` where no pair differs, else `open`."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two campaigns side by side."""

    a: str
    """Name of the first campaign."""
    b: str
    """Name of the second."""
    contrast: tuple[tuple[str, str, str], ...]
    """What is compared: name, first and second value of each parameter that is fixed within each
    campaign and differs between them, and of the program's version where that differs."""
    is_same_scenario: bool
    """Whether both ran on the same scenario; only a forced comparison does without."""
    pairs: int
    """Jobs that have a partner."""
    unpaired_a: int
    """Jobs of the first side without one, those that failed among them."""
    unpaired_b: int
    """The same of the second."""
    differences: tuple[Difference, ...]
    """By point of the grid, then by figure."""


def compare(a: CampaignResults, b: CampaignResults, is_forced: bool = False) -> Comparison:
    """Return the second campaign beside the first.

    Parameters that have one value in each campaign and differ are what is compared: two policies,
    for example. All others have to agree within a pair. Raises: CampaignError if the scenarios
    differ and it is not forced, or if nothing can be paired.
    """
    is_same = a.scenario_hash == b.scenario_hash
    if not is_same and not is_forced:
        reason = f"ran on another scenario than {a.name}: force the comparison if that is meant"
        raise CampaignError(b.name, reason)
    contrast = _contrast(a, b)
    joined = [name for name in PARAMETERS if name not in {each for each, _, _ in contrast}]
    left, right = _by_key(a.rows, joined), _by_key(b.rows, joined)
    shared = [key for key in left if key in right]
    if not shared:
        raise CampaignError(b.name, f"has no seed and parameters in common with {a.name}")
    if a.version != b.version:
        contrast.append(("version", a.version, b.version))
    return Comparison(
        a=a.name,
        b=b.name,
        contrast=tuple(contrast),
        is_same_scenario=is_same,
        pairs=len(shared),
        unpaired_a=len(a.rows) - len(shared),
        unpaired_b=len(b.rows) - len(shared),
        differences=tuple(_differences([(left[key], right[key]) for key in shared], joined)),
    )


def _contrast(a: CampaignResults, b: CampaignResults) -> list[tuple[str, str, str]]:
    found = []
    for place, name in enumerate(PARAMETERS):
        values = [{row.parameters.texts()[place] for row in side.rows} for side in (a, b)]
        if all(len(each) == 1 for each in values) and values[0] != values[1]:
            found.append((name, values[0].pop(), values[1].pop()))
    return found


def _by_key(rows: Iterable[Row], joined: list[str]) -> dict[tuple[str, ...], Row]:
    """Return the rows that have figures by seed and the joined parameters."""
    return {(str(row.seed), *_values(row, joined)): row for row in rows if row.figures is not None}


def _values(row: Row, names: list[str]) -> tuple[str, ...]:
    texts = dict(zip(PARAMETERS, row.parameters.texts(), strict=True))
    return tuple(texts[name] for name in names)


def _differences(pairs: list[tuple[Row, Row]], joined: list[str]) -> Iterable[Difference]:
    points: dict[tuple[str, ...], list[tuple[Row, Row]]] = {}
    for pair in pairs:
        points.setdefault(_values(pair[0], joined), []).append(pair)
    varying = [place for place in range(len(joined)) if len({key[place] for key in points}) > 1]
    for key, found in points.items():
        point = tuple((joined[place], key[place]) for place in varying)
        for figure in HIGHER_IS_BETTER:
            if (one := _difference(point, figure, found)) is not None:
                yield one


def _difference(
    point: tuple[tuple[str, str], ...], figure: str, pairs: list[tuple[Row, Row]]
) -> Difference | None:
    """Return the difference of one figure; None where no pair has it on both sides."""
    table = np.array(
        [[getattr(row.figures, figure) for row in pair] for pair in pairs], dtype=np.float64
    )
    table = table[np.isfinite(table).all(axis=1)]
    if not len(table):
        return None
    change = table[:, 1] - table[:, 0]
    low, high = _interval(change)
    return Difference(
        point=point,
        figure=figure,
        pairs=len(table),
        mean_a=float(table[:, 0].mean()),
        mean_b=float(table[:, 1].mean()),
        mean=float(change.mean()),
        low=low,
        high=high,
        better=_better(figure, change, low, high),
    )


def _interval(change: np.ndarray) -> tuple[float | None, float | None]:
    count = len(change)
    if count < 2:
        return None, None
    mean = float(change.mean())
    t = t_quantile(CONFIDENCE, min(count - 1, _FREEDOM_MAX))
    half = t * float(change.std(ddof=1)) / math.sqrt(count)
    return mean - half, mean + half


def _better(figure: str, change: np.ndarray, low: float | None, high: float | None) -> str:
    if not change.any():
        return "same"
    if low is None or high is None or low <= 0.0 <= high:
        return "open"
    return "b" if (low > 0.0) == HIGHER_IS_BETTER[figure] else "a"
