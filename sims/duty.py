"""Agents on duty: their devices move, tell of themselves, and somebody looks at the board.

What a shift promised, and how old the board was at whoever looked, is traced; the checkers of
`sims.duty_checkers` judge it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import trio

from meshnode.errors import SendError, StoreError
from meshnode.node import Node
from meshnode.services.board import Mate
from meshnode.services.readings import BatteryRead, CoverageRead, Network, PlaceRead
from sims.place import Place
from sims.runtime import START_MS, PowerCutError
from sims.scenario import ShiftPlan
from sims.sensing import off_m, whereabouts
from sims.steps import belongs_to

__all__ = ["Walk", "be_on_duty", "look_at_board"]

_LOOK_S: Final = 4.7
"""No part of the time from one report to the next, so that looks fall everywhere between two."""
_DRAIN_PCT_PER_H: Final = 12.0
_NONE: Final = -1


class Walk:
    """Readings of a device that goes around in a circle, once in half an hour."""

    def __init__(self, place: Place, plan: ShiftPlan) -> None:
        self._place = place
        self._plan = plan

    @property
    def position(self) -> PlaceRead:
        """Where it is now."""
        where = whereabouts(self._plan.speed_m_s, self._passed_s())
        return PlaceRead(*where, 5.0, self._place.machine.now_ms())

    @property
    def battery(self) -> BatteryRead:
        """It empties."""
        level = max(0.0, 90.0 - _DRAIN_PCT_PER_H * self._passed_s() / 3600)
        return BatteryRead(float(round(level)), False, self._place.machine.now_ms())

    @property
    def coverage(self) -> CoverageRead:
        """There is none where they walk."""
        return CoverageRead(Network.NONE, None, "", self._place.machine.now_ms())

    def _passed_s(self) -> float:
        return trio.current_time() - self._plan.start_s


async def be_on_duty(place: Place, plan: ShiftPlan) -> None:
    """Open the shift, give the device its readings, again after each restart, and close it."""
    belongs_to(place.name)
    await _do(place, "shift_open", lambda node: node.positions.open_shift())
    current = place.node
    if current is not None:
        await _trace_open(place, current)
    plugged: Node | None = None
    while trio.current_time() < plan.end_s:
        node = place.node
        if node is not None and node is not plugged and node.desk is not None:
            await _trace_open(place, node)
            if place.truth is None:
                # Else its node reads sensors of its own.
                node.require_desk().plug(Walk(place, plan), node.uplink.has_reached)
            plugged = node
        await trio.sleep(min(_LOOK_S, max(0.0, plan.end_s - trio.current_time())))
    await _do(place, "no_shift", lambda node: node.positions.close_shift())
    place.machine.trace("shift_closed", closed_ms=place.machine.now_ms())


async def _do(
    place: Place, done: str, call: Callable[[Node], Awaitable[list[object]] | Awaitable[object]]
) -> None:
    """Do something at a device that has power; `done` is the refusal of what was done before."""
    while True:
        while (node := place.node) is None:
            await place.started.wait()
        try:
            made = await call(node)
            await node.relay.announce(made, None)  # type: ignore[arg-type]
            node.require_desk().reporting.wake.set()
        except PowerCutError:
            continue
        except SendError as error:
            if error.reason != done:
                place.machine.trace("duty_refused", reason=error.reason)
        except StoreError as error:
            place.machine.trace("duty_refused", reason=type(error).__name__)
            await trio.sleep(_LOOK_S)
            continue
        return


async def _trace_open(place: Place, node: Node) -> None:
    try:
        found = await node.positions.current()
    except StoreError:
        # The power goes just now: it is asked again after the restart.
        return
    if found is not None:
        window = {"opened_ms": found.shift.opened_ms, "ends_ms": found.shift.ends_ms}
        place.machine.trace("shift_opened", **window)


async def look_at_board(place: Place, plan: ShiftPlan, places: Mapping[str, Place]) -> None:
    """Look at the board every few seconds of the shift, and trace how old it is."""
    belongs_to(place.name)
    whom = places[plan.device].device.node
    while trio.current_time() < plan.end_s:
        await trio.sleep(_LOOK_S)
        node = place.node
        if node is None or node.desk is None:
            continue
        try:
            mates = await node.require_desk().board.mates()
        except StoreError:
            # Its power goes just now.
            continue
        (mate,) = [each for each in mates if each.node == whom]
        if mate.is_on_shift:
            judged = _judged(mate, places[plan.device])
            place.machine.trace("board_seen", of=plan.device, **_ages(mate), **judged)


def _judged(mate: Mate, shown: Place) -> dict[str, int | bool]:
    """Return how far off the place of a device with sensors is, and what is marked as old."""
    if shown.truth is None:
        return {}
    far_m = 0.0
    if mate.place is not None:
        _record, payload, value = mate.place
        told = payload.latitude_e7 / 1e7, payload.longitude_e7 / 1e7
        then_s = (value.at_ms - START_MS - shown.machine.ahead_ms) / 1000
        far_m = off_m(told, shown.truth(then_s))
    return {
        "off_m": round(far_m),
        "position_stale": mate.place is not None and mate.place[2].is_stale,
        "battery_stale": mate.battery is not None and mate.battery[1].is_stale,
    }


def _ages(mate: Mate) -> dict[str, int]:
    """Return how old place and battery are, milliseconds, -1 where they are not known."""
    return {
        "position_ms": _NONE if mate.place is None else mate.place[2].age_ms,
        "battery_ms": _NONE if mate.battery is None else mate.battery[1].age_ms,
    }
