"""A keystore that is cheap to guess, on a clock that stands still."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from meshnode.runtime import Runtime, system_runtime
from meshnode.vault.keystore import KeyStore
from meshnode.vault.wrapping import AgentCost

SECRET = "five quite ordinary words here"
OTHER = "five other ordinary words here"
CHEAP = AgentCost(memory_kib=64, iterations=1, lanes=1)
NOW_MS = 1_800_000_000_000


@dataclass(slots=True)
class Clock:
    """Wall time that a test moves."""

    now_ms: int = NOW_MS

    @property
    def runtime(self) -> Runtime:
        return replace(system_runtime(), now_ms=lambda: self.now_ms)


def make(home: Path, secret: str | None = SECRET, clock: Clock | None = None) -> KeyStore:
    """Make the keys of a home."""
    return KeyStore.create(home, secret, (clock or Clock()).runtime, cost=CHEAP)
