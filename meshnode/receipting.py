"""Writes receipts: for every page of somebody's bundles that this device has opened more of.

One bundle tells about up to 1,024 others and replaces the one before it, so waiting a moment
saves a bundle, and waiting for the next hour's quota loses nothing. A page stays due until its
receipt is stored. Source: wire-format 4.12 and 4.14, decision 2.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import trio

from meshnode.author import Author, Draft
from meshnode.links.level import Level
from meshnode.membership import Membership
from meshnode.metrics import Metrics
from meshnode.reception import Checked
from meshnode.relay import Relay
from meshnode.runtime import Runtime
from meshnode.store import delivery
from meshnode.store.engine import Store, Transaction
from meshnode.store.quotas import tally_of
from meshnode.store.records import ReceiptPage
from protocol.bundle import Header, Scope, Suite
from protocol.limits import OPEN_BATCH_MAX, RECEIPT_DELAY_MS, Kind
from protocol.quota import Group, share_left_for
from protocol.receipts import encode_receipt, make_receipt

__all__ = ["Receipting"]

_HOUR_MS: Final = 3_600_000
_PACE_S: Final = 60.0
"""Receipts that wait for quota are looked at again after this time."""


class Receipting:
    """Turns due pages into receipt bundles."""

    def __init__(
        self,
        author: Author,
        store: Store,
        membership: Membership,
        relay: Relay,
        metrics: Metrics,
        runtime: Runtime,
    ) -> None:
        self._author = author
        self._store = store
        self._membership = membership
        self._relay = relay
        self._metrics = metrics
        self._runtime = runtime
        self._is_held_back = False
        self.wake = Level()
        """Set when a page may have become due."""

    async def run(self) -> None:
        """Write receipts until cancelled. Raises: StoreError."""
        while True:
            while await self.write_due():
                pass
            with trio.move_on_after(_PACE_S if self._is_held_back else float("inf")):
                await self.wake.wait()
            await trio.sleep(RECEIPT_DELAY_MS / 1000)

    async def write_due(self) -> int:
        """Write the receipts that are due now; return how many pages were. Raises: StoreError.

        Where most of this hour's quota is used up, pages wait: their receipt tells more then.
        """
        now_ms = self._runtime.now_ms()
        due, tally = await self._store.read(
            lambda conn: (
                delivery.receipts_due(conn, OPEN_BATCH_MAX),
                tally_of(conn, self._author.node, now_ms // _HOUR_MS),
            )
        )
        left = share_left_for(tally, self._author.allowance(), Group.STATE, now_ms % _HOUR_MS)
        self._is_held_back = left < len(due)
        due = due[:left]
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
