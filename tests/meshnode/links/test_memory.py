"""The shape of a memory link, in virtual time, and what breaks and stalls."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from meshnode.errors import LinkClosedError, LinkError, LinkTimeoutError
from meshnode.links.base import Address, Link
from meshnode.links.memory import MemoryNetwork, Shape, memory_link_pair

A, B = Address("a", 1), Address("b", 1)


async def drain(link: Link) -> int:
    received = 0
    while data := await link.receive(65_536):
        received += len(data)
    return received


async def test_latency_is_waited_once(autojump_clock: MockClock) -> None:
    near, far = memory_link_pair(Shape(latency_s=0.5))
    await near.send(b"x" * 10_000)
    assert trio.current_time() == 0
    assert len(await far.receive(65_536)) == 10_000
    assert trio.current_time() == 0.5


async def test_a_megabyte_at_a_megabyte_a_second_takes_a_second(autojump_clock: MockClock) -> None:
    near, far = memory_link_pair(Shape(latency_s=0.1, rate_bytes_s=1_000_000))

    async def send() -> None:
        await near.send(bytes(1_000_000))
        assert 0.95 < trio.current_time() < 1.0  # All but its own buffer is on the line.
        await near.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        assert await drain(far) == 1_000_000
    assert trio.current_time() == pytest.approx(1.1)


async def test_an_idle_line_saves_nothing_up(autojump_clock: MockClock) -> None:
    near, far = memory_link_pair(Shape(rate_bytes_s=1_000))
    await trio.sleep(100)
    await near.send(b"x" * 500)
    await far.receive(500)
    assert trio.current_time() == pytest.approx(100.5)


async def test_directions_have_their_own_shape(autojump_clock: MockClock) -> None:
    near, far = memory_link_pair(Shape(latency_s=1), Shape(latency_s=3))
    await near.send(b"x")
    await far.receive(1)
    assert trio.current_time() == 1
    await far.send(b"y")
    await near.receive(1)
    assert trio.current_time() == 4


async def test_a_reader_that_waits_stops_the_sender(autojump_clock: MockClock) -> None:
    near, far = memory_link_pair(Shape(buffer_bytes=1_000))
    with trio.move_on_after(10):
        await near.send(bytes(100_000))
    received = 0
    with trio.move_on_after(1):
        while True:
            received += len(await far.receive(300))
    assert received == 2_000


async def test_a_drop_loses_what_is_under_way(autojump_clock: MockClock) -> None:
    near, far = memory_link_pair(Shape(latency_s=1))
    await near.send(b"gone")
    near.drop()
    near.drop()
    for link in (near, far):
        with pytest.raises(LinkClosedError, match="broke"):
            await link.receive(1)
        with pytest.raises(LinkClosedError, match="broke"):
            await link.send(b"x")


async def test_a_stall_loses_nothing(autojump_clock: MockClock) -> None:
    near, far = memory_link_pair()
    far.stall()
    await near.send(b"kept")
    with trio.move_on_after(1_000) as limit:
        await far.receive(10)
    assert limit.cancelled_caught
    far.resume()
    assert await far.receive(10) == b"kept"


async def test_a_network_joins_those_in_reach(autojump_clock: MockClock) -> None:
    reach: dict[tuple[Address, Address], Shape] = {(A, B): Shape(latency_s=0.2)}
    world = MemoryNetwork(lambda dialler, dialled: reach.get((dialler, dialled)))
    bearer, other = world.bearer(A, b"cert a"), world.bearer(B, b"cert b")

    async def greet(link: Link) -> None:
        assert link.peer_certificate == b"cert a"
        assert link.remote == "a:1"
        await link.send(b"hello")

    with pytest.raises(LinkError, match="nobody listens"):
        await bearer.dial(B)
    async with trio.open_nursery() as nursery:
        addresses = await nursery.start(other.serve, greet)
        assert addresses == (B,)
        with pytest.raises(LinkError, match="in use"):
            await other.serve(greet)
        link = await bearer.dial(B)
        assert link.peer_certificate == b"cert b"
        assert await link.receive(10) == b"hello"
        with pytest.raises(LinkTimeoutError):
            await other.dial(A)
        nursery.cancel_scope.cancel()


async def test_a_server_that_stops_while_it_is_dialled(autojump_clock: MockClock) -> None:
    world = MemoryNetwork()
    send, receive = world.open(world.bearer(B, b"b"), B)
    async with trio.open_nursery() as nursery:

        async def dial() -> None:
            with pytest.raises(LinkError, match="went away"):
                await world.bearer(A, b"a").dial(B)

        nursery.start_soon(dial)
        await trio.sleep(1)
        await receive.aclose()
    await send.aclose()
    world.shut(B)
    with pytest.raises(LinkError, match="nobody listens"):
        await world.bearer(A, b"a").dial(B)


async def moved(shape: Shape, data: bytes) -> tuple[bytes, float]:
    """Return what arrives of `data`, and how long it took."""
    near, far = memory_link_pair(shape)
    began_s, found = trio.current_time(), bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(near.send, data)
        while len(found) < len(data):
            found += await far.receive(65_536)
    return bytes(found), trio.current_time() - began_s


async def test_what_is_lost_comes_later_and_in_order(autojump_clock: MockClock) -> None:
    data, draws = bytes(range(250)) * 4, iter([0.9, 0.1, 0.1, 0.9, *[0.9] * 8])
    shape = Shape(0.01, mtu_bytes=100, loss=0.5, unit=lambda: next(draws))
    found, took_s = await moved(shape, data)
    assert found == data
    assert took_s == pytest.approx(0.01 + 2 * 0.2)
    assert Shape(5.0).resend_s == 10.0


async def test_no_piece_is_lost_for_ever(autojump_clock: MockClock) -> None:
    found, took_s = await moved(Shape(loss=0.5, unit=lambda: 0.0), b"x")
    assert found == b"x"
    assert took_s == pytest.approx(6 * 0.2)


async def test_a_corrupted_piece_differs_in_one_bit(autojump_clock: MockClock) -> None:
    draws = iter([0.9, 0.1, 0.5, 0.9])
    shape = Shape(mtu_bytes=4, corruption=0.5, unit=lambda: next(draws))
    found, _took_s = await moved(shape, bytes(12))
    assert found == bytes((0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0))


async def test_one_direction_can_fall_silent(autojump_clock: MockClock) -> None:
    near, far = memory_link_pair()
    near.stall_sending(True)
    await near.send(b"later")
    await far.send(b"now")
    assert await near.receive(10) == b"now"
    near.stall_sending(False)
    assert await far.receive(10) == b"later"
    near.stall_receiving(True)
    await far.send(b"later")
    with trio.move_on_after(60) as waiting:
        await near.receive(10)
    assert waiting.cancelled_caught
    near.stall_receiving(False)
    assert await near.receive(10) == b"later"
