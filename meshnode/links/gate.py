"""How many handshakes, or connections, may be open at once: in all, and by network.

Where all places are taken, a newcomer gets the oldest place of the network that holds most: the
addresses of one attacker cannot keep out somebody who comes from elsewhere.
Source: security 2.13 and case S07.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from protocol.limits import HANDSHAKES_MAX, HANDSHAKES_PER_ADDRESS_MAX

__all__ = ["HandshakeGate", "network_of"]

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


class HandshakeGate:
    """Counts what is unfinished and cancels the one that must make room."""

    def __init__(
        self, places: int = HANDSHAKES_MAX, per_network: int = HANDSHAKES_PER_ADDRESS_MAX
    ) -> None:
        self._most = places
        self._per_network = per_network
        self._places: dict[str, dict[int, trio.CancelScope]] = {}
        self._number = 0
        self.refused = 0
        self.displaced = 0

    @property
    def unfinished(self) -> int:
        """Handshakes under way."""
        return sum(len(places) for places in self._places.values())

    @contextmanager
    def enter(self, host: str) -> Iterator[trio.CancelScope | None]:
        """Give a scope and hold a place, or give None if there is no place.

        The caller shakes hands inside the scope, which is cancelled when the place is needed.
        """
        network = network_of(host)
        if not self._has_room(network):
            self.refused += 1
            yield None
            return
        self._number += 1
        number, scope = self._number, trio.CancelScope()
        self._places.setdefault(network, {})[number] = scope
        try:
            yield scope
        finally:
            self._leave(network, number)

    def _has_room(self, network: str) -> bool:
        ours = len(self._places.get(network, ()))
        if ours >= self._per_network:
            return False
        return self.unfinished < self._most or self._displace(ours)

    def _displace(self, ours: int) -> bool:
        """Take the oldest place of the network that holds most; False unless that is more."""
        # Numbers only rise, so the first one of a network is its oldest.
        fullest = max(self._places, key=lambda name: self._rank(self._places[name]))
        if len(self._places[fullest]) <= ours:
            return False
        number = next(iter(self._places[fullest]))
        scope = self._places[fullest][number]
        # The place is free now; its socket is closed as soon as its task runs.
        self._leave(fullest, number)
        self.displaced += 1
        scope.cancel()
        return True

    @staticmethod
    def _rank(places: dict[int, trio.CancelScope]) -> tuple[int, int]:
        return len(places), -next(iter(places))

    def _leave(self, network: str, number: int) -> None:
        places = self._places.get(network)
        if places is not None and places.pop(number, None) is not None and not places:
            del self._places[network]
