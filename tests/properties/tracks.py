"""Parsers of tracks, of what they say in clear and of their points; and of coverage."""

from __future__ import annotations

from protocol import payloads
from protocol.canonical import encode
from protocol.cells import Part, cell_of
from protocol.coverage import (
    Contribution,
    Count,
    Square,
    contribution_fields,
    read_contribution_untrusted,
)
from protocol.states import Bearer
from protocol.track_bodies import TrackBody, decode_track_body_untrusted, encode_track_body
from protocol.tracks import TrackPoint, decode_points_untrusted, encode_points
from tests.properties.table import Parser, value_of

__all__ = ["POINTS", "TRACK_PARSERS", "coverage_map"]

POINTS = [
    TrackPoint(1_800_000_000 + 30 * n, 4_489_000 + 41 * n - n * n, 664_000 - 37 * n)
    for n in range(20)
]
_BODY = TrackBody(bytes(8), 1_800_000_000_000, 1_800_010_000_000, bytes(40))

_WHITE = Square(cell_of(448_900_000, 66_400_000), Part.NIGHT, (Count(Bearer.NONE, 9, 0),))
_MIXED = (Count(Bearer.NONE, 2, 0), Count(Bearer.G4, 9, 8), Count(Bearer.LAN, 1, 1))
_MET = Contribution(20_000, (_WHITE, Square(_WHITE.cell, Part.EVENING, _MIXED)))


def coverage_map(author: bytes, scope: bytes) -> bytes:
    """Return a payload of coverage."""
    return payloads.encode(payloads.CoverageMap(author, scope, bytes(16), _MET))


def _read_contribution(data: bytes) -> Contribution:
    return read_contribution_untrusted(20_000, value_of(data), 1)


TRACK_PARSERS: tuple[Parser, ...] = (
    Parser(
        "tracks.decode_points_untrusted",
        decode_points_untrusted,
        (encode_points(POINTS), encode_points(POINTS[:1])),
    ),
    Parser(
        "track_bodies.decode_track_body_untrusted",
        decode_track_body_untrusted,
        (encode_track_body(_BODY),),
    ),
    Parser(
        "coverage.read_contribution_untrusted",
        _read_contribution,
        (encode(contribution_fields(_MET)[1]), encode([(7, 0, 300)])),
    ),
)
