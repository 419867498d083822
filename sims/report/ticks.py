"""Where axes carry a text, and which: round numbers that people use for shares, sizes and times."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, TypeAlias

from sims.report.words import DAY_S, Words

__all__ = [
    "Tick",
    "count_ticks",
    "delay_ticks",
    "share_ticks",
    "signed_ticks",
    "size_ticks",
    "time_ticks",
]

Tick: TypeAlias = tuple[float, str]
"""Place on the axis, and the text there."""

_TICKS_MAX: Final = 5
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_TIME_STEPS_S: Final = (
    *(1, 5, 10, _MINUTE_S, 5 * _MINUTE_S, 10 * _MINUTE_S, 30 * _MINUTE_S),
    *(_HOUR_S, 2 * _HOUR_S, 4 * _HOUR_S, 6 * _HOUR_S, 12 * _HOUR_S),
    *(DAY_S, 2 * DAY_S, 5 * DAY_S, 10 * DAY_S, 30 * DAY_S, 100 * DAY_S, 400 * DAY_S),
)
_DELAYS_S: Final = (1, 10, 60, 600, 3600, 6 * 3600, DAY_S, 7 * DAY_S, 30 * DAY_S)


def time_ticks(span_s: float, words: Words) -> tuple[Tick, ...]:
    """Return times from 0 to `span_s`, at most seven."""
    step = next((each for each in _TIME_STEPS_S if span_s / each <= 6), _TIME_STEPS_S[-1])
    return tuple(
        (float(count * step), words.duration(count * step) if count else "0")
        for count in range(int(span_s // step) + 1)
    )


def delay_ticks(shortest_s: float, longest_s: float, words: Words) -> tuple[Tick, ...]:
    """Return times for an axis on which equal steps multiply, around the two given."""
    low = max((each for each in _DELAYS_S if each <= shortest_s), default=_DELAYS_S[0])
    high = min((each for each in _DELAYS_S if each >= longest_s), default=_DELAYS_S[-1])
    return tuple((float(each), words.duration(each)) for each in _DELAYS_S if low <= each <= high)


def share_ticks(words: Words) -> tuple[Tick, ...]:
    """Return shares from 0 to 1."""
    return tuple((each / 4, words.percent(each / 4, 0)) for each in range(5))


def count_ticks(largest: float, words: Words) -> tuple[Tick, ...]:
    """Return round numbers from 0 to at least `largest`."""
    return _round_ticks(largest, words.figure)


def size_ticks(largest: float, words: Words) -> tuple[Tick, ...]:
    """Return round numbers of bytes from 0 to at least `largest`."""
    return _round_ticks(largest, words.size)


def signed_ticks(largest: float, text: Callable[[float], str]) -> tuple[Tick, ...]:
    """Return round numbers on both sides of 0 to at least `largest`, five in all."""
    if not math.isfinite(largest) or largest <= 0:
        return ((-1.0, ""), (0.0, "0"), (1.0, ""))
    ahead = _round_ticks(largest, text)
    end = ahead[-1][0]
    return tuple((each * end, text(each * end) if each else "0") for each in (-1, -0.5, 0, 0.5, 1))


def _round_ticks(largest: float, text: Callable[[float], str]) -> tuple[Tick, ...]:
    if not math.isfinite(largest) or largest <= 0:
        return ((0.0, "0"), (1.0, text(1.0)))
    power = 10.0 ** (math.floor(math.log10(largest)) - 1)
    steps = (power * each for each in (1, 2, 5, 10, 20, 50, 100))
    step = next(each for each in steps if largest / each <= _TICKS_MAX)
    return tuple(
        (count * step, text(round(count * step, 9)) if count else "0")
        for count in range(math.ceil(largest / step) + 1)
    )
