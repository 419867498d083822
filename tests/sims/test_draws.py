"""Numbers drawn from a seed and a name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sims.draws import Draw


@given(seed=st.integers(0, 2**64), low=st.integers(-9, 9), span=st.integers(0, 9))
def test_what_is_drawn_is_within_its_bounds(seed: int, low: int, span: int) -> None:
    draw = Draw(seed, "bounds")
    assert low <= draw.whole(low, low + span) <= low + span
    assert low <= draw.uniform(low, low + span) <= low + span
    assert 0 <= draw.unit() < 1
    assert draw.choice("abc") in "abc"
    assert not draw.chance(0.0)
    assert draw.chance(1.0)
    assert len(draw.data(5)) == 5


@given(seed=st.integers(0, 2**64), count=st.integers(0, 12))
def test_a_sample_has_no_member_twice_and_a_smaller_one_is_its_begin(seed: int, count: int) -> None:
    options = list(range(10))
    found = Draw(seed, "sample").sample(options, count)
    assert len(found) == len(set(found)) == min(count, 10)
    assert Draw(seed, "sample").sample(options, 10)[:count] == found


def test_the_numbers_are_the_same_everywhere() -> None:
    draw = Draw(7, "a name")
    assert [draw.whole(0, 999) for _ in range(4)] == [559, 706, 482, 893]
    assert Draw(7, "another").whole(0, 10**9) != Draw(7, "a name").whole(0, 10**9)


def test_every_value_of_a_range_is_drawn() -> None:
    draw = Draw(3, "all")
    assert {draw.whole(1, 6) for _ in range(200)} == set(range(1, 7))
