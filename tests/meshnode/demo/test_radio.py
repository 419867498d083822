"""A radio that is off is silence; one that is switched off cuts who talks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from meshnode.demo.radio import Radio
from tests.patience import HANGS_S

pytestmark = pytest.mark.real


@asynccontextmanager
async def echo() -> AsyncIterator[Radio]:
    """Give a radio whose far end says everything twice."""

    async def answer(stream: trio.SocketStream) -> None:
        async for data in stream:
            await stream.send_all(bytes(data) * 2)

    radio = await Radio.open()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, answer, 0)
        port = listeners[0].socket.getsockname()[1]

        async def port_of() -> int:
            return int(port)

        nursery.start_soon(radio.run, port_of)
        yield radio
        nursery.cancel_scope.cancel()
    await radio.aclose()


async def heard(stream: trio.SocketStream, length: int) -> bytes:
    """Return so many bytes, or what came before the end."""
    found = b""
    with trio.fail_after(HANGS_S):
        while len(found) < length and (data := await stream.receive_some(length - len(found))):
            found += bytes(data)
    return found


async def test_what_was_said_into_silence_arrives_once_it_is_on() -> None:
    async with echo() as radio, await trio.open_tcp_stream("127.0.0.1", radio.port) as near:
        await near.send_all(b"hello")
        with trio.move_on_after(0.05) as silence:
            await near.receive_some(1)
        assert silence.cancelled_caught
        radio.switch(is_on=True)
        assert await heard(near, 10) == b"hellohello"


async def test_who_dials_while_it_is_on_gets_through_and_is_cut_when_it_goes_off() -> None:
    async with echo() as radio:
        radio.switch(is_on=True)
        async with await trio.open_tcp_stream("127.0.0.1", radio.port) as near:
            for word in (b"one", b"two"):
                await near.send_all(word)
                assert await heard(near, 6) == word * 2
            radio.switch(is_on=False)
            assert await heard(near, 1) == b""
        async with await trio.open_tcp_stream("127.0.0.1", radio.port) as near:
            await near.send_all(b"again")
            radio.switch(is_on=True)
            assert await heard(near, 10) == b"againagain"


async def test_a_far_device_that_is_off_ends_the_call_whenever_the_radio_is_run() -> None:
    async def nowhere() -> int:
        raise ConnectionRefusedError

    radio = await Radio.open()
    radio.switch(is_on=True)
    for _ in range(2):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(radio.run, nowhere)
            async with await trio.open_tcp_stream("127.0.0.1", radio.port) as near:
                assert await heard(near, 1) == b""
            nursery.cancel_scope.cancel()
    await radio.aclose()
    with pytest.raises(OSError, match=str(radio.port)):
        await trio.open_tcp_stream("127.0.0.1", radio.port)
