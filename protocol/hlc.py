"""Hybrid logical clock: 48 bits of Unix milliseconds and 16 bits of counter in one integer.

Source: Kulkarni et al. 2014; bounds from security 2.12.
"""

from __future__ import annotations

from protocol.errors import ClockDriftError

__all__ = ["counter", "merge", "pack", "tick", "wall_ms"]

_COUNTER_BITS = 16
_COUNTER_MAX = (1 << _COUNTER_BITS) - 1
_WALL_MAX = (1 << 48) - 1


def pack(wall: int, count: int) -> int:
    """Return the stamp of `wall` Unix milliseconds (below 2**48) and `count` (below 2**16)."""
    if not 0 <= wall <= _WALL_MAX or not 0 <= count <= _COUNTER_MAX:
        raise ValueError("a stamp has 48 bits of milliseconds and 16 bits of counter")
    return wall << _COUNTER_BITS | count


def wall_ms(stamp: int) -> int:
    """Return the Unix milliseconds of a stamp."""
    return stamp >> _COUNTER_BITS


def counter(stamp: int) -> int:
    """Return the counter of a stamp."""
    return stamp & _COUNTER_MAX


def tick(last: int, now_ms: int) -> int:
    """Return the stamp of a local event: greater than `last`, at `now_ms` where that is ahead.

    A full counter carries into the next millisecond.
    """
    return max(last + 1, pack(now_ms, 0))


def merge(last: int, remote: int, now_ms: int, drift_ms_max: int) -> int:
    """Return the stamp after hearing `remote`: greater than both.

    Raises: ClockDriftError if `remote` lies more than `drift_ms_max` ahead of `now_ms`.
    """
    ahead_ms = wall_ms(remote) - now_ms
    if ahead_ms > drift_ms_max:
        raise ClockDriftError(ahead_ms, drift_ms_max)
    return max(max(last, remote) + 1, pack(now_ms, 0))
