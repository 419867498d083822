"""What leaves for a TAK server: answers of the service interface to Cursor-on-Target events.

Pure. Nothing leaves that the settings do not name: sorts in `send`, squads in `squads`. A place
that is stale here is not sent, and one whose shift ended is taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from meshnode.tak.cot import ALL_ROOMS, UNKNOWN, Chat, CotEvent, Element, Point, time_text

__all__ = [
    "ALERT_S",
    "PRESENCE_S",
    "alarm_event",
    "alarm_over_event",
    "chat_event",
    "gone_event",
    "is_for_a_group",
    "is_shared",
    "mate_uid",
    "place_events",
    "presence_event",
    "receipt_event",
    "shared_mates",
]

UNIT: Final = "a-f-G-U-C"
"""A friendly unit on the ground."""
_SATELLITE: Final = "m-g"
_TYPED: Final = "h-g-i-g-o"
_MINUTE_MS: Final = 60_000
PRESENCE_S: Final = 60.0
"""The centre shows itself so often; a server forgets it after three times that."""
ALERT_S: Final = 30.0
"""An open SOS is told again after so long, for whoever has just joined the server."""
_CHAT_STALE_MS: Final = 24 * 60 * _MINUTE_MS
_TEAMS: Final = {"leader": "Team Lead", "gateway": "HQ", "operator": "HQ"}
"""Role on the screens of TAK by the role of a badge; everybody else is a team member."""


def mate_uid(node: str) -> str:
    """Return the identifier of a device on a TAK server."""
    return f"meshnode.{node}"


def is_shared(scope: str, squads: Iterable[str]) -> bool:
    """Return whether what is for `scope` may leave; `squads` are names, none means all."""
    wanted = {f"squad:{name}".casefold() for name in squads}
    return not wanted or scope.casefold() in wanted


def is_for_a_group(scope: str) -> bool:
    """Return whether a message is for the centre or a squad; what one device is told stays here."""
    return scope == "codt" or scope.startswith("squad:")


def shared_mates(board: Mapping[str, Any], squads: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """Return the line of each device on duty that may leave, by its printed id.

    `squads` are names; none means all. A device of two squads stands in the line that was told
    last.
    """
    names = tuple(squads)
    found = dict[str, Mapping[str, Any]]()
    for mate in board["mates"]:
        if not is_shared(mate["squad"], names) or mate["is_revoked"] or mate["is_author_revoked"]:
            continue
        before = found.get(mate["node"])
        if before is None or _told_ms(mate) > _told_ms(before):
            found[mate["node"]] = mate
    return found


def _told_ms(mate: Mapping[str, Any]) -> int:
    return int(mate["position"]["at_ms"]) if mate["position"] else 0


def place_events(
    mates: Mapping[str, Mapping[str, Any]],
    stale_s: int,
    now_ms: int,
    *,
    has_battery: bool,
) -> dict[str, CotEvent]:
    """Return an event for each device whose place is known and not stale, by its identifier."""
    events = [
        _place_event(mate, stale_s, now_ms, has_battery=has_battery)
        for mate in mates.values()
        if mate["is_on_shift"] and mate["position"] and not mate["position"]["is_stale"]
    ]
    return {event.uid: event for event in events}


def _place_event(
    mate: Mapping[str, Any], stale_s: int, now_ms: int, *, has_battery: bool
) -> CotEvent:
    place, battery = mate["position"], mate["battery"]
    squad = str(mate["squad"]).removeprefix("squad:")
    detail = [
        Element("contact", (("callsign", mate["name"]),)),
        Element("__group", (("name", "Cyan"), ("role", _TEAMS.get(mate["role"], "Team Member")))),
        Element("remarks", (), squad),
    ]
    if has_battery and battery and not battery["is_stale"]:
        detail.append(Element("status", (("battery", str(round(battery["level_pct"]))),)))
    return CotEvent(
        mate_uid(mate["node"]),
        UNIT,
        now_ms,
        place["at_ms"],
        place["at_ms"] + 1000 * stale_s,
        _SATELLITE,
        Point(place["latitude"], place["longitude"], place["accuracy_m"] or UNKNOWN),
        tuple(detail),
    )


def gone_event(uid: str, now_ms: int) -> CotEvent:
    """Return what takes a marker from the screens: its shift ended, or it may not leave now."""
    link = Element("link", (("uid", uid), ("relation", "none"), ("type", "none")))
    return CotEvent(
        f"{uid}.gone",
        "t-x-d-d",
        now_ms,
        now_ms,
        now_ms + _MINUTE_MS,
        _TYPED,
        detail=(link, Element("__forcedelete")),
    )


def presence_event(uid: str, callsign: str, now_ms: int) -> CotEvent:
    """Return what shows the centre itself, without a place; a server needs it to route to us.

    Servers take whoever tells of its program for the user of a connection, so no marker of a mate
    does.
    """
    takv = (("platform", "meshnode"), ("version", "1"), ("device", "gateway"), ("os", ""))
    detail = (
        Element("takv", takv),
        Element("contact", (("callsign", callsign), ("endpoint", "*:-1:stcp"))),
        Element("__group", (("name", "Cyan"), ("role", "HQ"))),
    )
    stale_ms = now_ms + round(3000 * PRESENCE_S)
    return CotEvent(uid, f"{UNIT}-H", now_ms, now_ms, stale_ms, _TYPED, detail=detail)


def alarm_event(alarm: Mapping[str, Any], now_ms: int) -> CotEvent:
    """Return the alert of an open SOS, with its text and place."""
    place, name = alarm["place"], alarm["from"]
    return CotEvent(
        f"meshnode.sos.{alarm['alarm']}",
        "b-a-o-tbl",
        now_ms,
        alarm["raised_ms"],
        now_ms + round(4000 * ALERT_S),
        _SATELLITE if place else _TYPED,
        Point(place["latitude"], place["longitude"], place["accuracy_m"] or UNKNOWN)
        if place
        else Point(),
        (
            Element("contact", (("callsign", f"{name}-Alert"),)),
            _sender_link(alarm),
            Element("emergency", (("type", "911 Alert"),), name),
            Element("remarks", (), alarm["text"]),
        ),
    )


def alarm_over_event(alarm: Mapping[str, Any], now_ms: int) -> CotEvent:
    """Return what ends the alert of an SOS that was closed."""
    return CotEvent(
        f"meshnode.sos.{alarm['alarm']}",
        "b-a-o-can",
        now_ms,
        now_ms,
        now_ms + round(4000 * ALERT_S),
        _TYPED,
        detail=(
            _sender_link(alarm),
            Element("emergency", (("cancel", "true"),), alarm["from"]),
        ),
    )


def _sender_link(alarm: Mapping[str, Any]) -> Element:
    uid = mate_uid(alarm["from_node"])
    return Element("link", (("uid", uid), ("type", UNIT), ("relation", "p-p")))


def chat_event(message: Mapping[str, Any], now_ms: int) -> CotEvent:
    """Return a message of the mesh as a line in the room that everybody is in."""
    uid, name = mate_uid(message["from_node"]), message["from"]
    line = Chat(ALL_ROOMS, name, uid, message["message"], f"[{message['to']}] {message['text']}")
    # Servers drop a line whose remarks have no time of their own.
    written = ("time", time_text(message["created_ms"]))
    remarks = Element("remarks", (("source", uid), ("to", line.room), written), line.text)
    return CotEvent(
        f"GeoChat.{uid}.{line.room}.{line.message}",
        "b-t-f",
        now_ms,
        message["created_ms"],
        now_ms + _CHAT_STALE_MS,
        _TYPED,
        detail=(*_room(line, "__chat"), remarks),
    )


def receipt_event(line: Chat, uid: str, callsign: str, now_ms: int, *, is_read: bool) -> CotEvent:
    """Return what tells the author of a TAK line that it is on a device, or read there."""
    reader = Chat(line.room, callsign, uid, line.message, "")
    marti = Element("marti", (), "", (Element("dest", (("callsign", line.sender),)),))
    return CotEvent(
        line.message,
        "b-t-f-r" if is_read else "b-t-f-d",
        now_ms,
        now_ms,
        now_ms + _CHAT_STALE_MS,
        _TYPED,
        detail=(*_room(reader, "__chatreceipt"), marti),
    )


def _room(line: Chat, name: str) -> tuple[Element, Element]:
    """Return the elements that say which room a line is in, and who wrote it."""
    group = Element("chatgrp", (("uid0", line.sender_uid), ("uid1", line.room), ("id", line.room)))
    head = Element(
        name,
        (
            ("parent", "RootContactGroup"),
            ("groupOwner", "false"),
            ("messageId", line.message),
            ("chatroom", line.room),
            ("id", line.room),
            ("senderCallsign", line.sender),
        ),
        "",
        (group,),
    )
    link = Element("link", (("uid", line.sender_uid), ("type", UNIT), ("relation", "p-p")))
    return head, link
