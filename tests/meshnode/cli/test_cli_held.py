"""`meshnode held`, and the secret that opens a device."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshnode.enrol import load_identity, open_keys
from meshnode.holdings import read_signed_untrusted
from meshnode.runtime import system_runtime
from meshnode.vault.keystore import KeyStore
from protocol.canonical import as_array, as_bytes, as_uint, decode_untrusted, encode
from protocol.certificates import badge_key_untrusted
from protocol.ids import parse_node_id_untrusted
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


def test_a_signed_answer_is_verified_by_whoever_knows_the_device(
    squad: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    squad.reads("alice", "send", "bob", "un")
    path = squad.folder / "held.signed"
    answer = squad.json("alice", "held", "--signed", str(path))
    alice = squad.json("alice", "status")
    # Bob's phone is locked: it needs no secret to check what others signed.
    monkeypatch.delenv("MESHNODE_SECRET")
    unknown = squad.fails(2, "bob", "held", "--verify", str(path))
    assert "no roster here" in unknown, "alice came after the rosters that bob has"
    _bring_rosters(squad, "bob")
    found = squad.json("bob", "held", "--verify", str(path))
    assert (found["name"], found["node"]) == ("alice", alice["node"])
    assert found["is_revoked"] is False
    assert (found["at_ms"], found["held"]) == (answer["at_ms"], answer["held"])
    shown = squad.reads("bob", "held", "--verify", str(path))
    assert f"The signature holds: alice ({alice['node']}) said on 20" in shown
    assert "kept for one month after its lifetime ends" in shown
    french = squad.reads("bob", "--lang", "fr", "held", "--verify", str(path))
    assert "La signature est bonne" in french
    both = ("held", "--verify", str(path), "--signed", str(path))
    assert "give one of them" in squad.fails(2, "bob", *both)
    monkeypatch.setenv("MESHNODE_CARD_PASSPHRASE", "five quite ordinary words here")
    card = squad.home("hq") / "cards" / "operator-1.card"
    words = ("authority", "revoke", "alice", "--card", str(card), "--yes", "--out")
    squad.reads("hq", *words, str(squad.home("bob")))
    assert "This device is revoked" in squad.reads("bob", "held", "--verify", str(path))


def _bring_rosters(people: People, name: str) -> None:
    path = people.folder / "rosters"
    people.reads("hq", "authority", "roster", "--export", str(path))
    people.reads(name, "documents", "import", str(path))


def test_an_answer_that_proves_nothing_is_refused_in_one_sentence(squad: People) -> None:
    path, copy = squad.folder / "held.signed", squad.folder / "copy"
    squad.reads("alice", "held", "--signed", str(path))
    _bring_rosters(squad, "bob")
    good = path.read_bytes()
    record, signature = as_array(decode_untrusted(good, max_bytes=len(good)), "answer", 2)
    body = as_bytes(record, "record", len(good), 1)
    fields = as_array(decode_untrusted(body, max_bytes=len(body)), "record", 4)
    bob = parse_node_id_untrusted(squad.json("bob", "status")["node"])
    later = encode([fields[0], fields[1], as_uint(fields[2], "time") + 1, fields[3]])
    forged = {
        "of another time": encode([later, signature]),
        "in the name of bob": encode([encode([fields[0], bob, *fields[2:]]), signature]),
        "signed by nobody": encode([record, bytes(64)]),
    }
    stranger = encode([encode([fields[0], b"s" * 16, *fields[2:]]), signature])
    cut = {"empty": b"", "cut": good[:-1], "longer": good + b"x", "large": bytes(20_000)}
    for raw in forged.values():
        copy.write_bytes(raw)
        assert "was changed, or another" in squad.fails(2, "bob", "held", "--verify", str(copy))
    for raw in cut.values():
        copy.write_bytes(raw)
        assert "no whole answer" in squad.fails(2, "bob", "held", "--verify", str(copy))
    copy.write_bytes(stranger)
    assert "no roster here" in squad.fails(2, "bob", "held", "--verify", str(copy))
    for nothing in (squad.folder, squad.folder / "nothing", Path("/dev/zero")):
        assert "cannot be read" in squad.fails(7, "bob", "held", "--verify", str(nothing))


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
