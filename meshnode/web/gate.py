"""What every request passes before its route sees it: host, session, origin, word, role, lock.

The outer part stands around the whole program and knows no routes: it names the hosts that are
served, bounds bodies, time and number, and puts the headers on. The inner part stands before each
route and knows its least role. Source: decisions 51 and 52.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Coroutine, Mapping, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import trio
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from meshnode.api import Api
from meshnode.web.answers import RefusedError, error_answer, language_of
from meshnode.web.door import Door
from meshnode.web.limits import (
    BODY_BYTES_MAX,
    FILE_BODY_BYTES_MAX,
    GUESTS_MAX,
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
    "PRESENCE_HEADER",
    "Asked",
    "Gate",
    "GatedRoute",
    "check_origin",
    "keep_session",
    "who",
]

COOKIE: Final = "meshnode_session"
CSRF_HEADER: Final = "x-meshnode-csrf"
PRESENCE_HEADER: Final = "x-meshnode-presence"
"""Sent by our page while somebody touched it within the last minute; a page asks by itself, too."""
EVENTS_PATH: Final = "/api/events"
"""Its answers have no end; it has a bound of its own."""
FILES_PATH: Final = "/api/files"
"""The one route that takes large bodies."""
REPORT_PATH: Final = "/api/archive/report"
"""A walk over a month of an archive."""
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITES: Final = frozenset({"same-origin", "none"})
"""What browsers say of a page of ours, and of an address that somebody typed."""
_STRINGS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
"""A text, also one without an end: looking for that anew from each quote would take for ever."""
_FLAT: Final = bytes({*range(256)} - {*b"[]{}"})
"""What leads to no other level of JSON."""
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

    def __init__(
        self, app: Starlette, parts: Placed, who: Callable[[HTTPConnection], Session | None]
    ) -> None:
        self.app = app
        """What answers, with its routes and its state."""
        self.busy = 0
        """Requests that are being answered, event streams beside them."""
        self.guests = 0
        """Those of them by nobody who is signed in."""
        self._parts = parts
        self._who = who

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
        is_guest = self._who(HTTPConnection(scope)) is None
        if self.busy >= REQUESTS_MAX or (is_guest and self.guests >= GUESTS_MAX):
            metrics.count("web_requests_shed")
            await _refuse(RefusedError("busy"), scope, receive, send)
            return
        self.busy += 1
        self.guests += is_guest
        try:
            await self._timed(scope, receive, send)
        finally:
            self.busy -= 1
            self.guests -= is_guest

    async def _timed(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        is_file = scope["path"].startswith(FILES_PATH)
        is_form = _media(Headers(scope=scope)) == "multipart/form-data"
        bytes_max = FILE_BODY_BYTES_MAX if is_file and is_form else BODY_BYTES_MAX
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


def _media(headers: Headers) -> str:
    """Return of which type a body is, without what is said of it further."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


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
        known = {each.alias for each in self.dependant.query_params}

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
            if _is_there(request, session, is_personal=is_personal):
                parts.api.touch()
            _check_query(request, known)
            await _check_depth(request)
            language = language_of(request.headers.get("accept-language", ""))
            request.state.asked = Asked(parts, session, language)
            return await handler(request)

        return gated


def _session(request: Request, parts: WebParts, least: WebRole) -> Session | None:
    """Return who asks, and that the page which asks is ours. Raises: RefusedError."""
    check_origin(request)
    is_program = bool(_token(request))
    session = who(request, parts.door)
    if session is None:
        if is_program or least > WebRole.NOBODY:
            raise RefusedError("wrong_key" if is_program else "no_session")
        return None
    is_safe = request.method in _SAFE or least is WebRole.NOBODY or is_program
    if not is_safe and not session.proves(request.headers.get(CSRF_HEADER, "")):
        raise RefusedError("csrf")
    return session


def who(request: HTTPConnection, door: Door) -> Session | None:
    """Return whose session or token a request shows; None for nobody's."""
    token = _token(request)
    if token:
        return door.bearer(token)
    return door.sessions.find(request.cookies.get(COOKIE, ""))


def _token(request: HTTPConnection) -> str:
    """Return the token that a program shows; empty where none is shown."""
    shown = request.headers.get("authorization", "")
    return shown[7:].strip() if shown[:7].lower() == "bearer " else ""


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
    """Check that no page of another site, or of another port, asks. Raises: RefusedError."""
    origin, host = request.headers.get("origin"), request.headers["host"]
    is_foreign = origin is not None and origin != f"{request.url.scheme}://{host}"
    # Of the same site is any port of this machine, for which browsers send the cookie as well.
    if is_foreign or request.headers.get("sec-fetch-site", "none") not in _OWN_SITES:
        raise RefusedError("origin")


def _check_role(session: Session | None, least: WebRole) -> None:
    if session is None or session.role < least:
        raise RefusedError("role", least.word)


def _is_there(request: Request, session: Session | None, *, is_personal: bool) -> bool:
    """True where the time after which a device locks begins anew: never at the word of a guest."""
    if session is None:
        return False
    return PRESENCE_HEADER in request.headers if session.csrf else is_personal


def _check_query(request: Request, known: Set[str]) -> None:
    """Raise RefusedError for a word of the query that the route does not have.

    To pass over one that was misspelt is to answer another question. Source: OGC 17-069r4, 7.5.2.
    """
    if not known >= request.query_params.keys():
        raise RefusedError("body", f"query: {', '.join(sorted(known)) or '-'}")


async def _check_depth(request: Request) -> None:
    """Raise RefusedError for JSON that is nested deeper than any of ours."""
    if request.method in _SAFE or "json" not in _media(request.headers):
        return
    depth = 0
    for each in _STRINGS.sub(b"", await request.body()).translate(None, _FLAT):
        depth += (each in b"[{") - (each in b"]}")
        if depth > JSON_DEPTH_MAX:
            raise RefusedError("depth", JSON_DEPTH_MAX)
