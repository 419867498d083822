"""Counts how often the process of a running node wakes from sleep, and by what.

A sleeping process costs next to nothing; each wake-up keeps a phone's processor busy for a while.
Everything that falls due at one moment is one wake-up. Calls in worker threads, and threads of
libraries such as multicast discovery, wake the processor, too: they count here only where their
end wakes the node.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from meshnode.metrics import Metrics

__all__ = ["Wakes", "counting"]


class Wakes(trio.abc.Instrument):
    """Put into trio's loop for as long as the one node of this process runs."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._due_s: float | None = None

    def before_io_wait(self, timeout: float) -> None:
        """Count the wake-up that ends here, and note until when the process sleeps now, if so.

        The virtual clock of tests never sleeps, and gives a timeout of 0: there, it counts that no
        task can go on before the clock jumps.
        """
        now_s = trio.current_time()
        if self._due_s is not None:
            is_timer = now_s >= self._due_s
            self._metrics.count("wakeups_timer" if is_timer else "wakeups_other")
        sleep_s = timeout or _idle_s()
        self._due_s = now_s + sleep_s if sleep_s > 0 else None


@contextmanager
def counting(metrics: Metrics) -> Iterator[None]:
    """Count the wake-ups of this process as those of its one node."""
    wakes = Wakes(metrics)
    trio.lowlevel.add_instrument(wakes)
    try:
        yield
    finally:
        trio.lowlevel.remove_instrument(wakes)


def _idle_s() -> float:
    """Return how long nothing is to do, seconds; 0 while a task can go on."""
    found = trio.lowlevel.current_statistics()
    return 0.0 if found.tasks_runnable else found.seconds_to_next_deadline
