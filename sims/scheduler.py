"""Runs trio so that one seed gives one order of tasks: the only use of its private names.

trio shuffles ready tasks on purpose. Seeding its private generator and allowing deterministic
scheduling undoes that; a test guards both names. Source: architecture section 1.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import trio
from trio.testing import MockClock

__all__ = ["deterministic", "run_seeded"]

T = TypeVar("T")


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Make the order of trio's tasks follow from `seed` until the block is left."""
    run_module: Any = trio._core._run  # There is no public way.
    state, allowed = run_module._r.getstate(), run_module._ALLOW_DETERMINISTIC_SCHEDULING
    run_module._r.seed(seed)
    run_module._ALLOW_DETERMINISTIC_SCHEDULING = True
    try:
        yield
    finally:
        run_module._r.setstate(state)
        run_module._ALLOW_DETERMINISTIC_SCHEDULING = allowed


def run_seeded(main: Callable[[], Awaitable[T]], seed: int) -> T:
    """Run `main` under a virtual clock that starts at 0 s and jumps when all tasks wait."""
    with deterministic(seed):
        return trio.run(main, clock=MockClock(autojump_threshold=0))
