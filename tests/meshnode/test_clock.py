"""A clock may hide and must not destroy: jumps, leaps back, restarts, beacons, uptime."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from meshnode.clock import TrustedClock, judged
from meshnode.store import bundles as rows
from meshnode.store.residence import Trust
from protocol import hlc
from protocol.guards import CLOCK_AGREE_MS, CLOCK_JUMP_MS_MAX, CLOCK_MARK_MS
from protocol.limits import CLOCK_DRIFT_MS_MAX, Kind
from protocol.reports import Reception
from sims.runtime import START_MS
from tests.meshnode.rig import Rig, bundle_of

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
T0 = START_MS


# --- the state machine -------------------------------------------------------------------------


def test_a_small_lead_is_believed_and_a_jump_is_not() -> None:
    trust = Trust(T0, 0)
    assert not judged(trust, T0 + HOUR_MS + CLOCK_JUMP_MS_MAX, HOUR_MS, 0).is_doubted
    assert judged(trust, T0 + HOUR_MS + CLOCK_JUMP_MS_MAX + 1, HOUR_MS, 0).is_doubted


def test_small_jumps_add_up() -> None:
    trust = Trust(T0, 0)
    for step in range(1, 4):
        trust = judged(trust, T0 + step * 20 * HOUR_MS, step, 0)
    assert trust.is_doubted


def test_a_day_of_uptime_or_a_beacon_settles_a_doubt() -> None:
    jumped = T0 + 30 * DAY_MS
    doubted = judged(Trust(T0, 0), jumped, 1, 0)
    assert doubted.is_doubted
    assert judged(doubted, jumped + CLOCK_AGREE_MS - 2, CLOCK_AGREE_MS - 1, 0).is_doubted
    assert not judged(doubted, jumped + CLOCK_AGREE_MS, CLOCK_AGREE_MS + 1, 0).is_doubted
    assert judged(doubted, jumped, 2, T0).is_doubted, "an old beacon says nothing"
    assert judged(doubted, jumped, 2, jumped - DAY_MS) == Trust(jumped - DAY_MS, 2)


def test_another_jump_begins_the_day_anew_and_the_way_back_ends_the_doubt() -> None:
    doubted = judged(Trust(T0, 0), T0 + 30 * DAY_MS, 1, 0)
    again = judged(doubted, T0 + 90 * DAY_MS, CLOCK_AGREE_MS - 1, 0)
    assert again.is_doubted
    assert again.doubt_uptime_ms == CLOCK_AGREE_MS - 1
    assert not judged(again, T0 + CLOCK_AGREE_MS, CLOCK_AGREE_MS, 0).is_doubted


@given(
    st.lists(
        st.tuples(st.integers(1, HOUR_MS), st.integers(-400 * DAY_MS, 400 * DAY_MS)), max_size=23
    ),
    st.booleans(),
)
def test_no_clock_however_it_jumps_destroys_what_lives_by_the_truth(
    looks: list[tuple[int, int]], has_beacons: bool
) -> None:
    """Within a day of uptime, or for ever where beacons come: off by at most the stated 48 h."""
    trust, uptime_ms = Trust(T0, 0), 0
    for passed_ms, wrong_by_ms in looks:
        uptime_ms += passed_ms
        truth_ms = T0 + uptime_ms
        floor_ms = truth_ms - HOUR_MS if has_beacons else 0
        shown_ms = max(truth_ms + wrong_by_ms, floor_ms)
        trust = judged(trust, shown_ms, uptime_ms, floor_ms)
        if not trust.is_doubted:
            assert shown_ms <= truth_ms + CLOCK_JUMP_MS_MAX


def test_two_leads_that_are_small_each_are_not_believed_together() -> None:
    lead_ms = CLOCK_JUMP_MS_MAX - HOUR_MS
    trust = judged(Trust(T0, 0), T0 + lead_ms, HOUR_MS, T0)
    assert not trust.is_doubted
    assert judged(trust, T0 + 2 * lead_ms, 2 * HOUR_MS, T0).is_doubted


@given(st.integers(0, 10 * DAY_MS), st.integers(1, 30 * DAY_MS))
def test_an_honest_clock_is_believed_in_the_end(off_ms: int, on_ms: int) -> None:
    trust, uptime_ms = judged(Trust(T0, 0), T0 + off_ms, 0, 0), 0
    while uptime_ms < on_ms:
        uptime_ms += 6 * HOUR_MS
        trust = judged(trust, T0 + off_ms + uptime_ms, uptime_ms, 0)
        if uptime_ms > CLOCK_AGREE_MS:
            assert not trust.is_doubted


# --- on a node ---------------------------------------------------------------------------------


async def test_now_is_never_before_what_was_signed(autojump_clock: MockClock, rig: Rig) -> None:
    floor = [0]
    clock = TrustedClock(rig["anna"].machine.runtime, lambda: floor[0])
    assert clock.now_ms() == START_MS
    floor[0] = START_MS + DAY_MS
    assert clock.runtime.now_ms() == START_MS + DAY_MS
    rig["anna"].machine.clock_ahead_ms = 2 * DAY_MS
    assert clock.now_ms() == START_MS + 2 * DAY_MS


async def test_a_jump_hides_at_once_and_destroys_nothing(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, box = met["anna"], met["box"]
    sent = await anna.send(met["bruno"].scope, "alive")
    await met.carry("anna", "box")
    await box.node.housekeeping.look()
    before = await box.held(Kind.TEXT)
    box.machine.clock_ahead_ms += 60 * DAY_MS
    await box.node.housekeeping.look()
    is_doubted = box.node.clock.is_doubted
    assert is_doubted
    assert await box.held(Kind.TEXT) == before != []
    (text,) = await box.store.read(lambda conn: rows.by_kind(conn, Kind.TEXT))
    assert await box.node.relay.plan(met["bruno"].id, [text.short_id]) == []
    events = [each.event for each in (await box.node.auditing.show(10)).entries]
    assert events.count("clock_doubted") == 1
    box.machine.clock_ahead_ms = 0
    await box.node.housekeeping.look()
    is_doubted = box.node.clock.is_doubted
    assert not is_doubted
    assert await box.held(Kind.TEXT) == before
    await met.carry("box", "bruno")
    assert await met["bruno"].texts() == ["alive"]
    assert sent.id in [each.header.id for each in await box.held()]


async def test_a_jump_that_a_day_of_uptime_confirms_destroys(
    autojump_clock: MockClock, met: Rig
) -> None:
    box = met["box"]
    await met["anna"].send(met["bruno"].scope, "over")
    await met.carry("anna", "box", Kind.TEXT)
    await box.node.housekeeping.look()
    box.machine.clock_ahead_ms += 60 * DAY_MS
    await box.node.housekeeping.look()
    await trio.sleep(CLOCK_AGREE_MS / 1000 + 1)
    await box.node.housekeeping.look()
    assert await box.held(Kind.TEXT) == []


async def test_a_doubt_and_uptime_survive_a_restart(autojump_clock: MockClock, met: Rig) -> None:
    box = met["box"]
    await box.node.housekeeping.look()
    await trio.sleep(100)
    box.machine.clock_ahead_ms += 60 * DAY_MS
    await box.node.housekeeping.look()
    again = TrustedClock(box.machine.runtime, lambda: 0)
    await again.load(box.store)
    assert again.is_doubted
    assert again.uptime_ms == box.node.clock.uptime_ms >= 100_000
    assert not again.may_destroy(box.machine.now_ms())


async def test_a_clock_set_back_keeps_nothing_alive(autojump_clock: MockClock, met: Rig) -> None:
    """Residence by uptime ends a bundle whose end the wall clock never reaches."""
    anna, box = met["anna"], met["box"]
    early = await anna.send(met["bruno"].scope, "an hour and a half", lifetime_s=5_400)
    late = await anna.send(met["bruno"].scope, "two days", lifetime_s=2 * 86_400)
    await met.carry("anna", "box")
    await box.node.housekeeping.look()
    box.machine.clock_ahead_ms -= 30 * DAY_MS
    for _ in range(3):
        await trio.sleep(CLOCK_MARK_MS / 1000)
        await box.node.housekeeping.look()
    held = [each.header.id for each in await box.held()]
    assert early.id not in held
    assert late.id in held
    bundle = bundle_of(await anna.held(), early.id)
    assert await box.take([bundle]) == [Reception.EXPIRED], "buried as over, not only hidden"


async def test_a_row_number_that_is_given_again_inherits_no_residence(
    autojump_clock: MockClock, met: Rig
) -> None:
    """Rows that came after a mark must not be taken for those whose numbers they got."""
    box = met["box"]
    await met["anna"].send(met["bruno"].scope, "first", lifetime_s=60)
    await met.carry("anna", "box")
    await box.node.housekeeping.look()
    ids = await box.ids()
    await box.store.write(lambda tx: rows.drop_many(tx, ids, Reception.EXPIRED))
    await trio.sleep(7_200)
    sent = await met["anna"].send(met["bruno"].scope, "second", lifetime_s=5_400)
    await met.carry("anna", "box", Kind.TEXT)
    box.machine.clock_ahead_ms -= 30 * DAY_MS
    await box.node.housekeeping.look()
    assert sent.id in [each.header.id for each in await box.held()]


@given(st.lists(st.tuples(st.integers(0, HOUR_MS), st.integers(-DAY_MS, 2 * DAY_MS)), max_size=40))
def test_strangers_stamps_move_our_clock_by_ten_minutes_in_all(
    heard: list[tuple[int, int]],
) -> None:
    stamp, now_ms = hlc.pack(T0, 0), T0
    for passed_ms, ahead_ms in heard:
        now_ms += passed_ms
        remote = hlc.pack(now_ms + min(ahead_ms, CLOCK_DRIFT_MS_MAX), 0)
        stamp = hlc.merge(stamp, remote, now_ms, CLOCK_DRIFT_MS_MAX)
        assert hlc.wall_ms(stamp) <= now_ms + CLOCK_DRIFT_MS_MAX


def test_trust_is_a_value() -> None:
    with pytest.raises(AttributeError):
        Trust(1, 2).is_doubted = True  # type: ignore[misc]
    assert replace(Trust(1, 2), is_doubted=True).is_doubted
