"""Who charges next, by the command that people type."""

from __future__ import annotations

import pytest

from tests.meshnode.cli.people import People

pytestmark = pytest.mark.slow


def test_a_squad_plans_its_charging(squad: People) -> None:
    before = squad.reads("alice", "charge", "--wh", "200")
    assert "No battery of the squad can be planned for." in before
    assert "bob: no battery value is known here" in before
    squad.reads("alice", "shift", "open")
    squad.reads("alice", "state", "--battery", "40")
    found = squad.json("alice", "charge", "--wh", "200", "--sockets", "2", "--watts", "18")
    assert (found["budget_wh"], found["sockets"], found["watts"]) == (200, 2, 18)
    assert [each["name"] for each in found["devices"]] == ["alice"]
    assert {each["name"]: each["reason"] for each in found["left_out"]} == {"bob": "unknown"}
    assert found["turns"][0]["start_ms"] == found["now_ms"]
    assert found["first_empty_uncharged_ms"] > found["now_ms"]
    assert found["first_empty_ms"] == 0 < found["spent_wh"] <= 200
    shown = squad.reads("alice", "charge", "--wh", "200", "--capacity", "alice=12")
    assert "Who charges next" in shown
    assert "12 Wh" in shown
    assert "Drain unknown yet, that of its kind taken: alice." in shown
    assert "Capacity of its kind" not in shown
    little = squad.reads("alice", "charge", "--wh", "1")
    assert "No turn at a socket makes a device last longer." in little
    assert "No turn for alice: no energy, room or socket is left in time." in little
    french = squad.reads("alice", "--lang", "fr", "charge", "--wh", "200")
    assert "Qui charge ensuite" in french
    assert "bob\u00a0: aucune valeur de batterie" in french


def test_nonsense_is_refused_in_a_sentence(squad: People) -> None:
    assert "sockets" in squad.fails(2, "alice", "charge", "--wh", "200", "--sockets", "0")
    assert "budget" in squad.fails(2, "alice", "charge", "--wh", "0")
    assert "numbers" in squad.fails(2, "alice", "charge", "--wh", "nan")
    assert "alice=17" in squad.fails(2, "alice", "charge", "--wh", "9", "--capacity", "17")
    assert "nobody" in squad.fails(2, "alice", "charge", "--wh", "9", "--capacity", "zoe=9")
    assert "--wh" in squad.fails(2, "alice", "charge")
