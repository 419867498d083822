"""A node that meets nobody hardly wakes and stays small: a virtual hour, and a real minute."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TypeVar

import pytest
import trio

from meshnode.links.memory import MemoryNetwork
from meshnode.node import NodeParts, Surroundings, open_node
from meshnode.store.engine import open_store
from protocol.identity import Role
from protocol.routing.gain import Gain
from sims.fleet import DevicePlan, make_fleet
from sims.network import address_of
from sims.runtime import START_MS, Machine, Tracer, seeded_entropy
from sims.sealer import StandInSealer
from tests.benchmarks.idle import measure
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


async def test_an_idle_node_wakes_seldom_in_an_hour(
    autojump_clock: trio.testing.MockClock,
) -> None:
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
        parts = NodeParts(device.identity, store, runtime, Gain(), bearer, device.desk(sealer))
        async with open_node(parts) as node, trio.open_nursery() as nursery:
            await nursery.start(node.run, Surroundings())
            await trio.sleep(60)
            wakes.calls = 0
            trio.lowlevel.add_instrument(wakes)
            await trio.sleep(3_600)
            trio.lowlevel.remove_instrument(wakes)
            nursery.cancel_scope.cancel()
    count = len(wakes.moments) + _PER_CALL * wakes.calls
    print(f"{len(wakes.moments)} moments, {wakes.calls} calls: {count} wake-ups in an hour")
    assert wakes.calls > 0
    assert count + _MULTICAST <= _WAKEUPS_PER_HOUR_MAX


@pytest.mark.slow
@pytest.mark.real
def test_an_idle_process_hardly_wakes_and_stays_small() -> None:
    require_namespaces()
    found = measure(_SECONDS)
    print(found)
    assert found["wakeups_per_hour"] <= _WAKEUPS_PER_HOUR_MAX, found
    assert 20 < found["resident_mib"] < _RESIDENT_MIB_MAX, found
