"""What is known of this node's own messages elsewhere: copies handed over, receipts that came.

Receipts are checked against the digests of what was really written, so a receipt for content that
never existed changes nothing. Knows no content. Source: wire-format 4.12, decision 2.
"""

from __future__ import annotations

from collections.abc import Sequence

from meshnode.directory import Directory
from meshnode.events import Events, MessageChanged
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from meshnode.store import delivery, messages, peers
from meshnode.store.engine import Store, Transaction
from meshnode.store.records import RecipientState
from protocol.bundle import Bundle, Scope
from protocol.errors import AuthenticationError, RemoteProtocolError
from protocol.identity import Role
from protocol.ids import NodeId, ShortId
from protocol.limits import Kind
from protocol.receipts import check, covered_seqs, decode_receipt_untrusted

__all__ = ["Ledger"]


class Ledger:
    """Writes into the stories of outgoing messages."""

    def __init__(
        self, node: NodeId, store: Store, runtime: Runtime, events: Events, metrics: Metrics
    ) -> None:
        self._node = node
        self._store = store
        self._runtime = runtime
        self._events = events
        self._metrics = metrics

    def is_receipt_for_us(self, bundle: Bundle) -> bool:
        """True if a bundle is a receipt about bundles of this node."""
        header = bundle.header
        return header.kind is Kind.RECEIPT and header.scope == Scope.for_device(
            header.scope.zone, self._node
        )

    def note_receipt(self, tx: Transaction, bundle: Bundle, directory: Directory) -> list[int]:
        """Write down a verified receipt bundle for us; return the messages it changed.

        A receipt that does not fit what we wrote is counted and has no effect, like one that a
        revoked device wrote after its last good bundle.
        """
        header = bundle.header
        try:
            if directory.is_astray(header.author, header.incarnation, header.seq):
                raise AuthenticationError("whoever wrote this receipt was revoked before")
            receipt = decode_receipt_untrusted(bundle.body)
            ours = delivery.own_digests(tx.connection, receipt.incarnation, receipt.page)
            check(receipt, ours)
        except (AuthenticationError, RemoteProtocolError) as error:
            self._metrics.count("receipts_refused", node=bundle.header.author)
            self._runtime.trace("receipt_refused", reason=type(error).__name__)
            return []
        member = directory.member(bundle.header.author)
        is_gateway = member is not None and member.role is Role.GATEWAY
        return messages.note_receipt(
            tx,
            bundle.header.author,
            receipt.incarnation,
            covered_seqs(receipt),
            RecipientState.AT_GATEWAY if is_gateway else RecipientState.ON_DEVICE,
            self._runtime.now_ms(),
        )

    async def handed_over(self, peer: NodeId, short_ids: Sequence[ShortId]) -> None:
        """Write down that `peer` holds copies of own bundles. Raises: StoreError."""
        now_ms = self._runtime.now_ms()

        def note(tx: Transaction) -> list[int]:
            peers.note_copies(tx, peer, short_ids, now_ms)
            return messages.note_handed(tx, peer, short_ids, now_ms)

        self.announce(await self._store.write(note))

    def announce(self, keys: Sequence[int]) -> None:
        """After the commit: tell whoever watches these messages."""
        for key in keys:
            self._events.publish(MessageChanged(key))
