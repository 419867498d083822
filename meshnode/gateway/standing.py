"""How an archive stands: which part of its work does not get done, and why; told once each.

It says nothing of what is archived. Source: decision 62.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from protocol.errors import MeshError

__all__ = ["Part", "Standing"]


class Part(StrEnum):
    """One part of the work, the first one first."""

    LOCK = "lock"
    """The archive is open at all: its key needs the agent's."""
    STORE = "store"
    """What comes can be taken in: the disk of the node takes what is written."""
    FEED = "feed"
    """What was taken in gets into the archive."""
    RETENTION = "retention"
    """What is over is destroyed."""
    LOG = "log"
    """The purge log is whole."""


class Standing:
    """What works and what does not, in this process."""

    def __init__(self, tell: Callable[[str], None] = lambda _fault: None) -> None:
        self._tell = tell
        self._faults: dict[Part, str] = {}
        self.purged_ms = 0
        """When what is over was destroyed last, Unix milliseconds; 0 for not since the start."""

    @property
    def faults(self) -> tuple[str, ...]:
        """Sentences for people, the cause before its effects; empty where all is well."""
        return tuple(dict.fromkeys(self._faults[part] for part in Part if part in self._faults))

    @property
    def failing(self) -> tuple[Part, ...]:
        """Parts that do not get done, the first one first."""
        return tuple(part for part in Part if part in self._faults)

    def has(self, part: Part) -> bool:
        """True while this part does not get done."""
        return part in self._faults

    def fails(self, part: Part, error: MeshError | str) -> None:
        """Note why a part does not get done; it is told where it was not known."""
        words, before = str(error), self.faults
        self._faults[part] = words
        if words not in before:
            self._tell(words)

    def works(self, part: Part) -> None:
        """Note that a part gets done; an empty sentence tells that nothing is wrong any more."""
        if self._faults.pop(part, None) is not None and not self._faults:
            self._tell("")
