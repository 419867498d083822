"""What comes from a TAK server: events sorted into the few things that the mesh takes.

Pure. Who wrote an event is what the server lets its users claim: what is taken in always says that
it is from TAK, and nothing that it holds is trusted further than that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from meshnode.tak.cot import Chat, CotEvent, Point

__all__ = ["ForeignAlert", "ForeignMark", "Taken", "alert_text", "chat_text", "take"]

_CALLSIGN_MAX: Final = 40
"""Characters of a callsign that people see."""
_OWN: Final = "meshnode."
"""How our own identifiers begin: a server may send back what we told it."""


@dataclass(frozen=True, slots=True)
class ForeignMark:
    """A unit of a partner, as a TAK server shows it."""

    uid: str
    """Its identifier there."""
    callsign: str
    """What it calls itself."""
    type: str
    """Its Cursor-on-Target type."""
    point: Point = field(repr=False)
    """Where it says that it is."""
    start_ms: int
    """Since when, Unix milliseconds."""
    stale_ms: int
    """Until when that holds, Unix milliseconds."""


@dataclass(frozen=True, slots=True)
class ForeignAlert:
    """An emergency of a partner, or its end."""

    uid: str
    """Identifier of the alert."""
    callsign: str
    """Who is in need."""
    point: Point = field(repr=False)
    """Where, if its accuracy is known."""
    is_over: bool = False
    """True where it was cancelled."""


Taken: TypeAlias = ForeignMark | ForeignAlert | Chat


def take(event: CotEvent) -> Taken | None:
    """Return what an event is for the mesh; None for what it has no use for."""
    if event.uid.startswith(_OWN) or event.uid.startswith(f"GeoChat.{_OWN}"):
        return None
    if (chat := event.chat) is not None:
        return chat if chat.text and not chat.sender_uid.startswith(_OWN) else None
    if event.type.startswith("b-a-"):
        return _alert(event)
    if not event.type.startswith("a-") or not event.point.is_known:
        return None
    return ForeignMark(
        event.uid,
        _callsign(event.callsign or event.uid),
        event.type,
        event.point,
        event.start_ms,
        event.stale_ms,
    )


def _alert(event: CotEvent) -> ForeignAlert | None:
    emergency = event.element("emergency")
    if emergency is None:
        return None
    is_over = event.type == "b-a-o-can" or emergency.get("cancel").casefold() == "true"
    name = emergency.text.strip() or event.callsign.removesuffix("-Alert") or event.uid
    return ForeignAlert(event.uid, _callsign(name), event.point, is_over)


def _callsign(text: str) -> str:
    """Return a callsign on one line, without what changes the direction of writing."""
    return "".join(each for each in text if each.isprintable())[:_CALLSIGN_MAX].strip() or "?"


def chat_text(chat: Chat) -> str:
    """Return the message that a line becomes."""
    return f"TAK {_callsign(chat.sender)} : {chat.text}"


def alert_text(alert: ForeignAlert) -> str:
    """Return the text of the SOS that an alert becomes."""
    return f"TAK {alert.callsign} : alerte"
