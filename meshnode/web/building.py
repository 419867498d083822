"""Puts the web interface together: table of routes, the gate before it, errors, front end."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from meshnode.web.answers import SCHEMA, RefusedError, error_answer, language_of
from meshnode.web.gate import Gate, GatedRoute, who
from meshnode.web.order_desk import OrderDesk
from meshnode.web.parts import WebParts
from meshnode.web.places import FilePlaces
from meshnode.web.routes.spec import Route
from meshnode.web.routes.table import ROUTES
from meshnode.web.statics import STATIC_FOLDER, add_statics
from meshnode.web.streams import Streams
from protocol.errors import MeshError

__all__ = ["EVERYWHERE", "add_handlers", "make_app"]

EVERYWHERE: Final = ("body", "no_session", "wrong_key", "origin", "csrf", "role", "size", "busy")
"""Errors that any route may answer."""
_KINDS: Final[dict[str, dict[str, Any]]] = {
    "bool": {"type": "boolean"},
    "list": {"type": "array", "items": {"type": "object"}},
    "number": {"type": "number"},
    "record": {"type": "object"},
    "texts": {"type": "array", "items": {"type": "string"}},
    "text": {"type": "string"},
    "whole": {"type": "integer"},
}
_ERROR: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["schema", "error"],
    "properties": {
        "schema": {"const": SCHEMA},
        "error": {
            "type": "object",
            "required": ["kind", "message"],
            "properties": {"kind": {"type": "string"}, "message": {"type": "string"}},
        },
    },
}


def make_app(parts: WebParts) -> Gate:
    """Return the web interface of a node as an ASGI program, the gate outermost."""
    app = FastAPI(
        title="meshnode",
        version=version("meshnode"),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    app.state.parts = parts
    app.state.streams = Streams()
    app.state.orders = OrderDesk(parts.api, parts.runtime, parts.door.token_of)
    app.state.heavy = FilePlaces()
    app.state.statics = STATIC_FOLDER if parts.statics is None else parts.statics
    parts.door.sessions.on_end.append(app.state.streams.end)
    app.router.route_class = GatedRoute
    app.router.redirect_slashes = False
    for route in ROUTES:
        _add(app, route)
    add_statics(app, app.state.statics)
    add_handlers(app)
    return Gate(app, parts, lambda request: who(request, parts.door))


def add_handlers(app: Starlette) -> None:
    """Have every error answered in words; `app.state.parts` counts defects."""
    app.add_exception_handler(MeshError, _on_mesh_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_wrong_body)
    app.add_exception_handler(Exception, _on_defect)


def _add(app: FastAPI, route: Route) -> None:
    app.add_api_route(
        route.path,
        route.handler,
        methods=[route.method],
        summary=route.what,
        name=f"{route.method} {route.path}",
        operation_id=_operation(route),
        response_model=None,
        response_class=Response,
        responses=_answers(route),
        openapi_extra=route.extra,
    )


def _operation(route: Route) -> str:
    words = route.path.replace("{", "").replace("}", "").replace("-", "_").replace(".", "_")
    return route.method.lower() + words.removeprefix("/api").replace("/", "_")


def _answers(route: Route) -> dict[int | str, dict[str, Any]]:
    properties: dict[str, Any] = {} if route.is_bare else {"schema": {"const": SCHEMA}}
    properties |= {name: _KINDS[kind] for name, kind in route.fields.items()}
    schema = {"type": "object", "required": [*properties], "properties": properties}
    content = {"schema": schema} if route.media == "application/json" else {}
    found = f"Also: {', '.join(route.errors)}" if route.errors else "See the reference of errors"
    return {
        200: {"description": "Done", "content": {route.media: content}},
        "4XX": {"description": found, "content": {"application/json": {"schema": _ERROR}}},
        "5XX": {
            "description": "Not now, or a defect",
            "content": {"application/json": {"schema": _ERROR}},
        },
    }


# --- errors ---------------------------------------------------------------------------------------


def _language(request: Request) -> str:
    return language_of(request.headers.get("accept-language", ""))


async def _on_mesh_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, MeshError), "the handler of this class alone"
    return error_answer(error, _language(request))


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "the handler of this class alone"
    parts: WebParts = request.app.state.parts
    kind = {404: "unknown_route", 405: "method", 413: "size"}.get(error.status_code, "body")
    if kind == "size":
        parts.metrics.count("web_requests_shed")
    refused = RefusedError(kind, error.detail if kind == "size" else "no JSON, or no form")
    return error_answer(refused, _language(request))


async def _on_wrong_body(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError), "the handler of this class alone"
    # Where it is wrong and how, without what was sent.
    places = [".".join(str(part) for part in each["loc"]) for each in error.errors()]
    found = "; ".join(
        f"{place}: {each['type']}" for place, each in zip(places, error.errors(), strict=True)
    )
    return error_answer(RefusedError("body", found[:500]), _language(request))


async def _on_defect(request: Request, error: Exception) -> Response:
    parts: WebParts = request.app.state.parts
    parts.metrics.count("web_defects")
    parts.runtime.trace("web_defect", reason=type(error).__name__)
    return error_answer(RefusedError("defect"), _language(request))
