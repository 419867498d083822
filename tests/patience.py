"""How long a test waits, and how long a node took, on a machine that is busy with other programs.

A bound on the wall clock says as much of the neighbours as of the node: two guards stand here
instead. It must not know what is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import trio

__all__ = ["HANGS_S", "STARTS_S_MAX", "TRIES", "Stopwatch", "stopwatch", "tried"]

T = TypeVar("T")

HANGS_S = 30.0
"""What comes about by itself has hung if it takes this long, even on a machine four times slower;
seconds."""
STARTS_S_MAX = 120.0
"""For a node's process to start or to end, where others keep both cores busy; seconds."""
TRIES = 3
"""How often a figure of several real programs is measured at most, where it was missed."""
_ROUNDED_S = 0.001
"""The kernel is asked to wait for whole milliseconds, rounded up."""


class Stopwatch(trio.abc.Instrument):
    """Time that passed in a trio loop less what the machine gave to other programs, seconds.

    The loop either works or waits. While it works, what its process did not get of the time was
    others'; while it waits, what it overslept was. All else counts: work, and each wait for a
    peer, a lock, a thread or a timer. Two faults it cannot tell from a busy machine or does not
    take off: a loop that sleeps by a blocking call counts as stopped, so guard the whole with
    `HANGS_S`; and a thread of ours that is kept waiting counts as a wait, which errs to the
    strict side. Source: `before_io_wait` in trio's reference, "Instrumentation".
    """

    def __init__(
        self,
        now_s: Callable[[], float] = time.monotonic,
        cpu_s: Callable[[], float] = time.process_time,
    ) -> None:
        self._now_s, self._cpu_s = now_s, cpu_s
        self.lost_s = 0.0
        """What went to others so far."""
        self._began_s = self._at_s = now_s()
        self._ended_s: float | None = None
        self._spent_s = cpu_s()

    @property
    def own_s(self) -> float:
        """What the node took by itself, until now or until the end."""
        ended_s = self._now_s() if self._ended_s is None else self._ended_s
        return ended_s - self._began_s - self.lost_s

    def before_io_wait(self, timeout: float) -> None:
        """Note that the loop has worked until now."""
        self._note(0.0)

    def after_io_wait(self, timeout: float) -> None:
        """Note that the loop has waited for at most `timeout` seconds, until now."""
        self._note(timeout + _ROUNDED_S)

    def stop(self) -> None:
        """Count no further."""
        self._note(0.0)
        self._ended_s = self._at_s

    def _note(self, wanted_s: float) -> None:
        now_s, spent_s = self._now_s(), self._cpu_s()
        own_s = max(wanted_s, 0.0) + spent_s - self._spent_s
        self.lost_s += max(0.0, now_s - self._at_s - own_s)
        self._at_s, self._spent_s = now_s, spent_s


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Measure what the loop takes by itself until the block is left; call it in a trio task."""
    watch = Stopwatch()
    trio.lowlevel.add_instrument(watch)
    try:
        yield watch
    finally:
        trio.lowlevel.remove_instrument(watch)
        watch.stop()


def tried(measure: Callable[[], T], holds: Callable[[T], bool]) -> T:
    """Return the first of `TRIES` results that holds, or else the last; the caller asserts.

    Several programs share the cores with others: what was late for once is tried again.
    """
    for _ in range(TRIES):
        found = measure()
        if holds(found):
            break
    return found
