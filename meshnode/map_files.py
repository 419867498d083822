"""Map files that a user put into the home: which region each one shows.

Only the header is read, and held against the size of the file: a copy that was cut short is told
from a whole one. Source: PMTiles specification version 3, section 3 (a header of 127 bytes,
little-endian; four sections from offset 8 on; bounds in ten-millionths of a degree at offset 102).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protocol.errors import MalformedError

__all__ = ["MAPS", "MapRegion", "map_regions", "read_region_untrusted"]

MAPS: Final = "maps"
"""Folder of a home that holds them."""
_HEADER_BYTES: Final = 127
_MAGIC: Final = b"PMTiles\x03"
_SECTIONS: Final = struct.Struct("<8Q")
"""Offset and length of the root directory, the metadata, the leaves and the tiles."""
_SECTIONS_AT: Final = 8
_ROOT_END_BYTES: Final = 16_384
"""Header and root directory lie in so many bytes, says section 4."""
_BOUNDS: Final = struct.Struct("<BB4i")
"""Least and greatest zoom; west, south, east, north."""
_BOUNDS_AT: Final = 100
_FILES_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class MapRegion:
    """What one map file shows."""

    name: str
    """Name of the file."""
    west: float
    """Degrees, -180 to 180."""
    south: float
    """Degrees, -90 to 90."""
    east: float
    """Degrees, at least `west`."""
    north: float
    """Degrees, at least `south`."""
    zoom_max: int
    """Finest zoom, 0 to 30; a path can be followed from 13 on."""

    def shows(self, latitude: float, longitude: float) -> bool:
        """True for a place inside."""
        return self.south <= latitude <= self.north and self.west <= longitude <= self.east


def map_regions(home: Path) -> tuple[list[MapRegion], list[str]]:
    """Return the regions of the map files of a home, and the names of files that are none."""
    regions, broken = list[MapRegion](), list[str]()
    for path in sorted((home / MAPS).glob("*.pmtiles"))[:_FILES_MAX]:
        try:
            with path.open("rb") as file:
                size, header = path.stat().st_size, file.read(_HEADER_BYTES)
            regions.append(read_region_untrusted(path.name, header, size))
        except (MalformedError, OSError):
            broken.append(path.name)
    return regions, broken


def read_region_untrusted(name: str, header: bytes, size_bytes: int) -> MapRegion:
    """Read the first 127 bytes of a map file of this size. Raises: MalformedError."""
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        raise MalformedError(f"{name} is no map of PMTiles version 3: copy it here again")
    places = _SECTIONS.unpack_from(header, _SECTIONS_AT)
    ends = [offset + length for offset, length in zip(places[::2], places[1::2], strict=True)]
    if max(ends) > size_bytes or ends[0] > _ROOT_END_BYTES:
        raise MalformedError(f"{name} is not whole: copy it here again")
    _zoom_min, zoom_max, *numbers = _BOUNDS.unpack_from(header, _BOUNDS_AT)
    west, south, east, north = (number / 10_000_000 for number in numbers)
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90 and zoom_max <= 30):
        raise MalformedError(f"{name} says impossible bounds: copy it here again")
    return MapRegion(name, west, south, east, north, zoom_max)
