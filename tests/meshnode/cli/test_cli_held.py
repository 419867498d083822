"""`meshnode held`, and the secret that opens a device."""

from __future__ import annotations

import pytest

from meshnode.enrol import load_identity, open_keys
from meshnode.holdings import read_signed_untrusted
from meshnode.runtime import system_runtime
from meshnode.vault.keystore import KeyStore
from protocol.certificates import badge_key_untrusted
from tests.meshnode.cli.people import People

pytestmark = pytest.mark.slow


def test_what_is_held_is_counted_and_dated(squad: People) -> None:
    squad.reads("alice", "send", "bob", "un")
    found = squad.json("alice", "held")
    lines = {line["kind"]: line for line in found["held"]}
    assert lines["message"]["tier"] == "agent"
    assert lines["message"]["count"] >= 1
    assert lines["message"]["next_purge_ms"] > found["at_ms"]
    shown = squad.reads("alice", "held")
    assert "kept for one month after its lifetime ends" in shown
    assert "un" not in shown.split()


def test_the_answer_is_signed_by_the_device(squad: People) -> None:
    path = squad.folder / "held.signed"
    screen = squad.types("alice", "held", "--signed", str(path))
    assert (screen.code, str(path) in screen.err) == (0, True)
    home = squad.home("alice")
    vault = open_keys(home, system_runtime()).open_vault()
    badge = badge_key_untrusted(load_identity(home, vault).badge_chain[0])
    assert read_signed_untrusted(path.read_bytes(), badge).node
    assert "cannot be written" in squad.fails(2, "alice", "held", "--signed", str(squad.folder))


def test_a_locked_phone_tells_nothing(squad: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MESHNODE_SECRET")
    for words in (("inbox",), ("send", "bob", "un"), ("held", "--signed", "x")):
        assert "locked" in squad.fails(10, "alice", *words)
    monkeypatch.setenv("MESHNODE_SECRET", "not the secret at all")
    assert "not the secret" in squad.fails(10, "alice", "inbox")


def test_a_phone_needs_a_good_secret_and_a_box_none(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.reads("hq", "authority", "init", "--network", "Alpes", "--zone", "7")

    def invitation(name: str, device: str, role: str) -> str:
        words = ["--name", name, "--role", role, "--device", device]
        words += ["--squad", "Queyras"] if role == "agent" else []
        found = people.json("hq", "authority", "invite", *words)
        return str(found["invitation"])

    phone = invitation("phone", "phone", "agent")
    screen = people.types("phone", "enrol", phone, "--unattended")
    assert screen.code != 0
    assert "choose a secret" in screen.err
    monkeypatch.setenv("MESHNODE_SECRET", "short")
    assert "12 characters" in people.types("phone", "enrol", phone).err
    monkeypatch.delenv("MESHNODE_SECRET")
    assert "no secret" in people.types("phone", "enrol", phone).err
    assert not KeyStore.exists(people.home("phone"))
    secret = people.folder / "secret"
    secret.write_text("five words from a file\n")
    asked = people.json("phone", "enrol", phone, "--secret-file", str(secret))
    assert asked["request"]
    monkeypatch.setenv("MESHNODE_SECRET", "five other ordinary words")
    assert "not the secret" in people.types("phone", "enrol").err
    monkeypatch.setenv("MESHNODE_SECRET", "five words from a file")
    assert people.json("phone", "enrol")["request"] == asked["request"]
    monkeypatch.delenv("MESHNODE_SECRET")
    box = invitation("box", "box", "relay")
    request = people.json("box", "enrol", box, "--unattended")["request"]
    answer = people.json("hq", "authority", "issue", request, "--yes")["answer"]
    people.reads("box", "enrol", "--answer", answer)
    assert KeyStore.open(people.home("box")).is_unattended
    assert people.json("box", "held")["held"]
