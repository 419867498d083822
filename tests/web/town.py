"""A small network of real processes for tests of the screens: an operations centre and a squad.

The operator's node listens, the agents dial it: three processes on the loopback.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from meshnode import authority_keys
from meshnode.vault import wrapping
from tests.environment import unmeasured
from tests.meshnode.cli.people import People, Screen
from tests.meshnode.enrolling import CHEAP
from tests.patience import STARTS_S_MAX

__all__ = ["CENTRE", "SECRET", "Town", "town_at"]

CENTRE = "codt-gap"
"""The operator's node."""
SECRET = "five other ordinary words here"
ENDS_S_MAX = 60.0
"""From a signal, or the end of an enrolment, to the end of the process, beside others; seconds."""
_LISTENING = re.compile(r"listening on (127\.0\.0\.1:\d+)")


@contextmanager
def _speaking() -> Iterator[None]:
    """Have the secrets of everybody and cheap guesses, for one command and no longer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MESHNODE_PASSPHRASE", "five quite ordinary words here")
        patch.setenv("MESHNODE_CARD_PASSPHRASE", "five quite ordinary words here")
        patch.setenv("MESHNODE_SECRET", SECRET)
        patch.setenv("LC_ALL", "C")
        patch.setenv("TERM", "dumb")
        patch.setattr(authority_keys, "SCRYPT_COST", 2)
        patch.setattr(wrapping, "AGENT_COST", CHEAP)
        yield


@dataclass
class Town:
    """Homes and the processes that run them."""

    people: People
    """Types the commands."""
    hub: str
    """Who listens."""
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    """Nodes that run, by name."""
    address: str = ""
    """Where the hub listens."""
    web_port: int = 0
    """Where screens are served; 0 takes any free port, another one at each start."""
    starts: int = 0
    """How often a node was started."""

    def start(self, *names: str) -> None:
        """Run the nodes of these homes, and wait until they are there and serve their screens."""
        logs = [self._start(name) for name in names]
        for log in logs:
            self.until(lambda log=log: _is_there(log.read_text()), STARTS_S_MAX)  # type: ignore[misc]
            found = _LISTENING.search(log.read_text())
            assert found is not None
            self.address = self.address or found[1]

    def _start(self, name: str) -> Path:
        static = "" if name == self.hub else f'"{self.address}"'
        (self.people.home(name) / "meshnode.toml").write_text(
            f'[links]\nlisten = ["127.0.0.1:0"]\nstatic = [{static}]\n'
            "[discovery]\nmdns = false\nprobe = false\n"
            f'[web]\nlisten = "127.0.0.1:{self.web_port}"\n'
            # The town lives as long as the tests of all files do, which is longer than a pause.
            "[security]\nauto_lock_s = 0\n"
        )
        # The centre's node archives what it takes in.
        return self._run(name, *(("gateway", "run") if name == CENTRE else ("run",)))

    def _run(self, name: str, *words: str) -> Path:
        """Start a command that goes on beside the tests; return where it writes."""
        self.starts += 1
        log = self.people.folder / f"{self.starts} {name}.log"
        command = [sys.executable, "-m", "meshnode", "--home", str(self.people.home(name)), *words]
        with log.open("ab") as out:
            self.running[name] = subprocess.Popen(
                command,
                stdout=out,
                stderr=out,
                env=unmeasured(PYTHONPATH=os.getcwd(), MESHNODE_SECRET=SECRET, LC_ALL="C"),
            )
        return log

    def stop(self, name: str) -> None:
        """Stop a node as Ctrl-C does."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(ENDS_S_MAX)
        finally:
            process.kill()

    def stop_all(self) -> None:
        """Stop every node that was started here, also after one that does not end."""
        with ExitStack() as stack:
            for name in self.running:
                stack.callback(self.stop, name)

    def json(self, name: str, *words: str) -> Any:
        """Type a command beside a node and read what it says."""
        with _speaking():
            return self.people.json(name, *words)

    def tries(self, name: str, *words: str) -> Screen:
        """Type a command beside a node, whatever comes of it."""
        with _speaking():
            return self.people.types(name, *words)

    def enrol(self, name: str, role: str, *squads: str) -> None:
        """Have the centre enrol one more device, which is not started."""
        with _speaking():
            self.people.enrol(name, role, *squads)

    def request(self, name: str) -> tuple[str, str]:
        """Have a new device ask to be enrolled; return its six digits and its request."""
        asked = ("--name", name, "--role", "relay", "--device", "box")
        invitation = self.json("hq", "authority", "invite", *asked)["invitation"]
        with _speaking():
            self.people.reads(name, "init")
        found = self.json(name, "enrol", invitation)
        return str(found["code"]), str(found["request"])

    @contextmanager
    def enrolling(self, name: str) -> Iterator[str]:
        """Give the address of the screens of a device that is enrolled in this block.

        Their process ends by itself with the enrolment.
        """
        with _speaking():
            self.people.reads(name, "init")
        (self.people.home(name) / "meshnode.toml").write_text('[web]\nlisten = "127.0.0.1:0"\n')
        log = self._run(name, "web", "enrol")
        # No node of the town: nobody else asks it for anything.
        process = self.running.pop(name)
        try:
            self.until(lambda: "#key=" in log.read_text(), STARTS_S_MAX)
            yield next(word for word in log.read_text().split() if "#key=" in word)
            assert process.wait(ENDS_S_MAX) == 0, self.logs()
        finally:
            process.kill()

    def url(self, name: str) -> str:
        """Return an address that signs one browser in."""
        return str(self.json(name, "web", "open")["url"])

    def until(self, condition: Callable[[], bool], within_s: float) -> None:
        """Wait until something holds; fails with the logs of the nodes."""
        until_s = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < until_s, self.logs()
            time.sleep(0.1)

    def logs(self) -> str:
        """Return the ends of what the nodes wrote."""
        files = sorted(self.people.folder.glob("*.log"))
        return "\n".join(f"{file.name}: {file.read_text()[-2_000:]}" for file in files)


@contextmanager
def town_at(
    folder: Path, agents: Sequence[str], squad: str = "Queyras", web_port: int = 0
) -> Iterator[Town]:
    """Found a network in `folder`, start its nodes, and end them when the block is left."""
    people = People(folder)
    with _speaking():
        people.reads("hq", "authority", "init", "--network", "Alpes", "--zone", "5")
        people.enrol(CENTRE, "operator")
        for name in agents:
            people.enrol(name, "agent", squad)
    town = Town(people, CENTRE, web_port=web_port)
    try:
        town.start(CENTRE)
        town.start(*agents)
        town.until(lambda: _have_met(town, agents), STARTS_S_MAX)
        yield town
    finally:
        town.stop_all()


def _is_there(log: str) -> bool:
    """True once a node serves its screens and answers commands, which it says in either order."""
    return "screens: " in log and _LISTENING.search(log) is not None


def _have_met(town: Town, agents: Sequence[str]) -> bool:
    """True once every agent has what an SOS and its mates need."""
    ready = [town.json(name, "check", "--hours", "1")["checks"] for name in agents]
    return all(
        each["level"] == "ok"
        for found in ready
        for each in found
        if each["name"] in ("sos", "mates")
    )
