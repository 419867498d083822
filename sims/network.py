"""Links that exist while a contact does, and break when it ends.

Source: DESIGN D11; `meshnode.links.memory` gives the links themselves.
"""

from __future__ import annotations

from meshnode.links.base import Address
from meshnode.links.memory import MemoryBearer, MemoryLink, MemoryNetwork, Shape

__all__ = ["ContactNetwork", "address_of"]


def address_of(name: str) -> Address:
    """Return where the node called `name` is reached."""
    return Address(name, 1)


class ContactNetwork(MemoryNetwork):
    """A memory network in which two nodes reach each other only during their contacts."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(self._shape_of)
        self._shape = shape
        self._open: set[frozenset[str]] = set()
        self._dark: set[str] = set()
        self._links: dict[frozenset[str], list[MemoryLink]] = {}

    def _shape_of(self, dialler: Address, dialled: Address) -> Shape | None:
        return self._shape if self.is_open(dialler.host, dialled.host) else None

    async def connect(self, dialler: MemoryBearer, address: Address) -> MemoryLink:
        """See `MemoryNetwork.connect`."""
        link = await super().connect(dialler, address)
        if not self.is_open(dialler.address.host, address.host):
            # The contact ended during the dial.
            link.drop()
        self._links.setdefault(_pair(dialler.address.host, address.host), []).append(link)
        return link

    def is_open(self, first: str, second: str) -> bool:
        """True while the two can reach each other."""
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

    def darken(self, name: str) -> None:
        """A node loses its power: its links break, and nobody reaches it."""
        self._dark.add(name)
        for pair in [pair for pair in self._links if name in pair]:
            self._break(pair)

    def lighten(self, name: str) -> None:
        """It has power again; its contacts go on."""
        self._dark.discard(name)

    def _break(self, pair: frozenset[str]) -> None:
        for link in self._links.pop(pair, []):
            link.drop()


def _pair(first: str, second: str) -> frozenset[str]:
    return frozenset((first, second))
