"""Which authority documents hold here, and what they amount to.

Documents come from enrolment, from peers on each contact, and from sealed files; all enter
through `accept`, which checks and saves in one transaction and then replaces the view of trust.
Source: security 2.9, wire-format 7.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from meshnode.directory import Directory
from meshnode.errors import StoreFullError
from meshnode.events import DocumentsChanged, Events
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from meshnode.store import documents
from meshnode.store.engine import Connection, Store, Transaction
from meshnode.store.evidence import note_equivocation
from meshnode.store.records import DocumentRecord, EvidenceRecord
from meshnode.trust import Trust, WipeOrder, is_over, issuer_of_pass, key_of
from protocol import authority
from protocol.authority import DocumentClass, RootBody, SignedDocument
from protocol.errors import (
    AuthenticationError,
    DocumentError,
    EquivocationError,
    IdentityError,
    MeshError,
    RemoteProtocolError,
    StaleDocumentError,
)
from protocol.guards import (
    BEACON_JUMP_MS_MAX,
    ERASURES_HELD_MAX,
    PASSES_HELD_MAX,
    PASSES_OF_UNIT_MAX,
    WIPES_HELD_MAX,
)
from protocol.identity import Badge
from protocol.ids import NodeId
from protocol.limits import CLOCK_DRIFT_MS_MAX
from protocol.orders import ORDER_ID_BYTES, Revocation, decode_wipe_untrusted
from protocol.reports import Standing
from protocol.session import DocumentKey

__all__ = ["Judged", "Membership", "reason_of", "record_of_document"]

_HELD_MAX = {
    DocumentClass.WIPE: WIPES_HELD_MAX,
    DocumentClass.ERASURE: ERASURES_HELD_MAX,
    DocumentClass.PASS: PASSES_HELD_MAX,
}
"""Classes of which anybody may cause many have a bound of their own."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of some documents; the three counts are all of them."""

    taken: int
    """New here, and in force now."""
    known: int
    """Say what is held here already."""
    refused: Mapping[str, int]
    """How many were refused for each reason, as `reason_of` names it."""


def reason_of(error: MeshError) -> str:
    """Return the one stable word for why a document was refused."""
    if isinstance(error, DocumentError):
        return error.reason
    if isinstance(error, AuthenticationError):
        return "signatures"
    return "damaged" if isinstance(error, RemoteProtocolError) else "certificate"


class Membership:
    """The documents in force, and the view that they make."""

    def __init__(
        self,
        store: Store,
        runtime: Runtime,
        events: Events,
        metrics: Metrics,
        held: Sequence[SignedDocument],
        *,
        zone: int = 0,
        node: NodeId | None = None,
        time_floor_ms: int = 0,
    ) -> None:
        """`zone` is the own one, whose beacons count here; `node` is ourselves, if anybody.

        Raises: StoreCorruptError.
        """
        self._store = store
        self._runtime = runtime
        self._zone = zone
        self._node = node
        self.events = events
        self.metrics = metrics
        self.on_change: list[Callable[[Sequence[bytes], NodeId | None], None]] = []
        """Called on the trio thread with documents that came into force, and who brought them."""
        self.trust = Trust.of(held)
        self.time_floor_ms = time_floor_ms
        """It is surely later than this, Unix milliseconds: authority documents say so."""

    @classmethod
    async def load(
        cls,
        store: Store,
        runtime: Runtime,
        events: Events,
        metrics: Metrics,
        zone: int = 0,
        *,
        node: NodeId | None = None,
    ) -> Membership:
        """Read the documents that the store holds. Raises: StoreCorruptError."""
        raws, floor_ms = await store.read(
            lambda conn: (documents.all_raw(conn), documents.time_floor_ms(conn))
        )
        held = [authority.decode_untrusted(raw) for raw in raws]
        return cls(
            store, runtime, events, metrics, held, zone=zone, node=node, time_floor_ms=floor_ms
        )

    # --- what holds ------------------------------------------------------------------------

    @property
    def root(self) -> RootBody:
        """The root in force."""
        return self.trust.root

    @property
    def directory(self) -> Directory:
        """Who is who."""
        return self.trust.directory

    @property
    def versions(self) -> Mapping[DocumentKey, tuple[int, int]]:
        """(epoch, version) of every document that is shown to peers."""
        return self.trust.versions(self._runtime.now_ms())

    @property
    def has_beacons(self) -> bool:
        """True if the root names somebody who signs beacons: then there are leases."""
        return self.trust.has_beacons

    @property
    def beacon_ms(self) -> int:
        """Time of the newest beacon of the own zone, Unix milliseconds; 0 if none came."""
        return self.trust.beacon_ms(self._zone)

    def standing(self, badge: Badge) -> Standing:
        """Return how a peer stands whose badge is right."""
        return self.trust.standing(badge)

    def revocation_of(self, node: NodeId) -> Revocation | None:
        """Return why a device is trusted no longer, None if it is trusted."""
        return self.trust.revoked.get(node)

    def wipe_orders_for(self, node: NodeId) -> tuple[WipeOrder, ...]:
        """Return the orders that name a device, in the order in which they were issued."""
        return tuple(order for order in self.trust.wipe_orders() if node in order.body.devices)

    async def read(self, keys: Sequence[DocumentKey]) -> list[bytes]:
        """Return the raw documents of `keys` that we hold, roots first."""
        return await self._store.read(lambda conn: documents.raw_many(conn, keys))

    # --- change ----------------------------------------------------------------------------

    async def accept(self, raws: Sequence[bytes], source: NodeId | None = None) -> int:
        """Check and save the documents that are new here; return how many took effect.

        As `judge`, for whom the reasons do not matter. Raises: StoreError.
        """
        return (await self.judge(raws, source)).taken

    async def judge(self, raws: Sequence[bytes], source: NodeId | None = None) -> Judged:
        """Check and save the documents that are new here; return what became of all.

        `source` is the peer that brought them, None for enrolment and files.

        A document that is refused is counted and does not stop the others. Where the disk is full
        nothing is saved, and wipe orders alone take effect, until this process ends.
        Raises: StoreError.
        """
        candidates, refused = [], list[MeshError]()
        for raw in raws:
            try:
                candidates.append(authority.decode_untrusted(raw))
            except RemoteProtocolError as error:
                refused.append(error)
        # A new root may name the signers of the documents beside it, so roots go first.
        candidates.sort(key=lambda document: document.cls)
        taken = 0
        try:
            if candidates:
                taken = await self._take(candidates, refused, source)
        finally:
            for refusal in refused:
                self.note_refusal(refusal)
        reasons = Counter(map(reason_of, refused))
        return Judged(taken, len(raws) - taken - len(refused), reasons)

    async def _take(
        self, candidates: Sequence[SignedDocument], refused: list[MeshError], source: NodeId | None
    ) -> int:
        """Save what is new and right, add the others to `refused`; return how many took effect."""
        # Judged twice: first beside the writer, so that a flood of forged ones, each with its
        # signatures to check, holds up nobody's bundles.
        promising, refusals = await self._store.read(lambda conn: self._judge(conn, candidates))
        refused += refusals
        if not promising:
            return 0
        try:
            taken, refusals = await self._store.write(lambda tx: self._save(tx, promising))
        except StoreFullError:
            orders = [each for each in promising if self._is_good_order(each)]
            if orders:
                self._install(orders, source)
            raise
        refused += refusals
        if taken:
            self._install(taken, source)
        return len(taken)

    def _is_good_order(self, candidate: SignedDocument) -> bool:
        """True for a wipe order that is new and right, whether or not there is room for it."""
        if (
            candidate.cls is not DocumentClass.WIPE
            or len(self.trust.wipe_orders()) >= WIPES_HELD_MAX
        ):
            return False
        try:
            return self._decide(self.trust.held.get(key_of(candidate)), candidate, self.root)
        except (DocumentError, IdentityError, RemoteProtocolError):
            return False

    def _install(self, taken: Sequence[SignedDocument], source: NodeId | None) -> None:
        """Let documents that are on the disk take effect, and tell."""
        self.trust = self.trust.with_documents(taken)
        self.time_floor_ms = max(self.time_floor_ms, *map(self._proven_ms, taken))
        self.metrics.count("documents_accepted", len(taken))
        for tell in self.on_change:
            tell([document.raw for document in taken], source)
        self.events.publish(DocumentsChanged(count=len(taken)))

    async def forget_over(self) -> int:
        """Forget orders, proofs and passes whose time is over; return how many there were.

        Raises: StoreError.
        """
        over = self.trust.over(self._runtime.now_ms())
        if over:
            await self._store.write(lambda tx: documents.drop(tx, over))
            self.trust = self.trust.without(over)
        return len(over)

    def _judge(
        self, conn: Connection, candidates: Sequence[SignedDocument]
    ) -> tuple[list[SignedDocument], list[MeshError]]:
        """Return those worth a transaction: new ones and contradictions; and why others are not."""
        root, promising, refusals = self.root, list[SignedDocument](), list[MeshError]()
        for candidate in candidates:
            held = _held(documents.get(conn, key_of(candidate)))
            # The view of the database ends here: signatures must not keep its log from shrinking.
            conn.rollback()
            try:
                is_new = self._decide(held, candidate, root)
            except EquivocationError:
                promising.append(candidate)
                continue
            except (DocumentError, IdentityError, RemoteProtocolError) as error:
                refusals.append(error)
                continue
            if is_new:
                promising.append(candidate)
                if candidate.cls is DocumentClass.ROOT:
                    root = authority.decode_root_untrusted(candidate.body)
        return promising, refusals

    def _decide(
        self, held: SignedDocument | None, candidate: SignedDocument, root: RootBody
    ) -> bool:
        """True if `candidate` shall replace `held`. Raises: as `authority.decide`."""
        now_ms = self._runtime.now_ms()
        if held is None and is_over(candidate, now_ms) and not self._is_about_us(candidate):
            raise StaleDocumentError("this document is no longer carried")
        is_new = authority.decide(held, candidate, root)
        is_ahead = candidate.issued_ms > now_ms + BEACON_JUMP_MS_MAX
        is_beacon = candidate.cls is DocumentClass.BEACON
        is_early = candidate.issued_ms > now_ms + CLOCK_DRIFT_MS_MAX
        if is_new and is_early and candidate.cls is DocumentClass.PASS:
            raise DocumentError(
                "this pass is for a later time: set the clock of whoever made it", "early"
            )
        if is_new and is_beacon and is_ahead and authority.count_signers(candidate, root) < 2:
            raise DocumentError("a beacon so far ahead of the clock needs two signers", "early")
        return is_new

    def _is_about_us(self, candidate: SignedDocument) -> bool:
        """True for an order to wipe this very device: no clock that a thief sets keeps it out."""
        is_order = candidate.cls is DocumentClass.WIPE
        return is_order and self._node in decode_wipe_untrusted(candidate.body).devices

    def _proven_ms(self, document: SignedDocument) -> int:
        """Return the time that a document in force proves, 0 if it proves none.

        A date far ahead counts only with a second signer: else one stolen key would age the
        whole fleet at once (security 2.12).
        """
        if document.cls.is_witnessed:
            return 0
        is_near = document.issued_ms <= self._runtime.now_ms() + BEACON_JUMP_MS_MAX
        is_sure = is_near or authority.count_signers(document, self.root) >= 2
        return document.issued_ms if is_sure else 0

    def _save(
        self, tx: Transaction, candidates: Sequence[SignedDocument]
    ) -> tuple[list[SignedDocument], list[MeshError]]:
        root, taken, refusals = self.root, list[SignedDocument](), list[MeshError]()
        now_ms = self._runtime.now_ms()
        passes = Counter(guest.issuer for guest in self.trust.guests.values())
        for candidate in candidates:
            record = documents.get(tx.connection, key_of(candidate))
            try:
                is_new = self._decide(_held(record), candidate, root)
            except EquivocationError as error:
                assert record is not None, "only a second document can contradict a first"
                _keep_evidence(tx, record, candidate, now_ms)
                refusals.append(error)
                continue
            except (DocumentError, IdentityError, RemoteProtocolError) as error:
                refusals.append(error)
                continue
            if is_new and record is None and (why := _unwanted(tx, candidate, passes)):
                is_new = False
                refusals.append(why)
            if is_new:
                if candidate.cls is DocumentClass.ROOT:
                    root = authority.decode_root_untrusted(candidate.body)
                documents.put(tx, record_of_document(candidate, now_ms))
                documents.raise_time_floor(tx, self._proven_ms(candidate))
                taken.append(candidate)
                if record is None and candidate.cls is DocumentClass.PASS:
                    passes[issuer_of_pass(candidate)] += 1
        return taken, refusals

    def note_refusal(self, error: MeshError) -> None:
        """Count and trace that a document, or a file of them, was refused."""
        self.metrics.count("documents_refused")
        if isinstance(error, EquivocationError):
            self.metrics.count("documents_equivocal")
        self._runtime.trace("document_refused", reason=reason_of(error))


def _unwanted(
    tx: Transaction, candidate: SignedDocument, passes: Mapping[bytes, int]
) -> DocumentError | None:
    """Return why a good document finds no place here; None if it does.

    `passes` says how many are held of each unit authority.
    """
    conn, cls = tx.connection, candidate.cls
    if cls is DocumentClass.ERASURE and not _was_ordered(conn, candidate.scope):
        # Any device could prove that it erased itself, a thousand times.
        return DocumentError("nobody ordered what this document says was done", "unordered")
    is_pass = cls is DocumentClass.PASS
    if is_pass and passes.get(issuer_of_pass(candidate), 0) >= PASSES_OF_UNIT_MAX:
        return DocumentError("this node holds as many passes of one unit as it takes", "full")
    bound = _HELD_MAX.get(cls)
    is_full = bound is not None and documents.count_of_class(conn, int(cls)) >= bound
    if is_full or not documents.has_room(conn):
        return DocumentError("this node holds as many documents as it can", "full")
    return None


def _was_ordered(conn: Connection, scope: bytes) -> bool:
    """True if the order is held here and names the device of this scope of an erasure."""
    order_id, node = scope[:ORDER_ID_BYTES], scope[ORDER_ID_BYTES:]
    record = documents.get(conn, (int(DocumentClass.WIPE), order_id))
    if record is None:
        return False
    order = authority.decode_untrusted(record.raw)
    return node in decode_wipe_untrusted(order.body).devices


def _held(record: DocumentRecord | None) -> SignedDocument | None:
    return None if record is None else authority.decode_untrusted(record.raw)


def record_of_document(document: SignedDocument, now_ms: int) -> DocumentRecord:
    """Return the row for a document that was checked."""
    return DocumentRecord(
        document_class=int(document.cls),
        scope=document.scope,
        epoch=document.epoch,
        version=document.version,
        digest=document.digest,
        raw=document.raw,
        received_ms=now_ms,
    )


def _keep_evidence(
    tx: Transaction, held: DocumentRecord, candidate: SignedDocument, now_ms: int
) -> None:
    signer = candidate.signatures[0][0]
    subject = (
        f"document {candidate.cls.name.lower()} {candidate.scope.hex()} "
        f"{candidate.epoch}.{candidate.version}"
    )
    note_equivocation(tx, EvidenceRecord(now_ms, signer, subject, held.digest, candidate.raw))
