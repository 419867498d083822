"""Bundles on one session: what waits, what is ready, what is under way, what came in.

Classes are served strictly in order, whatever is queued when. Every queue is bounded: ids wait
as ids, containers are read just ahead of the wire. Source: wire-format 6.8-6.11.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Final

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

_HEAD: Final = Struct(">BHB")
"""Type, length and hop count in front of a container."""
_URGENT = TrafficClass.SOS
"""This class and those before it may pass the window."""
_BUNDLE: Final = int(FrameType.BUNDLE)


class Outflow:
    """The sending direction."""

    def __init__(self) -> None:
        self._waiting: tuple[deque[Item], ...] = tuple(deque() for _ in TrafficClass)
        self._ready: tuple[deque[tuple[ShortId, bytes]], ...] = tuple(deque() for _ in TrafficClass)
        self._queued: set[ShortId] = set()
        self._asked: dict[ShortId, Item] = {}
        # What the peer holds; False while our copy is under way to it.
        self._known: dict[ShortId, bool] = {}
        self._under_way: deque[ShortId] = deque()
        # Bytes read ahead of the wire, or being read, by class.
        self._ahead_bytes = [0] * len(TrafficClass)
        self._acked = 0
        self._window = Window()
        self.sent = 0

    @property
    def is_idle(self) -> bool:
        """True if nothing waits, is ready, or is under way."""
        return not self._queued and not self._under_way

    @property
    def owes_ack(self) -> bool:
        """True if the peer has not acknowledged everything sent."""
        return bool(self._under_way)

    @property
    def waiting(self) -> int:
        """Bundles not yet on the wire."""
        return len(self._queued)

    @property
    def unsettled_bytes(self) -> int:
        """What waits and what is under way. Cost: one step per bundle that waits."""
        offered = sum(item.size_bytes for queue in self._waiting for item in queue)
        asked = sum(item.size_bytes for item in self._asked.values())
        read = sum(len(frame) for queue in self._ready for _, frame in queue)
        return offered + asked + read + self._window.under_way_bytes

    @property
    def settled_bytes(self) -> int:
        """Bytes of frames that the peer has answered for."""
        return self._window.delivered_bytes

    @property
    def settled(self) -> int:
        """Bundles sent that the peer has acknowledged, taken or refused."""
        return self._acked

    def note_known(self, *short_ids: ShortId) -> None:
        """The peer holds these bundles."""
        for short_id in short_ids:
            self._know(short_id, True)

    def _know(self, short_id: ShortId, is_there: bool) -> None:
        if len(self._known) >= KNOWN_AT_PEER_MAX:
            self._known.clear()
        self._known[short_id] = is_there

    def note_lacking(self, ids: Iterable[ShortId]) -> None:
        """The peer asks for these: it holds them no more, save where our copy is under way."""
        for short_id in ids:
            if self._known.get(short_id):
                del self._known[short_id]

    def offer(self, items: Iterable[Item]) -> None:
        """Queue bundles for sending, in the order given within each class."""
        queued, known, waiting = self._queued, self._known, self._waiting
        for item in items:
            short_id = item.short_id
            if short_id not in queued and short_id not in known:
                queued.add(short_id)
                waiting[item.traffic_class].append(item)

    def announce(self, items: Iterable[Item]) -> list[ShortId]:
        """Queue small new bundles; return the ids of large ones, to be offered by id."""
        large = []
        for item in items:
            if item.short_id in self._known or item.short_id in self._queued:
                continue
            if item.size_bytes <= PUSH_BYTES_MAX:
                self.offer([item])
            else:
                large.append(item.short_id)
        return large

    def next_to_supply(self, max_bytes: int) -> list[ShortId]:
        """Return the ids to read from the store now, in order of class; each is given out once."""
        wanted: list[ShortId] = []
        known, asked, taken_bytes = self._known, self._asked, 0
        for traffic_class in TrafficClass:
            queue = self._waiting[traffic_class]
            # What is less urgent does not count: it holds nothing up, here either.
            ahead_bytes = sum(self._ahead_bytes[: traffic_class + 1])
            while queue and taken_bytes < max_bytes:
                if ahead_bytes >= SUPPLY_AHEAD_BYTES:
                    return wanted
                item = queue.popleft()
                short_id, size_bytes = item.short_id, item.size_bytes
                if short_id in known:
                    # It came from the peer while it waited here.
                    self._queued.discard(short_id)
                    continue
                asked[short_id] = item
                self._ahead_bytes[traffic_class] += size_bytes
                ahead_bytes += size_bytes
                taken_bytes += size_bytes
                wanted.append(short_id)
        return wanted

    def supply(self, short_id: ShortId, raw: bytes | None, hops: int) -> None:
        """Take the container of an id given out; None if the store dropped it meanwhile."""
        item = self._asked.pop(short_id, None)
        if item is None:
            return
        self._ahead_bytes[item.traffic_class] -= item.size_bytes
        if raw is None:
            self._queued.discard(short_id)
            return
        head = _HEAD.pack(_BUNDLE, len(raw) + 1, min(HOPS_MAX, hops))
        self._ready[item.traffic_class].append((short_id, head + raw))
        self._ahead_bytes[item.traffic_class] += len(raw)

    def frames_into(
        self,
        traffic_class: TrafficClass,
        parts: list[bytes],
        size_bytes: int,
        max_bytes: int,
        now_ms: int,
    ) -> tuple[int, bool]:
        """Move ready frames of a class to `parts`, as far as `max_bytes` and the window let.

        Returns the bytes in `parts`, and False if a frame did not fit: then no lower class may go.
        """
        queue, sizes_bytes = self._ready[traffic_class], list[int]()
        room_bytes = self._window.room_bytes(is_urgent=traffic_class <= _URGENT)
        queued, under_way, is_through = self._queued, self._under_way, True
        while queue and room_bytes > 0:
            frame_bytes = len(queue[0][1])
            if parts and size_bytes + frame_bytes > max_bytes:
                is_through = False
                break
            short_id, frame = queue.popleft()
            parts.append(frame)
            sizes_bytes.append(frame_bytes)
            size_bytes += frame_bytes
            room_bytes -= frame_bytes
            under_way.append(short_id)
            queued.discard(short_id)
            self._know(short_id, False)
        if sizes_bytes:
            self._window.sent(sizes_bytes, now_ms)
            self._ahead_bytes[traffic_class] -= sum(sizes_bytes) - _HEAD.size * len(sizes_bytes)
            self.sent += len(sizes_bytes)
        return size_bytes, is_through

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
        stored, under_way, known = Reception.STORED, self._under_way, self._known
        for index in range(self._acked, ack.upto):
            short_id = under_way.popleft()
            code = refused.get(index, stored) if refused else stored
            if code is stored or code.is_held:
                known[short_id] = True
            else:
                known.pop(short_id, None)
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

    def take(self, size_bytes: int) -> int:
        """Count a bundle that arrived; return its index."""
        self._sizes.append(size_bytes)
        self._pending_bytes += size_bytes
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
