"""Real nodes in a simulated world: what they promise, and that one seed gives one trace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshnode.store.records import FINAL_STATES, LedgerEvent, MessageState
from protocol.identity import Role
from sims.checkers import check_world
from sims.fleet import DevicePlan
from sims.measures import measure
from sims.reading import load_scenario
from sims.record import WorldRecord
from sims.scenario import ClockStep, Contact, Crash, Scenario, ScenarioError, WrittenMessage
from sims.scenario_files import included_scenarios
from sims.world import Sealing, run_world
from tests.sims.plans import LARGE, random_scenario

FEW = settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""A world takes seconds; every example is one."""

_ALIKE = (
    "border_of_two_zones",
    "empty_battery",
    "lying_receiver",
    "one_uplink_for_eight",
    "port_call",
    "squad_board",
)

PAIR = (DevicePlan("a", Role.AGENT, ("Queyras",)), DevicePlan("b", Role.AGENT, ("Queyras",)))

SCENARIOS = [
    pytest.param(name, marks=pytest.mark.slow) if name != "two_nodes" else name
    for name in included_scenarios("real")
]


@cache
def ran(name: str, seed: int = 7) -> WorldRecord:
    """Run an included scenario once for all tests."""
    return run_world(load_scenario(name), seed)


def pair(**more: object) -> Scenario:
    """Return a scenario of two devices of one squad."""
    base = Scenario("pair", "Two devices.", 600.0, PAIR)
    return replace(base, **more)  # type: ignore[arg-type]


# --- the included scenarios --------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENARIOS)
def test_an_included_scenario_keeps_every_promise_and_delivers_everything(name: str) -> None:
    world = ran(name)
    assert check_world(world) == []
    figures = measure(world)
    if any(deed.what == "cancel" for deed in world.scenario.deeds):
        # Who had not got what was taken back never gets it.
        assert 0 < figures.copies_arrived < figures.copies_due
    else:
        # Sheets and tracks go without a message; their checkers judge them.
        assert figures.copies_arrived == figures.copies_due
        assert (figures.copies_due > 0) is bool(world.scenario.messages)
    assert figures.messages_sent == len(world.scenario.messages)
    if not figures.copies_due:
        assert figures.delay_median_s is figures.delay_p90_s is None
        return
    assert figures.delay_median_s is not None
    assert figures.delay_p90_s is not None
    assert 0 <= figures.delay_median_s <= figures.delay_p90_s <= world.end_ms / 1000


@pytest.mark.parametrize(
    "name", ["two_nodes", pytest.param("mountain_pass", marks=pytest.mark.slow)]
)
def test_one_seed_gives_one_trace_in_one_process(name: str) -> None:
    again = run_world(load_scenario(name), 7)
    assert again.lines == ran(name).lines
    assert again.digest == ran(name).digest


@pytest.mark.slow
def test_one_seed_gives_one_trace_in_any_process() -> None:
    code = (
        "import sys, json\n"
        "from sims.reading import load_scenario\n"
        "from sims.world import run_world\n"
        "print(json.dumps({n: run_world(load_scenario(n), 7).digest for n in sys.argv[1:]}))\n"
    )
    # Those that are left out have the parts of others, which are run.
    names = [name for name in included_scenarios("real") if name not in _ALIKE]
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    done = subprocess.run(
        [sys.executable, "-c", code, *names],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert json.loads(done.stdout) == {name: ran(name).digest for name in names}


def test_another_seed_gives_another_trace() -> None:
    assert ran("two_nodes", 8).digest != ran("two_nodes").digest


def test_every_event_changes_the_digest() -> None:
    world = ran("two_nodes")
    for place in range(len(world.lines)):
        fewer = world.lines[:place] + world.lines[place + 1 :]
        assert replace(world, lines=fewer).digest != world.digest


# --- faults ------------------------------------------------------------------------------------


def test_nothing_reaches_a_device_that_nobody_meets() -> None:
    message = WrittenMessage(1.0, "a", "b", "can anybody hear this")
    world = run_world(pair(messages=(message,)), 1)
    assert check_world(world) == []
    assert world.device(world.sent[0].sender).outgoing[0].message.state is MessageState.WAITING
    assert measure(world).copies_arrived == 0


def test_a_device_that_crashes_keeps_what_it_promised(tmp_path: Path) -> None:
    scenario = pair(
        messages=(WrittenMessage(5.0, "a", "squad:Queyras", "written before the crash"),),
        contacts=(Contact(200.0, 600.0, "a", "b"),),
        crashes=(Crash(5.001, "a", 60.0), Crash(250.0, "b", 30.0)),
    )
    world = run_world(scenario, 3, folder=tmp_path)
    assert check_world(world) == []
    assert measure(world).copies_arrived == 1
    assert world.device(world.sent[0].sender).outgoing[0].message.state is MessageState.DELIVERED
    events = [(line.node, line.event) for line in world.lines]
    assert events.count(("a", "power_cut")) == events.count(("a", "power_on")) == 1
    assert len(list(tmp_path.glob("*.sqlite"))) == 2


def test_a_device_in_a_lasting_contact_is_met_again_after_its_crash() -> None:
    scenario = pair(
        contacts=(Contact(10.0, 600.0, "a", "b"),),
        crashes=(Crash(100.0, "a", 50.0),),
        messages=(WrittenMessage(120.0, "a", "b", "written once it is on again"),),
    )
    world = run_world(scenario, 5)
    assert check_world(world) == []
    assert world.sent[0].at_ms >= 150_000
    assert measure(world).copies_arrived == 1


def test_a_contact_that_is_cut_again_and_again_delivers_in_the_end() -> None:
    texts = [
        WrittenMessage(1.0, "a", "squad:Queyras", f"page {n} " + "x" * 3000) for n in range(12)
    ]
    cuts = tuple(Contact(10.0 + 40 * n, 12.5 + 40 * n, "a", "b") for n in range(13))
    scenario = pair(messages=tuple(texts), contacts=cuts, rate_bytes_s=6_000.0, latency_s=0.05)
    world = run_world(scenario, 2)
    assert check_world(world) == []
    assert measure(world).copies_arrived == 12
    days = {line.at_ms // 40_000 for line in world.lines if line.event == "message_arrived"}
    assert len(days) > 1, "no contact was cut in the middle of the transfer"


def test_a_clock_that_jumps_loses_nothing() -> None:
    scenario = pair(
        clock_steps=(ClockStep(20.0, "a", 240.0), ClockStep(100.0, "b", -240.0)),
        contacts=(Contact(50.0, 600.0, "a", "b"),),
        messages=(
            WrittenMessage(60.0, "a", "squad:Queyras", "from a fast clock"),
            WrittenMessage(200.0, "b", "squad:Queyras", "from a slow clock"),
        ),
    )
    world = run_world(scenario, 1)
    assert check_world(world) == []
    assert measure(world).copies_arrived == 2
    assert {device.ending.clock_ahead_ms for device in world.devices} == {240_000, -240_000}


def test_a_clock_that_was_two_days_ahead_leaves_no_device_mute() -> None:
    two_days_s = 2 * 86_400.0
    scenario = pair(
        clock_steps=(ClockStep(20.0, "a", two_days_s), ClockStep(60.0, "a", -two_days_s)),
        contacts=(Contact(10.0, 600.0, "a", "b"),),
        messages=(
            WrittenMessage(40.0, "a", "b", "dated in two days"),
            WrittenMessage(100.0, "a", "b", "dated now"),
            WrittenMessage(110.0, "a", "squad:Queyras", "dated now, too"),
        ),
    )
    world = run_world(scenario, 1)
    assert check_world(world) == []
    (b,) = (device for device in world.devices if device.name == "b")
    assert [message.text for message in b.incoming] == ["dated now", "dated now, too"]


def test_the_sealer_of_the_field_does_the_same() -> None:
    world = run_world(load_scenario("two_nodes"), 7, sealing=Sealing.HPKE)
    assert check_world(world) == []
    assert measure(world).copies_arrived == measure(ran("two_nodes")).copies_arrived


def test_a_message_that_cannot_be_taken_is_told_and_not_sent() -> None:
    message = WrittenMessage(1.0, "a", "codt", "nobody is at the centre")
    world = run_world(pair(messages=(message,)), 1)
    assert world.sent == ()
    assert [dict(line.fields) for line in world.lines if line.event == "send_refused"] == [
        {"reason": "nobody"}
    ]


def test_a_world_that_cannot_be_is_refused() -> None:
    with pytest.raises(ScenarioError, match="does not meet itself"):
        run_world(pair(contacts=(Contact(1.0, 2.0, "a", "a"),)), 1)


# --- random worlds -----------------------------------------------------------------------------


@pytest.mark.slow
@FEW
@given(
    seed=st.integers(0, 2**32),
    crash_times=st.lists(st.floats(50, 18_000), max_size=5, unique=True),
)
def test_eight_nodes_keep_every_promise(seed: int, crash_times: list[float]) -> None:
    scenario = random_scenario(seed, crash_times=crash_times)
    assert check_world(run_world(scenario, seed)) == []


@pytest.mark.slow
@FEW
@given(seed=st.integers(0, 2**32))
def test_once_all_have_gathered_everything_is_there(seed: int) -> None:
    scenario = random_scenario(seed, is_gathering=True, written_until=0.85)
    world = run_world(scenario, seed)
    assert check_world(world) == []
    figures = measure(world)
    assert figures.copies_arrived == figures.copies_due
    assert figures.messages_sent > 0


@pytest.mark.slow
@FEW
@given(seed=st.integers(0, 2**32), lifetime_s=st.integers(60, 4_000))
def test_every_ledger_ends_in_exactly_one_of_delivered_expired_refused(
    seed: int, lifetime_s: int
) -> None:
    scenario = random_scenario(seed, lifetime_s=lifetime_s, written_until=0.6)
    world = run_world(scenario, seed)
    assert check_world(world) == []
    ends = {LedgerEvent.DELIVERED, LedgerEvent.EXPIRED, LedgerEvent.REFUSED}
    for device in world.devices:
        for story in device.outgoing:
            assert story.message.state in FINAL_STATES
            assert sum(line.event in ends for line in story.ledger) == 1
            assert story.message.state is not MessageState.REFUSED or story.message.reason


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(50))
def test_many_seeds_keep_every_promise(seed: int) -> None:
    assert check_world(run_world(random_scenario(seed, LARGE), seed)) == []
