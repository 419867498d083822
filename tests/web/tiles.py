"""A map file with one tile, made by hand after PMTiles version 3 and Mapbox Vector Tile 2.1."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["VECTORS", "Shape", "one_tile", "vector_tile"]

_HEADER_BYTES = 127
_GZIP = 2
_NONE = 1
_PNG = 2
VECTORS = 1
"""Type of the tiles of a map of vectors."""
_EXTENT = 4_096
_MOVE, _LINE, _CLOSE = 1, 2, 7
_POINT, _STROKE, _AREA = 1, 2, 3


@dataclass(frozen=True)
class Shape:
    """One feature of a vector tile."""

    layer: str
    """Name of its layer."""
    points: tuple[tuple[int, int], ...]
    """In 4096 parts of the tile, from its north-western corner: one is a point, two are a line,
    more are an area."""
    tags: dict[str, str]
    """What is said of it."""


def vector_tile(shapes: Sequence[Shape]) -> bytes:
    """Return a vector tile, a layer for each shape."""
    return b"".join(_field(3, _layer(each)) for each in shapes)


def _layer(shape: Shape) -> bytes:
    kind = {1: _POINT, 2: _STROKE}.get(len(shape.points), _AREA)
    tags = b"".join(_varint(at) * 2 for at in range(len(shape.tags)))
    feature = _field(2, tags) + b"\x18" + _varint(kind) + _field(4, _geometry(shape.points, kind))
    return (
        b"\x78\x02"
        + _field(1, shape.layer.encode())
        + _field(2, feature)
        + b"".join(_field(3, key.encode()) for key in shape.tags)
        + b"".join(_field(4, _field(1, value.encode())) for value in shape.tags.values())
        + b"\x28"
        + _varint(_EXTENT)
    )


def _geometry(points: Sequence[tuple[int, int]], kind: int) -> bytes:
    """Return commands and steps, each from the last point. Source: vector tiles 4.3."""
    out, here = _varint(_MOVE | 1 << 3), (0, 0)
    for at, (x, y) in enumerate(points):
        if at == 1:
            out += _varint(_LINE | len(points) - 1 << 3)
        out += _varint(_zigzag(x - here[0])) + _varint(_zigzag(y - here[1]))
        here = x, y
    return out + (_varint(_CLOSE | 1 << 3) if kind == _AREA else b"")


def _zigzag(number: int) -> int:
    return number << 1 if number >= 0 else -2 * number - 1


def _field(number: int, raw: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def one_tile(tile_id: int, zoom: int, picture: bytes, kind: int = _PNG) -> bytes:
    """Return a file that holds `picture` as the tile of that number, and no other."""
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
    header += struct.pack("<6B", 1, _GZIP, _NONE, kind, zoom, zoom)
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
