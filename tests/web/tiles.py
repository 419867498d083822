"""A map file with one raster tile, made by hand after the PMTiles specification, version 3."""

from __future__ import annotations

import gzip
import struct

__all__ = ["one_tile"]

_HEADER_BYTES = 127
_GZIP = 2
_NONE = 1
_PNG = 2


def one_tile(tile_id: int, zoom: int, picture: bytes) -> bytes:
    """Return a file that holds `picture`, a PNG, as the tile of that number, and no other."""
    directory = gzip.compress(
        b"\x01" + _varint(tile_id) + b"\x01" + _varint(len(picture)) + b"\x01"
    )
    metadata = gzip.compress(b"{}")
    root = _HEADER_BYTES
    tiles = root + len(directory) + len(metadata)
    header = b"PMTiles\x03" + struct.pack(
        "<11Q",
        *(root, len(directory)),
        *(root + len(directory), len(metadata)),
        *(tiles, 0),
        *(tiles, len(picture)),
        *(1, 1, 1),
    )
    header += struct.pack("<6B", 1, _GZIP, _NONE, _PNG, zoom, zoom)
    header += struct.pack(
        "<4iB2i", -1_800_000_000, -850_000_000, 1_800_000_000, 850_000_000, 0, 0, 0
    )
    assert len(header) == _HEADER_BYTES
    return header + directory + metadata + picture


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])
