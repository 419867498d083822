"""A zone of thousands, answered in the browser in the place of the few that a test's node knows."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from playwright.sync_api import Page, Route

__all__ = ["DEVICES", "ON_DUTY", "stand_in"]

DEVICES = 18_000
ON_DUTY = 2_000
SQUAD = 9
"""Devices of a squad."""


def stand_in(page: Page, devices: int = DEVICES, on_duty: int = ON_DUTY) -> None:
    """Have the page see a crowd in the place of the few that the node knows."""
    now_ms = page.evaluate("Date.now()")
    answers = {
        "members": {"now_ms": now_ms, "zones": [], "members": members(devices, on_duty, now_ms)},
        "names": names(devices),
        "positions": {"positions": [position(each, now_ms) for each in range(on_duty)]},
        "board": {
            "now_ms": now_ms,
            "stale_s": {"position": 900, "battery": 3600, "coverage": 900, "shift": 3600},
            "is_relay": False,
            "mates": [mate(each, now_ms) for each in range(on_duty)],
        },
    }
    for path, answer in answers.items():
        body = json.dumps({"schema": 1, **answer})
        page.route(f"**/api/{path}", partial(give, body))


def names(devices: int) -> dict[str, Any]:
    """Return who can be written to."""
    return {
        "units": [{"to": "codt", "devices": 3}, {"to": "zone", "devices": devices}],
        "squads": [
            {"to": f"squad:{squad(each)}", "name": squad(each), "is_own": False, "devices": 9}
            for each in range(0, devices, SQUAD)
        ],
        "members": [
            {**who(each), "to": who(each)["name"], "role": "agent", "squads": [squad(each)]}
            for each in range(devices)
        ],
    }


def position(number: int, now_ms: int) -> dict[str, Any]:
    """Return where somebody is, as told just now."""
    return {
        **who(number),
        "to": f"squad:{squad(number)}",
        "latitude": 44.5,
        "longitude": 6.5,
        "accuracy_m": 10,
        "taken_ms": now_ms,
        "age_s": 0,
        "is_stale": False,
        "is_author_revoked": False,
    }


def give(body: str, route: Route) -> None:
    """Answer a question in the place of the node."""
    route.fulfill(status=200, content_type="application/json", body=body)


def squad(number: int) -> str:
    """Return the name of the squad of a device."""
    return f"Escouade {number // SQUAD}"


def who(number: int) -> dict[str, Any]:
    """Return a device as documents name it."""
    return {"node": f"{number:032x}", "name": f"agent {number}"}


def members(devices: int, on_duty: int, now_ms: int) -> list[dict[str, Any]]:
    """Return everybody in the rosters."""
    return [
        {
            **who(number),
            "role": "agent",
            "device": "phone",
            "zone": 1,
            "squads": [squad(number)],
            "is_self": False,
            "is_revoked": number % 500 == 0,
            "revoked_since_ms": 0,
            "wipe": "",
            "lease_ends_ms": now_ms + 86_400_000,
            "is_on_shift": number < on_duty,
            "shift_over_ms": now_ms + 3_600_000,
            "heard_ms": now_ms - number,
            "met_ms": 0,
            "is_in_contact": False,
        }
        for number in range(devices)
    ]


def mate(number: int, now_ms: int) -> dict[str, Any]:
    """Return somebody on duty with all that a board tells."""
    aged = {"at_ms": now_ms - 1000 * (number % 1200), "age_s": 1, "is_stale": False}
    return {
        **who(number),
        "role": "agent",
        "device": "phone",
        "is_self": False,
        "squad": f"squad:{squad(number)}",
        "is_revoked": False,
        "is_author_revoked": False,
        "is_on_shift": True,
        "shift_opened_ms": now_ms - 3_600_000,
        "shift_over_ms": now_ms + 3_600_000,
        "heard": aged,
        "position": {**aged, "latitude": 44.5, "longitude": 6.5, "accuracy_m": 10},
        "battery": {
            **aged,
            "level_pct": number % 100,
            "is_charging": False,
            "drain_pct_per_h": 4.0,
            "empty_ms": 0,
        },
        "coverage": {
            **aged,
            "network": "4G",
            "signal_pct": 50,
            "signal_dbm": None,
            "operator": "",
        },
        "gateway_ms": 0,
        "is_in_contact": False,
        "met_ms": 0,
    }
