"""Mutual TLS 1.3 over links in memory: the handshake and the records of the field.

Its bytes are random in every run, so a run with it repeats in what it does, and not in every
byte on a link. Source: security 2.3.
"""

from __future__ import annotations

from pathlib import Path

import trio

from meshnode.errors import HandshakeError, LinkClosedError, LinkTimeoutError
from meshnode.links.base import Address, Bearer, Link, LinkHandler
from meshnode.links.tcp import TCPLink
from meshnode.links.tls import TLSContexts, make_contexts, secure
from meshnode.runtime import Runtime
from protocol.limits import DIAL_MS_MAX
from sims.fleet import Device, Fleet

__all__ = ["LinkStream", "SecuredBearer", "contexts_of"]

_READ_BYTES = 65_536


class LinkStream(trio.abc.Stream):
    """A link as the stream of bytes that TLS wants below it."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything. Raises: trio.BrokenResourceError."""
        try:
            await self._link.send(bytes(data))
        except LinkClosedError as error:
            raise trio.BrokenResourceError(str(error)) from error

    async def wait_send_all_might_not_block(self) -> None:
        """Return at once: a link tells by waiting in `send`."""
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what has come; nothing at the end. Raises: trio.BrokenResourceError."""
        try:
            return await self._link.receive(max_bytes or _READ_BYTES)
        except LinkClosedError as error:
            raise trio.BrokenResourceError(str(error)) from error

    async def aclose(self) -> None:
        """End the link."""
        await self._link.aclose()


class SecuredBearer(Bearer):
    """Puts TLS on every link of another bearer."""

    kind = "tcp"

    def __init__(self, bearer: Bearer, contexts: TLSContexts, runtime: Runtime) -> None:
        self._bearer = bearer
        self._contexts = contexts
        self._runtime = runtime

    async def dial(self, address: Address) -> Link:
        """See `Bearer.dial`."""
        try:
            with trio.fail_after(DIAL_MS_MAX / 1000):
                return await self._secured(await self._bearer.dial(address), server_side=False)
        except trio.TooSlowError as error:
            raise LinkTimeoutError(f"{address} does not answer") from error

    async def serve(
        self,
        handler: LinkHandler,
        *,
        task_status: trio.TaskStatus[tuple[Address, ...]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """See `Bearer.serve`."""

        async def handle(link: Link) -> None:
            try:
                secured = await self._secured(link, server_side=True)
            except HandshakeError as error:
                self._runtime.trace("handshake_failed", remote=link.remote, reason=str(error))
                return
            await handler(secured)

        await self._bearer.serve(handle, task_status=task_status)

    async def _secured(self, link: Link, *, server_side: bool) -> Link:
        now_ms = self._runtime.now_ms()
        found = await secure(
            LinkStream(link), self._contexts, server_side=server_side, now_ms=now_ms
        )
        return TCPLink(
            found, self._contexts.certificate, link.remote, local="", is_initiator=not server_side
        )


def contexts_of(device: Device, fleet: Fleet, folder: Path) -> TLSContexts:
    """Return the contexts of a device, whose key and certificates are written to `folder`.

    Raises: LinkError. Cost: 1 ms.
    """
    return make_contexts(device.write_link_files(folder), [fleet.anchor])
