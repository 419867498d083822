"""How many sessions a manager keeps, and what becomes of whoever comes beyond."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from meshnode.links.memory import MemoryNetwork
from tests.meshnode.links.test_manager import Node, running, until


async def test_whoever_comes_beyond_the_bound_is_refused_and_let_in_later(
    autojump_clock: MockClock,
) -> None:
    world = MemoryNetwork()
    a, b, c = Node(world, "a"), Node(world, "b", ["a"]), Node(world, "c", ["a"])
    a.manager.sessions_max = 1
    async with running(a), running(b):
        await until(lambda: a.peers == ["b"])
        async with running(c):
            await until(lambda: any(event == "session_refused" for event, _ in a.traced))
            await trio.sleep(10)
            assert a.peers == ["b"]
            a.manager.sessions_max = 2
            await until(lambda: a.peers == ["b", "c"], step_s=1)
