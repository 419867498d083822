"""Which TCP connections cost money: those over a network interface that has a budget.

Asked before the first packet leaves: an interface whose budget is used up is never dialled over.
Source: decision 33.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

import trio

from meshnode.errors import LinkError
from meshnode.links.base import Address
from meshnode.links.meter import Fare, Meter, Packets

__all__ = ["Tolls"]


class Tolls:
    """Finds the interface of a connection, and pays for opening it."""

    def __init__(
        self,
        meter_of: Callable[[str], Meter | None] | None = None,
        interface_of: Callable[[str], Awaitable[str]] | None = None,
    ) -> None:
        """`meter_of` gives the meter of an interface; without one every connection is free.

        `interface_of` gives the name of the interface that has an IP address.
        """
        self._meter_of = meter_of
        self._interface_of = interface_of

    async def towards(self, address: Address) -> Fare | None:
        """Pay for dialling `address`; None where that is free.

        Raises: BudgetError; LinkError where there is no way to it now.
        """
        if self._meter_of is None:
            return None
        return await self.at(await _own_host_towards(address))

    async def at(self, host: str) -> Fare | None:
        """Pay for a connection from our own address `host`; None where that is free.

        Raises: BudgetError.
        """
        if self._meter_of is None or self._interface_of is None:
            return None
        meter = self._meter_of(await self._interface_of(host))
        if meter is None:
            return None
        packets, tariff = Packets(), meter.tariff
        return await meter.open(packets.opening(tariff), packets.worth(tariff))

    async def is_right(self, fare: Fare | None, host: str) -> bool:
        """Tell whether a connection from our address `host` is paid as it should be."""
        if self._meter_of is None or self._interface_of is None:
            return True
        meter = self._meter_of(await self._interface_of(host))
        return (None if meter is None else meter.tariff) == (None if fare is None else fare.tariff)


async def _own_host_towards(address: Address) -> str:
    """Return the address of ours from which the system would dial now; sends nothing.

    Raises: LinkError.
    """
    try:
        found = await trio.socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
        family, kind, protocol, _name, place = found[0]
        with trio.socket.socket(family, kind, protocol) as probe:
            # Of a datagram socket this chooses the way, and no packet leaves.
            await probe.connect(place)
            host: str = probe.getsockname()[0]
    except OSError as error:
        raise LinkError(f"{address} cannot be reached: {error}") from error
    return host.partition("%")[0].removeprefix("::ffff:")
