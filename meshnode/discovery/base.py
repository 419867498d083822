"""What every way of finding peers gives: hints of places that the link manager may dial.

A hint is a guess by an unauthenticated source; this package knows nothing of keys or content.
Source: DESIGN D5.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

import trio

from meshnode.links.contacts import Hint
from meshnode.metrics import Metrics
from protocol.limits import HINTS_BURST_MAX, HINTS_PER_S_MAX

__all__ = ["DEFAULT_PORT", "Discovery", "HintSink"]

DEFAULT_PORT: Final = 7625
"""TCP port of a node when nothing else is configured, and the one that probes ask for."""


class HintSink:
    """Hands hints to the link manager: never waits, drops what is too much, and counts it.

    Each new address makes the manager dial at once, so a rate is kept as well as a queue: a
    neighbour that announces a new place a thousand times a second costs a few dials a second.
    """

    def __init__(self, hints: trio.MemorySendChannel[Hint], metrics: Metrics) -> None:
        self._hints = hints
        self._metrics = metrics
        self._left = float(HINTS_BURST_MAX)
        self._counted_at_s = trio.current_time()

    def offer(self, hint: Hint) -> bool:
        """Return True if the manager will see `hint`."""
        if self._is_within_rate():
            try:
                self._hints.send_nowait(hint)
            except (trio.WouldBlock, trio.BrokenResourceError):
                pass
            else:
                self._left -= 1
                self._metrics.count("hints")
                return True
        self._metrics.count("hints_dropped")
        return False

    def _is_within_rate(self) -> bool:
        now_s = trio.current_time()
        refill = (now_s - self._counted_at_s) * HINTS_PER_S_MAX
        self._left = min(float(HINTS_BURST_MAX), self._left + refill)
        self._counted_at_s = now_s
        return self._left >= 1


class Discovery(ABC):
    """One way of finding peers."""

    @abstractmethod
    async def run(
        self,
        hints: trio.MemorySendChannel[Hint],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Offer hints until cancelled; trouble of its own kind is traced, counted and retried.

        The receiver sees at most HINTS_BURST_MAX hints at once and HINTS_PER_S_MAX a second.
        """
