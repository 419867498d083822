"""Which authority documents hold here, and the directory of people and devices they make.

Documents come from enrolment, from peers on each contact, and from sealed files; all enter
through `accept`, which checks and saves in one transaction and then replaces the directory.
Source: security 2.9, wire-format 7.
"""

from __future__ import annotations

from collections.abc import Sequence

from meshnode.directory import Directory
from meshnode.errors import StoreCorruptError
from meshnode.events import DocumentsChanged, Events
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from meshnode.store import documents
from meshnode.store.engine import Store, Transaction
from protocol import authority
from protocol.authority import DocumentClass, RootBody, RosterBody, SignedDocument
from protocol.errors import DocumentError, MeshError, RemoteProtocolError
from protocol.session import DocumentKey

__all__ = ["Membership"]


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
        self._events = events
        self._metrics = metrics
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
        roots = [document for document in held if document.cls == DocumentClass.ROOT]
        if len(roots) != 1:
            raise StoreCorruptError("the store holds no root document: enrol this device again")
        self.root: RootBody = authority.decode_root_untrusted(roots[0].body)
        rosters = [
            authority.decode_roster_untrusted(document.body)
            for document in held
            if document.cls == DocumentClass.ROSTER
        ]
        self.directory: Directory = Directory.from_documents(self.root, rosters)
        self.rosters: tuple[RosterBody, ...] = tuple(rosters)
        self.versions: dict[DocumentKey, tuple[int, int]] = {
            (document.cls, document.scope): (document.epoch, document.version) for document in held
        }

    async def accept(self, raws: Sequence[bytes]) -> int:
        """Check and save the documents that are new here; return how many took effect.

        A document that is refused is counted and does not stop the others.
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
        taken = await self._store.write(lambda tx: self._save(tx, candidates))
        if taken:
            raws_held = await self._store.read(documents.all_raw)
            self._install([authority.decode_untrusted(raw) for raw in raws_held])
            self._events.publish(DocumentsChanged(count=taken))
        return taken

    def _save(self, tx: Transaction, candidates: Sequence[SignedDocument]) -> int:
        root, taken = self.root, 0
        for candidate in candidates:
            held_raw = documents.get_raw(tx.connection, (candidate.cls, candidate.scope))
            held = authority.decode_untrusted(held_raw) if held_raw is not None else None
            try:
                is_new = authority.decide(held, candidate, root)
                if is_new and candidate.cls == DocumentClass.ROSTER:
                    authority.decode_roster_untrusted(candidate.body)
                if is_new and candidate.cls == DocumentClass.ROOT:
                    root = authority.decode_root_untrusted(candidate.body)
            except (DocumentError, RemoteProtocolError) as error:
                self._refused(error)
                continue
            if is_new:
                documents.put(tx, candidate, self._runtime.now_ms())
                taken += 1
        return taken

    def _refused(self, error: MeshError) -> None:
        self._metrics.count("documents_refused")
        self._runtime.trace("document_refused", reason=type(error).__name__)
