"""Routes of the session itself, and of the lock of the device."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from meshnode.web.answers import RefusedError, told
from meshnode.web.bodies import SecretBody, SessionBody
from meshnode.web.gate import COOKIE, Asked, keep_session
from meshnode.web.roles import WebRole
from meshnode.web.routes.spec import Caller, Route
from meshnode.web.sessions import Opened, Session

__all__ = ["ROUTES"]


async def _post_session(request: Request, asked: Caller, body: SessionBody) -> Response:
    opened = await _entered(asked, body)
    metrics = asked.parts.metrics
    if opened is None:
        metrics.count("web_signins_refused")
        raise RefusedError("wrong_key")
    metrics.count("web_signins")
    answer = await _told_session(asked, opened.session)
    keep_session(request, answer, opened.secret)
    return answer


async def _entered(asked: Asked, body: SessionBody) -> Opened | None:
    given = [each for each in (body.key, body.token, body.secret) if each]
    if len(given) != 1:
        raise RefusedError("body", "give one of key, token and secret")
    door = asked.parts.door
    if body.key:
        return door.enter(body.key)
    if body.token:
        return door.enter_by_token(body.token)
    return await door.enter_by_secret(body.secret)


async def _told_session(asked: Asked, session: Session) -> Response:
    left_s = asked.parts.door.left_s(session)
    status = await asked.api.status()
    return told(
        role=session.role.word,
        name=status["name"],
        token=session.name,
        csrf=session.csrf,
        expires_ms=asked.parts.runtime.now_ms() + round(1000 * left_s),
        is_locked=asked.api.is_locked,
        is_open_to_others=asked.parts.door.state.is_open_to_others,
    )


async def _get_session(asked: Caller) -> Response:
    assert asked.session is not None, "the gate lets nobody else through"
    return await _told_session(asked, asked.session)


async def _delete_session(asked: Caller) -> Response:
    assert asked.session is not None, "the gate lets nobody else through"
    asked.parts.door.sessions.end(asked.session.id)
    answer = told(is_changed=True)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer


async def _lock(asked: Caller) -> Response:
    return told(is_changed=await asked.api.lock())


async def _unlock(asked: Caller, body: SecretBody | None = None) -> Response:
    return told(is_changed=await asked.api.unlock("" if body is None else body.secret))


_SESSION = {
    "role": "text",
    "name": "text",
    "token": "text",
    "csrf": "text",
    "expires_ms": "whole",
    "is_locked": "bool",
    "is_open_to_others": "bool",
}
ROUTES: Final = (
    Route(
        "POST",
        "/api/session",
        WebRole.NOBODY,
        "Sign in by a one-time code, a token, or the secret of a locked device.",
        _post_session,
        _SESSION,
        ("wrong_key", "wrong_secret", "secret_delayed", "lease_ended"),
        while_locked=True,
    ),
    Route(
        "GET",
        "/api/session",
        WebRole.READER,
        "Who is signed in, and until when.",
        _get_session,
        _SESSION,
        while_locked=True,
    ),
    Route(
        "DELETE",
        "/api/session",
        WebRole.READER,
        "Sign out.",
        _delete_session,
        {"is_changed": "bool"},
        while_locked=True,
    ),
    Route(
        "POST",
        "/api/lock",
        WebRole.AGENT,
        "Lock the agent's keys; every browser is signed out, and the node starts anew.",
        _lock,
        {"is_changed": "bool"},
        ("not_guarded",),
        while_locked=True,
    ),
    Route(
        "POST",
        "/api/unlock",
        WebRole.AGENT,
        "Open the agent's keys.",
        _unlock,
        {"is_changed": "bool"},
        ("wrong_secret", "secret_delayed", "lease_ended", "not_guarded"),
        while_locked=True,
    ),
)
