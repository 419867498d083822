"""Where this machine is: its addresses and gateways, and a signal when they change.

On Linux the kernel says that something changed, so an idle node does not wake; where it may not
be asked (Android), the addresses are looked at once a minute. Source: ecosystem 3.3, 3-5.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import ifaddr
import trio

from meshnode.runtime import Runtime
from protocol.limits import (
    ADDRESS_POLL_MS,
    ADDRESS_SETTLE_MS,
    ADDRESS_SETTLE_MS_MAX,
    LOCAL_ADDRESSES_MAX,
)

__all__ = ["AddressWatch", "LocalAddress", "Surroundings", "interface_of", "look_around"]

_IP = ipaddress.IPv4Address | ipaddress.IPv6Address

_LINK_GROUP: Final = 0x1
_IPV4_ADDRESS_GROUP: Final = 0x10
_IPV4_ROUTE_GROUP: Final = 0x40
_IPV6_ADDRESS_GROUP: Final = 0x100
_IPV6_ROUTE_GROUP: Final = 0x400
_GROUPS: Final = (
    _LINK_GROUP | _IPV4_ADDRESS_GROUP | _IPV4_ROUTE_GROUP | _IPV6_ADDRESS_GROUP | _IPV6_ROUTE_GROUP
)
"""Multicast groups of the kernel's route socket. Source: linux/rtnetlink.h."""
_NOTICE_BYTES: Final = 65_536
_ROUTE_IS_GATEWAY: Final = 0x2


@dataclass(frozen=True, slots=True, order=True)
class LocalAddress:
    """One address of this machine."""

    ip: str
    """IPv4 or IPv6 address without zone."""
    prefix_bits: int
    """Length of the network's prefix, bits."""
    interface: int
    """The kernel's number of the interface; the zone of a link-local IPv6 address."""

    @property
    def is_loopback(self) -> bool:
        """True for an address that only this machine reaches."""
        return ipaddress.ip_address(self.ip).is_loopback


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was seen of this machine's networks at one moment."""

    addresses: tuple[LocalAddress, ...] = ()
    """Sorted; at most LOCAL_ADDRESSES_MAX."""
    gateways: tuple[str, ...] = ()
    """Default gateways, link-local IPv6 ones with zone."""
    marks: tuple[str, ...] = ()
    """Whatever else shows that the network is another one: losses of carrier, states of
    addresses. Compared, never read."""

    @property
    def hosts(self) -> frozenset[str]:
        """The addresses as bare text."""
        return frozenset(each.ip for each in self.addresses)

    def is_on_link(self, host: str) -> bool:
        """Tell whether `host` is an IP address that a network of ours reaches without a router.

        A link-local address needs the zone of one of our interfaces: without it nothing can be
        dialled.
        """
        try:
            ip = ipaddress.ip_address(host)
        except ValueError:
            return False
        if ip.is_multicast or ip.is_unspecified:
            return False
        zone = ip.scope_id if isinstance(ip, ipaddress.IPv6Address) else None
        if ip.is_link_local and ip.version == 6:
            return any(zone == str(each.interface) for each in self.addresses)
        return zone is None and any(ip in network for network in self._networks())

    def _networks(self) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        for each in self.addresses:
            yield ipaddress.ip_network((each.ip, each.prefix_bits), strict=False)


def look_around(proc: Path = Path("/proc"), system: Path = Path("/sys")) -> Surroundings:
    """Return the addresses, gateways and marks of this moment. Blocks for some milliseconds.

    Where the kernel's tables may not be read, the gateway is guessed: most hotspots and boxes
    have the first address of their network.
    """
    addresses = tuple(sorted(_local_addresses())[:LOCAL_ADDRESSES_MAX])
    return Surroundings(addresses, _gateways(proc, addresses), _marks(proc, system))


def interface_of(host: str) -> str:
    """Return the name of the interface that has this IP address; empty where none has it now.

    Blocks for some milliseconds.
    """
    for each in _local_addresses():
        if each.ip == host and each.interface:
            with suppress(OSError):
                return socket.if_indextoname(each.interface)
    return ""


def _local_addresses() -> Iterator[LocalAddress]:
    try:
        adapters = list(ifaddr.get_adapters())
    except OSError:
        return
    for adapter in adapters:
        for each in adapter.ips:
            ip = each.ip if isinstance(each.ip, str) else each.ip[0]
            yield LocalAddress(ip.partition("%")[0], each.network_prefix, adapter.index or 0)


def _marks(proc: Path, system: Path) -> tuple[str, ...]:
    marks = []
    # An address can be bound only once its duplicate detection ended: the flags tell.
    with suppress(OSError):
        marks += (proc / "net/if_inet6").read_text().splitlines()
    # A Wi-Fi that left and came back may be another one, though the addresses are the same.
    for counter in system.glob("class/net/*/carrier_changes"):
        with suppress(OSError):
            marks.append(f"{counter.parent.name} {counter.read_text().strip()}")
    return tuple(sorted(marks))


def _gateways(proc: Path, addresses: tuple[LocalAddress, ...]) -> tuple[str, ...]:
    found: list[str] = []
    is_readable = False
    for name, reader in (("net/route", _gateway4), ("net/ipv6_route", _gateway6)):
        with suppress(OSError):
            lines = (proc / name).read_text().splitlines()
            is_readable = True
            found += (gateway for line in lines if (gateway := reader(line.split())))
    if not is_readable:
        found += _guessed_gateways(addresses)
    return tuple(dict.fromkeys(found))[:LOCAL_ADDRESSES_MAX]


def _gateway4(fields: list[str]) -> str | None:
    try:
        target, gateway, flags, mask = (int(fields[index], 16) for index in (1, 2, 3, 7))
        # The kernel prints the four bytes as one number of this machine's byte order.
        ip = ipaddress.IPv4Address(gateway.to_bytes(4, sys.byteorder))
    except (IndexError, ValueError, OverflowError):
        return None
    is_default = not target and not mask and flags & _ROUTE_IS_GATEWAY and gateway
    return str(ip) if is_default else None


def _gateway6(fields: list[str]) -> str | None:
    try:
        target, prefix_bits, gateway, flags = (int(fields[index], 16) for index in (0, 1, 4, 8))
        ip = ipaddress.IPv6Address(gateway)
        interface = fields[9]
    except (IndexError, ValueError):
        return None
    if target or prefix_bits or not flags & _ROUTE_IS_GATEWAY or not gateway:
        return None
    return f"{ip}%{interface}" if ip.is_link_local else str(ip)


def _guessed_gateways(addresses: tuple[LocalAddress, ...]) -> Iterator[str]:
    for each in addresses:
        ip = ipaddress.ip_address(each.ip)
        if ip.version == 4 and ip.is_private and not ip.is_loopback and each.prefix_bits < 31:
            first = ipaddress.ip_network((each.ip, each.prefix_bits), strict=False)[1]
            if first != ip:
                yield str(first)


class AddressWatch:
    """Keeps `surroundings` up to date and wakes whoever waits when they changed."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._changed = trio.Event()
        self.surroundings = Surroundings()
        self.generation = 0

    async def wait(self, seen: int) -> int:
        """Return the generation once it is not `seen`; 0 is the one before the first look."""
        while self.generation == seen:
            await self._changed.wait()
        return self.generation

    async def tell(self, take: Callable[[Surroundings], None]) -> None:
        """Call `take` after each change, until cancelled; the first look is not a change."""
        seen = await self.wait(0)
        while True:
            seen = await self.wait(seen)
            take(self.surroundings)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch until cancelled; starts after the first look."""
        # Opened before the first look: a change between the two is not lost.
        notices = _open_notices()
        with notices or nullcontext():
            await self._look()
            task_status.started()
            with suppress(OSError):
                while notices is not None:
                    await _settled(notices)
                    await self._look()
        while True:
            await trio.sleep(ADDRESS_POLL_MS / 1000)
            await self._look()

    async def _look(self) -> None:
        surroundings = await self._runtime.run_blocking(look_around)
        if self.generation and surroundings == self.surroundings:
            return
        self.surroundings = surroundings
        self.generation += 1
        self._runtime.trace("surroundings_changed", addresses=len(surroundings.addresses))
        changed, self._changed = self._changed, trio.Event()
        changed.set()


def _open_notices() -> trio.socket.SocketType | None:
    """Return a socket on which the kernel tells of changes, or None if it may not be had."""
    if not hasattr(socket, "AF_NETLINK"):
        return None
    try:
        raw = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    except OSError:
        return None
    try:
        raw.bind((0, _GROUPS))
    except OSError:
        raw.close()
        return None
    raw.setblocking(False)
    return trio.socket.from_stdlib_socket(raw)


async def _settled(notices: trio.socket.SocketType) -> None:
    """Return when changes have begun and then paused, or gone on for too long."""
    await _notice(notices)
    with trio.move_on_after(ADDRESS_SETTLE_MS_MAX / 1000):
        while True:
            with trio.move_on_after(ADDRESS_SETTLE_MS / 1000) as pause:
                await _notice(notices)
            if pause.cancelled_caught:
                return


async def _notice(notices: trio.socket.SocketType) -> None:
    try:
        await notices.recv(_NOTICE_BYTES)
    except OSError as error:
        # What changed is looked up afterwards, so a notice that was lost is one as well.
        if error.errno != errno.ENOBUFS:
            raise
