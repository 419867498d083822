"""KISS framing: whole frames over a line of bytes, as modems and radio controllers speak it.

Every frame is data for port 0. Source: Chepponis and Karn, "The KISS TNC", 1987; wire-format 11.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from protocol.narrow.bounds import NARROW_FRAME_BYTES_MAX

__all__ = ["KissDecoder", "encode_kiss"]

_END: Final = 0xC0
_ESCAPE: Final = 0xDB
_ESCAPED_END: Final = 0xDC
_ESCAPED_ESCAPE: Final = 0xDD
_DATA: Final = 0x00
_FLAG: Final = bytes([_END])


def encode_kiss(frame: bytes) -> bytes:
    """Return a frame as it goes on the line: at most twice as long, and three bytes."""
    escaped = frame.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
    return _FLAG + bytes([_DATA]) + escaped + _FLAG


class KissDecoder:
    """Finds the frames in what a line brings; noise between them is passed over."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._is_too_long = False
        self.dropped = 0
        """Frames that were too long, badly escaped, or no data."""

    def feed_untrusted(self, data: bytes) -> Iterator[bytes]:
        """Yield every frame that `data` completes. Holds at most twice the longest frame."""
        *ended, rest = data.split(_FLAG)
        for piece in ended:
            self._hold(piece)
            frame = self._take()
            if frame is not None:
                yield frame
        self._hold(rest)

    def _hold(self, piece: bytes) -> None:
        self._held += piece
        if len(self._held) > 2 * NARROW_FRAME_BYTES_MAX + 1:
            self._is_too_long = True
            self._held.clear()

    def _take(self) -> bytes | None:
        raw, is_too_long = bytes(self._held), self._is_too_long
        self._held.clear()
        self._is_too_long = False
        if not raw and not is_too_long:
            # Two flags in a row part frames as well as one.
            return None
        frame = None if is_too_long or raw[0] != _DATA else _unescaped(raw[1:])
        if frame is None or len(frame) > NARROW_FRAME_BYTES_MAX:
            self.dropped += 1
            return None
        return frame


def _unescaped(raw: bytes) -> bytes | None:
    first, *pieces = raw.split(bytes([_ESCAPE]))
    found = bytearray(first)
    for piece in pieces:
        if piece[:1] == bytes([_ESCAPED_END]):
            found.append(_END)
        elif piece[:1] == bytes([_ESCAPED_ESCAPE]):
            found.append(_ESCAPE)
        else:
            return None
        found += piece[1:]
    return bytes(found)
