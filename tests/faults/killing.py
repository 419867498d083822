"""Runs a world of real nodes and kills them again and again; prints one line of JSON at the end.

One process that starts no thread: it imports everything once and forks each node, so that a
restart costs a fifth of a second. `python -m tests.faults.killing FOLDER SEED KILLS` expects the
enrolled homes of `CAST` in FOLDER. Every kill is followed by a look at what the dead node must
have on its disk, before it is started again.
"""

from __future__ import annotations

import gc
import json
import os
import random
import select
import signal
import socket
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, NoReturn

import trio

from meshnode.config import DiscoverySettings, LinkSettings, Settings, WebSettings
from meshnode.demo.cast import Device
from meshnode.enrol import load_identity, open_keys
from meshnode.running import Access, run_home
from meshnode.runtime import system_runtime
from protocol.guards import QUOTA_HOUR_SOS
from protocol.identity import DeviceClass, Role
from protocol.ids import NodeId
from tests.faults.claims import open_work, unkept, unsettled
from tests.meshnode.enrolling import SECRET

__all__ = ["CAST", "SQUAD", "TARGETS", "WRITERS", "World", "node_of"]

SQUAD: Final = "Queyras"
CAST: Final = (
    Device("author", Role.AGENT, DeviceClass.PHONE, (SQUAD,)),
    Device("vehicle", Role.RELAY, DeviceClass.BOX),
    Device("reader", Role.AGENT, DeviceClass.PHONE, (SQUAD,)),
    Device("gateway", Role.GATEWAY, DeviceClass.SERVER),
)
"""All meet the vehicle alone."""
WRITERS: Final = ("author", "author", "author", "reader")
"""Who writes, as often as named."""
TARGETS: Final = (f"squad:{SQUAD}", "codt", "reader", "author", "gateway", "sos zone", "sos codt")
_HUB: Final = "vehicle"
_WINDOW_S: Final = 0.4
"""Kills come at any moment of this long after a contact began."""
_SOON_S: Final = 0.01
_MOMENT_S_MAX: Final = 1.0
_START_S_MAX: Final = 30.0
_SETTLE_S_MAX: Final = 60.0
_STEP_S: Final = 0.005
_ALL: Final = tuple(each.name for each in CAST)
_MOMENTS: Final = {
    "any time": ("", _WINDOW_S, 2, _ALL),
    "contact": ("peer_up", _WINDOW_S, 4, _ALL),
    "bundle stored": ("bundles_stored", _SOON_S, 2, _ALL),
    "message arrived": ("message_arrived", _SOON_S, 1, ("author", "reader", "gateway")),
    "acknowledged or receipted": ("message_changed", _SOON_S, 2, ("author", "reader")),
}
"""What is waited for, how long after it at most, how often it is chosen, and whom it can hit."""


class _Lines:
    """A control connection that never makes the world wait."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise
        self._buffer = b""

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, **request: object) -> bool:
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError:
            return False
        return True

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield every whole line that is here."""
        while select.select([self._socket], [], [], 0)[0]:
            try:
                data = self._socket.recv(65_536)
            except OSError:
                break
            if not data:
                break
            self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        yield from map(json.loads, lines)

    def close(self) -> None:
        self._socket.close()


class _Node:
    """One node: its home, its process, what it said."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.home = Path(name)
        self.address = address
        self.node = node_of(self.home)
        self.process = 0
        self.calls: _Lines | None = None
        self.events: _Lines | None = None
        self.seen: Counter[str] = Counter()
        self.arrived: set[str] = set()
        self.sent: set[str] = set()
        self.refused: list[str] = []

    @property
    def store(self) -> Path:
        return self.home / "store.sqlite"

    def connect(self) -> bool:
        """Connect to the control socket if it answers; True once there are both connections."""
        if self.events is not None:
            return True
        with suppress(OSError):
            calls = _Lines(f"{self.name}/control.sock")
            self.calls, self.events = calls, _Lines(f"{self.name}/control.sock")
            self.events.send(id=0, method="follow")
        return self.events is not None

    def listen(self) -> None:
        """Take in what it said."""
        for lines in (self.calls, self.events):
            for said in () if lines is None else lines.read():
                if "event" in said:
                    self._note(said["event"])
                elif "error" in said:
                    self.refused.append(said["error"]["message"])
                elif said["id"] > 0:
                    self.sent.add(said["result"]["message"])

    def _note(self, event: dict[str, Any]) -> None:
        self.seen[event["event"]] += 1
        if event["event"] == "message_arrived":
            self.arrived.add(event["message"])

    def hang_up(self) -> None:
        for lines in (self.calls, self.events):
            if lines is not None:
                lines.close()
        self.calls = self.events = None


def node_of(home: Path) -> NodeId:
    """Return who lives in a home."""
    return load_identity(home, open_keys(home, system_runtime()).open_vault()).node


class World:
    """Four nodes, whoever writes, and whoever kills."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.nodes = {each.name: _Node(each.name, _free_address()) for each in CAST}
        self.written: list[tuple[str, str, str]] = []
        self._alarms = Counter[str]()
        self.moments: Counter[str] = Counter()
        self.faults: list[str] = []
        self._lifeline, self._lifeline_end = os.pipe()

    def run(self, kills: int) -> dict[str, Any]:
        """Kill `kills` times, let everything settle, and return what was seen."""
        try:
            for node in self.nodes.values():
                self._start(node)
            for _ in range(kills):
                self._write_some()
                self._kill_one()
            settled_s = self._settle()
            shown = {name: self._shown(node) for name, node in self.nodes.items()}
        finally:
            for node in self.nodes.values():
                self._kill(node)
        return {
            "written": self.written,
            "taken": {name: sorted(node.sent) for name, node in self.nodes.items()},
            "shown": shown,
            "moments": dict(self.moments),
            "faults": self.faults,
            "settled_s": round(settled_s, 1),
        }

    # --- processes --------------------------------------------------------------------------

    def _start(self, node: _Node) -> None:
        hub = self.nodes[_HUB]
        others = [each for each in self.nodes.values() if each is not node]
        static = [each.address for each in (others if node is hub else [hub])]
        node.process = os.fork()
        if not node.process:
            _be(node.home, node.address, static, self._lifeline)
        node.seen.clear()

    def _kill(self, node: _Node) -> None:
        """End the process as a power cut does, and take in its last words."""
        if not node.process:
            return
        with suppress(ProcessLookupError):
            os.kill(node.process, signal.SIGKILL)
        _process, status = os.waitpid(node.process, 0)
        node.process = 0
        node.listen()
        node.hang_up()
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            words = (node.home / "output.txt").read_text()[-2_000:]
            self.faults.append(f"{node.name} ended by itself: {words}")

    def _kill_one(self) -> None:
        weights = [weight for _event, _within_s, weight, _names in _MOMENTS.values()]
        (moment,) = self.chance.choices(list(_MOMENTS), weights)
        event, within_s, _weight, names = _MOMENTS[moment]
        victim = self.nodes[self.chance.choice(names)]
        if event:
            before = victim.seen[event] if event != "peer_up" else 0
            # The time that a node takes to start is no time in which nothing happens to it.
            self._until(victim.connect, _START_S_MAX)
            if not self._until(lambda: victim.seen[event] > before, _MOMENT_S_MAX):
                moment = "nothing happened"
        self._until(lambda: False, self.chance.uniform(0, within_s))
        self._kill(victim)
        self.moments[moment] += 1
        others = {each.name: each.store for each in self.nodes.values() if each is not victim}
        found = unkept(victim.store, victim.node, others, victim.arrived, victim.sent)
        self.faults += [f"{victim.name}, killed at '{moment}', had not: {each}" for each in found]
        self._start(victim)

    # --- people -----------------------------------------------------------------------------

    def _write_some(self) -> None:
        """Ask for some messages, and do not wait for the answers."""
        for _ in range(self.chance.randint(1, 4)):
            node = self.nodes[self.chance.choice(WRITERS)]
            if not self._until(node.connect, _START_S_MAX) or node.calls is None:
                self.faults.append(f"{node.name} did not start")
                return
            target = self.chance.choice([each for each in TARGETS if each != node.name])
            if target.startswith("sos ") and self._alarms[node.name] >= QUOTA_HOUR_SOS:
                # Others take no more of it within one hour.
                target = "codt"
            self._alarms[node.name] += target.startswith("sos ")
            number = len(self.written) + 1
            text = f"{node.name} {number} to {target}"
            is_sos = target.startswith("sos ")
            params = {"to": target.removeprefix("sos "), "text": text, "sos": is_sos}
            if node.calls.send(id=number, method="send", params=params):
                self.written.append((node.name, target, text))

    def _until(self, condition: Callable[[], bool], within_s: float) -> bool:
        """Listen to everybody until `condition` holds; False if it does not within a time."""
        end_s = time.monotonic() + within_s
        while True:
            for node in self.nodes.values():
                node.connect()
                node.listen()
            if condition():
                return True
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                return False
            ears = [node.events for node in self.nodes.values() if node.events is not None]
            select.select(ears, [], [], min(left_s, _STEP_S))

    # --- the end ----------------------------------------------------------------------------

    def _settle(self) -> float:
        """Leave everybody alone until there is nothing to do; return how long it took."""
        started_s = time.monotonic()
        paths = {name: node.store for name, node in self.nodes.items()}
        for name, node in self.nodes.items():
            if not self._until(node.connect, _START_S_MAX):
                self.faults.append(f"{name} did not start")
        while time.monotonic() - started_s < _SETTLE_S_MAX:
            self._until(lambda: False, 0.2)
            if not unsettled(paths):
                return time.monotonic() - started_s
        self.faults += [
            f"{name} still has {open_work(path)} after {_SETTLE_S_MAX:.0f} s"
            for name, path in paths.items()
            if open_work(path)
        ]
        return time.monotonic() - started_s

    def _shown(self, node: _Node) -> list[list[str]]:
        """Return (id, text) of everything that the running node shows as received."""
        shown: list[list[str]] = []
        after = 0
        with closing(_Lines(f"{node.name}/control.sock")) as lines:
            while True:
                lines.send(id=1, method="inbox", params={"after": after, "limit": 200})
                answers: list[dict[str, Any]] = []
                while not answers:
                    assert select.select([lines], [], [], _START_S_MAX)[0], "no answer"
                    answers = list(lines.read())
                page = answers[0]["result"]
                if not page:
                    return shown
                shown += [[each["message"], each["text"]] for each in page]
                after = page[-1]["key"]


def _free_address() -> str:
    """Return an address of this machine on which nobody listens."""
    # Connections to a peer start from 127.0.0.1, so they never take this port.
    host = f"127.{os.getpid() % 250 + 1}.0.{random.randint(2, 250)}"
    with socket.socket() as probe:
        probe.bind((host, 0))
        return f"{host}:{probe.getsockname()[1]}"


def _be(home: Path, address: str, static: list[str], lifeline: int) -> NoReturn:
    """Be a node until killed, or until the world that forked it is gone."""
    try:
        output = os.open(home / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(lifeline, 0)
        # Connections of the world to other nodes, the other end of the lifeline among them.
        os.closerange(3, 1_024)
        settings = Settings(
            links=LinkSettings(listen=(address,), static=tuple(static)),
            discovery=DiscoverySettings(mdns=False, probe=False),
            web=WebSettings(listen=""),
        )
        trio.run(_run, home, settings)
    finally:
        # Whatever ended it: the child of a fork must not go on as its parent.
        traceback.print_exc()
        os._exit(70)


async def _run(home: Path, settings: Settings) -> None:
    def trace(event: str, /, **fields: object) -> None:
        print(time.monotonic(), event, fields, flush=True)

    async with trio.open_nursery() as nursery:
        access = Access(lambda: SECRET)
        nursery.start_soon(run_home, home, settings, system_runtime(trace), access)
        await trio.lowlevel.wait_readable(0)
        nursery.cancel_scope.cancel()


def _main(folder: str, seed: int, kills: int) -> None:
    os.chdir(folder)
    world = World(seed)
    # What is here now is shared with every node to come; it is not worth looking through again.
    gc.freeze()
    print(json.dumps(world.run(kills)))


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
