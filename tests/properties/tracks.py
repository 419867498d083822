"""Parsers of tracks: of what they say in clear, and of their points."""

from __future__ import annotations

from protocol.track_bodies import TrackBody, decode_track_body_untrusted, encode_track_body
from protocol.tracks import TrackPoint, decode_points_untrusted, encode_points
from tests.properties.table import Parser

__all__ = ["POINTS", "TRACK_PARSERS"]

POINTS = [
    TrackPoint(1_800_000_000 + 30 * n, 4_489_000 + 41 * n - n * n, 664_000 - 37 * n)
    for n in range(20)
]
_BODY = TrackBody(bytes(8), 1_800_000_000_000, 1_800_010_000_000, bytes(40))

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
)
