"""What goes on the air when: a machine of alarms and positions, and the rules one by one."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from protocol.narrow.bounds import (
    AIRED_ALARMS_MAX,
    AIRED_SLOTS_MAX,
    ALARM_AGAIN_MS_MIN,
    ALARM_COPIES_HEARD_MAX,
    ALARM_RELAY_MS,
    ALARM_RETRY_MS_MAX,
    ALARM_TIMES_MS,
    POSITION_SHARE,
    POSITIONS_PER_WHOLE,
    SHIFT_TIMES_MS,
    WHOLE_EVERY_MS,
)
from protocol.narrow.plan import AirPlan, Turn

BYTE_MS = 10_000 / 9_600
SIZE = 125


def turns(plan: AirPlan, now_ms: int) -> list[Turn]:
    """Return all that is due."""
    found = list[Turn]()
    while (turn := plan.next(now_ms)) is not None:
        found.append(turn)
    return found


def test_an_alarm_goes_short_and_whole_by_turns_at_the_stated_times() -> None:
    plan, at = AirPlan(BYTE_MS), list[tuple[int, bool]]()
    plan.add_alarm(1, 5)
    plan.add_alarm(1, 6)
    while (due_ms := plan.next_deadline_ms()) is not None:
        assert plan.next(due_ms - 1) is None
        (turn,) = turns(plan, due_ms)
        assert (turn.short_id, turn.is_alarm) == (1, True)
        at.append((due_ms - 5, turn.is_whole))
    assert at == [(ms, bool(n % 2)) for n, ms in enumerate(ALARM_TIMES_MS)]


def test_an_alarm_that_the_port_could_not_send_begins_anew_until_it_can() -> None:
    plan, now_ms, waits = AirPlan(BYTE_MS), 0, list[int]()
    plan.add_alarm(1, 0)
    for _ in range(40):
        (turn,) = turns(plan, now_ms)
        assert not turn.is_whole, "the short form first"
        plan.missed(1, now_ms)
        due_ms = plan.next_deadline_ms()
        assert due_ms is not None
        waits.append(due_ms - now_ms)
        now_ms = due_ms
    assert waits[:6] == [2_000, 4_000, 8_000, 16_000, 32_000, 60_000]
    assert set(waits[5:]) == {ALARM_RETRY_MS_MAX}
    assert len(turns(plan, now_ms + ALARM_TIMES_MS[-1])) == len(ALARM_TIMES_MS)
    plan.missed(1, now_ms)
    assert plan.next_deadline_ms() is None, "it went out often enough"
    plan.add_alarm(2, 0, b"\0\0")
    plan.missed(2, 0)
    assert len(turns(plan, 10**6)) == len(ALARM_RELAY_MS), "its sender repeats it"


def test_an_alarm_is_sent_once_more_short_and_whole_by_turns_and_never_beside_itself() -> None:
    plan = AirPlan(BYTE_MS)
    plan.add_alarm(1, 0)
    plan.add_again(1, 0)
    assert len(turns(plan, ALARM_TIMES_MS[-1])) == len(ALARM_TIMES_MS), "it is being sent"
    plan.add_again(1, ALARM_TIMES_MS[-1] + ALARM_AGAIN_MS_MIN - 1)
    assert turns(plan, 10**6 - 1) == [], "it was just sent"
    found = list[Turn]()
    for at_ms in (10**6, 2 * 10**6, 3 * 10**6):
        plan.add_again(1, at_ms)
        plan.add_again(1, at_ms)
        found += turns(plan, at_ms)
        plan.missed(1, at_ms)
        assert plan.next_deadline_ms() is None
    assert found == [Turn(1, True, is_whole) for is_whole in (False, True, False)]
    for other in range(2, AIRED_ALARMS_MAX + 9):
        plan.add_again(other, 4 * 10**6)
    assert len(turns(plan, 4 * 10**6)) == AIRED_ALARMS_MAX


def test_one_that_was_heard_is_sent_on_within_its_bounds_or_dropped_once_all_have_it() -> None:
    for chance in (b"\0\0", b"\xff\xff", b"\x80\x40"):
        plan = AirPlan(BYTE_MS)
        plan.add_alarm(1, 0, chance)
        for low_ms, high_ms in ALARM_RELAY_MS:
            due_ms = plan.next_deadline_ms()
            assert due_ms is not None
            assert low_ms <= due_ms <= high_ms
            assert len(turns(plan, due_ms)) == 1
        assert plan.next_deadline_ms() is None
    plan = AirPlan(BYTE_MS)
    plan.add_alarm(1, 0, b"\0\0")
    plan.add_alarm(2, 0)
    for _ in range(ALARM_COPIES_HEARD_MAX):
        plan.heard(1)
        plan.heard(2)
        plan.heard(3)
    assert [turn.short_id for turn in turns(plan, 600_000)] == [2] * len(ALARM_TIMES_MS)


def test_own_alarms_outlive_a_flood_of_others() -> None:
    plan = AirPlan(BYTE_MS)
    plan.add_alarm(0, 0)
    for short_id in range(1, 3 * AIRED_ALARMS_MAX):
        plan.add_alarm(short_id, 0, b"\0\0")
    assert turns(plan, 0)[0].short_id == 0
    assert len({turn.short_id for turn in turns(plan, 10**9)}) == AIRED_ALARMS_MAX
    for short_id in range(AIRED_ALARMS_MAX + 1):
        plan.add_alarm(short_id, 0)
    plan.drop(5)
    assert len({turn.short_id for turn in turns(plan, 0)}) == AIRED_ALARMS_MAX - 1


def test_positions_keep_to_their_share_and_the_newest_of_each_goes() -> None:
    plan, sent, now_ms = AirPlan(BYTE_MS), 0, 0
    for now_ms in range(0, 600_000, 100):
        plan.add_position(now_ms, b"anna" if now_ms % 200 else b"bruno")
        for turn in turns(plan, now_ms):
            assert now_ms - turn.short_id <= 100, "never one that was replaced"
            plan.sent(SIZE, now_ms)
            sent += 1
    used = sent * SIZE * BYTE_MS / now_ms
    assert POSITION_SHARE * 0.7 <= used <= POSITION_SHARE * 1.01


def test_some_positions_go_whole() -> None:
    plan = AirPlan(0.0)
    wholes = []
    for number in range(3 * POSITIONS_PER_WHOLE):
        plan.add_position(number, b"anna")
        wholes += [turn.is_whole for turn in turns(plan, number)]
    assert wholes == ([True] + [False] * (POSITIONS_PER_WHOLE - 1)) * 3
    plan.add_position(99, b"anna")
    assert [turn.is_whole for turn in turns(plan, WHOLE_EVERY_MS * 2)] == [True]
    plan.add_position(100, b"anna")
    assert [turn.is_whole for turn in turns(plan, WHOLE_EVERY_MS * 3 - 1)] == [False]
    for number in range(2 * AIRED_SLOTS_MAX):
        plan.add_position(number, number.to_bytes(2, "big"))
    assert len(turns(plan, 0)) == AIRED_SLOTS_MAX


def test_a_shift_is_told_four_times_and_waits_for_its_share() -> None:
    plan = AirPlan(BYTE_MS)
    plan.add_shift(1, 0)
    found = [(ms, turn) for ms in range(0, 400_000, 1_000) for turn in turns(plan, ms)]
    assert found == [(ms, Turn(1, False, True)) for ms in SHIFT_TIMES_MS]
    plan.add_shift(2, 0)
    plan.sent(SIZE, 0)
    assert turns(plan, 0) == []
    plan.drop(2)
    assert plan.next_deadline_ms() is None
    for short_id in range(2 * AIRED_SLOTS_MAX):
        plan.add_shift(short_id, 0)
    assert len(turns(plan, 1_000)) == AIRED_SLOTS_MAX


def test_positions_wait_for_their_pace_and_nothing_else_does() -> None:
    plan, at = AirPlan(BYTE_MS), list[int]()
    for now_ms in range(0, 3_600_000, 30_000):
        plan.add_position(now_ms, b"anna")
        for turn in turns(plan, now_ms):
            assert turn.short_id == now_ms, "the newest"
            at.append(now_ms)
            plan.sent(SIZE, now_ms, 400_000)
    assert at == list(range(0, 3_600_000, 420_000))
    plan.add_position(1, b"anna")
    plan.add_shift(2, now_ms)
    plan.add_alarm(3, now_ms)
    assert [turn.short_id for turn in turns(plan, now_ms)] == [3, 2]
    plan = AirPlan(BYTE_MS)
    plan.add_position(1, b"anna")
    assert len(turns(plan, 0)) == 1
    plan.sent(SIZE, 0, 400_000)
    assert plan.next_deadline_ms() is None
    plan.add_position(2, b"anna")
    assert plan.next_deadline_ms() == 400_000


def test_at_a_pace_everybody_has_a_turn_however_seldom_others_report() -> None:
    plan, had = AirPlan(BYTE_MS), Counter[int]()
    for now_ms in range(0, 36_000_000, 30_000):
        plan.add_position(0, b"own")
        for mate in (1, 2, 3):
            if now_ms % (60_000 * mate) == 0:
                plan.add_position(mate, bytes([mate]))
        for turn in turns(plan, now_ms):
            had[turn.short_id] += 1
            plan.sent(SIZE, now_ms, 300_000)
    assert max(had.values()) - min(had.values()) <= 1


class Planning(RuleBasedStateMachine):
    """Anything, in any order: alarms are never late, nothing grows, and the plan never spins."""

    def __init__(self) -> None:
        super().__init__()
        self.plan = AirPlan(BYTE_MS)
        self.now_ms = 0
        self.names = 0

    @rule(is_heard=st.booleans())
    def alarm(self, is_heard: bool) -> None:
        self.names += 1
        self.plan.add_alarm(self.names, self.now_ms, b"\x10\x80" if is_heard else None)

    @rule(slot=st.integers(0, 100))
    def position(self, slot: int) -> None:
        self.names += 1
        self.plan.add_position(self.names, bytes([slot]))

    @rule()
    def shift(self) -> None:
        self.names += 1
        self.plan.add_shift(self.names, self.now_ms)

    @rule(name=st.integers(1, 40))
    def hear(self, name: int) -> None:
        self.plan.heard(name)

    @rule(name=st.integers(1, 40))
    def drop(self, name: int) -> None:
        self.plan.drop(name)

    @rule(pause_ms=st.integers(0, 40_000), pace_ms=st.sampled_from([0, 0, 100_000]))
    def work(self, pause_ms: int, pace_ms: int) -> None:
        self.now_ms += pause_ms
        while (turn := self.plan.next(self.now_ms)) is not None:
            if not turn.is_alarm:
                self.plan.sent(SIZE, self.now_ms, pace_ms)
        due_ms = self.plan.next_deadline_ms()
        assert due_ms is None or due_ms > self.now_ms, "whoever waits for it does not spin"

    @invariant()
    def is_bounded(self) -> None:
        assert len(self.plan._alarms) <= AIRED_ALARMS_MAX
        assert len(self.plan._slots) <= AIRED_SLOTS_MAX
        assert len(self.plan._shifts) <= AIRED_SLOTS_MAX


TestPlanning = Planning.TestCase
TestPlanning.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
