"""A link over any stream that TLS secured: all that its bearers share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from meshnode.errors import LinkClosedError
from meshnode.links.base import Link
from meshnode.links.tls import Secured

__all__ = ["SecuredLink"]


class SecuredLink(Link):
    """One TLS connection; a bearer adds its kind, cost and largest piece."""

    def __init__(
        self,
        secured: Secured,
        local_certificate: bytes,
        remote: str,
        *,
        local: str = "",
        is_initiator: bool,
    ) -> None:
        self._stream = secured.stream
        self.peer_certificate = secured.peer_certificate
        self.peer_not_after_ms = secured.peer_not_after_ms
        self.local_certificate = local_certificate
        self.remote = remote
        self.local = local
        self.is_initiator = is_initiator
        self._has_ended = False

    async def send(self, data: bytes) -> None:
        """See `Link.send`."""
        with _link_errors():
            await self._stream.send_all(data)

    async def receive(self, max_bytes: int) -> bytes:
        """See `Link.receive`."""
        if self._has_ended:
            # A second read after the end would find a broken TLS stream.
            await trio.lowlevel.checkpoint()
            return b""
        with _link_errors():
            data = bytes(await self._stream.receive_some(max_bytes))
        self._has_ended = not data
        return data

    async def aclose(self) -> None:
        """See `Link.aclose`; the session's BYE stands for TLS's close_notify."""
        self._has_ended = False
        await self._stream.aclose()


@contextmanager
def _link_errors() -> Iterator[None]:
    try:
        yield
    except trio.ClosedResourceError as error:
        raise LinkClosedError("this end of the link was closed") from error
    except trio.BrokenResourceError as error:
        raise LinkClosedError("the link broke") from error
