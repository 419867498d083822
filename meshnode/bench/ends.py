"""One end of a measured contact between two real nodes, run as a process of its own.

`receive HOME EXPECTED` listens, prints its port, and measures from the first byte of the second
contact until every expected bundle is committed; `send HOME PORT FILE` dials once to warm up, takes
in the bundles of FILE, dials again and measures until everything was acknowledged; `unload` does
the same, and prints each second what it believes to be left. `urgent` at the end of the arguments
also measures how long one SOS takes over the idle contact. Both ends print lines of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from meshnode.bench.floor import items_of, link_files
from meshnode.bench.meter import Meter
from meshnode.bench.network import WARM_UP, take_in
from meshnode.config import Settings
from meshnode.links.base import Address
from meshnode.links.manager import LinkManager
from meshnode.links.tcp import TCPBearer
from meshnode.links.tls import make_contexts
from meshnode.memory import calm_collector
from meshnode.node import Node, Surroundings
from meshnode.outbox import Priority, Writing
from meshnode.running import open_home
from meshnode.runtime import system_runtime
from protocol.bundle import Scope
from protocol.limits import TrafficClass

__all__ = ["main"]

_LOOP = "127.0.0.1"
_STEP_S = 0.05
"""The sender looks this often whether all is acknowledged: rarely, because looking costs CPU."""
_LINGER_S = 0.3
_GIVE_UP_S = 120
_SLOWEST_BUNDLES_S = 200
"""A machine that hands over fewer in a second is given up."""
_LOOK_S = 0.1
_ROW_BYTES_MIN = 100


class _End:
    """A node whose bearer is metered from a moment on."""

    def __init__(self, node: Node, home: Path, listen: tuple[Address, ...]) -> None:
        self.node = node
        self.meter = Meter()
        self.is_armed = False
        self.started = trio.Event()
        contexts = make_contexts(link_files(home), node.membership.root.anchors)
        node.bearer = TCPBearer(contexts, node.runtime, listen, wrap=self._count)

    def _count(self, stream: trio.SocketStream) -> trio.abc.Stream:
        """Start the clocks at the first contact after the warming up."""
        if not self.is_armed:
            return stream
        if not self.started.is_set():
            self.meter.start()
            self.started.set()
        return self.meter.count(stream)

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
    async with (
        open_home(home, Settings(), system_runtime()) as node,
        trio.open_nursery() as nursery,
    ):
        end = _End(node, home, (Address(_LOOP, 0),))
        before = end.held()
        (address,) = await nursery.start(node.run, Surroundings())
        with node.events.subscribe() as stored:
            _print(port=address.port)
            while end.held() < before + WARM_UP:
                await stored.next()
            end.is_armed = True
            _print(warm=WARM_UP)
            while end.held() < before + WARM_UP + expected:
                await stored.next()
            figures = end.meter.stop()
            if is_urgent:
                while not node.store.class_counts.get(TrafficClass.SOS):
                    await stored.next()
                figures["urgent_at"] = time.monotonic()
        # The last acknowledgement leaves before this end goes.
        await trio.sleep(_LINGER_S)
        _print(**figures)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _handing_over(home: Path, port: int, rows: Path) -> AsyncIterator[tuple[_End, int]]:
    """Give an end that begins to hand over so many bundles, to whom it has met before."""
    raws = items_of(bytearray(rows.read_bytes()))
    async with open_home(home, Settings(), system_runtime()) as node:
        end = _End(node, home, ())
        async with node.working() as nursery:
            first = await _dialling(nursery, end, port)
            await end.until_acknowledged(WARM_UP)
            await first.stop()
            await take_in(node, raws)
            # The other end has noticed meanwhile that the first contact is over.
            end.is_armed = True
            await _dialling(nursery, end, port)
            yield end, len(raws)
            await trio.sleep(_LINGER_S)


async def _unload(home: Path, port: int, rows: Path) -> None:
    async with _handing_over(home, port, rows) as (end, count):
        await end.started.wait()
        async with trio.open_nursery() as looking:
            looking.start_soon(_tell, end.node)
            await end.until_acknowledged(count)
            figures = end.meter.stop()
            looking.cancel_scope.cancel()
        _print(**figures)


async def _tell(node: Node) -> None:
    """Print now and then what is left, as `meshnode unload` shows it."""
    while True:
        for port in node.unloading.look():
            seconds = port.seconds_left
            if port.is_counted and seconds is not None:
                at_s = time.monotonic()
                _print(at=at_s, done=port.done, left=port.left, seconds_left=seconds)
        await trio.sleep(_LOOK_S)


async def _send(home: Path, port: int, rows: Path, is_urgent: bool) -> None:
    async with _handing_over(home, port, rows) as (end, count):
        await end.until_acknowledged(count)
        figures = end.meter.stop()
        if is_urgent:
            await trio.sleep(_LINGER_S)
            figures["urgent_from"] = time.monotonic()
            scope = Scope.for_zone(end.node.identity.zone)
            await end.node.outbox.send(Writing(scope, "SOS", Priority.SOS))
        _print(**figures)


async def _dialling(nursery: trio.Nursery, end: _End, port: int) -> LinkManager:
    """Return a manager that dials the other end, over the rooms that are at work already."""
    node = end.node
    static = [Address(_LOOP, port)]
    manager = LinkManager(node.identity.node, node.relay, node.bearer, node.runtime, static=static)
    await nursery.start(partial(manager.run, is_serving=False))
    return manager


def _print(**fields: float) -> None:
    print(json.dumps(fields), flush=True)  # noqa: T201 - the protocol with the parent


def main(arguments: list[str]) -> None:
    """Run one end; see the module."""
    role, home, *rest = arguments
    is_urgent = rest[-1:] == ["urgent"]

    calm_collector()

    is_end = role == "receive"
    bundles = int(rest[0]) if is_end else Path(rest[1]).stat().st_size // _ROW_BYTES_MIN

    async def bounded() -> None:
        with trio.fail_after(_GIVE_UP_S + bundles / _SLOWEST_BUNDLES_S):
            if role == "unload":
                await _unload(Path(home), int(rest[0]), Path(rest[1]))
            elif is_end:
                await _receive(Path(home), int(rest[0]), is_urgent)
            else:
                await _send(Path(home), int(rest[0]), Path(rest[1]), is_urgent)

    trio.run(bounded)


if __name__ == "__main__":
    main(sys.argv[1:])
