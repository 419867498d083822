"""The route of the coverage map: what squads learned around a place, and the next network."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import Query
from starlette.responses import Response

from meshnode.calls.coverage import CELLS_MAX
from meshnode.web.answers import told
from meshnode.web.roles import WebRole
from meshnode.web.routes.spec import Caller, Route

__all__ = ["ROUTES"]

_At = Annotated[str, Query(max_length=64)]
_Course = Annotated[float | None, Query(ge=0, le=360)]
_Part = Annotated[Literal["", "night", "morning", "afternoon", "evening", "all"], Query()]
_Reach = Annotated[float, Query(ge=0, le=200)]
_Cells = Annotated[int, Query(ge=0, le=CELLS_MAX)]


async def _coverage(
    asked: Caller,
    at: _At = "",
    course_deg: _Course = None,
    part: _Part = "",
    reach_km: _Reach = 20.0,
    limit: _Cells = 200,
) -> Response:
    return told(**await asked.api.coverage(at, course_deg, part, reach_km, limit))


ROUTES: Final = (
    Route(
        "GET",
        "/api/coverage",
        WebRole.AGENT,
        "Where the next network is from `at` (`LATITUDE,LONGITUDE`; empty is where the device is), "
        "and the cells around, the nearest first, for a `part` of the day.",
        _coverage,
        {
            "verdict": "text",
            "part": "text",
            "cells": "list",
            "known_cells": "whole",
            "window_days": "whole",
        },
        ("place", "part"),
    ),
)
