"""What a session asks of its node. The relay implements it; links never import the relay."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from meshnode.links.base import Link
from meshnode.links.session_handle import SessionHandle
from protocol.ids import NodeId, ShortId
from protocol.reconcile.interest import Interest
from protocol.reconcile.sketch import SketchSnapshot
from protocol.reports import Reception, Standing
from protocol.session import DocumentKey, HelloReceived, Item, LocalHello

__all__ = ["Admitted", "SessionHost"]


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who is at the far end of a link."""

    node: NodeId
    """16 bytes, proven by its badge."""
    standing: Standing
    """What it may get as long as no further document is known; never REFUSED."""


class SessionHost(Protocol):
    """The node behind a session.

    Methods that are not `async` return at once and do not fail. The others may raise MeshError;
    the session then ends with code *internal*, and with *not authenticated* from `admit`.
    """

    def hello(self, link: Link) -> LocalHello:
        """Return what we show of ourselves on `link`."""
        ...

    async def admit(self, link: Link, hello: HelloReceived) -> Admitted:
        """Return who the peer is. Raises: AuthenticationError, IdentityError."""
        ...

    def standing(self, link: Link) -> Standing:
        """Return how the peer admitted on `link` stands now, after whatever was learned."""
        ...

    async def read_documents(self, keys: Sequence[DocumentKey]) -> list[bytes]:
        """Return the raw documents of `keys` that we hold."""
        ...

    async def apply_documents(self, peer: NodeId, raws: Sequence[bytes]) -> None:
        """Check and save what the peer brought."""
        ...

    def sketches(self, peer: NodeId) -> Mapping[Interest, SketchSnapshot]:
        """Return one consistent snapshot per interest that holds anything."""
        ...

    async def ids(self, interest: Interest) -> array[int]:
        """Return every short id of one interest."""
        ...

    async def plan(self, peer: NodeId, ids: Sequence[ShortId]) -> list[Item]:
        """Return those of `ids` that we hold, in the order this peer should get them."""
        ...

    async def plan_all(
        self, peer: NodeId, interest: Interest, after: int | None
    ) -> tuple[list[Item], int | None]:
        """Return a page of everything in `interest`, and where the next one starts, or None."""
        ...

    async def unconfirmed(self, peer: NodeId) -> list[Item]:
        """Return own bundles that no peer is known to hold; the answer to each will tell.

        Asked after a round: the peer lacks them, or took them and its answer was lost.
        """
        ...

    async def missing(self, ids: Sequence[ShortId], peer: NodeId) -> list[ShortId]:
        """Return those of `ids` worth asking `peer` for."""
        ...

    async def read_bundles(
        self, ids: Sequence[ShortId], peer: NodeId | None = None
    ) -> Mapping[ShortId, tuple[bytes, int]]:
        """Return container and hop count of those of `ids` still held, about to go to `peer`."""
        ...

    async def receive(
        self, peer: NodeId, batch: Sequence[tuple[int, bytes]]
    ) -> list[tuple[ShortId | None, Reception]]:
        """Check and store (hop count, container) pairs; return their fates after the commit."""
        ...

    async def handed_over(
        self, peer: NodeId, outcomes: Sequence[tuple[ShortId, Reception]]
    ) -> None:
        """The peer told what became of bundles that we sent."""
        ...

    def session_up(self, handle: SessionHandle) -> None:
        """The peer is admitted; from now on `handle.announce` reaches it."""
        ...

    def session_down(self, handle: SessionHandle) -> None:
        """The session is over; called once for each `session_up`."""
        ...
