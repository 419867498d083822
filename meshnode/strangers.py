"""Bundles of authors that nobody here knows yet, kept in memory until a roster comes.

They are answered as refused (UNKNOWN_AUTHOR) and go to nobody: whoever brought one keeps it, and
offers it again. What is kept here only saves the wait, so it may be lost at any time.
Source: security 2.13, wire-format 6.8.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from protocol.guards import STRANGERS_BYTES_MAX, STRANGERS_LINKS_MAX, STRANGERS_PER_LINK_MAX
from protocol.ids import NodeId, ShortId

__all__ = ["Stranger", "Strangers"]


@dataclass(frozen=True, slots=True)
class Stranger:
    """One bundle that waits to be examined again."""

    author: NodeId
    """Who says to have written it."""
    hops: int
    """Hop count that it came with."""
    raw: bytes = field(repr=False)
    """The container."""


class Strangers:
    """At most `STRANGERS_PER_LINK_MAX` bundles of each peer; the first ones stay."""

    def __init__(self) -> None:
        self._held: OrderedDict[NodeId | None, dict[ShortId, Stranger]] = OrderedDict()

    def keep(self, peer: NodeId | None, short_id: ShortId, stranger: Stranger) -> bool:
        """Keep what `peer` brought (None for a file); False where there is no room or it is kept.

        Where too many peers left something, that of the one heard longest ago goes.
        """
        held = self._held.setdefault(peer, {})
        self._held.move_to_end(peer)
        if len(self._held) > STRANGERS_LINKS_MAX:
            self._held.popitem(last=False)
        size_bytes = sum(len(each.raw) for each in held.values()) + len(stranger.raw)
        is_full = len(held) >= STRANGERS_PER_LINK_MAX or size_bytes > STRANGERS_BYTES_MAX
        if short_id in held or is_full:
            return False
        held[short_id] = stranger
        return True

    def take_known(
        self, is_known: Callable[[NodeId], bool]
    ) -> dict[NodeId | None, list[tuple[int, bytes]]]:
        """Take out those whose author is known now: per peer, hop count and container of each."""
        found: dict[NodeId | None, list[tuple[int, bytes]]] = {}
        for peer, held in list(self._held.items()):
            for short_id, each in list(held.items()):
                if is_known(each.author):
                    found.setdefault(peer, []).append((each.hops, each.raw))
                    del held[short_id]
            if not held:
                del self._held[peer]
        return found

    def __len__(self) -> int:
        return sum(len(held) for held in self._held.values())
