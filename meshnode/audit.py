"""Writes down what was refused and what was done to this device, beside the work and not in it.

Counters of refusals are heard as they rise; a second later they are rows. The same event about the
same device is one entry at once and another when its minute is over, and while it goes on the
minutes grow to an hour, so that a flood fills neither the disk nor the log. Source: security 2.14.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

import trio

from meshnode.links.level import Level
from meshnode.metrics import AUDITED
from meshnode.runtime import Runtime
from meshnode.store.audit import Noted, append
from meshnode.store.engine import Store
from protocol.guards import AUDIT_FLUSH_MS, AUDIT_NODES_MAX, AUDIT_STEP_MS
from protocol.ids import NodeId

__all__ = ["EVENTS", "Audit"]

EVENTS: Final[dict[str, str]] = {
    "export": "a sealed file was written",
    "import": "a sealed file was taken in",
    "unlocked": "the agent's keys were opened",
    "sos_while_shut": "an SOS was raised by the secret; the device stayed shut",
    "audit_exported": "this log was written into a sealed file",
    "order_asked": "an operator asked on the screens for a revocation or a wipe",
    "order_confirmed": "a second person confirmed what was asked for",
    "order_declined": "what was asked for was declined or taken back",
    "order_expired": "nobody brought what was asked for to its end in time",
    "order_share_taken": "an order came with some of the signatures that it needs",
    "order_given": "a signed order was given to this node on the screens",
    "web_token_added": "a token for the screens was made",
    "web_token_revoked": "a token for the screens was ended",
    "archive_founded": "an archive was begun here",
    "archive_exported": "content of the archive was written into a file",
    "archive_answered": "somebody was told what the archive holds about a device",
    "archive_key_given": "the key of the archive was given to another gateway",
    "archive_key_taken": "the key of an archive was taken from another gateway",
    "restored": "this home was restored from a backup: numbers began anew",
    "clock_doubted": "the clock jumped: nothing is destroyed until it is confirmed",
}
"""What is noted beside the counters in `AUDITED`, and what it means."""

_STEP_MS_MAX: Final = 60 * AUDIT_STEP_MS
_Key = tuple[str, NodeId | None]


@dataclass(slots=True)
class _Window:
    """One event about one device, and what happened since its last entry."""

    since_ms: int
    """When the first that is not written happened; 0 where all is written."""
    count: int
    """How often it happened and is not written."""
    ends_s: float
    """Until when it is not written again, seconds of uptime."""
    length_ms: int
    """How long it is held back."""


class Audit:
    """Collects what happened, and chains it to the log."""

    def __init__(self, store: Store, runtime: Runtime) -> None:
        self._store = store
        self._runtime = runtime
        self._windows: dict[_Key, _Window] = {}
        # Worker threads count refusals too.
        self._lock = threading.Lock()
        self._token: trio.lowlevel.TrioToken | None = None
        self._wake = Level()
        self._turn = trio.Lock()

    def heard(self, name: str, by: int, node: NodeId | None) -> None:
        """Hear that a counter rose; give it to `Metrics.listeners`. From any thread."""
        if name in AUDITED:
            self._add(name, node, by)

    def note(self, event: str, node: NodeId | None = None, count: int = 1) -> None:
        """Note one of `EVENTS`. From any thread."""
        assert event in EVENTS, f"audit event {event} is not declared"
        self._add(event, node, count)

    def _add(self, event: str, node: NodeId | None, count: int) -> None:
        if count < 1:
            return
        with self._lock:
            window = self._window(event, node)
            if not window.count:
                window.since_ms = self._runtime.now_ms()
            window.count += count
            token = self._token
        if token is not None:
            token.run_sync_soon(self._wake.set, idempotent=True)

    def _window(self, event: str, node: NodeId | None) -> _Window:
        key = (event, node)
        if node is not None and key not in self._windows:
            named = sum(1 for each, who in self._windows if each == event and who is not None)
            if named >= AUDIT_NODES_MAX:
                key = (event, None)
        return self._windows.setdefault(key, _Window(0, 0, float("-inf"), 0))

    async def run(self) -> None:
        """Write entries until cancelled, then the rest. Raises: StoreError."""
        self._token = trio.lowlevel.current_trio_token()
        try:
            while True:
                wait_s = self._next_s() - trio.current_time()
                with trio.move_on_after(max(0.0, wait_s)):
                    await self._wake.wait()
                await trio.sleep(AUDIT_FLUSH_MS / 1000)
                await self._write(is_last=False)
        finally:
            self._token = None
            with trio.CancelScope(shield=True):
                await self.flush()

    async def flush(self) -> None:
        """Write all that was noted, whatever its minute. Raises: StoreError."""
        await self._write(is_last=True)

    def _next_s(self) -> float:
        """Return when a window with something in it ends."""
        with self._lock:
            waits = [each.ends_s for each in self._windows.values() if each.count]
        return min(waits, default=float("inf"))

    async def _write(self, *, is_last: bool) -> None:
        # In turn: whoever flushes must not pass by entries that are on their way to the disk.
        async with self._turn:
            noted = self._taken(trio.current_time(), is_last=is_last)
            if not noted:
                return
            try:
                await self._store.write(lambda tx: append(tx, noted))
            except BaseException:
                # Nothing of it was written: it is noted again, for the next time.
                for each in noted:
                    self._add(each.event, each.node, each.times)
                raise

    def _taken(self, now_s: float, *, is_last: bool) -> list[Noted]:
        """Take what is to be written now, and begin new windows for it."""
        noted = []
        with self._lock:
            for key, window in list(self._windows.items()):
                is_over = now_s >= window.ends_s
                if window.count and (is_over or is_last):
                    noted.append(Noted(window.since_ms, key[0], key[1], window.count))
                    length_ms = min(max(AUDIT_STEP_MS, 2 * window.length_ms), _STEP_MS_MAX)
                    self._windows[key] = _Window(0, 0, now_s + length_ms / 1000, length_ms)
                elif is_over:
                    # Nothing happened for a whole window: the next one is a new story.
                    del self._windows[key]
        return sorted(noted, key=lambda each: each.at_ms)
