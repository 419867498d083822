"""Routes of messages: read, write, follow, take back, send again."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Path, Query
from starlette.responses import Response

from meshnode.web.answers import told
from meshnode.web.bodies import MessageBody, ResendBody
from meshnode.web.roles import WebRole
from meshnode.web.routes.spec import After, Caller, Limit, Route

__all__ = ["ROUTES"]

_Message = Annotated[str, Path(max_length=200)]
_Key = Annotated[int, Path(ge=0, lt=2**63)]
_To = Annotated[str, Query(max_length=200)]
_Last = Annotated[int, Query(ge=1, le=100)]


async def _inbox(asked: Caller, after: After = 0, limit: Limit = 100) -> Response:
    return told(messages=await asked.api.inbox(after, limit))


async def _outgoing(asked: Caller, after: After = 0, limit: Limit = 100) -> Response:
    return told(messages=await asked.api.outgoing(after, limit))


async def _message(asked: Caller, message: _Message) -> Response:
    return told(**await asked.api.message(message))


async def _send(asked: Caller, body: MessageBody) -> Response:
    return told(
        **await asked.api.send(
            body.to, body.text, priority=body.priority, lifetime_s=body.lifetime_s
        )
    )


async def _cancel(asked: Caller, message: _Message) -> Response:
    return told(is_changed=await asked.api.cancel(message))


async def _resend(asked: Caller, message: _Message, body: ResendBody | None = None) -> Response:
    to = "" if body is None else body.to
    return told(**await asked.api.resend(message, to))


async def _read(asked: Caller, key: _Key) -> Response:
    return told(is_changed=await asked.api.mark_read(key))


async def _matrix(asked: Caller, to: _To, last: _Last = 5) -> Response:
    return told(**await asked.api.matrix(to, last))


_AGENT = WebRole.AGENT
_SENT = {
    "message": "text",
    "key": "whole",
    "state": "text",
    "recipients": "whole",
}
ROUTES: Final = (
    Route(
        "GET",
        "/api/messages/inbox",
        _AGENT,
        "Messages for this device that have a number above `after`, the oldest first.",
        _inbox,
        {"messages": "list"},
    ),
    Route(
        "GET",
        "/api/messages/outgoing",
        _AGENT,
        "Messages written here that have a number above `after`, the oldest first.",
        _outgoing,
        {"messages": "list"},
    ),
    Route(
        "GET",
        "/api/messages/{message}",
        _AGENT,
        "All that is known of one message, by its id or number: ledger, recipients, carriers.",
        _message,
        {"message": "text", "recipients": "list", "ledger": "list", "carriers": "list"},
        ("unknown",),
        is_personal=True,
    ),
    Route(
        "POST",
        "/api/messages",
        _AGENT,
        "Write a message.",
        _send,
        _SENT | {"to": "text", "is_held_back": "bool"},
        ("unknown_name", "empty", "long", "nobody", "quota", "store"),
    ),
    Route(
        "POST",
        "/api/messages/{message}/cancel",
        _AGENT,
        "Take a message back with its copies.",
        _cancel,
        {"is_changed": "bool"},
        ("unknown", "quota"),
    ),
    Route(
        "POST",
        "/api/messages/{message}/resend",
        _AGENT,
        "Send a message again to those that lack it, or to one device.",
        _resend,
        _SENT | {"resends": "text"},
        ("unknown", "unknown_name", "device", "has_it", "copies", "quota"),
    ),
    Route(
        "POST",
        "/api/messages/{key}/read",
        _AGENT,
        "Note that somebody saw the message of this number; its author is told.",
        _read,
        {"is_changed": "bool"},
    ),
    Route(
        "GET",
        "/api/matrix",
        _AGENT,
        "The newest messages to one name, each with every recipient's state.",
        _matrix,
        {"to": "text", "now_ms": "whole", "messages": "list"},
        ("unknown_name",),
        is_personal=True,
    ),
)
