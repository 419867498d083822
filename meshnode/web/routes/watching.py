"""Routes that machines watch: events, counters, whether it lives, and how to use it."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from meshnode.web.answers import told
from meshnode.web.prometheus import MEDIA, exposition
from meshnode.web.roles import WebRole
from meshnode.web.routes.spec import Caller, Route
from meshnode.web.streams import EventStream

__all__ = ["ROUTES"]


async def _events(request: Request, asked: Caller) -> Response:
    return EventStream(asked, request.app.state.streams)


async def _metrics(asked: Caller) -> Response:
    status = await asked.api.status()
    return Response(exposition(status), headers={"content-type": MEDIA})


async def _health(asked: Caller) -> Response:
    # The store answers, or this raises.
    if not asked.parts.is_local:
        # Whoever is nobody and comes by a network is told nothing of the node.
        await asked.api.status()
        return told(is_alive=True)
    pressing = await asked.api.alarms_pressing()
    return told(is_alive=True, is_locked=asked.api.is_locked, alarms=pressing)


async def _description(request: Request, asked: Caller) -> Response:
    return JSONResponse(request.app.openapi())


ROUTES: Final = (
    Route(
        "GET",
        "/api/events",
        WebRole.AGENT,
        "What happens from now on, as server-sent events, without end. `following` comes first and "
        "again where a slow reader lost some: fetch what is shown anew then.",
        _events,
        errors=("streams",),
        while_locked=True,
        media="text/event-stream",
    ),
    Route(
        "GET",
        "/metrics",
        WebRole.READER,
        "Counters and state in the text format of Prometheus.",
        _metrics,
        while_locked=True,
        media="text/plain",
    ),
    Route(
        "GET",
        "/healthz",
        WebRole.NOBODY,
        "Whether the node lives and its store answers; to this machine alone also whether it is "
        "locked, and how many alarms wait for an answer.",
        _health,
        {"is_alive": "bool"},
        ("store",),
        while_locked=True,
    ),
    Route(
        "GET",
        "/api/openapi.json",
        WebRole.READER,
        "This interface, described in OpenAPI.",
        _description,
        while_locked=True,
        is_bare=True,
    ),
)
