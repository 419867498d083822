"""A node that meets nobody hardly wakes and stays small: a virtual hour, and a real minute."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
import trio

from meshnode.api import Api
from meshnode.links.memory import MemoryNetwork
from meshnode.node import NodeParts, Surroundings, open_node
from meshnode.sensors.base import Sensor, SensorSink
from meshnode.sensors.readings import PositionReading, SensorKind
from meshnode.sensors.sysfs import SysfsBattery
from meshnode.store.engine import open_store
from meshnode.wakes import counting
from protocol.identity import Role
from protocol.routing.gain import Gain
from sims.fleet import DevicePlan, make_fleet
from sims.network import address_of
from sims.runtime import START_MS, Machine, Tracer, seeded_entropy
from sims.sealer import StandInSealer
from tests.benchmarks.idle import measure
from tests.patience import tried
from tests.real.netns import require_namespaces

_SECONDS = 45
_WAKEUPS_PER_HOUR_MAX = 120
_RESIDENT_MIB_MAX = 120
_MULTICAST = 12
"""Wake-ups per hour that are left for multicast discovery, which tidies up six times."""
_PER_CALL = 2
"""A call in a worker thread wakes that thread, and its end wakes ours."""

T = TypeVar("T")


class _Wakes(trio.abc.Instrument):
    """Counts moments at which any task runs, and calls that would be made in a thread."""

    def __init__(self) -> None:
        self.moments: set[float] = set()
        self.calls = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.moments.add(trio.current_time())

    async def run_counted(
        self, function: Callable[..., T], *args: object, limiter: trio.CapacityLimiter | None = None
    ) -> T:
        self.calls += 1
        await trio.lowlevel.checkpoint()
        return function(*args)


class _Still(Sensor):
    """A receiver at rest that is asked like the others."""

    name = "still"
    kinds = frozenset({SensorKind.POSITION})
    fresh_s = 180.0

    async def run(self, sink: SensorSink) -> None:
        while True:
            now_ms = sink.runtime.now_ms()
            sink.take(lambda at=now_ms: PositionReading(44.89, 6.64, 5.0, at, self.name))  # type: ignore[misc]
            await trio.sleep(sink.rest_s(60))


async def test_a_phone_in_its_shift_with_little_battery_wakes_seldom(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    level = tmp_path / "BAT0"
    level.mkdir()
    for name, text in (("type", "Battery"), ("status", "Discharging"), ("capacity", "12")):
        (level / name).write_text(text)
    found = await _hour([SysfsBattery("sysfs", 60, tmp_path), _Still()], in_shift=True)
    print(f"in a shift with 12 % battery, two sensors, nobody around: {found}")
    assert found["states_made"] >= 4
    assert found["moments"] <= _WAKEUPS_PER_HOUR_MAX
    counted = found["wakeups_timer"] + found["wakeups_other"]
    assert abs(counted - found["moments"]) <= 1


async def test_an_idle_node_wakes_seldom_in_an_hour(
    autojump_clock: trio.testing.MockClock,
) -> None:
    found = await _hour([], in_shift=False)
    count = found["moments"] + _PER_CALL * found["calls"]
    print(f"{found['moments']} moments, {found['calls']} calls: {count} wake-ups in an hour")
    assert found["calls"] > 0
    assert count + _MULTICAST <= _WAKEUPS_PER_HOUR_MAX
    assert abs(found["wakeups_timer"] - found["moments"]) <= 1


def _idle_s() -> float:
    """Return how long nothing is to do on the virtual clock, which never sleeps, but jumps."""
    found = trio.lowlevel.current_statistics()
    return 0.0 if found.tasks_runnable else found.seconds_to_next_deadline


async def _hour(sensors: Sequence[Sensor], *, in_shift: bool) -> dict[str, int]:
    """Return what a node alone does in a virtual hour, after its first minutes."""
    plan = DevicePlan("alone", Role.AGENT, ("Queyras",))
    fleet = make_fleet([plan], seeded_entropy(1, "authority"), START_MS)
    wakes = _Wakes()
    runtime = dataclasses.replace(
        Machine(1, "alone", Tracer()).runtime, run_blocking=wakes.run_counted
    )
    sealer = StandInSealer(runtime.entropy)
    async with open_store(None, runtime) as store:
        (device,) = fleet.devices
        await fleet.furnish(device, store, runtime, sealer)
        bearer = MemoryNetwork().bearer(address_of("alone"), b"alone")
        parts = NodeParts(
            device.identity,
            store,
            runtime,
            Gain(),
            bearer,
            device.desk(sealer),
            sensors=sensors,
        )
        async with open_node(parts) as node, trio.open_nursery() as nursery:
            await nursery.start(node.run, Surroundings(watches=(node.sensors.run,)))
            if in_shift:
                await Api(node).shift_open()
            await trio.sleep(600)
            wakes.calls, made = 0, node.metrics.value("states_made")
            trio.lowlevel.add_instrument(wakes)
            with counting(node.metrics, _idle_s):
                await trio.sleep(3_600)
            trio.lowlevel.remove_instrument(wakes)
            nursery.cancel_scope.cancel()
    return {
        "moments": len(wakes.moments),
        "calls": wakes.calls,
        "states_made": node.metrics.value("states_made") - made,
        "wakeups_timer": node.metrics.value("wakeups_timer"),
        "wakeups_other": node.metrics.value("wakeups_other"),
    }


@pytest.mark.slow
@pytest.mark.real
def test_an_idle_process_hardly_wakes_and_stays_small() -> None:
    require_namespaces()
    # One wake-up in a window counts as 80 an hour, and a page that a full machine took away, or a
    # late start of a thread, is one. A node that wakes by itself does so in every window.
    found = tried(
        lambda: measure(_SECONDS), lambda found: found["wakeups_per_hour"] <= _WAKEUPS_PER_HOUR_MAX
    )
    print(found)
    assert found["wakeups_per_hour"] <= _WAKEUPS_PER_HOUR_MAX, found
    assert 20 < found["resident_mib"] < _RESIDENT_MIB_MAX, found
