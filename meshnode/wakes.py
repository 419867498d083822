"""Counts how often the process of a running node wakes from sleep, and by what.

A sleeping process costs next to nothing; each wake-up keeps a phone's processor busy for a while.
Everything that falls due at one moment is one wake-up. Calls in worker threads, and threads of
libraries such as multicast discovery, wake the processor, too: they count here only where their
end wakes the node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

from meshnode.metrics import Metrics

__all__ = ["Wakes", "counting"]


class Wakes(trio.abc.Instrument):
    """Put into trio's loop for as long as the one node of this process runs."""

    def __init__(self, metrics: Metrics, idle_s: Callable[[], float]) -> None:
        """See `counting`."""
        self._metrics = metrics
        self._idle_s = idle_s
        self._due_s: float | None = None

    def before_io_wait(self, timeout: float) -> None:
        """Count the wake-up that ends here, and note until when the process sleeps now, if so."""
        now_s = trio.current_time()
        if self._due_s is not None:
            is_timer = now_s >= self._due_s
            self._metrics.count("wakeups_timer" if is_timer else "wakeups_other")
        sleep_s = timeout or self._idle_s()
        self._due_s = now_s + sleep_s if sleep_s > 0 else None


@contextmanager
def counting(metrics: Metrics, idle_s: Callable[[], float] = lambda: 0.0) -> Iterator[None]:
    """Count the wake-ups of this process as those of its one node.

    A clock that never sleeps gives `idle_s`: how long nothing is to do, seconds, 0 while a task
    can go on. A real one needs none. Cost: nothing measurable in each turn of the loop.
    """
    wakes = Wakes(metrics, idle_s)
    trio.lowlevel.add_instrument(wakes)
    try:
        yield
    finally:
        trio.lowlevel.remove_instrument(wakes)
