"""How long alarms waited until somebody took them, by two clocks; pure.

By the gateway's clock nobody's clock can lie, but an alarm that was long on its way seems short.
By the clocks of those who raised and took it the whole time counts, if both clocks were right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from meshnode.gateway.archive.facts import Opened
from meshnode.gateway.report.counting import CLOCK_SLACK_MS, Devices
from meshnode.gateway.report.groups import coarse_s
from protocol import payloads
from protocol.alarms import Step
from protocol.errors import RemoteProtocolError
from protocol.ids import NodeId
from protocol.limits import Kind
from protocol.payloads import Sos

__all__ = ["AlarmFigures", "Alarms"]

_Name: TypeAlias = tuple[bytes, bytes, int]
_TOOK = frozenset({int(Step.TAKEN), int(Step.ON_SCENE)})


@dataclass(slots=True)
class _Times:
    """First times of one round of an alarm, by the author's clock and by the gateway's."""

    raised: tuple[int, int] | None = None
    taken: tuple[int, int] | None = None
    is_closed: bool = False


@dataclass(slots=True)
class AlarmFigures:
    """What the alarms of a period come to."""

    devices: set[int] = field(default_factory=set)
    """Numbers of those who raised one."""
    raised: int = 0
    """Alarms; one that is raised anew after its end counts again."""
    taken: int = 0
    """Somebody said that he takes it, or is there."""
    closed_untaken: int = 0
    """Ended, and no taking is known."""
    open_untaken: int = 0
    """Neither taking nor end is known here."""
    ahead: int = 0
    """Taken before they were raised, by the clocks of both, and timed by the gateway's alone."""
    told: Counter[int] = field(default_factory=Counter)
    """How many waited so many seconds, by the clocks of those who raised and took."""
    heard: Counter[int] = field(default_factory=Counter)
    """The same by the gateway's clock."""


class Alarms:
    """Steps of alarms, as they were opened."""

    def __init__(self, devices: Devices, is_helper: Callable[[NodeId], bool]) -> None:
        self._devices = devices
        self._is_helper = is_helper
        self._found: dict[_Name, _Times] = {}

    def take(self, contents: Iterable[Opened]) -> None:
        """Note steps; what does not read, or is no step, is passed over."""
        for each in contents:
            if each.kind != Kind.SOS:
                continue
            try:
                sos = payloads.decode_untrusted(each.raw, each.name.author, each.scope)
            except RemoteProtocolError:
                continue
            if isinstance(sos, Sos):
                self._note(sos, (each.created_ms, each.at_ms))

    def _note(self, sos: Sos, at: tuple[int, int]) -> None:
        raiser, alarm_id = sos.alarm
        times = self._found.setdefault((raiser, alarm_id, sos.round), _Times())
        if sos.step == Step.RAISED:
            times.raised = _first(times.raised, at)
        elif sos.step in _TOOK and sos.author != raiser and self._is_helper(sos.author):
            times.taken = _first(times.taken, at)
        elif sos.step == Step.CLOSED:
            times.is_closed = True

    def figures(self, end_ms: int) -> AlarmFigures:
        """Return what all steps come to of the alarms that were known here before `end_ms`.

        An alarm whose raising is not known here does not count.
        """
        made = AlarmFigures()
        for (raiser, _alarm, _round), times in self._found.items():
            if times.raised is None or min(times.raised) >= end_ms:
                continue
            made.devices.add(self._devices.number(raiser))
            made.raised += 1
            if times.taken is not None:
                made.taken += 1
                _time(made, times.raised, times.taken)
            elif times.is_closed:
                made.closed_untaken += 1
            else:
                made.open_untaken += 1
        return made


def _first(known: tuple[int, int] | None, at: tuple[int, int]) -> tuple[int, int]:
    return at if known is None else (min(known[0], at[0]), min(known[1], at[1]))


def _time(made: AlarmFigures, raised: tuple[int, int], taken: tuple[int, int]) -> None:
    told_ms, heard_ms = taken[0] - raised[0], taken[1] - raised[1]
    # A taking that came here before the raising was heard of at once.
    made.heard[coarse_s(max(heard_ms, 0))] += 1
    if told_ms < -CLOCK_SLACK_MS:
        made.ahead += 1
    else:
        made.told[coarse_s(max(told_ms, 0))] += 1
