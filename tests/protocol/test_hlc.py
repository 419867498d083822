"""The hybrid logical clock: always forward, never far ahead of the wall."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from protocol.errors import ClockDriftError, CloseCode
from protocol.hlc import counter, merge, pack, tick, wall_ms
from protocol.limits import CLOCK_DRIFT_MS_MAX

WALLS = st.integers(0, 2**47)
COUNTS = st.sampled_from((0, 1, 65_534, 65_535)) | st.integers(0, 65_535)
STAMPS = st.builds(pack, WALLS, COUNTS)


@given(WALLS, COUNTS)
def test_a_stamp_keeps_both_parts(wall: int, count: int) -> None:
    stamp = pack(wall, count)
    assert (wall_ms(stamp), counter(stamp)) == (wall, count)
    assert stamp < 2**64


def test_parts_at_the_limit_and_above() -> None:
    assert pack(2**48 - 1, 65_535) == 2**64 - 1
    for wall, count in ((2**48, 0), (0, 65_536), (-1, 0), (0, -1)):
        with pytest.raises(ValueError, match="48 bits"):
            pack(wall, count)


@given(WALLS, COUNTS, WALLS, COUNTS)
def test_stamps_order_as_time_then_counter(
    wall: int, count: int, other_wall: int, other_count: int
) -> None:
    earlier = (wall, count) < (other_wall, other_count)
    assert (pack(wall, count) < pack(other_wall, other_count)) is earlier


@given(STAMPS, WALLS)
def test_a_tick_goes_forward_and_no_further_than_it_must(last: int, now_ms: int) -> None:
    stamp = tick(last, now_ms)
    assert stamp > last
    assert wall_ms(stamp) >= now_ms
    assert stamp == last + 1 or stamp == pack(now_ms, 0)


def test_a_full_counter_carries_into_the_next_millisecond() -> None:
    assert tick(pack(7, 65_535), 7) == pack(8, 0)
    assert merge(pack(7, 65_535), pack(7, 3), 7, 10) == pack(8, 0)


@given(STAMPS, STAMPS, WALLS, st.integers(0, CLOCK_DRIFT_MS_MAX))
def test_hearing_goes_past_both_or_refuses(
    last: int, remote: int, now_ms: int, drift_ms_max: int
) -> None:
    ahead_ms = wall_ms(remote) - now_ms
    if ahead_ms > drift_ms_max:
        with pytest.raises(ClockDriftError) as caught:
            merge(last, remote, now_ms, drift_ms_max)
        assert caught.value.ahead_ms == ahead_ms
        assert caught.value.close_code is CloseCode.CLOCK_DRIFT
        return
    stamp = merge(last, remote, now_ms, drift_ms_max)
    assert stamp > max(last, remote)
    assert wall_ms(stamp) >= now_ms
    assert stamp == merge(remote, last, now_ms, 2**48)


@given(STAMPS, WALLS)
def test_drift_at_the_bound_and_one_above(last: int, now_ms: int) -> None:
    at_bound = pack(now_ms + CLOCK_DRIFT_MS_MAX, 65_535)
    assert merge(last, at_bound, now_ms, CLOCK_DRIFT_MS_MAX) > at_bound
    with pytest.raises(ClockDriftError):
        merge(last, at_bound + 1, now_ms, CLOCK_DRIFT_MS_MAX)


class _Node(RuleBasedStateMachine):
    """A node that ticks and hears while its wall clock jumps forth and back."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = self.latest_ms = 1_800_000_000_000
        self.stamp = self.before = 0

    @rule(step_ms=st.integers(-100_000, 100_000))
    def wall_clock_moves(self, step_ms: int) -> None:
        self.now_ms += step_ms
        self.latest_ms = max(self.latest_ms, self.now_ms)

    @rule()
    def writes(self) -> None:
        self.before, self.stamp = self.stamp, tick(self.stamp, self.now_ms)
        assert self.stamp > self.before

    @rule(ahead_ms=st.integers(-10, 2 * CLOCK_DRIFT_MS_MAX), count=COUNTS)
    def hears(self, ahead_ms: int, count: int) -> None:
        remote = pack(self.now_ms + ahead_ms, count)
        try:
            after = merge(self.stamp, remote, self.now_ms, CLOCK_DRIFT_MS_MAX)
        except ClockDriftError:
            assert ahead_ms > CLOCK_DRIFT_MS_MAX
            return
        assert ahead_ms <= CLOCK_DRIFT_MS_MAX
        assert after > max(self.stamp, remote)
        self.stamp = after

    @invariant()
    def is_never_far_ahead(self) -> None:
        # Each event past the bound costs a count, and 65,536 counts cost one millisecond.
        assert wall_ms(self.stamp) <= self.latest_ms + CLOCK_DRIFT_MS_MAX + 1


TestClockOfANode = pytest.mark.slow(_Node.TestCase)
