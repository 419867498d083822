"""Shifts of real nodes in a world: how old a board is far away, and no place outside a shift."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from sims.checkers import check_world
from sims.duty_checkers import (
    no_coverage_before_the_end,
    no_place_outside_a_shift,
    nothing_kept_after_a_shift,
)
from sims.faults import parse_faults
from sims.reading import load_scenario
from sims.record import WorldRecord
from sims.runtime import START_MS
from sims.scenario import ScenarioError, ShiftPlan, check_scenario
from sims.store_checkers import databases_of
from sims.world import run_world

pytestmark = pytest.mark.slow

AGE_MS_MAX = 60_000
"""A board two hops away over a LAN with a tenth of all pieces lost is no older than this."""
ARRIVED_MS = 10_000
"""After a shift was opened, its first report is on its way for so long at most."""


@cache
def ran() -> WorldRecord:
    """Run the included scenario once."""
    return run_world(load_scenario("squad_board"), 7)


def ages(world: WorldRecord) -> list[tuple[int, int, int]]:
    """Return when somebody looked at the board, and how old place and battery were then."""
    return [
        (line.at_ms, int(str(fields["position_ms"])), int(str(fields["battery_ms"])))
        for line in world.lines
        if line.event == "board_seen"
        for fields in [dict(line.fields)]
    ]


def test_the_board_two_hops_away_is_at_most_a_minute_old(
    capsys: pytest.CaptureFixture[str],
) -> None:
    world = ran()
    starts_ms = [1000 * each.start_s for each in world.scenario.shifts]
    seen = [
        each
        for each in ages(world)
        if not any(0 <= each[0] - start_ms < ARRIVED_MS for start_ms in starts_ms)
    ]
    assert len(seen) > 700
    assert all(position >= 0 and battery >= 0 for _at, position, battery in seen)
    oldest = max(max(each[1:]) for each in seen)
    mean = sum(each[1] for each in seen) / len(seen)
    with capsys.disabled():
        print(
            f"\nboard two hops away, 10 % loss: {oldest / 1000:.1f} s old at most, "
            f"{mean / 1000:.1f} s on average, {len(seen)} looks"
        )
    assert oldest <= AGE_MS_MAX


def test_the_scenario_keeps_every_promise() -> None:
    world = ran()
    assert check_world(world) == []
    assert [line.event for line in world.lines].count("shift_closed") == 2


def test_what_a_shift_met_comes_to_the_squad_and_to_the_centre_when_it_is_over() -> None:
    """Of the first shift, a walk; the second drives through at 14 m/s, which nobody is told."""
    world = ran()
    kept = {
        device.name: database.execute("SELECT count(*) FROM coverage").fetchone()[0]
        for device, database in databases_of(world)
    }
    assert kept == {"anna": 1, "leader": 1, "gateway": 1, "box": 0}


def test_coverage_that_was_told_too_early_would_be_found() -> None:
    """Had the shifts been open for longer, what was told after them was told in them."""
    world = ran()
    lines = tuple(each for each in world.lines if each.event != "shift_closed")
    found = {name for name, _sentence in no_coverage_before_the_end(replace(world, lines=lines))}
    assert {"anna", "box", "leader"} <= found


def test_it_keeps_them_under_faults_too() -> None:
    faults = parse_faults("crashes=2,torn_writes=1,partitions=2,loss=0.1,jitter_s=0.3")
    scenario = replace(load_scenario("squad_board"), faults=faults)
    world = run_world(scenario, 1)
    assert check_world(world) == []
    assert any(line.event == "power_cut" for line in world.lines)
    assert len(ages(world)) > 100


def test_a_place_outside_a_shift_would_be_found() -> None:
    """Without the lines that tell of shifts every place is one too many."""
    world = ran()
    lines = tuple(each for each in world.lines if each.event != "shift_opened")
    found = {name for name, _sentence in no_place_outside_a_shift(replace(world, lines=lines))}
    assert {"box", "gateway"} <= found


def test_what_is_kept_after_a_shift_would_be_found() -> None:
    """Were the shift over before, all that the author had in it would be too much."""
    scenario = replace(load_scenario("squad_board"), duration_s=900.0, contacts=(), messages=())
    shift = replace(scenario.shifts[0], end_s=900.0, seen_by=())
    scenario = replace(scenario, shifts=(shift,))
    world = run_world(scenario, 7)
    lines = tuple(each for each in world.lines if each.event != "shift_closed")
    early = {"closed_ms": START_MS + 200_000}
    opened = next(each for each in lines if each.event == "shift_opened")
    closed = replace(opened, event="shift_closed", fields=tuple(early.items()))
    changed = replace(world, lines=(*lines, closed))
    sentences = [sentence for _name, sentence in nothing_kept_after_a_shift(changed)]
    assert len(sentences) == 5, sentences


@pytest.mark.parametrize(
    "shift",
    [
        ShiftPlan(10, 10, "anna"),
        ShiftPlan(10, 43_211, "anna"),
        ShiftPlan(10, 20, "nobody"),
        ShiftPlan(10, 20, "anna", seen_by=("nobody",)),
        ShiftPlan(10, 20, "gateway"),
        ShiftPlan(10, 20, "anna", speed_m_s=-1),
        ShiftPlan(3_000, 3_900, "anna"),
    ],
    ids=str,
)
def test_odd_shifts_are_refused(shift: ShiftPlan) -> None:
    scenario = replace(load_scenario("squad_board"), duration_s=90_000.0)
    with pytest.raises(ScenarioError):
        check_scenario(replace(scenario, shifts=(*scenario.shifts, shift)))


def test_the_track_of_each_day_at_sea_comes_to_port() -> None:
    """The first is two days old then; neither the crew nor the boat has opened one."""
    world = run_world(load_scenario("tracks_from_sea"), 3)
    assert check_world(world) == []
    days: dict[str, list[int]] = {}
    for device, database in databases_of(world):
        found = database.execute("SELECT first_ms FROM track ORDER BY first_ms")
        days[device.name] = sorted({(at_ms - START_MS) // 86_400_000 for (at_ms,) in found})
        (points,) = database.execute("SELECT count(*) FROM track_point").fetchone()
        assert points == 0, device.name
    assert days.pop("gateway") == [0, 1, 2]
    assert set(map(tuple, days.values())) == {()}
    assert [line.event for line in world.lines].count("power_cut") == 3
