"""Tracks: one string per list of points, judged by a slow coder, and small on ways of the field."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import payloads
from protocol.bundle import Scope
from protocol.envelope import pad
from protocol.errors import LimitExceededError, MalformedError
from protocol.tracks import (
    STEP_S_MAX,
    TRACK_BYTES_MAX,
    TRACK_POINTS_MAX,
    TrackPoint,
    decode_points_untrusted,
    encode_points,
)
from tests.reference import tracks as reference
from tests.strategies import mutated, track_points

START_S = 1_800_000_000
CONTAINER_BYTES = 150 - 8 + 29
"""What header, signature and seal of a bundle to the centre add (wire-format 4.18), and what a
track says in clear (4.33)."""


def plain(points: list[TrackPoint] | tuple[TrackPoint, ...]) -> list[reference.Point]:
    """Return points as the slow coder takes them."""
    return [(each.taken_s, each.latitude_e5, each.longitude_e5) for each in points]


@given(track_points())
def test_a_track_is_read_as_it_was_written(points: list[TrackPoint]) -> None:
    assert decode_points_untrusted(encode_points(points)) == tuple(points)


@given(track_points())
def test_the_slow_coder_writes_the_same(points: list[TrackPoint]) -> None:
    raw = encode_points(points)
    assert raw == reference.encode(plain(points))
    assert reference.every_reading(raw) == plain(points)


def walk(count: int) -> list[TrackPoint]:
    """Return somebody who goes straight on."""
    return [TrackPoint(START_S + 30 * n, 4_489_000 + 40 * n, 664_000) for n in range(count)]


@given(mutated([encode_points(walk(n)) for n in (1, 2, 9)]) | st.binary(max_size=40))
@settings(max_examples=300)
def test_both_readers_agree_on_almost_a_track(raw: bytes) -> None:
    expected = reference.every_reading(raw)
    if expected is None:
        with pytest.raises((MalformedError, LimitExceededError)):
            decode_points_untrusted(raw)
    else:
        assert plain(decode_points_untrusted(raw)) == expected


def leaps(count: int) -> list[TrackPoint]:
    """Return the dearest way: every step goes around the world, at odd times."""
    chance = random.Random(7)
    points, taken = list[TrackPoint](), START_S
    for n in range(count):
        taken += chance.choice([1, STEP_S_MAX])
        side = -1 if n % 2 else 1
        points.append(TrackPoint(taken, side * 9_000_000, -side * 18_000_000))
    return points


def test_as_many_points_as_there_may_be_and_one_more() -> None:
    most = encode_points(leaps(TRACK_POINTS_MAX))
    assert len(most) <= TRACK_BYTES_MAX
    assert len(decode_points_untrusted(most)) == TRACK_POINTS_MAX
    with pytest.raises(ValueError, match="512"):
        encode_points(leaps(TRACK_POINTS_MAX + 1))
    with pytest.raises(LimitExceededError):
        decode_points_untrusted(bytes(TRACK_BYTES_MAX + 1))


@pytest.mark.parametrize(
    "points",
    [
        [],
        [TrackPoint(START_S, 9_000_001, 0)],
        [TrackPoint(START_S, 0, -18_000_001)],
        [TrackPoint(-1, 0, 0)],
        [TrackPoint(1 << 40, 0, 0)],
        [TrackPoint(START_S, 0, 0), TrackPoint(START_S, 0, 0)],
        [TrackPoint(START_S, 0, 0), TrackPoint(START_S - 1, 0, 0)],
        [TrackPoint(START_S, 0, 0), TrackPoint(START_S + STEP_S_MAX + 1, 0, 0)],
    ],
    ids=str,
)
def test_what_is_no_track_is_not_written(points: list[TrackPoint]) -> None:
    with pytest.raises(ValueError, match="point"):
        encode_points(points)


def test_no_place_of_a_track_is_printed() -> None:
    assert "4489000" not in repr(walk(1))
    assert "664000" not in repr(walk(1))


# --- size on ways of the field -----------------------------------------------------------------


def sampled(speed_m_s: Callable[[random.Random, int], float], bend: float) -> Iterator[TrackPoint]:
    """Yield eight hours at one point every 30 s, as a receiver with its errors tells them.

    The error is 4 m and wanders (half of it stays from one point to the next); every tenth point
    comes a second late, every fiftieth is missing. Heading turns at random by `bend` radians.
    """
    chance = random.Random(11)
    north_m, east_m, heading = 0.0, 0.0, 0.5
    off_north, off_east = 0.0, 0.0
    for n in range(960):
        step_m = 30 * speed_m_s(chance, n)
        heading += chance.gauss(0, bend)
        north_m += step_m * math.cos(heading)
        east_m += step_m * math.sin(heading)
        off_north = off_north / 2 + chance.gauss(0, 3.5)
        off_east = off_east / 2 + chance.gauss(0, 3.5)
        if n % 50 == 49:
            continue
        late = 1 if chance.random() < 0.1 else 0
        latitude = 44.89 + (north_m + off_north) / 111_132
        longitude = 6.64 + (east_m + off_east) / (111_320 * math.cos(math.radians(44.89)))
        yield TrackPoint(START_S + 30 * n + late, round(latitude * 1e5), round(longitude * 1e5))


WAYS: dict[str, tuple[Callable[[random.Random, int], float], float]] = {
    "at rest": (lambda _chance, _n: 0.0, 0.0),
    "on foot in the mountains": (lambda chance, n: chance.uniform(0.4, 1.5) * (n % 40 > 8), 0.5),
    "car on a pass road": (lambda chance, n: chance.uniform(6, 17) * (n % 60 > 15), 0.7),
    "car on a main road": (lambda chance, _n: chance.uniform(19, 25), 0.15),
    "boat on patrol": (lambda chance, n: chance.gauss(9, 0.7) * (n % 90 > 20), 0.1),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_point_takes_at_most_four_bytes(way: str, capsys: pytest.CaptureFixture[str]) -> None:
    points = list(sampled(*WAYS[way]))[:240]
    raw = encode_points(points)
    track = payloads.Track(bytes(16), Scope.for_codt(1).encode(), tuple(points))
    whole = len(pad(payloads.encode(track))) + CONTAINER_BYTES
    each, with_bundle = len(raw) / len(points), whole / len(points)
    with capsys.disabled():
        print(f"\n{way}: {each:.2f} bytes per point, {with_bundle:.2f} with the whole bundle")
    assert each <= 4
