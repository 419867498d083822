"""Draws of numbers that follow from a seed and a name alone, on any machine.

Each purpose has a name of its own, so that one draw more for one purpose changes no other.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from typing import Final, TypeVar

from sims.runtime import seeded_entropy

__all__ = ["Draw"]

T = TypeVar("T")

_UNIT_BITS: Final = 53
"""As many as the fraction of a float holds: every value is exact."""


class Draw:
    """A stream of drawn numbers."""

    def __init__(self, seed: int, name: str) -> None:
        self._entropy = seeded_entropy(seed, name)

    def unit(self) -> float:
        """Return a number from 0 to below 1."""
        drawn = int.from_bytes(self._entropy(8), "big") >> (64 - _UNIT_BITS)
        return drawn / (1 << _UNIT_BITS)

    def uniform(self, low: float, high: float) -> float:
        """Return a number from `low` to `high`."""
        return low + (high - low) * self.unit()

    def whole(self, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`, both included."""
        return low + int(self.unit() * (high - low + 1))

    def chance(self, share: float) -> bool:
        """Return True in `share` of all cases, 0 to 1."""
        return self.unit() < share

    def choice(self, options: Sequence[T]) -> T:
        """Return one of `options`, which are not empty."""
        return options[int(self.unit() * len(options))]

    def sample(self, options: Sequence[T], count: int) -> list[T]:
        """Return `count` different ones of `options`, or all if there are fewer."""
        left = list(options)
        self.shuffle(left)
        return left[:count]

    def shuffle(self, items: MutableSequence[T]) -> None:
        """Put `items` into another order."""
        for place in range(len(items) - 1, 0, -1):
            other = self.whole(0, place)
            items[place], items[other] = items[other], items[place]

    def data(self, size_bytes: int) -> bytes:
        """Return that many bytes."""
        return self._entropy(size_bytes)
