"""Contents of the archive in plain values, for screens and exports."""

from __future__ import annotations

from typing import Any, Final

from meshnode.gateway.archive.records import Found
from protocol import payloads
from protocol.alarms import Step
from protocol.errors import RemoteProtocolError
from protocol.limits import Kind
from protocol.payloads import Payload, Position, Sos, SosPlace, State, Track

__all__ = ["shown"]

_E7: Final = 10_000_000


def shown(found: Found) -> dict[str, Any]:
    """Return what a content says; `is_readable` is False for one that does not open."""
    if found.raw is None:
        return {"is_readable": False}
    if found.kind in (Kind.TEXT, Kind.NOTE):
        return {"is_readable": True, "text": found.raw.decode(errors="replace")}
    try:
        payload = payloads.decode_untrusted(found.raw, found.name.author, found.scope)
    except RemoteProtocolError:
        return {"is_readable": False}
    return {"is_readable": True, **_words(payload)}


def _words(payload: Payload) -> dict[str, Any]:
    match payload:
        case Sos():
            place = {} if payload.place is None else {"place": _place(payload.place)}
            step = Step(payload.step).name.lower() if payload.step in set(Step) else "unknown"
            return {"text": payload.text, "alarm": payload.alarm_id.hex(), "step": step, **place}
        case Position():
            return {"place": _place(payload)}
        case Track():
            return {
                "points": [
                    {
                        "taken_ms": 1000 * each.taken_s,
                        "latitude": each.latitude_e5 / 100_000,
                        "longitude": each.longitude_e5 / 100_000,
                    }
                    for each in payload.points
                ]
            }
        case State():
            level = None if payload.battery is None else payload.battery.level_pct
            return {"battery_pct": level, "gateway_ms": payload.gateway_ms}
        case _:
            return {}


def _place(place: Position | SosPlace) -> dict[str, Any]:
    return {
        "taken_ms": place.taken_ms,
        "latitude": place.latitude_e7 / _E7,
        "longitude": place.longitude_e7 / _E7,
        "accuracy_m": place.accuracy_dm / 10,
    }
