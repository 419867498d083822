"""Numbers in pages: runs name exactly what they are made from, in one form alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import canonical
from protocol.canonical import Value
from protocol.errors import LimitExceededError, MalformedError
from protocol.pages import PAGE, RUNS_MAX, as_runs, page_of, runs_of, seqs_of

OFFSETS = st.sets(st.integers(0, PAGE - 1), max_size=200)


@given(st.integers(0, 2**54 - 1), OFFSETS)
def test_runs_name_what_they_are_made_from(page: int, offsets: set[int]) -> None:
    seqs = {page * PAGE + each for each in offsets}
    runs = runs_of(page, seqs)
    assert list(seqs_of(page, runs)) == sorted(seqs)
    assert {page_of(seq) for seq in seqs} <= {page}
    raw = canonical.encode(runs)
    assert as_runs(canonical.decode_untrusted(raw, max_bytes=6_000), 0) == runs


def test_a_number_of_another_page_has_no_run() -> None:
    for seq in (PAGE - 1, 2 * PAGE):
        with pytest.raises(ValueError, match="page 1"):
            runs_of(1, [seq])


@pytest.mark.parametrize(
    "value",
    [
        ((5, 0),),
        ((0, 1), (1, 1)),
        ((0, 5), (3, 9)),
        ((5, 1), (1, 1)),
        ((PAGE - 1, 2),),
        ((PAGE, 1),),
        ((1,),),
        b"runs",
    ],
)
def test_one_set_has_one_form(value: Value) -> None:
    with pytest.raises((MalformedError, LimitExceededError)):
        as_runs(value)


def test_the_bounds_of_runs() -> None:
    every_second = tuple((2 * place, 1) for place in range(RUNS_MAX))
    assert as_runs(every_second) == every_second
    with pytest.raises(LimitExceededError):
        as_runs((*every_second, (PAGE, 1)))
    assert as_runs((), 0) == ()
    with pytest.raises(MalformedError):
        as_runs(())
