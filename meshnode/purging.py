"""When to purge: once an hour, and never because a clock jumped.

A clock that leaps ahead by more than two days hides nothing for good: what it says is over is
destroyed only once a signed time, or a day of this device's own running, agrees. After a purge the
log is emptied, so that what was dropped lies in no file. Source: security 2.10 and 2.12.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from meshnode.store import purging
from meshnode.store.engine import Store
from meshnode.store.purging import Purged
from protocol.guards import BEACON_JUMP_MS_MAX, PURGE_PERIOD_MS

__all__ = ["Purging", "purge"]

_SLICE: Final = 200
"""Messages dropped in one transaction, so that others never wait long for the writer."""
_UPTIME_S: Final = 86_400.0
"""So long a device has to run before it believes a clock that jumped."""


async def purge(store: Store, now_ms: int) -> list[Purged]:
    """Drop all that is over at `now_ms`; return what went. The caller empties the log.

    Raises: StoreError.
    """
    found: list[Purged] = []
    while not found or found[-1].has_more:
        done = await store.write(lambda tx: purging.purge(tx, now_ms, _SLICE))
        if store.vault is not None:
            store.vault.forget(key.wrapped for key in done.keys)
        found.append(done)
    return found


class Purging:
    """Purges a store whenever it is due."""

    def __init__(
        self,
        store: Store,
        runtime: Runtime,
        metrics: Metrics,
        time_floor_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._metrics = metrics
        self._time_floor_ms = time_floor_ms
        self._started_s: float | None = None
        self._next_ms = 0
        # What an earlier process dropped may lie in the log still.
        self._is_log_full = True

    async def look(self) -> None:
        """Purge if it is due, and try again to empty a log that was read. Raises: StoreError."""
        if self._started_s is None:
            self._started_s = trio.current_time()
        now_ms = self._runtime.now_ms()
        # A clock that was set back must not put the next purge off for years.
        if now_ms >= self._next_ms or now_ms < self._next_ms - PURGE_PERIOD_MS:
            self._next_ms = now_ms + PURGE_PERIOD_MS
            await self._purge(now_ms)
        if self._is_log_full:
            self._is_log_full = not await self._store.compact()

    async def _purge(self, now_ms: int) -> None:
        if not self._is_believed(now_ms, await self._store.read(purging.purged_ms)):
            self._metrics.count("purges_put_off")
            self._runtime.trace("purge put off", now_ms=now_ms)
            return
        found = await purge(self._store, now_ms)
        rows, keys = sum(each.row_count for each in found), sum(len(each.keys) for each in found)
        if rows or keys:
            self._is_log_full = True
            self._metrics.count("rows_purged", rows)
            self._metrics.count("data_keys_dropped", keys)
            self._runtime.trace("purged", rows=rows, keys=keys)

    def _is_believed(self, now_ms: int, before_ms: int) -> bool:
        """True if the time is no leap, or somebody else than the clock says so."""
        assert self._started_s is not None, "`look` has set it"
        known_ms = max(before_ms, self._time_floor_ms())
        if now_ms - known_ms <= BEACON_JUMP_MS_MAX:
            return True
        return trio.current_time() - self._started_s >= _UPTIME_S
