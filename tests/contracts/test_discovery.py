"""What every way of finding peers must do: start, never wait for the receiver, end when told."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import trio

from meshnode.discovery.addresses import AddressWatch
from meshnode.discovery.base import Discovery
from meshnode.discovery.mdns import MulticastDiscovery
from meshnode.discovery.probe import UnicastProbe
from meshnode.links.base import Address
from meshnode.links.contacts import Hint
from meshnode.metrics import Metrics
from meshnode.runtime import system_runtime
from tests.patience import HANGS_S

pytestmark = [pytest.mark.real, pytest.mark.slow]

Make = Callable[[AddressWatch, Metrics], Discovery]


def multicast(watch: AddressWatch, metrics: Metrics) -> Discovery:
    return MulticastDiscovery(42_001, watch, system_runtime(), metrics, only=["127.0.0.1"])


def probe(watch: AddressWatch, metrics: Metrics) -> Discovery:
    async def last_known() -> Sequence[Address]:
        return [Address("127.0.0.1", 42_003), Address("127.0.0.1", 42_004)]

    return UnicastProbe(watch, system_runtime(), metrics, last_known)


@pytest.fixture(params=[multicast, probe])
def make(request: pytest.FixtureRequest) -> Make:
    found: Make = request.param
    return found


async def test_starts_before_anything_is_known_and_ends_when_cancelled(make: Make) -> None:
    send, receive = trio.open_memory_channel[Hint](10)
    with trio.fail_after(HANGS_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(make(AddressWatch(system_runtime()), Metrics()).run, send)
            assert receive.statistics().current_buffer_used == 0
            nursery.cancel_scope.cancel()


async def test_finds_a_place_and_says_where_it_is(make: Make) -> None:
    send, receive = trio.open_memory_channel[Hint](100)
    watch, metrics = AddressWatch(system_runtime()), Metrics()
    other = MulticastDiscovery(42_002, watch, system_runtime(), Metrics(), only=["127.0.0.1"])
    nowhere, _ = trio.open_memory_channel[Hint](1)
    with trio.fail_after(HANGS_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(watch.run)
            await nursery.start(other.run, nowhere)
            await nursery.start(make(watch, metrics).run, send)
            hint = await receive.receive()
            nursery.cancel_scope.cancel()
    assert hint.name
    assert hint.addresses
    assert all(1 <= address.port <= 65_535 for address in hint.addresses)
    assert metrics.value("hints") >= 1


async def test_a_receiver_that_is_full_or_gone_costs_hints_and_nothing_else(make: Make) -> None:
    send, receive = trio.open_memory_channel[Hint](0)
    watch, metrics = AddressWatch(system_runtime()), Metrics()
    other = MulticastDiscovery(42_005, watch, system_runtime(), Metrics(), only=["127.0.0.1"])
    nowhere, _ = trio.open_memory_channel[Hint](1)
    with trio.fail_after(HANGS_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(watch.run)
            await nursery.start(make(watch, metrics).run, send)
            receive.close()
            await nursery.start(other.run, nowhere)
            while not metrics.value("hints_dropped"):  # noqa: ASYNC110  # A thread counts.
                await trio.sleep(0.05)
            assert metrics.value("hints") == 0
            nursery.cancel_scope.cancel()
