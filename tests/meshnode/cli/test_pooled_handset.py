"""One handset, two agents: one closes, the other opens, and can read nothing of the first.

Each agent has a home of their own on the device, behind a secret of their own.
"""

from __future__ import annotations

import time

import pytest

from meshnode.cli.texts import SECRET_VARIABLE
from tests.meshnode.cli.people import People

pytestmark = pytest.mark.slow

HANDOVER_S_MAX = 60
TEXT, OPERATOR = "the smugglers take the upper path", "Valley Mobile"


def test_the_second_agent_opens_within_a_minute_and_reads_nothing_of_the_first(
    squad: People, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    squad.reads("alice", "shift", "open")
    squad.reads("alice", "position", "44.89123", "6.64321")
    squad.reads("alice", "state", "--battery", "61", "--network", "4G", "--operator", OPERATOR)
    squad.reads("alice", "send", "codt", TEXT)
    began_s = time.perf_counter()
    squad.reads("alice", "shift", "close")
    squad.reads("bob", "shift", "open")
    taken_s = time.perf_counter() - began_s
    with capsys.disabled():
        print(f"\nfrom one agent to the next: {taken_s:.1f} s")
    assert taken_s < HANDOVER_S_MAX
    squad.reads("bob", "position", "45.5", "6.1")
    (place,) = squad.json("bob", "shift", "show")["positions"]
    assert place["name"] == "bob"
    for words in (("inbox",), ("outbox",), ("board",), ("shift", "show")):
        shown = squad.reads("bob", *words)
        assert not any(each in shown for each in (TEXT, OPERATOR, "44.89123", "6.64321")), words
    # The home of the first lies on the same disk: the second has another secret.
    monkeypatch.setenv(SECRET_VARIABLE, "another secret of five plain words")
    for words in (("inbox",), ("outbox",), ("board",), ("shift", "show"), ("track", "alice")):
        screen = squad.types("alice", *words)
        assert screen.code != 0, words
        assert TEXT not in screen.out + screen.err
    for file in squad.home("alice").rglob("*"):
        raw = file.read_bytes() if file.is_file() else b""
        assert TEXT.encode() not in raw
        assert OPERATOR.encode() not in raw


def test_the_first_finds_no_place_of_the_shift_that_was_closed(squad: People) -> None:
    squad.reads("alice", "shift", "open")
    squad.reads("alice", "position", "44.89123", "6.64321")
    squad.reads("alice", "state", "--battery", "61")
    squad.reads("alice", "shift", "close")
    squad.reads("alice", "shift", "open")
    assert squad.json("alice", "shift", "show")["positions"] == []
    (own,) = [each for each in squad.json("alice", "board")["mates"] if each["is_self"]]
    assert (own["position"], own["battery"]) == (None, None)
