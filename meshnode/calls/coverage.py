"""The call about the coverage map, in plain values; `Api` has it beside its own."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Final

from meshnode.calls.base import Calls, Json
from meshnode.errors import SendError
from meshnode.positions import Place, place_numbers
from meshnode.sensors.readings import SensorKind
from protocol.cells import Part, part_of, rectangle_of
from protocol.coverage import WINDOW_DAYS
from protocol.forecast import REACH_M, Outlook, Spot, forecast, spots_near
from protocol.states import Bearer

__all__ = ["CELLS_MAX", "DIRECTIONS", "CoverageCalls", "cell_told"]

CELLS_MAX: Final = 2_000
"""Cells of one answer; the nearest are told."""
DIRECTIONS: Final = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
"""As they are told, clockwise from true north."""
_WORDS: Final[Mapping[Bearer, str]] = {
    Bearer.NONE: "none",
    Bearer.G2: "2G",
    Bearer.G3: "3G",
    Bearer.G4: "4G",
    Bearer.G5: "5G",
    Bearer.LAN: "LAN",
}
_PARTS: Final = {part.name.lower(): part for part in Part}
_REACH_KM_MAX: Final = 200.0
_E7: Final = 10_000_000


class CoverageCalls(Calls):
    """What people may ask of the coverage map."""

    async def coverage(
        self,
        at: str = "",
        course_deg: float | None = None,
        part: str = "",
        reach_km: float = REACH_M / 1_000,
        limit: int = 200,
    ) -> Json:
        """Return what squads learned around a place, and where the next network is from there.

        `at` is `LATITUDE,LONGITUDE` in degrees; empty is where this device is. `part` is `night`,
        `morning`, `afternoon`, `evening` or `all`; empty is that of this moment there. Of the
        `cells` within `reach_km` the nearest `limit`, at most `CELLS_MAX`, are told. `verdict` is
        `likely`, `possible`, `none` or `unknown`, also where no place is known.

        Raises: SendError (`place`, `part`), LockedError, StoreError.
        """
        room = self._node.require_desk().coverage
        place = await self._place_for(at)
        if course_deg is not None and not 0 <= course_deg <= 360:
            raise SendError("place", "a course is from 0 to 360 degrees")
        chosen = self._part(part, place)
        known = await room.known(chosen)
        found: Json = {
            "place": None,
            "part": "all" if chosen is None else chosen.name.lower(),
            "verdict": "unknown",
            "here": None,
            "next": None,
            "cells": [],
            "known_cells": len(known),
            "reach_km": min(max(reach_km, 0.0), _REACH_KM_MAX),
            "window_days": WINDOW_DAYS,
        }
        if place is None:
            return found
        # In a thread: with as many cells as members can tell of, each takes a second.
        blocking = self._node.runtime.run_blocking
        foretold = await blocking(forecast, known, *place, course_deg)
        near = await blocking(spots_near, known, *place, 1_000 * found["reach_km"])
        here = next((each for each in near if each.outlook == foretold.here), None)
        return found | {
            "place": {"latitude": place[0] / _E7, "longitude": place[1] / _E7, "is_own": not at},
            "verdict": foretold.verdict.value,
            "here": None if here is None else cell_told(here),
            "next": None if foretold.best is None else cell_told(foretold.best),
            "cells": [cell_told(each) for each in islice(near, max(0, min(limit, CELLS_MAX)))],
        }

    async def _place_for(self, at: str) -> tuple[int, int] | None:
        """Return a place in ten-millionths of a degree; None where none is given or known."""
        if at:
            parts = at.split(",")
            try:
                latitude, longitude = (float(each) for each in parts)
            except ValueError as error:
                raise SendError("place", "a place is LATITUDE,LONGITUDE in degrees") from error
            return place_numbers(Place(latitude, longitude))[:2]
        reading = self._node.sensors.position
        if reading is not None and self._node.sensors.is_fresh(SensorKind.POSITION):
            return place_numbers(Place(reading.latitude, reading.longitude))[:2]
        for record, told in await self._node.positions.newest():
            if record.author == self._node.identity.node:
                return told.latitude_e7, told.longitude_e7
        return None

    def _part(self, word: str, place: tuple[int, int] | None) -> Part | None:
        if word == "all" or (not word and place is None):
            return None
        if not word and place is not None:
            return part_of(self._node.runtime.now_ms(), place[1])
        if word not in _PARTS:
            words = ", ".join((*_PARTS, "all"))
            raise SendError("part", f"a part of the day is one of {words}")
        return _PARTS[word]


def cell_told(spot: Spot) -> Json:
    """Return a cell as it lies from a place, in plain values."""
    outlook, bounds = spot.outlook, rectangle_of(spot.outlook.cell)
    return {
        "south": bounds.south / _E7,
        "west": bounds.west / _E7,
        "north": bounds.north / _E7,
        "east": bounds.east / _E7,
        "distance_m": round(spot.distance_m),
        "bearing_deg": round(spot.bearing_deg),
        "direction": DIRECTIONS[round(spot.bearing_deg / 45) % len(DIRECTIONS)],
        **_figures(outlook),
    }


def _figures(outlook: Outlook) -> Json:
    return {
        "looks": outlook.looks,
        "worked": outlook.worked,
        "chance": round(outlook.chance, 3),
        "at_least": round(outlook.at_least, 3),
        "bearer": _WORDS[outlook.bearer],
        "bearer_worked": outlook.by.get(outlook.bearer, 0),
        "bearers": {_WORDS[each]: worked for each, worked in outlook.by.items()},
        "is_sure": outlook.is_sure,
        "is_other_part": outlook.is_other_part,
    }
