"""Discovery on real networks: processes in network namespaces on a bridge."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from protocol.limits import HINTS_BURST_MAX, HINTS_PER_S_MAX, PROBES_MAX
from tests.patience import tried
from tests.real.netns import HOSTS_MAX, Bridge, Host, require_namespaces

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.usefixtures("_namespaces"),
]

FOUND_S_MAX = 30.0
"""Far above what is seen (0.1 s): the machine may be busy."""


@pytest.fixture
def _namespaces() -> None:
    require_namespaces()


class NeverSaidError(AssertionError):
    """What was waited for did not come in time."""


class Finder:
    """A `tests.real.finder` process inside a host, and what it says."""

    def __init__(self, host: Host, *options: str) -> None:
        argv = [sys.executable, "-m", "tests.real.finder", *options]
        self.process = host.popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.says(lambda line: line["event"] == "running")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                self._lines.put(json.loads(line))
            except ValueError:
                self._lines.put({"event": "noise", "text": line.decode(errors="replace")})

    def says(
        self, wanted: Callable[[dict[str, Any]], bool], within_s: float = FOUND_S_MAX
    ) -> dict[str, Any]:
        """Return the next line that is wanted; fails on anything that is no line of ours."""
        until = time.monotonic() + within_s
        passed = []
        while (left := until - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=left)
            except queue.Empty:
                break
            assert line["event"] != "noise", line
            if wanted(line):
                return line
            passed.append(line)
        raise NeverSaidError(f"never said; {len(passed)} others, at last: {passed[-10:]}")

    def hints_at(self, address: str) -> list[str]:
        """Wait for a hint that names `address`; return all its addresses."""
        found = self.says(lambda line: line["event"] == "hint" and address in line["addresses"])
        return list(found["addresses"])

    def is_hinted_at(self, address: str, within_s: float) -> bool:
        """Tell whether a hint that names `address` comes in time."""
        try:
            self.says(
                lambda line: line["event"] == "hint" and address in line["addresses"], within_s
            )
        except NeverSaidError:
            return False
        return True

    def counters(self) -> dict[str, Any]:
        self.process.send_signal(signal.SIGUSR1)
        return self.says(lambda line: line["event"] == "counters")

    def end(self) -> None:
        self.process.terminate()
        assert self.process.wait(FOUND_S_MAX) == 0


def test_a_later_node_finds_an_earlier_one_and_is_found() -> None:
    with Bridge("both", 2) as net:
        one, other = net.hosts
        first = Finder(one)
        second = Finder(other)
        assert first.hints_at(f"{other.address}:7625")
        addresses = second.hints_at(f"{one.address}:7625")
        assert any(each.startswith("[fe80::") and "%" in each for each in addresses)
        second.end()
        first.end()


def test_over_ipv4_alone() -> None:
    with Bridge("four", 2) as net:
        one, other = net.hosts
        for host in net.hosts:
            host.without_ipv6()
        first, second = Finder(one), Finder(other)
        assert first.hints_at(f"{other.address}:7625") == [f"{other.address}:7625"]
        assert second.hints_at(f"{one.address}:7625") == [f"{one.address}:7625"]


def test_over_ipv6_alone_with_an_address_that_can_be_dialled() -> None:
    with Bridge("six", 2) as net:
        one, other = net.hosts
        for host in net.hosts:
            host.without_ipv4()
        first, second = Finder(one), Finder(other)
        (zone,) = json.loads(one.ip("-j", "link", "show", "dev", one.interface))
        first.hints_at(f"[{other.link_local}%{zone['ifindex']}]:7625")
        second.hints_at(f"[{one.link_local}%{zone['ifindex']}]:7625")


def test_an_address_that_changes_is_told_at_once_and_the_newest_comes_first() -> None:
    with Bridge("move", 2) as net:
        one, other = net.hosts
        first, second = Finder(one), Finder(other)
        second.hints_at(f"{one.address}:7625")
        one.set_address("10.99.0.77")
        assert second.hints_at("10.99.0.77:7625")[0] == "10.99.0.77:7625"
        first.says(lambda line: line["event"] == "surroundings_changed")
        # The one that moved asks again as well: on a new network it knows nobody.
        first.hints_at(f"{other.address}:7625")


def test_a_killed_node_that_returns_on_another_port_is_found_again() -> None:
    with Bridge("kill", 2) as net:
        one, other = net.hosts
        first, second = Finder(one), Finder(other, "--port", "7001")
        first.hints_at(f"{other.address}:7001")
        second.process.kill()
        second.process.wait(FOUND_S_MAX)
        Finder(other, "--port", "7002")
        first.hints_at(f"{other.address}:7002")


def test_a_node_that_starts_without_any_network_mends_itself() -> None:
    with Bridge("none", 2, with_addresses=False) as net:
        one, other = net.hosts
        for host in net.hosts:
            host.ip("address", "flush", "dev", "lo")
        first, second = Finder(one, "--probe"), Finder(other, "--probe")
        first.says(lambda line: line["event"] == "mdns_failed")
        second.says(lambda line: line["event"] == "mdns_failed")
        for host in net.hosts:
            host.set_up(is_up=True)
            host.add_address(host.address)
        first.hints_at(f"{other.address}:7625")
        second.hints_at(f"{one.address}:7625")


def test_out_of_reach_and_back() -> None:
    with Bridge("reach", 2) as net:
        one, other = net.hosts
        first, second = Finder(one), Finder(other)
        first.hints_at(f"{other.address}:7625")
        second.hints_at(f"{one.address}:7625")
        other.set_up(is_up=False)
        second.says(lambda line: line["event"] == "surroundings_changed")
        other.set_up(is_up=True)
        # The one that was away asks again; the other has noticed nothing and need not.
        second.hints_at(f"{one.address}:7625")


def test_where_multicast_is_swallowed_known_places_are_probed() -> None:
    with Bridge("deaf", 3) as net:
        phone, mate, box = net.hosts
        net.block_multicast()
        phone.set_gateway(box.address)
        Finder(mate)
        finder = Finder(phone, "--probe", "--known", f"{mate.address}:7001")
        assert finder.hints_at(f"{box.address}:7625") == [f"{box.address}:7625"]
        assert finder.hints_at(f"{mate.address}:7001") == [f"{mate.address}:7001"]
        # Multicast is indeed swallowed: with it, this takes a tenth of a second.
        time.sleep(3)
        assert 0 < finder.counters()["metrics"]["hints"] <= PROBES_MAX
        # In another network the new gateway is asked at once.
        phone.set_address("10.99.0.80")
        phone.set_gateway(mate.address)
        finder.hints_at(f"{mate.address}:7625")
        net.allow_multicast()
        late = Finder(box, "--port", "7003")
        finder.hints_at(f"{box.address}:7003")
        late.hints_at("10.99.0.80:7625")


def test_ten_thousand_made_up_nodes_and_broken_datagrams() -> None:
    with Bridge("flood", 3) as net:
        one, attacker, friend = net.hosts
        finder = Finder(one)
        started_s = time.monotonic()
        argv = [sys.executable, "-m", "tests.real.flooder", attacker.address, "10000"]
        flooder = attacker.popen(argv, stdout=subprocess.DEVNULL)
        assert flooder.wait(4 * FOUND_S_MAX) == 0
        # The flood has used up the hints: those of a friend that comes now may be dropped, until
        # it announces itself again.
        for port in range(7004, 7010):
            late = Finder(friend, "--port", str(port))
            late.hints_at(f"{one.address}:7625")
            if finder.is_hinted_at(f"{friend.address}:{port}", 6):
                break
            late.end()
        else:
            raise AssertionError("a friend is not found after a flood")
        metrics = finder.counters()["metrics"]
        took_s = time.monotonic() - started_s + 1
        assert 1 < metrics["hints"] <= HINTS_BURST_MAX + took_s * HINTS_PER_S_MAX
        assert metrics["mdns_ignored"] + metrics["hints_dropped"] > 0
        assert metrics["mdns_failures"] == 0
        assert resident_mib(finder.process.pid) < 120
        finder.end()


def resident_mib(pid: int) -> float:
    with open(f"/proc/{pid}/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["VmRSS"].split()[0]) / 1024


# --- the rig itself --------------------------------------------------------------------------


def namespaces() -> list[str]:
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    own = f"mesh{os.getpid()}-"
    return [line.split()[0] for line in listed.stdout.splitlines() if line.startswith(own)]


def test_nothing_is_left_behind_even_after_a_failure() -> None:
    process = None
    with pytest.raises(RuntimeError), Bridge("leave", HOSTS_MAX) as net:
        assert len(namespaces()) == HOSTS_MAX + 1
        process = net.hosts[-1].popen(["sleep", "600"])
        raise RuntimeError("the test failed")
    assert process is not None
    assert process.poll() is not None
    assert namespaces() == []


def test_a_bridge_that_cannot_be_made_leaves_nothing_behind() -> None:
    with Bridge("twice", 2) as net:
        with pytest.raises(subprocess.CalledProcessError), Bridge("twice", 2):
            raise AssertionError("a name can be used once at a time")
        assert len(namespaces()) == len(net.hosts) + 1
    assert namespaces() == []


def test_hosts_reach_one_another_at_the_rate_they_are_given() -> None:
    with Bridge("rate", 2) as net:
        one, other = net.hosts
        one.shape("8mbit")
        serve = (
            "import socket as s\n"
            "server = s.create_server(('', 9))\n"
            "while True:\n"
            "    connection, _ = server.accept()\n"
            "    connection.sendall(bytes(2**21)); connection.close()\n"
        )
        other.popen([sys.executable, "-c", serve])
        take = (
            "import socket as s, time as t, sys\n"
            "for _ in range(1_000):\n"
            "    try: c = s.create_connection((sys.argv[1], 9)); break\n"
            "    except OSError: t.sleep(0.05)\n"
            "c.recv(1); start = t.monotonic(); n = 0\n"
            "while d := c.recv(65536): n += len(d)\n"
            "print(n / (t.monotonic() - start))\n"
        )
        rate = tried(
            lambda: float(one.run(sys.executable, "-c", take, other.address)),
            lambda rate: 500_000 < rate < 1_200_000,
        )
        assert 500_000 < rate < 1_200_000
