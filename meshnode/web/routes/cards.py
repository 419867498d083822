"""Routes of the card of this device, and of papers of enrolment that a screen carries."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from meshnode.web.answers import told
from meshnode.web.bodies import PaperBody
from meshnode.web.roles import WebRole
from meshnode.web.routes.spec import Caller, Route

__all__ = ["ROUTES"]


async def _card(asked: Caller) -> Response:
    return told(**asked.api.card())


async def _check(asked: Caller, body: PaperBody) -> Response:
    return told(**asked.api.check_card(body.text))


async def _read(asked: Caller, body: PaperBody) -> Response:
    return told(**asked.api.read_paper(body.text))


_AGENT = WebRole.AGENT
_CARD = {"name": "text", "node": "text", "role": "text", "squads": "texts", "code": "text"}
ROUTES: Final = (
    Route(
        "GET",
        "/api/card",
        _AGENT,
        "Who this device is, and the text of its card for a QR code.",
        _card,
        _CARD | {"text": "text", "network": "text"},
        ("unknown_name",),
    ),
    Route(
        "POST",
        "/api/card/check",
        _AGENT,
        "What the rosters held here say of the device whose card was scanned.",
        _check,
        _CARD | {"is_self": "bool", "is_revoked": "bool"},
        ("unknown_name", "card"),
    ),
    Route(
        "POST",
        "/api/enrolment/read",
        _AGENT,
        "What an invitation, request or answer says to whoever carries it; nothing takes effect.",
        _read,
        {"paper": "text"},
        ("paper", "malformed"),
    ),
)
