"""Writing, reading and carrying messages by the commands that people type; no node runs."""

from __future__ import annotations

import json

import pytest

from meshnode.runtime import system_runtime
from protocol.guards import QUOTA_HOUR_SOS
from tests.meshnode.cli.people import People

pytestmark = pytest.mark.slow


def test_a_message_is_queued_and_its_story_told(squad: People) -> None:
    sent = squad.json("alice", "send", "codt", "Col gardé, deux véhicules", "--lifetime", "2h")
    assert (sent["state"], sent["to"], sent["recipients"]) == ("queued", "codt", 1)
    story = squad.json("alice", "message", sent["message"])
    assert story["text"] == "Col gardé, deux véhicules"
    assert story["expires_ms"] - story["created_ms"] == 7_200_000
    assert [each["name"] for each in story["recipients"]] == ["centre"]
    assert [each["event"] for each in story["ledger"]] == ["created", "sealed", "queued"]
    shown = squad.reads("alice", "message", "last")
    assert "Col gardé, deux véhicules" in shown
    assert "queued here" in shown
    assert "centre" in shown


def test_what_was_sent_is_found_by_any_part_of_its_name(squad: People) -> None:
    first = squad.json("alice", "send", "bob", "un")["message"]
    second = squad.json("alice", "send", "squad:Queyras", "deux")["message"]
    author, incarnation, number = second.split(".")
    assert squad.json("alice", "message", "last")["message"] == second
    assert squad.json("alice", "message", "1")["message"] == first
    for part in (f"{author[:4]}….{number}", f".{incarnation}.{number}", second.upper()):
        assert squad.json("alice", "message", part)["message"] == second
    assert "fits 2 messages" in squad.fails(2, "alice", "message", author[:6])
    assert "too short" in squad.fails(2, "alice", "message", "ab")
    for digits in (12, 40):
        assert "no message here" in squad.fails(2, "alice", "message", "9" * digits)
    assert "no message here" in squad.fails(2, "alice", "message", "abcdefgh")
    assert "nothing was sent" in squad.fails(2, "bob", "message", "last")
    unknown = f"{author}.{incarnation}.99"
    assert "is known on this device" in squad.fails(7, "alice", "message", unknown)


def test_what_cannot_be_sent_is_refused_with_the_reason(squad: People) -> None:
    assert "no device is called 'zoé'" in squad.fails(2, "alice", "send", "zoé", "x")
    assert "no squad 'Jura'" in squad.fails(2, "alice", "send", "squad:Jura", "x")
    assert "add --sos" in squad.fails(7, "alice", "send", "zone", "x")
    assert "empty" in squad.fails(7, "alice", "send", "bob", " ")
    assert "no length of time" in squad.fails(2, "alice", "send", "bob", "x", "--lifetime", "soon")
    assert "this very device" in squad.fails(7, "alice", "send", "alice", "x")
    assert squad.json("alice", "outbox")["messages"] == []


def test_the_outbox_shows_what_was_written(squad: People) -> None:
    assert squad.reads("alice", "outbox") == "No messages.\n"
    assert squad.reads("alice", "inbox") == "No messages.\n"
    squad.reads("alice", "send", "codt", "-", keyboard="de stdin\nsuite\n")
    squad.reads("alice", "send", "zone", "à l'aide", "--sos")
    squad.reads("alice", "send", "bob", "plus tard", "--priority", "low")
    shown = squad.reads("alice", "outbox").splitlines()
    assert shown[0].split() == ["no.", "written", "to", "state", "text"]
    assert [line.split("queued here")[1].strip() for line in shown[1:]] == [
        "de stdin suite",
        "SOS à l'aide",
        "plus tard",
    ]
    newest = squad.json("alice", "outbox", "--limit", "2")["messages"]
    assert [each["kind"] for each in newest] == ["sos", "note"]
    assert "alarm (SOS)" in squad.reads("alice", "message", "2")


def test_an_alarm_beyond_the_hour_says_that_it_waits(
    squad: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All of it happens in one hour.
    now_ms = system_runtime().now_ms()
    monkeypatch.setattr("meshnode.runtime._now_ms", lambda: now_ms)
    for number in range(QUOTA_HOUR_SOS):
        assert "Queued for" in squad.reads("alice", "send", "zone", f"aide {number}", "--sos")
    said = squad.reads("alice", "send", "zone", "encore", "--sos")
    assert "others take no more alarms of this device in this hour" in said
    assert "not sealed yet" in squad.reads("alice", "outbox")
    assert "waits for the next hour" in squad.reads("alice", "message", "last")
    sent = squad.json("alice", "send", "zone", "toujours", "--sos")
    assert (sent["state"], sent["is_held_back"]) == ("waiting", True)


def test_a_message_is_cancelled_once(squad: People) -> None:
    squad.reads("alice", "send", "bob", "oublie")
    assert squad.json("alice", "cancel", "last")["is_cancelled"] is True
    assert squad.json("alice", "message", "last")["state"] == "refused"
    again = squad.types("alice", "cancel", "last")
    assert (again.code, again.out) == (1, "")
    assert "Too late" in again.err
    squad.reads("alice", "send", "bob", "oublie aussi")
    assert squad.reads("alice", "cancel", "last").startswith("Cancelled: ")


def test_a_stick_carries_messages_and_brings_the_receipt_back(squad: People) -> None:
    stick = str(squad.folder / "carry.mesh")
    message = squad.json("alice", "send", "codt", "Par la clé")["message"]
    written = squad.json("alice", "export", stick)
    assert written["recipients"] == ["centre"]
    assert written["bundles"] >= 1
    assert squad.types("bob", "import", stick).code == 7
    taken = squad.json("centre", "import", stick)
    assert taken["bundles_stored"] >= 1
    assert squad.json("centre", "import", stick)["bundles_stored"] == 0
    (read,) = squad.json("centre", "inbox")["messages"]
    assert (read["text"], read["from"], read["message"]) == ("Par la clé", "alice", message)
    back = str(squad.folder / "back.mesh")
    assert "for alice." in squad.reads("centre", "export", back, "--to", "alice")
    assert "bundles taken" in squad.reads("alice", "import", back)
    story = squad.json("alice", "message", message)
    assert (story["state"], story["recipients"][0]["state"]) == ("delivered", "at gateway")
    shown = squad.reads("alice", "message", message)
    assert "at the gateway" in shown
    assert "receipt from centre" in shown
    assert "delivered to everybody" in shown


def test_what_a_person_was_shown_counts_as_read(squad: People) -> None:
    stick = str(squad.folder / "carry.mesh")
    squad.reads("alice", "send", "bob", "Lis-moi")
    squad.reads("alice", "export", stick, "--to", "bob")
    squad.reads("bob", "import", stick)
    assert [each["is_read"] for each in squad.json("bob", "inbox")["messages"]] == [False]
    shown = squad.reads("bob", "inbox", "--unread")
    assert "alice" in shown
    assert "Lis-moi" in shown
    assert squad.json("bob", "inbox", "--unread")["messages"] == []
    assert [each["is_read"] for each in squad.json("bob", "inbox")["messages"]] == [True]
    story = squad.reads("bob", "message", "1")
    assert "received from alice" in story
    assert "read here" in story


def test_status_and_peers_are_told_without_a_running_node(squad: People) -> None:
    shown = squad.reads("alice", "status")
    assert "agent of zone 7" in shown
    assert "Queyras" in shown
    assert "no: 'meshnode run' starts it" in shown
    status = squad.json("alice", "status")
    assert (status["name"], status["is_running"], status["network"]) == ("alice", False, "Alpes")
    assert squad.json("alice", "peers") == {"peers": []}
    assert squad.reads("alice", "peers") == "No device was met yet.\n"
    assert "no node runs" in squad.fails(8, "alice", "inbox", "--follow")


def test_people_read_french_where_they_ask_for_it(squad: People) -> None:
    squad.reads("alice", "send", "codt", "Bonjour")
    assert "en file ici" in squad.reads("alice", "--lang", "fr", "message", "last")
    assert "agent de la zone 7" in squad.reads("alice", "--lang=fr", "status")
    refused = squad.fails(2, "alice", "--lang", "fr", "send", "zoé", "x")
    assert refused.startswith("meshnode: aucun appareil ne s'appelle «\u00a0zoé\u00a0»")
    told = squad.types("alice", "--lang", "fr", "doctor").out
    assert "L'appareil est enrôlé." in told
    keys = json.loads(squad.reads("alice", "--lang", "fr", "status", "--json"))
    assert keys["name"] == "alice"
