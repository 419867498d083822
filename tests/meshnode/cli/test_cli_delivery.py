"""The matrix of a squad, sending again and taking back, by the commands that people type."""

from __future__ import annotations

import re

import pytest

from meshnode.cli.delivery import OUTCOMES, outcome_words
from tests.meshnode.cli.people import People

pytestmark = pytest.mark.slow


def carry(people: People, source: str, target: str) -> None:
    """Bring all that one device holds to another on a stick."""
    stick = str(people.folder / f"{source}-{target}.mesh")
    people.json(source, "export", stick, "--to", target)
    people.json(target, "import", stick)


def test_who_has_it_who_has_read_it_and_what_was_taken_back(
    squad: People, capsys: pytest.CaptureFixture[str]
) -> None:
    carry(squad, "alice", "bob")
    carry(squad, "bob", "alice")
    squad.reads("alice", "send", "squad:Queyras", "Rendez-vous au col")
    before = squad.reads("alice", "matrix", "squad:Queyras")
    assert re.search(r"bob .* no receipt yet", before)
    assert "on its way" in before
    carry(squad, "alice", "bob")
    assert "Rendez-vous au col" in squad.reads("bob", "inbox")
    carry(squad, "bob", "alice")
    story = squad.reads("alice", "message", "last")
    assert "read by everybody" in story
    assert re.search(r"bob .* read ", story)
    assert "nobody lacks" in squad.types("alice", "resend", "last").err
    assert "everybody has read it" in squad.types("alice", "cancel", "last").err
    squad.reads("alice", "send", "squad:Queyras", "Oubliez le col")
    sent = squad.json("alice", "resend", "last", "--to", "bob")
    assert (sent["recipients"], sent["state"]) == (1, "queued")
    said = squad.reads("alice", "cancel", sent["resends"])
    assert "not known yet whether it was read (bob)" in said
    carry(squad, "alice", "bob")
    assert "Oubliez le col" not in squad.reads("bob", "inbox")
    carry(squad, "bob", "alice")
    shown = squad.reads("alice", "matrix", "squad:Queyras")
    assert "cancelled: nobody has read it" in shown
    found = squad.json("alice", "matrix", "squad:Queyras", "--last", "1")
    assert [each["outcome"] for each in found["messages"]] == ["cancelled"]
    assert "No messages." in squad.reads("bob", "matrix", "codt")
    with capsys.disabled():
        print(f"\n$ meshnode matrix squad:Queyras\n{shown}", end="")


@pytest.mark.parametrize("outcome", ["on its way", "expired", "turned down"])
def test_names_beside_what_is_missing_are_said_to_have_it(outcome: str) -> None:
    found = outcome_words({"outcome": outcome, "outcome_names": ["bob", "zoe"]})
    assert found == f"{OUTCOMES[outcome]}; those who have it: bob, zoe"
    assert outcome_words({"outcome": outcome, "outcome_names": []}) == OUTCOMES[outcome]
    too_late = outcome_words({"outcome": "too late", "outcome_names": ["bob"]})
    assert too_late == f"{OUTCOMES['too late']} (bob)"


def test_a_message_goes_again_with_its_file_while_that_is_held(squad: People) -> None:
    plan = squad.folder / "plan.pdf"
    plan.write_bytes(b"%PDF-1.7\n" + bytes(5_000))
    squad.reads("alice", "send", "squad:Queyras", "the plan", "--attach", str(plan))
    shown = squad.reads("alice", "resend", "last")
    assert "Its file goes along" in shown
    assert "Its text alone" not in shown
    (file,) = squad.json("alice", "files")["files"]
    squad.reads("alice", "files", "cancel", file["file"])
    shown = squad.reads("alice", "resend", "last")
    assert "Its text alone" in shown
    assert "Its file goes along" not in shown
