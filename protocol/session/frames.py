"""Frames on a link: one byte of type, two of length, payload. Source: wire-format 6.1."""

from __future__ import annotations

from enum import IntEnum

from protocol.errors import LimitExceededError, RemoteProtocolError
from protocol.limits import FRAME_BYTES_MAX

__all__ = ["FrameReader", "FrameType", "encode_frame"]

_HEAD_BYTES = 3


class FrameType(IntEnum):
    """What a frame carries. Source: wire-format 6.2."""

    HELLO = 0x01
    DOCUMENT_VERSIONS = 0x02
    DOCUMENT = 0x03
    DOCUMENTS_END = 0x04
    DOCUMENT_DIGESTS = 0x05
    SUMMARY = 0x10
    SYMBOLS = 0x11
    MORE = 0x12
    LIST = 0x13
    EQUAL = 0x14
    ROUND_END = 0x15
    WANT = 0x20
    OFFER = 0x21
    BUNDLE = 0x22
    ACK = 0x23
    PING = 0x30
    PONG = 0x31
    BYE = 0x3F


_TYPES = {int(frame_type): frame_type for frame_type in FrameType}


def encode_frame(frame_type: int, payload: bytes) -> bytes:
    """Return one frame. Raises: LimitExceededError if the payload is too large."""
    if len(payload) > FRAME_BYTES_MAX:
        raise LimitExceededError("frame bytes", FRAME_BYTES_MAX, len(payload))
    return bytes((frame_type, len(payload) >> 8, len(payload) & 0xFF)) + payload


class FrameReader:
    """Cuts a byte stream into frames; holds at most what was fed and not yet read.

    Pieces are joined only once they make a whole frame, so that a peer that sends single bytes
    does not make us copy a frame once for each of them.
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._buffer = b""
        self._start = 0
        self._needed_bytes = _HEAD_BYTES
        self.buffered_bytes = 0

    def feed(self, data: bytes) -> None:
        """Add bytes from the link."""
        self._pieces.append(data)
        self.buffered_bytes += len(data)

    def clear(self) -> None:
        """Forget what was fed and not read."""
        self._pieces, self._buffer, self._start = [], b"", 0
        self.buffered_bytes = 0

    def next_untrusted(self) -> tuple[FrameType, bytes] | None:
        """Return the next whole frame, or None.

        Raises: RemoteProtocolError for an unknown type, as soon as its head is here.
        """
        if self.buffered_bytes < self._needed_bytes:
            return None
        if self._pieces:
            self._buffer = b"".join((self._buffer[self._start :], *self._pieces))
            self._pieces, self._start = [], 0
        buffer, start = self._buffer, self._start
        frame_type = _TYPES.get(buffer[start])
        if frame_type is None:
            raise RemoteProtocolError(f"frame type {buffer[start]:#x} is unknown")
        size_bytes = _HEAD_BYTES + (buffer[start + 1] << 8 | buffer[start + 2])
        if self.buffered_bytes < size_bytes:
            self._needed_bytes = size_bytes
            return None
        self._needed_bytes = _HEAD_BYTES
        self.buffered_bytes -= size_bytes
        self._start = end = start + size_bytes
        return frame_type, buffer[start + _HEAD_BYTES : end]
