"""Structured trace: one JSON line per event, for people who look for a fault.

Fields are names, numbers, ids and reasons. What a bundle says, where anybody is and what any key
is never reach this file: callers do not have them, and a value of another type is written as the
name of its type. Source: STYLE 38 and 46.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final, TextIO

from meshnode.errors import HomeError
from meshnode.runtime import Trace

__all__ = ["line_of", "log_line_of", "log_to_stream", "to_both", "trace_to_file", "trace_to_stream"]

_FILE_BYTES_MAX: Final = 10_000_000
"""About 80,000 events; the file before is kept beside."""
_FIELD_CHARACTERS_MAX: Final = 200
"""A reason from a library may be long; a line stays readable."""


def line_of(at_ms: int, event: str, fields: dict[str, object]) -> str:
    """Return one line of the trace, without its end."""
    clean = {name: _clean(value) for name, value in fields.items()}
    return json.dumps({"schema": 1, "at_ms": at_ms, "event": event, **clean}, ensure_ascii=False)


def log_line_of(at_ms: int, event: str, fields: dict[str, object]) -> str:
    """Return one line for a journal: as `line_of`, but with the local time in ISO 8601."""
    moment = datetime.fromtimestamp(at_ms / 1000, tz=UTC).astimezone()
    time = moment.isoformat(timespec="milliseconds")
    clean = {name: _clean(value) for name, value in fields.items()}
    return json.dumps({"schema": 1, "time": time, "event": event, **clean}, ensure_ascii=False)


def _clean(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value[:_FIELD_CHARACTERS_MAX]
    # Bytes may be a key, a record may hold a text: only its type is told.
    return f"<{type(value).__name__}>"


def trace_to_stream(stream: TextIO, now_ms: Callable[[], int]) -> Trace:
    """Return a trace that writes lines to `stream`, from any thread."""
    return _to_stream(stream, now_ms, line_of)


def log_to_stream(stream: TextIO, now_ms: Callable[[], int]) -> Trace:
    """Return a trace that writes lines for a journal to `stream`, from any thread."""
    return _to_stream(stream, now_ms, log_line_of)


def to_both(first: Trace, second: Trace) -> Trace:
    """Return a trace that writes each event down twice."""

    def write(event: str, /, **fields: object) -> None:
        first(event, **fields)
        second(event, **fields)

    return write


def _to_stream(
    stream: TextIO, now_ms: Callable[[], int], words: Callable[[int, str, dict[str, object]], str]
) -> Trace:
    lock = threading.Lock()

    def write(event: str, /, **fields: object) -> None:
        line = words(now_ms(), event, fields)
        with lock:
            stream.write(line + "\n")
            stream.flush()

    return write


@contextmanager
def trace_to_file(
    path: Path, now_ms: Callable[[], int], *, bytes_max: int = _FILE_BYTES_MAX
) -> Iterator[Trace]:
    """Give a trace that appends to `path`, readable by its owner alone.

    At `bytes_max` the file becomes `PATH.1` and a new one begins: strangers who connect a
    million times fill no disk. Raises: HomeError.
    """
    try:
        handler = _PrivateFile(path, maxBytes=bytes_max, backupCount=1, encoding="utf-8")
    except OSError as error:
        raise HomeError(f"the trace cannot be written to {path}: {error.strerror}") from error

    def write(event: str, /, **fields: object) -> None:
        # The handler has a lock of its own: workers trace too.
        line = line_of(now_ms(), event, fields)
        handler.handle(logging.makeLogRecord({"msg": line}))

    try:
        yield write
    finally:
        handler.close()


class _PrivateFile(RotatingFileHandler):
    """A file that is put aside when it is full; every one of mode 0600."""

    def _open(self) -> TextIOWrapper:
        Path(self.baseFilename).touch(mode=0o600)
        return super()._open()
