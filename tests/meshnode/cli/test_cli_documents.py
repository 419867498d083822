"""`meshnode documents import` as people type it: what was taken, what was not, and what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from meshnode.cli.documents import REASONS
from meshnode.membership import reason_of
from protocol.errors import DocumentError, IdentityError, MalformedError
from protocol.limits import ANSWER_BYTES_MAX
from tests.meshnode.cli.people import People
from tests.meshnode.cli.test_cli_authority import card

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cards lie in the authority's folder, under its passphrase."""
    monkeypatch.setenv("MESHNODE_CARD_PASSPHRASE", "five quite ordinary words here")


def revocation(people: People, name: str) -> Path:
    """Return the file of a list that revokes one device more."""
    path = people.folder / f"revocation of {name}"
    words = ("authority", "revoke", name, "--card", card(people, "operator-1"), "--yes")
    people.reads("hq", *words, "--out", str(path))
    return path


def audited(people: People, name: str) -> list[str]:
    return [each["event"] for each in people.json(name, "audit", "show")["entries"]]


def test_every_reason_has_its_sentence() -> None:
    source = "".join(
        path.read_text()
        for room in ("protocol", "meshnode")
        for path in (Path(__file__).parents[3] / room).glob("*.py")
    )
    own = set(re.findall(r'DocumentError\(\s*"[^"]+",\s*"(\w+)"', source))
    family: list[type[DocumentError]] = [DocumentError, *DocumentError.__subclasses__()]
    kinds = {each.reason for each in family}
    others = {reason_of(MalformedError("x")), reason_of(IdentityError("x"))}
    assert len(own) > 5
    assert own | kinds | others == REASONS.keys()


def test_it_says_how_many_were_taken_known_and_refused(squad: People) -> None:
    first, second = revocation(squad, "alice"), revocation(squad, "centre")
    lines = squad.reads("bob", "documents", "import", str(second)).splitlines()
    assert lines == [f"{second}: 1 of 1 documents took effect."]
    lines = squad.reads("bob", "documents", "import", str(second)).splitlines()
    assert lines[1:] == ["Known here before: 1."]
    lines = squad.reads("bob", "documents", "import", str(first)).splitlines()
    assert lines[1:] == [f"Refused (stale): 1; {REASONS['stale']}"]
    found = squad.json("bob", "documents", "import", str(first))
    assert found["refused"] == {"stale": 1}
    assert (found["documents"], found["taken"], found["known"]) == (1, 0, 0)


def test_an_order_with_one_signature_is_refused_with_its_cure(squad: People) -> None:
    order = squad.folder / "order"
    words = ("authority", "wipe", "alice", "--level", "all", "--card", card(squad, "wipe-1"))
    squad.reads("hq", *words, "--yes", "--out", str(order))
    screen = squad.types("bob", "documents", "import", str(order))
    assert screen.code == 1
    assert "0 of 1" in screen.out
    assert "have another holder of a card sign it" in screen.out
    assert squad.types("bob", "documents", "import", str(order), "--json").code == 1
    french = squad.types("bob", "--lang", "fr", "documents", "import", str(order))
    assert "Refusés (signatures)\N{NO-BREAK SPACE}: 1" in french.out
    assert audited(squad, "bob").count("documents_refused") == 3


@pytest.mark.parametrize("damage", ["cut", "mistyped", "binary", "huge"])
def test_a_damaged_file_is_refused_counted_and_in_the_audit_log(squad: People, damage: str) -> None:
    path = revocation(squad, "alice")
    text = path.read_text()
    damaged = {
        "cut": text[:-20].encode(),
        "mistyped": text.replace(text[40], "-" if text[40] != "-" else "_", 1).encode(),
        "binary": b"\xff\xfe" + text.encode(),
        "huge": b"M" * (2 * ANSWER_BYTES_MAX + 1),
    }[damage]
    path.write_bytes(damaged)
    assert squad.fails(2, "bob", "documents", "import", str(path))
    assert audited(squad, "bob") == ["documents_refused"]
    assert "cannot be read" in squad.fails(7, "bob", "documents", "import", str(squad.folder))
    assert audited(squad, "bob") == ["documents_refused"], "nothing was brought"
