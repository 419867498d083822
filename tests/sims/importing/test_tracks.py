"""Fixes to places to contacts: against a slow search, and on the sphere."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims.contacts import ContactPlan, TraceError, make_plan
from sims.importing.ranging import contacts_in_range
from sims.importing.tracks import (
    EARTH_RADIUS_M,
    Fixes,
    make_fixes,
    map_tracks,
    sample_tracks,
    straight_m,
)

DEGREE_M = math.pi / 180 * EARTH_RADIUS_M


def fixes(*rows: tuple[float, float, float], label: str = "x") -> Fixes:
    return make_fixes(label, rows, 0)


def rows_of(plan: ContactPlan) -> list[tuple[float, ...]]:
    columns = (plan.start_s, plan.end_s, plan.a, plan.b)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def near_slowly(place_m: np.ndarray, range_m: float, step_s: float) -> ContactPlan:
    """One row for each time and pair in range."""
    rows = []
    for step, places in enumerate(place_m):
        for a in range(len(places)):
            for b in range(a + 1, len(places)):
                gap_m = places[a] - places[b]
                if float((gap_m * gap_m).sum()) <= range_m * range_m:
                    rows.append((step * step_s, (step + 1) * step_s, a, b))
    return make_plan(place_m.shape[1], np.array(rows, dtype=float))


@pytest.mark.slow
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 9),
    st.sampled_from([1.0, 30.0, 3e5]),
    st.sampled_from([0.1, 1.0, 7.5]),
)
def test_finds_who_was_near_whom(seed: int, nodes: int, range_m: float, step_s: float) -> None:
    draw = np.random.default_rng(seed)
    begin = draw.uniform(-2, 2, (1, nodes, 3)) + draw.choice([0.0, 4e6, -6e6], (1, 1, 3))
    place_m = (begin + np.cumsum(draw.uniform(-0.4, 0.4, (12, nodes, 3)), axis=0)) * range_m
    place_m[draw.random((12, nodes)) < 0.15] = np.nan
    found = make_plan(nodes, contacts_in_range(place_m, range_m, step_s))
    assert rows_of(found) == rows_of(near_slowly(place_m, range_m, step_s))


def test_is_near_at_exactly_the_range_and_not_where_cells_share_a_number() -> None:
    place_m = np.zeros((1, 4, 3))
    place_m[0, 1, 0] = 5.0
    place_m[0, 2, 1] = 5.001
    # A number of a cell has 17 bits: this one is the same as that of the first node.
    place_m[0, 3, 2] = 5.0 * 2**17
    assert contacts_in_range(place_m, 5.0, 10.0).tolist() == [[0, 10, 0, 1]]


def test_joins_over_the_times_that_are_taken_at_once() -> None:
    place_m = np.zeros((2500, 2, 3))
    place_m[2000, 1] = 99.0
    plan = make_plan(2, contacts_in_range(place_m, 5.0, 0.1))
    assert [tuple(round(value, 3) for value in row) for row in rows_of(plan)] == [
        (0, 200, 0, 1),
        (200.1, 250, 0, 1),
    ]


def test_nobody_is_near_where_nobody_is() -> None:
    assert contacts_in_range(np.full((3, 2, 3), np.nan), 5.0, 1.0).shape == (0, 4)
    assert contacts_in_range(np.zeros((0, 0, 3)), 5.0, 1.0).shape == (0, 4)


def test_orders_fixes_and_skips_those_off_the_earth() -> None:
    found = make_fixes("x", [(5, 1, 1), (2, 0, 0), (5, 9, 9), (7, 91, 0), (8, 0, math.nan)], 3)
    assert found.times_s.tolist() == [2, 5]
    assert found.latitude_deg.tolist() == [0, 1]
    assert found.skipped == 5


def test_moves_evenly_between_fixes_and_is_unknown_in_gaps() -> None:
    track = fixes((100.5, 0, 10), (110.5, 0, 10.001), (200, 0, 11), (204, 0, 11))
    sampled = sample_tracks([track, fixes((100, 5, 5), (205, 5, 5))], 1.0, 60.0)
    assert sampled.begin_s == 100
    assert sampled.place_m.shape == (106, 2, 3)
    longitude = np.degrees(np.arctan2(sampled.place_m[:, 0, 1], sampled.place_m[:, 0, 0]))
    known = np.flatnonzero(~np.isnan(longitude))
    assert known.tolist() == [*range(1, 11), *range(100, 105)]
    assert longitude[3] == pytest.approx(10.00025, abs=1e-9)
    # 105 s without a fix between the two of the other node.
    assert np.flatnonzero(~np.isnan(sampled.place_m[:, 1, 0])).tolist() == [0, 105]


@given(st.floats(-89, 89), st.floats(-180, 180), st.floats(1, 5000), st.floats(0, 2 * math.pi))
def test_distance_is_that_on_the_sphere(
    latitude: float, longitude: float, distance_m: float, bearing: float
) -> None:
    """The other end is found by the formula for a way on a great circle."""
    angle, lat = distance_m / EARTH_RADIUS_M, math.radians(latitude)
    other = math.asin(
        math.sin(lat) * math.cos(angle) + math.cos(lat) * math.sin(angle) * math.cos(bearing)
    )
    east = math.atan2(
        math.sin(bearing) * math.sin(angle) * math.cos(lat),
        math.cos(angle) - math.sin(lat) * math.sin(other),
    )
    turned = (longitude + math.degrees(east) + 540) % 360 - 180
    tracks = [fixes((0, latitude, longitude)), fixes((0, math.degrees(other), turned))]
    place_m = sample_tracks(tracks, 1.0, 1.0).place_m
    assert len(contacts_in_range(place_m, straight_m(distance_m + 0.01), 1.0)) == 1
    assert len(contacts_in_range(place_m, straight_m(distance_m - 0.01), 1.0)) == 0


@pytest.mark.parametrize("longitude", [6.0, 179.999, -180.0])
def test_map_is_flat_around_the_tracks(longitude: float) -> None:
    east = longitude + 0.01 if longitude < 179 else longitude + 0.01 - 360
    tracks = [fixes((0, 60, longitude), (9, 60, longitude)), fixes((0, 60.02, east), (4, 60, east))]
    found = map_tracks(sample_tracks(tracks, 1.0, 60.0))
    assert found.times_s.tolist() == list(range(10))
    assert float(found.east_m[0, 1] - found.east_m[0, 0]) == pytest.approx(
        0.01 * DEGREE_M * math.cos(math.radians(60.01)), rel=1e-3
    )
    assert float(found.north_m[0, 1] - found.north_m[0, 0]) == pytest.approx(
        0.02 * DEGREE_M, rel=1e-3
    )
    assert np.isnan(found.east_m[5:, 1]).all()


def test_map_has_so_many_times_at_most() -> None:
    track = fixes((0, 1, 1), (9000, 2, 2))
    found = map_tracks(sample_tracks([track], 1.0, 1e6))
    assert 1000 < len(found.times_s) <= 2000
    assert found.times_s[1] == 5


def test_refuses_what_would_be_too_large() -> None:
    far = fixes((0, 1, 1), (3e9 - 1, 1, 1))
    with pytest.raises(TraceError, match="give a step of 300 s"):
        sample_tracks([far], 1.0, 60.0)
    with pytest.raises(TraceError, match="2000 are imported at most"):
        sample_tracks([far] * 2001, 1.0, 60.0)
