"""Writes receipts: for every page of somebody's bundles that this device has opened more of.

One bundle tells about up to 1,024 others and replaces the one before it, so waiting a moment
saves a bundle. A page stays due until its receipt is stored. Source: wire-format 4.12, decision 2.
"""

from __future__ import annotations

from functools import partial

import trio

from meshnode.author import Author, Draft
from meshnode.links.level import Level
from meshnode.membership import Membership
from meshnode.metrics import Metrics
from meshnode.reception import Checked
from meshnode.relay import Relay
from meshnode.store import delivery
from meshnode.store.engine import Store, Transaction
from meshnode.store.records import ReceiptPage
from protocol.bundle import Header, Scope, Suite
from protocol.limits import OPEN_BATCH_MAX, RECEIPT_DELAY_MS, Kind
from protocol.receipts import encode_receipt, make_receipt

__all__ = ["Receipting"]


class Receipting:
    """Turns due pages into receipt bundles."""

    def __init__(
        self, author: Author, store: Store, membership: Membership, relay: Relay, metrics: Metrics
    ) -> None:
        self._author = author
        self._store = store
        self._membership = membership
        self._relay = relay
        self._metrics = metrics
        self.wake = Level()
        """Set when a page may have become due."""

    async def run(self) -> None:
        """Write receipts until cancelled. Raises: StoreError."""
        while True:
            while await self.write_due():
                pass
            await self.wake.wait()
            await trio.sleep(RECEIPT_DELAY_MS / 1000)

    async def write_due(self) -> int:
        """Write the receipts that are due now; return how many pages were. Raises: StoreError."""
        due = await self._store.read(lambda conn: delivery.receipts_due(conn, OPEN_BATCH_MAX))
        if not due:
            return 0
        made = await self._store.write(lambda tx: self._write(tx, due))
        self._metrics.count("receipts_made", len(made))
        await self._relay.announce(made, None)
        return len(due)

    def _write(self, tx: Transaction, due: list[ReceiptPage]) -> list[Checked]:
        made = []
        for page in due:
            author = self._membership.directory.member(page.author)
            digests = delivery.received_page(
                tx.connection, page.author, page.incarnation, page.page
            )
            if author is not None and digests:
                body = encode_receipt(make_receipt(page.incarnation, page.page, digests))
                scope = Scope.for_device(author.zone, page.author)
                draft = Draft(Kind.RECEIPT, Suite.CLEAR, scope, index=page.page & 0xFFFF_FFFF)
                made.append(self._author.make(tx, draft, partial(_given, body)))
            delivery.receipt_made(tx, page.author, page.incarnation, page.page)
        return made


def _given(body: bytes, _header: Header) -> bytes:
    return body
