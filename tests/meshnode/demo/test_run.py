"""The verdict: good only if nothing was lost, shown twice, or readable by who carried it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from meshnode.demo.day import Day, Received
from meshnode.demo.ledger import Sheet
from meshnode.demo.run import outcome_of
from meshnode.demo.secrecy import Trial
from tests.meshnode.demo.sheets import sheet, shown, written

BLIND = Trial("vedette", 12, 0, 0)
DAY = Day(("alice",), 1, 1, (("alice", Received("a.pdf", 12, "complete", "aa")),), 1, 0, 3)


def sheets() -> list[Sheet]:
    """Return stores in which all is well."""
    return [
        sheet("alice", written("1", "codt", "centre")),
        sheet("centre", shown("1", "alice")),
        sheet("vedette"),
    ]


def test_all_is_well() -> None:
    outcome = outcome_of(sheets(), [BLIND, Trial("yann", 0, 0, 0)], DAY)
    assert outcome.is_good
    told = outcome.as_json(12.345)
    assert json.loads(json.dumps(told)) == told
    assert list(told) == [
        "schema",
        "sent",
        "delivered",
        "lost",
        "duplicates",
        "unreadable_at_relays",
        "seconds",
        "day",
        "port",
        "ledger",
    ]
    assert (told["sent"], told["delivered"], told["lost"], told["seconds"]) == (1, 1, 0, 12.35)
    assert told["ledger"][0]["arrived"] == ["centre"]


@pytest.mark.parametrize(
    "trials",
    [
        [Trial("vedette", 12, 1, 0)],
        [Trial("vedette", 12, 0, 1)],
        [BLIND, Trial("bruno", 0, 0, 1)],
        # Who carried nothing shows nothing.
        [Trial("vedette", 0, 0, 0)],
        [],
    ],
)
def test_what_was_read_or_never_tried_is_not_unreadable(trials: list[Trial]) -> None:
    outcome = outcome_of(sheets(), trials, DAY)
    assert not outcome.is_good
    assert outcome.as_json(1.0)["unreadable_at_relays"] is False


def test_a_loss_and_a_double_are_told() -> None:
    found = sheets()
    found[1] = sheet("centre")
    outcome = outcome_of(found, [BLIND], DAY)
    assert not outcome.is_good
    assert (outcome.as_json(1.0)["lost"], outcome.as_json(1.0)["delivered"]) == (1, 0)
    found[1] = sheet("centre", shown("1", "alice"), shown("1", "alice"))
    outcome = outcome_of(found, [BLIND], DAY)
    assert not outcome.is_good
    assert outcome.as_json(1.0)["duplicates"] == 1


def test_a_place_that_is_left_over_is_told() -> None:
    outcome = outcome_of(sheets(), [BLIND], replace(DAY, positions=1))
    assert not outcome.is_good
    assert outcome.as_json(1.0)["day"]["positions_after_the_shift"] == 1
