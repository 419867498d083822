"""Receivers that lie and batteries that run empty, in worlds of real nodes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from meshnode.services.intervals import LOW_PCT, RESERVE_PCT
from sims.checkers import check_world
from sims.faults import parse_faults
from sims.instruments import BatteryPlan, SensorPlan
from sims.power import Battery
from sims.reading import load_scenario, read_scenario
from sims.record import WorldRecord
from sims.runtime import TraceLine
from sims.scenario import ScenarioError, check_scenario
from sims.sensor_checkers import no_lie_shown, old_values_marked
from sims.translation import region_of
from sims.writing import scenario_to_toml
from tests.sims.test_world import ran

LYING, EMPTY = load_scenario("lying_receiver"), load_scenario("empty_battery")


@pytest.fixture(scope="module")
def lying() -> WorldRecord:
    return ran(LYING.name)


@pytest.fixture(scope="module")
def empty() -> WorldRecord:
    return ran(EMPTY.name)


def told(world: WorldRecord, event: str, name: str) -> list[dict[str, object]]:
    """Return what lines of one event say of a device: its own, or of it on a board."""
    found = [each for each in world.lines if each.event == event]
    return [
        {"at_s": each.at_ms / 1000, **fields}
        for each in found
        for fields in [dict(each.fields)]
        if fields.get("of", each.node) == name
    ]


@pytest.mark.slow
def test_nobody_is_shown_where_they_are_not(lying: WorldRecord) -> None:
    assert check_world(lying) == []
    reasons = {
        name: Counter(each["reason"] for each in told(lying, "sensor_trouble", name))
        for name in ("anna", "bruno")
    }
    # Whatever the scenario breaks was noticed by the node, and said once.
    assert reasons["anna"].keys() == {"jump", "date", "silent"}
    assert reasons["bruno"].keys() == {"checksum", "silent", "no-fix", "gone", "battery level"}


@pytest.mark.slow
def test_an_old_value_stays_on_the_board_and_is_marked(lying: WorldRecord) -> None:
    (late,) = [
        e for e in told(lying, "board_seen", "anna") if 1_290 <= float(str(e["at_s"])) < 1_294
    ]
    assert late["position_stale"] is True
    assert int(str(late["position_ms"])) > 980_000
    after = [e for e in told(lying, "board_seen", "anna") if 1_350 < float(str(e["at_s"])) < 1_480]
    assert {each["position_stale"] for each in after} == {False}, "it is believed again"
    batteries = [each for each in told(lying, "board_seen", "bruno") if each["battery_stale"]]
    assert batteries, "a gauge without an answer grows old on the board too"


@pytest.mark.slow
def test_a_liar_would_be_found(lying: WorldRecord) -> None:
    def world(**changes: object) -> WorldRecord:
        lines = tuple(
            TraceLine(e.at_ms, e.node, e.event, tuple({**dict(e.fields), **changes}.items()))
            if e.event == "board_seen"
            else e
            for e in lying.lines
        )
        return replace(lying, lines=lines)

    assert {name for name, _ in no_lie_shown(world(off_m=501))} == {"leader"}
    assert {name for name, _ in old_values_marked(world(position_ms=1_000))} == {"leader"}
    assert {name for name, _ in old_values_marked(world(battery_stale=False))} == {"leader"}


@pytest.mark.slow
def test_a_phone_that_died_hands_over_what_it_has_and_nothing_twice(empty: WorldRecord) -> None:
    assert check_world(empty) == []
    (died,) = told(empty, "battery_empty", "bruno")
    back = [e for e in told(empty, "power_on", "bruno") if e["at_s"] > died["at_s"]]  # type: ignore[operator]
    assert back[0]["at_s"] == pytest.approx(2_600, abs=61), "as soon as the charger gave 5 %"
    got = {device.name: [each.text for each in device.incoming] for device in empty.devices}
    tracks = [text for text in got["leader"] if text.startswith("Tracks of two")]
    assert len(tracks) == len(set(tracks)) == 4
    assert "Please ask the refuge whether two arrived" in got["gateway"]
    assert got["bruno"].count("Where are you, Bruno?") == 1
    assert "I see the car" in got["leader"]
    dead = [e for e in told(empty, "board_seen", "bruno") if 1_800 < float(str(e["at_s"])) < 2_600]
    assert dead
    assert all(each["position_stale"] for each in dead)


@pytest.mark.slow
def test_the_emptier_a_battery_the_less_is_told(
    empty: WorldRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    minutes = [e for e in told(empty, "battery", "anna") if 300 <= float(str(e["at_s"])) < 5_000]
    per_h = {}
    for name, low, high in (
        ("good", LOW_PCT + 1, 101),
        ("low", RESERVE_PCT + 1, LOW_PCT - 1),
        ("reserve", 0, RESERVE_PCT - 1),
    ):
        found = [e for e in minutes if low <= int(str(e["level_pct"])) < high]
        assert len(found) >= 10, name
        per_h[name] = 60 * sum(int(str(each["told"])) for each in found) / len(found)
    with capsys.disabled():
        words = ", ".join(f"{name} {count:.0f}" for name, count in per_h.items())
        print(f"\npositions and states an agent who walks tells in an hour, by battery: {words}")
    assert per_h["good"] > 1.5 * per_h["low"] > 2 * per_h["reserve"] > 0


def test_a_battery_is_charged_while_it_is_off() -> None:
    battery = Battery(BatteryPlan("anna", 2.0, 12.0, 0.0, 3_600, 5_400, 30.0))
    battery.pass_time(600, 0, is_on=True)
    assert battery.level_pct == 0
    assert battery.starts_after_s() == 3_000 + 600, "5 % take ten minutes at 30 % an hour"
    battery.pass_time(4_200, 0, is_on=False)
    assert battery.level_pct == pytest.approx(5)
    battery.pass_time(9_000, 100, is_on=True)
    assert battery.level_pct == 0
    assert battery.starts_after_s() == float("inf")


@pytest.mark.parametrize(
    ("sensor", "battery"),
    [
        (SensorPlan(10, 20, "nobody", "silent"), None),
        (SensorPlan(20, 20, "anna", "silent"), None),
        (SensorPlan(10, 99_999, "anna", "silent"), None),
        (SensorPlan(10, 20, "anna", "perhaps"), None),
        (None, BatteryPlan("nobody")),
        (None, BatteryPlan("anna", level_pct=0)),
        (None, BatteryPlan("anna", drain_pct_h=-1)),
        (None, BatteryPlan("anna", told_pct=101)),
        (None, BatteryPlan("anna", charge_start_s=20, charge_end_s=10)),
        (None, BatteryPlan("bruno")),
    ],
    ids=str,
)
def test_odd_instruments_are_refused(
    sensor: SensorPlan | None, battery: BatteryPlan | None
) -> None:
    plain = replace(LYING, batteries=(BatteryPlan("bruno"),))
    check_scenario(plain)
    sensors = plain.sensors if sensor is None else (*plain.sensors, sensor)
    batteries = plain.batteries if battery is None else (*plain.batteries, battery)
    with pytest.raises(ScenarioError):
        check_scenario(replace(plain, sensors=sensors, batteries=batteries))


def test_they_are_written_and_read_again() -> None:
    for scenario in (LYING, EMPTY):
        text = scenario_to_toml(scenario)
        assert read_scenario(text.encode(), scenario.name) == scenario


def test_the_abstract_simulator_refuses_batteries() -> None:
    with pytest.raises(ScenarioError):
        region_of(replace(EMPTY, shifts=(), faults=parse_faults("")))
