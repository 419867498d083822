"""Several bearers as one: each address belongs to one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from meshnode.errors import LinkError
from meshnode.links.base import Address, Bearer, Link, LinkHandler

__all__ = ["JoinedBearer", "Way"]


@dataclass(frozen=True, slots=True)
class Way:
    """One bearer, and which addresses are its own."""

    bearer: Bearer
    """How links are made there."""
    has: Callable[[Address], bool]
    """True for an address of this bearer."""


class JoinedBearer(Bearer):
    """Dials over the first bearer that has the address; listens on all."""

    kind = "joined"

    def __init__(self, ways: Sequence[Way]) -> None:
        self._ways = tuple(ways)

    async def dial(self, address: Address) -> Link:
        """See `Bearer.dial`."""
        for way in self._ways:
            if way.has(address):
                return await way.bearer.dial(address)
        raise LinkError(f"no bearer of this node reaches {address}")

    async def serve(
        self,
        handler: LinkHandler,
        *,
        task_status: trio.TaskStatus[tuple[Address, ...]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """See `Bearer.serve`."""
        listening: list[Address] = []
        async with trio.open_nursery() as nursery:
            for way in self._ways:
                listening += await nursery.start(way.bearer.serve, handler)
            task_status.started(tuple(listening))
