"""Multicast DNS (RFC 6762, 6763): announces that a node runs here, and sees others' announcements.

The only file that knows zeroconf. zeroconf keeps its own thread and asyncio loop; what it sees
crosses into trio through a bounded queue. An announcement tells addresses and a port under a
random name that lives as long as this start; it never tells who the node is. A tag under the knock
key of the week lets members know members; what carries no such tag is ignored where the node holds
knock keys. Nothing here says that a peer is gone: a forged goodbye would be believed, and a killed
peer sends none. Source: DESIGN D5, ecosystem 3.3, security 2.3, wire-format 6.14.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

import trio
from zeroconf import IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from meshnode.discovery.addresses import AddressWatch, Surroundings
from meshnode.discovery.base import Discovery, HintSink
from meshnode.links.base import Address
from meshnode.links.contacts import Backoff, Hint
from meshnode.links.knocking import Knocks
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from protocol.errors import MalformedError
from protocol.knock import announcement_tag, is_tagged_untrusted, keys_to_dial
from protocol.limits import (
    ADDRESSES_PER_CONTACT_MAX,
    HINTS_WAITING_MAX,
    MDNS_ADDRESSES_MAX,
    MDNS_CLOSE_MS_MAX,
    MDNS_LOOKUP_MS_MAX,
    MDNS_LOOKUPS_MAX,
    MDNS_START_MS_MAX,
    MDNS_TIDY_MS,
)

__all__ = ["MulticastDiscovery", "Sighting"]

_SERVICE: Final = "_meshnode._tcp.local."
_NAME: Final = re.compile(r"[0-9a-f]{16}")
"""What our own names look like; other names are nobody's we know, or an attack on a screen."""
_TAG: Final = b"t"
"""Key of the tag among the properties of an announcement (TXT record)."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One announcement as it was heard."""

    name: str
    """Sixteen hexadecimal digits, chosen anew by its node at each start."""
    hosts: tuple[str, ...]
    """IP addresses, the newest first; link-local IPv6 ones with zone."""
    port: int
    """TCP port."""
    tag: bytes = b""
    """What should show that a member made it; empty where there was none."""


class MulticastDiscovery(Discovery):
    """Announces `port` and browses; starts again by itself when the network lets it."""

    def __init__(
        self,
        port: int,
        watch: AddressWatch,
        runtime: Runtime,
        metrics: Metrics,
        *,
        only: Sequence[str] = (),
        knocks: Knocks | None = None,
    ) -> None:
        """`only` names own IP addresses to announce, and to announce on; all if it is empty."""
        self._knocks = knocks or Knocks(runtime)
        self._only = tuple(only)
        self._port = port
        self._watch = watch
        self._runtime = runtime
        self._metrics = metrics
        self.name = self._knocks.instance

    async def run(
        self,
        hints: trio.MemorySendChannel[Hint],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """See `Discovery.run`."""
        sink = HintSink(hints, self._metrics)
        backoff = Backoff(self._runtime.entropy)
        task_status.started()
        seen = await self._watch.wait(0)
        while True:
            seen, reason = await self._until_broken(sink, backoff)
            self._metrics.count("mdns_failures")
            self._runtime.trace("mdns_failed", reason=reason)
            with trio.move_on_after(backoff.next_s()):
                await self._watch.wait(seen)

    async def _until_broken(self, sink: HintSink, backoff: Backoff) -> tuple[int, str]:
        """Announce and browse; return the last generation that was announced, and what broke."""
        inbox = _Inbox(trio.lowlevel.current_trio_token())
        seal = _Seal(self._knocks, self._runtime)
        responder = _Responder(self.name, self._port, self._only, inbox, seal)
        seen = self._watch.generation
        responder.announce(self._watch.surroundings)
        responder.start()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._take, inbox, sink)
                nursery.start_soon(self._keep_announcing, responder, seen)
                with trio.move_on_after(MDNS_START_MS_MAX / 1000) as starting:
                    await inbox.started.wait()
                if not starting.cancelled_caught:
                    await inbox.ended.wait()
                    if inbox.has_worked:
                        backoff.reset()
                nursery.cancel_scope.cancel()
            return self._watch.generation, inbox.reason or "no answer from its thread"
        finally:
            await self._close(responder, inbox)

    async def _keep_announcing(self, responder: _Responder, seen: int) -> None:
        while True:
            seen = await self._watch.wait(seen)
            responder.announce(self._watch.surroundings)

    async def _take(self, inbox: _Inbox, sink: HintSink) -> None:
        while True:
            sightings, ignored, untagged = await inbox.take()
            self._metrics.count("mdns_ignored", ignored)
            self._metrics.count("mdns_untagged", untagged)
            if untagged:
                self._runtime.trace("mdns_untagged", count=untagged)
            for sighting in sightings:
                hint = _hint(sighting, self._watch.surroundings)
                if hint is None:
                    self._metrics.count("mdns_ignored")
                elif sink.offer(hint):
                    self._runtime.trace("sighted", addresses=[str(a) for a in hint.addresses])

    async def _close(self, responder: _Responder, inbox: _Inbox) -> None:
        responder.stop()
        with trio.move_on_after(MDNS_CLOSE_MS_MAX / 1000, shield=True) as closing:
            await inbox.ended.wait()
        if closing.cancelled_caught:
            self._runtime.trace("mdns_left_behind")


def _hint(sighting: Sighting, surroundings: Surroundings) -> Hint | None:
    """Return where to dial, or None: multicast stays on a link, so what it names must as well.

    Without this rule a neighbour could make the node dial any address in the world.
    """
    hosts = [host for host in sighting.hosts if surroundings.is_on_link(host)]
    if not hosts or not 1 <= sighting.port <= 65_535:
        return None
    addresses = tuple(
        Address(host, sighting.port, sighting.name) for host in hosts[:ADDRESSES_PER_CONTACT_MAX]
    )
    return Hint(f"mdns {sighting.name}", addresses)


class _Seal:
    """Makes and judges tags; called in zeroconf's thread."""

    def __init__(self, knocks: Knocks, runtime: Runtime) -> None:
        self._knocks = knocks
        self._runtime = runtime

    def tag(self, name: str, port: int) -> bytes:
        """Return the tag for an announcement of now; empty without a key of these weeks."""
        keys = keys_to_dial(self._knocks.keys, self._runtime.now_ms())
        return announcement_tag(keys[0], name.encode("ascii"), port) if keys else b""

    def fits(self, sighting: Sighting) -> bool:
        """Tell whether a member announced this, or nobody here can tell."""
        keys = self._knocks.keys
        if not keys:
            return True
        name, now_ms = sighting.name.encode("ascii"), self._runtime.now_ms()
        try:
            return is_tagged_untrusted(sighting.tag, name, sighting.port, keys, now_ms)
        except MalformedError:
            return False


class _Inbox:
    """Carries what the thread says into trio, at most HINTS_WAITING_MAX sightings at a time."""

    def __init__(self, token: trio.lowlevel.TrioToken) -> None:
        self._token = token
        self._sightings: deque[Sighting] = deque()
        # Only the other thread writes the first two, only trio the others.
        self._ignored = self._untagged = 0
        self._ignored_reported = self._untagged_reported = 0
        self._arrived = trio.Event()
        self.started = trio.Event()
        self.ended = trio.Event()
        self.has_worked = False
        self.reason = ""

    async def take(self) -> tuple[list[Sighting], int, int]:
        """Wait for sightings; return them and how many were of no use, and how many untagged."""
        await self._arrived.wait()
        self._arrived = trio.Event()
        count, ignored, untagged = len(self._sightings), self._ignored, self._untagged
        fresh = ignored - self._ignored_reported, untagged - self._untagged_reported
        self._ignored_reported, self._untagged_reported = ignored, untagged
        return [self._sightings.popleft() for _ in range(count)], *fresh

    # The rest is called in the other thread.

    def post(self, sighting: Sighting) -> None:
        """Pass on one sighting, or count it as ignored if too many wait."""
        if len(self._sightings) >= HINTS_WAITING_MAX:
            self.ignore()
            return
        self._sightings.append(sighting)
        self._in_trio(self._arrive)

    def ignore(self) -> None:
        """Count one announcement that names nothing of use."""
        self._ignored += 1
        self._in_trio(self._arrive)

    def mistrust(self) -> None:
        """Count one announcement that no member made."""
        self._untagged += 1
        self._in_trio(self._arrive)

    def post_started(self) -> None:
        """Tell that announcing and browsing have begun."""
        self.has_worked = True
        self._in_trio(self.started.set)

    def post_ended(self, reason: str) -> None:
        """Tell that the thread is done, and why."""
        self.reason = reason
        self._in_trio(self.started.set)
        self._in_trio(self.ended.set)

    def _arrive(self) -> None:
        self._arrived.set()

    def _in_trio(self, function: Callable[[], None]) -> None:
        # The node may have ended meanwhile.
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(function, idempotent=True)


class _Responder(threading.Thread):
    """zeroconf and its loop; all but `announce` and `stop` runs in this thread."""

    def __init__(
        self, name: str, port: int, only: Sequence[str], inbox: _Inbox, seal: _Seal
    ) -> None:
        super().__init__(name="meshnode-mdns", daemon=True)
        self._only = only
        self._instance = name
        self._port = port
        self._inbox = inbox
        self._seal = seal
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed: asyncio.Event | None = None
        self._surroundings = Surroundings()
        self._is_stopping = False
        self._lookups: dict[str, asyncio.Task[None]] = {}

    def announce(self, surroundings: Surroundings) -> None:
        """Announce these addresses from now on."""
        self._surroundings = surroundings
        self._wake()

    def stop(self) -> None:
        """Say goodbye and end; does not wait."""
        self._is_stopping = True
        self._wake()

    def _wake(self) -> None:
        loop, changed = self._loop, self._changed
        if loop is not None and changed is not None:
            # The loop may have ended meanwhile.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(changed.set)

    def run(self) -> None:
        """Work until told to stop or something breaks; never raises."""
        reason = "stopped"
        try:
            asyncio.run(self._work())
        except Exception as error:  # noqa: BLE001
            # zeroconf and the sockets below it raise many kinds of errors; all end this start.
            reason = f"{type(error).__name__}: {error}"
        finally:
            self._inbox.post_ended(reason)

    async def _work(self) -> None:
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._note_fault)
        zeroconf = AsyncZeroconf(zc=_open(self._only))
        try:
            await self._serve(zeroconf)
        finally:
            for task in list(self._lookups.values()):
                task.cancel()
            await zeroconf.async_close()

    async def _serve(self, zeroconf: AsyncZeroconf) -> None:
        assert self._changed is not None
        announced: tuple[tuple[bytes, ...], bytes] | None = None
        info: AsyncServiceInfo | None = None
        browser: AsyncServiceBrowser | None = None
        while not self._is_stopping:
            self._changed.clear()
            surroundings = self._surroundings
            packed = _to_announce(surroundings, self._only)
            tag = self._seal.tag(self._instance, self._port)
            if info is None:
                info = self._info(packed, tag)
                # The name is random, so it is not asked for first (RFC 6762, 8.1): that takes a
                # second and a half and lets a neighbour forbid every name.
                await zeroconf.async_register_service(info, cooperating_responders=True)
            elif (packed, tag) != announced:
                info = self._info(packed, tag)
                await zeroconf.async_update_interfaces()
                await zeroconf.async_update_service(info)
            else:
                await zeroconf.async_update_interfaces()
            announced = packed, tag
            if browser is not None:
                await browser.async_cancel()
            browser = self._browse(zeroconf.zeroconf)
            self._inbox.post_started()
            await self._until_changed(zeroconf.zeroconf, surroundings, tag)

    async def _until_changed(self, zeroconf: Zeroconf, announced: Surroundings, tag: bytes) -> None:
        assert self._changed is not None
        while (
            not self._is_stopping
            and self._surroundings is announced
            and self._seal.tag(self._instance, self._port) == tag
        ):
            _tidy(zeroconf)
            with suppress(TimeoutError):
                async with asyncio.timeout(MDNS_TIDY_MS / 1000):
                    await self._changed.wait()
                    self._changed.clear()

    def _info(self, packed: Sequence[bytes], tag: bytes) -> AsyncServiceInfo:
        return AsyncServiceInfo(
            _SERVICE,
            f"{self._instance}.{_SERVICE}",
            port=self._port,
            server=f"{self._instance}.local.",
            addresses=list(packed),
            properties={_TAG: tag} if tag else {},
        )

    def _browse(self, zeroconf: Zeroconf) -> AsyncServiceBrowser:
        # Four questions in the first 14 s; then it only wakes to renew what it knows.
        return AsyncServiceBrowser(zeroconf, _SERVICE, handlers=[self._heard], delay=MDNS_TIDY_MS)

    def _heard(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        instance = name.removesuffix(f".{_SERVICE}")
        if instance == self._instance or state_change is ServiceStateChange.Removed:
            return
        if not _NAME.fullmatch(instance):
            self._inbox.ignore()
            return
        info = AsyncServiceInfo(_SERVICE, name)
        if info.load_from_cache(zeroconf):
            self._post(_sighting(instance, info))
        elif instance not in self._lookups and len(self._lookups) < MDNS_LOOKUPS_MAX:
            task = asyncio.get_running_loop().create_task(self._look_up(zeroconf, instance, info))
            self._lookups[instance] = task
        else:
            self._inbox.ignore()

    async def _look_up(self, zeroconf: Zeroconf, instance: str, info: AsyncServiceInfo) -> None:
        try:
            if await info.async_request(zeroconf, MDNS_LOOKUP_MS_MAX):
                self._post(_sighting(instance, info))
            else:
                self._inbox.ignore()
        finally:
            del self._lookups[instance]

    def _post(self, sighting: Sighting) -> None:
        """Pass on what a member announced: a flood of others' must not take up the queue."""
        if self._seal.fits(sighting):
            self._inbox.post(sighting)
        else:
            self._inbox.mistrust()

    def _note_fault(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # A packet that zeroconf stumbles over is dropped; it must not fill the screen either.
        self._inbox.ignore()


def _open(only: Sequence[str]) -> Zeroconf:
    if only:
        return Zeroconf(interfaces=list(only))
    try:
        return Zeroconf(ip_version=IPVersion.All)
    except OSError:
        # A kernel without IPv6 has no such sockets.
        return Zeroconf(ip_version=IPVersion.V4Only)


def _tidy(zeroconf: Zeroconf) -> None:
    """Remove what has expired, and keep zeroconf from waking every ten seconds to do so.

    zeroconf has no setting for that; its two names used here are guarded by a test. Records that
    wait longer are bounded in number by zeroconf, and expired ones are never used.
    """
    _stop_timer(zeroconf)
    zeroconf.engine._async_cache_cleanup()
    _stop_timer(zeroconf)


def _stop_timer(zeroconf: Zeroconf) -> None:
    timer = zeroconf.engine._cleanup_timer
    if timer is not None:
        timer.cancel()


def _to_announce(surroundings: Surroundings, only: Sequence[str]) -> tuple[bytes, ...]:
    """Return packed addresses; those of this machine alone only where there are no others."""
    others = [each.ip for each in surroundings.addresses if not each.is_loopback]
    hosts = only or others or [each.ip for each in surroundings.addresses]
    return tuple(ip_address(host).packed for host in hosts[:MDNS_ADDRESSES_MAX])


def _sighting(instance: str, info: AsyncServiceInfo) -> Sighting:
    hosts = info.parsed_scoped_addresses()[:MDNS_ADDRESSES_MAX]
    return Sighting(instance, tuple(hosts), info.port or 0, info.properties.get(_TAG) or b"")
