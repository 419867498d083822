"""Tells by itself what readings say: often while something changes, rarely at rest.

Only in an open shift, and only where there are readings: without either it sleeps until it is
woken. How often is a function of what is known; another one may be put in its place.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import trio

from meshnode.errors import QuotaError, SendError, StoreFullError
from meshnode.links.level import Level
from meshnode.metrics import Metrics
from meshnode.positions import Place, Positions
from meshnode.reception import Checked
from meshnode.runtime import Runtime
from meshnode.services.board import Board
from meshnode.services.intervals import Interval, Motion, band_of, crew_of, interval_of
from meshnode.services.readings import BatterySeen, CoverageSeen, PlaceSeen, Readings
from protocol.identity import Role

__all__ = ["Duty", "Pace", "Reporting", "Situation", "usual_pace"]

_SOON_S: Final = 2.0
"""A receiver that told of the time before the shift tells of now within so much, mostly."""
_LOOK_S_MIN: Final = 1.0
_FRESH_MS: Final = 120_000
"""A place that was read longer ago is not told: it is of before, and nobody would know."""
_MOVED_M: Final = 25.0
"""Less than this is the error of a receiver at rest."""
_SIGNAL_STEP_PCT: Final = 20.0
_METRES_PER_DEGREE: Final = 111_320.0


@dataclass(frozen=True, slots=True)
class Duty:
    """Who tells, and whether somebody needs to find this device at once."""

    role: Role | None
    """Of this device; None while no roster names it."""
    is_in_alarm: bool
    """True while an SOS of this device is open."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What the pace depends on."""

    is_moving: bool
    """True if the device is elsewhere than it told last."""
    has_changed: bool
    """True if battery or coverage are other than told."""
    squads: int
    """To how many squads each report goes; at least 1."""
    battery_pct: float | None
    """Charge of the device; None where unknown."""
    is_charging: bool
    """True while power comes from outside."""
    duty: Duty
    """Whose device it is, and its SOS."""


Pace: TypeAlias = Callable[[Situation], Interval]
"""Returns how long from one report to the next, at least `SHORTEST_S` for each squad."""


def usual_pace(situation: Situation) -> Interval:
    """Return what the table of `intervals` says."""
    motion = Motion.CHANGED if situation.has_changed else Motion.REST
    return interval_of(
        crew_of(situation.duty.role),
        band_of(situation.battery_pct, is_charging=situation.is_charging),
        Motion.MOVING if situation.is_moving else motion,
        squads=situation.squads,
        is_in_alarm=situation.duty.is_in_alarm,
    )


@dataclass(slots=True)
class _Told:
    """What was told last, in this shift and since this start."""

    shift_id: bytes = b""
    place_ms: int = 0
    state_ms: int = 0
    place: PlaceSeen | None = None
    battery: BatterySeen | None = None
    coverage: CoverageSeen | None = None


class Reporting:
    """The room that reports. Readings and pace are put in by whoever has them."""

    def __init__(
        self,
        board: Board,
        positions: Positions,
        runtime: Runtime,
        metrics: Metrics,
        announce: Callable[[Sequence[Checked]], Awaitable[None]],
        duty: Callable[[], Awaitable[Duty]],
    ) -> None:
        """`announce` tells live sessions of what was made; `duty` is asked at each look."""
        self.pace: Pace = usual_pace
        """How often to report."""
        self.wake = Level()
        """Set when a shift was opened or closed, or readings were put in."""
        self.beside: Callable[[], Awaitable[Sequence[Checked]]] | None = None
        """Called at each look; what it made is announced. So two rooms need one timer."""
        self._board = board
        self._positions = positions
        self._runtime = runtime
        self._metrics = metrics
        self._announce = announce
        self._duty = duty
        self._readings: Readings | None = None
        self._told = _Told()

    def plug(self, readings: Readings | None) -> None:
        """Report what `readings` say from now on; None for nothing."""
        self._readings = readings
        self.wake.set()

    async def run(self) -> None:
        """Report until cancelled. Raises: StoreError, LockedError."""
        while True:
            with trio.move_on_after(await self.look()):
                await self.wake.wait()

    async def look(self) -> float:
        """Report if it is time to; return after how many seconds to look again, infinity for never.

        Raises: StoreError, LockedError.
        """
        if self.beside is not None:
            await self._announce(await self.beside())
        readings = self._readings
        shift = None if readings is None else await self._positions.current()
        if readings is None or shift is None:
            self._told = _Told()
            return math.inf
        if self._told.shift_id != shift.shift.shift_id:
            self._told = _Told(shift.shift.shift_id)
        now_ms, told = self._runtime.now_ms(), self._told
        place = self._fresh_place(readings.position, now_ms, shift.shift.opened_ms)
        seen = (place, readings.battery, readings.coverage)
        situation = self._situation(*seen, len(shift.scopes), await self._duty())
        pace = self.pace(situation)
        # Whether something changed is looked at as often as it would be told, and no oftener.
        moving = self.pace(replace(situation, is_moving=True))
        look_s = min(moving.position_s, moving.state_s)
        place_s = _wait_s(pace.position_s, told.place_ms, now_ms)
        state_s = _wait_s(pace.state_s, told.state_ms, now_ms)
        if any(seen) and (not state_s or (place is not None and not place_s)):
            await self._report(*seen, tells_place=not place_s, tells_state=not state_s)
            # Told just now: nothing is due before the next look.
            place_s = state_s = 0.0
        if self._awaits_place(readings.position):
            return _SOON_S
        waits = [each for each in (place_s, state_s) if each]
        return min(look_s, max(_LOOK_S_MIN, min(waits, default=look_s)))

    def _fresh_place(
        self, place: PlaceSeen | None, now_ms: int, opened_ms: int
    ) -> PlaceSeen | None:
        if place is None or not opened_ms <= place.taken_ms <= now_ms:
            return None
        return place if now_ms - place.taken_ms <= _FRESH_MS else None

    def _awaits_place(self, place: PlaceSeen | None) -> bool:
        """True if a shift has told no place yet, and the receiver tells one of these minutes."""
        if self._told.place is not None or place is None:
            return False
        # Of this moment: telling the rest takes a while, in which the receiver goes on.
        return 0 <= self._runtime.now_ms() - place.taken_ms <= _FRESH_MS

    def _situation(
        self,
        place: PlaceSeen | None,
        battery: BatterySeen | None,
        coverage: CoverageSeen | None,
        squads: int,
        duty: Duty,
    ) -> Situation:
        told = self._told
        return Situation(
            is_moving=_has_moved(told.place, place),
            has_changed=_is_other_battery(told.battery, battery)
            or _is_other_coverage(told.coverage, coverage),
            squads=squads,
            battery_pct=None if battery is None else battery.level_pct,
            is_charging=battery is not None and battery.is_charging,
            duty=duty,
        )

    async def _report(
        self,
        place: PlaceSeen | None,
        battery: BatterySeen | None,
        coverage: CoverageSeen | None,
        *,
        tells_place: bool,
        tells_state: bool,
    ) -> None:
        told, now_ms = self._told, self._runtime.now_ms()
        told.place_ms = now_ms if tells_place and place is not None else told.place_ms
        told.state_ms = now_ms if tells_state else told.state_ms
        try:
            if tells_place and place is not None and _is_newer(place, told.place):
                at = Place(place.latitude, place.longitude, place.accuracy_m)
                await self._announce(await self._positions.report(at, place.taken_ms))
                told.place = place
            if tells_state:
                await self._announce(await self._board.report(battery, coverage))
                told.battery, told.coverage = battery, coverage
        except (QuotaError, SendError, StoreFullError) as error:
            # The shift ended meanwhile, or there is no room: the next report says all of it again.
            self._metrics.count("reports_held_back")
            self._runtime.trace("report_held_back", reason=type(error).__name__)


def _wait_s(interval_s: float, told_ms: int, now_ms: int) -> float:
    """Return how long until the next report, 0 where it is due; a clock set back makes it due."""
    elapsed_s = (now_ms - told_ms) / 1000
    return interval_s - elapsed_s if 0 <= elapsed_s < interval_s else 0.0


def _is_newer(place: PlaceSeen, told: PlaceSeen | None) -> bool:
    return told is None or place.taken_ms > told.taken_ms


def _has_moved(told: PlaceSeen | None, place: PlaceSeen | None) -> bool:
    """True if a device is elsewhere, by more than the two places may be off."""
    if place is None or told is None:
        return place is not told
    north_m = (place.latitude - told.latitude) * _METRES_PER_DEGREE
    around = math.cos(math.radians(place.latitude)) * _METRES_PER_DEGREE
    east_deg = (place.longitude - told.longitude + 180) % 360 - 180
    far_m = math.hypot(north_m, east_deg * around)
    return far_m > max(_MOVED_M, place.accuracy_m, told.accuracy_m)


def _is_other_battery(told: BatterySeen | None, seen: BatterySeen | None) -> bool:
    if seen is None or told is None:
        return seen is not told
    return seen.is_charging is not told.is_charging or abs(seen.level_pct - told.level_pct) >= 1


def _is_other_coverage(told: CoverageSeen | None, seen: CoverageSeen | None) -> bool:
    if seen is None or told is None:
        return seen is not told
    if (seen.bearer, seen.operator) != (told.bearer, told.operator):
        return True
    step = abs((seen.signal_pct or 0) - (told.signal_pct or 0))
    return step >= _SIGNAL_STEP_PCT
