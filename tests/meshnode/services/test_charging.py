"""The charge planner: never worse than the best of all plans, and never one that cannot be."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshnode.errors import ChargeError
from meshnode.services.charging import (
    BUDGET_MWH_MAX,
    DEVICES_MAX,
    HORIZON_MIN,
    SOCKET_MW_MAX,
    SOCKETS_MAX,
    ChargePlan,
    Supply,
    Thirsty,
    Turn,
    plan_charging,
)
from tests.reference.charging import best_times, missed, times_of

CAR = Supply(budget_mwh=200_000, sockets=2, socket_mw=15_000)
PHONE = Thirsty(level_mwh=8_500, capacity_mwh=17_000, drain_mw=1_000)


@st.composite
def supplies(draw: st.DrawFn) -> Supply:
    """Vehicles whose plans are few enough to be tried one by one."""
    sockets = draw(st.integers(1, 3))
    socket_mw = draw(st.sampled_from((6_000, 15_000, 30_000)))
    turns = draw(st.integers(1, 5))
    return Supply(
        budget_mwh=draw(st.integers(0, turns)) * socket_mw // 2 + draw(st.integers(1, socket_mw)),
        sockets=sockets,
        socket_mw=socket_mw,
        efficiency_pct=draw(st.sampled_from((50, 80, 100))),
        turn_min=30,
        horizon_min=30 * turns,
    )


@st.composite
def thirsty(draw: st.DrawFn) -> Thirsty:
    """Devices that are empty soon, or nearly full, or use more than a socket gives."""
    capacity_mwh = draw(st.sampled_from((2_000, 6_000, 17_000)))
    return Thirsty(
        level_mwh=min(capacity_mwh, 500 * draw(st.integers(0, 34))),
        capacity_mwh=capacity_mwh,
        drain_mw=draw(st.sampled_from((0, 1_000, 2_500, 4_000, 8_000, 20_000))),
        rank=draw(st.integers(0, 2)),
    )


@given(supplies(), st.lists(thirsty(), max_size=8))
@example(replace(CAR, horizon_min=100, budget_mwh=20_000), [PHONE] * 8)
def test_no_plan_is_better(supply: Supply, devices: list[Thirsty]) -> None:
    plan = plan_charging(supply, devices)
    judged = missed(supply, devices, plan.empty_min)
    assert judged == best_times(supply, devices)
    assert judged == times_of(supply, devices, plan.turns), "it can be followed"
    assert plan.spent_mwh <= supply.budget_mwh
    given_min = sum(each.end_min - each.start_min for each in plan.turns)
    assert plan.spent_mwh == Fraction(supply.socket_mw * given_min, 60)


@given(supplies(), st.lists(thirsty(), max_size=8))
def test_charging_takes_nothing_from_anybody(supply: Supply, devices: list[Thirsty]) -> None:
    plan = plan_charging(supply, devices)
    for with_plan, without in zip(plan.empty_min, plan.uncharged_min, strict=True):
        assert with_plan is None or (without is not None and with_plan >= without)


def test_who_is_empty_first_is_charged_first() -> None:
    late, soon = replace(PHONE, level_mwh=12_000), replace(PHONE, level_mwh=3_000)
    plan = plan_charging(replace(CAR, sockets=1, budget_mwh=10_000), [late, soon])
    # Two turns of 20 minutes: 5 Wh each of the vehicle, 4 Wh in the phone.
    assert plan.turns == (Turn(1, 0, 40),)
    assert plan.uncharged_min == (Fraction(720), Fraction(180))
    assert plan.empty_min == (Fraction(720), Fraction(660))
    assert plan.spent_mwh == 10_000


def test_what_ties_goes_to_a_leader_then_an_uplink_then_the_least_charged() -> None:
    one = replace(CAR, sockets=1, budget_mwh=5_000)
    leader, uplink = replace(PHONE, rank=0), replace(PHONE, rank=1)
    assert plan_charging(one, [PHONE, uplink, leader]).turns == (Turn(2, 0, 20),)
    assert plan_charging(one, [PHONE, uplink]).turns == (Turn(1, 0, 20),)
    half_as_full = replace(PHONE, capacity_mwh=34_000)
    assert plan_charging(one, [PHONE, half_as_full]).turns == (Turn(1, 0, 20),)


def test_an_empty_device_is_charged_at_once_and_a_full_one_only_when_it_has_room() -> None:
    empty, full = replace(PHONE, level_mwh=0), replace(PHONE, level_mwh=17_000)
    plan = plan_charging(CAR, [full, empty])
    assert plan.turns[0].device == 1
    assert plan.turns[0].start_min == 0
    first = next(each for each in plan.turns if each.device == 0)
    # 4 Wh must fit in, of which a third of one is used meanwhile.
    assert first.start_min >= 220


def test_what_makes_nobody_last_longer_is_not_spent() -> None:
    plan = plan_charging(replace(CAR, budget_mwh=BUDGET_MWH_MAX), [PHONE, replace(PHONE, rank=0)])
    assert plan.empty_min == (None, None)
    # Two phones of 1 W use 96 Wh in two days; they begin with 17 of them, in turns of 4 Wh.
    assert plan.spent_mwh == 2 * 10 * 5_000
    none = plan_charging(CAR, [replace(PHONE, drain_mw=0)])
    assert none == ChargePlan((), (None,), (None,), Fraction(0))
    assert plan_charging(CAR, []).turns == ()


def test_the_largest_vehicle_and_squad_have_a_plan() -> None:
    supply = Supply(BUDGET_MWH_MAX, SOCKETS_MAX, 15_000, turn_min=10)
    devices = [
        replace(PHONE, level_mwh=500 * n, drain_mw=2_000 + 50 * n) for n in range(DEVICES_MAX)
    ]
    plan = plan_charging(supply, devices)
    assert sum(each.end_min - each.start_min for each in plan.turns) <= SOCKETS_MAX * HORIZON_MIN


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"sockets": 0}, "sockets"),
        ({"sockets": SOCKETS_MAX + 1}, "sockets"),
        ({"budget_mwh": 0}, "budget"),
        ({"budget_mwh": BUDGET_MWH_MAX + 1}, "budget"),
        ({"socket_mw": -1}, "socket"),
        ({"socket_mw": SOCKET_MW_MAX + 1}, "socket"),
        ({"efficiency_pct": 0}, "percent"),
        ({"efficiency_pct": 101}, "percent"),
        ({"turn_min": 9}, "turn"),
        ({"turn_min": 121}, "turn"),
        ({"horizon_min": HORIZON_MIN + 1}, "hours"),
    ],
)
def test_a_vehicle_that_cannot_be_is_refused(change: dict[str, int], word: str) -> None:
    with pytest.raises(ChargeError, match=word):
        plan_charging(replace(CAR, **change), [PHONE])


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"capacity_mwh": 0}, "holds"),
        ({"capacity_mwh": 10_000_001}, "holds"),
        ({"level_mwh": -1}, "between"),
        ({"level_mwh": 17_001}, "between"),
        ({"drain_mw": -1}, "uses"),
        ({"drain_mw": 1_000_001}, "uses"),
    ],
)
def test_a_device_that_cannot_be_is_refused(change: dict[str, int], word: str) -> None:
    with pytest.raises(ChargeError, match=word):
        plan_charging(CAR, [PHONE, replace(PHONE, **change)])


def test_more_devices_than_share_a_vehicle_are_refused() -> None:
    plan_charging(CAR, [PHONE] * DEVICES_MAX)
    with pytest.raises(ChargeError, match="32"):
        plan_charging(CAR, [PHONE] * (DEVICES_MAX + 1))
