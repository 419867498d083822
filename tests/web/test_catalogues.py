"""The words of the screens: in both languages, all in use, and for all that the node says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache

import pytest

from meshnode.audit import EVENTS
from meshnode.calls.coverage import DIRECTIONS
from meshnode.errors import ArchiveReason
from meshnode.gateway.standing import Part
from meshnode.lease import LeaseState
from meshnode.metrics import AUDITED
from meshnode.services.matrix import Outcome, Why
from meshnode.services.readings import Network
from meshnode.store.chunks import AttachmentState
from meshnode.store.records import LedgerEvent, MessageState, RecipientState
from protocol import alarms
from protocol.budgets import Period
from protocol.identity import DeviceClass, Role
from tests.architecture.tree import ROOT

SOURCES = ROOT / "meshnode" / "web" / "app" / "src"
LANGUAGES = ("fr", "en")
INCOMING = {MessageState.RECEIVED, MessageState.WITHDRAWN}
SHOWN_BY_COUNTS = {Outcome.DELIVERED, Outcome.ON_ITS_WAY, Outcome.READ, Outcome.EXPIRED}
"""Told by whom it reached, or by a mark of its own."""

NODE: dict[str, Iterable[str]] = {
    "alarm.outcome": [each.name.lower() for each in alarms.Outcome if each],
    "alarm.step": [each.name.lower() for each in alarms.Step],
    "archive.reason": [*ArchiveReason],
    "audit": [*EVENTS, *AUDITED],
    "coverage.direction": DIRECTIONS,
    "device": [each.name.lower() for each in DeviceClass],
    "fault": [*Part],
    "file.state": [*AttachmentState, "carried", "gave_up_budget"],
    "lease": [*LeaseState],
    "ledger": [*LedgerEvent],
    "network": [each.value for each in Network],
    "outcome": [each for each in Outcome if each not in SHOWN_BY_COUNTS],
    "period": [each.value for each in Period],
    "recipient": [*RecipientState],
    "role": [each.name.lower() for each in Role],
    "state": [each for each in MessageState if each not in INCOMING],
    "why": [each for each in Why if each],
}
"""What the node may say, by the part of the catalogue that has words for it."""


@cache
def catalogue(language: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((SOURCES / "locale" / f"{language}.json").read_text())
    return found


@cache
def code() -> str:
    files = [path for path in SOURCES.rglob("*") if path.suffix in (".ts", ".tsx")]
    return "\n".join(path.read_text() for path in sorted(files))


def names_in(words: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", words))


def test_both_languages_have_the_same_words_and_the_same_gaps() -> None:
    french, english = catalogue("fr"), catalogue("en")
    assert french.keys() == english.keys()
    for key, words in french.items():
        assert words.strip(), key
        assert english[key].strip(), key
        assert names_in(words) == names_in(english[key]), key


def test_every_key_is_used() -> None:
    literal = set(re.findall(r'"([a-z0-9_]+(?:\.[a-z0-9_]+)+)"', code()))
    made = re.findall(r"`([a-z_.]+?)\$\{[^`}]+\}([a-z_]*)`", code())
    told = set(re.findall(r'told\("([a-z_.]+)"', code()))
    parts = [re.compile(re.escape(head) + r"[a-z]+" + re.escape(tail)) for head, tail in made]
    unused = [
        key
        for key in catalogue("fr")
        if key not in literal
        and key.removesuffix(".one").removesuffix(".many") not in literal
        and not any(part.fullmatch(key) for part in parts if "." in part.pattern)
        and not any(key.startswith(f"{prefix}.") for prefix in told)
    ]
    assert unused == []


@pytest.mark.parametrize("part", NODE)
def test_there_are_words_for_all_that_the_node_says(part: str) -> None:
    keys = {f"{part}.{str(each).replace(' ', '_')}" for each in NODE[part]}
    assert keys - catalogue("fr").keys() == set()


def test_counted_words_come_in_both_numbers() -> None:
    for language in LANGUAGES:
        keys = catalogue(language).keys()
        ones = {key.removesuffix(".one") for key in keys if key.endswith(".one")}
        assert ones == {key.removesuffix(".many") for key in keys if key.endswith(".many")}


def test_french_signs_stand_behind_a_space_that_does_not_break() -> None:
    wrong = {key for key, words in catalogue("fr").items() if re.search(r" [:;?!»%]|« ", words)}
    assert wrong == set()


def test_no_page_makes_html_of_a_text() -> None:
    for word in ("dangerouslySetInnerHTML", "innerHTML", "outerHTML", "insertAdjacentHTML"):
        assert word not in code()
