"""Forecasts: the nearest likely network, doubt where few looked, and unknown is not none."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.cells import Part, cell_of
from protocol.coverage import Totals
from protocol.forecast import (
    REACH_M,
    SURE_LOOKS,
    Verdict,
    forecast,
    outlooks,
    spots_near,
    wilson_low,
)
from protocol.states import Bearer

HERE = (448_900_000, 66_400_000)
KM_E7 = 89_832


def north_of(km: float, east_km: float = 0.0) -> int:
    """Return the cell so far from here."""
    around = math.cos(math.radians(HERE[0] / 1e7))
    return cell_of(HERE[0] + round(km * KM_E7), HERE[1] + round(east_km * KM_E7 / around))


def totals(*cells: tuple[int, int, int], part: Part = Part.NIGHT) -> Totals:
    """Return that 4G worked so often of so many looks at each cell."""
    found: Totals = {}
    for cell, worked, looks in cells:
        found[cell, part] = {Bearer.G4: (worked, worked), Bearer.NONE: (looks - worked, 0)}
    return found


@given(st.integers(0, 400), st.integers(0, 400))
def test_the_bound_is_a_root_of_wilsons_equation(a: int, b: int) -> None:
    worked, tried = min(a, b), max(a, b)
    low = wilson_low(worked, tried)
    assert 0 <= low <= (worked / tried if tried else 0)
    if worked:
        # (share - p)^2 = z^2 p (1 - p) / n, which defines the interval.
        left = (worked / tried - low) ** 2
        assert left == pytest.approx(1.6448536269514722**2 * low * (1 - low) / tried)
    else:
        assert low == 0


def test_the_nearest_likely_network_is_told_with_its_way() -> None:
    known = outlooks(totals((north_of(3), 14, 14), (north_of(1.2, 1.2), 12, 14)), None)
    found = forecast(known, *HERE)
    assert found.verdict is Verdict.LIKELY
    assert found.best is not None
    assert (found.best.outlook.worked, found.best.outlook.looks) == (12, 14)
    assert found.best.outlook.bearer is Bearer.G4
    assert found.best.distance_m == pytest.approx(1_697 - 354, abs=360)
    assert found.best.bearing_deg == pytest.approx(45, abs=10)
    assert found.best.outlook.chance == pytest.approx(12.5 / 15)
    assert found.here is None


def test_unknown_is_not_none() -> None:
    assert forecast({}, *HERE).verdict is Verdict.UNKNOWN
    few = outlooks(totals((north_of(1), 0, SURE_LOOKS - 1)), None)
    assert forecast(few, *HERE).verdict is Verdict.UNKNOWN
    many = outlooks(totals((north_of(1), 0, SURE_LOOKS)), None)
    assert forecast(many, *HERE).verdict is Verdict.NONE
    far = outlooks(totals((north_of(REACH_M / 1_000 + 1), 0, 99)), None)
    assert forecast(far, *HERE).verdict is Verdict.UNKNOWN


def test_what_seldom_worked_is_possible() -> None:
    known = outlooks(totals((north_of(1), 1, 14), (north_of(2), 7, 14)), None)
    found = forecast(known, *HERE)
    assert found.verdict is Verdict.POSSIBLE
    assert found.best is not None
    assert found.best.outlook.worked == 7


def test_a_course_prefers_what_lies_ahead() -> None:
    known = outlooks(totals((north_of(-2), 14, 14), (north_of(3), 14, 14)), None)
    behind, ahead = forecast(known, *HERE), forecast(known, *HERE, course_deg=0)
    assert behind.best is not None
    assert ahead.best is not None
    assert behind.best.bearing_deg == pytest.approx(180, abs=10)
    assert ahead.best.bearing_deg % 360 == pytest.approx(0, abs=10) or (
        ahead.best.bearing_deg > 350
    )


def test_another_part_of_the_day_stands_in_and_says_so() -> None:
    cell = north_of(0)
    told = totals((cell, 12, 14)) | totals((cell, 0, 10), part=Part.EVENING)
    assert outlooks(told, None)[cell].looks == 24
    night, evening = outlooks(told, Part.NIGHT)[cell], outlooks(told, Part.EVENING)[cell]
    assert (night.worked, evening.worked) == (12, 0)
    assert not night.is_other_part
    morning = outlooks(told, Part.MORNING)[cell]
    assert morning.is_other_part
    assert morning.looks == 24


def test_of_bearers_that_worked_equally_often_the_fastest_is_named() -> None:
    cell = north_of(0)
    by = {Bearer.G2: (3, 3), Bearer.G4: (3, 3), Bearer.NONE: (9, 0)}
    found = outlooks({(cell, Part.NIGHT): by}, None)[cell]
    assert found.bearer is Bearer.G4
    assert found.by == {Bearer.G2: 3, Bearer.G4: 3}
    nothing = outlooks({(cell, Part.NIGHT): {Bearer.NONE: (9, 0)}}, None)[cell]
    assert nothing.bearer is Bearer.NONE


def test_within_a_cell_there_is_no_way_to_go() -> None:
    known = outlooks(totals((north_of(0), 9, 9)), None)
    (spot,) = spots_near(known, *HERE, 100)
    assert spot.distance_m == 0
    assert forecast(known, *HERE).here == spot.outlook


def test_the_date_line_is_no_wall() -> None:
    known = outlooks(totals((cell_of(0, -1_799_990_000), 9, 9)), None)
    (spot,) = spots_near(known, 0, 1_799_990_000, 1_000)
    assert spot.distance_m < 300
    assert 45 < spot.bearing_deg < 135
