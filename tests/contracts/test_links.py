"""One suite for every link: what the session relies on, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from meshnode.errors import LinkClosedError
from meshnode.links.base import Link
from meshnode.links.memory import Shape, memory_link_pair
from tests.meshnode.links.lines import line_pair
from tests.meshnode.links.parts import tcp_pair
from tests.meshnode.links.test_serial import bearer, both

Case = Callable[[Link, Link], Awaitable[None]]
Pair = Callable[[], AbstractAsyncContextManager[tuple[Link, Link]]]


@asynccontextmanager
async def perfect_pair() -> AsyncIterator[tuple[Link, Link]]:
    yield memory_link_pair()


@asynccontextmanager
async def shaped_pair() -> AsyncIterator[tuple[Link, Link]]:
    yield memory_link_pair(
        Shape(latency_s=0.03, rate_bytes_s=1_000_000, buffer_bytes=10_000),
        Shape(latency_s=0.3, rate_bytes_s=50_000, buffer_bytes=1_000),
    )


@asynccontextmanager
async def serial_pair() -> AsyncIterator[tuple[Link, Link]]:
    left, right = line_pair(rate_bps=115_200, latency_s=0.05, loss=0.05)
    async with both(bearer(left, 1), bearer(right, 2)) as (dialled, answered, _nursery):
        yield dialled, answered


PAIRS = [
    pytest.param(perfect_pair, id="memory"),
    pytest.param(shaped_pair, id="shaped"),
    pytest.param(serial_pair, id="serial"),
    pytest.param(tcp_pair, id="tcp", marks=pytest.mark.real),
]
everywhere = pytest.mark.parametrize("pair", PAIRS)


def run(pair: Pair, case: Case) -> None:
    """Run a case on both ends of a fresh link, on a virtual clock where no kernel is involved."""

    async def main() -> None:
        with trio.fail_after(60):
            async with pair() as (dialled, answered):
                await case(dialled, answered)

    trio.run(main, clock=None if pair is tcp_pair else MockClock(autojump_threshold=0))


async def read_exactly(link: Link, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        piece = await link.receive(65_536)
        assert piece, "the link ended early"
        data += piece
    assert len(data) == count
    return bytes(data)


def pattern(count: int, seed: int) -> bytes:
    return bytes((seed + index * index // 7) % 256 for index in range(count))


@everywhere
def test_ends_know_their_roles_and_each_others_certificates(pair: Pair) -> None:
    async def case(dialled: Link, answered: Link) -> None:
        assert (dialled.is_initiator, answered.is_initiator) == (True, False)
        assert dialled.local_certificate == answered.peer_certificate
        assert answered.local_certificate == dialled.peer_certificate
        assert dialled.local_certificate != answered.local_certificate
        assert dialled.kind == answered.kind
        assert dialled.remote
        assert dialled.mtu_bytes >= 256
        assert dialled.cost >= 0

    run(pair, case)


@everywhere
def test_bytes_arrive_in_order_both_ways_at_once(pair: Pair) -> None:
    async def case(dialled: Link, answered: Link) -> None:
        forth, back = pattern(200_000, 1), pattern(90_000, 2)

        async def check(link: Link, expected: bytes) -> None:
            assert await read_exactly(link, len(expected)) == expected

        async with trio.open_nursery() as nursery:
            nursery.start_soon(check, answered, forth)
            nursery.start_soon(check, dialled, back)
            nursery.start_soon(dialled.send, forth)
            for start in range(0, len(back), 700):
                await answered.send(back[start : start + 700])

    run(pair, case)


@everywhere
def test_receive_gives_at_most_what_was_asked(pair: Pair) -> None:
    async def case(dialled: Link, answered: Link) -> None:
        await dialled.send(b"")
        await dialled.send(b"abcdefgh")
        pieces: list[bytes] = []
        while sum(len(piece) for piece in pieces) < 8:
            pieces.append(await answered.receive(3))
        assert all(1 <= len(piece) <= 3 for piece in pieces)
        assert b"".join(pieces) == b"abcdefgh"

    run(pair, case)


@everywhere
def test_what_was_sent_before_the_end_arrives(pair: Pair) -> None:
    async def case(dialled: Link, answered: Link) -> None:
        await dialled.send(b"last words")
        await dialled.aclose()
        assert await read_exactly(answered, 10) == b"last words"
        assert await answered.receive(10) == b""
        assert await answered.receive(10) == b""
        await answered.aclose()

    run(pair, case)


@everywhere
def test_a_closed_end_refuses_everything_but_closing(pair: Pair) -> None:
    async def case(dialled: Link, answered: Link) -> None:
        await dialled.aclose()
        await dialled.aclose()
        with pytest.raises(LinkClosedError):
            await dialled.send(b"x")
        with pytest.raises(LinkClosedError):
            await dialled.receive(1)

    run(pair, case)


@everywhere
def test_sending_to_a_peer_that_left_fails(pair: Pair) -> None:
    async def case(dialled: Link, answered: Link) -> None:
        await answered.aclose()
        with pytest.raises(LinkClosedError):
            while True:
                await dialled.send(bytes(10_000))

    run(pair, case)


@everywhere
def test_closing_wakes_a_waiting_reader(pair: Pair) -> None:
    async def case(dialled: Link, answered: Link) -> None:
        async def wait() -> None:
            with pytest.raises(LinkClosedError):
                await dialled.receive(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            await dialled.aclose()

    run(pair, case)


@everywhere
def test_a_peer_that_does_not_read_stops_the_sender(pair: Pair) -> None:
    async def case(dialled: Link, answered: Link) -> None:
        sent = 0
        with trio.move_on_after(0.2) as limit:
            while sent < 64_000_000:
                await dialled.send(bytes(100_000))
                sent += 100_000
        assert limit.cancelled_caught
        assert sent < 32_000_000

    run(pair, case)


@everywhere
def test_closing_ends_a_waiting_sender(pair: Pair) -> None:
    async def case(dialled: Link, answered: Link) -> None:
        async def flood() -> None:
            with pytest.raises(LinkClosedError):
                while True:
                    await dialled.send(bytes(100_000))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            await trio.sleep(0.1)
            await dialled.aclose()

    run(pair, case)


@everywhere
def test_a_cancelled_wait_loses_no_bytes(pair: Pair) -> None:
    async def case(dialled: Link, answered: Link) -> None:
        with trio.move_on_after(0.01):
            await answered.receive(100)
        await dialled.send(b"still here")
        assert await read_exactly(answered, 10) == b"still here"

    run(pair, case)
