"""Points of a track as strings of the characters 0 and 1, every choice tried out.

Slow and obvious: what is shortest is found by writing it. Source: wire-format 4.21.
"""

from __future__ import annotations

from itertools import pairwise

Point = tuple[int, int, int]
"""Seconds, latitude and longitude in hundred-thousandths of a degree."""


def code(value: int, k: int) -> str:
    """Return the code of a number."""
    z = 2 * value if value >= 0 else -2 * value - 1
    if z >> k >= 20:
        return "1" * 20 + f"{z:028b}"
    low = f"{z % (1 << k):0{k}b}" if k else ""
    return "1" * (z >> k) + "0" + low


def steps(points: list[Point], axis: int) -> list[int]:
    """Return how far each point is from the one before."""
    return [points[n][axis] - points[n - 1][axis] for n in range(1, len(points))]


def foretold(values: list[int], order: int) -> list[int]:
    """Return what is left of steps once the one before is taken off."""
    before = [0, *values][: len(values)] if order else [0] * len(values)
    return [value - old for value, old in zip(values, before, strict=True)]


def shortest(values: list[int]) -> int:
    """Return the parameter that writes numbers shortest."""
    return min(range(16), key=lambda k: (sum(len(code(v, k)) for v in values), k))


def encode(points: list[Point]) -> bytes:
    """Return the string of some points."""
    times = [each for each in steps(points, 0) if each <= 4_095]
    interval = min(times, key=lambda each: (-times.count(each), each), default=0)
    best = None
    for order in (0, 1):
        columns = [[each - interval for each in steps(points, 0)]]
        columns += [foretold(steps(points, axis), order) for axis in (1, 2)]
        ks = [shortest(column) for column in columns]
        bits = ""
        for row in zip(*columns, strict=True):
            bits += "".join(code(value, k) for value, k in zip(row, ks, strict=True))
        if best is None or len(bits) < len(best[2]):
            best = (order, ks, bits)
    assert best is not None
    order, ks, bits = best
    taken, north, east = points[0]
    head = f"{len(points) - 1:09b}{taken:040b}{north + 9_000_000:025b}{east + 18_000_000:026b}"
    head += f"{interval:012b}{order}" + "".join(f"{k:04b}" for k in ks)
    whole = head + bits
    whole += "0" * (-len(whole) % 8)
    return bytes(int(whole[n : n + 8], 2) for n in range(0, len(whole), 8))


def every_reading(raw: bytes) -> list[Point] | None:
    """Return what a string says if it is what `encode` writes of it, else None."""
    bits = "".join(f"{byte:08b}" for byte in raw)
    try:
        return _read(bits, raw)
    except (ValueError, IndexError):
        return None


def _read(bits: str, raw: bytes) -> list[Point] | None:
    at = 0

    def take(count: int) -> int:
        nonlocal at
        if at + count > len(bits):
            raise IndexError
        at += count
        return int(bits[at - count : at], 2) if count else 0

    def number(k: int) -> int:
        ones = 0
        while ones < 20 and take(1):
            ones += 1
        z = take(28) if ones == 20 else (ones << k) + take(k)
        return z // 2 if z % 2 == 0 else -(z + 1) // 2

    count = take(9) + 1
    points = [(take(40), take(25) - 9_000_000, take(26) - 18_000_000)]
    interval, order, ks = take(12), take(1), (take(4), take(4), take(4))
    old = (0, 0)
    for _ in range(count - 1):
        seconds, north, east = (number(k) for k in ks)
        old = (north + order * old[0], east + order * old[1])
        last = points[-1]
        points.append((last[0] + interval + seconds, last[1] + old[0], last[2] + old[1]))
    for (first, _, _), (second, _, _) in pairwise(points):
        if not 1 <= second - first <= 43_200:
            return None
    for taken, north, east in points:
        if not (taken < 1 << 40 and abs(north) <= 9_000_000 and abs(east) <= 18_000_000):
            return None
    return points if encode(points) == raw else None
