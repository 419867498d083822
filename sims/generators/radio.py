"""What bearers give: the range between two devices, the horizon of a mast, and outages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sims.tables import read_record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sims.generators.movement import Floats
    from sims.tables import Table

__all__ = ["Radio", "draw_outages", "horizon_m", "is_within", "read_radio"]

_BOUNDS: Final = {"range_m": (1.0, 100_000.0), "step_s": (1.0, 3_600.0)}


@dataclass(frozen=True, slots=True)
class Radio:
    """How far devices reach, and how often they look for each other."""

    range_m: tuple[float, float] = (60.0, 200.0)
    """Wi-Fi between two devices: where something stands between them, and in sight; metres."""
    step_s: float = 30.0
    """Seconds between two looks; no contact is shorter."""


def read_radio(table: Table) -> Radio:
    """Return the settings in `[radio]`, less those of the link. Raises: ScenarioError."""
    return read_record(table, Radio(), _BOUNDS)


def horizon_m(mast_m: float, device_m: float) -> float:
    """Return how far a mast is heard over the sea, for heights above it in metres.

    Source: 4.12 (√h₁ + √h₂) km, a smooth Earth of 4/3 of its radius.
    """
    return 4_120.0 * float(np.sqrt(mast_m) + np.sqrt(device_m))


def draw_outages(
    share: float, mean_s: float, duration_s: float, random: np.random.Generator
) -> Floats:
    """Return spans that cover `share` of the time on average: their ends, rising, shape (2 n,).

    Both outages and what is between them are exponential; an outage lasts `mean_s` on average.
    """
    if share <= 0:
        return np.empty(0)
    pause_s = mean_s * (1.0 - share) / share
    count = int(duration_s / (mean_s + pause_s)) * 2 + 20
    lengths = random.exponential(1.0, (count, 2)) * np.array([pause_s, mean_s])
    return np.cumsum(lengths.ravel())


def is_within(times_s: Floats, ends_s: Floats) -> NDArray[np.bool_]:
    """Return which of `times_s` lie in the spans whose begins and ends alternate in `ends_s`."""
    return np.asarray(np.searchsorted(ends_s, times_s, side="right") % 2 == 1)
