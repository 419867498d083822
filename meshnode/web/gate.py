"""What every request passes before its route sees it: host, session, origin, word, role, lock.

The outer part stands around the whole program and knows no routes: it names the hosts that are
served, bounds bodies, time and number, and puts the headers on. The inner part stands before each
route and knows its least role. Source: decisions 51 and 52.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import trio
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from meshnode.api import Api
from meshnode.web.answers import RefusedError, error_answer, language_of
from meshnode.web.limits import (
    BODY_BYTES_MAX,
    FILE_BODY_BYTES_MAX,
    JSON_DEPTH_MAX,
    LONG_REQUEST_S_MAX,
    REQUEST_S_MAX,
    REQUESTS_MAX,
    SESSION_S_MAX,
)
from meshnode.web.parts import Placed, WebParts
from meshnode.web.roles import WebRole
from meshnode.web.sessions import Session

__all__ = [
    "COOKIE",
    "CSRF_HEADER",
    "EVENTS_PATH",
    "FILES_PATH",
    "HEADERS",
    "UNATTENDED_HEADER",
    "Asked",
    "Gate",
    "GatedRoute",
    "check_origin",
    "keep_session",
]

COOKIE: Final = "meshnode_session"
CSRF_HEADER: Final = "x-meshnode-csrf"
UNATTENDED_HEADER: Final = "x-meshnode-unattended"
"""Says that a page asks by itself, long after anybody touched it: no reason to stay unlocked."""
EVENTS_PATH: Final = "/api/events"
"""Its answers have no end; it has a bound of its own."""
FILES_PATH: Final = "/api/files"
"""The one route that takes large bodies."""
REPORT_PATH: Final = "/api/archive/report"
"""A walk over a month of an archive."""
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_STRINGS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_POLICY: Final = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; worker-src 'self'; frame-src 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'self'; object-src 'none'"
)
HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "content-security-policy": _POLICY,
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "permissions-policy": "camera=(self), geolocation=(self), microphone=(), payment=()",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "cross-origin-embedder-policy": "require-corp",
        "cache-control": "no-store",
    }
)
"""On every answer, unless its route says otherwise by itself."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that was let through to its route."""

    parts: WebParts = field(repr=False)
    """What answers it."""
    session: Session | None
    """Who asks; None on the routes that need nobody."""
    language: str
    """Of sentences for people: `fr` or `en`."""

    @property
    def api(self) -> Api:
        """The node's calls."""
        return self.parts.api


# --- around everything ----------------------------------------------------------------------------


class Gate:
    """The outer part, as an ASGI program around another."""

    def __init__(self, app: Starlette, parts: Placed) -> None:
        self.app = app
        """What answers, with its routes and its state."""
        self.busy = 0
        """Requests that are being answered, event streams beside them."""
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; nothing but plain requests is taken."""
        if scope["type"] == "http":
            await self._serve(scope, receive, _headed(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, metrics = Headers(scope=scope), self._parts.metrics
        if not self._is_served(scope, headers):
            metrics.count("web_requests_refused")
            await _refuse(RefusedError("host"), scope, receive, send)
            return
        if scope["path"] == EVENTS_PATH:
            await self.app(scope, receive, send)
            return
        if self.busy >= REQUESTS_MAX:
            metrics.count("web_requests_shed")
            await _refuse(RefusedError("busy"), scope, receive, send)
            return
        self.busy += 1
        try:
            await self._timed(scope, receive, send)
        finally:
            self.busy -= 1

    async def _timed(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        is_file = scope["path"].startswith(FILES_PATH)
        bytes_max = FILE_BODY_BYTES_MAX if is_file else BODY_BYTES_MAX
        is_long = is_file or scope["path"] == REPORT_PATH
        with trio.move_on_after(LONG_REQUEST_S_MAX if is_long else REQUEST_S_MAX) as scope_s:
            await self.app(scope, _bounded(receive, bytes_max), watched)
        if scope_s.cancelled_caught:
            self._parts.metrics.count("web_requests_shed")
            if not has_begun:
                await _refuse(RefusedError("slow"), scope, receive, send)

    def _is_served(self, scope: Scope, headers: Headers) -> bool:
        """True if the page was asked for under a name of ours: no foreign name may point here."""
        if len(headers.getlist("host")) != 1:
            return False
        host, port = _split(headers["host"], scope)
        if scope.get("server") is None or port != scope["server"][1]:
            return False
        if host in self._parts.names:
            return True
        if host == "localhost":
            return self._parts.is_local
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return address.is_loopback or not self._parts.is_local


def _split(text: str, scope: Scope) -> tuple[str, int]:
    """Return host and port of a `Host`; port -1 for what is none."""
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]@/]+)(?::(\d{1,5}))?", text)
    if found is None:
        return "", -1
    usual = 443 if scope["scheme"] == "https" else 80
    return found[1].strip("[]").lower(), int(found[2]) if found[2] else usual


def _bounded(receive: Receive, bytes_max: int) -> Receive:
    """Return `receive` that ends a body which is larger than it may be."""
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > bytes_max:
            # The one class that FastAPI hands on while it reads a body.
            raise HTTPException(413, str(bytes_max))
        return message

    return bounded


def _headed(send: Send) -> Send:
    async def headed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return headed


async def _refuse(error: RefusedError, scope: Scope, receive: Receive, send: Send) -> None:
    language = language_of(Headers(scope=scope).get("accept-language", ""))
    await error_answer(error, language)(scope, receive, send)


# --- before each route ----------------------------------------------------------------------------


class GatedRoute(APIRoute):
    """A route that is reached by those alone who have its least role."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler behind the gate; a route without a least role cannot be made."""
        handler = super().get_route_handler()
        rule = self.openapi_extra or {}
        least = WebRole[rule["x-least-role"].upper()]
        while_locked = bool(rule["x-while-locked"])
        is_personal = bool(rule["x-personal"])

        async def gated(request: Request) -> Response:
            parts: WebParts = request.app.state.parts
            try:
                session = _session(request, parts, least)
                if least > WebRole.NOBODY:
                    _check_role(session, least)
            except RefusedError:
                parts.metrics.count("web_requests_refused")
                raise
            if not while_locked and parts.api.is_locked:
                raise RefusedError("locked")
            if is_personal and UNATTENDED_HEADER not in request.headers:
                parts.api.touch()
            await _check_depth(request)
            language = language_of(request.headers.get("accept-language", ""))
            request.state.asked = Asked(parts, session, language)
            return await handler(request)

        return gated


def _session(request: Request, parts: WebParts, least: WebRole) -> Session | None:
    """Return who asks, and that the page which asks is ours. Raises: RefusedError."""
    check_origin(request)
    headers = request.headers
    shown = headers.get("authorization", "")
    if shown[:7].lower() == "bearer ":
        session = parts.door.bearer(shown[7:].strip())
        if session is None:
            raise RefusedError("wrong_key")
        return session
    session = parts.door.sessions.find(request.cookies.get(COOKIE, ""))
    if session is None:
        if least > WebRole.NOBODY:
            raise RefusedError("no_session")
        return None
    is_safe = request.method in _SAFE or least is WebRole.NOBODY
    if not is_safe and not session.proves(headers.get(CSRF_HEADER, "")):
        raise RefusedError("csrf")
    return session


def keep_session(request: Request, answer: Response, secret: str) -> None:
    """Give a browser the cookie of its session: for no script, no other site, never in clear."""
    answer.set_cookie(
        COOKIE,
        secret,
        max_age=SESSION_S_MAX,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def check_origin(request: Request) -> None:
    """Check that no page of another site asks. Raises: RefusedError."""
    origin, host = request.headers.get("origin"), request.headers["host"]
    is_foreign = origin is not None and origin != f"{request.url.scheme}://{host}"
    if is_foreign or request.headers.get("sec-fetch-site") == "cross-site":
        raise RefusedError("origin")


def _check_role(session: Session | None, least: WebRole) -> None:
    if session is None or session.role < least:
        raise RefusedError("role", least.word)


async def _check_depth(request: Request) -> None:
    """Raise RefusedError for JSON that is nested deeper than any of ours."""
    if "json" not in request.headers.get("content-type", ""):
        return
    depth = 0
    for each in _STRINGS.sub(b"", await request.body()):
        depth += (each in b"[{") - (each in b"]}")
        if depth > JSON_DEPTH_MAX:
            raise RefusedError("depth", JSON_DEPTH_MAX)
