"""Cuts what a source streams into lines, and forgets what has no end."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["Lines"]


class Lines:
    """Bytes in, lines out; never holds more than one line of the longest length."""

    def __init__(self, line_bytes_max: int) -> None:
        self._line_bytes_max = line_bytes_max
        self._buffer = bytearray()
        self._is_skipping = False

    def feed(self, data: bytes) -> Iterator[bytes | None]:
        """Yield the lines that `data` ends, without their ends; None once for one too long."""
        *ended, rest = data.split(b"\n")
        for piece in ended:
            yield from self._add(piece)
            if not self._is_skipping:
                yield bytes(self._buffer).rstrip(b"\r")
            self._buffer.clear()
            self._is_skipping = False
        yield from self._add(rest)

    def _add(self, piece: bytes) -> Iterator[None]:
        if self._is_skipping:
            return
        if len(self._buffer) + len(piece) > self._line_bytes_max:
            self._buffer.clear()
            self._is_skipping = True
            yield None
        else:
            self._buffer += piece
