"""A plan from a board: what is old is estimated, what is missing is named."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from meshnode.errors import ChargeError
from meshnode.services.charge_sheet import USUAL, charge_sheet, supply_of
from protocol.identity import DeviceClass

NOW_MS = 1_800_000_000_000
HOUR_MS = 3_600_000
CAR = supply_of(200, 1, 15, 80, 20)


def mate(name: str, level: int | None = 50, drain: float = 10.0, **more: Any) -> dict[str, Any]:
    """Return a line of a board, as `Api.board` gives it."""
    age_s = more.pop("age_s", 0)
    battery = {
        "at_ms": NOW_MS - 1000 * age_s,
        "age_s": age_s,
        "is_stale": age_s >= 900,
        "level_pct": level,
        "is_charging": more.pop("is_charging", False),
        "drain_pct_per_h": drain,
        "empty_ms": 0,
    }
    return {
        "name": name,
        "node": name,
        "role": "agent",
        "device": "phone",
        "is_revoked": False,
        "battery": None if level is None else battery,
        **more,
    }


def sheet(*mates: dict[str, Any], **capacities_wh: float) -> dict[str, Any]:
    """Return the plan of one socket."""
    return charge_sheet({"now_ms": NOW_MS, "mates": list(mates)}, CAR, capacities_wh)


def test_a_fresh_board_gives_the_forecast_of_the_board() -> None:
    found = sheet(mate("anna", 50, 10.0), mate("ben", 80, 10.0))
    anna, ben = found["devices"]
    assert anna["empty_uncharged_ms"] == NOW_MS + 5 * HOUR_MS
    assert ben["empty_uncharged_ms"] == NOW_MS + 8 * HOUR_MS
    assert found["first_empty_uncharged_ms"] == NOW_MS + 5 * HOUR_MS
    assert found["turns"][0]["name"] == "anna"
    assert found["turns"][0]["start_ms"] == NOW_MS
    assert (anna["capacity_wh"], anna["is_capacity_assumed"]) == (17, True)
    assert (anna["drain_w"], anna["is_drain_assumed"]) == (1.7, False)


def test_the_board_of_an_older_node_is_refused_with_what_to_do() -> None:
    old = mate("anna")
    del old["device"]
    with pytest.raises(ChargeError, match="older version: stop it and start it again"):
        sheet(mate("ben"), old)


def test_what_is_old_is_estimated_and_marked() -> None:
    (found,) = sheet(mate("anna", 50, 10.0, age_s=7_200))["devices"]
    assert (found["told_pct"], found["level_pct"], found["is_stale"]) == (50, 30, True)
    assert found["empty_uncharged_ms"] == NOW_MS + 3 * HOUR_MS
    (gone,) = sheet(mate("anna", 50, 10.0, age_s=36_000))["devices"]
    assert (gone["level_pct"], gone["empty_uncharged_ms"]) == (0, NOW_MS)


def test_what_is_unknown_is_left_out_and_named() -> None:
    lines = [
        mate("anna", None),
        mate("ben", is_charging=True),
        mate("carl", is_revoked=True),
        mate("dora"),
    ]
    found = sheet(*lines)
    assert [each["name"] for each in found["devices"]] == ["dora"]
    reasons = {each["name"]: each["reason"] for each in found["left_out"]}
    assert reasons == {"anna": "unknown", "ben": "charging", "carl": "revoked"}
    nobody = sheet(mate("anna", None))
    assert (nobody["turns"], nobody["devices"], nobody["first_empty_ms"]) == ([], [], 0)


def test_a_drain_that_nobody_knows_is_that_of_the_kind() -> None:
    (found,) = sheet(mate("anna", 60, 0.0, device="tablet"))["devices"]
    usual = USUAL[DeviceClass.TABLET]
    assert (found["drain_w"], found["is_drain_assumed"]) == (usual.drain_w, True)
    assert found["capacity_wh"] == usual.capacity_wh
    assert set(USUAL) == set(DeviceClass)
    (stranger,) = sheet(mate("anna", device="", role=""))["devices"]
    assert stranger["capacity_wh"] == USUAL[DeviceClass.PHONE].capacity_wh


def test_a_device_of_two_squads_is_planned_once_by_its_newest_state() -> None:
    (found,) = sheet(mate("anna", 70, age_s=600), mate("anna", 60), mate("anna", None))["devices"]
    assert found["told_pct"] == 60


@pytest.mark.parametrize("role", ["leader", "gateway", "relay"])
def test_a_leader_and_an_uplink_go_before_others(role: str) -> None:
    found = sheet(mate("anna"), mate("zoe", role=role))
    assert found["turns"][0]["name"] == "zoe"


def test_a_capacity_that_is_given_is_used() -> None:
    (found,) = sheet(mate("Anna", 50, 10.0), anna=10)["devices"]
    assert (found["capacity_wh"], found["is_capacity_assumed"]) == (10, False)
    assert found["drain_w"] == 1
    with pytest.raises(ChargeError, match="'zoe'"):
        sheet(mate("anna"), zoe=10)
    with pytest.raises(ChargeError, match="holds"):
        sheet(mate("anna"), anna=0)


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_what_is_no_number_is_refused(number: float) -> None:
    with pytest.raises(ChargeError, match="numbers"):
        supply_of(number, 1, 15, 80, 20)
    with pytest.raises(ChargeError, match="numbers"):
        sheet(mate("anna"), anna=number)


def test_the_page_tells_what_is_taken_for_each_kind() -> None:
    page = Path(__file__).parents[3] / "docs" / "how-to" / "share-one-battery.md"
    text = page.read_text(encoding="utf-8")
    for kind, usual in USUAL.items():
        assert f"| {kind.name.lower()} | {usual.capacity_wh:g} | {usual.drain_w:g} |" in text
