"""The four seams: wall time, entropy, blocking work and trace enter the node here and only here.

Monotonic time and sleep are trio's own, so that a virtual clock replaces them. In the field
blocking work runs in a thread; in simulation it runs inline, because a thread and a virtual clock
do not mix. Source: architecture section 2, STYLE 22.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import trio

__all__ = ["RunBlocking", "Runtime", "Trace", "silent", "steady_ms", "system_runtime"]

T = TypeVar("T")


class RunBlocking(Protocol):
    """Runs a function that waits for a disk or a core."""

    async def __call__(
        self, function: Callable[..., T], *args: object, limiter: trio.CapacityLimiter | None = None
    ) -> T:
        """Return what `function` returns; once begun it is finished, cancelled or not."""
        ...


class Trace(Protocol):
    """Writes down one thing that happened; fields hold no secret, text or position."""

    def __call__(self, event: str, /, **fields: object) -> None:
        """Write one event with its fields."""
        ...


@dataclass(frozen=True, slots=True)
class Runtime:
    """Everything a node takes from its surroundings."""

    now_ms: Callable[[], int]
    """Wall time, Unix milliseconds."""
    entropy: Callable[[int], bytes]
    """That many unpredictable bytes."""
    run_blocking: RunBlocking
    """A thread in the field, inline in simulation."""
    trace: Trace
    """Structured events for people who look for a fault."""


def silent(event: str, /, **fields: object) -> None:
    """Trace nothing."""


async def _in_thread(
    function: Callable[..., T], *args: object, limiter: trio.CapacityLimiter | None = None
) -> T:
    # Never abandoned: a write that has begun is finished (ecosystem 3.2, 6).
    return await trio.to_thread.run_sync(function, *args, limiter=limiter)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def steady_ms() -> int:
    """Return trio's clock in the whole milliseconds that sessions and plans count in.

    Rounded: 260.001 s must not become 260,000 ms, or a task would wake at a deadline, find that
    it has not come, and turn in circles.
    """
    return round(trio.current_time() * 1000)


def system_runtime(trace: Trace = silent) -> Runtime:
    """Return the seams of a real machine."""
    return Runtime(now_ms=_now_ms, entropy=os.urandom, run_blocking=_in_thread, trace=trace)
