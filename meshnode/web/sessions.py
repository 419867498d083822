"""One-time codes and the sessions that they open, in memory alone: a restart ends them all.

What a browser shows is kept as its hash, so that no dump of this process signs anybody in.
Time is trio's, which no clock of the machine moves.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import trio

from meshnode.web.limits import CODE_S_MAX, CODES_MAX, SESSION_S_MAX, SESSIONS_MAX
from meshnode.web.roles import WebRole

__all__ = ["SECRET_BYTES", "Opened", "Session", "Sessions", "hash_of", "make_secret"]

SECRET_BYTES: Final = 16
"""128 bits: nobody guesses one of a few in any time."""


def make_secret(entropy: Callable[[int], bytes]) -> str:
    """Return a fresh secret, 32 hexadecimal digits."""
    return entropy(SECRET_BYTES).hex()


def hash_of(secret: str) -> bytes:
    """Return what is kept of a secret. It is long and random, so one round of SHA-256 will do."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is signed in: a browser by a cookie, or a program by a token."""

    id: bytes
    """Hash of the secret that it shows; 32 bytes."""
    role: WebRole
    """What it may do."""
    name: str
    """Name of the token; empty for a browser."""
    ends_s: float
    """When it ends, on trio's clock; infinity for a token, which the calendar ends."""
    csrf: str = field(default="", repr=False)
    """What a page shows beside the cookie; empty for a token."""

    def proves(self, csrf: str) -> bool:
        """True if a page of ours sent this, in constant time."""
        return bool(self.csrf) and hmac.compare_digest(self.csrf.encode(), csrf.encode())


@dataclass(frozen=True, slots=True)
class Opened:
    """A session with the secret that the browser is to keep."""

    session: Session
    """Who is signed in now."""
    secret: str = field(repr=False)
    """Goes into the cookie, and nowhere else."""


class Sessions:
    """Codes that wait, and sessions that hold."""

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._codes: OrderedDict[bytes, tuple[WebRole, float]] = OrderedDict()
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()
        self.on_end: list[Callable[[bytes | None], None]] = []
        """Told the id of each session that ends before its time, None for all of them."""

    def offer(self, role: WebRole) -> str:
        """Return a code that opens one session of `role` within `CODE_S_MAX`."""
        while len(self._codes) >= CODES_MAX:
            self._codes.popitem(last=False)
        code = make_secret(self._entropy)
        self._codes[hash_of(code)] = (role, trio.current_time() + CODE_S_MAX)
        return code

    def redeem(self, code: str) -> Opened | None:
        """Open the session that a code is for; None for a wrong, used or old one."""
        role, ends_s = self._codes.pop(hash_of(code), (WebRole.NOBODY, 0.0))
        if trio.current_time() >= ends_s:
            return None
        return self.open(role, SESSION_S_MAX)

    def open(self, role: WebRole, lifetime_s: float, name: str = "") -> Opened:
        """Open a session that ends by itself; where all places are taken, see `_oldest`."""
        while len(self._sessions) >= SESSIONS_MAX:
            self.end(self._oldest())
        secret, csrf = make_secret(self._entropy), make_secret(self._entropy)
        ends_s = trio.current_time() + lifetime_s
        session = Session(hash_of(secret), role, name, ends_s, csrf)
        self._sessions[session.id] = session
        return Opened(session, secret)

    def _oldest(self) -> bytes:
        """Return the first session of the name that has most: a token signs nobody else out."""
        names = [each.name for each in self._sessions.values()]
        most = max(names, key=names.count)
        return next(key for key, each in self._sessions.items() if each.name == most)

    def find(self, secret: str) -> Session | None:
        """Return the session that a cookie is of, None if there is none, or no longer."""
        session = self._sessions.get(hash_of(secret))
        if session is None or self.left_s(session) > 0:
            return session
        self.end(session.id)
        return None

    def left_s(self, session: Session) -> float:
        """Return how long a session of ours holds yet, seconds; 0 for no longer."""
        if session.id not in self._sessions:
            return 0.0
        return max(0.0, session.ends_s - trio.current_time())

    def end(self, session_id: bytes) -> None:
        """End a session now; nothing to do for one that has ended."""
        if self._sessions.pop(session_id, None) is not None:
            for tell in self.on_end:
                tell(session_id)

    def end_named(self, name: str) -> None:
        """End the sessions that a token of this name opened."""
        for session in [each for each in self._sessions.values() if each.name == name]:
            self.end(session.id)

    def end_all(self) -> int:
        """End every session and forget every code; return how many sessions there were."""
        count = len(self._sessions)
        self._codes.clear()
        self._sessions.clear()
        for tell in self.on_end:
            tell(None)
        return count
