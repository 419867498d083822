"""An ordered stream of bytes over frames that get lost: numbered pieces, sent again.

Selective repeat in a window of 16. Knows no port and no clock: frames and milliseconds of any
steady clock go in, frames come out. Source: wire-format 11.5; time-outs RFC 6298; a piece counts
as lost once three sent after it have come (RFC 6675, there in segments).
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.narrow.bounds import (
    ACK_DELAY_MS,
    LINE_BUFFER_BYTES,
    RETRY_FIRST_MS,
    RETRY_MS_MAX,
    RETRY_MS_MIN,
    SILENCE_MS_MAX,
    WINDOW_FRAMES,
)
from protocol.narrow.frames import PIECE_BYTES_MAX, FrameKind, Piece

__all__ = ["Arq", "Patience"]

_NUMBERS = 1 << 16
_LATER_MAX = 3
"""Pieces sent later that have come, from which on one counts as lost."""
_UNREAD_BYTES_MAX = WINDOW_FRAMES * PIECE_BYTES_MAX
"""What a reader that is busy may leave lying; then the peer is told that there is no room."""
_ACKS_AT_ONCE = 2
"""Every second piece is acknowledged without delay."""


@dataclass(slots=True)
class _Flight:
    """A piece that was sent and is not known to have come."""

    kind: FrameKind
    data: bytes
    first_ms: int
    sent_ms: int
    turn: int
    tries: int = 1
    has_come: bool = False
    is_lost: bool = False


class Patience:
    """How long an answer may take, from the round trips measured. Source: RFC 6298."""

    def __init__(self) -> None:
        self._smooth_ms: float | None = None
        self._spread_ms = 0.0
        self.retry_ms = RETRY_FIRST_MS
        """Time-out of a piece, milliseconds."""

    def measured(self, round_trip_ms: int) -> None:
        """Learn from a piece that was sent once and acknowledged."""
        if self._smooth_ms is None:
            self._smooth_ms, self._spread_ms = float(round_trip_ms), round_trip_ms / 2
        else:
            off_ms = abs(self._smooth_ms - round_trip_ms)
            self._spread_ms += (off_ms - self._spread_ms) / 4
            self._smooth_ms += (round_trip_ms - self._smooth_ms) / 8
        wanted_ms = self._smooth_ms + max(4 * self._spread_ms, 2 * ACK_DELAY_MS)
        self.retry_ms = round(min(max(wanted_ms, RETRY_MS_MIN), RETRY_MS_MAX))

    def missed(self) -> None:
        """Nothing came in time: wait twice as long."""
        self.retry_ms = min(2 * self.retry_ms, RETRY_MS_MAX)


class Arq:
    """One end of a link."""

    def __init__(self, link: int, now_ms: int) -> None:
        self._link = link
        self._heard_ms = now_ms
        self._patience = Patience()
        self._line = bytearray()
        self._is_finishing = False
        self._has_sent_end = False
        self._flights: dict[int, _Flight] = {}
        self._next = 0
        self._turn = 0
        self._latest_turn = 0
        self._peer_room = WINDOW_FRAMES
        self._unread = bytearray()
        self._early: dict[int, Piece] = {}
        self._wanted = 0
        self._ack_ms: int | None = None
        self._unacknowledged = 0
        self._has_ended = False
        self.is_broken = False
        """Nothing was heard for too long, or nobody reads at the other end."""
        self.sent_again = 0
        """Pieces that went out more than once."""

    # --- the session's side -----------------------------------------------------------------

    @property
    def room_bytes(self) -> int:
        """How many bytes `write` takes now."""
        return 0 if self._is_finishing else max(0, LINE_BUFFER_BYTES - len(self._line))

    @property
    def is_readable(self) -> bool:
        """True where `read` gives something, the end of the stream included."""
        return bool(self._unread) or self._has_ended

    @property
    def has_arrived(self) -> bool:
        """True once the peer has everything up to our end."""
        return self._has_sent_end and not self._flights

    @property
    def is_done(self) -> bool:
        """True once both ends have said and acknowledged everything."""
        return self.has_arrived and self._has_ended and self._ack_ms is None

    def write(self, data: bytes) -> int:
        """Take bytes for the peer; return how many there was room for."""
        taken = data[: self.room_bytes]
        self._line += taken
        return len(taken)

    def finish(self) -> None:
        """Nothing more will be written."""
        self._is_finishing = True

    def read(self, max_bytes: int, now_ms: int) -> bytes:
        """Return what came, in order; nothing at the end of the stream, or where nothing waits."""
        was_full = self._room == 0
        found = bytes(self._unread[:max_bytes])
        del self._unread[:max_bytes]
        if was_full and self._room:
            # The peer waits for this.
            self._ack_ms = now_ms
        return found

    # --- the line's side --------------------------------------------------------------------

    def receive(self, piece: Piece, now_ms: int) -> None:
        """Take in a frame of this link."""
        self._heard_ms = now_ms
        if piece.kind is FrameKind.RESET:
            self.is_broken = True
            return
        self._acknowledged(piece, now_ms)
        if piece.data or piece.kind is FrameKind.END:
            self._keep(piece, now_ms)

    def _acknowledged(self, piece: Piece, now_ms: int) -> None:
        first = self._first
        up_to = _unwrapped(piece.wanted, first)
        if not first <= up_to <= self._next:
            # Late, or of a peer that lost its wits: it says nothing about what is in flight.
            return
        self._peer_room = piece.room
        for number, flight in self._flights.items():
            place = number - up_to - 1
            is_told = number < up_to or (place >= 0 and piece.got >> place & 1)
            if is_told and not flight.has_come:
                flight.has_come = True
                self._latest_turn = max(self._latest_turn, flight.turn)
                if flight.tries == 1:
                    self._patience.measured(now_ms - flight.sent_ms)
        for number in [each for each in self._flights if each < up_to]:
            del self._flights[number]
        for flight in self._flights.values():
            if not flight.has_come and flight.turn + _LATER_MAX <= self._latest_turn:
                flight.is_lost = True

    def _keep(self, piece: Piece, now_ms: int) -> None:
        number = _unwrapped(piece.number, self._wanted)
        is_next = number == self._wanted
        if self._wanted <= number < self._wanted + self._room:
            self._early.setdefault(number, piece)
        while self._wanted in self._early:
            kept = self._early.pop(self._wanted)
            self._unread += kept.data
            self._has_ended = self._has_ended or kept.kind is FrameKind.END
            self._wanted += 1
        self._unacknowledged += 1
        # What is out of order, or came twice, tells of a loss: the peer must know at once.
        is_urgent = not is_next or bool(self._early) or self._unacknowledged >= _ACKS_AT_ONCE
        due_ms = now_ms if is_urgent else now_ms + ACK_DELAY_MS
        self._ack_ms = due_ms if self._ack_ms is None else min(self._ack_ms, due_ms)

    def next_frame(self, now_ms: int) -> Piece | None:
        """Return what to send now, None if nothing is due. Ask until it returns None."""
        self._look(now_ms)
        if self.is_broken:
            return None
        for number, flight in self._flights.items():
            if flight.is_lost and not flight.has_come:
                self.sent_again += 1
                flight.tries += 1
                return self._send(number, flight, now_ms)
        new = self._new_flight(now_ms)
        if new is not None:
            self._flights[self._next] = new
            self._next += 1
            return self._send(self._next - 1, new, now_ms)
        if self._ack_ms is not None and now_ms >= self._ack_ms:
            return self._piece(FrameKind.DATA, 0, b"")
        return None

    def _new_flight(self, now_ms: int) -> _Flight | None:
        if self._next - self._first >= max(1, min(self._peer_room, WINDOW_FRAMES)):
            return None
        if self._line:
            data = bytes(self._line[:PIECE_BYTES_MAX])
            del self._line[:PIECE_BYTES_MAX]
            return _Flight(FrameKind.DATA, data, now_ms, now_ms, 0)
        if self._is_finishing and not self._has_sent_end:
            self._has_sent_end = True
            return _Flight(FrameKind.END, b"", now_ms, now_ms, 0)
        return None

    def _send(self, number: int, flight: _Flight, now_ms: int) -> Piece:
        self._turn += 1
        flight.turn, flight.sent_ms, flight.is_lost = self._turn, now_ms, False
        return self._piece(flight.kind, number, flight.data)

    def _piece(self, kind: FrameKind, number: int, data: bytes) -> Piece:
        self._ack_ms, self._unacknowledged = None, 0
        got = sum(
            1 << each - self._wanted - 1
            for each in self._early
            if each - self._wanted - 1 < WINDOW_FRAMES
        )
        wanted = self._wanted % _NUMBERS
        return Piece(kind, self._link, number % _NUMBERS, wanted, got, self._room, data)

    def _look(self, now_ms: int) -> None:
        """Find out what took too long."""
        waiting = [each for each in self._flights.values() if not each.has_come]
        if not waiting:
            return
        if now_ms >= self._silent_ms(waiting):
            self.is_broken = True
            return
        oldest = min(waiting, key=lambda each: each.sent_ms)
        if not oldest.is_lost and now_ms >= oldest.sent_ms + self._patience.retry_ms:
            oldest.is_lost = True
            self._patience.missed()

    def next_deadline_ms(self) -> int | None:
        """Return when `next_frame` must be asked at the latest; None where nothing is awaited."""
        waiting = [each for each in self._flights.values() if not each.has_come]
        due = [] if self._ack_ms is None else [self._ack_ms]
        if waiting:
            due.append(min(each.sent_ms for each in waiting) + self._patience.retry_ms)
            due.append(self._silent_ms(waiting))
        return min(due, default=None)

    def _silent_ms(self, waiting: list[_Flight]) -> int:
        """Return when the peer will have been silent for too long."""
        return max(self._heard_ms, min(each.first_ms for each in waiting)) + SILENCE_MS_MAX

    @property
    def _first(self) -> int:
        """The first number in flight."""
        return next(iter(self._flights), self._next)

    @property
    def _room(self) -> int:
        """Pieces that may come from the wanted one on."""
        return min(WINDOW_FRAMES, (_UNREAD_BYTES_MAX - len(self._unread)) // PIECE_BYTES_MAX)


def _unwrapped(number: int, near: int) -> int:
    """Return the number nearest to `near` that is `number` modulo 65,536."""
    off = (number - near) % _NUMBERS
    return near + (off if off < _NUMBERS // 2 else off - _NUMBERS)
