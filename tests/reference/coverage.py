"""Coverage by the page alone: cells by fractions, contributions as a set, one look at a time.

Source: wire-format 4.41-4.43.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor

from protocol.canonical import encode
from protocol.coverage import Contribution, Held, contribution_fields
from tests.reference.codec import Record, RefusedError, demand

__all__ = ["cell_of", "counted", "joined", "read_coverage_map"]


def cell_of(latitude_e7: int, longitude_e7: int) -> int:
    """Return the cell of a place, by degrees as fractions."""
    row = min(39_999, floor(Fraction(latitude_e7 + 900_000_000, 45_000)))
    middle_deg = Fraction(2 * row + 1, 2) * Fraction(9, 2_000) - 90
    cosine = (32_400 - 4 * middle_deg**2) / (32_400 + middle_deg**2)
    columns = max(1, floor(80_000 * cosine))
    around = Fraction((longitude_e7 + 1_800_000_000) % 3_600_000_000, 3_600_000_000)
    return 80_000 * row + floor(around * columns)


def joined(*helds: Held) -> dict[bytes, Contribution]:
    """Return what is kept of all that came, however often."""
    best: dict[bytes, Contribution] = {}
    for held in helds:
        for key, each in held.items():
            same = [other[key] for other in helds if key in other]
            best[key] = max(same, key=lambda c: (c.day, encode(contribution_fields(c))))
            assert each in same
    order = sorted(best.items(), key=lambda item: (item[1].day, item[0]))
    return dict(order[-512:])


def counted(contributions: list[Contribution], today: int) -> dict[tuple[int, int, int], list[int]]:
    """Return tried and worked by cell, part and bearer."""
    found: dict[tuple[int, int, int], list[int]] = {}
    for each in contributions:
        if each.day <= today - 60:
            continue
        for square in each.squares:
            for count in square.counts:
                sums = found.setdefault((square.cell, int(square.part), int(count.bearer)), [0, 0])
                sums[0] += count.tried
                sums[1] += count.worked
    return found


def read_coverage_map(record: tuple[Record, ...]) -> Record:
    """Read a payload of type 10."""
    demand(len(record) == 7, "4.41 fields")
    name, day, squares = record[4:]
    if not isinstance(name, bytes) or not isinstance(squares, tuple):
        raise RefusedError("4.41 types")
    demand(len(name) == 16, "4.41 name")
    _number(day, 2**20 - 1, "4.41 day")
    demand(1 <= len(squares) <= 128, "4.41 squares")
    cell, before = 0, (-1, -1)
    for square in squares:
        if not isinstance(square, tuple) or not 3 <= len(square) <= 8:
            raise RefusedError("4.41 square")
        cell += _number(square[0], 3_200_000_000 - 1, "4.41 step")
        demand(cell < 40_000 * 80_000, "4.42 row")
        u = Fraction(2 * (cell // 80_000) + 1 - 40_000) * Fraction(9, 4_000)
        columns = max(1, floor(80_000 * (32_400 - 4 * u**2) / (32_400 + u**2)))
        demand(cell % 80_000 < columns, "4.42 column")
        place = cell, _number(square[1], 3, "4.41 part")
        demand(place > before, "4.41 order")
        before = place
        _counts(square[2:])
    return record


def _counts(counts: tuple[Record, ...]) -> None:
    last, looks = -1, 0
    for count in counts:
        number = _number(count, 256 * 5 + 255, "4.41 count")
        bearer, tried, worked = number // 256, number // 16 % 16, number % 16
        demand(bearer > last, "4.41 bearers")
        demand(tried > 0 and worked <= tried, "4.41 tried and worked")
        demand(bearer > 0 or worked == 0, "4.41 no network")
        last, looks = bearer, looks + tried
    demand(3 <= looks <= 15, "4.41 looks")


def _number(value: Record, most: int, clause: str) -> int:
    if not isinstance(value, int) or not 0 <= value <= most:
        raise RefusedError(clause)
    return value
