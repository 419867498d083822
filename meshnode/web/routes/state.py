"""Routes that tell how the node stands."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query
from starlette.responses import Response

from meshnode.web.answers import told
from meshnode.web.roles import WebRole
from meshnode.web.routes.spec import After, Caller, Limit, Route

__all__ = ["ROUTES"]


async def _status(asked: Caller) -> Response:
    return told(**await asked.api.status())


async def _peers(asked: Caller) -> Response:
    return told(peers=await asked.api.peers())


async def _orders(asked: Caller) -> Response:
    return told(orders=await asked.api.orders())


async def _uplink(asked: Caller) -> Response:
    return told(**await asked.api.uplink())


async def _budget(asked: Caller) -> Response:
    return told(bearers=await asked.api.budget())


async def _keys(asked: Caller) -> Response:
    return told(**await asked.api.keys())


async def _audit(asked: Caller, after: After = 0, limit: Limit = 100) -> Response:
    found = await asked.api.audit(limit)
    found["entries"] = [each for each in found["entries"] if each["number"] > after]
    return told(**found)


async def _check(asked: Caller) -> Response:
    return told(**await asked.api.readiness())


async def _sensors(asked: Caller, show_position: Annotated[bool, Query()] = False) -> Response:
    return told(sensors=await asked.api.sensors(show_position=show_position))


async def _names(asked: Caller) -> Response:
    return told(**await asked.api.names())


async def _unloading(asked: Caller) -> Response:
    return told(**await asked.api.unloading())


async def _holdings(asked: Caller) -> Response:
    return told(**await asked.api.holdings())


_AGENT = WebRole.AGENT
ROUTES: Final = (
    Route(
        "GET",
        "/api/status",
        WebRole.READER,
        "What this node is and how it stands, with its counters.",
        _status,
        {
            "name": "text",
            "node": "text",
            "role": "text",
            "disk_fault": "text",
            "lock": "record",
            "metrics": "record",
        },
        while_locked=True,
    ),
    Route(
        "GET",
        "/api/peers",
        _AGENT,
        "Every node that was ever met, those in contact first.",
        _peers,
        {"peers": "list"},
        while_locked=True,
    ),
    Route(
        "GET",
        "/api/orders",
        _AGENT,
        "The wipe orders in force, and which devices proved that they obeyed.",
        _orders,
        {"orders": "list"},
        while_locked=True,
    ),
    Route(
        "GET",
        "/api/uplink",
        _AGENT,
        "Through whom this device sends to gateways now, and why.",
        _uplink,
        {"role": "text", "mates": "list"},
        while_locked=True,
    ),
    Route(
        "GET",
        "/api/budget",
        _AGENT,
        "What each bearer with a budget has cost, and what is left.",
        _budget,
        {"bearers": "list"},
        while_locked=True,
    ),
    Route(
        "GET",
        "/api/keys",
        _AGENT,
        "Which keys there are and how old they are; never a key.",
        _keys,
        {"lock": "record", "network": "list"},
        while_locked=True,
    ),
    Route(
        "GET",
        "/api/audit",
        _AGENT,
        "The newest `limit` entries of the audit log that have a number above `after`.",
        _audit,
        {"first": "whole", "last": "whole", "entries": "list", "evidence": "list"},
        is_personal=True,
    ),
    Route(
        "GET",
        "/api/check",
        _AGENT,
        "What this device has of its squads and keys before the network is lost.",
        _check,
        {"is_member": "bool", "squads": "list", "without_key": "list"},
    ),
    Route(
        "GET",
        "/api/sensors",
        _AGENT,
        "How each source of readings stands; the place only with `show_position`.",
        _sensors,
        {"sensors": "list"},
    ),
    Route(
        "GET",
        "/api/names",
        _AGENT,
        "Who can be written to: the centre, the zone, squads and devices.",
        _names,
        {"units": "list", "squads": "list", "members": "list"},
    ),
    Route(
        "GET",
        "/api/unloading",
        _AGENT,
        "How far the handing over to each gateway in reach is.",
        _unloading,
        {"bundles": "whole", "bytes": "whole", "gateways": "list"},
        while_locked=True,
    ),
    Route(
        "GET",
        "/api/holdings",
        _AGENT,
        "What is held here, by which rule and until when; counts and dates alone.",
        _holdings,
        is_personal=True,
    ),
)
