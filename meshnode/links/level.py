"""A wake-up that is a level and not a queue: set as often as you like, waited for by one task."""

from __future__ import annotations

import trio

__all__ = ["Level"]


class Level:
    """Remembers that there is something to look at, never how often."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def set(self) -> None:
        """Wake the waiting task, or let its next `wait` pass."""
        self._event.set()

    async def wait(self) -> None:
        """Return once `set` was called since the last return; always a checkpoint."""
        await self._event.wait()
        self._event = trio.Event()
