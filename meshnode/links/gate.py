"""How many handshakes, or connections, may be open at once: in all, and by network.

Whoever enters is a stranger, of whom a network may have few. Who proves to be known counts apart:
many phones stand behind one address of an operator, and all come back at once. Where all places
are taken, a newcomer gets the oldest place of the network that holds most: the addresses of one
attacker cannot keep out somebody who comes from elsewhere.
Source: security 2.13, case S07, decision 65.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import trio

from protocol.guards import KNOCKED_PER_ADDRESS_MAX
from protocol.limits import HANDSHAKES_MAX, HANDSHAKES_PER_ADDRESS_MAX

__all__ = ["HandshakeGate", "Place", "network_of"]

_IPV6_PREFIX_BITS = 64
"""One network of IPv6, of which one machine may take every address."""


def network_of(host: str) -> str:
    """Return what counts as one place on the network: an IPv4 address, or 64 bits of IPv6.

    All neighbours share the prefix of link-local IPv6, so there the whole address counts. What is
    no IP address counts as itself.
    """
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    if ip.is_link_local:
        return str(ip)
    return str(ipaddress.ip_network((ip, _IPV6_PREFIX_BITS), strict=False))


@dataclass(slots=True, eq=False)
class Place:
    """One that is unfinished; whoever holds it works inside its scope."""

    network: str
    """Where it comes from."""
    number: int
    """Rises with each: the lowest is the oldest."""
    scope: trio.CancelScope
    """Cancelled when the place is needed."""
    is_known: bool = False
    """True once it proved to be no stranger."""


class HandshakeGate:
    """Counts what is unfinished and cancels the one that must make room."""

    def __init__(
        self,
        places: int = HANDSHAKES_MAX,
        per_network: int = HANDSHAKES_PER_ADDRESS_MAX,
        known_per_network: int = KNOCKED_PER_ADDRESS_MAX,
    ) -> None:
        self._most = places
        self._per_network = per_network
        self._known_per_network = known_per_network
        self._places: dict[str, dict[int, Place]] = {}
        self._number = 0
        self.refused = 0
        self.displaced = 0

    @property
    def unfinished(self) -> int:
        """Handshakes under way."""
        return sum(len(places) for places in self._places.values())

    @contextmanager
    def enter(self, host: str) -> Iterator[Place | None]:
        """Hold a place, that of a stranger, or give None if there is none."""
        network = network_of(host)
        if not self._has_room(network):
            self.refused += 1
            yield None
            return
        self._number += 1
        place = Place(network, self._number, trio.CancelScope())
        self._places.setdefault(network, {})[place.number] = place
        try:
            yield place
        finally:
            self._leave(place)

    def vouch(self, place: Place) -> bool:
        """Count it among those who are known from now on; False where its network has no more."""
        known = self._count(place.network) - self._strangers(place.network)
        if place.is_known or known >= self._known_per_network:
            self.refused += not place.is_known
            return place.is_known
        place.is_known = True
        return True

    def _has_room(self, network: str) -> bool:
        if self._strangers(network) >= self._per_network:
            return False
        return self.unfinished < self._most or self._displace(network)

    def _displace(self, network: str) -> bool:
        """Take a place of the network that holds most; False unless that is more than `network`.

        Strangers go first, so that no crowd of them takes the place of one who is known; where
        those who are known hold all, the oldest of their fullest network goes.
        """
        for count in (self._strangers, self._count):
            fullest = max(self._places, key=lambda name: (count(name), -self._oldest(name).number))
            if count(fullest) > count(network):
                # The place is free now; its socket is closed as soon as its task runs.
                place = self._oldest(fullest)
                self._leave(place)
                self.displaced += 1
                place.scope.cancel()
                return True
        return False

    def _count(self, network: str) -> int:
        return len(self._places.get(network, ()))

    def _strangers(self, network: str) -> int:
        return sum(not place.is_known for place in self._places.get(network, {}).values())

    def _oldest(self, network: str) -> Place:
        """Return the oldest stranger of a network, or the oldest of all where all are known."""
        return min(self._places[network].values(), key=lambda each: (each.is_known, each.number))

    def _leave(self, place: Place) -> None:
        places = self._places.get(place.network)
        if places is not None and places.pop(place.number, None) is not None and not places:
            del self._places[place.network]
