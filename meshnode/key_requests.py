"""Asks authors, and them alone, for chain keys that messages here wait for.

Keys mostly come by themselves a moment after the message, so nothing is asked for in the first
minute; the same list is not asked for twice an hour. Source: security 2.6, wire-format 4.13.
"""

from __future__ import annotations

from collections.abc import Sequence

from meshnode.author import Author, Draft
from meshnode.membership import Membership
from meshnode.metrics import Metrics
from meshnode.reception import Checked
from meshnode.runtime import Runtime
from meshnode.store.engine import Store, Transaction
from meshnode.store.records import Unopened
from protocol.bundle import Scope, Suite
from protocol.ids import NodeId
from protocol.limits import KEY_REQUEST_DELAY_MS, KEY_REQUEST_REPEAT_MS, Kind
from protocol.receipts import KeyRequest, encode_key_request

__all__ = ["KeyRequests"]


class KeyRequests:
    """Remembers what was asked of whom since the start."""

    def __init__(
        self,
        author: Author,
        store: Store,
        runtime: Runtime,
        membership: Membership,
        metrics: Metrics,
    ) -> None:
        self._author = author
        self._store = store
        self._runtime = runtime
        self._membership = membership
        self._metrics = metrics
        self._asked: dict[NodeId, tuple[tuple[bytes, ...], int]] = {}

    async def make_due(self, waiting: Sequence[Unopened]) -> tuple[list[Checked], int | None]:
        """Make the requests that are due; return them, and the ms until others are (or None).

        Raises: StoreError.
        """
        now_ms = self._runtime.now_ms()
        ripe: dict[NodeId, list[bytes]] = {}
        waits: list[int] = []
        for each in waiting:
            since_ms = now_ms - each.since_ms
            if since_ms < KEY_REQUEST_DELAY_MS:
                waits.append(KEY_REQUEST_DELAY_MS - since_ms)
            else:
                ripe.setdefault(each.author, []).append(each.keyref)
        made: list[Checked] = []
        for author, chains in ripe.items():
            request = tuple(sorted(chains))
            before, at_ms = self._asked.get(author, ((), 0))
            left_ms = at_ms + KEY_REQUEST_REPEAT_MS - now_ms
            if set(request) <= set(before) and left_ms > 0:
                waits.append(left_ms)
                continue
            checked = await self._ask(author, request)
            self._asked[author] = (request, now_ms)
            waits.append(KEY_REQUEST_REPEAT_MS)
            if checked is not None:
                made.append(checked)
        return made, min(waits, default=None)

    async def _ask(self, author: NodeId, chains: tuple[bytes, ...]) -> Checked | None:
        member = self._membership.directory.member(author)
        if member is None:
            return None
        body = encode_key_request(KeyRequest(chains))
        draft = Draft(Kind.KEY_REQUEST, Suite.CLEAR, Scope.for_device(member.zone, author))

        def ask(tx: Transaction) -> Checked:
            return self._author.make(tx, draft, lambda _header: body)

        checked = await self._store.write(ask)
        self._metrics.count("keys_requested", len(chains))
        return checked
