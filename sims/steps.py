"""Counts the steps of each device's tasks, to cut its power at exactly one of them.

A step is what a task does between two awaits, so every await of the node can be the last one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

import trio

__all__ = ["StepCounter", "belongs_to"]

_DEVICE: Final[ContextVar[str]] = ContextVar("device")
"""To which device a task belongs; the tasks that it starts inherit that."""


def belongs_to(name: str) -> None:
    """Say that this task, and every task that it starts from now on, is one of a device."""
    _DEVICE.set(name)


class StepCounter(trio.abc.Instrument):
    """Calls back after a number of steps; costs nothing while nobody waits for one."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[int, Callable[[], None]]] = {}

    def after(self, name: str, steps: int, act: Callable[[], None]) -> None:
        """Call `act` once tasks of the device called `name` have made `steps` more steps.

        A device waits for one thing at a time: a second call for it replaces the first.
        """
        if not self._left:
            trio.lowlevel.add_instrument(self)
        self._left[name] = (steps, act)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """See `trio.abc.Instrument`."""
        name = task.context.get(_DEVICE)
        waiting = None if name is None else self._left.get(name)
        if name is None or waiting is None:
            return
        steps, act = waiting
        if steps > 1:
            self._left[name] = (steps - 1, act)
            return
        self.forget(name)
        act()

    def forget(self, name: str) -> None:
        """Wait no longer for steps of this device."""
        if self._left.pop(name, None) is not None and not self._left:
            trio.lowlevel.remove_instrument(self)
