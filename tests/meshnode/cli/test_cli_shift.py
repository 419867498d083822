"""Opening and closing a shift, and telling a position, by the commands that people type."""

from __future__ import annotations

import pytest

from tests.meshnode.cli.people import People

pytestmark = pytest.mark.slow


def test_a_position_needs_a_shift(squad: People) -> None:
    assert "no shift is open" in squad.fails(7, "alice", "position", "44.89", "6.64")
    assert squad.reads("alice", "shift", "show") == "No shift is open.\n"
    opened = squad.json("alice", "shift", "open", "--hours", "2")
    assert opened["is_open"] is True
    assert opened["ends_ms"] - opened["opened_ms"] == 7_200_000
    assert [each["name"] for each in opened["on_shift"]] == ["alice"]
    assert "already" in squad.fails(7, "alice", "shift", "open")
    told = squad.json("alice", "position", "44.89", "-6.64", "--accuracy", "12")
    assert (told["latitude"], told["longitude"], told["accuracy_m"]) == (44.89, -6.64, 12.0)
    shown = squad.json("alice", "shift", "show")
    (place,) = shown["positions"]
    assert (place["name"], place["latitude"], place["longitude"]) == ("alice", 44.89, -6.64)
    assert "44.89000" in squad.reads("alice", "shift", "show")
    assert "erased" in squad.reads("alice", "shift", "close")
    assert squad.json("alice", "shift", "show")["positions"] == []
    assert "no shift is open" in squad.fails(7, "alice", "shift", "close")
    assert "no shift is open" in squad.fails(7, "alice", "position", "44.89", "6.64")


def test_who_knows_no_key_of_the_centre_is_told_so(people: People) -> None:
    people.reads("hq", "authority", "init", "--network", "Alpes", "--zone", "7")
    people.enrol("alice", "agent", "Queyras")
    assert "No key of the operations centre" in people.reads("alice", "shift", "open")
    assert "Aucune clé du CODT" in people.reads("alice", "--lang", "fr", "shift", "show")
    assert people.json("alice", "shift", "show")["track_has_reader"] is False


def test_odd_numbers_are_refused(squad: People) -> None:
    assert "No key" not in squad.reads("alice", "shift", "open")
    assert "latitude" in squad.fails(7, "alice", "position", "91", "0")
    assert "latitude" in squad.fails(7, "alice", "position", "nan", "0")
    assert "accuracy" in squad.fails(7, "alice", "position", "0", "0", "--accuracy", "-1")
    squad.fails(2, "alice", "position", "north", "0")
    squad.fails(2, "bob", "shift", "open", "--hours", "13")


def test_who_has_no_agent_or_no_squad_opens_no_shift_and_is_told_the_cure(squad: People) -> None:
    cure = "invite it anew with 'meshnode authority invite --role agent --squad NAME'"
    refused = squad.fails(7, "centre", "shift", "open")
    assert "no squad" in refused
    assert cure in refused
    squad.enrol("box", "relay", "Queyras")
    refused = squad.fails(7, "box", "shift", "open")
    assert "is a relay, which has no agent and so no shift" in refused
    assert cure in refused
    assert "est un relais" in squad.fails(7, "box", "--lang", "fr", "shift", "open")
    assert squad.json("box", "shift", "show")["is_open"] is False
    for words in (("shift", "close"), ("position", "44.89", "6.64"), ("state", "--battery", "61")):
        assert "is a relay" in squad.fails(7, "box", *words), words


def test_an_authority_takes_the_keys_of_a_node_or_says_that_it_has_them(squad: People) -> None:
    home = str(squad.home("centre"))
    assert squad.json("hq", "authority", "take-keys", home)["is_new"] is False
    assert "no newer keys" in squad.reads("hq", "authority", "take-keys", home)
