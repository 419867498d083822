"""Bundles on one session: what waits, what is ready, what is under way, what came in.

Classes are served strictly in order, whatever is queued when. Every queue is bounded: ids wait
as ids, containers are read just ahead of the wire. Source: wire-format 6.8-6.11.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from protocol.errors import RemoteProtocolError
from protocol.ids import ShortId
from protocol.limits import (
    HOPS_MAX,
    KNOWN_AT_PEER_MAX,
    PUSH_BYTES_MAX,
    SUPPLY_AHEAD_BYTES,
    UNREAD_BUNDLES_MAX,
    UNREAD_BYTES_MAX,
    TrafficClass,
)
from protocol.reports import Reception
from protocol.session.credit import Window
from protocol.session.events import Item
from protocol.session.frames import FrameType
from protocol.session.messages import Ack

__all__ = ["Inflow", "Outflow"]

_URGENT = TrafficClass.SOS
"""This class and those before it may pass the window."""


class Outflow:
    """The sending direction."""

    def __init__(self) -> None:
        self._waiting: tuple[deque[Item], ...] = tuple(deque() for _ in TrafficClass)
        self._ready: tuple[deque[tuple[ShortId, bytes]], ...] = tuple(deque() for _ in TrafficClass)
        self._class_of: dict[ShortId, Item] = {}
        self._asked: dict[ShortId, Item] = {}
        self._known: set[ShortId] = set()
        self._under_way: deque[ShortId] = deque()
        self._ready_bytes = 0
        self._asked_bytes = 0
        self._acked = 0
        self._window = Window()
        self.sent = 0

    @property
    def is_idle(self) -> bool:
        """True if nothing waits, is ready, or is under way."""
        return not self._class_of and not self._under_way

    @property
    def owes_ack(self) -> bool:
        """True if the peer has not acknowledged everything sent."""
        return bool(self._under_way)

    @property
    def waiting(self) -> int:
        """Bundles not yet on the wire."""
        return len(self._class_of)

    def note_known(self, short_id: ShortId) -> None:
        """The peer holds this bundle."""
        if len(self._known) >= KNOWN_AT_PEER_MAX:
            self._known.clear()
        self._known.add(short_id)

    def offer(self, items: Iterable[Item]) -> None:
        """Queue bundles for sending, in the order given within each class."""
        for item in items:
            if item.short_id not in self._class_of and item.short_id not in self._known:
                self._class_of[item.short_id] = item
                self._waiting[item.traffic_class].append(item)

    def announce(self, items: Iterable[Item]) -> list[ShortId]:
        """Queue small new bundles; return the ids of large ones, to be offered by id."""
        large = []
        for item in items:
            if item.short_id in self._known or item.short_id in self._class_of:
                continue
            if item.size_bytes <= PUSH_BYTES_MAX:
                self.offer([item])
            else:
                large.append(item.short_id)
        return large

    def next_to_supply(self, max_bytes: int) -> list[ShortId]:
        """Return the ids to read from the store now, in order of class; each is given out once."""
        wanted: list[ShortId] = []
        taken_bytes = 0
        for traffic_class in TrafficClass:
            queue = self._waiting[traffic_class]
            while queue and taken_bytes < max_bytes:
                ahead = self._ready_bytes + self._asked_bytes
                if ahead >= SUPPLY_AHEAD_BYTES and traffic_class > _URGENT:
                    return wanted
                item = queue.popleft()
                self._asked[item.short_id] = item
                self._asked_bytes += item.size_bytes
                taken_bytes += item.size_bytes
                wanted.append(item.short_id)
        return wanted

    def supply(self, short_id: ShortId, raw: bytes | None, hops: int) -> None:
        """Take the container of an id given out; None if the store dropped it meanwhile."""
        item = self._asked.pop(short_id, None)
        if item is None:
            return
        self._asked_bytes -= item.size_bytes
        if raw is None:
            del self._class_of[short_id]
            return
        head = bytes(
            (FrameType.BUNDLE, (len(raw) + 1) >> 8, (len(raw) + 1) & 0xFF, min(hops, HOPS_MAX))
        )
        self._ready[item.traffic_class].append((short_id, head + raw))
        self._ready_bytes += len(raw)

    def frames_into(self, out: bytearray, max_bytes: int, now_ms: int) -> None:
        """Move ready frames into `out` until it has `max_bytes`, as far as the window lets."""
        window = self._window
        for traffic_class in TrafficClass:
            queue = self._ready[traffic_class]
            while queue and len(out) < max_bytes:
                has_room = window.has_room or (
                    traffic_class <= _URGENT and window.has_urgent_room
                )
                if not has_room:
                    break
                short_id, frame = queue.popleft()
                out += frame
                self._ready_bytes -= len(frame) - 4
                self._under_way.append(short_id)
                window.sent(len(frame), now_ms)
                del self._class_of[short_id]
                self.note_known(short_id)
                self.sent += 1

    def on_ack_untrusted(self, ack: Ack, now_ms: int) -> tuple[tuple[ShortId, Reception], ...]:
        """Return what became of the bundles that this ACK settles.

        Raises: RemoteProtocolError if it names bundles that were not sent or were settled.
        """
        count = ack.upto - self._acked
        if not 0 <= count <= len(self._under_way):
            raise RemoteProtocolError("an ACK names bundles that were not sent")
        refused = dict(ack.refusals)
        if any(not self._acked <= index < ack.upto for index in refused):
            raise RemoteProtocolError("an ACK refuses bundles it does not settle")
        outcomes = []
        for index in range(self._acked, ack.upto):
            short_id = self._under_way.popleft()
            code = refused.get(index, Reception.STORED)
            if code is not Reception.STORED and not code.is_held:
                self._known.discard(short_id)
            outcomes.append((short_id, code))
        self._acked = ack.upto
        self._window.acknowledged(count, now_ms)
        return tuple(outcomes)


class Inflow:
    """The receiving direction."""

    def __init__(self) -> None:
        self._sizes: deque[int] = deque()
        self._pending_bytes = 0
        self._acknowledged = 0
        self.received = 0

    @property
    def has_room(self) -> bool:
        """False while the shell owes acknowledgements for more than the bounds."""
        return self._pending_bytes < UNREAD_BYTES_MAX and len(self._sizes) < UNREAD_BUNDLES_MAX

    @property
    def pending(self) -> int:
        """Bundles handed to the shell and not acknowledged."""
        return len(self._sizes)

    def take(self, raw: bytes) -> int:
        """Count a bundle that arrived; return its index."""
        self._sizes.append(len(raw))
        self._pending_bytes += len(raw)
        self.received += 1
        return self.received - 1

    def acknowledge(self, upto: int, refusals: Sequence[tuple[int, Reception]]) -> Ack:
        """Return the ACK for everything below `upto`. Raises: ValueError if it was not received."""
        if not self._acknowledged <= upto <= self.received:
            raise ValueError("only what was received can be acknowledged, in order")
        for _ in range(upto - self._acknowledged):
            self._pending_bytes -= self._sizes.popleft()
        self._acknowledged = upto
        return Ack(upto, tuple(refusals))
