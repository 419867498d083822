"""JSON lines over a private Unix socket: what both ends of the control socket speak.

Nothing here knows a node: a command that asks a running one imports this and no more of it.
Source: decisions 7 and 45.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import trio

from meshnode.errors import ControlError
from protocol.limits import CONTROL_LINE_BYTES_MAX

__all__ = ["Json", "LineStream", "Progress", "connect", "reachable"]

Json: TypeAlias = dict[str, Any]
"""One record of plain values."""
Progress: TypeAlias = Callable[[Json], None]
"""Told the counters of a contact now and then."""

_SEND_S_MAX: Final = 30.0
_PATH_BYTES_MAX: Final = 100
"""Longest name of a socket that every system takes."""


class LineStream:
    """JSON lines over a byte stream, bounded."""

    def __init__(self, stream: trio.abc.Stream, line_bytes_max: int) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._line_bytes_max = line_bytes_max
        self._sending = trio.Lock()

    async def send(self, record: Json) -> None:
        """Send one line. Raises: ControlError if the other end went away or does not read."""
        # Half a character, which a caller may have sent, becomes its JSON escape again.
        line = json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        try:
            with trio.fail_after(_SEND_S_MAX):
                async with self._sending:
                    await self._stream.send_all(line)
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError) as error:
            raise ControlError("gone", "the other end of the control socket went away") from error

    async def receive(self) -> Json | None:
        """Return the next line, None at the end. Raises: ControlError for what is no line."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > self._line_bytes_max:
                raise ControlError("line", "a line on the control socket is too long")
            try:
                data = await self._stream.receive_some(65_536)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
            if not data:
                return None
            self._buffer += data
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ControlError("line", "a line on the control socket is not JSON") from error
        if not isinstance(record, dict):
            raise ControlError("line", "a line on the control socket is not an object")
        return record

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()


@asynccontextmanager
async def reachable(path: Path) -> AsyncIterator[str]:
    """Give a name for the socket at `path` that fits into an address, however deep it lies."""
    if len(os.fsencode(path)) <= _PATH_BYTES_MAX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


async def connect(path: Path) -> LineStream | None:
    """Return a connection to the node behind `path`, None if nobody listens there."""
    try:
        async with reachable(path) as name:
            stream = await trio.open_unix_socket(name)
    except OSError:
        return None
    return LineStream(stream, CONTROL_LINE_BYTES_MAX)
