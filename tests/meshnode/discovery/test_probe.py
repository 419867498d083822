"""Which places are asked without a sighting, and how rarely."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from meshnode.discovery.addresses import AddressWatch, Surroundings
from meshnode.discovery.base import DEFAULT_PORT
from meshnode.discovery.probe import UnicastProbe
from meshnode.links.base import Address
from meshnode.links.contacts import Hint
from meshnode.metrics import Metrics
from protocol.limits import PROBE_EVERY_MS, PROBE_TRIES_MAX, PROBES_MAX
from tests.meshnode.discovery.parts import AWAY, HOME, Machine

BOX, BOAT = Address("10.0.0.200", 7777), Address("192.168.1.30", 40_001)
HOUR_S = PROBE_EVERY_MS / 1000


@pytest.fixture(autouse=True)
def _without_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_NETLINK", raising=False)


class Probing:
    """A probe at work, and what it has hinted at."""

    def __init__(self, machine: Machine, hints: trio.MemoryReceiveChannel[Hint]) -> None:
        self.machine = machine
        self.known: list[Address] = [BOAT]
        self._hints = hints

    async def taken(self) -> list[Hint]:
        """Return the hints since the last call."""
        await wait_all_tasks_blocked()
        found = []
        while self._hints.statistics().current_buffer_used:
            found.append(self._hints.receive_nowait())
        return found

    async def places(self) -> list[Address]:
        return [address for hint in await self.taken() for address in hint.addresses]


@asynccontextmanager
async def probing(seen: Surroundings = HOME) -> AsyncIterator[Probing]:
    machine = Machine(seen)
    watch = AddressWatch(machine.runtime)
    send, receive = trio.open_memory_channel[Hint](100)
    it = Probing(machine, receive)

    async def last_known() -> Sequence[Address]:
        return it.known

    probe = UnicastProbe(watch, machine.runtime, Metrics(), last_known, configured=[BOX])
    async with trio.open_nursery() as nursery:
        await nursery.start(probe.run, send)
        await nursery.start(watch.run)
        yield it
        nursery.cancel_scope.cancel()


async def test_asks_the_box_the_gateway_and_known_peers(autojump_clock: MockClock) -> None:
    async with probing() as it:
        hints = await it.taken()
    assert [hint.addresses for hint in hints] == [
        (BOX,),
        (Address("10.0.0.1", DEFAULT_PORT),),
        (BOAT,),
    ]
    assert len({hint.name for hint in hints}) == 3
    assert {hint.tries_max for hint in hints} == {PROBE_TRIES_MAX}


async def test_asks_again_when_the_machine_has_moved(autojump_clock: MockClock) -> None:
    async with probing() as it:
        await it.taken()
        it.machine.seen = AWAY
        it.known = []
        await trio.sleep(61)
        assert await it.places() == [BOX, Address("192.168.43.1", DEFAULT_PORT)]


async def test_asks_once_an_hour_when_nothing_changes(autojump_clock: MockClock) -> None:
    async with probing() as it:
        assert len(await it.taken()) == 3
        await trio.sleep(HOUR_S - 1)
        assert await it.taken() == []
        await trio.sleep(2)
        assert len(await it.taken()) == 3
        await trio.sleep(HOUR_S - 2)
        assert await it.taken() == []


async def test_with_no_address_and_nobody_known_it_is_silent(autojump_clock: MockClock) -> None:
    async with probing(Surroundings()) as it:
        assert await it.places() == [BOX, BOAT]


async def test_asks_a_bounded_number_and_nobody_twice(autojump_clock: MockClock) -> None:
    async with probing() as it:
        await it.taken()
        it.known = [BOX, *(Address(f"10.0.0.{number}", 7625) for number in range(2, 250))]
        await trio.sleep(HOUR_S)
        places = await it.places()
        assert len(places) == len(set(places)) == PROBES_MAX
        assert places[:3] == [BOX, Address("10.0.0.1", DEFAULT_PORT), Address("10.0.0.2", 7625)]
