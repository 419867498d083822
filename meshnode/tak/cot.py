"""Cursor-on-Target events: records to XML and back, and the cutting of a stream into events.

Pure: no socket, no clock. What a server sends is hostile input: one event is bounded in bytes,
depth and elements, and may hold no document type, so that nothing in it can grow or be fetched.
Source: MITRE MTR090284 "Cursor-on-Target message router user's guide", events version 2.0; the
details are those that ATAK and taky read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from protocol.errors import LimitExceededError, MalformedError

__all__ = [
    "ALL_ROOMS",
    "EVENT_BYTES_MAX",
    "NAME_MAX",
    "UNKNOWN",
    "Chat",
    "CotEvent",
    "Element",
    "EventStream",
    "Point",
    "read_event_untrusted",
    "time_text",
    "write_event",
]

EVENT_BYTES_MAX: Final = 65_536
"""A GeoChat line or a marker has one or two kilobytes; a drawn shape some tens."""
_DEPTH_MAX: Final = 16
_ELEMENTS_MAX: Final = 256
_TEXT_MAX: Final = 16_384
"""Characters of text in one event."""
NAME_MAX: Final = 256
"""Characters of a name or an identifier that anybody keeps."""
_END: Final = b"</event>"
_DECLARATION: Final = re.compile(rb"^\s*<\?xml[^>]{0,200}\?>")
UNKNOWN: Final = 9_999_999.0
"""What stands for a height or an error that is not known."""
ALL_ROOMS: Final = "All Chat Rooms"
"""The room that everybody on a server is in."""
_ILLEGAL: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML 1.0 document may hold."""


@dataclass(frozen=True, slots=True)
class Point:
    """A place on the earth, WGS 84."""

    latitude: float = field(default=0.0, repr=False)
    """Degrees, -90 to 90."""
    longitude: float = field(default=0.0, repr=False)
    """Degrees, -180 to 180."""
    accuracy_m: float = UNKNOWN
    """Circular error, metres; `UNKNOWN` where this is no place at all."""

    @property
    def is_known(self) -> bool:
        """True unless it is the point of zeros, without an accuracy, that stands for no place."""
        return self.accuracy_m < UNKNOWN or (self.latitude, self.longitude) != (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Element:
    """One element below `detail`."""

    name: str
    """Without a namespace."""
    attributes: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Names and values in their order."""
    text: str = field(default="", repr=False)
    """Its own text, without that of its children."""
    children: tuple[Element, ...] = field(default=(), repr=False)
    """What stands in it."""

    def get(self, name: str) -> str:
        """Return an attribute, empty where it is missing."""
        return next((value for key, value in self.attributes if key == name), "")

    def child(self, name: str) -> Element | None:
        """Return the first child of that name."""
        return next((each for each in self.children if each.name == name), None)


@dataclass(frozen=True, slots=True)
class Chat:
    """One line of a chat room."""

    room: str
    """Name of the room."""
    sender: str
    """Callsign of whoever wrote it."""
    sender_uid: str
    """Identifier of whoever wrote it."""
    message: str
    """Identifier of the line, which receipts name."""
    text: str = field(repr=False)
    """What was written."""


@dataclass(frozen=True, slots=True)
class CotEvent:
    """One event."""

    uid: str
    """Identifier of what it is about; a later event of the same takes its place."""
    type: str
    """What it is, such as `a-f-G-U-C` for a friendly unit on the ground."""
    time_ms: int
    """When the event was made, Unix milliseconds."""
    start_ms: int
    """From when what it says holds, Unix milliseconds."""
    stale_ms: int
    """Until when what it says holds, Unix milliseconds."""
    how: str = "m-g"
    """How it is known: `m-g` measured by satellites, `h-g-i-g-o` typed by a person."""
    point: Point = Point()
    """Where."""
    detail: tuple[Element, ...] = field(default=(), repr=False)
    """What stands below `detail`."""

    def element(self, name: str) -> Element | None:
        """Return the first detail of that name."""
        return next((each for each in self.detail if each.name == name), None)

    @property
    def callsign(self) -> str:
        """What people call it; empty where the event does not say."""
        contact = self.element("contact")
        return "" if contact is None else contact.get("callsign")

    @property
    def chat(self) -> Chat | None:
        """The line of a chat room that this event is, if it is one."""
        chat, remarks, link = map(self.element, ("__chat", "remarks", "link"))
        if self.type != "b-t-f" or chat is None or remarks is None or link is None:
            return None
        message = chat.get("messageId") or self.uid
        return Chat(
            chat.get("chatroom"),
            chat.get("senderCallsign"),
            link.get("uid"),
            message,
            remarks.text.strip(),
        )


def write_event(event: CotEvent) -> bytes:
    """Return the XML of an event on one line, UTF-8; what XML cannot hold is left out."""
    point = event.point
    attributes = (
        ("version", "2.0"),
        ("uid", event.uid),
        ("type", event.type),
        ("how", event.how),
        ("time", time_text(event.time_ms)),
        ("start", time_text(event.start_ms)),
        ("stale", time_text(event.stale_ms)),
    )
    place = Element(
        "point",
        (
            ("lat", f"{point.latitude:.7f}"),
            ("lon", f"{point.longitude:.7f}"),
            ("hae", f"{UNKNOWN:.1f}"),
            ("ce", f"{point.accuracy_m:.1f}"),
            ("le", f"{UNKNOWN:.1f}"),
        ),
    )
    body = Element("event", attributes, "", (place, Element("detail", (), "", event.detail)))
    return _written(body).encode()


def _written(element: Element) -> str:
    attributes = "".join(
        f" {name}={quoteattr(_legal(value))}" for name, value in element.attributes
    )
    inside = escape(_legal(element.text)) + "".join(map(_written, element.children))
    if not inside and element.name != "detail":
        return f"<{element.name}{attributes}/>"
    return f"<{element.name}{attributes}>{inside}</{element.name}>"


def _legal(text: str) -> str:
    return _ILLEGAL.sub("", text)


def time_text(unix_ms: int) -> str:
    """Return Unix milliseconds as ISO 8601 in UTC."""
    at = datetime.fromtimestamp(unix_ms / 1000, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{unix_ms % 1000:03d}Z"


class EventStream:
    """Cuts what a server sends into events, each bounded before it is looked at."""

    def __init__(self) -> None:
        self._held = bytearray()

    def receive_untrusted(self, data: bytes) -> Iterator[bytes]:
        """Yield every event that is whole now. Raises: LimitExceededError if one never ends."""
        self._held += data
        while (end := self._held.find(_END)) >= 0:
            cut = end + len(_END)
            if cut > EVENT_BYTES_MAX:
                raise LimitExceededError("cot_event_bytes", EVENT_BYTES_MAX, cut)
            raw = bytes(self._held[:cut])
            del self._held[:cut]
            yield raw
        if len(self._held) > EVENT_BYTES_MAX:
            raise LimitExceededError("cot_event_bytes", EVENT_BYTES_MAX, len(self._held))


class _Tree:
    """Builds elements as expat tells of them; raises at the first that is too much."""

    def __init__(self) -> None:
        self.open: list[tuple[str, dict[str, str], list[str], list[Element]]] = []
        self.root: Element | None = None
        self._elements = 0
        self._characters = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > _ELEMENTS_MAX or len(self.open) >= _DEPTH_MAX:
            raise LimitExceededError("cot_elements", _ELEMENTS_MAX, self._elements)
        self.open.append((name, attributes, [], []))

    def data(self, text: str) -> None:
        self._characters += len(text)
        if self._characters > _TEXT_MAX:
            raise LimitExceededError("cot_text", _TEXT_MAX, self._characters)
        if self.open:
            self.open[-1][2].append(text)

    def end(self, _name: str) -> None:
        name, attributes, texts, children = self.open.pop()
        made = Element(name, tuple(attributes.items()), "".join(texts), tuple(children))
        if self.open:
            self.open[-1][3].append(made)
        else:
            self.root = made


def read_event_untrusted(raw: bytes) -> CotEvent:
    """Return the event in `raw`.

    Raises: MalformedError, LimitExceededError.
    Cost: linear in the bytes, which are at most `EVENT_BYTES_MAX`.
    """
    if len(raw) > EVENT_BYTES_MAX:
        raise LimitExceededError("cot_event_bytes", EVENT_BYTES_MAX, len(raw))
    # Streams repeat the declaration before each event; the encoding is UTF-8 whatever it says.
    root = _parsed(_DECLARATION.sub(b"", raw))
    point = root.child("point")
    if root.name != "event" or point is None:
        raise MalformedError("this is no Cursor-on-Target event with a point")
    uid, kind = root.get("uid"), root.get("type")
    if not 0 < len(uid) <= NAME_MAX or not 0 < len(kind) <= NAME_MAX:
        raise MalformedError("an event has a uid and a type of at most 256 characters")
    detail = root.child("detail")
    return CotEvent(
        uid,
        kind,
        _time_ms_untrusted(root.get("time")),
        _time_ms_untrusted(root.get("start")),
        _time_ms_untrusted(root.get("stale")),
        how=root.get("how")[:NAME_MAX],
        point=_point_untrusted(point),
        detail=() if detail is None else detail.children,
    )


def _parsed(raw: bytes) -> Element:
    tree = _Tree()
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.data
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(raw, True)
    except (expat.ExpatError, ValueError) as error:
        # A ValueError is a name or a text that is no Unicode.
        raise MalformedError("this is no well-formed XML") from error
    if tree.root is None:
        raise MalformedError("this is no well-formed XML")
    return tree.root


def _refuse(*_told: object) -> None:
    """No event has a document type: entities grow, and name files."""
    raise MalformedError("an event may have no document type")


def _point_untrusted(element: Element) -> Point:
    latitude, longitude = _number(element.get("lat")), _number(element.get("lon"))
    accuracy_m = _number(element.get("ce") or str(UNKNOWN))
    if not -90 <= latitude <= 90 or not -180 <= longitude <= 180:
        raise MalformedError("a point has a latitude of at most 90 and a longitude of at most 180")
    if not 0 <= accuracy_m <= UNKNOWN:
        accuracy_m = UNKNOWN
    return Point(latitude, longitude, accuracy_m)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise MalformedError("a point holds numbers") from error
    if not math.isfinite(value):
        raise MalformedError("a point holds finite numbers")
    return value


def _time_ms_untrusted(text: str) -> int:
    """Read a time of ISO 8601; one without an offset is of UTC. Raises: MalformedError."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        seconds = at.timestamp()
    except (ValueError, OverflowError) as error:
        raise MalformedError("a time is written as 2026-01-31T12:00:00Z") from error
    if seconds < 0:
        raise MalformedError("a time is after 1970")
    return round(1000 * seconds)
