"""The grid of coverage: the same cell for a place everywhere, and cells of about 500 m."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.cells import CELLS, Part, cell_of, columns_of, part_of, rectangle_of
from tests.reference import coverage as reference

LATITUDES = st.integers(-900_000_000, 900_000_000)
LONGITUDES = st.integers(-1_800_000_000, 1_800_000_000)


@given(LATITUDES, LONGITUDES)
@example(900_000_000, 1_800_000_000)
@example(-900_000_000, -1_800_000_000)
@example(0, 0)
def test_a_place_lies_in_its_cell_alone(latitude: int, longitude: int) -> None:
    cell = cell_of(latitude, longitude)
    assert cell == reference.cell_of(latitude, longitude)
    assert 0 <= cell < CELLS
    bounds = rectangle_of(cell)
    east = longitude if longitude < 1_800_000_000 else -longitude
    assert bounds.south <= latitude < bounds.north or latitude == bounds.north == 900_000_000
    assert bounds.west <= east < bounds.east
    assert cell_of(bounds.south, bounds.west) == cell


@given(st.integers(-650_000_000, 650_000_000), LONGITUDES)
def test_cells_are_500_m_wide_and_high_where_people_live(latitude: int, longitude: int) -> None:
    bounds = rectangle_of(cell_of(latitude, longitude))
    metres = 111_320e-7
    assert (bounds.north - bounds.south) * metres == pytest.approx(501, abs=1)
    around = math.cos(math.radians((bounds.north + bounds.south) / 2e7))
    assert (bounds.east - bounds.west) * metres * around == pytest.approx(501, rel=0.005)


@pytest.mark.parametrize(("row", "columns"), [(0, 1), (39_999, 1), (20_000, 79_999)])
def test_rows_at_the_poles_and_at_the_equator(row: int, columns: int) -> None:
    assert columns_of(row) == pytest.approx(columns, abs=5)
    assert columns_of(row) == columns_of(39_999 - row)


@pytest.mark.parametrize("cell", [-1, CELLS, 79_999, 80_000 * 10_000 + 79_999])
def test_ids_that_no_cell_has(cell: int) -> None:
    with pytest.raises(ValueError, match="no cell"):
        rectangle_of(cell)


@pytest.mark.parametrize("place", [(900_000_001, 0), (0, -1_800_000_001)])
def test_no_place_is_off_the_map(place: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="off the map"):
        cell_of(*place)


@pytest.mark.parametrize(
    ("hour", "longitude_deg", "part"),
    [
        (0, 0, Part.NIGHT),
        (6, 0, Part.MORNING),
        (5.999, 0, Part.NIGHT),
        (5.999, 1, Part.MORNING),
        (23.99, 0, Part.EVENING),
        (23.99, 180, Part.MORNING),
        (12, -180, Part.NIGHT),
        (22, 55.5, Part.NIGHT),
        (22, -61.5, Part.AFTERNOON),
    ],
)
def test_the_parts_of_a_day_follow_the_sun(hour: float, longitude_deg: float, part: Part) -> None:
    at_ms = 20_000 * 86_400_000 + round(hour * 3_600_000)
    assert part_of(at_ms, round(longitude_deg * 1e7)) is part
