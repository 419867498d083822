"""What one source cannot mean over time: jumps, dates, a plug that flutters."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.errors import SensorError
from meshnode.sensors.bounds import (
    BATTERY_FLIP_S_MIN,
    JUMP_AGREEING_COUNT,
    JUMP_AGREEING_S,
    SOURCE_CLOCK_MS_MAX,
    SPEED_M_S_MAX,
)
from meshnode.sensors.plausible import ChargingGuard, MotionGuard, distance_m
from tests.meshnode.sensors.stand import NOW_MS, battery, position

M_PER_DEGREE = 6_371_009 * math.pi / 180


def refused(guard: MotionGuard, latitude: float, at_s: float) -> bool:
    try:
        guard.judge(position(latitude, 6.64, accuracy_m=0), at_s)
    except SensorError as error:
        return error.reason == "jump"
    return False


def test_distances_are_those_of_a_sphere() -> None:
    assert distance_m(position(0, 1), position(0, 2)) == pytest.approx(M_PER_DEGREE)
    assert distance_m(position(89, 0), position(89, 180)) == pytest.approx(2 * M_PER_DEGREE)
    assert distance_m(position(10, 179.5), position(10, -179.5)) == pytest.approx(109_504, rel=1e-3)
    # Paris to Marseille, by the map.
    far = distance_m(position(48.8566, 2.3522), position(43.2965, 5.3698))
    assert far == pytest.approx(660_500, rel=0.002)


def test_a_speed_of_the_bound_passes_and_more_does_not() -> None:
    for share, is_refused in ((0.999, False), (1.001, True)):
        guard = MotionGuard()
        assert not refused(guard, 40, 0)
        assert refused(guard, 40 + share * 10 * SPEED_M_S_MAX / M_PER_DEGREE, 10) is is_refused


def test_a_teleport_is_refused_and_the_truth_goes_on() -> None:
    guard = MotionGuard()
    for second in range(60):
        is_lie = second % 7 == 3
        assert refused(guard, 60 if is_lie else 40 + second * 1e-5, second) is is_lie


def test_who_really_is_elsewhere_is_believed_after_a_while() -> None:
    guard = MotionGuard()
    assert not refused(guard, 40, 0)
    answers = [refused(guard, 43, second) for second in range(1, 20)]
    assert answers.index(False) == max(JUMP_AGREEING_S, JUMP_AGREEING_COUNT - 1)
    assert not any(answers[answers.index(False) :])


def test_a_burst_of_lies_proves_nothing() -> None:
    guard = MotionGuard()
    assert not refused(guard, 40, 0)
    assert all(refused(guard, 43, 1 + number / 1000) for number in range(5_000))


def test_lies_that_contradict_each_other_never_win() -> None:
    guard = MotionGuard()
    assert not refused(guard, 40, 0)
    places = itertools.cycle((50, 60, 70))
    assert all(refused(guard, next(places), second) for second in range(1, 500))


def test_hours_of_such_lies_bring_none_into_reach() -> None:
    """What is far away for a minute stays far away, however long the jammer goes on."""
    guard = MotionGuard()
    assert not refused(guard, 40, 0)
    places = itertools.cycle((42, 43, 44))
    assert all(refused(guard, next(places), 10 * number) for number in range(1, 720))
    # The truth near by is believed at once, one further off as anybody who is elsewhere.
    assert not refused(guard, 40.01, 7_200)


def test_a_source_that_was_silent_may_be_as_far_as_it_could_have_come() -> None:
    guard = MotionGuard()
    assert not refused(guard, 40, 0)
    assert not refused(guard, 42, 3_600)


def test_a_date_off_by_more_than_a_day_is_refused() -> None:
    guard = MotionGuard()
    for off_ms in (SOURCE_CLOCK_MS_MAX, -SOURCE_CLOCK_MS_MAX):
        assert guard.judge(position(told_ms=NOW_MS + off_ms), 0) is not None
    # 1,024 weeks: what old receivers forget.
    for off_ms in (SOURCE_CLOCK_MS_MAX + 1, -SOURCE_CLOCK_MS_MAX - 1, -1024 * 7 * 86_400_000):
        with pytest.raises(SensorError) as caught:
            guard.judge(position(told_ms=NOW_MS + off_ms), 0)
        assert caught.value.reason == "date"


def test_a_fix_that_is_said_again_is_no_new_one() -> None:
    guard = MotionGuard()
    assert guard.judge(position(told_ms=NOW_MS), 0) is not None
    assert guard.judge(position(told_ms=NOW_MS), 1) is None
    assert guard.judge(position(told_ms=NOW_MS + 1000), 1) is not None


def test_charging_that_flips_each_second_wakes_nobody() -> None:
    guard = ChargingGuard()
    said = [
        guard.judge(battery(is_charging=bool(second % 2)), second).is_charging
        for second in range(120)
    ]
    changes = sum(a is not b for a, b in itertools.pairwise(said))
    assert changes <= 1
    steady = [
        guard.judge(battery(is_charging=True), 120 + second).is_charging for second in range(20)
    ]
    assert steady[-1]


def test_an_honest_plug_is_seen_at_once() -> None:
    guard = ChargingGuard()
    assert not guard.judge(battery(is_charging=False), 0).is_charging
    assert guard.judge(battery(is_charging=True), 100).is_charging


@given(st.lists(st.tuples(st.booleans(), st.floats(0.1, 30)), max_size=60))
def test_charging_changes_at_most_every_ten_seconds_and_follows_what_is_steady(
    said: list[tuple[bool, float]],
) -> None:
    guard, at_s, changed_s, shown = ChargingGuard(), 0.0, -math.inf, None
    raw_since_s, raw = 0.0, None
    for is_charging, step_s in said:
        at_s += step_s
        if is_charging is not raw:
            raw, raw_since_s = is_charging, at_s
        found = guard.judge(battery(is_charging=is_charging), at_s).is_charging
        if shown is not None and found is not shown:
            assert at_s - changed_s >= BATTERY_FLIP_S_MIN
            changed_s = at_s
        shown = found
        if at_s - raw_since_s >= BATTERY_FLIP_S_MIN:
            assert found is raw
