"""What one author may do in an hour: each bound at its edge, and the pace of a careful author."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import guards, hlc
from protocol.limits import BUNDLE_BYTES_MAX, STORE_ROW_BYTES, Kind
from protocol.quota import (
    AGENT,
    CENTRE,
    GROUPS,
    Allowance,
    Group,
    Holding,
    Tally,
    fits,
    hour_of,
    is_within,
    share_left_for,
)

HOUR_MS = 3_600_000


def test_every_kind_is_counted_against_one_bound() -> None:
    assert set(GROUPS) == set(Kind)
    assert GROUPS[Kind.RECEIPT] is GROUPS[Kind.CHAIN_KEYS] is Group.STATE
    assert GROUPS[Kind.NOTE] is Group.TEXT
    assert [kind for kind, group in GROUPS.items() if group is Group.SOS] == [Kind.SOS]


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**16 - 1))
def test_an_hour_is_one_of_the_stamp(wall_ms: int, counter: int) -> None:
    assert hour_of(hlc.pack(wall_ms, counter)) == wall_ms // HOUR_MS


@pytest.mark.parametrize("allowance", [AGENT, CENTRE])
@pytest.mark.parametrize("group", list(Group))
def test_each_group_ends_at_its_own_number(allowance: Allowance, group: Group) -> None:
    tally = Tally.empty()
    taken = 0
    while fits(tally, allowance, group, 100):
        tally.add(group, 100)
        taken += 1
    assert taken == allowance.counts[group]
    others = [each for each in Group if each is not group]
    assert all(fits(tally, allowance, each, 100) for each in others)


def test_texts_states_and_positions_make_up_the_whole_hour() -> None:
    tally = Tally.empty()
    for group in (Group.TEXT, Group.STATE, Group.POSITION):
        tally.add(group, 100, AGENT.counts[group])
    assert sum(tally.counts) == guards.QUOTA_HOUR_BUNDLES
    assert not any(fits(tally, AGENT, each, 1) for each in (Group.TEXT, Group.STATE))
    assert fits(tally, AGENT, Group.SOS, BUNDLE_BYTES_MAX), "an SOS has a number of its own"
    assert fits(tally, AGENT, Group.BULK, BUNDLE_BYTES_MAX), "and so has bulk"


def test_bytes_are_bounded_and_those_of_an_sos_are_not_charged() -> None:
    tally = Tally.empty()
    tally.add(Group.STATE, guards.QUOTA_HOUR_BYTES - 100)
    assert fits(tally, AGENT, Group.TEXT, 100)
    assert not fits(tally, AGENT, Group.TEXT, 101)
    tally.add(Group.SOS, BUNDLE_BYTES_MAX)
    assert fits(tally, AGENT, Group.TEXT, 100)
    tally.add(Group.STATE, guards.QUOTA_HOUR_BYTES - 100, -1)
    assert tally == Tally([0, 0, 0, 1, 0], 0)


def test_a_photo_takes_nothing_of_what_texts_may_use_and_the_other_way_round() -> None:
    tally = Tally.empty()
    tally.add(Group.BULK, guards.QUOTA_HOUR_BULK_BYTES - 100)
    assert fits(tally, AGENT, Group.BULK, 100)
    assert not fits(tally, AGENT, Group.BULK, 101)
    assert fits(tally, AGENT, Group.TEXT, BUNDLE_BYTES_MAX)
    full = guards.QUOTA_BULK_SHARE_BYTES - STORE_ROW_BYTES
    assert is_within(Holding(live_bytes=10**9), AGENT, Group.BULK, full, 5)
    assert not is_within(Holding(), AGENT, Group.BULK, full + 1, 5)
    assert not is_within(Holding(bulk_bytes=1), AGENT, Group.BULK, full, 5)
    arrived = Holding(hour=5, bulk_arrived_bytes=1)
    assert not is_within(arrived, AGENT, Group.BULK, full, 5)
    assert is_within(arrived, AGENT, Group.BULK, full, 6)
    assert is_within(Holding(bulk_bytes=10**9), AGENT, Group.TEXT, 1_000, 5)


def test_a_share_is_what_is_held_and_what_came_within_the_hour() -> None:
    full = guards.QUOTA_SHARE_BYTES - STORE_ROW_BYTES
    assert is_within(Holding(), AGENT, Group.TEXT, full, 5)
    assert not is_within(Holding(), AGENT, Group.TEXT, full + 1, 5)
    assert not is_within(Holding(live_bytes=1), AGENT, Group.TEXT, full, 5)
    arrived = Holding(hour=5, arrived_bytes=1)
    assert not is_within(arrived, AGENT, Group.TEXT, full, 5)
    assert is_within(arrived, AGENT, Group.TEXT, full, 6)
    crowded = Holding(live_bytes=10**9, hour=5, arrived_bytes=10**9)
    edge = guards.QUOTA_SOS_BYTES - STORE_ROW_BYTES
    assert is_within(crowded, AGENT, Group.SOS, edge, 5), "an SOS has a share of its own"
    assert not is_within(Holding(sos_bytes=1), AGENT, Group.SOS, edge, 5)


@given(st.lists(st.integers(0, HOUR_MS - 1), max_size=400), st.sampled_from([AGENT, CENTRE]))
def test_a_careful_author_never_exceeds_its_hour_and_is_not_mute_at_its_end(
    wishes: list[int], allowance: Allowance
) -> None:
    tally = Tally.empty()
    for into_hour_ms in sorted(wishes):
        if share_left_for(tally, allowance, Group.STATE, into_hour_ms):
            assert fits(tally, allowance, Group.STATE, 300)
            tally.add(Group.STATE, 300)
    whole = allowance.counts[Group.STATE]
    if len(wishes) <= whole // 2:
        assert tally.counts[Group.STATE] == len(wishes)
    assert share_left_for(Tally.empty(), allowance, Group.STATE, 0) == whole // 2
    assert share_left_for(Tally.empty(), allowance, Group.STATE, HOUR_MS - 1) >= whole - 1
    full = Tally([allowance.bundles, 0, 0, 0, 0], 0)
    assert share_left_for(full, allowance, Group.STATE, 0) == 0
