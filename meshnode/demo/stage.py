"""The devices as real processes: enrolled homes, nodes started, killed and stopped.

Everything that is started here is ended here, by its own process number, whatever happens.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import trio

from meshnode.authority_home import AuthorityHome
from meshnode.client import RemoteApi
from meshnode.demo.cast import NETWORK, Device
from meshnode.demo.network import Network
from meshnode.demo.readings import settings_of, write_readings
from meshnode.enrol import Pending, make_home, read_invitation
from meshnode.enrolled import complete, request_for
from meshnode.errors import ControlError
from meshnode.files import write_private
from meshnode.home import Home
from meshnode.lines import connect
from meshnode.runtime import Runtime
from meshnode.vault.wrapping import AgentCost
from protocol.armour import TextForm, armour
from protocol.errors import MeshError
from protocol.identity import DeviceClass

__all__ = ["NodeFailedError", "NodeProcess", "Stage", "command_line", "enrol_all"]

_PROGRAM: Final = "from meshnode.cli.main import main; main()"
_START_S_MAX: Final = 25.0
"""A node on two busy cores; seven start at the same time."""
_STOP_S_MAX: Final = 5.0
_POLL_S: Final = 0.05
_WATCH_S: Final = 0.25
_TAIL_LINES: Final = 8
_CARRIED: Final = frozenset({DeviceClass.PHONE, DeviceClass.TABLET})
"""Devices that somebody must unlock; the others start alone."""
_GUESS: Final = AgentCost(memory_kib=1_024, iterations=1, lanes=1)
"""The secret is 128 random bits and gone with the demonstration: a guess need not be dear."""


class NodeFailedError(MeshError):
    """A node ended, or did not start; the message ends with what it said last."""


def command_line(home: Path) -> list[str]:
    """Return the start of any `meshnode` command for the node in `home`."""
    return [sys.executable, "-c", _PROGRAM, "--home", str(home)]


# --- enrolment -----------------------------------------------------------------------------------


async def enrol_all(folder: Path, cast: Sequence[Device], runtime: Runtime, secret: str) -> None:
    """Make an authority and enrol every device, each with the newest rosters. Takes a second.

    Phones and tablets are opened by `secret` from now on, all others start alone.

    Raises: AuthorityError, EnrolmentError, HomeError, StoreError.
    """
    passphrase = runtime.entropy(16).hex()
    office = folder / "authority"
    office.mkdir(mode=0o700)
    now_ms = runtime.now_ms()
    await runtime.run_blocking(
        # 128 random bits need no stretching.
        partial(AuthorityHome.create, scrypt_cost=2),
        office,
        passphrase,
        NETWORK,
        now_ms,
        runtime.entropy,
    )
    with AuthorityHome.open(office, passphrase, runtime.entropy) as authority:
        requests: dict[str, Pending] = {}
        for each in cast:
            invitation = authority.invite(each.name, each.role, each.kind, each.squads, now_ms)
            text = armour(TextForm.INVITATION, invitation.encode())
            make_home(folder / each.name)
            read = read_invitation(text, now_ms)
            own = secret if each.kind in _CARRIED else None
            requests[each.name] = await request_for(
                folder / each.name, read, runtime, own, cost=_GUESS
            )
            authority.issue(requests[each.name].text, now_ms)
        for name, request in requests.items():
            # Asked again now, the answer holds the rosters with everybody, and all prekeys.
            answer = authority.answer_again(request.text, now_ms)
            assert answer is not None, "it is the very request that was granted above"
            text = armour(TextForm.ANSWER, answer.encode())
            await complete(folder / name, text, runtime, secret)


# --- one node ------------------------------------------------------------------------------------


class NodeProcess:
    """The node of one device: its home, and its process while it runs."""

    def __init__(self, name: str, home: Path, prefix: Sequence[str], secret: str = "") -> None:
        self.name = name
        self.home = home
        self._prefix = tuple(prefix)
        self._secret = secret
        self._process: trio.Process | None = None

    @property
    def has_failed(self) -> bool:
        """True if the process ended though nobody here ended it."""
        return self._process is not None and self._process.poll() is not None

    async def start(self) -> None:
        """Start the node; returns once it answers. Raises: NodeFailedError."""
        command = [*self._prefix, *command_line(self.home), "run"]
        with (self.home / "output.txt").open("ab") as output:
            # Its own session: Ctrl-C is for the demonstration, which then stops the nodes.
            self._process = await trio.lowlevel.open_process(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, "MESHNODE_SECRET": self._secret},
            )
        with trio.move_on_after(_START_S_MAX):
            while self._process.poll() is None:
                lines = await connect(Home(self.home).control_socket)
                if lines is not None:
                    await lines.aclose()
                    return
                await trio.sleep(_POLL_S)
        raise self.failure("did not start")

    def failure(self, what: str) -> NodeFailedError:
        """Return an error with the last words of the node."""
        code = None if self._process is None else self._process.poll()
        ended = "" if code is None else f" (it ended with code {code})"
        return NodeFailedError(f"the node of {self.name} {what}{ended}{_last_words(self.home)}")

    @asynccontextmanager
    async def line(self) -> AsyncIterator[RemoteApi]:
        """Give a connection to the running node. Raises: NodeFailedError."""
        lines = await connect(Home(self.home).control_socket)
        if lines is None:
            raise self.failure("does not answer")
        try:
            yield RemoteApi(lines)
        except ControlError as error:
            if await self._has_ended():
                raise self.failure("ended by itself") from error
            raise
        finally:
            with trio.CancelScope(shield=True):
                await lines.aclose()

    async def _has_ended(self) -> bool:
        """True if the process is ending though nobody here ended it."""
        process = self._process
        with trio.move_on_after(_STOP_S_MAX):
            if process is not None:
                await process.wait()
        return self.has_failed

    async def stop(self) -> None:
        """Ask the process to end, and end it if it does not; returns when it is gone."""
        await self._end(signal.SIGTERM)

    async def cut_power(self) -> None:
        """End the process at once, without a chance to tidy up (kill -9)."""
        await self._end(signal.SIGKILL)

    async def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with trio.CancelScope(shield=True):
            # It may have ended by itself meanwhile.
            with suppress(ProcessLookupError):
                process.send_signal(how)
            with trio.move_on_after(_STOP_S_MAX) as waiting:
                await process.wait()
            if waiting.cancelled_caught:
                process.kill()
                await process.wait()


def _last_words(home: Path) -> str:
    found = []
    for name in ("trace.jsonl", "output.txt"):
        path = home / name
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        found += [f"\n  {name}: {line}" for line in lines[-_TAIL_LINES:]]
    return "".join(found)


# --- all of them ---------------------------------------------------------------------------------


class Stage:
    """All nodes, and the network between them."""

    def __init__(self, folder: Path, cast: Sequence[Device], network: Network, secret: str) -> None:
        self.folder = folder
        self.network = network
        self.secret = secret
        self.nodes = {
            each.name: NodeProcess(
                each.name, folder / each.name, network.command(each.name), secret
            )
            for each in cast
        }
        for name, node in self.nodes.items():
            settings = network.settings(name) + settings_of(name)
            write_private(node.home / "meshnode.toml", settings.encode())
            write_readings(node.home, name)

    async def start(self) -> None:
        """Start all nodes at the same time. Raises: NodeFailedError."""
        async with trio.open_nursery() as nursery:
            for node in self.nodes.values():
                nursery.start_soon(node.start)

    async def stop(self) -> None:
        """Stop all nodes at the same time; those that do not run do not matter."""
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                for node in self.nodes.values():
                    nursery.start_soon(node.stop)

    async def watch(self) -> None:
        """Look after the nodes until cancelled. Raises: NodeFailedError once one has ended."""
        while True:
            for node in self.nodes.values():
                if node.has_failed:
                    raise node.failure("ended by itself")
            await trio.sleep(_WATCH_S)

    async def port_of(self, name: str) -> int:
        """Return the port on which a node says that it listens. Raises: OSError if it is off."""
        try:
            async with self.nodes[name].line() as api:
                return int((await api.status())["listening"][0].rpartition(":")[2])
        except (ControlError, NodeFailedError, IndexError) as error:
            raise ConnectionRefusedError(f"{name} is off") from error

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start all nodes, and stop them when the block is left, however it is left."""
        try:
            await self.start()
            yield
        finally:
            await self.stop()
