"""Weekly keys: their names, which one is used, and which are still accepted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.guards import NETWORK_EPOCH_MS
from protocol.network_keys import (
    OLD_EPOCHS_MAX,
    KeyPurpose,
    WeeklyKey,
    epoch_at,
    epoch_of,
    in_use,
    key_id_of,
    oldest_kept,
)
from tests.reference import derivations
from tests.strategies import uints, weekly_keys

WEEK = 2_976
NOW_MS = WEEK * NETWORK_EPOCH_MS + 5


def ids(*epochs: int) -> list[bytes]:
    """Return one name per week, two where it stands twice."""
    return [key_id_of(epoch, bytes([place]) * 32) for place, epoch in enumerate(epochs)]


@given(weekly_keys())
def test_a_name_tells_the_week_and_commits_to_the_key(weekly: WeeklyKey) -> None:
    assert weekly.key_id == derivations.weekly_key_id(weekly.epoch, weekly.key)
    assert epoch_of(weekly.key_id) == weekly.epoch
    other = bytes([weekly.key[0] ^ 1]) + weekly.key[1:]
    assert key_id_of(weekly.epoch, other) != weekly.key_id


def test_a_week_begins_when_the_one_before_it_ends() -> None:
    assert epoch_at(WEEK * NETWORK_EPOCH_MS - 1) == WEEK - 1
    assert epoch_at(WEEK * NETWORK_EPOCH_MS) == WEEK


@given(st.lists(st.tuples(st.integers(WEEK - 6, WEEK + 3), uints(8)), max_size=12))
def test_the_key_in_use_is_that_of_a_slow_search(held: list[tuple[int, int]]) -> None:
    names = [key_id_of(epoch, bytes([number]) * 32) for epoch, number in held]
    expected = None
    for epoch in [*range(WEEK, WEEK - 7, -1), *range(WEEK + 1, WEEK + 4)]:
        of_week = [name for name in names if epoch_of(name) == epoch]
        if of_week:
            expected = min(of_week)
            break
    assert in_use(names, NOW_MS) == expected


def test_the_key_of_the_next_week_is_not_used_before_it_begins() -> None:
    names = ids(WEEK, WEEK + 1)
    assert in_use(names, NOW_MS) == names[0]
    assert in_use(names, (WEEK + 1) * NETWORK_EPOCH_MS) == names[1]


@pytest.mark.parametrize(("purpose", "old"), list(OLD_EPOCHS_MAX.items()))
def test_so_many_old_weeks_are_kept_and_not_one_more(purpose: KeyPurpose, old: int) -> None:
    names = ids(*range(WEEK - 5, WEEK + 2))
    assert oldest_kept(purpose, names, NOW_MS) == WEEK - old


@pytest.mark.parametrize("purpose", list(OLD_EPOCHS_MAX))
def test_a_device_that_no_new_key_reaches_keeps_its_last(purpose: KeyPurpose) -> None:
    """An SOS under an old key beats none."""
    names = ids(WEEK - 40)
    assert oldest_kept(purpose, names, NOW_MS) <= WEEK - 40
    assert in_use(names, NOW_MS) == names[0]


def test_no_key_is_printed() -> None:
    assert "kkkk" not in repr(WeeklyKey(KeyPurpose.KNOCK, WEEK, b"k" * 32))
