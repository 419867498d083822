"""What a peer gets, in which order, and what is asked of whom.

The routing policy orders; this reads what the policy must see, page by page, and remembers which
peer was asked for what, so that one bundle is not fetched over two links at once.
Source: DESIGN D12, routing point 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import trio

from meshnode.links.base import Link, LinkCost
from meshnode.runtime import Runtime
from meshnode.spending import Spending
from meshnode.store import bundles as rows
from meshnode.store import messages, peers, plans
from meshnode.store.engine import Store
from meshnode.store.records import Cursor
from meshnode.store.statements import signed64, unsigned64
from protocol.ids import NodeId, ShortId
from protocol.limits import ASKED_MAX, ASKED_MS, PLAN_IDS_MAX, PUSH_BYTES_MAX, Kind, TrafficClass
from protocol.reconcile.interest import Interest
from protocol.routing.base import Candidate, Router
from protocol.session import Item

__all__ = ["Planning"]

_TIME_BITS: Final = 64
_KEY_BITS: Final = 64
_MASK: Final = (1 << 64) - 1


class Planning:
    """Orders what goes out and keeps apart what is asked for."""

    def __init__(
        self,
        store: Store,
        runtime: Runtime,
        router: Router,
        link_to: Callable[[NodeId], Link | None] = lambda _peer: None,
    ) -> None:
        """`link_to` gives the link to a peer, which knows what bytes cost there."""
        self.spending = Spending()
        self._link_to = link_to
        self._store = store
        self._runtime = runtime
        self._router = router
        self._asked: dict[ShortId, tuple[NodeId, float]] = {}
        self._passed_over: dict[NodeId, set[ShortId]] = {}

    async def plan(self, peer: NodeId, ids: Sequence[ShortId]) -> list[Item]:
        """Return those of `ids` that we hold, in the order this peer should get them."""
        found = await self._store.read(lambda conn: plans.candidates(conn, ids, peer))
        return await self._ordered(peer, found)

    async def plan_all(
        self, peer: NodeId, interest: Interest, after: int | None
    ) -> tuple[list[Item], int | None]:
        """Return the next page of everything in `interest`, and where the page after it starts."""
        cursor = None if after is None else _unpacked(after)
        found, following = await self._store.read(
            lambda conn: plans.page(conn, interest, cursor, PLAN_IDS_MAX, peer)
        )
        return await self._ordered(peer, found), None if following is None else _packed(following)

    async def _ordered(self, peer: NodeId, found: Sequence[Candidate]) -> list[Item]:
        now_ms = self._runtime.now_ms()
        # What is over is hidden at once; it is dropped when the clock is believed.
        live = [each for each in found if each.expires_ms > now_ms]
        ordered = await self._rarest_first(self._router.order(live, peer, now_ms))
        is_paid, allows = self._is_paid(peer), self.spending.allows
        link = self._link_to(peer)
        last = TrafficClass.SOS if link is not None and link.is_sos_only else TrafficClass.BULK
        return [
            Item(each.short_id, each.traffic_class, each.size_bytes)
            for each in ordered
            if each.traffic_class <= last and (not is_paid or allows(peer, each.short_id))
        ]

    def _is_paid(self, peer: NodeId) -> bool:
        """Return whether bytes to a peer cost money now."""
        link = self._link_to(peer)
        return link is not None and link.cost > LinkCost.FREE

    async def _rarest_first(self, ordered: Sequence[Candidate]) -> Sequence[Candidate]:
        """Let chunks that nobody is known to carry go before those that somebody does.

        Contacts that break one after the other then bring different halves of a file, not the
        same one.
        """
        places = [place for place, each in enumerate(ordered) if each.kind is Kind.CHUNK]
        if len(places) < 2:
            return ordered
        ids = [ordered[place].short_id for place in places]
        copies = await self._store.read(lambda conn: peers.copies(conn, ids))
        rare = sorted(
            (ordered[place] for place in places),
            key=lambda each: (not each.is_for_peer, len(copies.get(each.short_id, ()))),
        )
        mixed = list(ordered)
        for place, each in zip(places, rare, strict=True):
            mixed[place] = each
        return mixed

    def spend(self, peer: NodeId, found: Mapping[ShortId, tuple[bytes, int]]) -> None:
        """Containers go to `peer` now: charge those of own files, where bytes cost money."""
        if self._is_paid(peer):
            self.spending.note(peer, {short: len(raw) for short, (raw, _hops) in found.items()})

    async def unconfirmed(self, peer: NodeId) -> list[Item]:
        """Return small own bundles that no peer is known to hold, in the order `peer` gets them.

        A contact that ends before the answer leaves the peer with a copy and us without the
        news, and the next round finds nothing to send: so these are sent again, for the answer.
        """
        ids = await self._store.read(lambda conn: messages.uncarried(conn, PLAN_IDS_MAX))
        items = await self.plan(peer, ids) if ids else []
        return [item for item in items if item.size_bytes <= PUSH_BYTES_MAX]

    async def missing(self, ids: Sequence[ShortId], peer: NodeId) -> list[ShortId]:
        """Return those of `ids` that we neither hold, nor dropped, nor asked another peer for."""
        known = await self._store.read(lambda conn: rows.known_many(conn, ids))
        wanted, now_s = [], trio.current_time()
        for short in ids:
            asked, since_s = self._asked.get(short, (peer, now_s))
            if short in known:
                continue
            if asked != peer and now_s - since_s < ASKED_MS / 1000:
                self._pass_over(peer, short)
                continue
            if len(self._asked) < ASKED_MAX:
                self._asked[short] = peer, now_s
            wanted.append(short)
        return wanted

    def settled(self, ids: Iterable[ShortId]) -> None:
        """These came, whatever became of them."""
        for short in ids:
            self._asked.pop(short, None)
            for passed_over in self._passed_over.values():
                passed_over.discard(short)

    def _pass_over(self, peer: NodeId, short: ShortId) -> None:
        """Remember that `peer` has what another one was asked for."""
        ids = self._passed_over.setdefault(peer, set())
        if len(ids) < ASKED_MAX:
            ids.add(short)

    def forget(self, peer: NodeId) -> dict[NodeId, list[ShortId]]:
        """The session with `peer` ended; return who has what it still owed."""
        self._passed_over.pop(peer, None)
        return self._give_up(
            [short for short, (asked, _since_s) in self._asked.items() if asked == peer]
        )

    def overdue(self) -> dict[NodeId, list[ShortId]]:
        """Return who has what another peer was asked for and did not bring in time.

        A peer that takes questions and answers none must not keep its bundles from us.
        """
        if not self._passed_over:
            return {}
        before_s = trio.current_time() - ASKED_MS / 1000
        return self._give_up(
            [short for short, (_peer, since_s) in self._asked.items() if since_s <= before_s]
        )

    def _give_up(self, owed: Sequence[ShortId]) -> dict[NodeId, list[ShortId]]:
        """No longer count on these; return the peers that were passed over for them."""
        for short in owed:
            del self._asked[short]
        found: dict[NodeId, list[ShortId]] = {}
        for short in owed:
            other = next((p for p, ids in self._passed_over.items() if short in ids), None)
            if other is not None:
                self._passed_over[other].discard(short)
                found.setdefault(other, []).append(short)
        self._passed_over = {peer: ids for peer, ids in self._passed_over.items() if ids}
        return found


def _packed(cursor: Cursor) -> int:
    """Return a place in the order of service as the one number that sessions pass around."""
    high = cursor.size_class << _TIME_BITS | cursor.expires_ms
    return high << _KEY_BITS | unsigned64(cursor.key)


def _unpacked(number: int) -> Cursor:
    high = number >> _KEY_BITS
    return Cursor(high >> _TIME_BITS, high & _MASK, signed64(number & _MASK))
