"""Coverage: counted within bounds, joined as a set, and told without what points at a person."""

from __future__ import annotations

import dataclasses
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import coverage
from protocol.canonical import decode_untrusted, encode
from protocol.cells import Part
from protocol.coverage import (
    CONTRIBUTIONS_MAX,
    KEPT_SQUARES_MAX,
    LOOK_EVERY_MS,
    LOOKS_MAX,
    LOOKS_MIN,
    SQUARES_MAX,
    WINDOW_DAYS,
    Contribution,
    Count,
    Square,
    Tally,
    contribution_fields,
    contribution_id,
    join,
    published,
    read_contribution_untrusted,
    summed,
)
from protocol.errors import LimitExceededError, MalformedError
from protocol.states import Bearer
from tests.reference import coverage as reference
from tests.strategies import contributions

IDS = st.integers(0, 5).map(lambda n: bytes([n]) * 16)
HELD = st.dictionaries(IDS, contributions(3), max_size=5)
PASS = 2_398_400_123
DAY = 20_000


def of(day: int, *squares: Square) -> Contribution:
    return Contribution(day, squares or (Square(PASS, Part.NIGHT, (Count(Bearer.G4, 4, 3),)),))


# --- joining ---------------------------------------------------------------------------------


@given(HELD, HELD, HELD)
def test_joining_is_a_semilattice(a: dict, b: dict, c: dict) -> None:  # type: ignore[type-arg]
    assert join(a, b) == join(b, a) == reference.joined(a, b)
    assert join(join(a, b), c) == join(a, join(b, c)) == reference.joined(a, b, c)
    assert join(a, a) == a
    assert join(join(a, b), b) == join(a, b)


@given(HELD, HELD, HELD)
def test_it_is_one_also_where_there_is_no_room(a: dict, b: dict, c: dict) -> None:  # type: ignore[type-arg]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coverage, "CONTRIBUTIONS_MAX", 2)
        results = [join(join(x, y), z) for x, y, z in permutations((a, b, c))]
        results += [join(x, join(y, z)) for x, y, z in permutations((a, b, c))]
        assert all(each == results[0] for each in results)
        assert len(results[0]) <= 2
        assert join(results[0], a) == results[0]


def test_the_newest_stay() -> None:
    many = {n.to_bytes(16, "big"): of(DAY + n % 7) for n in range(CONTRIBUTIONS_MAX + 9)}
    kept = join(many, {})
    assert len(kept) == CONTRIBUTIONS_MAX
    gone = [many[key] for key in many.keys() - kept.keys()]
    assert {each.day for each in gone} == {DAY}


@given(st.lists(contributions(), max_size=8), st.integers(20_040, 20_120))
def test_sums_are_those_of_the_reference(told: list[Contribution], today: int) -> None:
    found = {
        (cell, int(part), int(bearer)): list(counts)
        for (cell, part), by in summed(told, today).items()
        for bearer, counts in by.items()
    }
    assert found == reference.counted(told, today)


def test_old_contributions_age_out() -> None:
    assert summed([of(DAY)], DAY + WINDOW_DAYS - 1)
    assert not summed([of(DAY)], DAY + WINDOW_DAYS)


def test_nobody_takes_the_id_of_another() -> None:
    name = b"n" * 16
    assert contribution_id(b"a" * 16, name) != contribution_id(b"b" * 16, name)
    assert len(contribution_id(b"a" * 16, name)) == 16


# --- counting --------------------------------------------------------------------------------


def test_a_device_that_stands_still_counts_no_more_than_a_quarter_of_an_hour() -> None:
    tally = Tally()
    looks = [
        tally.look(PASS, Part.NIGHT, Bearer.G4, second * 1_000, has_worked=True)
        for second in range(0, 7_200, 10)
    ]
    assert sum(looks) == LOOKS_MAX
    assert tally.squares() == (Square(PASS, Part.NIGHT, (Count(Bearer.G4, LOOKS_MAX, LOOKS_MAX),)),)


def test_looks_at_one_cell_are_a_minute_apart_whatever_lies_between() -> None:
    tally = Tally()
    took = [
        tally.look(PASS + n % 2, Part.NIGHT, Bearer.G4, n * LOOK_EVERY_MS // 4, has_worked=True)
        for n in range(12)
    ]
    assert sum(took) == 6


def test_no_network_never_works() -> None:
    tally = Tally()
    tally.look(PASS, Part.NIGHT, Bearer.NONE, 0, has_worked=True)
    tally.look(PASS, Part.NIGHT, Bearer.G3, LOOK_EVERY_MS, has_worked=False)
    (square,) = tally.squares()
    assert square.counts == (Count(Bearer.NONE, 1, 0), Count(Bearer.G3, 1, 0))


def test_a_tally_is_bounded_and_goes_on_after_a_restart() -> None:
    tally = Tally()
    for n in range(KEPT_SQUARES_MAX + 5):
        tally.look(PASS + n, Part.NIGHT, Bearer.G4, n, has_worked=True)
    assert len(tally.squares()) == KEPT_SQUARES_MAX
    again = Tally(tally.squares())
    assert again.squares() == tally.squares()
    assert again.look(PASS, Part.NIGHT, Bearer.G4, 0, has_worked=False)
    assert not again.look(PASS - 1, Part.NIGHT, Bearer.G4, 0, has_worked=False)


def test_a_way_through_is_not_told() -> None:
    squares = [Square(PASS + n, Part.NIGHT, (Count(Bearer.G4, n, n),)) for n in range(1, 6)]
    assert [each.looks for each in published(squares)] == [LOOKS_MIN, 4, 5]


def test_of_too_many_the_best_known_are_told_in_order() -> None:
    squares = [
        Square(PASS + n, Part.NIGHT, (Count(Bearer.G4, 3 + n % 2, 3),))
        for n in range(KEPT_SQUARES_MAX)
    ]
    told = published(squares)
    assert len(told) == SQUARES_MAX
    assert {each.looks for each in told} == {4}
    assert [each.cell for each in told] == sorted(each.cell for each in told)


# --- on the wire -----------------------------------------------------------------------------


@given(contributions())
def test_what_is_written_is_read(told: Contribution) -> None:
    day, squares = contribution_fields(told)
    again = decode_untrusted(encode((day, squares)), max_bytes=10_000)
    assert isinstance(again, tuple)
    assert read_contribution_untrusted(again[0], again[1], LOOKS_MIN) == told


def test_a_square_costs_few_bytes() -> None:
    squares = tuple(
        Square(PASS + n, Part.NIGHT, (Count(Bearer.NONE, 4, 0), Count(Bearer.G4, 9, 7)))
        for n in range(60)
    )
    size = len(encode(contribution_fields(of(DAY, *squares))))
    print(f"60 squares with two bearers each: {size} bytes")
    assert size < 60 * 8 + 12


def test_whatever_has_too_few_looks_is_refused_from_others_and_kept_of_ourselves() -> None:
    told = of(DAY, Square(PASS, Part.NIGHT, (Count(Bearer.G4, 1, 1),)))
    fields = contribution_fields(told)
    read = decode_untrusted(encode(fields), max_bytes=100)
    assert isinstance(read, tuple)
    assert read_contribution_untrusted(read[0], read[1], 1) == told
    with pytest.raises(MalformedError, match="too few"):
        read_contribution_untrusted(read[0], read[1], LOOKS_MIN)


def test_a_reader_looks_at_bounds_first() -> None:
    row = (PASS, 0, 256 * 3 + 16 * 4 + 4)
    with pytest.raises(LimitExceededError):
        read_contribution_untrusted(DAY, (row,) * (KEPT_SQUARES_MAX + 1), 1)
    with pytest.raises(LimitExceededError):
        read_contribution_untrusted(2**20, (row,), 1)
    with pytest.raises(MalformedError):
        read_contribution_untrusted(DAY, ((PASS, 0),), 1)


def test_no_repr_tells_where() -> None:
    told = of(DAY)
    assert str(PASS) not in repr(told) + repr(told.squares[0])
    assert "squares" not in {f.name for f in dataclasses.fields(told) if f.repr}
