"""Routes of rosters, and of revocations and wipes that take two persons."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Final

from fastapi import Depends, Path
from starlette.requests import Request
from starlette.responses import Response

from meshnode.directory import UnknownNameError
from meshnode.errors import ControlError
from meshnode.lines import Json
from meshnode.web.answers import RefusedError, told
from meshnode.web.bodies import ConfirmBody, DeclineBody, OrderAskBody, SignedOrderBody
from meshnode.web.gate import Asked
from meshnode.web.order_desk import OrderDesk
from meshnode.web.roles import WebRole
from meshnode.web.routes.spec import Caller, Route
from protocol.errors import RemoteProtocolError

__all__ = ["ROUTES"]

_RequestId = Annotated[str, Path(max_length=64)]


async def _desk(request: Request) -> OrderDesk:
    desk: OrderDesk = request.app.state.orders
    return desk


_Desk = Annotated[OrderDesk, Depends(_desk)]


async def _members(asked: Caller) -> Response:
    return told(**await asked.api.members())


async def _requests(desk: _Desk) -> Response:
    return told(requests=await desk.all())


async def _ask(asked: Caller, desk: _Desk, body: OrderAskBody) -> Response:
    return await _stepped(asked, desk.ask(asked.session, body))


async def _confirm(asked: Caller, desk: _Desk, request: _RequestId, body: ConfirmBody) -> Response:
    return await _stepped(asked, desk.confirm(request, body.token, body.typed))


async def _decline(asked: Caller, desk: _Desk, request: _RequestId, body: DeclineBody) -> Response:
    return await _stepped(asked, desk.decline(asked.session, request, body.reason))


async def _take(asked: Caller, desk: _Desk, request: _RequestId, body: SignedOrderBody) -> Response:
    return await _stepped(asked, desk.take(asked.session, request, body.text))


async def _stepped(asked: Asked, step: Awaitable[Json]) -> Response:
    """Take a step; one that is refused is counted, and so written down. Raises: as the step."""
    metrics = asked.parts.metrics
    try:
        found = await step
    except (RefusedError, UnknownNameError, ControlError, RemoteProtocolError) as error:
        metrics.count("web_orders_refused")
        if isinstance(error, RefusedError) and error.kind == "wrong_key":
            metrics.count("web_signins_refused")
        raise
    return told(**found)


_OPERATOR = WebRole.OPERATOR
_REQUEST = {"request": "text", "state": "text", "devices": "list", "signed": "whole"}
_STEP_ERRORS = ("unknown_request", "request_state", "person")
ROUTES: Final = (
    Route(
        "GET",
        "/api/members",
        _OPERATOR,
        "Everybody in the rosters: role, squads, shift, last contact, lease, revoked or wiped.",
        _members,
        {"now_ms": "whole", "zones": "list", "members": "list"},
    ),
    Route(
        "GET",
        "/api/order-requests",
        _OPERATOR,
        "The revocations and wipes that were asked for here, the newest first.",
        _requests,
        {"requests": "list"},
    ),
    Route(
        "POST",
        "/api/order-requests",
        _OPERATOR,
        "Ask for a revocation or a wipe of at most ten devices; a second person confirms it.",
        _ask,
        _REQUEST,
        ("unknown_name", "typed", "person", "order_refused", "requests_full"),
    ),
    Route(
        "POST",
        "/api/order-requests/{request}/confirm",
        _OPERATOR,
        "Confirm as a second person, by the own token and the name of the first device.",
        _confirm,
        _REQUEST,
        (*_STEP_ERRORS, "typed", "wrong_key"),
    ),
    Route(
        "POST",
        "/api/order-requests/{request}/decline",
        _OPERATOR,
        "Decline what was asked for, or take it back.",
        _decline,
        _REQUEST,
        _STEP_ERRORS,
    ),
    Route(
        "POST",
        "/api/order-requests/{request}/order",
        _OPERATOR,
        "Give the order that cards signed; it takes effect if it says what was confirmed.",
        _take,
        _REQUEST,
        (*_STEP_ERRORS, "order", "order_other", "order_refused", "malformed"),
    ),
)
