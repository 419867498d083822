"""How fast a battery empties, from what was read of it, and when it will be empty.

The slope is that of the whole stretch since the device was unplugged, an hour at most: levels come
in whole percents, so a shorter one would jump between nothing and everything.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from meshnode.services.readings import BatterySeen
from protocol.states import DRAIN_DPCT_H_MAX, EMPTY_AHEAD_MS_MAX, Battery

__all__ = ["Drain"]

_STRETCH_MS_MIN: Final = 600_000
"""A shorter stretch says nothing: one percent in ten minutes is six in an hour."""
_STRETCH_MS_MAX: Final = 3_600_000
"""What a device did longer ago says nothing of what it does now."""
_READINGS_MAX: Final = 256
"""One every 15 s of that hour; beyond it the oldest goes."""
_HOUR_MS: Final = 3_600_000


class Drain:
    """The readings of the last hour; a restart begins anew."""

    def __init__(self) -> None:
        self._read: deque[tuple[int, float]] = deque(maxlen=_READINGS_MAX)

    def of(self, seen: BatterySeen, now_ms: int) -> Battery:
        """Return a reading as it is told, with what it and those before it foretell.

        A time to come counts as now, a level beyond its bounds as the bound.
        """
        read_ms, level = min(seen.taken_ms, now_ms), min(100.0, max(0.0, seen.level_pct))
        if seen.is_charging:
            self._read.clear()
            return Battery(read_ms, round(level), is_charging=True)
        self._note(read_ms, level)
        drain_dpct_h = self._drain_dpct_h()
        return Battery(
            read_ms, round(level), False, drain_dpct_h, _empty_ms(read_ms, level, drain_dpct_h)
        )

    def _note(self, read_ms: int, level: float) -> None:
        last = self._read[-1] if self._read else None
        if last is not None and (level > last[1] or read_ms < last[0]):
            # It was charged meanwhile, or the clock was set back.
            self._read.clear()
        elif last is not None and read_ms == last[0]:
            return
        self._read.append((read_ms, level))
        while read_ms - self._read[0][0] > _STRETCH_MS_MAX:
            self._read.popleft()

    def _drain_dpct_h(self) -> int:
        (first_ms, first), (last_ms, last) = self._read[0], self._read[-1]
        if last_ms - first_ms < _STRETCH_MS_MIN or first - last < 1:
            return 0
        return min(DRAIN_DPCT_H_MAX, round(10 * (first - last) * _HOUR_MS / (last_ms - first_ms)))


def _empty_ms(read_ms: int, level: float, drain_dpct_h: int) -> int:
    if not drain_dpct_h:
        return 0
    ahead_ms = round(10 * level * _HOUR_MS / drain_dpct_h)
    return read_ms + ahead_ms if ahead_ms <= EMPTY_AHEAD_MS_MAX else 0
