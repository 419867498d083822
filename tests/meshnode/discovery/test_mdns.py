"""Multicast discovery with the real library, kept on the loopback; more in tests/real."""

from __future__ import annotations

import asyncio
import re
import socket
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
from meshnode.links.knocking import Knocks
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from protocol.knock import KnockKeys, announcement_tag
from tests.meshnode.discovery.parts import Machine
from tests.patience import HANGS_S

pytestmark = [pytest.mark.real, pytest.mark.slow]

LOOPBACK = Surroundings((LocalAddress("127.0.0.1", 8, 1),))
SERVICE = "_meshnode._tcp.local."
NUMBERS = count(1)


class Finder:
    """One node's discovery and what it hinted at."""

    def __init__(self, port: int, keys: KnockKeys | None = None) -> None:
        self.keys = keys or {}
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
            port,
            self.watch,
            self.runtime,
            self.metrics,
            only=["127.0.0.1"],
            knocks=Knocks(self.runtime, lambda: self.keys),
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
        with trio.fail_after(HANGS_S):
            while True:
                hint = await self._receive.receive()
                if hint.addresses[0].port == port:
                    return hint

    async def until(self, condition: Callable[[], bool]) -> None:
        with trio.fail_after(HANGS_S):
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


def key_of(week: int) -> bytes:
    return bytes([100 + week]) * 32


async def test_members_know_members_by_their_tags() -> None:
    here, member, outsider, stranger = (
        Finder(41_021, {0: [key_of(0)], 1: [key_of(1)]}),
        Finder(41_022, {0: [key_of(0)]}),
        Finder(41_023),
        Finder(41_024, {0: [key_of(9)]}),
    )
    async with here.running():
        await trio.sleep(0.3)
        async with outsider.running(), stranger.running(), member.running():
            seen = await here.hint(41_022)
            (address,) = seen.addresses
            assert address.instance == member.discovery.name
            await here.until(lambda: here.metrics.value("mdns_untagged") >= 2)
            # Whoever holds no key can judge no tag, and sees everybody.
            assert (await outsider.hint(41_021)).addresses
    assert here.metrics.value("hints") == 1
    assert here.metrics.value("mdns_ignored") == 0
    assert "mdns_untagged" in here.machine.traced


async def test_a_tag_is_for_its_name_and_port() -> None:
    finder = Finder(41_031, {0: [key_of(0)]})
    name = "000000000000aaba"
    tag = announcement_tag(key_of(0), name.encode(), 41_032)
    fakes = [
        info("000000000000aabb", "127.0.0.1", 41_032, tag),
        info("000000000000aabc", "127.0.0.1", 41_033, tag),
        info("000000000000aabd", "127.0.0.1", 41_034, tag[:7]),
        info("000000000000aabe", "127.0.0.1", 41_035, b""),
        info("000000000000aabf", "127.0.0.1", 0, tag),
    ]
    async with finder.running():
        await announce([*fakes, info(name, "127.0.0.1", 41_032, tag)])
        hint = await finder.hint(41_032)
        assert hint.name == f"mdns {name}"
        await finder.until(lambda: finder.metrics.value("mdns_untagged") >= len(fakes))
    assert finder.metrics.value("hints") == 1


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


def info(name: str, address: str, port: int, tag: bytes | None = None) -> AsyncServiceInfo:
    return AsyncServiceInfo(
        SERVICE,
        f"{name}.{SERVICE}",
        port=port,
        server=f"x{name[-4:]}.local.",
        addresses=[socket.inet_aton(address)],
        properties={} if tag is None else {b"t": tag},
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
