"""What a bridge has told and taken: so that nothing goes twice, and an alert is taken back.

It holds identifiers and no text. It is one small file, replaced whole; if it is lost or damaged,
the bridge begins at the present: older messages do not go out, open alarms go out again.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any, Final

from meshnode.files import write_private
from meshnode.tak.cot import Chat

__all__ = ["LINES_MAX", "Line", "TakLedger", "load", "save"]

_SCHEMA: Final = 1
LINES_MAX: Final = 200
"""Lines of chat whose receipts are awaited; the oldest is forgotten first."""
_BYTES_MAX: Final = 1_000_000


@dataclass(slots=True)
class Line:
    """A line of chat that became a message."""

    key: int
    """Number of that message here."""
    room: str
    """Its room."""
    sender: str
    """Callsign of whoever wrote it."""
    sender_uid: str
    """Identifier of whoever wrote it."""
    line: str
    """Its own identifier."""
    state: str = ""
    """What its author was told last: `delivered`, `read`, or nothing yet."""


@dataclass(slots=True)
class TakLedger:
    """What must be known after a restart."""

    since_ms: int
    """Messages that came before stay here, Unix milliseconds."""
    inbox_key: int = 0
    """The last message of the inbox that was looked at."""
    outgoing_key: int = 0
    """The last message of the outbox that was looked at."""
    alarms: set[str] = field(default_factory=set)
    """Alarms that were told and not yet taken back."""
    raised: dict[str, str] = field(default_factory=dict)
    """Alarms that were raised here for alerts of partners, by the identifier of the alert."""
    lines: dict[str, Line] = field(default_factory=dict)
    """Lines of chat by the message they became."""

    def note_line(self, message: str, key: int, line: Chat) -> None:
        """Remember which line a message was."""
        self.lines[message] = Line(key, line.room, line.sender, line.sender_uid, line.message)
        while len(self.lines) > LINES_MAX:
            del self.lines[next(iter(self.lines))]

    def encode(self) -> bytes:
        """Return it as JSON."""
        value = {
            "schema": _SCHEMA,
            "since_ms": self.since_ms,
            "inbox_key": self.inbox_key,
            "outgoing_key": self.outgoing_key,
            "alarms": sorted(self.alarms),
            "raised": self.raised,
            "lines": {message: astuple(each) for message, each in self.lines.items()},
        }
        return json.dumps(value).encode()


def load(path: Path, now_ms: int) -> TakLedger:
    """Return the ledger in a file; a new one that begins now where there is none, or no whole one.

    Raises: OSError where the file is there and cannot be read.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_BYTES_MAX)
        found = json.loads(raw)
        return _read(found)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return TakLedger(now_ms)


def _read(found: dict[str, Any]) -> TakLedger:
    """Raises: ValueError, KeyError, TypeError."""
    if found["schema"] != _SCHEMA:
        raise ValueError("another form")
    lines = {str(key): _line(value) for key, value in found["lines"].items()}
    return TakLedger(
        int(found["since_ms"]),
        int(found["inbox_key"]),
        int(found["outgoing_key"]),
        {str(each) for each in found["alarms"]},
        {str(key): str(value) for key, value in found["raised"].items()},
        lines,
    )


def _line(value: list[Any]) -> Line:
    key, *words = value
    room, sender, uid, line, state = map(str, words)
    return Line(int(key), room, sender, uid, line, state)


def save(path: Path, raw: bytes) -> None:
    """Replace the file. Raises: OSError."""
    write_private(path, raw)
