"""Real sockets: what outsiders can and cannot take, and how little the kernel holds back."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from meshnode.errors import HandshakeError, LinkError, LinkTimeoutError
from meshnode.links.base import Address, Link
from meshnode.links.tcp import TCPBearer
from meshnode.links.tls import secure
from protocol.limits import HANDSHAKES_PER_ADDRESS_MAX
from tests.meshnode.links.parts import network, outsiders, runtime, serving, tcp_pair
from tests.patience import HANGS_S, stopwatch

ANYWHERE = [Address("127.0.0.1", 0)]

real = pytest.mark.real


class Answering:
    """A server that keeps every link that reaches it."""

    def __init__(self, bearer: TCPBearer, address: Address) -> None:
        self.bearer = bearer
        self.address = address
        self.links: list[Link] = []
        self.failures: list[str] = []


async def ignore(link: Link) -> None:
    """Take a link and do nothing with it."""
    await trio.lowlevel.checkpoint()


@asynccontextmanager
async def answering() -> AsyncIterator[Answering]:
    failures: list[str] = []
    server = TCPBearer(
        network().contexts(),
        runtime(trace=lambda event, **fields: failures.append(event)),
        ANYWHERE,
    )

    async def keep(link: Link) -> None:
        answers.links.append(link)
        try:
            while data := await link.receive(65_536):
                await link.send(data)
        finally:
            await link.aclose()

    async with serving(server, keep) as (address,):
        answers = Answering(server, address)
        answers.failures = failures
        yield answers


@real
async def test_a_dial_reaches_the_server() -> None:
    async with answering() as server:
        link = await TCPBearer(network().contexts(), runtime()).dial(server.address)
        await link.send(b"ping")
        assert await link.receive(10) == b"ping"
        assert link.remote == str(server.address)
        assert server.links[0].remote.startswith("127.0.0.1:")
        await link.aclose()


@real
async def test_an_outsider_learns_nothing_and_leaves_no_link() -> None:
    async with answering() as server:
        dialler = TCPBearer(outsiders().contexts(), runtime())
        with pytest.raises(HandshakeError):
            await dialler.dial(server.address)
        stream = await trio.open_tcp_stream(server.address.host, server.address.port)
        await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
        assert b"HTTP" not in await _all_of(stream)
        await stream.aclose()
        await wait_all_tasks_blocked(0.01)
        assert server.links == []
        assert server.bearer.gate.unfinished == 0
        assert len(server.failures) == 2


async def _all_of(stream: trio.SocketStream) -> bytes:
    received = bytearray()
    try:
        while data := await stream.receive_some():
            received += data
    except trio.BrokenResourceError:
        pass
    return bytes(received)


@real
@pytest.mark.slow
async def test_500_silent_connections_of_one_address_do_not_stop_another() -> None:
    """Case S07; the flood comes from 127.0.0.1, the honest peer from 127.0.0.2."""
    async with answering() as server:
        silent = []
        for _ in range(500):
            silent.append(await trio.open_tcp_stream(server.address.host, server.address.port))
            assert server.bearer.gate.unfinished <= HANDSHAKES_PER_ADDRESS_MAX
        with trio.fail_after(HANGS_S), stopwatch() as watch:
            stream = await trio.open_tcp_stream(
                server.address.host, server.address.port, local_address="127.0.0.2"
            )
            secured = await secure(
                stream, network().contexts(), server_side=False, now_ms=runtime().now_ms()
            )
            await secured.stream.send_all(b"honest")
            assert await secured.stream.receive_some(10) == b"honest"
        assert watch.own_s < 2
        assert server.bearer.gate.unfinished <= HANDSHAKES_PER_ADDRESS_MAX
        assert server.bearer.gate.refused >= 490
        for each in [*silent, stream]:
            await trio.aclose_forcefully(each)


@real
async def test_a_connection_gone_before_it_is_looked_at_is_no_fault() -> None:
    async with answering() as server:
        for _ in range(20):
            with socket.socket() as raw:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                raw.connect((server.address.host, server.address.port))
        link = await TCPBearer(network().contexts(), runtime()).dial(server.address)
        await link.aclose()


async def test_a_socket_that_is_gone_is_closed_and_forgotten() -> None:
    near, far = socket.socketpair()
    bearer = TCPBearer(network().contexts(), runtime())
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(near))
    near_raw = stream.socket
    far.close()
    # A Unix socket has no TCP options: the same OSError as of a connection that is gone.
    near_raw.close()
    assert await bearer._accept(stream) is None
    assert bearer.gate.unfinished == 0


@real
async def test_nobody_there_is_a_link_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(LinkError, match="cannot be reached"):
            await TCPBearer(network().contexts(), runtime()).dial(Address("127.0.0.1", port))


async def test_a_name_that_is_none_is_a_link_error() -> None:
    with pytest.raises(LinkError):
        await TCPBearer(network().contexts(), runtime()).dial(Address("x" * 70 + ".invalid", 1))


async def test_a_dial_has_an_end(
    autojump_clock: trio.abc.Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_host: str, _port: int) -> trio.SocketStream:
        await trio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(trio, "open_tcp_stream", never)
    with pytest.raises(LinkTimeoutError):
        await TCPBearer(network().contexts(), runtime()).dial(Address("192.0.2.1", 7445))


@real
async def test_a_port_in_use_is_a_link_error() -> None:
    async with answering() as server:
        other = TCPBearer(network().contexts(), runtime(), [server.address])
        with pytest.raises(LinkError, match=r"in use; name an address .* and a free port"):
            await other.serve(ignore)


async def test_nothing_to_listen_on_is_a_link_error() -> None:
    with pytest.raises(LinkError, match="no address"):
        await TCPBearer(network().contexts(), runtime()).serve(ignore)


@real
async def test_an_address_family_that_is_missing_is_skipped() -> None:
    foreign = Address("192.0.2.77", 0)
    bearer = TCPBearer(network().contexts(), runtime(), [foreign, *ANYWHERE])
    async with serving(bearer, ignore) as addresses:
        assert [address.host for address in addresses] == ["127.0.0.1"]
    alone = TCPBearer(network().contexts(), runtime(), [foreign])
    with pytest.raises(LinkError, match="cannot listen"):
        await alone.serve(ignore)


@real
async def test_the_kernel_holds_little_that_was_not_sent() -> None:
    async with tcp_pair() as (dialled, _answered):
        stream = dialled._stream.transport_stream  # type: ignore[attr-defined]
        option = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 4)
        assert int.from_bytes(option, "little") == 32_768
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@real
async def test_new_roots_count_from_the_next_handshake() -> None:
    async with answering() as server:
        newcomer = TCPBearer(outsiders().contexts(), runtime())
        with pytest.raises(HandshakeError):
            await newcomer.dial(server.address)
        server.bearer.contexts = outsiders().contexts()
        link = await newcomer.dial(server.address)
        await link.send(b"now")
        assert await link.receive(3) == b"now"
        await link.aclose()
