"""The session's questions to its node, answered one at a time, the most urgent first.

Long answers are cut into steps, so that the plan of an SOS never waits for that of 50 MB of bulk.
"""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeAlias

from meshnode.links.level import Level
from protocol.limits import PLANS_WAITING_MAX

__all__ = ["Job", "Planner"]

Job: TypeAlias = Callable[[], Awaitable[None]]
"""One step of an answer; it may put the next one."""


class Planner:
    """Runs jobs in order of their rank, then of their arrival."""

    def __init__(self, on_idle: Callable[[], None] = lambda: None) -> None:
        """`on_idle` is called whenever the last job has ended."""
        self._on_idle = on_idle
        self._heap: list[tuple[int, int, Job]] = []
        self._parked: list[tuple[int, Job]] = []
        self._numbers = count()
        self._level = Level()
        self._is_busy = False

    @property
    def has_room(self) -> bool:
        """False while so many questions wait that the peer should not be read."""
        return len(self._heap) + len(self._parked) < PLANS_WAITING_MAX

    @property
    def is_idle(self) -> bool:
        """True if nothing waits, runs or is parked."""
        return not (self._heap or self._parked or self._is_busy)

    def put(self, rank: int, job: Job) -> None:
        """Queue a job; a lower rank goes first."""
        heapq.heappush(self._heap, (rank, next(self._numbers), job))
        self._level.set()

    def park(self, rank: int, job: Job) -> None:
        """Keep a job until `unpark`: the queue it would fill is full."""
        self._parked.append((rank, job))

    def unpark(self) -> None:
        """Queue everything that was parked."""
        parked, self._parked = self._parked, []
        for rank, job in parked:
            self.put(rank, job)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            while self._heap:
                _rank, _number, job = heapq.heappop(self._heap)
                self._is_busy = True
                try:
                    await job()
                finally:
                    self._is_busy = False
            self._on_idle()
            await self._level.wait()
