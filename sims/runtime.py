"""A node's surroundings under a virtual clock: nothing real enters but through the seed.

Blocking work runs inline, because a thread and a virtual clock do not mix: while the thread works
every task looks blocked, and time would jump. Source: architecture sections 1 and 2.
"""

from __future__ import annotations

import random  # noqa: TID251 - seeded, for simulation alone
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

import trio

from meshnode.errors import StoreError
from meshnode.runtime import Runtime
from meshnode.store.database import Database

__all__ = [
    "START_MS",
    "Machine",
    "PowerCutError",
    "TraceLine",
    "Tracer",
    "Watch",
    "seeded_entropy",
]

T = TypeVar("T")

START_MS = 1_800_000_000_000
"""Unix milliseconds at which every simulated world begins."""


class PowerCutError(StoreError):
    """The machine lost its power: what it was about to do on its disk is not done."""


@dataclass(frozen=True, slots=True)
class TraceLine:
    """One thing that happened at one node."""

    at_ms: int
    """Virtual milliseconds since the world began."""
    node: str
    """Name of the node; empty for the world itself."""
    event: str
    """What happened."""
    fields: tuple[tuple[str, object], ...]
    """More about it, by name."""


@dataclass(slots=True)
class Tracer:
    """Collects what all nodes trace."""

    lines: list[TraceLine] = field(default_factory=list)
    """In the order in which it happened."""

    def note(self, node: str, event: str, **fields: object) -> None:
        """Add a line at the present virtual time."""
        self.lines.append(TraceLine(_now_ms(), node, event, tuple(sorted(fields.items()))))


def seeded_entropy(seed: int, name: str) -> Callable[[int], bytes]:
    """Return bytes that follow from `seed` and `name` alone."""
    generator = random.Random(f"{seed}/{name}")  # noqa: S311 - repeatable on purpose
    return generator.randbytes


class Machine:
    """One simulated machine: its clock, its power, and the seams that a node on it gets.

    It outlives the crashes of its node, so that entropy never starts again.
    """

    def __init__(self, seed: int, name: str, tracer: Tracer) -> None:
        self.name = name
        self.is_on = True
        self.start_ms = START_MS
        """What its wall clock showed when the clock of trio stood at 0, Unix milliseconds."""
        self.clock_ahead_ms = 0
        """How far its wall clock was set ahead of the world's, milliseconds."""
        self.drift_ppm = 0.0
        """What its wall clock gains, parts per million."""
        self._tracer = tracer
        self._entropy = seeded_entropy(seed, name)
        self.runtime = self._new_runtime()

    @property
    def ahead_ms(self) -> int:
        """How far its wall clock is ahead of the world's now, milliseconds."""
        return self.clock_ahead_ms + round(trio.current_time() * self.drift_ppm / 1000)

    def now_ms(self) -> int:
        """Return what its wall clock shows, Unix milliseconds."""
        return self.start_ms + _now_ms() + self.ahead_ms

    def trace(self, event: str, /, **fields: object) -> None:
        """Write down what happened on this machine, as long as it has power."""
        if self.is_on:
            self._tracer.note(self.name, event, **fields)

    def cut_power(self) -> None:
        """Lose the power: whatever runs under the present `runtime` reaches no disk any more."""
        self.is_on = False

    def restore_power(self) -> None:
        """Start again, with seams of its own: what was left over from before stays dead."""
        self._life.is_dead = True
        self.is_on = True
        self.runtime = self._new_runtime()

    def watch_work(self, watch: Watch | None) -> None:
        """Run every piece of blocking work through `watch`, or no longer, until a power cut."""
        self._life.watch = watch

    def _new_runtime(self) -> Runtime:
        self._life = _Life(self)
        return Runtime(
            now_ms=self.now_ms,
            entropy=self._entropy,
            run_blocking=self._life.run_inline,
            trace=self.trace,
        )


class Watch(Protocol):
    """Stands between a node and its disk."""

    def __call__(self, work: Callable[[], T]) -> T:
        """Return what `work` returns. Raises: PowerCutError, before or after it was done."""
        ...


class _Life:
    """From one start of a machine to its end."""

    def __init__(self, machine: Machine) -> None:
        self.is_dead = False
        self.watch: Watch | None = None
        self._machine = machine

    async def run_inline(
        self, function: Callable[..., T], *args: object, limiter: trio.CapacityLimiter | None = None
    ) -> T:
        """See `RunBlocking`."""
        await trio.lowlevel.checkpoint()
        if self.is_dead or not self._machine.is_on:
            # Files are closed in any case, or the process would run out of them. What closing
            # writes is undone: the disk is put back to the moment of the cut.
            if getattr(function, "__func__", None) is not Database.close:
                raise PowerCutError("the machine has no power")
        elif self.watch is not None:
            return self.watch(partial(function, *args))
        return function(*args)


def _now_ms() -> int:
    return round(trio.current_time() * 1000)
