"""Routes of shifts, positions, the squad board and alarms."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Path, Query
from starlette.requests import Request
from starlette.responses import Response

from meshnode.web.answers import RefusedError, told
from meshnode.web.bodies import (
    AlarmCloseBody,
    AlarmSeenBody,
    AlarmTextBody,
    PositionBody,
    ShiftBody,
    SosBody,
    SosBySecretBody,
    StateBody,
)
from meshnode.web.gate import keep_session
from meshnode.web.roles import WebRole
from meshnode.web.routes.spec import After, Caller, Route

__all__ = ["ROUTES"]

_Alarm = Annotated[str, Path(max_length=64)]
_Who = Annotated[str, Query(max_length=200)]


async def _board(asked: Caller) -> Response:
    return told(**await asked.api.board())


async def _positions(asked: Caller) -> Response:
    return told(positions=await asked.api.positions())


async def _tak(asked: Caller) -> Response:
    return told(**asked.api.foreign_marks())


async def _position(asked: Caller, body: PositionBody) -> Response:
    found = await asked.api.position(body.latitude, body.longitude, accuracy_m=body.accuracy_m)
    return told(**found)


async def _state(asked: Caller, body: StateBody) -> Response:
    return told(**await asked.api.state(**body.model_dump()))


async def _track(asked: Caller, who: _Who, since_ms: After = 0) -> Response:
    return told(**await asked.api.track(who, since_ms))


async def _shift(asked: Caller) -> Response:
    return told(**await asked.api.shift())


async def _open_shift(asked: Caller, body: ShiftBody) -> Response:
    return told(**await asked.api.shift_open(body.hours))


async def _close_shift(asked: Caller) -> Response:
    return told(**await asked.api.shift_close())


async def _sos(asked: Caller, body: SosBody) -> Response:
    found = await asked.api.sos(body.text, to=body.to, at=body.at, tells_place=body.tells_place)
    return told(**found)


async def _sos_by_secret(request: Request, asked: Caller, body: SosBySecretBody) -> Response:
    door = asked.parts.door
    if not door.may_raise_by_secret(asked.session):
        raise RefusedError("wrong_key")
    found = await asked.api.sos_by_secret(
        body.secret, body.text, to=body.to, at=body.at, tells_place=body.tells_place
    )
    answer, opened = told(**found), door.enter_opened(asked.session)
    if opened is not None:
        keep_session(request, answer, opened.secret)
    return answer


async def _alarm_way(asked: Caller, alarm: _Alarm) -> Response:
    return told(way=await asked.api.alarm_way(alarm))


async def _alarms(asked: Caller) -> Response:
    return told(alarms=await asked.api.alarms())


async def _alarm(asked: Caller, alarm: _Alarm) -> Response:
    return told(**await asked.api.alarm(alarm))


async def _seen(asked: Caller, alarm: _Alarm, body: AlarmSeenBody | None = None) -> Response:
    body = body or AlarmSeenBody()
    return told(is_changed=await asked.api.alarm_seen(alarm, is_shown=body.is_shown))


async def _take(asked: Caller, alarm: _Alarm, body: AlarmTextBody | None = None) -> Response:
    body = body or AlarmTextBody()
    return told(is_changed=await asked.api.alarm_take(alarm, body.text))


async def _on_scene(asked: Caller, alarm: _Alarm, body: AlarmTextBody | None = None) -> Response:
    body = body or AlarmTextBody()
    return told(is_changed=await asked.api.alarm_on_scene(alarm, body.text))


async def _close_alarm(
    asked: Caller, alarm: _Alarm, body: AlarmCloseBody | None = None
) -> Response:
    body = body or AlarmCloseBody()
    return told(**await asked.api.alarm_close(alarm, body.text, is_false=body.is_false))


async def _raise_anew(asked: Caller, alarm: _Alarm, body: AlarmTextBody | None = None) -> Response:
    body = body or AlarmTextBody()
    return told(is_changed=await asked.api.alarm_raise_anew(alarm, body.text))


_AGENT = WebRole.AGENT
_SHIFT = {"is_open": "bool", "opened_ms": "whole", "ends_ms": "whole", "on_shift": "list"}
_ALARM = {"alarm": "text", "from": "text", "state": "text", "raised_ms": "whole"}
_SHUT = {"is_shut": "bool", "key_weeks": "whole", "is_key_old": "bool"}
_STEP = {"is_changed": "bool"}
_STEP_ERRORS = ("unknown_name", "alarm", "closed", "no_right", "no_sos_key", "quota")
ROUTES: Final = (
    Route(
        "GET",
        "/api/board",
        _AGENT,
        "What the squads of this device see of themselves, and how old each value is.",
        _board,
        {"now_ms": "whole", "stale_s": "record", "is_relay": "bool", "mates": "list"},
    ),
    Route(
        "GET",
        "/api/positions",
        WebRole.READER,
        "The newest position of everybody that is kept here, the newest first.",
        _positions,
        {"positions": "list"},
    ),
    Route(
        "GET",
        "/api/tak",
        _AGENT,
        "Units of partners that a TAK server shows, with their age; none where no bridge runs.",
        _tak,
        {"has_bridge": "bool", "is_connected": "bool", "marks": "list"},
        while_locked=True,
    ),
    Route(
        "POST",
        "/api/position",
        _AGENT,
        "Tell the squads of the open shift where this device is.",
        _position,
        {"latitude": "number", "longitude": "number", "accuracy_m": "number"},
        ("no_shift", "place", "quota"),
    ),
    Route(
        "POST",
        "/api/state",
        _AGENT,
        "Tell the squads of the open shift how this device is.",
        _state,
        {},
        ("no_shift", "state", "quota"),
    ),
    Route(
        "GET",
        "/api/track",
        WebRole.OPERATOR,
        "The track of a device, which the operations centre alone has.",
        _track,
        {"name": "text", "node": "text", "segments": "list"},
        ("unknown_name", "who"),
        is_personal=True,
    ),
    Route(
        "GET",
        "/api/shift",
        _AGENT,
        "The open shift of this device's agent, and who of its squads has one.",
        _shift,
        _SHIFT,
    ),
    Route(
        "POST",
        "/api/shift",
        _AGENT,
        "Open a shift.",
        _open_shift,
        _SHIFT,
        ("shift_open", "hours", "no_squad"),
    ),
    Route(
        "DELETE",
        "/api/shift",
        _AGENT,
        "End the open shift; its positions are erased.",
        _close_shift,
        _SHIFT,
        ("no_shift",),
    ),
    Route(
        "POST",
        "/api/sos",
        _AGENT,
        "Raise an alarm, which every screen of the zone shows.",
        _sos,
        _ALARM | {"message": "text", "recipients": "whole"},
        ("unknown_name", "place", "long", "no_sos_key", "store"),
    ),
    Route(
        "POST",
        "/api/sos/secret",
        WebRole.NOBODY,
        "Raise an alarm by the secret of a locked device; one whose lease has ended stays shut.",
        _sos_by_secret,
        _ALARM | {"message": "text", "recipients": "whole", **_SHUT},
        (
            *("wrong_key", "wrong_secret", "secret_delayed", "wiped", "quota"),
            *("unknown_name", "place", "long", "no_sos_key", "store"),
        ),
        while_locked=True,
    ),
    Route(
        "GET",
        "/api/sos/{alarm}/way",
        WebRole.NOBODY,
        "How far an alarm of this device came, for whoever knows its 8 bytes.",
        _alarm_way,
        {"way": "text"},
        ("unknown_name",),
        while_locked=True,
    ),
    Route(
        "GET",
        "/api/alarms",
        _AGENT,
        "The alarms known here, the latest touched first.",
        _alarms,
        {"alarms": "list"},
    ),
    Route(
        "GET",
        "/api/alarms/{alarm}",
        _AGENT,
        "One alarm with its steps and who is nearest.",
        _alarm,
        _ALARM | {"steps": "list", "nearest": "list", "way": "text"},
        ("unknown_name",),
        is_personal=True,
    ),
    Route(
        "POST",
        "/api/alarms/{alarm}/seen",
        _AGENT,
        "Sign that this agent saw it.",
        _seen,
        _STEP,
        _STEP_ERRORS,
    ),
    Route(
        "POST",
        "/api/alarms/{alarm}/take",
        _AGENT,
        "Sign that this agent goes there.",
        _take,
        _STEP,
        _STEP_ERRORS,
    ),
    Route(
        "POST",
        "/api/alarms/{alarm}/on-scene",
        _AGENT,
        "Sign that this agent is there.",
        _on_scene,
        _STEP,
        _STEP_ERRORS,
    ),
    Route(
        "POST",
        "/api/alarms/{alarm}/close",
        _AGENT,
        "Close it by the right that this agent has.",
        _close_alarm,
        _ALARM | {"outcome": "text"},
        _STEP_ERRORS,
    ),
    Route(
        "POST",
        "/api/alarms/{alarm}/raise-anew",
        _AGENT,
        "Raise a closed alarm of one's own anew.",
        _raise_anew,
        _STEP,
        _STEP_ERRORS,
    ),
)
