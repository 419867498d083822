"""A squad and its gateway share with a real TAK server: places, an SOS and its end, chat."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from meshnode.tak.cot import CotEvent, Element, Point, write_event
from tests.meshnode.cli.people import People
from tests.patience import STARTS_S_MAX
from tests.real.daemons import free_port
from tests.real.taky import Partner, Taky, taky
from tests.real.test_two_nodes import _MAIN, _speak

pytestmark = [pytest.mark.real, pytest.mark.slow]

WAIT_S: Final = 30.0
NODE = """
[links]
listen = ["127.0.0.1:{listen}"]
static = [{static}]
[discovery]
mdns = false
probe = false
[web]
listen = ""
"""
TAK = """
[tak]
server = "tls://127.0.0.1:{port}"
authority = "tak-ca.pem"
certificate = "tak.pem"
key = "tak-key.pem"
send = ["position", "battery", "chat", "sos", "receipt"]
accept = ["chat", "position", "sos"]
chat_to = "squad:Queyras"
interval_s = 2
"""


@contextmanager
def running(people: People, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a node until the block is left."""
    argv = [sys.executable, "-c", _MAIN, "--home", str(people.home(name)), "run"]
    log = people.folder / f"{name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=out)
    try:
        until(lambda: "listening on" in log.read_text(), log, STARTS_S_MAX)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(STARTS_S_MAX) == 0, log.read_text()


def until(condition: Callable[[], bool], log: Path | None = None, within_s: float = WAIT_S) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, log.read_text() if log else "it did not come about"
        time.sleep(0.2)


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> People:
    """The centre's gateway, and Alice of a squad who dials it."""
    _speak(monkeypatch)
    people, port = People(tmp_path), free_port()
    people.reads("hq", "authority", "init", "--network", "Alpes", "--zone", "7")
    people.enrol("alice", "agent", "Queyras")
    people.enrol("gw", "gateway")
    (people.home("gw") / "meshnode.toml").write_text(NODE.format(listen=port, static=""))
    own = NODE.format(listen=0, static=f'"127.0.0.1:{port}"')
    (people.home("alice") / "meshnode.toml").write_text(own)
    return people


@pytest.fixture
def server(tmp_path: Path, people: People) -> Iterator[Taky]:
    """A TAK server that the gateway is a client of."""
    with taky(tmp_path / "taky") as server:
        server.client("codt", people.home("gw"))
        settings = people.home("gw") / "meshnode.toml"
        settings.write_text(settings.read_text() + TAK.format(port=server.port))
        yield server


def line(number: int, text: str) -> bytes:
    """Return what a partner's phone sends for a line of chat."""
    now_ms = time.time_ns() // 1_000_000
    room, uid = "All Chat Rooms", "ANDROID-1"
    group = Element("chatgrp", (("uid0", uid), ("uid1", room), ("id", room)))
    names = (
        ("parent", "RootContactGroup"),
        ("groupOwner", "false"),
        ("messageId", str(number)),
        ("chatroom", room),
        ("id", room),
        ("senderCallsign", "RESCUE 1"),
    )
    detail = (
        Element("__chat", names, "", (group,)),
        Element("link", (("uid", uid), ("type", "a-f-G-U-C"), ("relation", "p-p"))),
        Element("remarks", (("time", "2026-11-27T12:00:00Z"),), text),
    )
    name = f"GeoChat.{uid}.{room}.{number}"
    return write_event(
        CotEvent(name, "b-t-f", now_ms, now_ms, now_ms + 60_000, "h-g", detail=detail)
    )


def unit(latitude: float) -> bytes:
    now_ms = time.time_ns() // 1_000_000
    takv = (("platform", "ATAK"), ("version", "5"), ("device", "phone"), ("os", "34"))
    detail = (
        Element("takv", takv),
        Element("contact", (("callsign", "RESCUE 1"), ("endpoint", "*:-1:stcp"))),
        Element("__group", (("name", "Red"), ("role", "Team Member"))),
    )
    place = Point(latitude, 6.6, 5.0)
    return write_event(
        CotEvent("ANDROID-1", "a-f-G-U-C", now_ms, now_ms, now_ms + 600_000, "m-g", place, detail)
    )


def test_places_sos_and_chat_go_both_ways(people: People, server: Taky, tmp_path: Path) -> None:
    partner = Partner(server, tmp_path / "partner")
    with running(people, "gw") as gateway, running(people, "alice"):
        partner.say(unit(44.7))
        partner.hears(lambda it: it.callsign == "CODT")
        until(lambda: bool(people.json("gw", "tak")["marks"]))
        (mark,) = people.json("gw", "tak")["marks"]
        assert (mark["callsign"], mark["latitude"]) == ("RESCUE 1", 44.7)
        assert "RESCUE 1" in people.reads("gw", "tak")

        people.reads("alice", "shift", "open")
        people.reads("alice", "position", "44.89", "6.64", "--accuracy", "12")
        people.reads("alice", "state", "--battery", "61")
        shown = partner.hears(lambda it: it.callsign == "alice" and bool(it.element("status")))
        assert (shown.point.latitude, shown.point.longitude) == (44.89, 6.64)
        status = shown.element("status")
        assert status is not None
        assert status.get("battery") == "61"

        raised = people.json("alice", "sos", "Chute au col")["alarm"]
        alert = partner.hears(lambda it: it.type == "b-a-o-tbl")
        assert alert.point.latitude == 44.89
        people.reads("alice", "alarm", "close", raised, "--false-alarm")
        over = partner.hears(lambda it: it.type == "b-a-o-can")
        assert over.uid == alert.uid

        partner.say(line(1, "On arrive par le nord"))
        wanted = "TAK RESCUE 1 : On arrive par le nord"
        until(lambda: wanted in [each["text"] for each in inbox(people, "alice")])
        told = partner.hears(lambda it: it.type == "b-t-f-d")
        assert told.uid == "1"
        people.reads("alice", "send", "codt", "compris")
        answer = partner.hears(lambda it: it.chat is not None)
        assert answer.chat is not None
        assert (answer.chat.sender, answer.chat.text) == ("alice", "[codt] compris")

        people.reads("alice", "shift", "close")
        gone = partner.hears(lambda it: it.type == "t-x-d-d")
        link = gone.element("link")
        assert link is not None
        assert link.get("uid") == shown.uid

        # The server dies and comes back: what is said meanwhile goes out then, once.
        partner.close()
        server.stop()
        people.reads("alice", "send", "codt", "pendant la panne")
        until(lambda: "pendant la panne" in [each["text"] for each in inbox(people, "gw")])
        until(lambda: not people.json("gw", "tak")["is_connected"])
        # Held still, so that the partner is there before it: a server keeps no chat.
        gateway.send_signal(signal.SIGSTOP)
        server.start()
        partner = Partner(server, tmp_path / "partner again")
        partner.say(unit(44.7))
        gateway.send_signal(signal.SIGCONT)
        found = [partner.hears(lambda it: it.chat is not None, 60).chat]
        assert [each.text for each in found if each] == ["[codt] pendant la panne"]


def inbox(people: People, name: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = people.json(name, "inbox")["messages"]
    return found


def test_a_server_that_is_not_the_one_in_the_settings_gets_nothing(
    people: People, server: Taky, tmp_path: Path
) -> None:
    """Another authority's server, such as one that somebody put in its place."""
    server.stop()
    with taky(tmp_path / "impostor") as impostor:
        settings = people.home("gw") / "meshnode.toml"
        settings.write_text(settings.read_text().replace(str(server.port), str(impostor.port)))
        with running(people, "gw"):
            told: list[dict[str, Any]] = []

            def is_told() -> bool:
                told.append(people.json("gw", "tak"))
                return bool(told[-1]["fault"])

            until(is_told)
            found = told[-1]
            assert not found["is_connected"]
            assert found["fault"].startswith("TLS failed")
            assert found["events_sent"] == 0
        log = (tmp_path / "impostor" / "taky.log").read_text()
        assert "CODT" not in log


def test_a_phone_may_not_share(people: People, server: Taky) -> None:
    settings = people.home("alice") / "meshnode.toml"
    settings.write_text(settings.read_text() + TAK.format(port=server.port))
    screen = people.types("alice", "run")
    assert screen.code != 0
    assert "gateway" in screen.err
    assert json.dumps(screen.err).count("\\n") == 1
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", server.port)) == 0
