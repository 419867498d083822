"""Which authority documents hold here, and the directory of people and devices they make.

Documents come from enrolment, from peers on each contact, and from sealed files; all enter
through `accept`, which checks and saves in one transaction and then replaces the directory.
Source: security 2.9, wire-format 7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from meshnode.directory import Directory
from meshnode.errors import StoreCorruptError
from meshnode.events import DocumentsChanged, Events
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from meshnode.store import documents
from meshnode.store.engine import Connection, Store, Transaction
from meshnode.store.evidence import note_equivocation
from meshnode.store.records import DocumentRecord, EvidenceRecord
from protocol import authority
from protocol.authority import DocumentClass, RootBody, SignedDocument
from protocol.errors import DocumentError, EquivocationError, MeshError, RemoteProtocolError
from protocol.ids import NodeId
from protocol.session import DocumentKey

__all__ = ["Membership", "record_of_document"]


class Membership:
    """The current root document, the rosters, and the directory built from them."""

    def __init__(
        self,
        store: Store,
        runtime: Runtime,
        events: Events,
        metrics: Metrics,
        held: Sequence[SignedDocument],
    ) -> None:
        self._store = store
        self._runtime = runtime
        self.events = events
        self.metrics = metrics
        self.on_change: list[Callable[[Sequence[bytes], NodeId | None], None]] = []
        """Called on the trio thread with documents that came into force, and who brought them."""
        self._install(held)

    @classmethod
    async def load(
        cls, store: Store, runtime: Runtime, events: Events, metrics: Metrics
    ) -> Membership:
        """Read the documents that the store holds. Raises: StoreCorruptError."""
        raws = await store.read(documents.all_raw)
        held = [authority.decode_untrusted(raw) for raw in raws]
        return cls(store, runtime, events, metrics, held)

    def _install(self, held: Sequence[SignedDocument]) -> None:
        roots = [document for document in held if document.cls is DocumentClass.ROOT]
        if len(roots) != 1:
            raise StoreCorruptError("the store holds no root document: enrol this device again")
        self.root: RootBody = authority.decode_root_untrusted(roots[0].body)
        rosters = [
            authority.decode_roster_untrusted(document.body)
            for document in held
            if document.cls is DocumentClass.ROSTER
        ]
        self.directory: Directory = Directory.from_documents(self.root, rosters)
        self.versions: dict[DocumentKey, tuple[int, int]] = {
            (int(document.cls), document.scope): (document.epoch, document.version)
            for document in held
        }

    async def read(self, keys: Sequence[DocumentKey]) -> list[bytes]:
        """Return the raw documents of `keys` that we hold, roots first."""
        return await self._store.read(lambda conn: documents.raw_many(conn, keys))

    async def accept(self, raws: Sequence[bytes], source: NodeId | None = None) -> int:
        """Check and save the documents that are new here; return how many took effect.

        `source` is the peer that brought them, None for enrolment and files.

        A document that is refused is counted and does not stop the others. Raises: StoreError.
        """
        candidates = []
        for raw in raws:
            try:
                candidates.append(authority.decode_untrusted(raw))
            except RemoteProtocolError as error:
                self._refused(error)
        # A new root may name the signers of the rosters beside it, so roots go first.
        candidates.sort(key=lambda document: document.cls)
        if not candidates:
            return 0
        # Judged twice: first beside the writer, so that a flood of forged ones, each with its
        # signatures to check, holds up nobody's bundles.
        promising, refusals = await self._store.read(lambda conn: self._judge(conn, candidates))
        for refusal in refusals:
            self._refused(refusal)
        if not promising:
            return 0
        # What holds now is read in the same transaction: a second one could fail, and nobody would
        # bring the documents again, because they are held.
        taken, refusals, in_force = await self._store.write(lambda tx: self._save(tx, promising))
        for refusal in refusals:
            self._refused(refusal)
        if taken:
            self._install([authority.decode_untrusted(raw) for raw in in_force])
            self.metrics.count("documents_accepted", len(taken))
            for tell in self.on_change:
                tell(taken, source)
            self.events.publish(DocumentsChanged(count=len(taken)))
        return len(taken)

    def _judge(
        self, conn: Connection, candidates: Sequence[SignedDocument]
    ) -> tuple[list[SignedDocument], list[MeshError]]:
        """Return those worth a transaction: new ones and contradictions; and why others are not."""
        root, promising, refusals = self.root, list[SignedDocument](), list[MeshError]()
        for candidate in candidates:
            held = _held(documents.get(conn, (int(candidate.cls), candidate.scope)))
            # The view of the database ends here: signatures must not keep its log from shrinking.
            conn.rollback()
            try:
                is_new = authority.decide(held, candidate, root)
            except EquivocationError:
                promising.append(candidate)
                continue
            except (DocumentError, RemoteProtocolError) as error:
                refusals.append(error)
                continue
            if is_new:
                promising.append(candidate)
                if candidate.cls is DocumentClass.ROOT:
                    root = authority.decode_root_untrusted(candidate.body)
        return promising, refusals

    def _save(
        self, tx: Transaction, candidates: Sequence[SignedDocument]
    ) -> tuple[list[bytes], list[MeshError], list[bytes]]:
        root, taken, refusals = self.root, list[bytes](), list[MeshError]()
        now_ms = self._runtime.now_ms()
        for candidate in candidates:
            record = documents.get(tx.connection, (int(candidate.cls), candidate.scope))
            try:
                is_new = authority.decide(_held(record), candidate, root)
            except EquivocationError as error:
                assert record is not None, "only a second document can contradict a first"
                _keep_evidence(tx, record, candidate, now_ms)
                refusals.append(error)
                continue
            except (DocumentError, RemoteProtocolError) as error:
                refusals.append(error)
                continue
            if is_new and record is None and not documents.has_room(tx.connection):
                is_new = False
                refusals.append(DocumentError("this node holds as many documents as it can"))
            if is_new:
                if candidate.cls is DocumentClass.ROOT:
                    root = authority.decode_root_untrusted(candidate.body)
                documents.put(tx, record_of_document(candidate, now_ms))
                taken.append(candidate.raw)
        return taken, refusals, documents.all_raw(tx.connection) if taken else []

    def _refused(self, error: MeshError) -> None:
        self.metrics.count("documents_refused")
        self._runtime.trace("document_refused", reason=type(error).__name__)


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
