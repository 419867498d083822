"""A further zone by the commands that people type, and two zones whose nodes meet."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from meshnode.authority_home import AuthorityHome
from meshnode.node import Node
from protocol.authority import DocumentClass, build
from protocol.enrolment import encode_documents
from tests.meshnode.cli.conftest import set_up
from tests.meshnode.cli.people import People
from tests.meshnode.cli.test_cli_running import running, told, typed

pytestmark = [pytest.mark.slow]
ZONE = ("authority", "zone")


def asks(people: People, home: str, number: int, name: str) -> tuple[str, str]:
    """Make a request; return its path and its digits."""
    path = str(people.folder / f"{home}-request.txt")
    place = ("--zone", str(number), "--name", name)
    return path, people.json(home, *ZONE, "request", *place, "--out", path)["code"]


def makes(people: People, home: str, number: int, name: str) -> dict[str, Any]:
    """Make the folder of a further zone, and give its root to the devices of the first."""
    request, code = asks(people, home, number, name)
    answer = str(people.folder / f"{home}-answer.txt")
    given = people.json("hq", *ZONE, "certify", request, "--code", code, "--out", answer)
    made: dict[str, Any] = people.json(home, *ZONE, "accept", answer, "--code", given["code"])
    return made


def spread(people: People, issuer: str, *homes: str) -> None:
    """Bring the documents of a folder to devices that were enrolled before."""
    path = str(people.folder / f"{issuer}-documents.txt")
    people.reads(issuer, "authority", "roster", "--export", path)
    for home in homes:
        found = people.json(home, "documents", "import", path)
        assert found["refused"] == {}, found


@pytest.fixture(scope="module")
def made(squad_homes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        set_up(patch)
        people = People(tmp_path_factory.mktemp("country"))
        shutil.copytree(squad_homes, people.folder, dirs_exist_ok=True)
        found = makes(people, "west", 8, "Maurienne")
        assert (found["network"], found["zone"], found["name"]) == ("Alpes", 8, "Maurienne")
        people.enrol("yann", "agent", "Modane", issuer="west")
        spread(people, "hq", "alice", "centre")
        yield people.folder


@pytest.fixture
def country(people: People, made: Path) -> People:
    """People with the homes of a network of two zones."""
    shutil.copytree(made, people.folder, dirs_exist_ok=True)
    return people


# --- commands ----------------------------------------------------------------------------------


def test_people_compare_digits_at_both_ends(people: People) -> None:
    people.reads("hq", "authority", "init", "--network", "Alpes", "--zone", "7")
    request, code = asks(people, "west", 8, "Maurienne")
    answer = str(people.folder / "answer.txt")
    certify = (*ZONE, "certify", request, "--out", answer)
    wrong = f"{(int(code) + 1) % 10**20:020d}"
    refused = people.types("hq", *certify, "--code", wrong)
    assert (refused.code, "not that zone's request" in refused.err) == (4, True), refused
    assert not Path(answer).exists()
    assert people.types("hq", *certify, keyboard="n\n").code == 4
    assert [each["zone"] for each in people.json("hq", "authority", "zones")["zones"]] == []
    shown = people.types("hq", *certify, keyboard="y\n")
    assert shown.code == 0, shown
    assert "Zone 8 'Maurienne': does it read" in shown.err
    digits = shown.err.split("Read these digits to the zone: ")[1].strip()
    accept = (*ZONE, "accept", answer)
    refused = people.types("west", *accept, "--code", code)
    assert (refused.code, "not the answer that was given" in refused.err) == (4, True), refused
    assert people.types("west", *accept, keyboard="n\n").code == 4
    assert not (people.home("west") / "authority").exists()
    taken = people.types("west", *accept, keyboard="y\n")
    assert taken.code == 0, taken
    assert digits in taken.err
    log = [each["action"] for each in people.json("hq", "authority", "log")["journal"]]
    assert log == ["founded", "refused", "refused", "zoned"]


def test_a_zone_is_listed_bound_and_dropped(country: People) -> None:
    (zone,) = country.json("hq", "authority", "zones")["zones"]
    assert (zone["zone"], zone["name"], zone["is_dropped"]) == (8, "Maurienne", False)
    assert country.json("west", "authority", "zones")["is_further"] is True
    assert "this folder" in country.reads("west", "authority", "zones")
    (card,) = country.json("west", "authority", "cards")["cards"]
    assert (card["card"], card["is_handed_over"]) == ("operator-1", False)
    answer = str(country.folder / "again.txt")
    request = str(country.folder / "west-request.txt")
    again = country.json("hq", *ZONE, "certify", request, "--out", answer)
    assert again["root_version"] == 2, "the same request signs no root again"
    other, code = asks(country, "other", 8, "Maurienne")
    refused = country.types("hq", *ZONE, "certify", other, "--code", code, "--out", answer)
    assert "zone 8 has an authority already" in refused.err
    for words in (("renew-root", "--yes"), ("zone", "drop", "8", "--yes")):
        refused = country.types("west", "authority", *words)
        assert (refused.code, "signs no root" in refused.err) == (4, True), refused
    assert country.types("hq", *ZONE, "drop", "8", keyboard="n\n").code != 0
    assert "in the root no more" in country.reads("hq", *ZONE, "drop", "8", "--yes")
    assert "dropped" in country.reads("hq", "authority", "zones")
    refused = country.types("hq", *ZONE, "certify", request, "--code", code, "--out", answer)
    assert "was answered before" in refused.err
    invite = ("authority", "invite", "--name", "zoe", "--role", "agent", "--device", "phone")
    path = str(country.folder / "root.txt")
    country.reads("hq", "authority", "roster", "--export", path)
    country.reads("west", "authority", "take", path)
    refused = country.types("west", *invite, "--squad", "Modane")
    assert "names this zone no longer" in refused.err


def test_a_lost_card_of_a_zone_is_replaced(
    country: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MESHNODE_CARD_PASSPHRASE", "known to Paul and to nobody else")
    request, answer = (str(country.folder / name) for name in ("cards.txt", "answer.txt"))
    wish = ("--add-operator", "Paul", "--drop-operator", "1")
    refused = country.types("west", *ZONE, "renew", "--drop-operator", "1", "--out", request)
    assert (refused.code, "0 operators' cards would remain" in refused.err) == (4, True), refused
    code = country.json("west", *ZONE, "renew", *wish, "--out", request)["code"]
    shown = country.types("hq", *ZONE, "certify", request, "--out", answer, keyboard="y\n")
    assert shown.code == 0, shown
    assert "It asks for operators' cards: 1 more, and 1 that count no longer." in shown.err
    assert code in "".join(shown.err.split())
    digits = shown.err.split("Read these digits to the zone: ")[1].strip()
    taken = country.types("west", *ZONE, "accept", answer, "--code", digits)
    assert taken.code == 0, taken
    assert "meshnode authority card operator-2 --holder NAME --out FILE" in taken.out
    cards = country.json("west", "authority", "cards")["cards"]
    assert [(each["card"], each["holder"]) for each in cards] == [("operator-2", "Paul")]
    (zone,) = country.json("hq", "authority", "zones")["zones"]
    assert (zone["zone"], zone["operators"], zone["is_dropped"]) == (8, 1, False)
    card = str(country.folder / "paul.card")
    country.reads("west", "authority", "card", "operator-2", "--holder", "Paul", "--out", card)
    country.reads("west", "authority", "beacon", "--card", card)
    spread(country, "west", "yann", "alice")


def test_a_roster_that_another_zone_signed_is_refused_by_a_device(country: People) -> None:
    secret = os.environ["MESHNODE_PASSPHRASE"]
    with AuthorityHome.open(country.home("hq"), secret, os.urandom) as national:
        roster = next(each for each in national.rosters() if each.members)
    with AuthorityHome.open(country.home("west"), secret, os.urandom) as thief:
        empty, at = replace(roster, members=()), (1, 99)
        forged = build(
            DocumentClass.ROSTER, empty.scope, at, 1, empty.encode(), thief._roster_signers()
        )
    path = country.folder / "forged.txt"
    path.write_text(encode_documents([forged.raw]))
    refused = country.types("alice", "documents", "import", str(path), "--json")
    found = json.loads(refused.out)
    assert (refused.code, found["taken"], found["refused"]) == (1, 0, {"signatures": 1})


# --- nodes -------------------------------------------------------------------------------------


@asynccontextmanager
async def two(people: People) -> AsyncIterator[tuple[Node, str]]:
    async with running(people, "yann") as yann:
        yield yann, str(yann.manager.listening[0])


@pytest.mark.real
async def test_an_sos_crosses_the_border_on_devices_of_the_other_zone(country: People) -> None:
    assert (await told(country, "yann", "status"))["zone"] == 8
    await told(country, "alice", "sos", "Chute au col", "--at", "44.89,6.64")
    async with two(country) as (_node, address):
        met = await told(country, "alice", "sync", "--once", address)
        assert (met["name"], met["is_complete"]) == ("yann", True)
        assert (await told(country, "yann", "alarms"))["alarms"] == [], "its key is zone 7's"
        peers = (await told(country, "alice", "peers"))["peers"]
        assert [(each["name"], each["is_revoked"]) for each in peers] == [("yann", False)]
        met = await told(country, "centre", "sync", "--once", address)
        assert met["is_complete"] is True
    (alarm,) = (await told(country, "centre", "alarms"))["alarms"]
    assert alarm["text"] == "Chute au col"


@pytest.mark.real
async def test_a_device_without_the_new_root_meets_nobody_of_the_new_zone(
    country: People,
) -> None:
    async with two(country) as (_node, address):
        assert (await typed(country, "bob", "sync", "--once", address)).code == 5
    await trio.to_thread.run_sync(spread, country, "hq", "bob")
    async with two(country) as (_node, address):
        assert (await told(country, "bob", "sync", "--once", address))["is_complete"] is True


@pytest.mark.real
async def test_a_dropped_zone_is_met_by_nobody(country: People) -> None:
    country.reads("hq", *ZONE, "drop", "8", "--yes")
    await trio.to_thread.run_sync(spread, country, "hq", "alice")
    async with two(country) as (_node, address):
        assert (await typed(country, "alice", "sync", "--once", address)).code == 5
