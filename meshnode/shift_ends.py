"""Erases what hangs on shifts that are over: keys of positions, the positions, and their log.

It needs no agent's keys: a locked device erases at the end of a shift, too. What a shift is and
who is in one is the business of `meshnode.positions`. Source: security 2.6 and 2.10.
"""

from __future__ import annotations

from typing import Final

from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from meshnode.store import board, coverage
from meshnode.store import positions as kept
from meshnode.store.engine import Store, Transaction
from meshnode.store.positions import ShiftEnd
from protocol.bundle import Scope
from protocol.ids import NodeId
from protocol.shifts import Shift, is_track_subject, split_subject

__all__ = ["ShiftEnds"]

_EVER_MS: Final = (1 << 63) - 1


class ShiftEnds:
    """The end of shifts, ours and those of squad mates."""

    def __init__(self, node: NodeId, store: Store, runtime: Runtime, metrics: Metrics) -> None:
        """`node` is ourselves, 16 bytes."""
        self._node = node
        self._store = store
        self._runtime = runtime
        self._metrics = metrics
        self._is_log_dirty = False

    def erase_all(self, tx: Transaction, author: NodeId, scope: Scope, newest: Shift) -> None:
        """Erase everything of the shifts of one author but the newest, and that if it is over."""
        is_open = newest.is_open(self._runtime.now_ms())
        for end in kept.due(tx.connection, _EVER_MS, author, scope.encode()):
            if not is_open or split_subject(end.subject)[1] != newest.shift_id:
                self._erase(tx, end)

    def drop_keys(self, tx: Transaction, author: NodeId, shift_id: bytes) -> None:
        """Drop the bundles with keys of a shift that was over when they came."""
        self._is_log_dirty |= kept.drop_keys(tx, author, shift_id) > 0

    def _erase(self, tx: Transaction, end: ShiftEnd) -> None:
        kept.erase_shift(tx, end, is_own=end.author == self._node)
        self._is_log_dirty = True
        if is_track_subject(end.subject):
            # One shift, though its track has a chain of its own.
            return
        self._metrics.count("shifts_erased")
        self._runtime.trace("shift_erased", author=end.author.hex())

    def tidy(self, tx: Transaction, now_ms: int) -> None:
        """Erase what belongs to shifts that the clock has ended, and what the centre kept long."""
        for end in kept.due(tx.connection, now_ms):
            self._erase(tx, end)
        rooms = (kept.erase_old, board.erase_old, coverage.erase_old)
        self._is_log_dirty |= sum(erase(tx, now_ms) for erase in rooms) > 0

    async def empty_log(self, *, is_start: bool = False) -> None:
        """After an erasure: leave nothing of it in the log of the database.

        At the start too: a crash may have come between an erasure and this. Raises: StoreError.
        """
        if self._is_log_dirty or is_start:
            await self._store.compact()
            self._is_log_dirty = False
