"""What must hold where sensors lie or are silent: no lie on a board, and nothing old shown as new.

Judged against where devices truly were, and against when the scenario says that a sensor told
nothing of use, through no code of the node. Source: decision 30, squad board.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from sims.instruments import BATTERY_WORDS, PLACE_WORDS
from sims.record import WorldRecord

__all__ = ["SENSOR_CHECKERS", "no_lie_shown", "old_values_marked"]

_OFF_M_MAX: Final = 500
"""Less is the error of a receiver, and a clock that is wrong by minutes on a walk."""
_STALE_MS: Final = {"position": 360_000, "battery": 900_000}
"""What the board calls too old."""
_ASKED_MS: Final = {"position": 10_000, "battery": 250_000}
"""A sensor that told the truth last may have been asked so long after its last reading."""
_SLACK_MS: Final = 5_000
"""Clocks that drift, and a report on its way."""
_WORDS: Final = {"position": PLACE_WORDS, "battery": BATTERY_WORDS}

_Found = Iterator[tuple[str, str]]
"""Device and sentence of each breach."""


def _looks(world: WorldRecord) -> Iterator[tuple[int, str, Mapping[str, object]]]:
    """Yield when somebody looked, on which device, and what the board said of one with sensors."""
    for line in world.lines:
        if line.event == "board_seen" and "off_m" in (fields := dict(line.fields)):
            yield line.at_ms, line.node, fields


def no_lie_shown(world: WorldRecord) -> _Found:
    """No board ever showed a device where it was not."""
    for at_ms, name, fields in _looks(world):
        far_m = int(str(fields["off_m"]))
        if far_m > _OFF_M_MAX:
            yield name, f"shows {fields['of']} {far_m} m from where it was, at {at_ms} ms"


def old_values_marked(world: WorldRecord) -> _Found:
    """A value is at least as old as the last word of its sensor, and from some age on stale."""
    slack_ms = _SLACK_MS + round(
        sum(abs(1000 * e.step_s) for e in (*world.scenario.clock_steps, *world.plan.clock_jumps))
    )
    mute = {what: _mute_ms(world, what) for what in _WORDS}
    for at_ms, name, fields in _looks(world):
        for what, spans in mute.items():
            age_ms = int(str(fields[f"{what}_ms"]))
            since = [first for first, last in spans[str(fields["of"])] if first <= at_ms < last]
            least_ms = at_ms - min(since, default=at_ms) - _ASKED_MS[what] - slack_ms
            if age_ms < 0:
                continue
            if age_ms < least_ms:
                yield name, f"shows a {what} of {fields['of']} as {age_ms} ms old at {at_ms} ms"
            if (age_ms >= _STALE_MS[what]) is not fields[f"{what}_stale"]:
                yield name, f"marks a {what} of {age_ms} ms wrongly at {at_ms} ms"


def _mute_ms(world: WorldRecord, what: str) -> dict[str, list[tuple[int, int]]]:
    """Return the spans in which nothing true came from a device, by its name; joined."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for plan in world.scenario.sensors:
        if plan.says in _WORDS[what]:
            found[plan.device].append((round(1000 * plan.start_s), round(1000 * plan.end_s)))
    cut_ms: dict[str, int] = {}
    for line in world.lines:
        if line.event == "power_cut":
            cut_ms[line.node] = line.at_ms
        elif line.event == "power_on" and line.node in cut_ms:
            found[line.node].append((cut_ms.pop(line.node), line.at_ms))
    for name, since_ms in cut_ms.items():
        found[name].append((since_ms, world.end_ms))
    return defaultdict(list, {name: _joined(spans) for name, spans in found.items()})


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    made: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if made and first <= made[-1][1]:
            made[-1] = (made[-1][0], max(made[-1][1], last))
        else:
            made.append((first, last))
    return made


SENSOR_CHECKERS: Final[dict[str, Callable[[WorldRecord], _Found]]] = {
    checker.__name__: checker for checker in (no_lie_shown, old_values_marked)
}
"""Every promise about sensors by its name."""
