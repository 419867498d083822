"""Inputs of the vectors of coverage: contributions at their bounds, and each just beyond."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from protocol import envelope, payloads
from protocol.canonical import Value, encode
from protocol.cells import Part, cell_of
from protocol.coverage import SQUARES_MAX, Contribution, Count, Square
from protocol.states import Bearer
from tests.vectors.seeds import NODE, Case, accepted, refused

__all__ = ["coverage_cases"]

PASS = cell_of(448_900_000, 66_400_000)
NAME = b"sixteen bytes !!"


def coverage_cases(scope: bytes, item: Callable[[bytes], dict[str, str]]) -> Iterator[Case]:
    """Contributions of one square, of many, and of none that counts."""
    white = Square(PASS, Part.NIGHT, (Count(Bearer.NONE, 3, 0),))
    every = (Count(Bearer.NONE, 1, 0), *(Count(each, 2, 2) for each in list(Bearer)[1:]))
    last = cell_of(900_000_000, 1_799_999_999)
    for what, squares in {
        "a white square": (white,),
        "every bearer, twice at one place": (
            Square(PASS, Part.MORNING, every),
            Square(PASS, Part.EVENING, (Count(Bearer.G4, 15, 12),)),
        ),
        "the first cell and the last": (
            Square(0, Part.NIGHT, (Count(Bearer.LAN, 3, 3),)),
            Square(last, Part.EVENING, (Count(Bearer.G2, 3, 0),)),
        ),
        "as many squares as there may be": tuple(
            Square(PASS + n, Part.AFTERNOON, (Count(Bearer.G5, 4, 3),)) for n in range(SQUARES_MAX)
        ),
    }.items():
        told = payloads.CoverageMap(NODE, scope, NAME, Contribution(2**20 - 1, squares))
        yield accepted("4.41", what, item(envelope.pad(payloads.encode(told))))
    seen = 256 * 3 + 16 * 3 + 3
    good = (PASS, 0, seen)
    odd: dict[str, tuple[bytes, int, Value]] = {
        "a name of fifteen bytes": (NAME[:15], 20_000, [good]),
        "a day of 21 bits": (NAME, 2**20, [good]),
        "no squares": (NAME, 20_000, []),
        "129 squares": (NAME, 20_000, [(0 if n else PASS, n % 4, seen) for n in range(129)]),
        "one square twice": (NAME, 20_000, [good, (0, 0, seen)]),
        "a part before the last one": (NAME, 20_000, [(PASS, 1, seen), (0, 0, seen)]),
        "a fifth part of the day": (NAME, 20_000, [(PASS, 4, seen)]),
        "no counts": (NAME, 20_000, [(PASS, 0)]),
        "a bearer twice": (NAME, 20_000, [(PASS, 0, seen, seen)]),
        "bearer 6": (NAME, 20_000, [(PASS, 0, seen + 3 * 256)]),
        "worked more often than tried": (NAME, 20_000, [(PASS, 0, seen + 1)]),
        "never tried": (NAME, 20_000, [(PASS, 0, seen, 256 * 4)]),
        "no network that worked": (NAME, 20_000, [(PASS, 0, 16 * 3 + 1)]),
        "two looks": (NAME, 20_000, [(PASS, 0, 256 * 3 + 16 * 2 + 2)]),
        "sixteen looks": (NAME, 20_000, [(PASS, 0, 16 * 8, 256 + 16 * 8)]),
        "a row beyond the pole": (NAME, 20_000, [(40_000 * 80_000 - 1, 0, seen), (1, 0, seen)]),
    }
    for what, (name, day, squares_) in odd.items():
        value = (1, 10, NODE, scope, name, day, squares_)
        yield refused("4.41", what, item(envelope.pad(encode(value))))
    for what, cell in {
        "a column that the row lacks": 80_000 * (PASS // 80_000) + 79_999,
        "a row that is none": 40_000 * 80_000,
    }.items():
        value = (1, 10, NODE, scope, NAME, 20_000, [(cell, 0, seen)])
        yield refused("4.42", what, item(envelope.pad(encode(value))))
