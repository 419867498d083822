"""The whole way of enrolment through the commands that people type."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from meshnode import authority_keys
from meshnode.cli.main import app
from meshnode.enrol import is_enrolled, load_identity
from meshnode.vault import wrapping
from meshnode.vault.keystore import KeyStore
from protocol.enrolment import decode_documents_untrusted
from protocol.errors import EnrolmentError, MeshError
from protocol.ids import print_node_id
from tests.meshnode.enrolling import CHEAP, SECRET


class Person:
    """Types commands; each device and the authority have their own home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def types(self, home: str, *words: str, keyboard: str | None = None) -> Result:
        arguments = ["--home", str(self.folder / home), *words]
        return CliRunner().invoke(app, arguments, input=keyboard)

    def reads(self, home: str, *words: str, keyboard: str | None = None) -> str:
        result = self.types(home, *words, keyboard=keyboard)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout

    def json(self, home: str, *words: str) -> Any:
        found = json.loads(self.reads(home, *words, "--json"))
        assert found.pop("schema") == 1
        return found

    def fails(self, home: str, *words: str, keyboard: str | None = None) -> MeshError:
        error = self.types(home, *words, keyboard=keyboard).exception
        assert isinstance(error, MeshError), error
        return error

    def invites(self, name: str, role: str = "agent", *more: str) -> str:
        words = ["--name", name, "--role", role, "--device", "phone", *more]
        return self.reads("hq", "authority", "invite", *words).strip()


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Person:
    monkeypatch.setenv("MESHNODE_PASSPHRASE", "five quite ordinary words here")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(authority_keys, "SCRYPT_COST", 2)
    monkeypatch.setattr(wrapping, "AGENT_COST", CHEAP)
    monkeypatch.setenv("MESHNODE_SECRET", SECRET)
    person = Person(tmp_path)
    person.reads("hq", "authority", "init", "--network", "Alpes", "--zone", "7")
    return person


def test_a_device_is_enrolled_by_text_alone(person: Person) -> None:
    invitation = person.invites("alice", "agent", "--squad", "Queyras")
    person.reads("alice", "init")
    asked = person.json("alice", "enrol", invitation)
    assert asked["name"] == "alice"
    issued = person.json("hq", "authority", "issue", asked["request"], "--code", asked["code"])
    assert issued["code"] == asked["code"]
    enrolled = person.json("alice", "enrol", "--answer", issued["answer"])
    identity = load_identity(
        person.folder / "alice", KeyStore.open(person.folder / "alice").open_vault()
    )
    assert enrolled == {
        "name": "alice",
        "node": print_node_id(identity.node),
        "role": "agent",
        "zone": 7,
        "squads": ["Queyras"],
        "expires_ms": enrolled["expires_ms"],
    }


def test_a_device_is_enrolled_by_files_with_people_comparing(person: Person) -> None:
    folder = person.folder
    (folder / "invitation.txt").write_text(person.invites("centre", "gateway"))
    request, answer = str(folder / "request.txt"), str(folder / "answer.txt")
    person.reads("centre", "enrol", str(folder / "invitation.txt"), "--request-out", request)
    words = ("authority", "issue", request, "--out", answer)
    assert person.types("hq", *words, keyboard="n\n").exit_code != 0
    assert not Path(answer).exists()
    said = person.types("hq", *words, keyboard="y\n")
    assert said.exit_code == 0
    assert "Request of centre, gateway" in said.stderr
    shown = person.reads("centre", "enrol", "--answer", answer)
    assert "This device is 'centre', gateway of zone 7 of 'Alpes'." in shown


def test_a_pending_request_is_shown_again(person: Person) -> None:
    invitation = person.invites("box", "relay")
    first = person.reads("box", "enrol", invitation)
    assert person.reads("box", "enrol", invitation) == first
    assert person.reads("box", "enrol") == first
    other = person.reads("box", "enrol", person.invites("car", "relay"))
    assert other != first
    assert person.fails("new", "enrol").reason == "no_request"  # type: ignore[attr-defined]


def test_a_wrong_code_issues_nothing(person: Person) -> None:
    request = person.reads("box", "enrol", person.invites("box", "relay")).strip()
    error = person.fails("hq", "authority", "issue", request, "--code", "not it")
    assert isinstance(error, EnrolmentError)
    assert error.reason == "code"
    assert person.json("hq", "authority", "roster")["units"][0]["members"] == []
    person.reads("hq", "authority", "issue", "-", "--yes", keyboard=request)


def test_an_answer_that_was_lost_is_printed_again(person: Person) -> None:
    request = person.reads("box", "enrol", person.invites("box", "relay")).strip()
    person.reads("hq", "authority", "issue", request, "--yes")
    again = person.reads("hq", "authority", "issue", request)
    person.reads("box", "enrol", "--answer", again)
    assert is_enrolled(person.folder / "box")


def test_rosters_are_shown_exported_and_shortened(person: Person) -> None:
    for name, more in (("alice", ("agent", "--squad", "Queyras")), ("gate", ("gateway",))):
        request = person.reads(name, "enrol", person.invites(name, *more)).strip()
        answer = person.reads("hq", "authority", "issue", request, "--yes")
        person.reads(name, "enrol", "--answer", answer)
    shown = person.reads("hq", "authority", "roster")
    assert "Queyras (squad, zone 7, version 1)" in shown
    assert "Zone 7 (operations centre, zone 7, version 2)" in shown
    units = person.json("hq", "authority", "roster")["units"]
    assert [[member["name"] for member in unit["members"]] for unit in units] == [
        ["gate"],
        ["alice"],
    ]
    person.json("hq", "authority", "remove", "alice")
    assert "no roster" in person.reads("hq", "authority", "remove", "gate")
    path = person.folder / "documents.txt"
    person.reads("hq", "authority", "roster", "--export", str(path))
    assert len(decode_documents_untrusted(path.read_text())) == 3


def test_invitations_have_a_picture_and_a_json_form(person: Person) -> None:
    path = person.folder / "qr.png"
    words = ("--name", "léa", "--role", "leader", "--device", "tablet", "--squad", "Ubaye")
    found = person.json("hq", "authority", "invite", *words, "--qr-png", str(path))
    assert found["invitation"].startswith("MESHI1:")
    assert (found["name"], found["role"], found["device"]) == ("léa", "leader", "tablet")
    assert (found["zone"], found["squads"]) == (7, ["Ubaye"])
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_terminal_shows_qr_codes(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshnode.cli.texts.is_terminal", lambda: True)
    shown = person.invites("box", "relay")
    text, *picture = shown.splitlines()
    assert len(picture) > 15
    assert person.reads("box", "enrol", text).startswith("MESHR1:")


def test_a_home_is_made_once(person: Person) -> None:
    assert "is ready" in person.reads("new", "init")
    assert (person.folder / "new" / "meshnode.toml").exists()
    assert "nothing was changed" in person.reads("new", "init")
    assert person.json("new", "init")["is_new"] is False


def test_an_authority_says_what_it_is(person: Person) -> None:
    found = person.json(
        "other", "authority", "init", "--network", "Jura", "--zone", "3", "--zone-name", "Dole"
    )
    assert (found["network"], found["zone"]) == ("Jura", 3)
    units = person.json("other", "authority", "roster")["units"]
    assert [unit["name"] for unit in units] == ["Dole"]


def test_without_a_passphrase_nothing_starts(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MESHNODE_PASSPHRASE")
    assert "no passphrase" in str(person.fails("hq", "authority", "roster"))
