"""The screens of a device that is not enrolled yet: its invitation in, its request out, its answer.

They hold nothing but these papers, for the browser that the terminal let in, on this machine
alone, and end with the enrolment. The steps are those of `meshnode enrol`. Source: decision 60.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trio
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route

from meshnode.config import WebSettings
from meshnode.enrol import Accepted, Pending, load_pending, read_invitation, refuse_enrolled
from meshnode.enrolled import complete, request_for
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from meshnode.vault.keystore import KeyStore
from meshnode.web.answers import RefusedError, told
from meshnode.web.bodies import OwnPaperBody, SessionBody, read_body
from meshnode.web.building import add_handlers
from meshnode.web.door import DoorState
from meshnode.web.gate import COOKIE, CSRF_HEADER, Gate, check_origin, keep_session
from meshnode.web.roles import WebRole
from meshnode.web.server import serve_gate
from meshnode.web.sessions import Session, Sessions
from meshnode.web.statics import STATIC_FOLDER, add_statics
from meshnode.web.streams import Streams
from protocol.errors import EnrolmentError

__all__ = ["ROLE", "Newcomer", "NewcomerParts", "serve_newcomer"]

ROLE: Final = "newcomer"
"""Stands where the sessions of a node have their role."""


@dataclass(frozen=True, slots=True)
class NewcomerParts:
    """What these screens are built from; it is `Placed`."""

    home: Path
    """Folder of the node to be."""
    runtime: Runtime = field(repr=False)
    """The seams."""
    metrics: Metrics = field(default_factory=Metrics, repr=False)
    """Counts what is refused."""
    is_local: bool = True
    """Only this machine reaches the screens."""
    names: tuple[str, ...] = ()
    """No name is served but those of this machine."""
    statics: Path = STATIC_FOLDER
    """Folder of the built front end."""


class Newcomer:
    """One enrolment on the screen."""

    def __init__(self, parts: NewcomerParts) -> None:
        self._parts = parts
        self._pending: Pending | None = None
        # One step at a time: each takes the home for itself.
        self._turn = trio.Lock()
        self.sessions = Sessions(parts.runtime.entropy)
        """Who may take the steps: whoever read the terminal."""
        self.accepted: Accepted | None = None
        """What ended the enrolment."""
        self.is_done = trio.Event()
        """Set with it."""

    def app(self) -> Gate:
        """Return these screens as an ASGI program, the gate outermost."""
        app = Starlette(
            routes=[
                Route("/api/session", self._enter, methods=["POST"]),
                Route("/api/session", self._session, methods=["GET"]),
                Route("/healthz", _health, methods=["GET"]),
                Route("/api/enrolment", self._show, methods=["GET"]),
                Route("/api/enrolment/invitation", self._ask, methods=["POST"]),
                Route("/api/enrolment/answer", self._take, methods=["POST"]),
            ]
        )
        app.state.parts = self._parts
        app.state.streams = Streams()
        add_statics(app, self._parts.statics)
        add_handlers(app)
        return Gate(app, self._parts, self._who)

    # --- who ------------------------------------------------------------------------------------

    async def _enter(self, request: Request) -> Response:
        check_origin(request)
        opened = self.sessions.redeem(read_body(SessionBody, await request.body()).key)
        if opened is None:
            self._parts.metrics.count("web_signins_refused")
            raise RefusedError("wrong_key")
        answer = self._told_session(opened.session)
        keep_session(request, answer, opened.secret)
        return answer

    async def _session(self, request: Request) -> Response:
        return self._told_session(self._let_in(request))

    def _told_session(self, session: Session) -> Response:
        left_ms = round(1000 * self.sessions.left_s(session))
        return told(
            role=ROLE,
            name="",
            token="",
            csrf=session.csrf,
            expires_ms=self._parts.runtime.now_ms() + left_ms,
            is_locked=False,
            is_open_to_others=False,
        )

    def _who(self, request: HTTPConnection) -> Session | None:
        return self.sessions.find(request.cookies.get(COOKIE, ""))

    def _let_in(self, request: Request) -> Session:
        """Return who asks, and that a page of ours does. Raises: RefusedError."""
        try:
            check_origin(request)
            session = self._who(request)
            if session is None:
                raise RefusedError("no_session")
            is_proven = session.proves(request.headers.get(CSRF_HEADER, ""))
            if request.method == "POST" and not is_proven:
                raise RefusedError("csrf")
        except RefusedError:
            self._parts.metrics.count("web_requests_refused")
            raise
        return session

    # --- steps ----------------------------------------------------------------------------------

    async def _show(self, request: Request) -> Response:
        self._let_in(request)
        return self._told()

    async def _ask(self, request: Request) -> Response:
        self._let_in(request)
        body = read_body(OwnPaperBody, await request.body())
        async with self._turn:
            self._pending = await self._requested(body.text, body.secret or None)
        return self._told()

    async def _requested(self, text: str, secret: str | None) -> Pending:
        """Return the request to an invitation; the one that waits, where it is the same or none."""
        home, runtime = self._parts.home, self._parts.runtime
        refuse_enrolled(home)
        invitation = read_invitation(text, runtime.now_ms()) if text.strip() else None
        if KeyStore.exists(home):
            keys = KeyStore.open(home, runtime)
            vault = await runtime.run_blocking(keys.unlocked_vault, secret)
            waiting = load_pending(home, vault)
            if waiting is not None and invitation in (None, waiting.invitation):
                return waiting
        if invitation is None:
            raise EnrolmentError("no_request", "no request waits here: give an invitation")
        return await request_for(home, invitation, runtime, secret)

    async def _take(self, request: Request) -> Response:
        self._let_in(request)
        body = read_body(OwnPaperBody, await request.body())
        async with self._turn:
            parts = self._parts
            self.accepted = await complete(
                parts.home, body.text, parts.runtime, body.secret or None
            )
            self._pending = None
            self.is_done.set()
        return self._told()

    def _told(self) -> Response:
        if self.accepted is not None:
            badge = self.accepted.enrolled.badge
            return told(
                state="enrolled",
                name=self.accepted.name,
                role=badge.role.name.lower(),
                zone=badge.zone,
                network=self.accepted.enrolled.root.network_name,
            )
        if self._pending is None:
            return told(state="waiting" if KeyStore.exists(self._parts.home) else "new")
        request = self._pending.request
        name = self._pending.invitation.name
        return told(state="asked", name=name, code=request.code, request=self._pending.text)


async def serve_newcomer(
    home: Path, listen: str, runtime: Runtime, on_url: Callable[[str], None]
) -> Accepted | None:
    """Serve these screens until the device is enrolled; `on_url` hears where, with the code.

    Returns None at the end by signal. `listen` is an address of this machine, for itself.
    Raises: EnrolmentError (`enrolled`), ConfigError; a group of one WebError.
    """
    refuse_enrolled(home)
    parts = NewcomerParts(home, runtime)
    newcomer = Newcomer(parts)

    def on_state(state: DoorState) -> None:
        on_url(f"{state.url}#key={newcomer.sessions.offer(WebRole.AGENT)}")

    settings = WebSettings(listen=listen)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_gate, newcomer.app(), parts, settings, on_state)
            nursery.start_soon(_stop_when_told, signals, nursery.cancel_scope)
            await newcomer.is_done.wait()
            nursery.cancel_scope.cancel()
    return newcomer.accepted


async def _stop_when_told(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()
        return


async def _health(_request: Request) -> Response:
    return told(is_alive=True)
