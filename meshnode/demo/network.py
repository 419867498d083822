"""Who can hear whom: places where devices meet, and coverage, opened and closed by the story.

With root every device is in a network namespace of its own, a place is a bridge, and the nodes
find one another by multicast, as they do in the field. Without root all devices share the
loopback and are told to dial forwarders, which are silent while a contact is closed. Neither
network knows what nodes say to one another.
"""

from __future__ import annotations

import os
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import combinations
from typing import Final

import trio

from meshnode.demo.cast import Device
from meshnode.demo.radio import Radio
from protocol.errors import MeshError

__all__ = ["Loopback", "Namespaces", "Network", "NetworkError", "open_network"]

_COVERAGE: Final = "net"
"""The place that every modem and the centre reach."""
_RADIO: Final = "radio0"
_MODEM: Final = "modem0"
_DETECTION: Final = "/proc/sys/net/ipv6/conf/default/accept_dad"

PortOf = Callable[[str], Awaitable[int]]
"""Returns on which port a device listens now. Raises: OSError if it does not."""


class NetworkError(MeshError):
    """The network of the demonstration could not be made or changed."""


class Network(ABC):
    """Places and coverage."""

    words: str
    """What kind of network this is, for people."""

    def __init__(self, cast: Sequence[Device]) -> None:
        self._cast = {each.name: each for each in cast}
        self._places: dict[str, str] = {}
        self._covered: set[str] = set()

    def place_of(self, name: str) -> str:
        """Return where a device's radio is; empty where nobody hears it."""
        return self._places.get(name, "")

    async def go(self, name: str, place: str) -> None:
        """A device comes to a place; whoever is there hears it."""
        self._places[name] = place
        await self._change()

    async def leave(self, name: str) -> None:
        """A device is out of everybody's reach."""
        self._places.pop(name, None)
        await self._change()

    async def cover(self, name: str) -> None:
        """A device has coverage: it reaches the centre."""
        self._covered.add(name)
        await self._change()

    async def uncover(self, name: str) -> None:
        """A device has lost coverage."""
        self._covered.discard(name)
        await self._change()

    def contacts(self) -> set[tuple[str, str]]:
        """Return who hears whom, each pair once, in order of the cast."""
        found: set[tuple[str, str]] = set()
        for one, other in combinations(self._cast, 2):
            is_together = self.place_of(one) and self.place_of(one) == self.place_of(other)
            if is_together or {one, other} <= self._covered:
                found.add((one, other))
        return found

    def _in_reach(self, name: str) -> bool:
        """True if a device's radio hears anybody: alone there is no Wi-Fi to be in."""
        place = self.place_of(name)
        return bool(place) and sum(1 for each in self._places.values() if each == place) > 1

    @abstractmethod
    async def _change(self) -> None:
        """Make the links what places and coverage say."""

    @abstractmethod
    async def remove(self) -> None:
        """Give back everything that was built; what is gone already does not matter."""

    @abstractmethod
    def command(self, name: str) -> list[str]:
        """Return what stands before a program that runs on this device."""

    @abstractmethod
    def settings(self, name: str) -> str:
        """Return the settings of this device's node."""


class Namespaces(Network):
    """One network namespace for each device, one bridge for each place."""

    words = "each device in its own network namespace; they find one another by multicast"

    def __init__(self, cast: Sequence[Device], places: Sequence[str]) -> None:
        super().__init__(cast)
        self._prefix = f"meshdemo{os.getpid()}"
        self._air = f"{self._prefix}-air"
        self._bridges = (*places, _COVERAGE)
        self._plugged: dict[str, str] = {}

    def namespace(self, name: str) -> str:
        """Return the name of a device's namespace."""
        return f"{self._prefix}-{name}"

    async def build(self) -> None:
        """Make namespaces, bridges and cables. Raises: NetworkError; nothing is left then."""
        try:
            await self._build()
        except BaseException:
            with trio.CancelScope(shield=True):
                await self.remove()
            raise

    async def _build(self) -> None:
        names = [self._air, *(self.namespace(name) for name in self._cast)]
        await _ip("".join(f"netns add {name}\n" for name in names))
        # Duplicate detection of IPv6 would hold every contact up for two seconds.
        for name in names[1:]:
            script = f"[ ! -e {_DETECTION} ] || echo 0 >{_DETECTION}"
            await _run("ip", "netns", "exec", name, "sh", "-c", script)
        bridges = [
            f"link add {bridge} type bridge mcast_snooping 0 forward_delay 0\n"
            f"link set {bridge} up\n"
            for bridge in self._bridges
        ]
        await _ip("".join(bridges), self._air)
        for number, each in enumerate(self._cast.values(), 1):
            await self._wire(each, number)

    async def _wire(self, device: Device, number: int) -> None:
        lines = ["link set lo up"]
        for is_there, interface, port, network in (
            (device.has_radio, _RADIO, f"r-{device.name}", 1),
            (device.has_coverage, _MODEM, f"m-{device.name}", 2),
        ):
            if is_there:
                lines += [
                    f"link add {interface} type veth peer name {port} netns {self._air}",
                    f"address add 10.75.{network}.{number}/24 dev {interface}",
                    f"link set {interface} up",
                ]
        await _ip("\n".join(lines) + "\n", self.namespace(device.name))

    async def _change(self) -> None:
        wanted = {f"r-{name}": self._places[name] for name in self._places if self._in_reach(name)}
        wanted |= {f"m-{name}": _COVERAGE for name in self._covered}
        lines = [f"link set {port} down nomaster" for port in self._plugged if port not in wanted]
        for port, bridge in wanted.items():
            if self._plugged.get(port) != bridge:
                lines += [f"link set {port} master {bridge}", f"link set {port} up"]
        self._plugged = wanted
        if lines:
            await _ip("\n".join(lines) + "\n", self._air)

    def command(self, name: str) -> list[str]:
        """See `Network.command`."""
        return ["ip", "netns", "exec", self.namespace(name)]

    def settings(self, name: str) -> str:
        """See `Network.settings`."""
        return '[web]\nlisten = ""\n[trace]\nfile = "trace.jsonl"\n'

    async def remove(self) -> None:
        """See `Network.remove`."""
        for name in (self._air, *(self.namespace(name) for name in self._cast)):
            await trio.run_process(["ip", "netns", "del", name], check=False, capture_stderr=True)


class Loopback(Network):
    """Every device on 127.0.0.1, with a radio that can be switched between any two."""

    words = "all on the loopback; they reach one another through forwarders that are switched"

    def __init__(self, cast: Sequence[Device]) -> None:
        super().__init__(cast)
        self._radios: dict[tuple[str, str], Radio] = {}

    async def build(self) -> None:
        """Open a port for each two devices that may ever meet. Raises: OSError."""
        for one, other in combinations(self._cast.values(), 2):
            is_possible = (one.has_radio and other.has_radio) or (
                one.has_coverage and other.has_coverage
            )
            if is_possible:
                self._radios[one.name, other.name] = await Radio.open()

    async def _change(self) -> None:
        contacts = self.contacts()
        for pair, radio in self._radios.items():
            radio.switch(is_on=pair in contacts)
        await trio.lowlevel.checkpoint()

    async def run(self, port_of: PortOf) -> None:
        """Carry what devices in contact say until cancelled."""
        async with trio.open_nursery() as nursery:
            for (_one, other), radio in self._radios.items():
                nursery.start_soon(radio.run, partial(port_of, other))

    async def remove(self) -> None:
        """See `Network.remove`."""
        for radio in self._radios.values():
            await radio.aclose()

    def command(self, name: str) -> list[str]:
        """See `Network.command`."""
        return []

    def settings(self, name: str) -> str:
        """See `Network.settings`."""
        radios = [radio for (one, _other), radio in self._radios.items() if one == name]
        static = ", ".join(f'"127.0.0.1:{radio.port}"' for radio in radios)
        dialled = [radio for (_one, other), radio in self._radios.items() if other == name]
        known_as = ", ".join(f'"127.0.0.1:{radio.port}"' for radio in dialled)
        return (
            f'[links]\nlisten = ["127.0.0.1:0"]\nstatic = [{static}]\nknown_as = [{known_as}]\n'
            "[discovery]\nmdns = false\nprobe = false\n"
            '[web]\nlisten = ""\n'
            '[trace]\nfile = "trace.jsonl"\n'
        )


async def open_network(cast: Sequence[Device], places: Sequence[str]) -> Namespaces | Loopback:
    """Return the best network that this machine allows."""
    if sys.platform.startswith("linux") and os.geteuid() == 0 and shutil.which("ip"):
        namespaces = Namespaces(cast, places)
        # Root inside a container may lack the right to make namespaces.
        with suppress(NetworkError):
            await namespaces.build()
            return namespaces
    loopback = Loopback(cast)
    await loopback.build()
    return loopback


async def _ip(batch: str, namespace: str | None = None) -> None:
    """Run lines of `ip` commands in one process. Raises: NetworkError."""
    inside = [] if namespace is None else ["-n", namespace]
    await _run("ip", *inside, "-batch", "-", stdin=batch)


async def _run(*argv: str, stdin: str = "") -> None:
    done = await trio.run_process(
        argv, stdin=stdin.encode(), capture_stdout=True, capture_stderr=True, check=False
    )
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise NetworkError(
            f"{' '.join(argv[:4])} failed: {words[-1] if words else done.returncode}"
        )
