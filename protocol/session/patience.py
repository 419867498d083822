"""How long a session waits for its peer, and when it asks whether the peer is still there.

Only the peer's silence is judged: while we do not read, or still have something to send, nobody
is late. Knows times in milliseconds of any steady clock. Source: wire-format 6.11.
"""

from __future__ import annotations

from enum import Enum

from protocol.limits import (
    SESSION_HELLO_MS_MAX,
    SESSION_IDLE_MS_MAX,
    SESSION_PING_LATER_MS,
    SESSION_PING_MS,
    SESSION_STEP_MS_MAX,
)
from protocol.session.states import State

__all__ = ["Due", "Patience"]

_PINGS_MAX = 2
"""Pings that fit into a silence before the session is given up."""
_PARTIAL_BYTES = 64
"""More than this of an unfinished frame is no sign of life but work under way."""


class Due(Enum):
    """What a deadline that has come asks for."""

    NOTHING = "nothing"
    """It moved away meanwhile."""
    PING = "ping"
    """Ask whether the peer is there."""
    GIVE_UP = "give up"
    """The peer was silent, or owed an answer, for too long."""


class Patience:
    """The deadlines of one session."""

    def __init__(self, now_ms: int, *, is_initiator: bool) -> None:
        self._ping_ms = SESSION_PING_MS + (0 if is_initiator else SESSION_PING_LATER_MS)
        self._started_ms = now_ms
        self._heard_ms = now_ms
        self._progress_ms = now_ms
        self._unanswered_pings = 0
        self._is_excused = False

    def heard(self, now_ms: int, unread_bytes: int = 0) -> None:
        """Bytes came, and so many of them are not read yet."""
        self._heard_ms = now_ms
        if unread_bytes > _PARTIAL_BYTES:
            self.progressed(now_ms)
        self._unanswered_pings = 0
        self._is_excused = False

    def progressed(self, now_ms: int) -> None:
        """The peer, or the way to it, did more than say that it is alive."""
        self._progress_ms = now_ms

    def excuse(self) -> None:
        """We stopped reading: what the peer says meanwhile is not heard, and that is our doing."""
        self._is_excused = True

    def next_ms(self, state: State, *, is_owed: bool) -> int | None:
        """Return when `due` must be asked next; None while only our own shell can go on."""
        if state in (State.OPENING, State.ADMITTING):
            return self._started_ms + SESSION_HELLO_MS_MAX
        if state in (State.DOCUMENTS, State.PARTING):
            return self._progress_ms + SESSION_STEP_MS_MAX
        if state is not State.LIVE:
            return None
        if self._unanswered_pings < _PINGS_MAX:
            silence_ms = self._ping_ms * (self._unanswered_pings + 1)
        else:
            silence_ms = SESSION_IDLE_MS_MAX
        next_ms = self._heard_ms + silence_ms
        if is_owed:
            next_ms = min(next_ms, self._progress_ms + SESSION_STEP_MS_MAX)
        return next_ms

    def due(self, state: State, now_ms: int, *, is_owed: bool) -> Due:
        """Return what to do at `now_ms`, and count the ping if it is one."""
        next_ms = self.next_ms(state, is_owed=is_owed)
        if next_ms is None or now_ms < next_ms:
            return Due.NOTHING
        if state is State.LIVE and self._is_excused:
            self.heard(now_ms)
            self.progressed(now_ms)
            return Due.NOTHING
        if (
            state is not State.LIVE
            or (is_owed and now_ms >= self._progress_ms + SESSION_STEP_MS_MAX)
            or now_ms >= self._heard_ms + SESSION_IDLE_MS_MAX
        ):
            return Due.GIVE_UP
        self._unanswered_pings += 1
        return Due.PING
