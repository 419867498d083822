"""`meshnode coverage`: in both languages, as JSON, and what every answer shows."""

from __future__ import annotations

from typing import Any

import pytest

from meshnode.cli import coverage
from meshnode.cli.language import speak
from tests.meshnode.cli.people import People

NEXT: dict[str, Any] = {
    "distance_m": 1_240,
    "direction": "SW",
    "looks": 14,
    "worked": 13,
    "chance": 0.833,
    "at_least": 0.642,
    "bearer": "4G",
    "bearer_worked": 12,
    "is_sure": True,
    "is_other_part": False,
}
HERE = NEXT | {
    "distance_m": 0,
    "worked": 0,
    "looks": 3,
    "bearer": "none",
    "is_sure": False,
    "is_other_part": True,
}
FOUND: dict[str, Any] = {
    "place": {"latitude": 44.8, "longitude": 6.6, "is_own": True},
    "verdict": "likely",
    "part": "night",
    "here": HERE,
    "next": NEXT,
    "cells": [HERE, NEXT],
}


@pytest.mark.slow
def test_where_nobody_was_is_unknown(squad: People) -> None:
    assert "give a place with --at" in squad.reads("bob", "coverage")
    assert "Unknown" in squad.reads("bob", "coverage", "--at", "44.8,6.6")
    shown = squad.reads("bob", "--lang", "fr", "coverage", "--at", "44.8,6.6", "--when", "night")
    assert "Inconnu\u00a0:" in shown
    found = squad.json("bob", "coverage", "--at", "44.8,6.6", "--course", "90")
    assert (found["verdict"], found["next"], found["cells"]) == ("unknown", None, [])
    assert "LATITUDE,LONGITUDE" in squad.types("bob", "coverage", "--at", "there").err


def test_the_next_network_is_told_with_its_way(capsys: pytest.CaptureFixture[str]) -> None:
    coverage._show(FOUND)
    shown = capsys.readouterr().out
    assert "Next network: 4G worked 12 of 14 times, 1.2 km SW (chance 83 %, at least 64 %)" in shown
    assert "Here a network worked 0 of 3 times." in shown
    assert "Coverage at night" in shown
    assert "?*" in shown
    assert "no network" in shown


def test_the_same_in_french(capsys: pytest.CaptureFixture[str]) -> None:
    speak("fr")
    try:
        coverage._show(FOUND)
    finally:
        speak("en")
    shown = capsys.readouterr().out
    assert "4G a fonctionné 12 fois sur 14, 1.2 km SO" in shown


@pytest.mark.parametrize(
    ("verdict", "words"), [("possible", "Perhaps: 4G"), ("none", "None:"), ("unknown", "Unknown:")]
)
def test_each_answer_has_its_words(
    verdict: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    best = NEXT if verdict == "possible" else None
    coverage._show(FOUND | {"verdict": verdict, "next": best})
    assert words in capsys.readouterr().out


def test_within_a_cell_the_way_is_here(capsys: pytest.CaptureFixture[str]) -> None:
    here = NEXT | {"distance_m": 0}
    coverage._show(FOUND | {"here": here, "next": here, "cells": []})
    shown = capsys.readouterr().out
    assert "14 times, here (" in shown
    assert "Here a network" not in shown
