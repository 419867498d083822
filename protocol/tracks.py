"""Tracks: places of one device in few bits, each point as its difference from what was foretold.

Golomb-Rice codes with their parameters chosen per segment, so that a walker, a car and a boat each
cost what their way is worth. There is one string for each list of points, and a reader refuses any
other. Source: wire-format 4.21; Golomb, Run-length encodings, IEEE Trans. IT 12 (1966).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from protocol.errors import LimitExceededError, MalformedError

__all__ = [
    "LATITUDE_E5_MAX",
    "LONGITUDE_E5_MAX",
    "STEP_S_MAX",
    "TRACK_BYTES_MAX",
    "TRACK_POINTS_MAX",
    "TrackPoint",
    "decode_points_untrusted",
    "encode_points",
]

TRACK_POINTS_MAX: Final = 512
"""Points of one segment: four hours of one every 30 s."""
TRACK_BYTES_MAX: Final = 9_214
"""The longest string: a head of 125 bits, and three codes of 48 for each further point."""
STEP_S_MAX: Final = 43_200
"""From one point to the next: a shift, seconds."""
LATITUDE_E5_MAX: Final = 9_000_000
"""The poles, in hundred-thousandths of a degree."""
LONGITUDE_E5_MAX: Final = 18_000_000
"""The date line, in hundred-thousandths of a degree."""
_INTERVAL_S_MAX: Final = 4_095
_QUOTIENT_MAX: Final = 20
_ESCAPED_BITS: Final = 28
_PARAMETERS: Final = 16
_SECONDS_BITS: Final = 40


@dataclass(frozen=True, slots=True)
class TrackPoint:
    """Where a device was at one time."""

    taken_s: int
    """Unix seconds."""
    latitude_e5: int = field(repr=False)
    """Hundred-thousandths of a degree, about 1.1 m; north positive."""
    longitude_e5: int = field(repr=False)
    """Hundred-thousandths of a degree; east positive."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """How the points of one segment are written."""

    interval_s: int
    """What the steps of time are compared with."""
    order: int
    """1 where each step is compared with the one before."""
    parameters: tuple[int, int, int]
    """Rice parameters of time, latitude and longitude."""
    columns: tuple[Sequence[int], Sequence[int], Sequence[int]]
    """The numbers of each, all at least 0."""


def encode_points(points: Sequence[TrackPoint]) -> bytes:
    """Return the one string for these points.

    Raises: ValueError if they are none or too many, off the map, or not in order of time.
    Cost: about 60 µs per point.
    """
    if not 1 <= len(points) <= TRACK_POINTS_MAX:
        raise ValueError(f"a segment has 1 to {TRACK_POINTS_MAX} points")
    if not all(_is_on_map(point) for point in points):
        raise ValueError("a point is off the map")
    if not all(1 <= b.taken_s - a.taken_s <= STEP_S_MAX for a, b in pairwise(points)):
        raise ValueError("points ascend by one second to twelve hours")
    plan, first = _plan(points), points[0]
    bits = _Bits()
    bits.put(len(points) - 1, 9)
    bits.put(first.taken_s, _SECONDS_BITS)
    bits.put(first.latitude_e5 + LATITUDE_E5_MAX, 25)
    bits.put(first.longitude_e5 + LONGITUDE_E5_MAX, 26)
    bits.put(plan.interval_s, 12)
    bits.put(plan.order, 1)
    for parameter in plan.parameters:
        bits.put(parameter, 4)
    for row in zip(*plan.columns, strict=True):
        for number, parameter in zip(row, plan.parameters, strict=True):
            bits.put_code(number, parameter)
    return bits.encode()


def _is_on_map(point: TrackPoint) -> bool:
    return (
        0 <= point.taken_s < 1 << _SECONDS_BITS
        and abs(point.latitude_e5) <= LATITUDE_E5_MAX
        and abs(point.longitude_e5) <= LONGITUDE_E5_MAX
    )


# --- how a segment is written --------------------------------------------------------------------


def _plan(points: Sequence[TrackPoint]) -> _Plan:
    steps_s = [b.taken_s - a.taken_s for a, b in pairwise(points)]
    counted = Counter(step for step in steps_s if step <= _INTERVAL_S_MAX)
    interval_s = min(counted, key=lambda step: (-counted[step], step), default=0)
    times = [_unsigned(step - interval_s) for step in steps_s]
    by_order = [_columns(points, order) for order in (0, 1)]
    chosen = [tuple(_parameter(column) for column in columns) for columns in by_order]
    sizes = [sum(bits for _parameter, bits in found) for found in chosen]
    order = 0 if sizes[0] <= sizes[1] else 1
    latitudes, longitudes = by_order[order]
    (ky, _), (kx, _) = chosen[order]
    return _Plan(interval_s, order, (_parameter(times)[0], ky, kx), (times, latitudes, longitudes))


def _columns(points: Sequence[TrackPoint], order: int) -> tuple[list[int], list[int]]:
    """Return what is left of the steps north and east once the foretold one is taken off."""
    latitudes, longitudes = list[int](), list[int]()
    north, east = 0, 0
    for a, b in pairwise(points):
        to_north, to_east = b.latitude_e5 - a.latitude_e5, b.longitude_e5 - a.longitude_e5
        latitudes.append(_unsigned(to_north - order * north))
        longitudes.append(_unsigned(to_east - order * east))
        north, east = to_north, to_east
    return latitudes, longitudes


def _parameter(numbers: Sequence[int]) -> tuple[int, int]:
    """Return the parameter that writes `numbers` shortest, and the bits that they take then."""
    sizes = [sum(_code_bits(each, k) for each in numbers) for k in range(_PARAMETERS)]
    best = min(sizes)
    return sizes.index(best), best


def _code_bits(number: int, parameter: int) -> int:
    quotient = number >> parameter
    if quotient < _QUOTIENT_MAX:
        return quotient + 1 + parameter
    return _QUOTIENT_MAX + _ESCAPED_BITS


def _unsigned(number: int) -> int:
    return 2 * number if number >= 0 else -2 * number - 1


def _signed(number: int) -> int:
    return -(number + 1) // 2 if number & 1 else number // 2


class _Bits:
    """A string of bits that grows at its end."""

    def __init__(self) -> None:
        self._value, self._count = 0, 0
        self._done = bytearray()

    def put(self, number: int, count: int) -> None:
        """Append the `count` low bits of `number`."""
        self._value = self._value << count | number
        self._count += count
        if self._count >= 256:
            rest = self._count % 8
            self._done += (self._value >> rest).to_bytes(self._count // 8, "big")
            self._value, self._count = self._value & ((1 << rest) - 1), rest

    def put_code(self, number: int, parameter: int) -> None:
        """Append the code of `number`."""
        quotient = number >> parameter
        if quotient < _QUOTIENT_MAX:
            self.put((1 << quotient + 1) - 2, quotient + 1)
            self.put(number & ((1 << parameter) - 1), parameter)
        else:
            self.put((1 << _QUOTIENT_MAX) - 1, _QUOTIENT_MAX)
            self.put(number, _ESCAPED_BITS)

    def encode(self) -> bytes:
        """Return the string, filled with zeros to whole bytes."""
        self.put(0, -self._count % 8)
        return bytes(self._done + self._value.to_bytes(self._count // 8, "big"))


# --- reading -------------------------------------------------------------------------------------


def decode_points_untrusted(raw: bytes) -> tuple[TrackPoint, ...]:
    """Return the points of a string. Raises: MalformedError, LimitExceededError."""
    if len(raw) > TRACK_BYTES_MAX:
        raise LimitExceededError("points bytes", TRACK_BYTES_MAX, len(raw))
    reader = _Reader(raw)
    count = reader.take(9) + 1
    point = TrackPoint(
        reader.take(_SECONDS_BITS),
        reader.take(25) - LATITUDE_E5_MAX,
        reader.take(26) - LONGITUDE_E5_MAX,
    )
    interval_s, order = reader.take(12), reader.take(1)
    parameters = reader.take(4), reader.take(4), reader.take(4)
    points = [point, *_further(reader, point, count - 1, (interval_s, order, parameters))]
    try:
        is_the_one = encode_points(points) == raw
    except ValueError as error:
        raise MalformedError(f"a track is not one: {error}") from error
    if not is_the_one:
        raise MalformedError("the points of a track are not written in the shortest way")
    return tuple(points)


def _further(
    reader: _Reader,
    point: TrackPoint,
    count: int,
    plan: tuple[int, int, tuple[int, int, int]],
) -> Iterator[TrackPoint]:
    interval_s, order, (kt, ky, kx) = plan
    north, east = 0, 0
    for _ in range(count):
        step_s = interval_s + _signed(reader.take_code(kt))
        north = _signed(reader.take_code(ky)) + order * north
        east = _signed(reader.take_code(kx)) + order * east
        point = TrackPoint(
            point.taken_s + step_s, point.latitude_e5 + north, point.longitude_e5 + east
        )
        if not _is_on_map(point):
            raise MalformedError("a point of a track is off the map")
        yield point


class _Reader:
    """Takes bits from the beginning of a string."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def take(self, count: int) -> int:
        """Return the next bits as a number. Raises: MalformedError where there are not enough."""
        end = self._at + count
        if end > 8 * len(self._raw):
            raise MalformedError("a track ends in the middle of a point")
        first, last = self._at // 8, (end + 7) // 8
        value = int.from_bytes(self._raw[first:last], "big") >> (8 * last - end)
        self._at = end
        return value & ((1 << count) - 1)

    def take_code(self, parameter: int) -> int:
        """Return the number of the next code. Raises: MalformedError."""
        quotient = 0
        while quotient < _QUOTIENT_MAX and self.take(1):
            quotient += 1
        if quotient == _QUOTIENT_MAX:
            return self.take(_ESCAPED_BITS)
        return quotient << parameter | self.take(parameter)
