"""Sends the head of the audit log to the centre, once a day where the log has grown.

Whoever cuts entries off the end of a log, or rewrites it, contradicts a head that the centre holds.
Source: security 2.14, wire-format 4.17.
"""

from __future__ import annotations

from meshnode.author import Author, Draft
from meshnode.reception import Checked
from meshnode.runtime import Runtime
from meshnode.store import audit as rows
from meshnode.store import bundles
from meshnode.store.engine import Store, Transaction
from protocol import hlc
from protocol.audit import AuditHead, encode_head
from protocol.bundle import Scope, Suite
from protocol.guards import AUDIT_HEAD_MS
from protocol.limits import Kind

__all__ = ["AuditHeads"]


class AuditHeads:
    """Keeps the centre informed how far this device's log reaches."""

    def __init__(self, author: Author, store: Store, runtime: Runtime, zone: int) -> None:
        self._author = author
        self._store = store
        self._runtime = runtime
        self._scope = Scope.for_codt(zone)
        # Between these moments of the clock there is nothing to read: reading wakes the machine.
        self._told_ms = self._due_ms = 0

    async def renew(self) -> list[Checked]:
        """Write the head if the last one is a day old and the log grew; the caller announces it.

        Raises: StoreError.
        """
        now_ms, own = self._runtime.now_ms(), self._author.node
        if self._told_ms <= now_ms < self._due_ms:
            return []
        last, head = await self._store.read(
            lambda conn: (
                bundles.by_slot(conn, Kind.AUDIT_HEAD, self._scope.encode(), 0),
                rows.audit_head(conn),
            )
        )
        stamps = [hlc.wall_ms(each.hlc) for each in last if each.author == own]
        if any(now_ms < stamp + AUDIT_HEAD_MS for stamp in stamps):
            self._told_ms, self._due_ms = now_ms, max(stamps) + AUDIT_HEAD_MS
            return []
        if head.number == 0:
            return []

        def write(tx: Transaction) -> Checked:
            return self._make(tx, rows.audit_head(tx.connection))

        return [await self._store.write(write)]

    def _make(self, tx: Transaction, head: AuditHead) -> Checked:
        body = encode_head(head)
        draft = Draft(Kind.AUDIT_HEAD, Suite.CLEAR, self._scope)
        return self._author.make(tx, draft, lambda _header: body)
