"""Serves the web interface on a socket, by hypercorn's trio worker, until it is cancelled.

Three things are ours because the worker lacks them: a bound on how long a reader may block a
connection, a bound on connections, and a stop that waits for nobody who does not read.
Source: decision 51, ecosystem 3.1.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.logging import Logger
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import wrap_app

from meshnode.config import WebSettings, is_loopback
from meshnode.errors import WebError
from meshnode.links.base import Address
from meshnode.links.gate import HandshakeGate
from meshnode.supervisor import contain
from meshnode.web.door import DoorState
from meshnode.web.limits import CONNECTIONS_MAX, STOP_MS_MAX, STREAM_SEND_S_MAX
from meshnode.web.parts import Placed, WebParts

if TYPE_CHECKING:
    from meshnode.web.gate import Gate
    from meshnode.web.streams import Streams

__all__ = ["serve_gate", "serve_web"]

_BACKLOG: Final = 128
_SHORTAGES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_SHORTAGE_S: Final = 0.1
_HANDSHAKE_S: Final = 10
_IDLE_S: Final = 75
"""A connection without a request; browsers open a few ahead."""


class _Connection(TCPServer):
    """One connection, which ends where its reader takes nothing for long."""

    async def protocol_send(self, event: Event) -> None:
        """Send what the worker has; a send that was begun is not cut off by a cancellation."""
        if not isinstance(event, RawData):
            await super().protocol_send(event)
            return
        async with self.send_lock:
            try:
                deadline_s = trio.current_time() + STREAM_SEND_S_MAX
                with trio.CancelScope(shield=True, deadline=deadline_s) as scope:
                    await self.stream.send_all(event.data)
                is_lost = scope.cancelled_caught
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                is_lost = True
        if is_lost:
            await trio.aclose_forcefully(self.stream)
            await self.protocol.handle(Closed())


async def serve_web(
    parts: WebParts, settings: WebSettings, on_state: Callable[[DoorState], None]
) -> None:
    """Serve a node until cancelled; `on_state` hears once it listens. Raises: WebError."""

    def load() -> Gate:
        # A node whose screens nobody is sent to does not pay for FastAPI.
        from meshnode.web.building import make_app

        return make_app(parts)

    await _serve(load, parts, settings, on_state, parts.door.is_awaited.wait)


async def serve_gate(
    gate: Gate, parts: Placed, settings: WebSettings, on_state: Callable[[DoorState], None]
) -> None:
    """As `serve_web`, what stands behind a gate that was made."""
    await _serve(lambda: gate, parts, settings, on_state, trio.sleep_forever)


async def _serve(
    load: Callable[[], Gate],
    parts: Placed,
    settings: WebSettings,
    on_state: Callable[[DoorState], None],
    awaited: Callable[[], Awaitable[None]],
) -> None:
    """Serve what is loaded once somebody comes, or `awaited` ends because somebody will.

    Event streams are ended first when it stops, and what is being answered has `STOP_MS_MAX`.
    Raises: WebError where the address or the certificate cannot be used.
    """
    address = settings.address
    assert address is not None, "nobody serves nowhere"
    config = _config(settings, parts)
    context = _tls(config)
    listener = _listen(address)
    try:
        bound = Address(address.host, listener.socket.getsockname()[1])
        scheme = "http" if context is None else "https"
        is_bare = context is None and not is_loopback(address.host)
        on_state(DoorState(f"{scheme}://{_reached(bound, settings)}/", "", is_bare))
        await _first(partial(trio.lowlevel.wait_readable, listener.socket), awaited)
        # Half a second to five, by the machine: in a thread, so that links go on meanwhile.
        gate = await parts.runtime.run_blocking(load)
        serving: Any = listener
        if context is not None:
            serving = trio.SSLListener(listener, context, https_compatible=True)
        await _Serving(gate, config, parts, serving).run()
    finally:
        listener.socket.close()


async def _first(*waits: Callable[[], Awaitable[object]]) -> None:
    """Return once any of these waits has ended."""
    async with trio.open_nursery() as nursery:

        async def end_after(wait: Callable[[], Awaitable[object]]) -> None:
            await wait()
            nursery.cancel_scope.cancel()

        for each in waits:
            nursery.start_soon(end_after, each)


class _Serving:
    """One listening socket and the connections that came by it."""

    def __init__(self, gate: Gate, config: Config, parts: Placed, listener: Any) -> None:
        self._streams: Streams = gate.app.state.streams
        # Starlette and the worker have each its own words for the types of one interface.
        program: Any = gate
        self._wrapped = wrap_app(program, config.wsgi_max_body_size, "asgi")
        self._config = config
        self._parts = parts
        self._listener = listener
        self._context = WorkerContext(None)
        self._places = HandshakeGate(CONNECTIONS_MAX, CONNECTIONS_MAX)

    async def run(self) -> None:
        """Serve until cancelled; then let what is being answered end."""
        is_over = trio.Event()

        async def until_cancelled() -> None:
            try:
                await trio.sleep_forever()
            finally:
                is_over.set()

        async with trio.open_nursery() as outer:
            outer.start_soon(until_cancelled)
            with trio.CancelScope(shield=True):
                async with trio.open_nursery() as around:
                    async with trio.open_nursery() as connections:
                        accepting = await connections.start(self._accept, connections)
                        await is_over.wait()
                        accepting.cancel()
                        self._streams.end()
                        await self._context.terminated.set()
                        around.start_soon(self._cut, connections.cancel_scope)
                    around.cancel_scope.cancel()

    async def _cut(self, scope: trio.CancelScope) -> None:
        """End the connections of those who let the node wait."""
        await trio.sleep(STOP_MS_MAX / 1000)
        scope.cancel()

    async def _accept(
        self,
        connections: trio.Nursery,
        *,
        task_status: trio.TaskStatus[trio.CancelScope] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        with trio.CancelScope() as scope:
            task_status.started(scope)
            while True:
                stream = await self._next()
                connections.start_soon(self._handle, stream)

    async def _next(self) -> trio.abc.Stream:
        """Return the next connection; while the process has no file left, try again soon."""
        while True:
            try:
                stream: trio.abc.Stream = await self._listener.accept()
            except OSError as error:
                if error.errno not in _SHORTAGES:
                    raise
                self._parts.runtime.trace("web_short", reason=error.strerror)
                await trio.sleep(_SHORTAGE_S)
            else:
                return stream

    async def _handle(self, stream: Any) -> None:
        # Where all places are taken, whoever comes from elsewhere gets one of the network that
        # holds most: no guest keeps the owners of the node from their screens.
        with self._places.enter(_peer(stream)) as place:
            if place is None:
                self._parts.metrics.count("web_requests_shed")
                await trio.aclose_forcefully(stream)
                return
            with place.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_close_at_end, stream)
                    await self._answer(stream)
                    nursery.cancel_scope.cancel()

    async def _answer(self, stream: Any) -> None:
        state = ConnectionState({})
        connection = _Connection(self._wrapped, self._config, self._context, state, stream)
        # A defect of the worker ends the one connection that found it.
        await contain("web", connection.run, self._parts.runtime, self._parts.metrics)


async def _close_at_end(stream: trio.abc.Stream) -> None:
    """Close a connection when it is cancelled: a send that was begun is shielded, and ends so."""
    try:
        await trio.sleep_forever()
    finally:
        # The worker also leaves a connection open whose handshake failed.
        await trio.aclose_forcefully(stream)


def _peer(stream: Any) -> str:
    """Return the address of the other end; empty where it has gone already."""
    socket_stream = getattr(stream, "transport_stream", stream)
    try:
        return str(socket_stream.socket.getpeername()[0])
    except OSError:
        return ""


def _listen(address: Address) -> trio.SocketListener:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind((address.host, address.port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise WebError(
                f"{address} is in use by another program: stop it, or set web.listen"
            ) from error
        raise WebError(f"the screens cannot use {address}: {error.strerror}") from error
    sock.setblocking(False)
    return trio.SocketListener(trio.socket.from_stdlib_socket(sock))


def _reached(bound: Address, settings: WebSettings) -> str:
    """Return what the owner of this machine writes into a browser."""
    if settings.names:
        return f"{settings.names[0]}:{bound.port}"
    host = ipaddress.ip_address(bound.host)
    if host.is_unspecified:
        return str(Address("127.0.0.1" if host.version == 4 else "::1", bound.port))
    return str(bound)


def _config(settings: WebSettings, parts: Placed) -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = None
    config.include_server_header = False
    config.keep_alive_timeout = _IDLE_S
    config.ssl_handshake_timeout = _HANDSHAKE_S
    config.alpn_protocols = ["http/1.1"]
    if settings.certificate:
        config.certfile = str(parts.home / settings.certificate)
        config.keyfile = str(parts.home / settings.key)
        # A key with a passphrase is refused; nobody is asked on a terminal.
        config.keyfile_password = "-"  # noqa: S105 - no passphrase at all

    class Told(Logger):
        """Traces what the worker caught by its type alone; its text may hold anything."""

        async def exception(self, message: str, *args: Any, **kwargs: Any) -> None:
            kind = sys.exc_info()[0]
            parts.runtime.trace("web_failed", reason="" if kind is None else kind.__name__)

    config.logger_class = Told
    return config


def _tls(config: Config) -> Any:
    """Return what encrypts, None where nothing does. Raises: WebError."""
    try:
        return config.create_ssl_context()
    except (OSError, ValueError) as error:
        raise WebError(
            f"the certificate {config.certfile} cannot be used: see web.certificate and web.key"
        ) from error
