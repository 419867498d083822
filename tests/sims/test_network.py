"""Links that live and die with contacts."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from meshnode.errors import LinkClosedError, LinkError, LinkTimeoutError
from meshnode.links.base import Link
from meshnode.links.memory import MemoryBearer, Shape
from protocol.limits import DIAL_MS_MAX
from sims.draws import Draw
from sims.faults import Faults
from sims.network import ContactNetwork, address_of


class Two:
    """Nodes a and b of one network; b serves and keeps what was dialled to it."""

    def __init__(self, shape: Shape | None = None, faults: Faults | None = None) -> None:
        self.network = ContactNetwork(shape or Shape(0.1), faults or Faults(), Draw(1, "links"))
        self.a = self.network.bearer(address_of("a"), b"a")
        self.b = self.network.bearer(address_of("b"), b"b")
        self.taken: list[Link] = []

    async def take(self, link: Link) -> None:
        """Keep a link that was dialled to b."""
        self.taken.append(link)

    async def dialled(self) -> tuple[Link, Link]:
        """Return both ends of a new link from a to b."""
        link = await self.a.dial(address_of("b"))
        await wait_all_tasks_blocked()
        return link, self.taken[-1]

    async def serve(self, nursery: trio.Nursery, bearer: MemoryBearer | None = None) -> None:
        """Let b be dialled."""
        await nursery.start((bearer or self.b).serve, self.take)


async def test_out_of_contact_nobody_answers(autojump_clock: MockClock) -> None:
    two = Two()
    async with trio.open_nursery() as nursery:
        await two.serve(nursery)
        began_s = trio.current_time()
        with pytest.raises(LinkTimeoutError):
            await two.a.dial(address_of("b"))
        assert trio.current_time() - began_s >= DIAL_MS_MAX / 1000
        nursery.cancel_scope.cancel()


async def test_in_contact_bytes_flow_until_it_ends(autojump_clock: MockClock) -> None:
    two = Two()
    async with trio.open_nursery() as nursery:
        await two.serve(nursery)
        two.network.begin("b", "a")
        assert two.network.is_open("a", "b")
        link, far = await two.dialled()
        await link.send(b"hello")
        assert await far.receive(100) == b"hello"
        await link.send(b"under way")
        two.network.end("a", "b")
        for end in (link, far):
            with pytest.raises(LinkClosedError):
                await end.receive(100)
        assert not two.network.is_open("a", "b")
        with pytest.raises(LinkTimeoutError):
            await two.a.dial(address_of("b"))
        nursery.cancel_scope.cancel()


async def test_a_contact_that_ends_during_the_dial_gives_a_dead_link(
    autojump_clock: MockClock,
) -> None:
    two = Two(Shape(1.0))
    async with trio.open_nursery() as nursery:
        await two.serve(nursery)
        two.network.begin("a", "b")

        async def end_soon() -> None:
            await trio.sleep(0.5)
            two.network.end("a", "b")

        nursery.start_soon(end_soon)
        link = await two.a.dial(address_of("b"))
        with pytest.raises(LinkClosedError):
            await link.send(b"x")
        nursery.cancel_scope.cancel()


async def test_a_dark_node_is_reached_by_nobody_and_its_contacts_go_on_later(
    autojump_clock: MockClock,
) -> None:
    two = Two()
    async with trio.open_nursery() as nursery:
        await two.serve(nursery)
        two.network.begin("a", "b")
        two.network.begin("b", "c")
        link, _far = await two.dialled()
        two.network.darken("b")
        with pytest.raises(LinkClosedError):
            await link.send(b"x")
        with pytest.raises(LinkError):
            await two.a.dial(address_of("b"))
        assert two.network.partners("b") == ["a", "c"]
        assert two.network.partners("a") == ["b"]
        two.network.lighten("b")
        link, far = await two.dialled()
        await link.send(b"back")
        assert await far.receive(100) == b"back"
        nursery.cancel_scope.cancel()


async def test_another_contact_is_not_touched(autojump_clock: MockClock) -> None:
    two = Two()
    async with trio.open_nursery() as nursery:
        await two.serve(nursery)
        two.network.begin("a", "b")
        two.network.begin("a", "c")
        link, far = await two.dialled()
        two.network.end("a", "c")
        two.network.end("b", "c")
        await link.send(b"still here")
        assert await far.receive(100) == b"still here"
        nursery.cancel_scope.cancel()


async def test_who_is_muted_hears_and_is_not_heard(autojump_clock: MockClock) -> None:
    two = Two()
    async with trio.open_nursery() as nursery:
        await two.serve(nursery)
        two.network.begin("a", "b")
        link, far = await two.dialled()
        for source, target, muted, heard in (("a", "b", link, far), ("b", "a", far, link)):
            two.network.mute(source, target)
            two.network.mute(source, target)
            await muted.send(b"later")
            await heard.send(b"now")
            assert await muted.receive(100) == b"now"
            two.network.unmute(source, target)
            with trio.move_on_after(60) as waiting:
                await heard.receive(100)
            assert waiting.cancelled_caught
            with pytest.raises(LinkTimeoutError):
                await two.a.dial(address_of("b"))
            two.network.unmute(source, target)
            assert await heard.receive(100) == b"later"
        nursery.cancel_scope.cancel()


async def test_who_may_not_dial_keeps_its_links(autojump_clock: MockClock) -> None:
    two = Two()
    async with trio.open_nursery() as nursery:
        await two.serve(nursery)
        two.network.begin("a", "b")
        link, far = await two.dialled()
        two.network.forbid_dials("a", "b")
        with pytest.raises(LinkTimeoutError):
            await two.a.dial(address_of("b"))
        await link.send(b"as before")
        assert await far.receive(100) == b"as before"
        two.network.allow_dials("a", "b")
        await two.dialled()
        nursery.cancel_scope.cancel()


async def test_a_partition_that_begins_during_the_dial_counts(autojump_clock: MockClock) -> None:
    two = Two(Shape(1.0))
    async with trio.open_nursery() as nursery:
        await two.serve(nursery)
        two.network.begin("a", "b")

        async def mute_soon() -> None:
            await trio.sleep(0.5)
            two.network.mute("b", "a")

        nursery.start_soon(mute_soon)
        link, far = await two.dialled()
        await far.send(b"unheard")
        with trio.move_on_after(60) as waiting:
            await link.receive(100)
        assert waiting.cancelled_caught
        nursery.cancel_scope.cancel()


async def seconds_for(two: Two, size_bytes: int) -> float:
    """Return how long that many bytes take over a new link."""
    link, far = await two.dialled()
    began_s, left = trio.current_time(), size_bytes
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.send, bytes(size_bytes))
        while left:
            left -= len(await far.receive(size_bytes))
    return trio.current_time() - began_s


@pytest.mark.parametrize(
    ("faults", "least_s", "most_s"),
    [
        (Faults(), 1.0, 1.2),
        (Faults(slow_links=1.0), 90.0, 110.0),
        (Faults(loss=0.5), 3.0, 30.0),
        (Faults(jitter_s=10.0), 1.2, 11.2),
        (Faults(mtu_bytes=100), 1.0, 1.2),
    ],
)
async def test_links_are_as_bad_as_was_asked_for_until_the_quiet(
    autojump_clock: MockClock, faults: Faults, least_s: float, most_s: float
) -> None:
    two = Two(Shape(0.1, 100_000.0), faults)
    async with trio.open_nursery() as nursery:
        await two.serve(nursery)
        two.network.begin("a", "b")
        assert least_s <= await seconds_for(two, 100_000) <= most_s
        two.network.calm()
        assert 1.0 <= await seconds_for(two, 100_000) <= 1.2
        nursery.cancel_scope.cancel()
