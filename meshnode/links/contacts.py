"""Places worth dialling: where they are, who was found there, when to try again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import trio

from meshnode.links.base import Address, LinkCost
from meshnode.links.level import Level
from protocol.ids import NodeId
from protocol.limits import (
    ADDRESSES_PER_CONTACT_MAX,
    BACKOFF_FIRST_MS,
    BACKOFF_MS_MAX,
    CONTACTS_MAX,
)

__all__ = ["Backoff", "Contact", "Contacts", "Hint", "Known"]

_FAILURES_MAX = 12
"""A place that was sighted is forgotten after this many failed dials, about 20 min."""


@dataclass(frozen=True, slots=True)
class Hint:
    """Somebody may be reachable; nothing about it is authenticated."""

    name: str
    """What the source calls it; the same name later replaces this hint."""
    addresses: tuple[Address, ...]
    """Where to try; empty once it is gone."""
    tries_max: int = _FAILURES_MAX
    """Failed dials after which it is forgotten, unless a peer was met there."""


class Backoff:
    """Doubling waits with jitter: between three quarters and the whole of 1 s, 2 s … 5 min."""

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self.failures = 0

    def reset(self) -> None:
        """The next wait is the first one again."""
        self.failures = 0

    def next_s(self) -> float:
        """Return how long to wait now; nodes that lost one another do not all come back at once."""
        doublings = min(self.failures, BACKOFF_MS_MAX.bit_length())
        wait_ms = min(BACKOFF_FIRST_MS << doublings, BACKOFF_MS_MAX)
        self.failures += 1
        part = int.from_bytes(self._entropy(2), "big") / 65_536
        return wait_ms / 1000 * (0.75 + part / 4)


class Contact:
    """One place, and the state of trying it."""

    def __init__(
        self,
        addresses: Iterable[Address],
        entropy: Callable[[int], bytes],
        *,
        is_static: bool,
        tries_max: int = _FAILURES_MAX,
    ) -> None:
        self.addresses = tuple(addresses)[:ADDRESSES_PER_CONTACT_MAX]
        self.is_static = is_static
        self.is_in_session = False
        self.is_dropped = False
        self.backoff = Backoff(entropy)
        self.node: NodeId | None = None
        self.cost = LinkCost.FREE
        """What a byte cost when it was reached last: no session that costs more holds it back."""
        self.changed = Level()
        self.scope = trio.CancelScope()
        self._tries_max = tries_max

    @property
    def is_hopeless(self) -> bool:
        """True if only a new sighting makes it worth trying again."""
        tries = self._tries_max if self.node is None else _FAILURES_MAX
        return self.is_dropped or (not self.is_static and self.backoff.failures > tries)

    def retry(self) -> None:
        """The next try is now."""
        self.backoff.reset()
        self.changed.set()

    def leave(self) -> None:
        """Stop trying. A session goes on: whoever sends sightings must not be able to end it."""
        self.is_dropped = True
        if not self.is_in_session:
            self.scope.cancel()

    def move(self, addresses: Sequence[Address]) -> None:
        """Take new addresses; if they differ, the next try is now."""
        kept = tuple(addresses)[:ADDRESSES_PER_CONTACT_MAX]
        if set(kept) != set(self.addresses):
            self.addresses = kept
            self.retry()

    def answered(self, address: Address) -> None:
        """Try this address first next time."""
        self.addresses = (address, *(each for each in self.addresses if each != address))


class Contacts:
    """Contacts by name; the longest unseen of those where nobody was met is forgotten first."""

    def __init__(self) -> None:
        self._by_name: OrderedDict[str, Contact] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_name)

    def get(self, name: str) -> Contact | None:
        """Return the contact of this name, which now counts as seen."""
        contact = self._by_name.get(name)
        if contact is not None:
            self._by_name.move_to_end(name)
        return contact

    def add(self, name: str, contact: Contact) -> None:
        """Keep a contact; one that was only sighted may have to go for it."""
        if len(self._by_name) >= CONTACTS_MAX:
            sighted = [(key, each) for key, each in self._by_name.items() if not each.is_static]
            # A flood of made-up names drives out made-up names, not peers.
            unmet = (key for key, each in sighted if each.node is None)
            oldest = next(unmet, sighted[0][0] if sighted else None)
            if oldest is not None:
                self.drop(oldest)
        self._by_name[name] = contact

    def drop(self, name: str) -> None:
        """Forget a contact and stop its task."""
        contact = self._by_name.pop(name, None)
        if contact is not None:
            contact.leave()

    def retry(self) -> None:
        """Try every place again now."""
        for contact in self._by_name.values():
            contact.retry()


class Known:
    """Who was met: by link certificate, and at which addresses it answered."""

    def __init__(self) -> None:
        self._nodes: OrderedDict[bytes, NodeId] = OrderedDict()
        self._addresses: OrderedDict[NodeId, tuple[Address, ...]] = OrderedDict()

    def note(self, certificate: bytes, node: NodeId) -> None:
        """Remember that `node` proved to own this certificate."""
        self._nodes[certificate] = node
        self._nodes.move_to_end(certificate)
        if len(self._nodes) > CONTACTS_MAX:
            self._nodes.popitem(last=False)

    def node_of(self, certificate: bytes) -> NodeId | None:
        """Return who proved to own this link certificate."""
        return self._nodes.get(certificate)

    def note_address(self, node: NodeId, address: Address) -> None:
        """`node` answered at `address`."""
        others = (each for each in self._addresses.get(node, ()) if each != address)
        self._addresses[node] = (address, *others)[:ADDRESSES_PER_CONTACT_MAX]
        self._addresses.move_to_end(node)
        if len(self._addresses) > CONTACTS_MAX:
            self._addresses.popitem(last=False)

    def addresses(self, node: NodeId) -> tuple[Address, ...]:
        """Return where `node` answered, the latest first."""
        return self._addresses.get(node, ())
