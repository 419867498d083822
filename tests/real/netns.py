"""Hosts on a bridge that a test owns: network namespaces with addresses, faults and processes.

The bridge is in a namespace of its own, so nothing of the machine's own network is touched and
deleting the namespaces removes everything. Names carry the process id. Needs root and iproute2.

    with Bridge("find", 2) as net:
        net.hosts[0].popen([sys.executable, "-m", "meshnode", "run"])
        net.hosts[1].set_address("10.99.0.77")
        net.block_multicast()
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import pytest

__all__ = ["HOSTS_MAX", "Bridge", "Host", "require_namespaces"]

HOSTS_MAX = 8
"""Hosts on one bridge."""
_COMMAND_S_MAX = 60.0
_STOP_S_MAX = 20.0
_INTERFACE = "eth0"
_ROOT = Path(__file__).parents[2]


def require_namespaces() -> None:
    """Skip the test where there is no root or no iproute2; in CI fail it instead."""
    reason = ""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        reason = "network namespaces need Linux and root"
    elif not shutil.which("ip") or not shutil.which("bridge") or not shutil.which("tc"):
        reason = "network namespaces need iproute2"
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


class Host:
    """One machine on the bridge."""

    def __init__(self, namespace: str, switch: str, port: str, address: str) -> None:
        self.namespace = namespace
        self.address = address
        """IPv4 address without prefix; all hosts are in one /24."""
        self.interface = _INTERFACE
        self._switch = switch
        self._port = port
        self._processes: list[subprocess.Popen[bytes]] = []

    def plug_in(self, *, with_address: bool = True) -> None:
        """Create the namespace, the cable to the bridge, and the address."""
        _ip("netns", "add", self.namespace)
        # Duplicate detection of IPv6 would make each test wait for two seconds.
        _inside(self.namespace, "sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad")
        _inside(self.namespace, "sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/all/accept_dad")
        cable = ("link", "add", _INTERFACE, "netns", self.namespace, "type", "veth")
        _ip(*cable, "peer", "name", self._port, "netns", self._switch)
        _ip("-n", self._switch, "link", "set", self._port, "master", "br0", "up")
        self.ip("link", "set", "lo", "up")
        if with_address:
            self.ip("link", "set", _INTERFACE, "up")
            self.add_address(self.address)

    def unplug(self) -> None:
        """End every process inside, then remove the namespace."""
        for process in self._processes:
            _end(process)
        _ip("netns", "del", self.namespace)

    def ip(self, *arguments: str) -> str:
        """Run `ip` inside; returns what it printed."""
        return _ip("-n", self.namespace, *arguments)

    def run(self, *argv: str) -> str:
        """Run a short command inside; returns what it printed."""
        return _inside(self.namespace, *argv)

    def popen(
        self,
        argv: Sequence[str],
        *,
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
        environment: dict[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a process inside; it is killed when the bridge closes, if it still runs.

        Its process id is that of the program itself, so `kill` and signals reach it.
        """
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.namespace, *argv],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            cwd=_ROOT,
            env={**os.environ, **(environment or {})},
        )
        self._processes.append(process)
        return process

    # --- addresses --------------------------------------------------------------------------

    @property
    def link_local(self) -> str:
        """The IPv6 link-local address, without zone."""
        found = json.loads(self.ip("-j", "-6", "address", "show", "dev", _INTERFACE))
        infos = (each for link in found for each in link.get("addr_info", ()))
        return str(next(each["local"] for each in infos if each["scope"] == "link"))

    def add_address(self, address: str, prefix_bits: int = 24) -> None:
        """Give the host one more address."""
        options = ("nodad",) if ":" in address else ()
        self.ip("address", "add", f"{address}/{prefix_bits}", "dev", _INTERFACE, *options)

    def del_address(self, address: str, prefix_bits: int = 24) -> None:
        """Take one of its addresses away."""
        self.ip("address", "del", f"{address}/{prefix_bits}", "dev", _INTERFACE)

    def set_address(self, address: str) -> None:
        """Replace its IPv4 address, as a new lease does."""
        self.del_address(self.address)
        self.add_address(address)
        self.address = address

    def set_gateway(self, address: str) -> None:
        """Set its default route."""
        self.ip("route", "replace", "default", "via", address)

    def without_ipv4(self) -> None:
        """Leave it nothing but IPv6."""
        self.ip("-4", "address", "flush", "dev", _INTERFACE)

    def without_ipv6(self) -> None:
        """Leave it nothing but IPv4."""
        self.run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6")

    # --- faults -----------------------------------------------------------------------------

    def set_up(self, *, is_up: bool) -> None:
        """Switch its interface on or off: in reach, or out of it."""
        self.ip("link", "set", _INTERFACE, "up" if is_up else "down")

    def shape(self, rate: str, burst: str = "32kb", latency: str = "100ms") -> None:
        """Limit what it sends and receives, each; `rate` as tc writes it, `8mbit` is 1 MB/s."""
        for namespace, device in ((self.namespace, _INTERFACE), (self._switch, self._port)):
            limit = ("tbf", "rate", rate, "burst", burst, "latency", latency)
            _run("tc", "-n", namespace, "qdisc", "replace", "dev", device, "root", *limit)

    def flood_multicast(self, *, is_on: bool) -> None:
        """Let the bridge hand multicast to this host, or not. Broadcast (ARP) still passes."""
        flag = "on" if is_on else "off"
        _run("bridge", "-n", self._switch, "link", "set", "dev", self._port, "mcast_flood", flag)


class Bridge:
    """Up to HOSTS_MAX hosts that reach one another."""

    def __init__(self, name: str, hosts: int, *, with_addresses: bool = True) -> None:
        assert 1 <= hosts <= HOSTS_MAX
        prefix = f"mesh{os.getpid()}-{name}"
        self._switch = f"{prefix}-switch"
        self._with_addresses = with_addresses
        self._undo = ExitStack()
        self.hosts = [
            Host(f"{prefix}-{index}", self._switch, f"port{index}", f"10.99.0.{index + 1}")
            for index in range(hosts)
        ]

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            _ip("netns", "add", self._switch)
            undo.callback(_quietly, "netns", "del", self._switch)
            # Snooping without a querier forgets groups after minutes; a plain switch does not.
            bridge = ("type", "bridge", "mcast_snooping", "0", "forward_delay", "0")
            _ip("-n", self._switch, "link", "add", "br0", *bridge)
            _ip("-n", self._switch, "link", "set", "br0", "up")
            for host in self.hosts:
                undo.callback(_unplug, host)
                host.plug_in(with_address=self._with_addresses)
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._undo.close()

    def block_multicast(self) -> None:
        """Swallow multicast between all hosts, as many hotspots do."""
        for host in self.hosts:
            host.flood_multicast(is_on=False)

    def allow_multicast(self) -> None:
        """Undo `block_multicast`."""
        for host in self.hosts:
            host.flood_multicast(is_on=True)


def _unplug(host: Host) -> None:
    with suppress(subprocess.SubprocessError):
        host.unplug()


def _quietly(*arguments: str) -> None:
    with suppress(subprocess.SubprocessError):
        _ip(*arguments)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_S_MAX)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _inside(namespace: str, *argv: str) -> str:
    return _run("ip", "netns", "exec", namespace, *argv)


def _ip(*arguments: str) -> str:
    return _run("ip", *arguments)


def _run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_COMMAND_S_MAX)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, argv, done.stdout, done.stderr)
    return done.stdout
