"""What every link and every bearer gives: ordered bytes to one peer, and a way to get there.

A link knows nothing of frames or content. Who the peer is comes from the certificate that the
bearer authenticated, never from what it sends. Source: DESIGN D4.
"""

from __future__ import annotations

import ipaddress
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import IntEnum

import trio

from meshnode.errors import LinkError

__all__ = ["Address", "Bearer", "Link", "LinkCost", "LinkHandler", "parse_address"]

_PORT_MAX = 65_535


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Where a node may be reached."""

    host: str
    """IP address or name; an IPv6 address may carry a zone, `fe80::1%wlan0`."""
    port: int
    """1-65535; 0 only where any free port will do."""
    instance: str = field(default="", compare=False)
    """Name under which a listener announced itself here, for its knock; empty if nobody did."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class LinkCost(IntEnum):
    """What a byte costs on a link; a lower one is preferred."""

    FREE = 0
    """Wi-Fi, cable."""
    METERED = 1
    """Mobile data."""
    COSTLY = 2
    """Satellite."""


class Link(ABC):
    """Ordered bytes both ways between two nodes that proved who they are.

    One task may send while another receives. Every method but `aclose` raises LinkClosedError
    once the link is broken, or was closed here.
    """

    kind: str
    """Name of the bearer: `tcp`, `memory`."""
    remote: str
    """Where the peer is, for people and traces."""
    local: str = ""
    """Our own IP address on it, without zone; empty where there is none to lose."""
    is_initiator: bool
    """True if this end dialled."""
    mtu_bytes: int
    """Largest piece that the bearer carries at once; a stream has no need of it."""
    cost: LinkCost
    """What a byte costs."""
    local_certificate: bytes
    """Our link certificate, DER."""
    peer_certificate: bytes
    """The peer's link certificate, DER, as the bearer authenticated it."""
    is_sos_only: bool = False
    """True where the budget of the bearer has nothing left but what is kept for SOS."""
    peer_not_after_ms: int | None = None
    """Until when it is valid, Unix milliseconds; None where the bearer knows no dates."""

    @abstractmethod
    async def send(self, data: bytes) -> None:
        """Hand `data` to the bearer; waits while its small buffer is full."""

    @abstractmethod
    async def receive(self, max_bytes: int) -> bytes:
        """Return 1 to `max_bytes` bytes, or nothing at all once the peer has ended the link."""

    @abstractmethod
    async def aclose(self) -> None:
        """End the link. What was sent before still arrives if the peer reads it.

        Waiting calls of this end raise LinkClosedError. May be called twice; never waits for
        the peer.
        """


LinkHandler = Callable[[Link], Awaitable[None]]
"""Takes over a link that somebody dialled to us."""


class Bearer(ABC):
    """One kind of link: how to dial, and how to be dialled."""

    kind: str
    """Name of the bearer, as on its links."""

    @abstractmethod
    async def dial(self, address: Address) -> Link:
        """Return a link to `address`. Raises: LinkError, HandshakeError, LinkTimeoutError."""

    @abstractmethod
    async def serve(
        self,
        handler: LinkHandler,
        *,
        task_status: trio.TaskStatus[tuple[Address, ...]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Give every link dialled to us to its own task of `handler`, until cancelled.

        Starts with the addresses that are open. Raises: LinkError if none can be opened.
        """


def parse_address(text: str, default_port: int) -> Address:
    """Read `host`, `host:port`, `[ipv6]:port` or a bare IPv6 address. Raises: LinkError."""
    host, port_text = _split(text.strip())
    port = int(port_text) if port_text.isdecimal() and len(port_text) <= 5 else None
    if not port_text:
        port = default_port
    if port is None or not 1 <= port <= _PORT_MAX:
        raise LinkError(f"the port in {text!r} is not a number from 1 to {_PORT_MAX}")
    if not host or any(char.isspace() or char in "[]/" for char in host):
        raise LinkError(f"{text!r} is not an address: write HOST, HOST:PORT or [IPV6]:PORT")
    return Address(host, port)


def _split(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        return (host if bracket else ""), rest.removeprefix(":")
    if _is_ipv6(text):
        return text, ""
    host, _colon, port = text.rpartition(":") if ":" in text else (text, "", "")
    return host, port


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False
