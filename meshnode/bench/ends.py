"""One end of a measured contact between two real nodes, run as a process of its own.

`receive HOME EXPECTED` listens, prints its port, and measures from the first byte of the contact
until every expected bundle is committed and acknowledged; `send HOME PORT EXPECTED` dials and
measures until everything was acknowledged. Each prints one line of JSON. `urgent` at the end of
the arguments measures instead how long one SOS takes over the idle contact.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import trio

from meshnode.bench.meter import Meter
from meshnode.config import Settings
from meshnode.links.base import Address
from meshnode.links.tcp import TCPBearer
from meshnode.links.tls import TLSFiles, make_contexts
from meshnode.node import Node, Surroundings
from meshnode.outbox import Priority, Writing
from meshnode.running import open_home
from meshnode.runtime import system_runtime
from protocol.bundle import Scope
from protocol.limits import TrafficClass

__all__ = ["main"]

_LOOP = "127.0.0.1"
_STEP_S = 0.001
_GIVE_UP_S = 120


class _End:
    """A node with a metered bearer."""

    def __init__(self, node: Node, home: Path, listen: tuple[Address, ...]) -> None:
        self.node = node
        self.meter = Meter()
        self._started = trio.Event()
        contexts = make_contexts(TLSFiles.in_home(home), node.membership.root.anchors)
        node.bearer = TCPBearer(contexts, node.runtime, listen, wrap=self._count)

    def _count(self, stream: trio.SocketStream) -> trio.abc.Stream:
        """Start the clocks at the first contact."""
        if not self._started.is_set():
            self.meter.start()
            self._started.set()
        return self.meter.count(stream)

    async def wait_started(self) -> None:
        await self._started.wait()

    def held(self) -> int:
        return sum(self.node.store.class_counts.values())

    async def until_acknowledged(self, expected: int) -> None:
        """Wait until a session has sent so many bundles and none is on its way."""
        while True:
            for handle in self.node.relay.sessions.values():
                if handle.stats.bundles_sent >= expected and handle.is_quiet:
                    return
            await trio.sleep(_STEP_S)


async def _receive(home: Path, expected: int, is_urgent: bool) -> None:
    async with open_home(home, Settings(), system_runtime()) as node:
        end = _End(node, home, (Address(_LOOP, 0),))
        before = end.held()
        async with trio.open_nursery() as nursery:
            (address,) = await nursery.start(node.run, Surroundings())
            _print(port=address.port)
            await end.wait_started()
            with node.events.subscribe() as stored:
                while end.held() < before + expected:
                    await stored.next()
                figures = end.meter.stop()
                if is_urgent:
                    while not node.store.class_counts.get(TrafficClass.SOS):
                        await stored.next()
                    figures["urgent_at"] = time.monotonic()
            # The last acknowledgement leaves before this end goes.
            await trio.sleep(0.2)
            _print(**figures, stored=end.held() - before)
            nursery.cancel_scope.cancel()


async def _send(home: Path, port: int, expected: int, is_urgent: bool) -> None:
    async with open_home(home, Settings(), system_runtime()) as node:
        end = _End(node, home, ())
        surroundings = Surroundings(static=(Address(_LOOP, port),), is_serving=False)
        async with trio.open_nursery() as nursery:
            await nursery.start(node.run, surroundings)
            await end.until_acknowledged(expected)
            figures = end.meter.stop()
            if is_urgent:
                await trio.sleep(0.5)
                figures["urgent_from"] = time.monotonic()
                scope = Scope.for_zone(node.identity.zone)
                await node.outbox.send(Writing(scope, "SOS", Priority.SOS))
            _print(**figures)
            await trio.sleep(0.5)
            nursery.cancel_scope.cancel()


def _print(**fields: float) -> None:
    print(json.dumps(fields), flush=True)  # noqa: T201 - the protocol with the parent


def main(arguments: list[str]) -> None:
    """Run one end; see the module."""
    role, home, *rest = arguments
    is_urgent = rest[-1:] == ["urgent"]
    numbers = [int(each) for each in rest if each != "urgent"]

    async def bounded() -> None:
        with trio.fail_after(_GIVE_UP_S):
            if role == "receive":
                await _receive(Path(home), numbers[0], is_urgent)
            else:
                await _send(Path(home), numbers[0], numbers[1], is_urgent)

    trio.run(bounded)


if __name__ == "__main__":
    main(sys.argv[1:])
