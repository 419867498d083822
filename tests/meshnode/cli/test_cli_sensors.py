"""`meshnode sensors`, beside a running node and without one."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.meshnode.cli.people import SETTINGS, People
from tests.meshnode.cli.test_cli_running import running, told, typed
from tests.patience import HANGS_S
from tests.real.daemons import free_port

pytestmark = [pytest.mark.slow, pytest.mark.real]

DAY = (
    {"at_s": 0, "kind": "position", "latitude": 44.98765, "longitude": 6.54321, "accuracy_m": 8},
    {"at_s": 0, "kind": "battery", "level_pct": 83, "is_charging": True, "power_w": -4.5},
    {"at_s": 0, "kind": "coverage", "bearer": "4G", "signal_pct": 62, "operator": "Test 1"},
)


def configured(home: Path, *, position: list[str]) -> None:
    """Give a home sensors that replay a day."""
    home.mkdir(exist_ok=True)
    (home / "day.jsonl").write_text("\n".join(json.dumps(each) for each in DAY))
    lines = (
        f"position = {position!r}",
        'battery = ["replay:day.jsonl"]',
        'coverage = ["replay:day.jsonl"]',
    )
    (home / "meshnode.toml").write_text("\n".join((SETTINGS, "[sensors]", *lines)))


def test_without_a_node_each_source_is_tried(people: People) -> None:
    configured(people.home("x"), position=["replay:none.jsonl", "replay:day.jsonl"])
    shown = people.reads("x", "sensors", "--wait", "5")
    assert "± 8 m" in shown
    assert "83 %, charging, -4.5 W" in shown
    assert "4G, Test 1, 62 %" in shown
    assert "none.jsonl cannot be read: No such file or directory" in shown
    assert "44.9" not in shown
    assert "44.98765 6.54321" in people.reads("x", "sensors", "--show-position")
    french = people.reads("x", "--lang", "fr", "sensors")
    assert "en charge" in french
    assert "est illisible" in french


def test_the_same_as_json(people: People) -> None:
    configured(people.home("x"), position=["replay:day.jsonl"])
    found = people.json("x", "sensors")
    assert found["is_running"] is False
    where, power, net = found["sources"]
    assert where["reading"].keys() == {"taken_ms", "accuracy_m"}
    assert (power["kind"], power["reading"]["level_pct"]) == ("battery", 83)
    assert (net["kind"], net["reading"]["bearer"]) == ("coverage", "4G")
    where = people.json("x", "sensors", "--show-position")["sources"][0]
    assert where["reading"]["latitude"] == 44.98765


def test_a_source_that_hangs_is_waited_for_so_long_and_no_longer(people: People) -> None:
    configured(people.home("x"), position=[f"nmea-udp:127.0.0.1:{free_port(socket.SOCK_DGRAM)}"])
    (where, *_rest) = people.json("x", "sensors", "--wait", "1")["sources"]
    assert where["reading"] is None
    assert where["trouble"] == "nothing came within 1 s"


def test_what_is_written_wrong_is_explained(people: People) -> None:
    configured(people.home("x"), position=["galileo"])
    told = people.fails(3, "x", "sensors")
    assert "setting 'sensors.position': 'galileo' is unknown; sources are gpsd" in told
    configured(people.home("x"), position=[])
    path = people.home("x") / "meshnode.toml"
    path.write_text("[sensors]\nbattery = []\n")
    assert "No sensor is configured" in people.reads("x", "sensors")


async def test_beside_a_running_node_its_own_readings_are_shown(squad: People) -> None:
    configured(squad.home("alice"), position=["replay:day.jsonl"])
    async with running(squad, "alice") as alice:
        with trio.fail_after(HANGS_S):
            while alice.sensors.position is None:  # noqa: ASYNC110  # A thread reads the file.
                await trio.sleep(0.05)
        found = await told(squad, "alice", "sensors")
        assert found["is_running"] is True
        assert [each["kind"] for each in found["sources"]] == ["position", "battery", "coverage"]
        assert "latitude" not in found["sources"][0]["reading"]
        shown: Any = await told(squad, "alice", "sensors", "--show-position")
        assert shown["sources"][0]["reading"]["longitude"] == 6.54321
        assert alice.sensors.battery is not None
        assert alice.sensors.battery.level_pct == 83
        await alice.lock()
        refused = await typed(squad, "alice", "sensors", "--show-position")
        assert refused.code != 0
        assert "locked" in refused.err
        await told(squad, "alice", "sensors")
