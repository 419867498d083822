"""A radio link that can be switched: a TCP forwarder on the loopback, for machines without root.

While it is off, whoever dials waits in silence, as with a far device; switching it off in the
middle of a session cuts the session. It moves bytes and understands none of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

__all__ = ["Radio"]

_HOST: Final = "127.0.0.1"
_HELD_BYTES_MAX: Final = 65_536
"""A dialler that hears nothing sends its first words of TLS, and no more."""
_CHUNK_BYTES: Final = 65_536

Port = Callable[[], Awaitable[int]]
"""Returns on which port the far device listens now. Raises: OSError if it does not."""


class Radio:
    """One way between two devices; made by `open`."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        self._on = trio.Event()
        self._scopes: set[trio.CancelScope] = set()
        self.port: int = listener.socket.getsockname()[1]
        """Where the near device dials, on the loopback."""

    @classmethod
    async def open(cls) -> Radio:
        """Return a radio that is off, on a free port. Raises: OSError."""
        return cls((await trio.open_tcp_listeners(0, host=_HOST))[0])

    async def run(self, port: Port) -> None:
        """Carry connections to the far device until cancelled; then it can be run again."""
        # Not by trio.serve_listeners, which closes what it served.
        async with trio.open_nursery() as nursery:
            while True:
                near = await self._listener.accept()
                nursery.start_soon(self._carry, near, port)

    async def aclose(self) -> None:
        """Give the port back."""
        await self._listener.aclose()

    def switch(self, *, is_on: bool) -> None:
        """Let those who wait through, or cut those who talk."""
        if is_on:
            self._on.set()
        elif self._on.is_set():
            self._on = trio.Event()
            for scope in self._scopes:
                scope.cancel()

    async def _carry(self, near: trio.SocketStream, port: Port) -> None:
        async with near:
            held = await _held_until(near, self._on)
            if held is None:
                return
            with trio.CancelScope() as scope:
                self._scopes.add(scope)
                try:
                    await _join(near, await trio.open_tcp_stream(_HOST, await port()), held)
                except OSError:
                    # The far device is off: its radio is silent, and the near one dials again.
                    return
                finally:
                    self._scopes.remove(scope)


async def _held_until(near: trio.SocketStream, on: trio.Event) -> bytes | None:
    """Wait for the radio; return what the dialler said meanwhile, None if it gave up."""
    held = bytearray()
    is_gone = False

    async def listen() -> None:
        nonlocal is_gone
        while len(held) < _HELD_BYTES_MAX:
            data = await _receive(near)
            if not data:
                is_gone = True
                nursery.cancel_scope.cancel()
                return
            held.extend(data)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        await on.wait()
        nursery.cancel_scope.cancel()
    return None if is_gone else bytes(held)


async def _join(near: trio.SocketStream, far: trio.SocketStream, held: bytes) -> None:
    """Move bytes both ways until either end is gone."""
    async with far, trio.open_nursery() as nursery:

        async def pump(source: trio.SocketStream, sink: trio.SocketStream) -> None:
            while (data := await _receive(source)) and await _sent(sink, data):
                pass
            nursery.cancel_scope.cancel()

        if await _sent(far, held):
            nursery.start_soon(pump, near, far)
            nursery.start_soon(pump, far, near)


async def _receive(stream: trio.SocketStream) -> bytes:
    """Return what comes next; nothing once the stream has ended or broke."""
    try:
        return bytes(await stream.receive_some(_CHUNK_BYTES))
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return b""


async def _sent(stream: trio.SocketStream, data: bytes) -> bool:
    try:
        await stream.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return False
    return True
