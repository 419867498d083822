"""Of two bearers to one peer the cheaper one keeps the session, whichever came first."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from meshnode.links.base import LinkCost
from meshnode.links.contacts import Hint
from meshnode.links.memory import MemoryNetwork
from tests.meshnode.links.test_manager import Node, place, running


@pytest.mark.parametrize("first", ["cheap", "dear"])
async def test_of_two_bearers_the_cheaper_one_stays(autojump_clock: MockClock, first: str) -> None:
    """The smaller id dials over the dear one, so that the usual rule would keep that."""
    world = MemoryNetwork()
    a, b = Node(world, "a"), Node(world, "b")
    a.bearer.dialled_cost = b.bearer.answered_cost = LinkCost.METERED

    async def dial(which: str) -> None:
        node, peer = (b, "a") if which == "cheap" else (a, "b")
        await node.hints.send(Hint(peer, (place(peer),)))
        await trio.sleep(60)

    async with running(a, b):
        await dial(first)
        await dial("dear" if first == "cheap" else "cheap")
        for node in (a, b):
            (session,) = node.manager.sessions
            assert session.link.cost is LinkCost.FREE
