"""Routes that machines watch: events, the description of the interface."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from meshnode.web.roles import WebRole
from meshnode.web.routes.spec import Caller, Route
from meshnode.web.streams import EventStream

__all__ = ["ROUTES"]


async def _events(request: Request, asked: Caller) -> Response:
    return EventStream(asked, request.app.state.streams)


async def _description(request: Request, asked: Caller) -> Response:
    return JSONResponse(request.app.openapi())


ROUTES: Final = (
    Route(
        "GET",
        "/api/events",
        WebRole.AGENT,
        "What happens from now on, as server-sent events, without end.",
        _events,
        errors=("streams",),
        while_locked=True,
        media="text/event-stream",
    ),
    Route(
        "GET",
        "/api/openapi.json",
        WebRole.READER,
        "This interface, described in OpenAPI.",
        _description,
        while_locked=True,
    ),
)
