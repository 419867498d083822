"""Raising and answering an alarm by the commands that people type."""

from __future__ import annotations

import pytest

from tests.meshnode.cli.people import People

pytestmark = pytest.mark.slow


def test_an_alarm_lives_on_the_device_that_raised_it(squad: People) -> None:
    assert squad.reads("alice", "alarms") == "No alarms.\n"
    said = squad.reads("alice", "sos", "Chute au col", "--at", "44.89,-6.64,12")
    assert "Your position goes along: 44.89000, -6.64000 ± 12 m." in said
    assert "DOES NOT LEAVE YET, for no node runs here" in said
    assert "on every link" not in said
    (found,) = squad.json("alice", "alarms")["alarms"]
    assert (found["text"], found["state"], found["is_own"]) == ("Chute au col", "raised", True)
    assert found["place"]["longitude"] == -6.64
    assert "NOBODY ANSWERED" in squad.reads("alice", "alarms")
    shown = squad.reads("alice", "alarm", "show", found["alarm"][:6])
    assert "44.89000, -6.64000 ± 12 m" in shown
    assert "others do" in squad.fails(7, "alice", "alarm", "take", "last")
    closed = squad.json("alice", "alarm", "close", "last", "--false-alarm", "--reason", "erreur")
    assert (closed["state"], closed["outcome"]) == ("closed", "false_alarm")
    assert "false alarm" in squad.reads("alice", "alarms")
    assert "raise it anew" in squad.fails(7, "alice", "alarm", "close", "last")
    assert squad.json("alice", "alarm", "raise", "last")["is_new"] is True
    assert squad.json("alice", "alarm", "raise", "last")["is_new"] is False
    assert squad.json("alice", "alarm", "show", "last")["round"] == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "Help!"),
        ((" ",), "Help!"),
        (("jambe cass\udce9e",), "jambe cass?e"),
        (("é" * 9_000,), "é" * 8_192),
    ],
    ids=["no words", "blank", "not UTF-8", "too long"],
)
def test_it_is_raised_whatever_was_typed(squad: People, words: tuple[str, ...], text: str) -> None:
    squad.reads("alice", "sos", *words)
    (found,) = squad.json("alice", "alarms")["alarms"]
    assert found["text"] == text


def test_whoever_answers_where_no_node_runs_is_told_that_nothing_leaves(squad: People) -> None:
    squad.reads("alice", "sos", "Chute au col")
    for words in (
        ("alarm", "close", "last"),
        ("send", "bob", "Bonjour"),
        ("shift", "open"),
        ("position", "44.9", "6.6"),
        ("state", "--battery", "50"),
        ("cancel", "last"),
    ):
        assert "nothing leaves before you start it" in squad.types("alice", *words).err, words
    assert squad.types("alice", "board").err == ""
    assert squad.json("alice", "sos", "Encore")["is_running"] is False


def test_the_old_command_raises_the_same_alarm(squad: People) -> None:
    squad.reads("alice", "send", "codt", "Au secours", "--sos")
    (found,) = squad.json("alice", "alarms")["alarms"]
    assert (found["text"], found["place"]) == ("Au secours", None)


def test_odd_arguments_are_explained(squad: People) -> None:
    assert "44.89,6.64" in squad.fails(7, "alice", "sos", "x", "--at", "north")
    assert "latitude" in squad.fails(7, "alice", "sos", "x", "--at", "91,0")
    assert "meshnode alarms" in squad.fails(2, "alice", "alarm", "show", "abc")
    assert "aucune alerte" in squad.fails(2, "alice", "--lang", "fr", "alarm", "take", "last")
    assert squad.json("alice", "alarms")["alarms"] == []


def test_it_works_in_an_open_shift_with_the_position_of_it(squad: People) -> None:
    squad.reads("alice", "shift", "open")
    squad.reads("alice", "position", "44.9", "6.6", "--accuracy", "9")
    assert squad.json("alice", "sos", "un")["place"]["accuracy_m"] == 9.0
    assert squad.json("alice", "sos", "deux", "--without-position")["place"] is None
    squad.reads("alice", "shift", "close")
    assert squad.json("alice", "sos", "trois", "--with-position")["place"] is None
