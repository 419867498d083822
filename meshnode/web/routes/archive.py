"""Routes of a gateway's archive: what it holds, a search in it, and how long it keeps what."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query
from starlette.responses import Response

from meshnode.web.answers import told
from meshnode.web.roles import WebRole
from meshnode.web.routes.spec import Caller, Limit, Route

__all__ = ["ROUTES"]

_Words = Annotated[str, Query(max_length=200)]
_Classes = Annotated[list[str], Query(max_length=7)]
_Time = Annotated[int, Query(ge=0, lt=2**48)]


async def _status(asked: Caller) -> Response:
    return told(**await asked.api.archive_status())


async def _search(
    asked: Caller,
    q: _Words = "",
    author: _Words = "",
    to: _Words = "",
    classes: _Classes = [],  # noqa: B006 - FastAPI copies it for each request
    from_ms: _Time | None = None,
    to_ms: _Time | None = None,
    limit: Limit = 100,
) -> Response:
    found = await asked.api.archive_search(q, author, to, classes, from_ms, to_ms, limit)
    return told(**found)


async def _report(
    asked: Caller, from_ms: _Time | None = None, to_ms: _Time | None = None
) -> Response:
    return told(**await asked.api.archive_report(from_ms, to_ms))


async def _retention(asked: Caller) -> Response:
    return told(**await asked.api.retention())


async def _log(asked: Caller, limit: Limit = 100) -> Response:
    return told(**await asked.api.retention_log(limit))


_OPERATOR = WebRole.OPERATOR
_ERRORS = ("no_archive",)
ROUTES: Final = (
    Route(
        "GET",
        "/api/archive",
        _OPERATOR,
        "What waits for the archive, what it holds, and how it stands.",
        _status,
        {"is_archiving": "bool", "database": "text", "waiting": "whole", "held": "list"},
        _ERRORS,
    ),
    Route(
        "GET",
        "/api/archive/search",
        _OPERATOR,
        "What the centre could read and fits, the newest day first.",
        _search,
        {"found": "list"},
        (*_ERRORS, "unknown_name"),
        is_personal=True,
    ),
    Route(
        "GET",
        "/api/archive/report",
        _OPERATOR,
        "Arrivals, delays, deliveries, alarms and networks by place, without anybody's name.",
        _report,
        {
            "since_ms": "whole",
            "until_ms": "whole",
            "devices_min": "whole",
            "arrivals": "record",
            "delivery": "record",
            "coverage": "record",
        },
        _ERRORS,
        is_personal=True,
    ),
    Route(
        "GET",
        "/api/retention",
        _OPERATOR,
        "How long the archive keeps what, within which bounds, and why.",
        _retention,
        {"terms": "list"},
        _ERRORS,
    ),
    Route(
        "GET",
        "/api/retention/log",
        _OPERATOR,
        "The newest entries of the signed log of what was destroyed, exported and answered.",
        _log,
        {"entries": "list", "last": "whole", "hash": "text"},
        _ERRORS,
        is_personal=True,
    ),
)
