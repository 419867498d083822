"""Two whole nodes in two network namespaces: they find each other, and a message arrives.

Then what happens in the field: an address changes, a process is killed, multicast is swallowed.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from meshnode import authority_keys
from meshnode.vault import wrapping
from tests.meshnode.cli.people import People
from tests.meshnode.enrolling import CHEAP, SECRET
from tests.patience import STARTS_S_MAX
from tests.real.netns import Bridge, require_namespaces

pytestmark = [pytest.mark.real, pytest.mark.slow]

ARRIVES_S_MAX = 30.0
"""From `send` to the inbox of the other, with everything that has to happen between."""
MENDS_S_MAX = 60.0
"""The same after a fault that only one end can notice: two lost pings."""
_MAIN = "import sys; from meshnode.cli.main import main; sys.exit(main())"


class Pair:
    """Alice and Bob, enrolled, each on a host of one bridge."""

    def __init__(self, people: People, net: Bridge) -> None:
        self.people = people
        self.net = net
        self.hosts = dict(zip(("alice", "bob"), net.hosts, strict=False))
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._sent = 0
        self._starts = 0

    def start(self, name: str) -> None:
        argv = [
            sys.executable,
            "-c",
            _MAIN,
            "--debug",
            "--home",
            str(self.people.home(name)),
            "run",
        ]
        self._starts += 1
        log = self.people.folder / f"{self._starts} {name}.log"
        with log.open("ab") as out:
            self.running[name] = self.hosts[name].popen(argv, stdout=out, stderr=out)
        # Not before: a command that finds no running node opens the home itself.
        self.until(lambda: "listening on" in log.read_text(), STARTS_S_MAX)

    def kill(self, name: str) -> None:
        self.running[name].send_signal(signal.SIGKILL)
        self.running[name].wait(10)

    def stop(self, name: str) -> int:
        self.running[name].terminate()
        return self.running[name].wait(STARTS_S_MAX)

    def delivers(self, sender: str, receiver: str, within_s: float) -> float:
        """Send a message and wait until it is in the other's inbox; returns the seconds."""
        self._sent += 1
        text = f"message {self._sent} of {sender}"
        started_s = time.monotonic()
        self.people.reads(sender, "send", receiver, text)
        self.until(lambda: self.texts(receiver).count(text) == 1, within_s)
        took_s = time.monotonic() - started_s
        print(f"{sender} to {receiver}: {took_s:.1f} s")
        return took_s

    def texts(self, name: str) -> list[str]:
        found = self.people.json(name, "inbox")
        return [message["text"] for message in found["messages"]]

    def until(self, condition: Callable[[], bool], within_s: float) -> None:
        until_s = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < until_s, self.logs()
            time.sleep(0.2)

    def logs(self) -> str:
        files = sorted(self.people.folder.glob("*.log"))
        return "\n".join(f"{file.name}: {file.read_text()[-2_000:]}" for file in files)


def _enrol(folder: Path) -> People:
    people = People(folder)
    people.reads("hq", "authority", "init", "--network", "Alpes", "--zone", "7")
    for name in ("alice", "bob"):
        people.enrol(name, "agent", "Queyras")
        # As installed: any address, multicast and probes.
        (people.home(name) / "meshnode.toml").unlink()
    return people


def _speak(patch: pytest.MonkeyPatch) -> None:
    patch.setenv("MESHNODE_PASSPHRASE", "five quite ordinary words here")
    patch.setenv("LC_ALL", "C")
    patch.setenv("TERM", "dumb")
    patch.setenv("MESHNODE_SECRET", SECRET)
    patch.setattr(authority_keys, "SCRYPT_COST", 2)
    patch.setattr(wrapping, "AGENT_COST", CHEAP)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The homes of an authority, Alice and Bob; to be copied."""
    require_namespaces()
    with pytest.MonkeyPatch.context() as patch:
        _speak(patch)
        return _enrol(tmp_path_factory.mktemp("pair")).folder


@pytest.fixture
def people(homes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> People:
    """Alice and Bob, who have never met."""
    _speak(monkeypatch)
    shutil.copytree(homes, tmp_path, dirs_exist_ok=True)
    return People(tmp_path)


@pytest.fixture
def pair(people: People) -> Iterator[Pair]:
    """Alice and Bob, running, who have met over IPv4: what happens to it must count."""
    with Bridge("two", 2) as net:
        for host in net.hosts:
            host.without_ipv6()
        pair = Pair(people, net)
        pair.start("alice")
        pair.start("bob")
        pair.delivers("bob", "alice", ARRIVES_S_MAX)
        yield pair


def test_they_meet_over_ipv6_alone_and_part_with_a_goodbye(people: People) -> None:
    with Bridge("six", 2) as net:
        for host in net.hosts:
            host.without_ipv4()
        pair = Pair(people, net)
        pair.start("alice")
        pair.start("bob")
        pair.delivers("bob", "alice", ARRIVES_S_MAX)
        pair.delivers("alice", "bob", ARRIVES_S_MAX)
        assert pair.stop("bob") == 0
        assert pair.stop("alice") == 0


@pytest.mark.parametrize("moves", ["alice", "bob"])
def test_an_address_changes(pair: Pair, moves: str) -> None:
    pair.hosts[moves].set_address("10.99.0.77")
    pair.delivers("alice", "bob", MENDS_S_MAX)
    pair.delivers("bob", "alice", MENDS_S_MAX)


@pytest.mark.parametrize("dies", ["alice", "bob"])
def test_a_process_is_killed_and_started_again(pair: Pair, dies: str) -> None:
    stays = "bob" if dies == "alice" else "alice"
    pair.kill(dies)
    pair.people.reads(stays, "send", dies, "while you were away")
    pair.start(dies)
    pair.until(lambda: pair.texts(dies).count("while you were away") == 1, MENDS_S_MAX)
    pair.delivers(dies, stays, MENDS_S_MAX)


@pytest.mark.parametrize("restarts", ["alice", "bob"])
def test_multicast_is_swallowed_and_one_starts_again(pair: Pair, restarts: str) -> None:
    # Who was met is remembered in the store, so the one that starts asks there by unicast.
    stays = "bob" if restarts == "alice" else "alice"
    pair.net.block_multicast()
    pair.kill(restarts)
    pair.start(restarts)
    pair.delivers(stays, restarts, MENDS_S_MAX)
    pair.delivers(restarts, stays, MENDS_S_MAX)


@pytest.mark.parametrize("moves", ["alice", "bob"])
def test_multicast_is_swallowed_and_an_address_changes(pair: Pair, moves: str) -> None:
    pair.net.block_multicast()
    pair.hosts[moves].set_address("10.99.0.77")
    pair.delivers("alice", "bob", MENDS_S_MAX)
    pair.delivers("bob", "alice", MENDS_S_MAX)


def test_who_was_only_ever_dialled_moves_and_asks_the_other(people: People) -> None:
    (people.home("alice") / "meshnode.toml").write_text('[links]\nstatic = ["10.99.0.2"]\n')
    with Bridge("dialled", 2) as net:
        net.block_multicast()
        for host in net.hosts:
            host.without_ipv6()
        pair = Pair(people, net)
        pair.start("alice")
        pair.start("bob")
        pair.delivers("bob", "alice", ARRIVES_S_MAX)
        pair.hosts["bob"].set_address("10.99.0.77")
        pair.delivers("alice", "bob", MENDS_S_MAX)


def test_multicast_is_swallowed_and_the_box_is_the_gateway(pair: Pair) -> None:
    # Alice has never met Bob at this address; it is her gateway, as a box's is on its own Wi-Fi.
    pair.net.block_multicast()
    pair.stop("alice")
    pair.stop("bob")
    pair.hosts["bob"].set_address("10.99.0.200")
    pair.hosts["alice"].set_address("10.99.0.77")
    pair.hosts["alice"].set_gateway("10.99.0.200")
    pair.start("bob")
    pair.start("alice")
    pair.delivers("alice", "bob", MENDS_S_MAX)
    pair.delivers("bob", "alice", MENDS_S_MAX)
