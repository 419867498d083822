"""Whether the disk of a device takes what is written, and the sentence of why not.

It hears the store alone: what of the share of the store is used up, or refused by a rule, is no
fault of the disk. While all is well it sleeps and wakes nobody. Source: STYLE 16 and 22.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import trio

from meshnode.errors import StoreError
from meshnode.events import DiskChanged, Events
from meshnode.links.level import Level
from meshnode.runtime import Runtime
from meshnode.store.engine import Store

__all__ = ["DiskWatch"]

_TRY_S: Final = 15.0
"""Between two tries of a disk that took nothing."""
_QUIET_S: Final = 30.0
"""It takes again what comes once it refused nothing for so long: a few bytes always fit first."""


class DiskWatch:
    """Watches the disk under one store, from the first thing that is written."""

    def __init__(
        self, store: Store, runtime: Runtime, events: Events, write: Callable[[], Awaitable[None]]
    ) -> None:
        """`write` writes a few bytes into `store`, and raises StoreError where that fails."""
        self._runtime = runtime
        self._events = events
        self._write = write
        self.fault = ""
        """Why it takes nothing, as the store first said it, in English; empty while it does."""
        self.on_change: list[Callable[[str], None]] = []
        """Told the new `fault`, on the trio thread; an event follows. It must not raise."""
        self._refused = Level()
        self._refused_s = float("-inf")
        store.on_commit = self._committed

    async def run(self) -> None:
        """Try a disk that takes nothing until it does: nobody else may have anything to write.

        Ends when cancelled.
        """
        while True:
            await self._refused.wait()
            while self.fault:
                await trio.sleep(_TRY_S)
                with suppress(StoreError):
                    await self._write()

    def _committed(self, error: BaseException | None) -> None:
        """Note whether the disk took what was written."""
        if error is not None:
            self._refused_s = trio.current_time()
            if not self.fault:
                self._runtime.trace("disk_refused", reason=type(error).__name__)
                self._change(str(error))
            self._refused.set()
        elif self.fault and trio.current_time() - self._refused_s >= _QUIET_S:
            self._runtime.trace("disk_taking")
            self._change("")

    def _change(self, fault: str) -> None:
        self.fault = fault
        for tell in self.on_change:
            tell(fault)
        self._events.publish(DiskChanged(fault))
