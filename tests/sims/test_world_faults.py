"""Every kind of fault in a world of real nodes: that it happens, and that every promise holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from meshnode.store.records import MessageState
from protocol.identity import Role
from sims.chaos import random_scenario
from sims.checkers import check_world
from sims.fault_plan import Behaviour, FaultPlan, Hostile, Partition, StepCrash
from sims.faults import Faults
from sims.fleet import DevicePlan
from sims.measures import measure
from sims.record import WorldRecord
from sims.runtime import START_MS
from sims.scenario import Contact, Scenario, WrittenMessage
from sims.scheduler import run_seeded
from sims.world import Links, Sealing, World, run_world

SQUAD = ("Queyras",)
TRIO = tuple(DevicePlan(name, Role.AGENT, SQUAD) for name in ("a", "b", "c"))
MET = (Contact(10.0, 900.0, "a", "b"), Contact(15.0, 900.0, "b", "c"))
SAID = tuple(
    WrittenMessage(20.0 + 30 * number, name, "squad:Queyras", f"{name} says {number}")
    for number, name in enumerate(("a", "b", "c", "a", "b", "c"))
)
pytestmark = pytest.mark.slow
THREE = Scenario("three", "Three in a row.", 900.0, TRIO, MET, SAID)


def events(world: WorldRecord) -> Counter[str]:
    """Return how often what was traced."""
    return Counter(line.event for line in world.lines)


def run_planned(plan: FaultPlan, folder: Path, scenario: Scenario = THREE) -> WorldRecord:
    """Run a scenario under a plan that was not drawn."""
    world = World(scenario, 3, (Sealing.STAND_IN, Links.PLAIN), folder)
    world.plan = plan
    return run_seeded(world.run, 3)


def is_sound(world: WorldRecord, copies: int = 12) -> None:
    """Assert that every promise was kept, and so many copies arrived."""
    assert check_world(world) == []
    assert measure(world).copies_arrived == copies


# --- power -------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144])
def test_a_crash_at_any_await_loses_nothing(steps: int, tmp_path: Path) -> None:
    crashes = [StepCrash(49.9, "b", steps, 10.0), StepCrash(109.9, "a", steps, 10.0)]
    world = run_planned(FaultPlan(tuple(crashes)), tmp_path)
    assert events(world)["power_cut"] == 2
    is_sound(world)


@pytest.mark.parametrize("commits", range(1, 9))
def test_a_torn_commit_loses_nothing(commits: int, tmp_path: Path) -> None:
    crashes = [StepCrash(10.0, name, commits, 10.0, is_torn=True) for name in ("a", "b")]
    world = run_planned(FaultPlan(tuple(crashes)), tmp_path)
    assert events(world)["torn_write"] == events(world)["power_cut"] == 2
    is_sound(world)


def test_two_crashes_at_once_are_one(tmp_path: Path) -> None:
    crashes = (StepCrash(20.0, "b", 1, 10.0), StepCrash(20.0, "b", 1, 60.0))
    world = run_planned(FaultPlan(crashes), tmp_path)
    assert events(world)["power_cut"] == 1
    is_sound(world)


def test_a_lost_device_is_gone_and_what_it_had_handed_over_arrives() -> None:
    scenario = replace(
        THREE,
        contacts=(Contact(10.0, 100.0, "a", "b"), Contact(500.0, 900.0, "b", "c")),
        messages=(
            WrittenMessage(20.0, "a", "squad:Queyras", "handed to b"),
            WrittenMessage(200.0, "a", "squad:Queyras", "handed to nobody"),
        ),
        faults=Faults(lost_devices=3),
    )
    world = run_world(scenario, 1)
    assert events(world)["lost"] == 2
    assert check_world(world) == []
    lost = [device.name for device in world.devices if device.ending.is_lost]
    assert lost == ["b", "c"], "the first device is never lost"


# --- disks, clocks and links -------------------------------------------------------------------


def test_a_full_disk_refuses_and_loses_nothing_that_it_took() -> None:
    more = tuple(
        WrittenMessage(300.0 + n, "b", "squad:Queyras", f"page {n} " + "x" * 9_000)
        for n in range(40)
    )
    scenario = replace(THREE, messages=(*SAID, *more), faults=Faults(full_disks=6))
    world = run_world(scenario, 4)
    assert events(world)["disk_full"] == events(world)["disk_has_room"] == 6
    assert check_world(world) == []
    refused = [dict(line.fields)["reason"] for line in world.lines if line.event == "send_refused"]
    assert set(refused) == {"StoreFullError"}, "nothing was refused, so no disk was full"
    assert len(world.sent) == len(scenario.messages) - len(refused)


def test_clocks_drift_and_jump() -> None:
    world = run_world(replace(THREE, faults=Faults(clock_jumps=3, drift_ppm=1_000.0)), 2)
    assert events(world)["clock_stepped"] == 3
    aheads = {device.ending.clock_ahead_ms for device in world.devices}
    assert len(aheads) == 3
    for device in world.devices:
        shown_ms = device.ending.now_ms - device.ending.clock_ahead_ms - START_MS
        assert world.end_ms <= shown_ms < world.end_ms + 10_000
    is_sound(world)


def test_who_is_not_heard_is_heard_later(tmp_path: Path) -> None:
    parts = (
        Partition(15.0, 300.0, "b", "a", is_dial_only=False),
        Partition(15.0, 300.0, "c", "b", is_dial_only=False),
    )
    world = run_planned(FaultPlan(partitions=parts), tmp_path)
    assert events(world)["partition_began"] == events(world)["partition_ended"] == 2
    arrivals = [line for line in world.lines if line.event == "message_arrived"]
    assert not [line for line in arrivals if line.node == "a" and line.at_ms < 300_000]
    is_sound(world)


def test_who_may_not_dial_is_dialled(tmp_path: Path) -> None:
    parts = (Partition(0.0, 900.0, "a", "b", is_dial_only=True),)
    world = run_planned(FaultPlan(partitions=parts), tmp_path)
    assert check_world(world) == []


@pytest.mark.parametrize(
    "faults",
    [
        Faults(loss=0.2, jitter_s=1.0),
        Faults(corruption=0.02),
        Faults(slow_links=0.5, mtu_bytes=128),
    ],
)
def test_bad_links_lose_nothing(faults: Faults) -> None:
    calm = (Contact(3_300.0, 3_600.0, "a", "b"), Contact(3_300.0, 3_600.0, "b", "c"))
    scenario = replace(
        THREE, duration_s=3_600.0, contacts=(*MET, *calm), faults=faults, rate_bytes_s=50_000.0
    )
    is_sound(run_world(scenario, 5))


# --- hostile devices ---------------------------------------------------------------------------


def _ends(world: WorldRecord, words: str) -> bool:
    """True if a session ended for a reason with these words."""
    reasons = [str(dict(line.fields).get("reason")) for line in world.lines]
    return any(words in each for each in reasons)


ACTED: dict[Behaviour, Callable[[WorldRecord], bool]] = {
    Behaviour.REPLAY: lambda world: _ends(world, "an ACK names bundles that were not sent"),
    Behaviour.FORGE: lambda world: world.devices[0].sizes["evidence"] > 0,
    Behaviour.HOARD: lambda world: all(
        each.id.author == world.devices[1].node for each in world.devices[1].held.values()
    ),
    Behaviour.GARBAGE: lambda world: _ends(world, "frame") or _ends(world, "bytes"),
    Behaviour.FLOOD: lambda world: len(world.devices[1].outgoing) > 20,
}
"""How it shows that a device was hostile."""


@pytest.mark.parametrize("behaviour", Behaviour)
def test_a_hostile_device_between_two_honest_ones_breaks_no_promise(
    behaviour: Behaviour, tmp_path: Path
) -> None:
    """What arrives through it or past it is what was written, once, and nothing else."""
    lives_s = 3_600.0
    met = (*MET, Contact(400.0, lives_s, "a", "c"))
    centre = DevicePlan("centre", Role.GATEWAY)
    scenario = replace(THREE, duration_s=lives_s, contacts=met, devices=(*TRIO, centre))
    world = run_planned(FaultPlan(hostile=(Hostile("b", behaviour),)), tmp_path, scenario)
    assert check_world(world) == []
    assert ACTED[behaviour](world), "it did nothing hostile"
    honest = [each for each in world.devices if each.name in ("a", "c")]
    for device, other in (honest, reversed(honest)):
        texts = {message.text for message in device.incoming}
        assert {story.message.text for story in other.outgoing} <= texts
        states = {story.message.state for story in device.outgoing}
        assert states <= {MessageState.DELIVERED, MessageState.CARRIED}


# --- one seed, one trace -----------------------------------------------------------------------

DIGEST = """
import json, sys
from sims.chaos import random_scenario
from sims.world import run_world
print(json.dumps([run_world(random_scenario(seed, 5, 1.0), seed).digest for seed in (1, 2)]))
"""


@cache
def digests() -> list[str]:
    """Return the digests of two hours full of faults, run in this process."""
    return [run_world(random_scenario(seed, 5, 1.0), seed).digest for seed in (1, 2)]


@pytest.mark.parametrize("hash_seed", ["1", "4711"])
def test_faults_repeat_in_every_process(hash_seed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DIGEST],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert json.loads(done.stdout) == digests()
