"""What to send on a port and when: alarms again and again, the rest within its share.

Knows no bundle and no clock: names of bundles and milliseconds of any steady clock go in.
Source: wire-format 12.8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from protocol.ids import ShortId
from protocol.narrow.bounds import (
    AIRED_ALARMS_MAX,
    AIRED_SLOTS_MAX,
    ALARM_AGAIN_MS_MIN,
    ALARM_COPIES_HEARD_MAX,
    ALARM_RELAY_MS,
    ALARM_RETRY_MS_MAX,
    ALARM_RETRY_MS_MIN,
    ALARM_TIMES_MS,
    POSITION_SHARE,
    POSITIONS_PER_WHOLE,
    SHIFT_TIMES_MS,
    WHOLE_EVERY_MS,
)

__all__ = ["AirPlan", "Turn"]

_MISSED_MAX: Final = 16
"""Beyond it the wait grows no more."""


class Turn(NamedTuple):
    """One thing to send now."""

    short_id: ShortId
    """Which bundle."""
    is_alarm: bool
    """Before all else, on every port."""
    is_whole: bool
    """As its container; a position then after its shift; always for a shift."""


@dataclass(slots=True)
class _Alarm:
    """An alarm that is being sent."""

    times_ms: list[int]
    """When, ascending."""
    is_relayed: bool
    """It came by the air: others may have sent it on already."""
    sent: int = 0
    heard: int = 0
    missed: int = 0
    """Turns in which the port could not send."""


@dataclass(slots=True)
class _Slot:
    """The positions of one author for one squad."""

    waiting: ShortId | None = None
    since_whole: int = 0
    whole_ms: int | None = None
    """When one was sent whole last."""
    turns_ms: int = -1
    """When it had its last turn."""


@dataclass(slots=True)
class AirPlan:
    """The plan of one node for one of its ports."""

    byte_ms: float
    """How long a byte takes, milliseconds."""
    _alarms: dict[ShortId, _Alarm] = field(default_factory=dict)
    _told: dict[ShortId, tuple[int, int]] = field(default_factory=dict)
    """How often own alarms were sent whose turns are over, and when last."""
    _shifts: dict[ShortId, list[int]] = field(default_factory=dict)
    _slots: dict[bytes, _Slot] = field(default_factory=dict)
    _free_ms: int = 0
    _paced_ms: int = 0

    def add_alarm(self, short_id: ShortId, now_ms: int, chance: bytes | None = None) -> None:
        """Send an alarm from now on; one that came by the air with two bytes of `chance`."""
        if short_id in self._alarms:
            return
        if chance is None:
            times = [now_ms + each for each in ALARM_TIMES_MS]
        else:
            pairs = zip(ALARM_RELAY_MS, chance, strict=True)
            times = [now_ms + low + (high - low) * odd // 255 for (low, high), odd in pairs]
        self._put(short_id, _Alarm(times, chance is not None))

    def add_again(self, short_id: ShortId, now_ms: int) -> None:
        """Send an own alarm once more, short and whole by turns; not one that was just sent."""
        sent, last_ms = self._told.get(short_id, (0, now_ms - ALARM_AGAIN_MS_MIN))
        if short_id not in self._alarms and now_ms >= last_ms + ALARM_AGAIN_MS_MIN:
            self._put(short_id, _Alarm([now_ms], is_relayed=False, sent=sent))

    def _put(self, short_id: ShortId, alarm: _Alarm) -> None:
        self._alarms[short_id] = alarm
        if len(self._alarms) > AIRED_ALARMS_MAX:
            # Others' alarms, which their senders repeat themselves, go before our own.
            relayed = (each for each, alarm in self._alarms.items() if alarm.is_relayed)
            del self._alarms[next(relayed, next(iter(self._alarms)))]

    def add_shift(self, short_id: ShortId, now_ms: int) -> None:
        """Tell a shift that was opened or closed: hearers take positions in it, or erase them."""
        self._shifts[short_id] = [now_ms + each for each in SHIFT_TIMES_MS]
        if len(self._shifts) > AIRED_SLOTS_MAX:
            del self._shifts[next(iter(self._shifts))]

    def add_position(self, short_id: ShortId, slot: bytes) -> None:
        """Send a position once, in place of one of its slot that still waits."""
        found = self._slots.pop(slot, None) or _Slot()
        found.waiting = short_id
        self._slots[slot] = found
        if len(self._slots) > AIRED_SLOTS_MAX:
            del self._slots[next(iter(self._slots))]

    def heard(self, short_id: ShortId) -> None:
        """Others sent an alarm too: what enough of them have sent on needs no more copies."""
        alarm = self._alarms.get(short_id)
        if alarm is None or not alarm.is_relayed:
            return
        alarm.heard += 1
        if alarm.heard >= ALARM_COPIES_HEARD_MAX:
            del self._alarms[short_id]

    def missed(self, short_id: ShortId, now_ms: int) -> None:
        """The port could not send an alarm: one that did not come by the air begins anew soon.

        What was heard is left to its sender, who repeats it.
        """
        alarm = self._alarms.get(short_id)
        if alarm is None or alarm.is_relayed:
            return
        wait_ms = min(ALARM_RETRY_MS_MIN << alarm.missed, ALARM_RETRY_MS_MAX)
        alarm.times_ms = [now_ms + wait_ms + each for each in ALARM_TIMES_MS]
        alarm.sent, alarm.missed = 0, min(alarm.missed + 1, _MISSED_MAX)

    def drop(self, short_id: ShortId) -> None:
        """A bundle is not held any more."""
        self._alarms.pop(short_id, None)
        self._shifts.pop(short_id, None)

    def next(self, now_ms: int) -> Turn | None:
        """Return what is to be sent now, None if nothing is due; each turn is given once."""
        for short_id, alarm in self._alarms.items():
            if now_ms >= alarm.times_ms[0]:
                is_whole = bool(alarm.sent % 2)
                alarm.sent += 1
                del alarm.times_ms[0]
                if not alarm.times_ms:
                    del self._alarms[short_id]
                    self._note_over(short_id, alarm, now_ms)
                return Turn(short_id, True, is_whole)
        if now_ms < self._free_ms:
            return None
        return self._next_shift(now_ms) or self._next_position(now_ms)

    def _note_over(self, short_id: ShortId, alarm: _Alarm, now_ms: int) -> None:
        if not alarm.is_relayed:
            self._told.pop(short_id, None)
            self._told[short_id] = alarm.sent, now_ms
            if len(self._told) > AIRED_ALARMS_MAX:
                del self._told[next(iter(self._told))]

    def _next_shift(self, now_ms: int) -> Turn | None:
        for short_id, times_ms in self._shifts.items():
            if now_ms >= times_ms[0]:
                del times_ms[0]
                if not times_ms:
                    del self._shifts[short_id]
                return Turn(short_id, False, True)
        return None

    def _next_position(self, now_ms: int) -> Turn | None:
        if now_ms < self._paced_ms:
            return None
        # Whoever waited longest for a turn, or a pace would leave some out for good.
        waiting = (slot for slot in self._slots.values() if slot.waiting is not None)
        slot = min(waiting, key=lambda each: each.turns_ms, default=None)
        if slot is None or slot.waiting is None:
            return None
        short_id, slot.waiting, slot.turns_ms = slot.waiting, None, now_ms
        slot.since_whole += 1
        is_whole = (
            slot.whole_ms is None
            or slot.since_whole >= POSITIONS_PER_WHOLE
            or now_ms >= slot.whole_ms + WHOLE_EVERY_MS
        )
        if is_whole:
            slot.since_whole, slot.whole_ms = 0, now_ms
        return Turn(short_id, False, is_whole)

    def sent(self, size_bytes: int, now_ms: int, pace_ms: int = 0) -> None:
        """So many bytes of a position or shift went out: the next ones wait for their share.

        Positions wait for `pace_ms` as well, which is what the budget of the port asks for.
        """
        wait_ms = math.ceil(size_bytes * self.byte_ms / POSITION_SHARE)
        self._free_ms = max(self._free_ms, now_ms) + wait_ms
        self._paced_ms = max(self._paced_ms, now_ms + pace_ms)

    def next_deadline_ms(self) -> int | None:
        """Return when `next` must be asked at the latest; None where nothing waits."""
        due = [alarm.times_ms[0] for alarm in self._alarms.values()]
        due += [max(self._free_ms, times_ms[0]) for times_ms in self._shifts.values()]
        if any(slot.waiting is not None for slot in self._slots.values()):
            due.append(max(self._free_ms, self._paced_ms))
        return min(due, default=None)
