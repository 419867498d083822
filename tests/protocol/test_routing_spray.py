"""Binary spray: halves, and nothing is lost or made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.routing.spray import COPIES, may_spray
from protocol.routing.spray import given as given_of


@given(st.integers(2, 10_000))
def test_the_holder_keeps_the_larger_half_and_both_have_some(copies: int) -> None:
    part = given_of(copies)
    assert 1 <= part <= copies - part <= part + 1


@given(st.integers(1, 300))
def test_all_copies_come_to_stand_for_one_each(copies: int) -> None:
    holders, hand_overs = [copies], 0
    while any(may_spray(each) for each in holders):
        place = next(place for place, each in enumerate(holders) if may_spray(each))
        part = given_of(holders[place])
        holders[place] -= part
        holders.append(part)
        hand_overs += 1
    assert holders == [1] * copies
    assert hand_overs == copies - 1


@pytest.mark.parametrize(("copies", "part"), [(COPIES, 5), (5, 2), (3, 1), (2, 1)])
def test_halves_by_hand(copies: int, part: int) -> None:
    assert given_of(copies) == part


def test_the_last_copy_stays() -> None:
    assert may_spray(2)
    assert not may_spray(1)
