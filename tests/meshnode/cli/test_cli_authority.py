"""Revoking, wiping, beacons, cards, replacing and unit authorities, as people type them."""

from __future__ import annotations

import io
import json
import shutil
import time
from pathlib import Path

import pytest

from meshnode import authority_keys
from meshnode.cli.asking import confirmed
from meshnode.cli.language import speak
from meshnode.cli.main import execute
from protocol.authority import DocumentClass, decode_untrusted
from protocol.enrolment import decode_documents_untrusted
from protocol.ids import print_node_id
from protocol.orders import decode_revocation_untrusted, decode_wipe_untrusted
from tests.meshnode.cli.people import SETTINGS, People

CARD_SECRET = "the card's own six words are these"


@pytest.fixture
def office(squad: People, monkeypatch: pytest.MonkeyPatch) -> People:
    """The squad's authority with every card still in its folder, under its own passphrase."""
    monkeypatch.setenv("MESHNODE_CARD_PASSPHRASE", "five quite ordinary words here")
    return squad


def card(people: People, label: str) -> str:
    return str(people.home("hq") / "cards" / f"{label}.card")


def in_file(path: Path) -> list[DocumentClass]:
    return [decode_untrusted(raw).cls for raw in decode_documents_untrusted(path.read_text())]


def roster_names(people: People) -> set[str]:
    units = people.json("hq", "authority", "roster")["units"]
    return {member["name"] for unit in units for member in unit["members"]}


# --- revoking ----------------------------------------------------------------------------------


def test_a_lost_phone_is_revoked_once_a_person_has_read_what_happens(office: People) -> None:
    words = ("authority", "revoke", "alice", "--card", card(office, "operator-1"))
    refused = office.types("hq", *words, keyboard="n\n")
    assert refused.code != 0
    assert "The card operator-1 (operator 1) will revoke:" in refused.err
    assert "alice" in refused.err
    assert "alice" in roster_names(office)
    path = office.folder / "revocation.txt"
    done = office.types("hq", *words, "--out", str(path), keyboard="y\n")
    assert done.code == 0, done
    assert "Revoked: alice (version 1)." in done.out
    assert "alice" not in roster_names(office)
    assert in_file(path) == [DocumentClass.REVOCATION], "rosters go on telling whose key is whose"
    taken = office.json("bob", "documents", "import", str(path))
    assert taken["taken"] == taken["documents"]
    assert office.json("bob", "documents", "import", str(path))["taken"] == 0


def test_the_last_good_message_or_moment_is_in_the_list(office: People) -> None:
    node = office.json("alice", "status")["node"]
    sent = office.json("alice", "send", "codt", "hello")["message"]
    path = office.folder / "revocation.txt"
    words = ("authority", "revoke", node, "--card", card(office, "operator-1"), "--yes")
    office.json("hq", *words, "--last-good", sent, "--out", str(path))
    document = decode_untrusted(decode_documents_untrusted(path.read_text())[0])
    (entry,) = decode_revocation_untrusted(document.body).entries
    assert (str(entry.incarnation), str(entry.last_seq)) == tuple(sent.split(".")[1:])
    bob = ("authority", "revoke", "bob", "--card", card(office, "operator-1"), "--yes")
    assert "another device" in office.types("hq", *bob, "--last-good", sent).err
    assert "future" in office.types("hq", *bob, "--last-good", "2999-01-01").err
    assert "no moment" in office.types("hq", *bob, "--last-good", "yesterday").err
    office.json("hq", *bob, "--last-good", "2020-01-01T12:00", "--out", str(path))
    document = decode_untrusted(decode_documents_untrusted(path.read_text())[0])
    assert document.version == 2
    assert len(decode_revocation_untrusted(document.body).entries) == 2


def test_who_revokes_reads_what_of_the_device_is_still_believed(office: People) -> None:
    """A moment saves no message, only a number does: whoever signs is told so before."""
    sent = office.json("alice", "send", "codt", "hello")["message"]
    words = ("authority", "revoke", "alice", "--card", card(office, "operator-1"))
    for more in ((), ("--last-good", "2020-01-01T12:00")):
        said = office.types("hq", *words, *more, keyboard="n\n").err
        assert "Nothing of it that comes from now on is believed, whenever it was written." in said
        assert "give the id of its last good message with --last-good" in said
    said = office.types("hq", *words, "--last-good", sent, keyboard="n\n").err
    assert f"Its messages up to {sent} are believed." in said
    assert "Nothing of it" not in said
    assert "in good hands until" not in said, "nobody said when"


@pytest.mark.parametrize(
    ("language", "typed", "is_signed"),
    [
        ("fr", "o", True),
        ("fr", "Oui", True),
        ("en", "YES", True),
        ("en", "oui", False),
        ("fr", "non", False),
        ("fr", "", False),
        ("en", "yy", False),
    ],
)
def test_a_question_is_answered_in_the_language_it_is_asked_in(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    language: str,
    typed: str,
    *,
    is_signed: bool,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{typed}\nn\n"))
    speak(language)
    try:
        assert confirmed("?") is is_signed
    finally:
        speak("en")
    assert {"fr": "[o/N]", "en": "[y/N]"}[language] in capsys.readouterr().err


def test_an_operator_revokes_from_a_node_with_nothing_but_a_card(office: People) -> None:
    rosters = office.folder / "rosters.txt"
    office.reads("hq", "authority", "roster", "--export", str(rosters))
    office.json("centre", "documents", "import", str(rosters))
    before = office.json("centre", "status")["documents"]
    words = ("authority", "revoke", "alice", "--card", card(office, "operator-1"), "--yes")
    assert office.json("centre", *words)["version"] == 1
    assert office.json("centre", "status")["documents"] == before + 1
    again = office.types("centre", *words)
    assert again.code != 0
    assert "already" in again.err
    # The card knows what it signed, wherever it is used next.
    words = ("authority", "revoke", "bob", "--card", card(office, "operator-1"), "--yes")
    assert office.json("hq", *words)["version"] == 2


# --- wiping ------------------------------------------------------------------------------------


def test_a_wipe_takes_two_persons_and_a_typed_name(office: People) -> None:
    order = office.folder / "order.txt"
    words = ("wipe", "alice", "--level", "all", "--card", card(office, "wipe-1"))
    asked = office.types("hq", "authority", *words, "--out", str(order), keyboard="yes\n")
    assert asked.code != 0
    assert "Nothing on them comes back" in asked.err
    assert not order.exists()
    said = office.types("hq", "authority", *words, "--out", str(order), keyboard="alice\n")
    assert said.code == 0, said
    assert "1 of 2 signatures" in said.out
    half = office.types("bob", "documents", "import", str(order), "--json")
    assert half.code == 1, "something is to be done"
    assert json.loads(half.out)["refused"] == {"signatures": 1}

    def cosigns(label: str, name: str) -> tuple[int, str]:
        command = ("authority", "cosign", str(order), "--card", card(office, label))
        screen = office.types("hq", *command, keyboard=f"{name}\n")
        return screen.code, screen.err + screen.out

    code, shown = cosigns("wipe-1", "alice")
    assert code != 0
    assert "another person" in shown
    code, shown = cosigns("operator-1", "alice")
    assert code != 0
    assert "one of kind 'wipe'" in shown
    code, shown = cosigns("wipe-2", "bob")
    assert code != 0
    code, shown = cosigns("wipe-2", "Alice")
    assert code == 0, shown
    assert office.json("alice", "status")["node"] in shown
    assert "The order is complete" in shown
    assert office.json("bob", "documents", "import", str(order))["taken"] == 1
    raw = decode_documents_untrusted(order.read_text())[0]
    assert len(decode_wipe_untrusted(decode_untrusted(raw).body).devices) == 1


def test_nobody_wipes_all_or_more_than_ten(office: People, tmp_path: Path) -> None:
    words = ["wipe", "--level", "agent", "--card", card(office, "wipe-1"), "--yes"]
    words += ["--out", str(tmp_path / "order")]
    assert execute(["--home", str(office.home("hq")), "authority", *words]) == 2
    nodes = [f"{letter * 25}a" for letter in "abcdefghijk"]
    many = office.types("hq", "authority", *words, *nodes)
    assert "devices of a wipe order is 11, the limit is 10" in many.err
    assert office.types("hq", "authority", *words, "all").code != 0


# --- beacons and cards -------------------------------------------------------------------------


def test_a_beacon_is_signed_and_taken(office: People) -> None:
    words = ("authority", "beacon", "--card", card(office, "operator-1"))
    path = office.folder / "beacon.txt"
    first = office.json("hq", *words, "--out", str(path))
    assert office.json("bob", "documents", "import", str(path))["taken"] == 1
    assert office.json("bob", *words)["version"] > first["version"]
    assert office.json("hq", "authority", "take", str(path))["taken"] == 0


def test_whoever_works_with_an_older_copy_of_the_folder_is_told(office: People) -> None:
    shutil.copytree(office.home("hq"), office.home("older"))
    office.enrol("eva", "agent", "Queyras")
    path = office.folder / "field.txt"
    office.reads("hq", "authority", "roster", "--export", str(path))
    told = office.types("older", "authority", "take", str(path))
    assert told.code == 1, "something is to be done"
    assert "Refused: this folder is an older copy" in told.out
    assert office.types("hq", "authority", "take", str(path)).code == 0


def test_a_card_leaves_the_folder_for_its_holder(
    office: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    stick = office.folder / "stick"
    words = ("authority", "card", "wipe-1", "--holder", "Léa", "--out", str(stick))
    assert "nobody else knows" in office.types("hq", *words).err
    monkeypatch.setenv("MESHNODE_CARD_PASSPHRASE", CARD_SECRET)
    assert office.json("hq", *words)["holder"] == "Léa"
    assert not Path(card(office, "wipe-1")).exists()
    shown = office.json("hq", "authority", "cards")["cards"]
    handed = [each["card"] for each in shown if each["is_handed_over"]]
    assert (handed, len(shown)) == (["wipe-1"], 7)
    assert "handed over" in office.reads("hq", "authority", "cards")
    assert "handed over" in office.types("hq", *words).err
    wipe = ["authority", "wipe", "bob", "--level", "agent", "--card", str(stick), "--yes"]
    assert office.json("hq", *wipe, "--out", str(office.folder / "order"))["signed"] == 1
    monkeypatch.setenv("MESHNODE_CARD_PASSPHRASE", "five quite ordinary words here")
    assert office.types("hq", *wipe, "--out", str(office.folder / "order")).code == 4


def test_operators_come_and_go(office: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHNODE_CARD_PASSPHRASE", CARD_SECRET)
    path = office.folder / "operator-2"
    added = office.json("hq", "authority", "add-operator", "Ugo", "--out", str(path))
    assert (added["card"], added["root_version"]) == ("operator-2", 2)
    words = ("authority", "revoke", "alice", "--card", str(path), "--yes")
    office.json("hq", *words)
    path_of_all = office.folder / "all.txt"
    dropped = office.json("hq", "authority", "drop-operator", "2", "--yes")
    assert dropped["to_revoke"] == 1
    office.reads("hq", "authority", "roster", "--export", str(path_of_all))
    office.json("bob", "documents", "import", str(path_of_all))
    assert office.types("bob", "send", "alice", "hello").code != 0, "nothing else keeps it out"
    assert "alice" not in roster_names(office)
    assert "does not name the card" in office.types("hq", *words).err
    assert office.types("hq", "authority", "drop-operator", "1", "--yes").code == 4
    monkeypatch.setenv("MESHNODE_CARD_PASSPHRASE", "five quite ordinary words here")
    waiting = ("authority", "revoke", "--card", card(office, "operator-1"), "--yes")
    assert office.json("hq", *waiting)["subjects"] == ["alice"]
    assert office.types("hq", *waiting).code != 0


def test_holders_of_the_root_come_with_their_cards(
    office: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    sticks = [office.folder / f"root-{number}" for number in (1, 2)]
    secrets = [office.folder / f"secret-{number}" for number in (1, 2)]
    for number, (stick, secret) in enumerate(zip(sticks, secrets, strict=True), 1):
        secret.write_text(f"{CARD_SECRET} {number}\n")
        asked = ("--holder", f"h{number}", "--card-passphrase-file", str(secret))
        office.json("hq", "authority", "card", f"root-{number}", "--out", str(stick), *asked)
    monkeypatch.setenv("MESHNODE_CARD_PASSPHRASE", CARD_SECRET)
    add = ("authority", "add-operator", "Ugo", "--out", str(office.folder / "ugo"))
    refused = office.types("hq", *add)
    assert (refused.code, "1 of 2 root cards are here" in refused.err) == (4, True), refused
    one = ("--root-card", str(sticks[1]), "--root-passphrase-file", str(secrets[1]))
    assert office.json("hq", *add, *one)["root_version"] == 2
    both = [*one, "--root-card", str(sticks[0]), "--root-passphrase-file", str(secrets[0])]
    assert office.types("hq", "authority", "renew-root", *both, keyboard="n\n").code != 0
    assert office.json("hq", "authority", "renew-root", *both, "--yes")["root_epoch"] == 2
    refused = office.types("hq", "authority", "drop-operator", "2", "--yes", *both)
    assert "does not name the card 'root-2'" in refused.err
    assert "signs nothing" in office.reads("hq", "authority", "drop-operator", "2", "--yes")
    path = office.folder / "all.txt"
    office.reads("hq", "authority", "roster", "--export", str(path))
    found = office.json("bob", "documents", "import", str(path))
    assert (found["taken"], found["refused"]) == (found["documents"], {})
    assert office.json("bob", "send", "alice", "still here")["recipients"] == 1


# --- replacing ---------------------------------------------------------------------------------


def granted(people: People, issuer: str, name: str, invitation: str) -> None:
    people.reads(name, "init")
    (people.home(name) / "meshnode.toml").write_text(SETTINGS)
    asked = people.json(name, "enrol", invitation)
    code = ("--code", asked["code"])
    answer = people.json(issuer, "authority", "issue", asked["request"], *code)["answer"]
    people.reads(name, "enrol", "--answer", answer)


def test_a_new_phone_has_the_name_of_one_that_was_revoked(office: People) -> None:
    old = office.json("alice", "status")["node"]
    revoke = ("authority", "revoke", "alice", "--card", card(office, "operator-1"), "--yes")
    office.json("hq", *revoke)
    assert office.types("hq", "authority", "replace", "alice").code != 0
    asked = ("--name", "alice", "--role", "agent", "--device", "phone", "--squad", "Queyras")
    granted(office, "hq", "alice2", office.json("hq", "authority", "invite", *asked)["invitation"])
    new = office.json("alice2", "status")["node"]
    units = office.json("hq", "authority", "roster")["units"]
    nodes = {each["node"] for unit in units for each in unit["members"] if each["name"] == "alice"}
    assert nodes == {new}
    path = office.folder / "all.txt"
    office.reads("hq", "authority", "roster", "--export", str(path))
    office.json("bob", "documents", "import", str(path))
    assert office.json("bob", "send", "alice", "welcome back")["recipients"] == 1
    assert office.types("bob", "send", old, "are you there?").code != 0
    # The name means the new phone, for the next loss as well.
    order = office.folder / "order.txt"
    words = ("authority", "wipe", "alice", "--level", "all", "--card", card(office, "wipe-1"))
    office.json("hq", *words, "--yes", "--out", str(order))
    (raw,) = decode_documents_untrusted(order.read_text())
    named = decode_wipe_untrusted(decode_untrusted(raw).body).devices
    assert [print_node_id(node) for node in named] == [new]
    assert office.json("hq", *revoke)["version"] == 2


def test_a_new_phone_takes_the_place_of_a_lost_one(office: People) -> None:
    old = office.json("alice", "status")["node"]
    invitation = office.json("hq", "authority", "replace", "alice")["invitation"]
    assert "alice" in roster_names(office)
    granted(office, "hq", "alice2", invitation)
    units = office.json("hq", "authority", "roster")["units"]
    nodes = {member["node"] for unit in units for member in unit["members"]}
    assert old not in nodes
    assert "alice" in roster_names(office)
    words = ("authority", "revoke", "--card", card(office, "operator-1"))
    said = office.types("hq", *words, keyboard="y\n")
    assert said.code == 0, said
    assert office.json("alice2", "status")["name"] == "alice"
    assert "alice" in roster_names(office)


# --- units -------------------------------------------------------------------------------------


def test_a_leader_enrols_in_the_field_and_the_region_adopts(office: People) -> None:
    office.enrol("lea", "leader", "Queyras")
    asked = office.json("lea", "authority", "unit-request")
    words = ("authority", "unit", "lea", "--request", asked["request"])
    assert "digits differ" in office.types("hq", *words, "--code", "000 00x").err
    grant = office.json("hq", *words, "--code", asked["code"])
    assert grant["squads"] == ["Queyras"]
    assert office.json("lea", "authority", "unit-accept", grant["grant"])["zone"] == 7

    invite = ("authority", "invite", "--device", "phone", "--name", "newcomer")
    for role, squad in (("leader", "Queyras"), ("agent", "Ubaye"), ("gateway", "Queyras")):
        beyond = office.fails(4, "lea", *invite, "--role", role, "--squad", squad)
        assert "ask the region" in beyond
        assert "enrolled again" not in beyond, "no new enrolment widens a unit"
    assert "'Ubaye'" in office.fails(4, "lea", *invite, "--role", "agent", "--squad", "Ubaye")
    elsewhere = office.fails(4, "hq", *words, "--code", asked["code"], "--squad", "Ubaye")
    assert "Queyras" in elsewhere
    assert "enrolled again" not in elsewhere
    invitation = office.json("lea", *invite, "--role", "agent", "--squad", "Queyras")
    granted(office, "lea", "newcomer", invitation["invitation"])
    # The leader's node holds the pass; the squad learns of it on the next contact.
    path = office.folder / "of-lea.txt"
    office.json("lea", "documents", "export", str(path))
    assert DocumentClass.PASS in in_file(path)
    assert office.json("bob", "documents", "import", str(path))["taken"] > 0

    replaced = office.json("lea", "authority", "replace", "bob")["invitation"]
    granted(office, "lea", "bob2", replaced)
    assert "ask the region" in office.fails(4, "lea", "authority", "replace", "centre")
    assert office.types("lea", "authority", "remove", "bob").code == 4

    report = office.json("lea", "authority", "report")["report"]
    taken = office.json("hq", "authority", "adopt", report)
    assert taken == {"names": ["newcomer", "bob"], "replaced": ["bob"], "known": 0}
    again = office.json("hq", "authority", "adopt", report)
    assert again == {"names": [], "replaced": [], "known": 2}
    units = office.json("hq", "authority", "roster")["units"]
    nodes = {each["node"] for unit in units for each in unit["members"] if each["name"] == "bob"}
    assert nodes == {office.json("bob2", "status")["node"]}
    journal = office.json("hq", "authority", "log")["journal"]
    actions = [each["action"] for each in journal]
    assert actions[0] == "founded"
    reasons = [each["subject"] for each in journal if each["action"] == "refused"]
    assert reasons == ["code", "rights"], "the digits of the unit's request, and a foreign squad"
    assert office.json("hq", "authority", "log")["refusals"] == {"code": 1, "rights": 1}
    assert "granted" in actions
    assert "adopted" in office.reads("hq", "authority", "log")

    _hears_of_the_unit(office)
    revoke = ("authority", "revoke-unit", "lea", "--card", card(office, "operator-1"))
    for node in ("centre", "lea"):
        at_a_node = office.fails(4, node, *revoke, "--yes")
        assert "granted no unit authority" not in at_a_node, "it was granted"
        assert "folder of the region" in at_a_node
    said = office.types("hq", *revoke, keyboard="y\n")
    assert said.code == 0, said
    assert "with newcomer" in said.err
    assert "newcomer" not in roster_names(office)
    path = office.folder / "all.txt"
    office.reads("hq", "authority", "roster", "--export", str(path))
    assert office.json("lea", "documents", "import", str(path))["taken"] > 0
    refused = office.types("lea", *invite, "--role", "agent", "--squad", "Queyras")
    assert "revoked" in refused.err


def _hears_of_the_unit(office: People) -> None:
    """Who has the leader's phone has the unit authority: whoever revokes the one hears of it."""
    lost = ("authority", "revoke", "lea", "bob", "--card", card(office, "operator-1"), "--yes")
    shutil.copytree(office.home("hq"), office.home("hq-before"))
    rosters = office.folder / "rosters-of-all.txt"
    office.reads("hq", "authority", "roster", "--export", str(rosters))
    office.json("centre", "documents", "import", str(rosters))
    for place in ("hq", "centre"):
        told = office.types(place, *lost).err
        assert "meshnode authority revoke-unit lea" in told, place
        assert "revoke-unit bob" not in told, "no leader"
    shutil.rmtree(office.home("hq"))
    office.home("hq-before").rename(office.home("hq"))


def test_digits_that_differ_stand_in_the_log(office: People) -> None:
    words = ("authority", "invite", "--device", "phone", "--name", "zoe", "--role", "agent")
    invitation = office.json("hq", *words, "--squad", "Queyras")["invitation"]
    office.reads("zoe", "init")
    asked = office.json("zoe", "enrol", invitation)
    issue = ("authority", "issue", asked["request"])
    assert "digits differ" in office.fails(4, "hq", *issue, "--code", "00000x")
    assert office.types("hq", *issue, keyboard="n\n").code == 4
    log = office.json("hq", "authority", "log")
    assert [(each["action"], each["subject"]) for each in log["journal"][-2:]] == [
        ("refused", "code")
    ] * 2
    assert log["refusals"] == {"code": 2}
    assert "times refused" in office.reads("hq", "authority", "log")


def test_pictures_are_made_of_requests_that_fit(office: People, tmp_path: Path) -> None:
    words = ("--name", "box", "--role", "relay", "--device", "box")
    invitation = office.json("hq", "authority", "invite", *words)["invitation"]
    path = tmp_path / "request.png"
    office.json("box", "enrol", invitation, "--qr-png", str(path))
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_enrolment_is_five_commands_and_a_few_seconds_of_work(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The real price of the passphrase: two minutes are for people, not for machines.
    monkeypatch.setattr(authority_keys, "SCRYPT_COST", 2**16)
    people.reads("hq", "authority", "init", "--network", "Alpes", "--zone", "7")
    began_s = time.process_time()
    words = ("--name", "a", "--role", "agent", "--device", "phone", "--squad", "Queyras")
    commands = [("hq", "authority", "invite", *words), ("a", "init")]
    invitation, _ready = (people.reads(*command).strip() for command in commands)
    asked = people.json("a", "enrol", invitation)
    code = ("--code", asked["code"])
    answer = people.json("hq", "authority", "issue", asked["request"], *code)["answer"]
    assert people.json("a", "enrol", "--answer", answer)["name"] == "a"
    assert time.process_time() - began_s < 5.0
