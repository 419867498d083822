"""Takes bundles in, keeps them, decides what goes to whom; never opens one.

This is the `SessionHost` of the links: the session runner asks it for documents, sketches and
bundles, and hands it what arrived. Only after the commit is a bundle acknowledged, and only then
announced to others. Source: DESIGN section 4, STYLE 24.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence

import trio

from meshnode.admission import Admission
from meshnode.errors import StoreError
from meshnode.events import BundlesStored, Events, PeerDown, PeerUp
from meshnode.immunity import Covered, Immunity
from meshnode.links.base import Link
from meshnode.links.session_runner import SessionHandle
from meshnode.membership import Membership
from meshnode.metrics import Metrics
from meshnode.reception import Checked, Examiner
from meshnode.runtime import Runtime
from meshnode.store import bundles as rows
from meshnode.store import peers
from meshnode.store.engine import Store, Transaction
from meshnode.store.records import BundleRecord, BundleSummary
from protocol import bundle as bundles
from protocol.bundle import Scope
from protocol.ids import BundleId, NodeId, ShortId
from protocol.limits import Kind, TrafficClass
from protocol.reconcile.interest import Interest
from protocol.reconcile.sketch import SketchSnapshot
from protocol.reports import Reception
from protocol.routing.base import Candidate, Router
from protocol.session import DocumentKey, HelloReceived, Item, LocalHello

__all__ = ["Relay"]

_PLAN_PAGE = 2_000
"""Bundles planned at once when a peer's set is empty."""


class Relay:
    """The store-carry-forward part of a node: what is held, what is offered, what is dropped."""

    def __init__(
        self,
        node: NodeId,
        store: Store,
        runtime: Runtime,
        membership: Membership,
        examiner: Examiner,
        router: Router,
        events: Events,
        metrics: Metrics,
        local_hello: Callable[[Link], tuple[tuple[bytes, ...], bytes]],
    ) -> None:
        self._node = node
        self._store = store
        self._runtime = runtime
        self._membership = membership
        self._examiner = examiner
        self._router = router
        self._events = events
        self._metrics = metrics
        self._local_hello = local_hello
        self._admission = Admission(runtime, metrics)
        self._immunity = Immunity()
        self._sessions: dict[NodeId, SessionHandle] = {}
        self._asked: dict[ShortId, NodeId] = {}
        self._own: set[ShortId] = set()

    async def load(self) -> None:
        """Learn from the store which receipts and which own bundles it holds."""
        receipts = await self._store.read(lambda conn: rows.raws_of_kind(conn, Kind.RECEIPT))
        for raw in receipts:
            self._immunity.learn(bundles.decode_untrusted(raw))
        self._own = set(await self._store.read(lambda conn: rows.own_ids(conn, self._node)))

    # --- the session's questions ------------------------------------------------------------

    def hello(self, link: Link) -> LocalHello:
        """Return what we show of ourselves on `link`."""
        chain, signature = self._local_hello(link)
        return LocalHello(chain, signature, dict(self._membership.versions))

    async def admit(self, link: Link, hello: HelloReceived) -> NodeId:
        """Return who the peer is. Raises: AuthenticationError."""
        badge = self._admission.admit(link, hello, self._membership.root.anchors)
        return badge.node

    async def read_documents(self, keys: Sequence[DocumentKey]) -> list[bytes]:
        """Return the raw documents of `keys` that we hold."""
        return await self._membership.read(keys)

    async def apply_documents(self, peer: NodeId, raws: Sequence[bytes]) -> None:
        """Check and save what the peer brought; refused ones are counted."""
        await self._membership.accept(raws)

    def sketches(self, peer: NodeId) -> Mapping[Interest, SketchSnapshot]:
        """Return one consistent snapshot per interest that holds anything."""
        return {
            interest: sketch.snapshot()
            for interest, sketch in self._store.sketches.items()
            if sketch.n
        }

    async def ids(self, interest: Interest) -> array[int]:
        """Return every short id of one interest (the fall-back list)."""
        return await self._store.read(lambda conn: rows.ids(conn, interest))

    async def plan(self, peer: NodeId, ids: Sequence[ShortId]) -> list[Item]:
        """Return those of `ids` that we hold, in the order this peer should get them."""
        summaries = await self._store.read(lambda conn: rows.summaries(conn, ids))
        return self._ordered(peer, summaries)

    async def plan_all(
        self, peer: NodeId, interest: Interest, after: int | None
    ) -> tuple[list[Item], int | None]:
        """Return the next page of everything in `interest`, and where the page after it starts."""
        page = await self._store.read(
            lambda conn: rows.page(conn, interest, after or 0, _PLAN_PAGE)
        )
        cursor = page.next_cursor
        return self._ordered(peer, page.summaries), cursor

    def _ordered(self, peer: NodeId, summaries: Sequence[BundleSummary]) -> list[Item]:
        candidates = [
            Candidate(
                short_id=summary.short_id,
                traffic_class=TrafficClass(summary.traffic_class),
                kind=Kind(summary.kind),
                size_bytes=summary.size_bytes,
                created_ms=summary.hlc >> 16,
                expires_ms=summary.expires_ms,
                is_for_peer=peer in summary.scope,
                hops=summary.hops,
            )
            for summary in summaries
        ]
        now_ms = self._runtime.now_ms()
        return [
            Item(candidate.short_id, candidate.traffic_class, candidate.size_bytes)
            for candidate in self._router.order(candidates, peer, now_ms)
        ]

    async def missing(self, ids: Sequence[ShortId], peer: NodeId) -> list[ShortId]:
        """Return those of `ids` worth asking `peer` for: not held, not dropped, not asked."""
        known = await self._store.read(lambda conn: rows.known_many(conn, ids))
        wanted = []
        for short in ids:
            asked_of = self._asked.get(short)
            if short in known or (asked_of is not None and asked_of != peer):
                continue
            self._asked[short] = peer
            wanted.append(short)
        return wanted

    async def read_bundles(self, ids: Sequence[ShortId]) -> Mapping[ShortId, tuple[bytes, int]]:
        """Return container and hop count of those of `ids` that are still held."""
        return await self._store.read(lambda conn: rows.raw_many(conn, ids))

    # --- sessions ---------------------------------------------------------------------------

    def session_up(self, handle: SessionHandle) -> None:
        """A peer was admitted and reconciled from now on."""
        self._sessions[handle.peer] = handle
        self._events.publish(PeerUp(handle.peer, handle.link.remote))

    def session_down(self, handle: SessionHandle) -> None:
        """The session ended; what only this peer was asked for is asked of the others again."""
        if self._sessions.get(handle.peer) is handle:
            del self._sessions[handle.peer]
        unanswered = [short for short, peer in self._asked.items() if peer == handle.peer]
        for short in unanswered:
            del self._asked[short]
        if unanswered:
            for other in self._sessions.values():
                other.start_round()
        self._events.publish(PeerDown(handle.peer))

    @property
    def sessions(self) -> Mapping[NodeId, SessionHandle]:
        """The live sessions by peer."""
        return self._sessions

    # --- reception --------------------------------------------------------------------------

    async def receive(
        self, peer: NodeId | None, batch: Sequence[tuple[int, bytes]]
    ) -> list[tuple[ShortId | None, Reception]]:
        """Check, commit and announce a batch of (hop count, container); return each one's fate.

        Returns after the commit (fsync), so the caller may acknowledge. `peer` is None for a file.
        """
        checked = await self._examiner.examine(batch, self._immunity)
        outcomes = [(each.short_id, each.reception) for each in checked]
        fresh = [each for each in checked if each.record is not None]
        if fresh:
            stored = await self._commit(peer, fresh)
            fates = {each.position: fate for each, fate in zip(fresh, stored, strict=True)}
            outcomes = [
                (short, fates.get(position, fate))
                for position, (short, fate) in enumerate(outcomes)
            ]
        for short, reception in outcomes:
            if short is not None:
                self._asked.pop(short, None)
            self._metrics.count(f"bundles_{reception.name.lower()}")
        return outcomes

    async def _commit(
        self, peer: NodeId | None, fresh: Sequence[Checked]
    ) -> list[Reception]:
        records = [each.record for each in fresh if each.record is not None]
        try:
            receptions = await self._store.write(lambda tx: rows.add_many(tx, records))
        except StoreError as error:
            self._runtime.trace("store_refused", reason=type(error).__name__)
            return [Reception.STORE_FULL] * len(records)
        kept = [
            each
            for each, reception in zip(fresh, receptions, strict=True)
            if reception is Reception.STORED
        ]
        await self.announce(kept, peer)
        return receptions

    async def announce(self, kept: Sequence[Checked], source: NodeId | None) -> None:
        """After a commit: tell live peers and the rooms of this node, and act on receipts."""
        if not kept:
            return
        records = [each.record for each in kept if each.record is not None]
        items = [
            Item(record.short_id, TrafficClass(record.traffic_class), record.size_bytes)
            for record in records
        ]
        for peer, handle in self._sessions.items():
            if peer != source:
                handle.announce(items)
        covered = [
            run
            for each in kept
            if each.bundle.header.kind is Kind.RECEIPT
            for run in self._immunity.learn(each.bundle)
        ]
        if covered:
            await self._drop_delivered(covered)
        self._events.publish(BundlesStored(tuple(each.bundle.header for each in kept), source))

    def note_own(self, records: Sequence[BundleRecord]) -> None:
        """Remember ids of bundles made here, whose copies are worth a line in the ledger."""
        self._own.update(record.short_id for record in records)

    async def _drop_delivered(self, covered: Sequence[Covered]) -> None:
        def drop(tx: Transaction) -> int:
            done = []
            for run in covered:
                for summary in rows.of_author(
                    tx.connection, run.author, run.incarnation, run.first, run.last
                ):
                    bundle = BundleId(run.author, run.incarnation, summary.seq)
                    scope = Scope.decode_untrusted(summary.scope)
                    if self._immunity.has_all(bundle, scope, self._membership.directory):
                        done.append(summary.short_id)
            rows.drop_many(tx, done, "delivered")
            return len(done)

        dropped = await self._store.write(drop)
        self._metrics.count("bundles_dropped_delivered", dropped)

    async def handed_over(
        self, peer: NodeId, outcomes: Sequence[tuple[ShortId, Reception]]
    ) -> None:
        """The peer acknowledged bundles: write down who carries a copy of our own ones."""
        own = [(short, fate) for short, fate in outcomes if short in self._own]
        if not own:
            return
        now_ms = self._runtime.now_ms()
        with trio.CancelScope(shield=True):
            await self._store.write(lambda tx: peers.note_custody(tx, peer, own, now_ms))
        self._events.publish_custody(peer, tuple(short for short, _ in own))
