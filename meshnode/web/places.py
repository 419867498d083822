"""Places for whole files in memory: a few at once, and nobody keeps one from all others for long.

Whoever has had a place for its turn, and is still sending or taking while somebody waits, makes
room: the slowest first. Nobody has to where nobody waits. Time is trio's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from meshnode.web.limits import FILE_TURN_S, FILES_MAX

__all__ = ["FilePlaces", "Turn"]


class Turn:
    """What one request has while it holds a place and its reader or writer is at work."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        """Cancelled where another needs the place."""
        self.began_s = trio.current_time()
        """When the transfer began, on trio's clock."""
        self.moved_bytes = 0
        """How much has gone over the network since."""

    @property
    def ends_s(self) -> float:
        """From when on it makes room for others, on trio's clock."""
        return self.began_s + FILE_TURN_S

    @property
    def bytes_per_s(self) -> float:
        """How fast the other end is."""
        return self.moved_bytes / max(trio.current_time() - self.began_s, 0.001)


class FilePlaces:
    """All places; held as an asynchronous context, in the order of those who came."""

    def __init__(self) -> None:
        self._queue = trio.Lock()
        self._changed = trio.Event()
        self._held = 0
        self._turns: set[Turn] = set()
        self._leaving: Turn | None = None

    async def __aenter__(self) -> None:
        """Take a place, waiting for one if need be."""
        async with self._queue:
            while self._held >= FILES_MAX:
                await self._make_room()
            self._held += 1

    async def __aexit__(self, *_error: object) -> None:
        """Give the place to whoever waits."""
        self._held -= 1
        self._tell()

    @contextmanager
    def transfer(self) -> Iterator[Turn]:
        """Mark a stretch, inside a place, in which the other end sets the pace.

        It ends early where another needs the place; `scope.cancelled_caught` says so.
        """
        turn = Turn()
        self._turns.add(turn)
        self._tell()
        try:
            with turn.scope:
                yield turn
        finally:
            self._turns.discard(turn)
            if self._leaving is turn:
                self._leaving = None

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def _make_room(self) -> None:
        """End the slowest of those whose turn is over; wait until something changes, or one is."""
        over = [each for each in self._turns if each.ends_s <= trio.current_time()]
        if over and self._leaving is None:
            self._leaving = min(over, key=lambda each: each.bytes_per_s)
            self._leaving.scope.cancel()
        next_s = float("inf")
        if self._leaving is None:
            next_s = min((each.ends_s for each in self._turns), default=next_s)
        with trio.move_on_at(next_s):
            await self._changed.wait()
