"""The door of the screens: who is let in, by a one-time code, a token or the agent's secret.

It is the node's side of `meshnode web …`; see `meshnode.calls.web`. Source: decision 52.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trio

from meshnode.api import Api
from meshnode.errors import WebError
from meshnode.lines import Json
from meshnode.runtime import Runtime
from meshnode.web.limits import CODE_S_MAX, SESSION_S_MAX
from meshnode.web.roles import WebRole
from meshnode.web.sessions import Opened, Session, Sessions, hash_of
from meshnode.web.tokens import Token, Tokens
from protocol.identity import Role

__all__ = ["Door", "DoorState"]

_NO_END_S = float("inf")


@dataclass(frozen=True, slots=True)
class DoorState:
    """Whether the screens can be reached now, for whoever started the node."""

    url: str
    """Address of the screens; empty while they cannot be served."""
    trouble: str
    """Why not, in one sentence; empty while they are served."""
    is_open_to_others: bool = False
    """Other machines reach them, and nothing is encrypted."""


class Door:
    """Lets people and programs in. Raises: WebError where the file of tokens is damaged."""

    def __init__(self, api: Api, home: Path, runtime: Runtime) -> None:
        self._api = api
        self._runtime = runtime
        self.sessions = Sessions(runtime.entropy)
        self._tokens = Tokens(home, runtime.now_ms, runtime.entropy)
        self._writing = trio.Lock()
        self.state = DoorState("", "the screens are starting")
        self.is_awaited = trio.Event()
        """Set once somebody was given an address that signs in: a browser is on its way."""

    # --- what commands ask ------------------------------------------------------------------

    def open(self) -> Json:
        """See `WebCalls.web_open`."""
        if not self.state.url:
            raise WebError(self.state.trouble)
        code = self.sessions.offer(self._owner_role())
        self.is_awaited.set()
        return {
            "url": f"{self.state.url}#key={code}",
            "role": self._owner_role().word,
            "ends_ms": self._runtime.now_ms() + 1000 * CODE_S_MAX,
        }

    def close(self) -> int:
        """See `WebCalls.web_close`."""
        return self.sessions.end_all()

    async def add_token(self, name: str, role: str, days: int) -> Json:
        """See `WebCalls.web_token_add`."""
        if role.upper() not in WebRole.__members__ or role.upper() == WebRole.NOBODY.name:
            raise WebError("the role of a token is reader, agent or operator")
        wanted, now_ms = WebRole[role.upper()], self._runtime.now_ms()
        async with self._writing:
            token, secret = await self._runtime.run_blocking(
                self._tokens.add, name, wanted, days, now_ms
            )
        return {**_told(token), "token": secret}

    def tokens(self) -> list[Json]:
        """See `WebCalls.web_tokens`."""
        now_ms = self._runtime.now_ms()
        return [{**_told(each), "has_ended": each.ends_ms <= now_ms} for each in self._tokens.all()]

    async def revoke_token(self, name: str) -> bool:
        """See `WebCalls.web_token_revoke`; the sessions that it opened end with it."""
        async with self._writing:
            is_new = await self._runtime.run_blocking(self._tokens.revoke, name)
        self.sessions.end_named(name)
        return is_new

    # --- who comes in -----------------------------------------------------------------------

    def enter(self, code: str) -> Opened | None:
        """Sign a browser in by a one-time code; None for a wrong, used or old one."""
        return self.sessions.redeem(code)

    def enter_by_token(self, secret: str) -> Opened | None:
        """Sign a browser in by a token, no longer than that holds; None for none of ours."""
        token = self._tokens.find(secret)
        if token is None:
            return None
        left_s = (token.ends_ms - self._runtime.now_ms()) / 1000
        return self.sessions.open(_role(token), min(SESSION_S_MAX, left_s), token.name)

    async def enter_by_secret(self, secret: str) -> Opened | None:
        """Unlock the device by the agent's secret and sign the browser in as its owner.

        None where that proves nothing: the device is open, or opens by itself. Raises:
        WrongSecretError, SecretDelayedError, LeaseEndedError, WipedError, KeystoreError.
        """
        if not (self._api.has_secret and self._api.is_locked and await self._api.unlock(secret)):
            return None
        return self.sessions.open(self._owner_role(), SESSION_S_MAX)

    def may_raise_by_secret(self, session: Session | None) -> bool:
        """Tell whether somebody may call for help on this device by its secret.

        An agent who is signed in may. So may a guest where the device is shut and the secret proves
        something: the call tries it.
        """
        if session is not None and session.role >= WebRole.AGENT:
            return True
        return self._api.has_secret and self._api.is_locked

    def enter_opened(self, session: Session | None) -> Opened | None:
        """Sign the browser in whose secret has just opened the device, unless it is signed in."""
        if session is not None or self._api.is_locked:
            return None
        return self.sessions.open(self._owner_role(), SESSION_S_MAX)

    def bearer(self, secret: str) -> Session | None:
        """Return the session of a program that shows a token with each request, None for none."""
        token = self._tokens.find(secret)
        if token is None:
            return None
        return Session(hash_of(secret), _role(token), token.name, _NO_END_S)

    def token_of(self, secret: str) -> Token | None:
        """Return the token that somebody shows, None for none of ours, or one that has ended."""
        return self._tokens.find(secret)

    def holds(self, session: Session) -> bool:
        """True as long as a session, or the token of a program, has not ended."""
        return self.left_s(session) > 0

    def left_s(self, session: Session) -> float:
        """Return how long a session, or the token of a program, holds yet; 0 for no longer."""
        if session.csrf:
            return self.sessions.left_s(session)
        now_ms = self._runtime.now_ms()
        found = (each for each in self._tokens.all() if each.name == session.name)
        token = next((each for each in found if bytes.fromhex(each.hash) == session.id), None)
        return 0.0 if token is None else max(0.0, (token.ends_ms - now_ms) / 1000)

    def _owner_role(self) -> WebRole:
        """What the owner of this device is: the one who reads its terminal."""
        is_centre = self._api.own_role in (Role.OPERATOR, Role.GATEWAY)
        return WebRole.OPERATOR if is_centre else WebRole.AGENT


def _role(token: Token) -> WebRole:
    return WebRole[token.role.upper()]


def _told(token: Token) -> Json:
    return {
        "name": token.name,
        "role": token.role,
        "made_ms": token.made_ms,
        "ends_ms": token.ends_ms,
    }
