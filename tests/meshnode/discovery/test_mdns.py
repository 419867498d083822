"""Multicast discovery with the real library, kept on the loopback; more in tests/real."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count

import pytest
import trio
from zeroconf import Zeroconf
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from meshnode.discovery import mdns
from meshnode.discovery.addresses import AddressWatch, LocalAddress, Surroundings
from meshnode.discovery.mdns import MulticastDiscovery
from meshnode.links.base import Address
from meshnode.links.contacts import Hint
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from tests.meshnode.discovery.parts import Machine

pytestmark = [pytest.mark.real, pytest.mark.slow]

LOOPBACK = Surroundings((LocalAddress("127.0.0.1", 8, 1),))
SERVICE = "_meshnode._tcp.local."
NUMBERS = count(1)


class Finder:
    """One node's discovery and what it hinted at."""

    def __init__(self, port: int) -> None:
        self.machine = Machine(LOOPBACK)
        self.metrics = Metrics()
        number = next(NUMBERS)
        plain = self.machine.runtime
        # Distinct names in one process; the first wait after a failure is one second.
        self.runtime = Runtime(
            plain.now_ms,
            lambda size: number.to_bytes(size, "big"),
            plain.run_blocking,
            plain.trace,
        )
        self.watch = AddressWatch(self.runtime)
        self.discovery = MulticastDiscovery(
            port, self.watch, self.runtime, self.metrics, only=["127.0.0.1"]
        )
        self._send, self._receive = trio.open_memory_channel[Hint](10_000)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Finder]:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.watch.run)
            await nursery.start(self.discovery.run, self._send)
            yield self
            nursery.cancel_scope.cancel()

    async def hint(self, port: int) -> Hint:
        """Return the next hint of that port."""
        with trio.fail_after(15):
            while True:
                hint = await self._receive.receive()
                if hint.addresses[0].port == port:
                    return hint

    async def until(self, condition: Callable[[], bool]) -> None:
        with trio.fail_after(15):
            while not condition():  # noqa: ASYNC110  # Another thread makes it true.
                await trio.sleep(0.01)


async def test_two_find_each_other_under_names_that_tell_nothing() -> None:
    early, late = Finder(41_001), Finder(41_002)
    async with early.running():
        await trio.sleep(0.3)
        async with late.running():
            seen = await early.hint(41_002)
            assert seen.addresses == (Address("127.0.0.1", 41_002),)
            assert seen.name == f"mdns {late.discovery.name}"
            assert re.fullmatch("[0-9a-f]{16}", late.discovery.name)
            back = await late.hint(41_001)
            assert back.name == f"mdns {early.discovery.name}"
    assert early.metrics.value("mdns_failures") == late.metrics.value("mdns_failures") == 0


async def test_it_does_not_find_itself_and_ends_with_its_thread() -> None:
    finder = Finder(41_003)
    async with finder.running():
        await trio.sleep(1)
        assert finder.metrics.value("hints") == 0
        assert any(thread.name == "meshnode-mdns" for thread in threading.enumerate())
    await finder.until(
        lambda: all(thread.name != "meshnode-mdns" for thread in threading.enumerate())
    )


async def test_a_goodbye_changes_nothing() -> None:
    # Only a session tells who is there: a goodbye may be forged.
    stays, leaves = Finder(41_004), Finder(41_005)
    async with stays.running():
        async with leaves.running():
            await stays.hint(41_005)
        await trio.sleep(0.5)
        offered = stays.metrics.value("hints")
        hints = [stays._receive.receive_nowait() for _ in range(offered - 1)]
        assert all(hint.addresses for hint in hints)


async def announce(infos: list[AsyncServiceInfo]) -> None:
    """Say on the loopback what no node of ours says."""

    async def in_asyncio() -> None:
        async with AsyncZeroconf(interfaces=["127.0.0.1"]) as zeroconf:
            for info in infos:
                await zeroconf.async_register_service(
                    info, cooperating_responders=True, strict=False
                )
            await asyncio.sleep(0.7)

    await trio.to_thread.run_sync(asyncio.run, in_asyncio())


def info(name: str, address: str, port: int) -> AsyncServiceInfo:
    return AsyncServiceInfo(
        SERVICE, f"{name}.{SERVICE}", port=port, server=f"x{port}.local.", addresses=[address]
    )


async def test_announcements_that_are_not_ours_are_ignored() -> None:
    finder = Finder(41_006)
    fakes = [
        info("printer", "127.0.0.1", 41_011),
        info("ABCDEF0123456789", "127.0.0.1", 41_012),
        info("0123456789abcdef0", "127.0.0.1", 41_013),
        info("é" * 16, "127.0.0.1", 41_014),
        info("000000000000aaaa", "8.8.8.8", 41_015),
        info("000000000000aaab", "224.0.0.251", 41_016),
        info("000000000000aaac", "127.0.0.1", 0),
        info(finder.discovery.name, "127.0.0.1", 41_017),
    ]
    async with finder.running():
        await announce([*fakes, info("000000000000aaad", "127.0.0.1", 41_018)])
        hint = await finder.hint(41_018)
        assert hint.addresses == (Address("127.0.0.1", 41_018),)
        await finder.until(lambda: finder.metrics.value("mdns_ignored") >= 7)
    assert finder.metrics.value("hints") == 1


async def test_without_multicast_it_waits_for_a_better_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(**options: object) -> Zeroconf:
        raise PermissionError("multicast is not allowed")

    finder, peer = Finder(41_007), Finder(41_008)
    monkeypatch.setattr(mdns, "Zeroconf", refuse)
    async with finder.running():
        await finder.until(lambda: finder.metrics.value("mdns_failures") == 1)
        assert finder.machine.traced.count("mdns_failed") == 1
        await finder.until(lambda: finder.metrics.value("mdns_failures") == 2)
        monkeypatch.undo()
        async with peer.running():
            await peer.hint(41_007)


# --- what the library does behind its settings -----------------------------------------------


async def test_an_idle_library_has_no_timer() -> None:
    async def timers() -> list[float]:
        loop = asyncio.get_running_loop()
        async with AsyncZeroconf(interfaces=["127.0.0.1"]) as zeroconf:
            await zeroconf.zeroconf.async_wait_for_start()
            before = waits(loop)
            mdns._tidy(zeroconf.zeroconf)
            after = waits(loop)
            mdns._tidy(zeroconf.zeroconf)
            assert waits(loop) == after
        return [len(before), *after]

    def waits(loop: asyncio.AbstractEventLoop) -> list[float]:
        handles: list[asyncio.TimerHandle] = loop._scheduled  # type: ignore[attr-defined]
        return [handle.when() - loop.time() for handle in handles if not handle.cancelled()]

    found = await trio.to_thread.run_sync(asyncio.run, timers())
    assert found == [1], "zeroconf's own cleaning every ten seconds must be the only timer"
