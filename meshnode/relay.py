"""Takes bundles in, keeps them, decides what goes to whom; never opens one.

This is the `SessionHost` of the links: the session runner asks it for documents, sketches and
bundles, and hands it what arrived. Only after the commit is a bundle acknowledged, and only then
announced to others. Source: DESIGN section 4, STYLE 24.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from meshnode import shifts
from meshnode.admission import Admission
from meshnode.contact_log import ContactLog
from meshnode.directory import Directory
from meshnode.errors import StoreError, StoreFullError
from meshnode.events import BundlesStored, Equivocated, Events, PeerDown, PeerUp
from meshnode.immunity import SETTLING, Covered, Immunity
from meshnode.ledger import Ledger, Noted, has_effect
from meshnode.links.base import Link
from meshnode.links.session_handle import SessionHandle
from meshnode.links.session_host import Admitted
from meshnode.membership import Membership
from meshnode.metrics import QUIET_FATES, Metrics
from meshnode.news import News
from meshnode.planning import Planning
from meshnode.reception import Checked, Examiner, allowances, named
from meshnode.runtime import Runtime
from meshnode.store import bundles as rows
from meshnode.store import delivery, peers
from meshnode.store.engine import Connection, Store, Transaction
from meshnode.store.records import BundleRecord
from meshnode.strangers import Stranger, Strangers
from protocol.bundle import Bundle, Header, Scope
from protocol.errors import CloseCode
from protocol.identity import Badge
from protocol.ids import NodeId, ShortId, print_bundle_id, print_node_id
from protocol.limits import Kind
from protocol.reconcile.interest import Interest
from protocol.reconcile.sketch import SketchSnapshot
from protocol.reports import Reception, Standing
from protocol.routing.base import Router
from protocol.session import DocumentKey, HelloReceived, Item, LocalHello

__all__ = ["Relay", "RelayParts"]

# Bound once: asking an enumeration for a member costs 0.15 µs, and these are asked per bundle.
_STORED: Final = Reception.STORED
_EQUIVOCATION: Final = Reception.EQUIVOCATION
_RECEIPTED: Final = (
    *(Kind.TEXT, Kind.NOTE, Kind.SOS, Kind.CHUNK, Kind.CHAIN_KEYS),
    Kind.CANCEL,
)
"""Kinds that every recipient receipts."""


@dataclass(frozen=True, slots=True)
class RelayParts:
    """What a relay is built from."""

    node: NodeId
    """Ourselves, 16 bytes."""
    zone: int
    """Our own zone, 1-65535."""
    store: Store
    """Where bundles lie."""
    runtime: Runtime
    """The seams."""
    membership: Membership
    """Who is who."""
    examiner: Examiner
    """The checks before storing."""
    router: Router
    """In which order a peer gets what it lacks."""
    ledger: Ledger
    """The stories of our own messages."""
    events: Events
    """Who watches."""
    metrics: Metrics
    """Counters."""
    local_hello: Callable[[Link], tuple[tuple[bytes, ...], bytes]]
    """Badge chain and binding signature for a link."""
    contact_log: ContactLog
    """Remembers who was met."""
    on_unopened: Callable[[], None]
    """Wakes the inbox: something for this device was stored."""


class Relay:
    """The store-carry-forward part of a node: what is held, what is offered, what is dropped."""

    def __init__(self, parts: RelayParts) -> None:
        self._node = parts.node
        self._zone = parts.zone
        self._store = parts.store
        self._runtime = parts.runtime
        self._membership = parts.membership
        self._examiner = parts.examiner
        self._ledger = parts.ledger
        self._events = parts.events
        self._metrics = parts.metrics
        self._local_hello = parts.local_hello
        self._on_unopened = parts.on_unopened
        self._contact_log = parts.contact_log
        self._admission = Admission(parts.runtime, parts.metrics, parts.membership.standing)
        self._badges: WeakKeyDictionary[Link, Badge] = WeakKeyDictionary()
        self._planning = Planning(parts.store, parts.runtime, parts.router, self._link_to)
        self.spending = self._planning.spending
        """What own files have cost."""
        self._immunity = Immunity(parts.node)
        self._strangers = Strangers()
        self._sessions: dict[NodeId, SessionHandle] = {}
        self._own: set[ShortId] = set()
        self._covered: list[Covered] = []
        self._news = News()
        self.on_kept = list[Callable[[Sequence[Checked]], None]]()
        parts.membership.on_change.append(self._tell_documents)

    async def load(self) -> None:
        """Learn which receipts and own bundles are held, end what was cut. Raises: StoreError."""
        true, directory = self._ledger.true_receipts, self._membership.directory
        receipts = await self._store.read(lambda conn: true(conn, directory))
        self._covered = [run for receipt in receipts for run in self._immunity.learn(receipt)]
        self._own = set(await self._store.read(rows.own_ids))
        with suppress(StoreFullError):
            # A wipe order must be obeyed on a full disk, too. What was met is shown as near then,
            # and what was delivered is dropped at the next look.
            await self._store.write(peers.all_down)
            await self.drop_delivered()

    # --- the session's questions ------------------------------------------------------------

    def hello(self, link: Link) -> LocalHello:
        """Return what we show of ourselves on `link`."""
        self._news.show(link)
        versions, nonce = dict(self._membership.versions), self._runtime.entropy(16)
        return LocalHello(*self._local_hello(link), versions, nonce)

    async def admit(self, link: Link, hello: HelloReceived) -> Admitted:
        """Return who the peer is and how it stands. Raises: AuthenticationError."""
        anchors = self._membership.root.anchors
        admit = self._admission.admit
        badge, standing = await self._runtime.run_blocking(admit, link, hello, anchors)
        self._badges[link] = badge
        return Admitted(badge.node, standing)

    def standing(self, link: Link) -> Standing:
        """Return how the peer admitted on `link` stands now; counted where it is not in full."""
        standing = self._admission.standing(link, self._badges[link], self._membership.root.anchors)
        if standing is not Standing.FULL:
            self._metrics.count("peers_restricted", node=self._badges[link].node)
            self._runtime.trace(
                "peer_restricted",
                peer=self._badges[link].node.hex(),
                standing=standing.name.lower(),
            )
        return standing

    async def read_documents(self, keys: Sequence[DocumentKey]) -> list[bytes]:
        """Return the raw documents of `keys` that we hold."""
        return await self._membership.read(keys)

    async def apply_documents(self, peer: NodeId, raws: Sequence[bytes]) -> None:
        """Check and save what the peer brought; refused ones are counted."""
        await self._membership.accept(raws, peer)

    def _tell_documents(self, raws: Sequence[bytes], source: NodeId | None) -> None:
        """Pass documents that came into force on to the other peers, now or when they are live."""
        self._news.add(raws, source)
        for peer, handle in list(self._sessions.items()):
            if peer != source:
                handle.tell_documents(raws)
                # They may be about this very peer. The one that brought them is judged by its
                # session, once they are applied.
                if self.standing(handle.link) is not Standing.FULL:
                    handle.restrict()

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
        return await self._planning.plan(peer, ids)

    async def plan_all(
        self, peer: NodeId, interest: Interest, after: int | None
    ) -> tuple[list[Item], int | None]:
        """Return the next page of everything in `interest`, and where the page after it starts."""
        return await self._planning.plan_all(peer, interest, after)

    async def unconfirmed(self, peer: NodeId) -> list[Item]:
        """Return own bundles that no peer is known to hold; the answer to each will tell."""
        return await self._planning.unconfirmed(peer)

    async def missing(self, ids: Sequence[ShortId], peer: NodeId) -> list[ShortId]:
        """Return those of `ids` worth asking `peer` for: not held, not dropped, not asked."""
        return await self._planning.missing(ids, peer)

    async def read_bundles(
        self, ids: Sequence[ShortId], peer: NodeId | None = None
    ) -> Mapping[ShortId, tuple[bytes, int]]:
        """Return container and hop count of those of `ids` still held, about to go to `peer`."""
        found = await self._store.read(lambda conn: rows.raw_many(conn, ids))
        if peer is not None:
            self._planning.spend(peer, found)
        return found

    def _link_to(self, peer: NodeId) -> Link | None:
        return self._sessions[peer].link if peer in self._sessions else None

    # --- sessions ---------------------------------------------------------------------------

    def session_up(self, handle: SessionHandle) -> None:
        """A peer was admitted and reconciled from now on."""
        self._sessions[handle.peer] = handle
        self._contact_log.up(handle)
        self._tell_missed(handle)
        self._events.publish(PeerUp(handle.peer, handle.link.remote))

    def _tell_missed(self, handle: SessionHandle) -> None:
        """Tell what came into force since the versions were shown on this link."""
        missed = self._news.missed(handle.link, handle.peer)
        if missed is None:
            # More than is remembered: the next session compares all versions anew.
            handle.close(CloseCode.GOING_AWAY)
        else:
            handle.tell_documents(missed)

    def session_down(self, handle: SessionHandle) -> None:
        """The session ended; what only this peer was asked for is asked of the others again."""
        if self._sessions.get(handle.peer) is handle:
            del self._sessions[handle.peer]
        self._contact_log.down(handle)
        self._ask_others(self._planning.forget(handle.peer))
        self._events.publish(PeerDown(handle.peer))

    def ask_again(self) -> None:
        """Ask others for what a peer was asked for and has not brought in time."""
        self._ask_others(self._planning.overdue())

    def _ask_others(self, wanted: Mapping[NodeId, Sequence[ShortId]]) -> None:
        for peer, short_ids in wanted.items():
            handle = self._sessions.get(peer)
            if handle is not None:
                handle.ask(short_ids)

    @property
    def sessions(self) -> Mapping[NodeId, SessionHandle]:
        """The live sessions by peer."""
        return self._sessions

    # --- reception --------------------------------------------------------------------------

    async def receive(
        self, peer: NodeId | None, batch: Sequence[tuple[int, bytes]]
    ) -> list[tuple[ShortId | None, Reception]]:
        """Check, commit and announce a batch of (hop count, container); return each one's fate.

        Returns after the commit (fsync): the caller may confirm. A file or the air is no `peer`.
        Raises: StoreError, where nothing of the batch was stored.
        """
        checked = await self._examiner.examine(batch)
        directory = self._membership.directory
        fates = [self._fate(each, directory) for each in checked]
        fresh = [
            each
            for each, fate in zip(checked, fates, strict=True)
            if fate is _STORED and each.record is not None
        ]
        if fresh:
            for each, fate in zip(fresh, await self._commit(peer, fresh), strict=True):
                fates[each.position] = fate
        self._hold_strangers(peer, batch, checked)
        outcomes = [(each.short_id, fate) for each, fate in zip(checked, fates, strict=True)]
        self._planning.settled(short for short, _fate in outcomes if short is not None)
        self._count(peer, checked, fates)
        return outcomes

    def _count(
        self, peer: NodeId | None, checked: Sequence[Checked], fates: Sequence[Reception]
    ) -> None:
        """Count what became of a batch; a refusal names who brought it, or who signed twice."""
        if _EQUIVOCATION in fates:
            pairs = zip(checked, fates, strict=True)
            tally = Counter((fate, named(each, fate, peer)) for each, fate in pairs)
        else:
            tally = Counter({(fate, peer): count for fate, count in Counter(fates).items()})
        for (fate, node), count in tally.items():
            self._metrics.count(f"bundles_{fate.name.lower()}", count, node)
            if fate not in QUIET_FATES:
                whose = "" if node is None else print_node_id(node)
                self._runtime.trace("bundles_refused", reason=fate.name, count=count, peer=whose)

    def _hold_strangers(
        self, peer: NodeId | None, batch: Sequence[tuple[int, bytes]], checked: Sequence[Checked]
    ) -> None:
        """Keep a few bundles of unknown authors, in case a roster tells who they are."""
        for each in checked:
            bundle, short_id = each.bundle, each.short_id
            if each.reception is Reception.UNKNOWN_AUTHOR and bundle and short_id is not None:
                hops, raw = batch[each.position]
                self._strangers.keep(peer, short_id, Stranger(bundle.header.author, hops, raw))

    async def admit_strangers(self) -> None:
        """Examine again what waits of authors whom a roster names by now. Raises: StoreError."""
        directory = self._membership.directory
        found = self._strangers.take_known(lambda author: directory.member(author) is not None)
        for peer, batch in found.items():
            await self.receive(peer, batch)

    def _fate(self, checked: Checked, directory: Directory) -> Reception:
        """Refuse, of what is fit to be stored, what everybody it is for has receipted."""
        if checked.reception is not _STORED or checked.bundle is None:
            return checked.reception
        header = checked.bundle.header
        name = (header.author, header.incarnation, header.seq)
        if self._immunity.has_all(name, header.kind, header.scope, directory):
            return Reception.DELIVERED
        return _STORED

    async def _commit(self, peer: NodeId | None, fresh: Sequence[Checked]) -> list[Reception]:
        """Store, queue for the inbox and note receipts in one transaction; then announce."""
        directory, now_ms = self._membership.directory, self._runtime.now_ms()
        records: list[BundleRecord] = []
        headers: list[Header] = []
        to_open: set[ShortId] = set()
        receipts: dict[ShortId, Bundle] = {}
        for each in fresh:
            assert each.bundle is not None, "what is fit to be stored was decoded"
            assert each.record is not None, "what is fit to be stored has a row"
            records.append(each.record)
            headers.append(each.bundle.header)
            if shifts.is_for_inbox(self._node, self._zone, each.bundle.header, directory):
                to_open.add(each.record.short_id)
            if each.record.kind is Kind.RECEIPT and self._ledger.is_receipt_for_us(each.bundle):
                receipts[each.record.short_id] = each.bundle

        allowed = allowances(directory, {record.author for record in records})

        def store(tx: Transaction) -> tuple[list[Reception], Noted, int]:
            receptions = shifts.add_many(tx, records, headers, allowed)
            queued = [
                record.short_id
                for record, reception in zip(records, receptions, strict=True)
                if reception is _STORED and record.short_id in to_open
            ]
            waiting = delivery.queue_unopened(tx, queued, now_ms) if queued else 0
            return receptions, self._ledger.note_receipts(tx, receipts, directory), waiting

        try:
            receptions, noted, waiting = await self._store.write(store)
        except StoreFullError:
            return [Reception.STORE_FULL] * len(records)
        kept = [
            each for each, reception in zip(fresh, receptions, strict=True) if reception is _STORED
        ]
        self._alarm(fresh, receptions)
        self._ledger.announce(noted.changed)
        if waiting:
            self._on_unopened()
        await self.announce(kept, peer, noted.untrue)
        return receptions

    def _alarm(self, fresh: Sequence[Checked], receptions: Sequence[Reception]) -> None:
        """After the commit: tell whoever watches that somebody signed two things as one."""
        for each, reception in zip(fresh, receptions, strict=True):
            if reception is _EQUIVOCATION and each.bundle is not None:
                name = each.bundle.header.id
                self._runtime.trace("equivocation", bundle=print_bundle_id(name))
                self._events.publish(Equivocated(name.author, name))

    async def requeue_held(self) -> None:
        """At start and after a change of rosters: queue held bundles that are for us now.

        At start because a crash may have come between the rosters and this. Raises: StoreError.
        """
        await self.admit_strangers()
        directory, now_ms = self._membership.directory, self._runtime.now_ms()

        def find(conn: Connection) -> list[ShortId]:
            return [
                summary.short_id
                for kind in _RECEIPTED
                for summary in rows.unreceived(conn, kind)
                if directory.is_recipient(
                    self._node, Scope.decode_untrusted(summary.scope), summary.author
                )
            ]

        if await self._store.read(find):
            # Looked for again in the transaction: what was dropped meanwhile is not queued.
            await self._store.write(
                lambda tx: delivery.queue_unopened(tx, find(tx.connection), now_ms)
            )
            self._on_unopened()

    async def announce(
        self,
        kept: Sequence[Checked],
        source: NodeId | None,
        untrue: Set[ShortId] = frozenset(),
    ) -> None:
        """After a commit: tell live peers and the rooms of this node, and act on receipts.

        Receipts that are `untrue` are carried on like any other, and nothing is dropped for them.
        """
        records = [each.record for each in kept if each.record is not None]
        if not records:
            return
        for heed in self.on_kept:
            heed(kept)
        self._own.update(record.short_id for record in records if record.is_own)
        others = [handle for peer, handle in self._sessions.items() if peer != source]
        if others:
            items = [
                Item(record.short_id, record.traffic_class, record.size_bytes) for record in records
            ]
            for handle in others:
                handle.announce(items)
        self._covered += [
            run
            for each in kept
            if each.bundle is not None
            and each.bundle.header.kind in SETTLING
            and each.short_id not in untrue
            and has_effect(each.bundle, self._membership.directory)
            for run in self._immunity.learn(each.bundle)
        ]
        self._events.publish(BundlesStored(len(records), source))
        try:
            await self.drop_delivered()
        except StoreError as error:
            # What was announced is stored: whoever stored it must not hear that it was not.
            self._runtime.trace("not_dropped", reason=type(error).__name__)

    async def drop_delivered(self) -> None:
        """Drop what receipts newly cover, once everybody it is for has receipted it.

        What the disk refused to drop is tried again at the next call, because immunity tells of
        it only once. Raises: StoreError.
        """
        covered, self._covered = self._covered, []
        if not covered:
            return
        try:
            await self._drop_covered(covered)
            covered = []
        finally:
            self._covered += covered

    async def _drop_covered(self, covered: Sequence[Covered]) -> None:
        held = await self._store.read(
            lambda conn: [
                summary
                for run in covered
                for summary in rows.of_author(
                    conn, run.author, run.incarnation, run.first, run.last
                )
            ]
        )
        directory = self._membership.directory
        done = [
            each.short_id
            for each in held
            if self._immunity.has_all(
                (each.author, each.incarnation, each.seq),
                each.kind,
                Scope.decode_untrusted(each.scope),
                directory,
            )
        ]
        if done:
            gone = await self._store.write(
                lambda tx: len(rows.drop_many(tx, done, Reception.DELIVERED))
            )
            self._own.difference_update(done)
            self._metrics.count("bundles_dropped_delivered", gone)

    async def handed_over(
        self, peer: NodeId, outcomes: Sequence[tuple[ShortId, Reception]]
    ) -> None:
        """The peer answered bundles: write down what became of copies of our own ones."""
        own = {short: fate for short, fate in outcomes if short in self._own}
        if own:
            await self._ledger.answered(peer, own)
