"""What the header of a map file says, and files that are none."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.map_files import map_regions, read_region_untrusted
from protocol.errors import MalformedError


def header(west: float, south: float, east: float, north: float, zoom_max: int = 15) -> bytes:
    bounds = (round(each * 10_000_000) for each in (west, south, east, north))
    return b"PMTiles\x03" + bytes(92) + struct.pack("<BB4i", 0, zoom_max, *bounds) + bytes(9)


def test_the_bounds_are_read() -> None:
    found = read_region_untrusted("a", header(-1.5, 42.25, 10, 51), 127)
    assert (found.west, found.south, found.east, found.north) == (-1.5, 42.25, 10, 51)
    assert found.zoom_max == 15


@pytest.mark.parametrize(
    ("latitude", "longitude", "is_shown"),
    [(45, 5, True), (42, -2, True), (51, 10, True), (51.001, 5, False), (45, -2.001, False)],
)
def test_a_place_is_inside_or_not(latitude: float, longitude: float, is_shown: bool) -> None:
    found = read_region_untrusted("a", header(-2, 42, 10, 51), 127)
    assert found.shows(latitude, longitude) is is_shown


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        header(0, 0, 1, 1)[:-1],
        b"PMTiles\x02" + header(0, 0, 1, 1)[8:],
        header(2, 0, 1, 1),
        header(0, 2, 1, 1),
        header(-181, 0, 1, 1),
        header(0, 0, 1, 91),
        header(0, 0, 1, 1, zoom_max=31),
    ],
)
def test_what_is_no_map_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        read_region_untrusted("a", raw, len(raw))


@pytest.mark.parametrize("section", range(4))
def test_a_copy_that_was_cut_short_is_no_map(section: int) -> None:
    """Every section lies within the file, to its last byte and not one further."""
    whole = bytearray(header(0, 0, 1, 1))
    struct.pack_into("<2Q", whole, 8 + 16 * section, 127, 900)
    assert read_region_untrusted("a", bytes(whole), 1027).zoom_max == 15
    with pytest.raises(MalformedError, match="not whole"):
        read_region_untrusted("a", bytes(whole), 1026)
    struct.pack_into("<2Q", whole, 8 + 16 * section, 2**64 - 1, 2**64 - 1)
    with pytest.raises(MalformedError, match="not whole"):
        read_region_untrusted("a", bytes(whole), 2**40)


def test_a_root_directory_lies_in_the_first_16_kilobytes() -> None:
    whole = bytearray(header(0, 0, 1, 1))
    struct.pack_into("<2Q", whole, 8, 127, 16_384 - 127)
    assert read_region_untrusted("a", bytes(whole), 10**9).zoom_max == 15
    struct.pack_into("<2Q", whole, 8, 127, 16_385 - 127)
    with pytest.raises(MalformedError, match="not whole"):
        read_region_untrusted("a", bytes(whole), 10**9)


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_but_be_read_or_refused(raw: bytes) -> None:
    for each in (raw, b"PMTiles\x03" + raw):
        try:
            found = read_region_untrusted("a", each, len(each))
        except MalformedError:
            continue
        assert -180 <= found.west <= found.east <= 180


def test_the_maps_of_a_home_are_found_and_broken_ones_named(tmp_path: Path) -> None:
    assert map_regions(tmp_path) == ([], [])
    maps = tmp_path / "maps"
    maps.mkdir()
    (maps / "b.pmtiles").write_bytes(header(0, 0, 1, 1) + b"tiles")
    (maps / "a.pmtiles").write_bytes(b"half a copy")
    (maps / "c.pmtiles").mkdir()
    (maps / "notes.txt").write_text("not looked at")
    regions, broken = map_regions(tmp_path)
    assert [each.name for each in regions] == ["b.pmtiles"]
    assert broken == ["a.pmtiles", "c.pmtiles"]
