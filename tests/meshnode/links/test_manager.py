"""Who is dialled, when, and how many sessions are left: whole nodes on a memory network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from meshnode.errors import LinkClosedError, LinkError
from meshnode.links.base import Address, Link, LinkCost, LinkHandler
from meshnode.links.contacts import Hint
from meshnode.links.manager import LinkManager
from meshnode.links.memory import MemoryBearer, MemoryNetwork, Shape
from meshnode.links.session_handle import SessionStats
from protocol.errors import CloseCode
from protocol.limits import (
    SESSIONS_UNADMITTED_MAX,
    Kind,
)
from tests.meshnode.links.fake_host import FakeHost, container
from tests.meshnode.links.parts import runtime


def place(name: str) -> Address:
    return Address(name, 7445)


class CountingBearer(MemoryBearer):
    """Remembers when it dialled."""

    dials: list[tuple[float, Address]]
    links: list[Link]
    dialled_cost = answered_cost = LinkCost.FREE

    async def dial(self, address: Address) -> Link:
        self.dials.append((trio.current_time(), address))
        link = await super().dial(address)
        link.cost = self.dialled_cost
        self.links.append(link)
        return link

    async def serve(
        self,
        handler: LinkHandler,
        *,
        task_status: trio.TaskStatus[tuple[Address, ...]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        async def handle(link: Link) -> None:
            link.cost = self.answered_cost
            await handler(link)

        await super().serve(handle, task_status=task_status)


class Node:
    """A manager with its host, on a memory network."""

    def __init__(
        self, world: MemoryNetwork, name: str, static: Sequence[str] = (), number: int | None = None
    ) -> None:
        number = ord(name[0]) if number is None else number
        self.host = FakeHost(bytes([number]) * 16)
        self.address = place(name)
        self.bearer = CountingBearer(world, self.address, f"cert {name}".encode())
        self.bearer.dials, self.bearer.links = [], []
        self.hints, hints = trio.open_memory_channel[Hint](10)
        self.traced: list[tuple[str, dict[str, object]]] = []
        self.manager = LinkManager(
            self.host.node,
            self.host,
            self.bearer,
            runtime(seed=number, trace=lambda event, **fields: self.traced.append((event, fields))),
            static=[place(peer) for peer in static],
            hints=hints,
        )

    @property
    def peers(self) -> list[str]:
        return sorted(chr(handle.peer[0]) for handle in self.manager.sessions)

    def texts(self, count: int) -> list[bytes]:
        raws = [container(Kind.TEXT, self.host.node[0] * 1_000 + n) for n in range(count)]
        self.host.put(raws)
        return raws


@asynccontextmanager
async def running(*nodes: Node) -> AsyncIterator[None]:
    with trio.fail_after(100_000):
        async with trio.open_nursery() as nursery:
            # The later ones are dialled by the first: they must be listening by then.
            for node in reversed(nodes):
                await nursery.start(node.manager.run)
            yield
            for node in nodes:
                await node.manager.stop()


async def until(condition: Callable[[], bool], step_s: float = 0.05) -> float:
    while not condition():  # noqa: ASYNC110  # The clock is virtual.
        await trio.sleep(step_s)
    return trio.current_time()


async def test_a_configured_peer_is_dialled_and_kept(autojump_clock: MockClock) -> None:
    world = MemoryNetwork()
    a, b = Node(world, "a", ["b"]), Node(world, "b")
    raws = a.texts(3)
    async with running(a, b):
        assert list(a.manager.listening) == [place("a")]
        await until(lambda: all(b.host.has(raw) for raw in raws))
        await trio.sleep(600)
        assert a.peers == ["b"]
        assert b.peers == ["a"]
        assert len(a.bearer.dials) == 1
        assert list(a.manager.addresses(b.host.node)) == [place("b")]
        assert list(b.manager.addresses(a.host.node)) == []
    assert a.host.handles == b.host.handles == []
    assert a.manager.sessions == b.manager.sessions == []
    assert list(a.manager.listening) == []


async def test_stop_says_that_we_go_away(autojump_clock: MockClock) -> None:
    world = MemoryNetwork()
    a, b = Node(world, "a", ["b"]), Node(world, "b")
    async with running(a):
        async with running(b):
            await until(lambda: a.peers == ["b"])
        ended = [fields for event, fields in a.traced if event == "session_ended"]
        assert ended[0]["code"] == "going_away"
        # It is dialled again, and found again.
        again = Node(world, "b")
        async with running(again):
            await until(lambda: a.peers == ["b"])
            # Two ends that stop at the same time do not wait for each other.
            await a.manager.stop()
            await again.manager.stop()


async def test_a_peer_that_never_answers_is_dialled_ever_less(autojump_clock: MockClock) -> None:
    world = MemoryNetwork()
    a = Node(world, "a", ["nobody"])
    async with running(a):
        await trio.sleep(7_200)
        times = [at_s for at_s, _address in a.bearer.dials]
        gaps = [second - first for first, second in pairwise(times)]
        assert gaps[0] <= 1
        assert all(120 <= gap <= 300 for gap in gaps[9:])
        assert len(times) < 50


async def test_an_idle_node_hardly_wakes(autojump_clock: MockClock) -> None:
    """Two configured peers out of reach: at most 120 wake-ups in an hour."""
    world = MemoryNetwork(lambda dialler, dialled: None)
    a = Node(world, "a", ["b", "c"])

    class WakeUps(trio.abc.Instrument):
        """Counts the instants of the virtual clock at which any task had something to do."""

        count = 0
        last_s = 0.0

        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            now_s = trio.current_time()
            self.count += now_s != self.last_s
            self.last_s = now_s

    wake_ups = WakeUps()
    async with running(a):
        await trio.sleep(7_200)
        trio.lowlevel.add_instrument(wake_ups)
        await trio.sleep(3_600)
        trio.lowlevel.remove_instrument(wake_ups)
    assert 10 < wake_ups.count <= 120


async def test_a_sighting_is_dialled_at_once_and_a_changed_one_again(
    autojump_clock: MockClock,
) -> None:
    world = MemoryNetwork()
    a, b = Node(world, "a"), Node(world, "b")
    async with running(a):
        await a.hints.send(Hint("boat", (place("old"),)))
        await trio.sleep(100)
        tried = len(a.bearer.dials)
        assert 3 < tried < 10
        await a.hints.send(Hint("boat", (place("old"),)))
        await trio.sleep(0.1)
        assert len(a.bearer.dials) == tried  # Nothing new: the wait goes on.
        async with running(b):
            await a.hints.send(Hint("boat", (place("old"), place("b"))))
            at_s = trio.current_time()
            assert await until(lambda: a.peers == ["b"], 0.01) - at_s < 0.1
            await trio.sleep(100)
        assert a.bearer.dials[-1][1] in (place("b"), place("old"))


async def test_a_sighting_that_is_gone_or_hopeless_is_forgotten(autojump_clock: MockClock) -> None:
    world = MemoryNetwork()
    a = Node(world, "a")
    async with running(a):
        await a.hints.send(Hint("one", (place("x"),)))
        await a.hints.send(Hint("two", (place("y"),)))
        await trio.sleep(50)
        await a.hints.send(Hint("one", ()))
        await a.hints.send(Hint("unknown", ()))
        await trio.sleep(0.1)
        count = sum(1 for _at, address in a.bearer.dials if address == place("x"))
        await trio.sleep(7_200)
        assert count == sum(1 for _at, address in a.bearer.dials if address == place("x"))
        tried = sum(1 for _at, address in a.bearer.dials if address == place("y"))
        assert tried == 13
        await a.hints.send(Hint("two", (place("y"),)))
        await trio.sleep(0.1)
        assert tried + 1 == sum(1 for _at, address in a.bearer.dials if address == place("y"))


@pytest.mark.parametrize(("first", "second"), [("a", "b"), ("b", "a")])
async def test_two_that_dial_each_other_keep_one_session(
    autojump_clock: MockClock, first: str, second: str
) -> None:
    world = MemoryNetwork(lambda dialler, dialled: Shape(latency_s=0.05))
    a, b = Node(world, first, [second]), Node(world, second, [first])
    raws = a.texts(40) + b.texts(60)
    async with running(a, b):
        await until(lambda: all(a.host.has(raw) and b.host.has(raw) for raw in raws))
        await trio.sleep(120)
        assert len(a.manager.sessions) == len(b.manager.sessions) == 1
        # The one that the smaller node id dialled stays.
        assert a.manager.sessions[0].link.is_initiator is (first < second)
        assert b.manager.sessions[0].link.is_initiator is (second < first)
        assert len(a.host.handles) == len(b.host.handles) == 1
        await trio.sleep(3_600)
        assert len(a.manager.sessions) == 1
        assert len(a.bearer.dials) + len(b.bearer.dials) < 10


async def test_a_later_dial_of_the_larger_id_is_refused(autojump_clock: MockClock) -> None:
    world = MemoryNetwork()
    a, b = Node(world, "a", ["b"]), Node(world, "b")
    async with running(a, b):
        await until(lambda: a.peers == ["b"] and len(b.host.handles) == 1)
        kept = b.host.handles[0]
        await b.hints.send(Hint("a", (place("a"),)))
        await trio.sleep(60)
        assert b.host.handles == [kept]
        assert len(b.bearer.dials) == 1


async def test_a_later_dial_of_the_smaller_id_takes_over(autojump_clock: MockClock) -> None:
    world = MemoryNetwork()
    a, b = Node(world, "a"), Node(world, "b", ["a"])
    async with running(a, b):
        await until(lambda: a.peers == ["b"] and len(a.host.handles) == 1)
        old = a.host.handles[0]
        await a.hints.send(Hint("b", (place("b"),)))
        await until(lambda: a.host.handles not in ([old], []))
        await trio.sleep(60)
        assert len(a.manager.sessions) == len(b.manager.sessions) == 1
        assert a.manager.sessions[0].link.is_initiator
        assert old.is_over


async def test_a_stale_session_does_not_stop_a_new_one(autojump_clock: MockClock) -> None:
    """The smaller id dialled the old session and lost it without a word; the other dials anew."""
    world = MemoryNetwork()
    a, b = Node(world, "a", ["b"]), Node(world, "b")
    async with running(a, b):
        await until(lambda: a.peers == ["b"] and b.peers == ["a"])
        await trio.sleep(1)
        a.bearer.links[0].stall()  # type: ignore[attr-defined]
        await trio.sleep(30)
        await b.hints.send(Hint("a", (place("a"),)))
        await until(lambda: any(not h.link.is_initiator for h in a.host.handles))
        await trio.sleep(1)
        assert len(a.host.handles) == len(b.host.handles) == 1
        a.bearer.links[0].resume()  # type: ignore[attr-defined]
        await trio.sleep(200)
        assert len(a.manager.sessions) == len(b.manager.sessions) == 1


async def test_a_restarted_dialler_gets_in_at_once(autojump_clock: MockClock) -> None:
    """Its old session is not silent yet at the other end, but the dialler knows best."""
    world = MemoryNetwork()
    b = Node(world, "b")
    async with running(b):
        with trio.move_on_after(10):
            crashed = Node(world, "a", ["b"])
            async with trio.open_nursery() as nursery:
                await nursery.start(crashed.manager.run)
                await until(lambda: b.peers == ["a"])
                crashed.bearer.links[0].stall()  # type: ignore[attr-defined]
                await trio.sleep_forever()
        a = Node(world, "a", ["b"])
        async with running(a):
            at_s = trio.current_time()
            await until(lambda: a.peers == ["b"])
            assert trio.current_time() - at_s < 2
            await until(lambda: len(b.host.handles) == 1)
            await trio.sleep(120)
            assert b.peers == ["a"]


async def test_a_node_never_talks_to_itself(autojump_clock: MockClock) -> None:
    world = MemoryNetwork()
    a = Node(world, "a", ["a"])
    async with running(a):
        await trio.sleep(3_600)
        assert len(a.bearer.dials) == 1
        assert a.host.went_down == []


async def test_a_copy_of_ourselves_is_refused(autojump_clock: MockClock) -> None:
    world = MemoryNetwork()
    a, twin = Node(world, "a", ["twin"], number=1), Node(world, "twin", number=1)
    async with running(a, twin):
        await trio.sleep(3_600)
        assert a.manager.sessions == []
        assert len(a.bearer.dials) == 1


async def test_a_link_that_breaks_is_dialled_again_soon(autojump_clock: MockClock) -> None:
    world = MemoryNetwork()
    a, b = Node(world, "a", ["b"]), Node(world, "b")
    async with running(a, b):
        for _ in range(5):
            await until(lambda: a.peers == ["b"] and b.peers == ["a"])
            await trio.sleep(3)
            at_s = trio.current_time()
            a.bearer.links[-1].drop()  # type: ignore[attr-defined]
            await until(lambda: a.peers == [])
            assert await until(lambda: a.peers == ["b"]) - at_s < 3


async def test_a_peer_that_throws_us_out_is_left_in_peace(autojump_clock: MockClock) -> None:
    world = MemoryNetwork()
    a, b = Node(world, "a", ["b"]), Node(world, "b")
    b.host.fault, b.host.fault_in = LinkError("no"), "admit"
    async with running(a, b):
        await trio.sleep(3_600)
        assert len(a.bearer.dials) < 25


@pytest.mark.parametrize("fault", [CloseCode.UNEXPECTED_FRAME, CloseCode.MALFORMED])
@pytest.mark.parametrize("is_ours", [True, False])
async def test_a_peer_with_which_every_session_breaks_is_dialled_ever_less(
    autojump_clock: MockClock, fault: CloseCode, is_ours: bool
) -> None:
    world = MemoryNetwork()
    a, b = Node(world, "a", ["b"]), Node(world, "b")

    async def break_sessions() -> None:
        while True:
            # By the second: an hour has too many twentieths of one.
            await until(lambda: a.peers == ["b"] and b.peers == ["a"], step_s=1)
            for handle in (a if is_ours else b).manager.sessions:
                handle.close(fault)
            await trio.sleep(0.2)

    async with running(a, b), trio.open_nursery() as nursery:
        nursery.start_soon(break_sessions)
        await trio.sleep(3_600)
        assert len(a.bearer.dials) < 25
        nursery.cancel_scope.cancel()


async def test_half_open_links_are_bounded(autojump_clock: MockClock) -> None:
    world = MemoryNetwork()
    a = Node(world, "a")
    mute = MemoryBearer(world, place("mute"), b"mute")
    async with running(a):
        links = [await mute.dial(a.address) for _ in range(SESSIONS_UNADMITTED_MAX + 5)]
        await trio.sleep(0.1)
        refused = 0
        for link in links:
            with trio.move_on_after(0.01):
                refused += await link.receive(10) == b""
        assert refused == 5
        await trio.sleep(20)
        honest = Node(world, "h", ["a"])
        async with running(honest):
            await until(lambda: honest.peers == ["a"])


async def test_more_than_a_few_sessions_of_one_peer_are_refused(
    autojump_clock: MockClock,
) -> None:
    world = MemoryNetwork()
    a = Node(world, "a")
    twins = [Node(world, f"b{number}", ["a"]) for number in range(6)]
    async with running(a, *twins):
        for _ in range(4):
            await trio.sleep(15)
            assert 1 <= len(a.manager.sessions) <= 3


# --- one contact on demand ---------------------------------------------------------------------


async def test_sync_once_moves_everything_and_parts(autojump_clock: MockClock) -> None:
    world = MemoryNetwork(lambda dialler, dialled: Shape(0.05, 1_000_000))
    a, b = Node(world, "a"), Node(world, "b")
    raws = a.texts(700) + b.texts(300)
    seen: list[SessionStats] = []
    async with running(b):
        summary = await a.manager.sync_once(place("b"), seen.append)
        assert summary.is_complete
        assert summary.peer == b.host.node
        assert summary.stats.bundles_sent == 700
        assert summary.stats.bundles_received == 300
        assert summary.stats.rounds >= 2
        assert all(a.host.has(raw) and b.host.has(raw) for raw in raws)
        assert seen[-1] == summary.stats
        assert a.manager.sessions == []
        await until(lambda: b.manager.sessions == [])
        again = await a.manager.sync_once(place("b"), seen.append)
        assert again.is_complete
        assert again.stats.bundles_sent == again.stats.bundles_received == 0


async def test_sync_once_uses_the_session_there_is(autojump_clock: MockClock) -> None:
    world = MemoryNetwork()
    a, b = Node(world, "a", ["b"]), Node(world, "b")
    async with running(a, b):
        await until(lambda: a.peers == ["b"])
        await trio.sleep(1)
        raws = a.texts(5) + b.texts(5)  # Stored behind the session's back.
        summary = await a.manager.sync_once(place("b"), lambda stats: None)
        assert summary.is_complete
        assert summary.reason == "over the session already open"
        assert all(a.host.has(raw) and b.host.has(raw) for raw in raws)
        assert a.peers == ["b"]
        # The responder cannot ask for a round; it waits until the line is quiet.
        assert (await b.manager.sync_once(place("a"), lambda stats: None)).is_complete
        assert b.peers == ["a"]


async def test_sync_once_with_nobody_there(autojump_clock: MockClock) -> None:
    with pytest.raises(LinkError):
        await Node(MemoryNetwork(), "a").manager.sync_once(place("b"), lambda stats: None)


async def test_sync_once_that_is_refused_says_so(autojump_clock: MockClock) -> None:
    world = MemoryNetwork()
    a, b = Node(world, "a"), Node(world, "b")
    b.host.fault, b.host.fault_in = LinkClosedError("no"), "admit"
    async with running(b):
        summary = await a.manager.sync_once(place("b"), lambda stats: None)
    assert not summary.is_complete
    assert summary.peer is None
    assert summary.reason


async def test_sync_once_over_a_link_that_breaks(autojump_clock: MockClock) -> None:
    world = MemoryNetwork(lambda dialler, dialled: Shape(0.05, 10_000))
    a, b = Node(world, "a"), Node(world, "b")
    a.texts(700)
    async with running(b), trio.open_nursery() as nursery:

        async def cut() -> None:
            await trio.sleep(5)
            a.bearer.links[0].drop()  # type: ignore[attr-defined]

        nursery.start_soon(cut)
        summary = await a.manager.sync_once(place("b"), lambda stats: None)
    assert not summary.is_complete
    assert 0 < len(b.host.stored) < 700


async def test_a_port_in_use_stops_the_start(autojump_clock: MockClock) -> None:
    world = MemoryNetwork()
    a, twin = Node(world, "a"), Node(world, "a")
    async with running(a):
        with pytest.raises(BaseExceptionGroup) as caught:
            await twin.manager.run()
        assert caught.group_contains(LinkError)
        # A node that only dials needs no port.
        async with trio.open_nursery() as nursery:

            async def run() -> None:
                await twin.manager.run(is_serving=False)

            nursery.start_soon(run)
            await trio.sleep(1)
            await twin.manager.stop()
