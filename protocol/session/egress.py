"""What a session puts on the wire next: control frames, then bundles class by class.

A list of ids goes just before the bundles of its class, wants before ordinary bundles, and ids of
large bulk before bulk, so that none holds up what is more urgent. Everything waits as whole frames
or as ids: a session that closes leaves no half frame before its BYE. Source: wire-format 6.7-6.10.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from protocol.ids import ShortId
from protocol.limits import (
    IDS_PER_FRAME_MAX,
    IDS_PER_LIST_MAX,
    PUSH_BYTES_MAX,
    TrafficClass,
)
from protocol.session.events import Item
from protocol.session.frames import FrameType, encode_frame
from protocol.session.messages import encode_ids
from protocol.session.transfer import Outflow

__all__ = ["Egress", "is_reconciliation"]

_HEAD_BYTES = 3
_PAGE_BYTES_MAX = IDS_PER_FRAME_MAX * 8 + 64
_WANTS_BEFORE = TrafficClass.MESSAGE
_BULK = TrafficClass.BULK
_OF_DOCUMENTS = (
    FrameType.HELLO,
    FrameType.DOCUMENT_DIGESTS,
    FrameType.DOCUMENT_VERSIONS,
    FrameType.DOCUMENT,
    FrameType.DOCUMENTS_END,
)
"""What every admitted peer may get, however it stands."""
_SMALL_TALK = (FrameType.PING, FrameType.PONG)


def is_reconciliation(frame_type: int) -> bool:
    """Return True if frames of this type serve to find the difference."""
    return FrameType.SUMMARY <= frame_type <= FrameType.ROUND_END


class Egress:
    """Everything of one session that waits to be sent."""

    def __init__(self) -> None:
        self.outflow = Outflow()
        self._control: deque[bytes] = deque()
        self._wants = array("Q")
        self._offers = array("Q")
        self._lists: list[tuple[TrafficClass, Iterator[bytes]]] = []
        self._exempt_bytes = 0
        self._control_bytes = 0
        self.reconcile_bytes = 0
        self.is_fruitful = False

    @property
    def control_bytes(self) -> int:
        """Bytes of control frames that wait, documents not counted."""
        return self._control_bytes - self._exempt_bytes

    @property
    def has_waiting(self) -> bool:
        """True if anything but bundles waits."""
        return bool(self._control or self._wants or self._offers or self._lists)

    @property
    def offers_waiting(self) -> int:
        """Ids of large bulk that the peer is still to be asked about."""
        return len(self._offers)

    def put(self, frame_type: FrameType, payload: bytes) -> None:
        """Queue a control frame."""
        frame = encode_frame(frame_type, payload)
        self._control.append(frame)
        self._control_bytes += len(frame)

    def put_document(self, raw: bytes) -> None:
        """Queue a document: its kind is bounded by what we hold, not by what the peer asks."""
        self.put(FrameType.DOCUMENT, raw)
        self._exempt_bytes += len(raw) + _HEAD_BYTES

    def put_wants(self, ids: Sequence[ShortId]) -> bool:
        """Queue ids to ask for; False, and nothing done, where too many wait already."""
        if len(self._wants) + len(ids) > IDS_PER_LIST_MAX:
            return False
        self._wants.extend(ids)
        return True

    def offer(self, items: Iterable[Item], *, ask_first: bool) -> None:
        """Queue bundles for the peer; if so told, only the ids of large bulk.

        What reconciliation calls lacking may be on the peer's disk all the same: its reader took
        it, and the answer was lost when the last contact broke. Ids beyond the bound wait for the
        next round.
        """
        if not ask_first:
            self.outflow.offer(items)
            return
        whole: list[Item] = []
        by_id: list[Item] = []
        for item in items:
            is_large = item.size_bytes > PUSH_BYTES_MAX and item.traffic_class is _BULK
            (by_id if is_large else whole).append(item)
        self.outflow.offer(whole)
        room = IDS_PER_LIST_MAX - len(self._offers)
        self._offers.extend(self.outflow.announce(by_id)[:room])

    def put_list(self, traffic_class: TrafficClass, pages: Iterator[bytes]) -> None:
        """Queue a list of ids; its pages are made when there is room for them."""
        self._lists.append((traffic_class, pages))
        self._lists.sort(key=lambda entry: entry[0])

    def close(self, last: Sequence[tuple[FrameType, bytes]]) -> None:
        """Drop everything but `last`."""
        self._control.clear()
        self._control_bytes = self._exempt_bytes = 0
        self._wants, self._offers = array("Q"), array("Q")
        self._lists.clear()
        self.outflow = Outflow()
        for frame_type, payload in last:
            self.put(frame_type, payload)

    def keep_documents(self) -> None:
        """Drop everything but authority documents and the frames around them."""
        kept = [frame for frame in self._control if frame[0] in _OF_DOCUMENTS]
        exempt_bytes = self._exempt_bytes
        self.close([])
        self._control.extend(kept)
        self._control_bytes = sum(len(frame) for frame in kept)
        self._exempt_bytes = exempt_bytes

    def take(self, max_bytes: int, now_ms: int) -> bytes:
        """Return whole frames, at most `max_bytes` in all unless the first alone is larger.

        Sets `is_fruitful` if they are more than signs of life.
        """
        parts: list[bytes] = []
        size_bytes = self._take_control(parts, max_bytes)
        self.is_fruitful = any(frame[0] not in _SMALL_TALK for frame in parts)
        if not self._control:
            self._take_rest(parts, size_bytes, max_bytes, now_ms)
        return b"".join(parts)

    def _take_control(self, parts: list[bytes], max_bytes: int) -> int:
        control, size_bytes = self._control, 0
        while control and (not parts or size_bytes + len(control[0]) <= max_bytes):
            frame = control.popleft()
            size_bytes += len(frame)
            if is_reconciliation(frame[0]):
                self.reconcile_bytes += len(frame)
            elif frame[0] == FrameType.DOCUMENT:
                self._exempt_bytes -= len(frame)
            parts.append(frame)
        self._control_bytes -= size_bytes
        return size_bytes

    def _take_rest(self, parts: list[bytes], size_bytes: int, max_bytes: int, now_ms: int) -> None:
        taken, outflow = len(parts), self.outflow
        for traffic_class in TrafficClass:
            is_through = True
            if traffic_class is _WANTS_BEFORE and self._wants:
                size_bytes, is_through = _take_ids(
                    FrameType.WANT, self._wants, parts, size_bytes, max_bytes
                )
            if is_through and traffic_class is _BULK and self._offers:
                size_bytes, is_through = _take_ids(
                    FrameType.OFFER, self._offers, parts, size_bytes, max_bytes
                )
            if is_through and self._lists and self._lists[0][0] is traffic_class:
                size_bytes, is_through = self._take_pages(
                    traffic_class, parts, size_bytes, max_bytes
                )
            if is_through:
                size_bytes, is_through = outflow.frames_into(
                    traffic_class, parts, size_bytes, max_bytes, now_ms
                )
            if not is_through:
                break
        self.is_fruitful = self.is_fruitful or len(parts) > taken

    def _take_pages(
        self, traffic_class: TrafficClass, parts: list[bytes], size_bytes: int, max_bytes: int
    ) -> tuple[int, bool]:
        while self._lists and self._lists[0][0] is traffic_class:
            if parts and size_bytes + _PAGE_BYTES_MAX > max_bytes:
                return size_bytes, False
            page = next(self._lists[0][1], None)
            if page is None:
                del self._lists[0]
                continue
            frame = encode_frame(FrameType.LIST, page)
            self.reconcile_bytes += len(frame)
            size_bytes += len(frame)
            parts.append(frame)
        return size_bytes, True


def _take_ids(
    frame_type: FrameType, ids: array[int], parts: list[bytes], size_bytes: int, max_bytes: int
) -> tuple[int, bool]:
    """Move ids to `parts`, a frame at a time; False if not all of them fitted."""
    while ids:
        if parts and size_bytes + _PAGE_BYTES_MAX > max_bytes:
            return size_bytes, False
        frame = encode_frame(frame_type, encode_ids(ids[:IDS_PER_FRAME_MAX]))
        del ids[:IDS_PER_FRAME_MAX]
        size_bytes += len(frame)
        parts.append(frame)
    return size_bytes, True
