"""The hub: priority, freshness, waking, and sensors that fail."""

from __future__ import annotations

import pytest
import trio
import trio.lowlevel
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from meshnode.errors import SensorError
from meshnode.metrics import Metrics
from meshnode.sensors.hub import SensorHub
from meshnode.sensors.readings import CoverageBearer, SensorKind
from tests.meshnode.sensors.stand import (
    FakeSensor,
    battery,
    coverage,
    position,
    running,
    virtual_runtime,
)


async def test_without_sensors_it_runs_and_has_nothing(autojump_clock: MockClock) -> None:
    hub = SensorHub([], virtual_runtime(), Metrics())
    await hub.run()
    assert (hub.position, hub.battery, hub.coverage) == (None, None, None)
    assert hub.reports() == []
    assert hub.age_s(SensorKind.POSITION) is None
    assert not hub.is_fresh(SensorKind.POSITION)


async def test_the_preferred_source_wins_while_it_is_fresh(autojump_clock: MockClock) -> None:
    first, second = FakeSensor("first", fresh_s=10), FakeSensor("second", fresh_s=10)
    async with running(first, second) as (hub, _):
        second.says(position(45.0))
        await trio.sleep(1)
        assert hub.position == position(45.0)
        first.says(position(44.0))
        await trio.sleep(1)
        second.says(position(45.001))
        await trio.sleep(1)
        assert hub.position == position(44.0)
        assert [each.is_chosen for each in hub.reports()] == [True, False]
        # The first falls silent; the second goes on.
        await trio.sleep(8.5)
        second.says(position(45.002))
        await trio.sleep(0.5)
        assert hub.position == position(45.002)
        # When none is fresh, the newest is shown, with its age.
        await trio.sleep(60)
        assert hub.position == position(45.002)
        assert not hub.is_fresh(SensorKind.POSITION)
        assert hub.age_s(SensorKind.POSITION) == pytest.approx(60.5)
        first.says(position(44.0))
        await trio.lowlevel.checkpoint()
        await trio.sleep(0.1)
        assert hub.position == position(44.0)


async def test_each_kind_has_its_own(autojump_clock: MockClock) -> None:
    where = FakeSensor("where")
    power = FakeSensor("power", SensorKind.BATTERY)
    net = FakeSensor("net", SensorKind.COVERAGE)
    async with running(where, power, net) as (hub, metrics):
        where.says(position())
        power.says(battery())
        net.says(coverage())
        await trio.sleep(1)
        assert (hub.position, hub.battery, hub.coverage) == (position(), battery(), coverage())
        assert metrics.value("sensor_readings") == 3
        assert [each.kind for each in hub.reports()] == list(SensorKind)


async def test_a_change_wakes_and_the_same_again_does_not(autojump_clock: MockClock) -> None:
    net = FakeSensor("net", SensorKind.COVERAGE)
    async with running(net) as (hub, _):
        seen = hub.generation(SensorKind.COVERAGE)
        with trio.move_on_after(5) as waiting:
            await hub.wait(SensorKind.COVERAGE, seen)
        assert waiting.cancelled_caught
        net.says(coverage(CoverageBearer.NONE))
        with trio.fail_after(1):
            seen = await hub.wait(SensorKind.COVERAGE, seen)
        net.says(coverage(CoverageBearer.NONE))
        await trio.sleep(1)
        assert hub.generation(SensorKind.COVERAGE) == seen
        assert hub.age_s(SensorKind.COVERAGE) == pytest.approx(1)
        net.says(coverage(CoverageBearer.FOUR_G))
        with trio.fail_after(1):
            await hub.wait(SensorKind.COVERAGE, seen)
        assert hub.generation(SensorKind.POSITION) == 0


async def test_a_sensor_that_fails_is_run_again_and_stops_no_other(
    autojump_clock: MockClock,
) -> None:
    broken, good = FakeSensor("broken"), FakeSensor("good")
    broken.error = SensorError("missing", "it is not there")
    async with running(broken, good) as (hub, metrics):
        good.says(position())
        await trio.sleep(30)
        assert hub.position == position()
        report = hub.reports()[0]
        assert not report.is_running
        assert str(report.trouble) == "it is not there"
        assert 4 <= broken.runs <= 8
        assert metrics.value("sensor_failures") == broken.runs
        broken.error = None
        broken.says(position(44.8))
        await trio.sleep(61)
        assert hub.reports()[0].is_running
        assert hub.reports()[0].trouble is None


async def test_an_error_that_nobody_thought_of_is_run_again_as_well(
    autojump_clock: MockClock,
) -> None:
    broken, good = FakeSensor("broken"), FakeSensor("good")
    broken.error = ValueError("a defect of a library")
    async with running(broken, good) as (hub, metrics):
        good.says(position())
        await trio.sleep(10)
        assert hub.position == position()
        assert metrics.value("rooms_restarted") == broken.runs > 1


async def test_what_is_refused_is_counted_and_keeps_the_old_reading(
    autojump_clock: MockClock,
) -> None:
    liar = FakeSensor("liar")
    async with running(liar) as (hub, metrics):
        liar.says(position(44.9))
        liar.builds(lambda: position(91))
        liar.builds(lambda: position(0, 0))
        liar.says(position(60))
        await trio.sleep(1)
        assert hub.position == position(44.9)
        report = hub.reports()[0]
        assert (report.accepted, report.refused) == (1, 3)
        assert metrics.value("sensor_refusals") == 3
        assert report.trouble is not None
        assert report.trouble.reason == "jump"


STEPS = st.lists(st.tuples(st.integers(0, 2), st.floats(0, 20)), max_size=30)


@given(STEPS)
def test_the_choice_is_that_of_the_slow_rule(steps: list[tuple[int, float]]) -> None:
    """Of the fresh ones the first, else the last that came: said again without any cleverness."""
    fresh_s = (5.0, 10.0, 15.0)

    async def play() -> None:
        sensors = [
            FakeSensor(str(number), SensorKind.BATTERY, each) for number, each in enumerate(fresh_s)
        ]
        hub = SensorHub(sensors, virtual_runtime(), Metrics())
        told: list[tuple[float, int]] = []
        for index, (number, pause_s) in enumerate(steps):
            hub._deliver(number, battery(index))
            told.append((trio.current_time(), number))
            await trio.sleep(pause_s)
            now_s = trio.current_time()
            newest = {source: (at_s, index) for index, (at_s, source) in enumerate(told)}
            fresh = [each for each in sorted(newest) if now_s - newest[each][0] <= fresh_s[each]]
            # Two that came at one moment are equally new; the preferred one counts.
            last = max(newest, key=lambda each: (newest[each][0], -each))
            assert hub.battery is not None
            assert hub.battery.level_pct == newest[fresh[0] if fresh else last][1]
            assert hub.is_fresh(SensorKind.BATTERY) is bool(fresh)

    trio.run(play, clock=MockClock(autojump_threshold=0))
