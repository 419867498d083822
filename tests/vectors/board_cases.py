"""Inputs of the vectors of what is told in a shift: states and tracks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from protocol import envelope, payloads
from protocol.canonical import Value, encode
from protocol.states import Battery, Bearer, Coverage, Unit
from protocol.tracks import TrackPoint, encode_points
from tests.vectors.seeds import NODE, Case, accepted, refused

__all__ = ["state_and_track_cases", "track_body_cases"]


def state_and_track_cases(scope: bytes, item: Callable[[bytes], dict[str, str]]) -> Iterator[Case]:
    """States at their bounds, tracks of one and of many points, and each just beyond."""
    full = Battery(2**47, 100, False, 60_000, 2**47 + 30 * 86_400_000)
    weak = Coverage(2**48 - 1, Bearer.G5, Unit.MINUS_DBM, 150, "é" * 16)
    for what, state in {
        "nothing known": payloads.State(NODE, scope, None, None, 0),
        "all at its bounds": payloads.State(NODE, scope, full, weak, 2**48 - 1),
        "charging, no network": payloads.State(
            NODE, scope, Battery(0, 0, True), Coverage(0, Bearer.NONE), 0
        ),
    }.items():
        yield accepted("4.22", what, item(envelope.pad(payloads.encode(state))))
    walk = [TrackPoint(1_800_000_000 + 30 * n, 4_489_000 + 40 * n, 664_000) for n in range(40)]
    for what, points in {
        "one point": walk[:1],
        "forty points": walk,
        "a gap and a leap": [walk[0], TrackPoint(1_800_043_200, -9_000_000, 18_000_000)],
    }.items():
        track = payloads.encode(payloads.Track(NODE, scope, tuple(points)))
        yield accepted("4.21", what, item(envelope.pad(track)))
    odd: dict[str, Value] = {
        "a level of 101": (1, 5, NODE, scope, (0, 101, 0, 0, 0), (), 0),
        "a forecast while charging": (1, 5, NODE, scope, (0, 50, 1, 1, 0), (), 0),
        "empty before it was read": (1, 5, NODE, scope, (9, 50, 0, 1, 8), (), 0),
        "empty in more than a month": (1, 5, NODE, scope, (0, 50, 0, 1, 2_592_000_001), (), 0),
        "four numbers of a battery": (1, 5, NODE, scope, (0, 50, 0, 1), (), 0),
        "bearer 6": (1, 5, NODE, scope, (), (0, 6, 0, 0, b""), 0),
        "a strength without unit": (1, 5, NODE, scope, (), (0, 3, 0, 1, b""), 0),
        "101 percent": (1, 5, NODE, scope, (), (0, 3, 1, 101, b""), 0),
        "no network, and an operator": (1, 5, NODE, scope, (), (0, 0, 0, 0, b"x"), 0),
        "an operator that rings": (1, 5, NODE, scope, (), (0, 3, 0, 0, b"x\7"), 0),
        "an operator with a space at its end": (1, 5, NODE, scope, (), (0, 3, 0, 0, b"x "), 0),
        "an operator of 33 bytes": (1, 5, NODE, scope, (), (0, 3, 0, 0, b"x" * 33), 0),
    }
    for what, value in odd.items():
        yield refused("4.22", what, item(envelope.pad(encode(value))))
    bits = encode_points(walk)
    for what, raw in {
        "no bits": b"",
        "bits that end early": bits[:-1],
        "a byte too many": bits + b"\0",
        "ones after the last point": bits[:-1] + bytes([bits[-1] | 1]),
        "another parameter": bits[:15] + bytes([bits[15] ^ 8]) + bits[16:],
    }.items():
        value = (1, 6, NODE, scope, raw)
        yield refused("4.21", what, item(envelope.pad(encode(value))))


def track_body_cases() -> Iterator[Case]:
    """What tracks say in clear, at its bounds, and just beyond."""
    hour, squad = 3_600_000, b"squad-id"
    good: dict[str, Value] = {
        "a shift of twelve hours": (1, squad, 100 * hour, 12 * hour, b"sealed"),
        "a shift of a millisecond": (1, bytes(8), 0, 1, bytes(17)),
        "the last time of 48 bits": (1, squad, 2**48 - 1, 1, b"sealed"),
    }
    for what, value in good.items():
        yield accepted("4.33", what, encode(value).hex())
    odd: dict[str, Value] = {
        "version 2": (2, squad, 100 * hour, hour, b"sealed"),
        "a squad of seven bytes": (1, b"squad-i", 100 * hour, hour, b"sealed"),
        "a time beyond 48 bits": (1, squad, 2**48, hour, b"sealed"),
        "no time at all": (1, squad, 100 * hour, 0, b"sealed"),
        "a millisecond more than twelve hours": (1, squad, 0, 12 * hour + 1, b"sealed"),
        "nothing sealed": (1, squad, 100 * hour, hour, b""),
        "no declaration": (1, b"sealed"),
        "a field too many": (1, squad, 100 * hour, hour, b"sealed", 0),
    }
    for what, value in odd.items():
        yield refused("4.33", what, encode(value).hex())
    whole = encode((1, squad, 100 * hour, hour, b"sealed"))
    yield refused("2.2", "a byte behind it", (whole + b"\0").hex())
