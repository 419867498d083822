"""How an archive stands: which part of its work does not get done, and why; told once each.

It says nothing of what is archived. Source: decision 62.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from meshnode.errors import ArchiveError, ArchiveReason
from protocol.errors import MeshError

__all__ = ["Part", "Standing", "Trouble"]


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


@dataclass(frozen=True, slots=True)
class Trouble:
    """One part that does not get done."""

    part: Part
    """Which one."""
    reason: ArchiveReason
    """Of which known kind the reason is."""
    words: str
    """The reason as whoever failed says it, in English."""


class Standing:
    """What works and what does not, in this process."""

    def __init__(self, tell: Callable[[str], None] = lambda _fault: None) -> None:
        self._tell = tell
        self._troubles: dict[Part, Trouble] = {}
        self.purged_ms = 0
        """When what is over was destroyed last, Unix milliseconds; 0 for not since the start."""

    @property
    def faults(self) -> tuple[str, ...]:
        """Sentences for people, the cause before its effects; empty where all is well."""
        return tuple(dict.fromkeys(each.words for each in self.troubles))

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """Parts that do not get done with their reasons, the first one first."""
        return tuple(self._troubles[part] for part in Part if part in self._troubles)

    def has(self, part: Part) -> bool:
        """True while this part does not get done."""
        return part in self._troubles

    def fails(
        self, part: Part, error: MeshError | str, reason: ArchiveReason | None = None
    ) -> None:
        """Note why a part does not get done; it is told where it was not known.

        An error of the archive brings its own `reason`.
        """
        if reason is None:
            reason = error.reason if isinstance(error, ArchiveError) else ArchiveReason.OTHER
        words, before = str(error), self.faults
        self._troubles[part] = Trouble(part, reason, words)
        if words not in before:
            self._tell(words)

    def works(self, part: Part) -> None:
        """Note that a part gets done; an empty sentence tells that nothing is wrong any more."""
        if self._troubles.pop(part, None) is not None and not self._troubles:
            self._tell("")
