"""What is known of this node's own messages elsewhere: copies handed over, receipts that came.

Receipts are checked against the digests of what was really written, so a receipt for content that
never existed changes nothing. Knows no content. Source: wire-format 4.12, decision 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from meshnode.directory import Directory
from meshnode.events import Events, MessageChanged
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from meshnode.store import bundles as rows
from meshnode.store import chunks, delivery, messages, peers
from meshnode.store.engine import Connection, Store, Transaction
from meshnode.store.records import LedgerEvent, RecipientState
from protocol.bundle import Bundle, Scope, decode_untrusted
from protocol.errors import AuthenticationError, RemoteProtocolError
from protocol.identity import Role
from protocol.ids import NodeId, ShortId
from protocol.limits import Kind
from protocol.receipts import Receipt, check, covered_seqs, decode_receipt_untrusted
from protocol.reports import Reception

__all__ = ["Ledger", "Noted", "has_effect"]

_TURNED_DOWN: Final = frozenset(
    {Reception.QUOTA, Reception.STORE_FULL, Reception.TOO_FAR_AHEAD, Reception.REVOKED}
)
"""Refusals that say something to whoever waits for a message."""


def has_effect(bundle: Bundle, directory: Directory) -> bool:
    """False for a cancellation by a device that was revoked before it wrote it."""
    header = bundle.header
    if header.kind is not Kind.CANCEL:
        return True
    return not directory.is_astray(header.author, header.incarnation, header.seq)


@dataclass(frozen=True, slots=True)
class Noted:
    """What receipts about this node came to."""

    changed: list[int]
    """Messages that came further."""
    untrue: set[ShortId]
    """Receipts that do not fit what was written."""


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

    def true_receipts(self, conn: Connection, directory: Directory) -> list[Bundle]:
        """Return the receipts and cancellations that are held and have an effect.

        Not those about us that do not fit, and no cancellation by a revoked author.
        """
        receipts = map(decode_untrusted, rows.raws_of_kind(conn, Kind.RECEIPT))
        cancels = map(decode_untrusted, rows.raws_of_kind(conn, Kind.CANCEL))
        return [
            *(
                each
                for each in receipts
                if not self.is_receipt_for_us(each)
                or self._fitting(conn, each, directory) is not None
            ),
            *(each for each in cancels if has_effect(each, directory)),
        ]

    def note_receipts(
        self, tx: Transaction, receipts: Mapping[ShortId, Bundle], directory: Directory
    ) -> Noted:
        """Write down verified receipt bundles for us.

        A receipt that does not fit what we wrote is counted and has no effect, like one that a
        revoked device wrote after its last good bundle.
        """
        noted = Noted([], set())
        for short_id, bundle in receipts.items():
            teller = bundle.header.author
            receipt = self._fitting(tx.connection, bundle, directory)
            if receipt is None:
                noted.untrue.add(short_id)
                self._metrics.count("receipts_refused", node=teller)
                self._runtime.trace("receipt_refused")
                continue
            member = directory.member(teller)
            is_gateway = member is not None and member.role is Role.GATEWAY
            told = messages.note_receipt(
                tx,
                teller,
                receipt.incarnation,
                covered_seqs(receipt),
                RecipientState.AT_GATEWAY if is_gateway else RecipientState.ON_DEVICE,
                self._runtime.now_ms(),
            )
            noted.changed.extend(told)
            seqs = set(covered_seqs(receipt))
            whole = chunks.note_receipt(tx, teller, receipt.incarnation, seqs)
            self._metrics.count("attachments_delivered", len(whole))
        return noted

    def _fitting(self, conn: Connection, bundle: Bundle, directory: Directory) -> Receipt | None:
        """Return a receipt about us; None if it does not fit, or its author was revoked before."""
        header = bundle.header
        if directory.is_astray(header.author, header.incarnation, header.seq):
            return None
        try:
            receipt = decode_receipt_untrusted(bundle.body)
            check(receipt, delivery.own_digests(conn, receipt.incarnation, receipt.page))
        except (AuthenticationError, RemoteProtocolError):
            return None
        return receipt

    async def answered(self, peer: NodeId, fates: Mapping[ShortId, Reception]) -> None:
        """Write down that `peer` holds copies of own bundles, or why not. Raises: StoreError."""
        now_ms = self._runtime.now_ms()
        held = [short_id for short_id, fate in fates.items() if fate.is_held]
        refused = {short: fate for short, fate in fates.items() if fate in _TURNED_DOWN}

        def note(tx: Transaction) -> list[int]:
            if held:
                peers.note_copies(tx, peer, held, now_ms)
            told = messages.note_handed(tx, peer, held, now_ms) if held else []
            for short_id, key in messages.by_short(tx.connection, refused).items():
                reason = refused[short_id].name.lower().replace("_", " ")
                messages.note_once(tx, key, now_ms, LedgerEvent.TURNED_DOWN, reason, peer)
                told.append(key)
            return told

        if held or refused:
            self.announce(await self._store.write(note))

    def announce(self, keys: Sequence[int]) -> None:
        """After the commit: tell whoever watches these messages."""
        for key in keys:
            self._events.publish(MessageChanged(key))
