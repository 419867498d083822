"""Links that exist while a contact does, and break when it ends; with the faults of radio.

Source: DESIGN D11; `meshnode.links.memory` gives the links themselves.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Final

from meshnode.links.base import Address
from meshnode.links.memory import MemoryBearer, MemoryLink, MemoryNetwork, Shape
from sims.draws import Draw
from sims.faults import NO_FAULTS, Faults

__all__ = ["ContactNetwork", "address_of"]

_SLOWER: Final = 100.0
"""A slow link has this part of the rate of the others."""
_RATE_BYTES_S_MIN: Final = 500.0
"""Slower than this no link of the field is."""


def address_of(name: str) -> Address:
    """Return where the node called `name` is reached."""
    return Address(name, 1)


class ContactNetwork(MemoryNetwork):
    """A memory network in which two nodes reach each other only during their contacts."""

    def __init__(
        self,
        shape: Shape,
        faults: Faults = NO_FAULTS,
        draw: Draw | None = None,
    ) -> None:
        super().__init__(self._shape_of)
        self.is_quiet = False
        """True once links are made without loss, corruption, jitter and slowness."""
        self._shape = shape
        self._faults = faults
        self._draw = draw or Draw(0, "links")
        self._open: set[frozenset[str]] = set()
        self._dark: set[str] = set()
        self._muted = Counter[tuple[str, str]]()
        self._undialled = Counter[tuple[str, str]]()
        self._links: dict[frozenset[str], list[tuple[str, MemoryLink]]] = {}

    def _shape_of(self, dialler: Address, dialled: Address) -> Shape | None:
        first, second = dialler.host, dialled.host
        if not self.is_open(first, second) or self._undialled[first, second]:
            return None
        if self._muted[first, second] or self._muted[second, first]:
            # A handshake needs both directions.
            return None
        return self._drawn_shape()

    def _drawn_shape(self) -> Shape:
        """Return the shape of a new link."""
        faults, shape, draw = self._faults, self._shape, self._draw
        if self.is_quiet or faults == NO_FAULTS:
            return shape
        rate = shape.rate_bytes_s
        if rate is not None and draw.chance(faults.slow_links):
            rate = max(rate / _SLOWER, min(rate, _RATE_BYTES_S_MIN))
        return replace(
            shape,
            latency_s=shape.latency_s + draw.uniform(0.0, faults.jitter_s),
            rate_bytes_s=rate,
            mtu_bytes=faults.mtu_bytes or shape.mtu_bytes,
            loss=faults.loss,
            corruption=faults.corruption,
            unit=draw.unit,
        )

    async def connect(self, dialler: MemoryBearer, address: Address) -> MemoryLink:
        """See `MemoryNetwork.connect`."""
        link = await super().connect(dialler, address)
        first, second = dialler.address.host, address.host
        if not self.is_open(first, second):
            # The contact ended during the dial.
            link.drop()
        link.stall_sending(self._muted[first, second] > 0)
        link.stall_receiving(self._muted[second, first] > 0)
        self._links.setdefault(_pair(first, second), []).append((first, link))
        return link

    def is_open(self, first: str, second: str) -> bool:
        """True while the two are in contact and have power."""
        return _pair(first, second) in self._open and self._dark.isdisjoint((first, second))

    def begin(self, first: str, second: str) -> None:
        """A contact begins."""
        self._open.add(_pair(first, second))

    def end(self, first: str, second: str) -> None:
        """A contact ends: every link of the two breaks without a word."""
        self._open.discard(_pair(first, second))
        self._break(_pair(first, second))

    def partners(self, name: str) -> list[str]:
        """Return with whom the node called `name` is in contact, by name."""
        return sorted(other for pair in self._open if name in pair for other in pair - {name})

    def calm(self) -> None:
        """From now on links are made without loss, corruption, jitter and slowness."""
        self.is_quiet = True

    # --- power and partitions ---------------------------------------------------------------

    def darken(self, name: str) -> None:
        """A node loses its power: its links break, and nobody reaches it."""
        self._dark.add(name)
        for pair in [pair for pair in self._links if name in pair]:
            self._break(pair)

    def lighten(self, name: str) -> None:
        """It has power again; its contacts go on."""
        self._dark.discard(name)

    def mute(self, source: str, target: str) -> None:
        """What `source` says no longer arrives at `target`; what was said waits, as in TCP."""
        self._muted[source, target] += 1
        self._stall(source, target)

    def unmute(self, source: str, target: str) -> None:
        """End of one `mute`; where there were several, the last one ends it."""
        self._muted[source, target] -= 1
        self._stall(source, target)

    def forbid_dials(self, source: str, target: str) -> None:
        """Dials from `source` to `target` are not answered; links that exist go on."""
        self._undialled[source, target] += 1

    def allow_dials(self, source: str, target: str) -> None:
        """End of one `forbid_dials`."""
        self._undialled[source, target] -= 1

    def _stall(self, source: str, target: str) -> None:
        is_stalled = self._muted[source, target] > 0
        for dialler, link in self._links.get(_pair(source, target), []):
            if dialler == source:
                link.stall_sending(is_stalled)
            else:
                link.stall_receiving(is_stalled)

    def _break(self, pair: frozenset[str]) -> None:
        for _dialler, link in self._links.pop(pair, []):
            link.drop()


def _pair(first: str, second: str) -> frozenset[str]:
    return frozenset((first, second))
