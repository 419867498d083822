"""Links over TCP and TLS 1.3: dialling, listening, and bounds on whoever connects.

An outsider costs one socket for two seconds and gets nothing, not even a certificate; where the
network has no knock keys, it costs five seconds and gets a certificate that tells nothing.
Source: security 2.3, 2.13 and cases S03, S07.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

import trio

from meshnode.errors import BudgetError, HandshakeError, LinkError, LinkTimeoutError
from meshnode.links.base import Address, Bearer, Link, LinkCost, LinkHandler
from meshnode.links.gate import HandshakeGate, Place
from meshnode.links.knocking import Knocks
from meshnode.links.meter import Fare, MeteredStream, Packets
from meshnode.links.secured_link import SecuredLink
from meshnode.links.tls import Secured, TLSContexts, secure
from meshnode.links.tolls import Tolls
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from protocol.limits import DIAL_MS_MAX, HANDSHAKE_MS_MAX, LINK_BUFFER_BYTES

__all__ = ["TCPBearer", "TCPLink"]

_MTU_BYTES = 65_536
_FULL = "too many unfinished handshakes"
_NO_SUCH_ADDRESS = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


class TCPLink(SecuredLink):
    """One TLS connection over TCP."""

    kind = "tcp"
    mtu_bytes = _MTU_BYTES
    cost = LinkCost.FREE


class TCPBearer(Bearer):
    """Dials and listens; `contexts` may be replaced when the authority's roots change."""

    kind = "tcp"

    def __init__(
        self,
        contexts: TLSContexts,
        runtime: Runtime,
        listen: Sequence[Address] = (),
        *,
        wrap: Callable[[trio.SocketStream], trio.abc.Stream] = lambda stream: stream,
        knocks: Knocks | None = None,
    ) -> None:
        """`wrap` may put something between TCP and TLS that counts bytes."""
        self.contexts = contexts
        self.metrics = Metrics()
        """Counters; those of the node once it is open."""
        self.knocks = knocks or Knocks(runtime)
        """How this node knocks, and whom it lets pass."""
        self._wrap = wrap
        self.gate = HandshakeGate()
        self.tolls = Tolls()
        """Whose bytes cost money; put in once there is a store to book in."""
        self._runtime = runtime
        self._listen = tuple(listen)

    async def dial(self, address: Address) -> Link:
        """See `Bearer.dial`."""
        contexts, fare = self.contexts, await self.tolls.towards(address)
        is_made = False
        try:
            with trio.fail_after(DIAL_MS_MAX / 1000):
                stream = await trio.open_tcp_stream(address.host, address.port)
                local = _own_host(stream)
                _tune(stream)
                if not await self.tolls.is_right(fare, local):
                    await trio.aclose_forcefully(stream)
                    raise LinkError(f"the way to {address} has just changed")
                secured = await self._knock_and_secure(stream, address, contexts, fare)
            is_made = True
        except trio.TooSlowError as error:
            raise LinkTimeoutError(f"{address} does not answer") from error
        except (OSError, ValueError) as error:
            raise LinkError(f"{address} cannot be reached: {error}") from error
        finally:
            if fare is not None and not is_made:
                await fare.close(keeps_ahead=True)
        link = TCPLink(secured, contexts.certificate, str(address), local=local, is_initiator=True)
        return _with_fare(link, fare)

    async def _knock_and_secure(
        self,
        stream: trio.SocketStream,
        address: Address,
        contexts: TLSContexts,
        fare: Fare | None,
    ) -> Secured:
        try:
            name = await self.knocks.knock(stream, address)
        except (OSError, trio.BrokenResourceError) as error:
            await trio.aclose_forcefully(stream)
            raise HandshakeError("the peer closed the connection before TLS") from error
        except trio.Cancelled:
            await trio.aclose_forcefully(stream)
            raise
        try:
            return await secure(
                self._wrapped(stream, fare),
                contexts,
                server_side=False,
                now_ms=self._runtime.now_ms(),
            )
        except HandshakeError:
            # A listener that does not know our knock says nothing else.
            self.knocks.missed(name)
            raise

    def _wrapped(self, stream: trio.SocketStream, fare: Fare | None) -> trio.abc.Stream:
        wrapped = self._wrap(stream)
        return wrapped if fare is None else MeteredStream(wrapped, fare, Packets())

    async def serve(
        self,
        handler: LinkHandler,
        *,
        task_status: trio.TaskStatus[tuple[Address, ...]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """See `Bearer.serve`."""
        listeners = await _open_listeners(self._listen)

        async def accept(stream: trio.SocketStream) -> None:
            link = await self._accept(stream)
            if link is not None:
                await handler(link)

        task_status.started(tuple(_local_address(listener) for listener in listeners))
        await trio.serve_listeners(accept, listeners)

    async def _accept(self, stream: trio.SocketStream) -> Link | None:
        try:
            host, port = stream.socket.getpeername()[:2]
            local = _own_host(stream)
            _tune(stream)
        except OSError:
            # It went away between accept and here.
            await trio.aclose_forcefully(stream)
            return None
        contexts = self.contexts
        secured = None
        with self.gate.enter(host) as place:
            if place is None:
                self._refuse("links_refused", host, _FULL)
            else:
                secured, fare = await self._shake(stream, host, place, contexts)
        if secured is None:
            await trio.aclose_forcefully(stream)
            return None
        remote = str(Address(host, port))
        link = TCPLink(secured, contexts.certificate, remote, local=local, is_initiator=False)
        return _with_fare(link, fare)

    async def _shake(
        self, stream: trio.SocketStream, host: str, place: Place, contexts: TLSContexts
    ) -> tuple[Secured | None, Fare | None]:
        """Return the stream under TLS; None, counted, for a stranger or one who took too long."""
        counter, reason = "links_refused", "no handshake within 5 s, or its place was needed"
        place.scope.deadline = trio.current_time() + HANDSHAKE_MS_MAX / 1000
        fare: Fare | None = None
        is_made = False
        try:
            with place.scope:
                judged = await self.knocks.judge(stream)
                if judged.refusal:
                    counter, reason = "knocks_refused", judged.refusal
                elif judged.has_knocked and not self.gate.vouch(place):
                    reason = _FULL
                else:
                    fare = await self.tolls.at(_own_host(stream))
                    wrapped, now_ms = self._wrapped(stream, fare), self._runtime.now_ms()
                    secured = await secure(wrapped, contexts, server_side=True, now_ms=now_ms)
                    is_made = True
                    return secured, fare
        except (HandshakeError, BudgetError) as error:
            reason = str(error)
        finally:
            if fare is not None and not is_made:
                await fare.close(keeps_ahead=True)
        self._refuse(counter, host, reason)
        return None, None

    def _refuse(self, counter: str, host: str, reason: str) -> None:
        self.metrics.count(counter)
        self._runtime.trace("handshake_failed", remote=host, reason=reason)


def _with_fare(link: TCPLink, fare: Fare | None) -> TCPLink:
    if fare is not None:
        link.cost, link.is_sos_only = LinkCost.METERED, fare.is_sos
    return link


def _own_host(stream: trio.SocketStream) -> str:
    host: str = stream.socket.getsockname()[0]
    return host.partition("%")[0].removeprefix("::ffff:")


def _tune(stream: trio.SocketStream) -> None:
    """Keep megabytes out of the kernel's queue, so that an SOS does not wait behind them."""
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    low_water = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if low_water is not None:
        # Absent on some kernels; the session's window bounds the queue there.
        with suppress(OSError):
            stream.setsockopt(socket.IPPROTO_TCP, low_water, LINK_BUFFER_BYTES)


async def _open_listeners(addresses: Sequence[Address]) -> list[trio.SocketListener]:
    """Open all that this machine has; a family it lacks is skipped while another one opens."""
    listeners: list[trio.SocketListener] = []
    fault: OSError | None = None
    for address in addresses:
        try:
            listeners += await trio.open_tcp_listeners(address.port, host=address.host)
        except OSError as error:
            fault = error
            if error.errno not in _NO_SUCH_ADDRESS:
                break
    else:
        if listeners:
            return listeners
    for listener in listeners:
        await listener.aclose()
    wanted = ", ".join(str(address) for address in addresses) or "no address"
    reason = (fault.strerror or str(fault)) if fault else "nothing was configured"
    raise LinkError(
        f"cannot listen on {wanted}: {reason}; "
        "name an address of this machine and a free port under [links] listen in meshnode.toml"
    ) from fault


def _local_address(listener: trio.SocketListener) -> Address:
    host, port = listener.socket.getsockname()[:2]
    return Address(host, port)
