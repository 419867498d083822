"""Words are folded as people look for them, and hashed so that nobody turns them back."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.gateway.archive.words import WORDS_MAX, asked_in, token, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Évacuation TERMINÉE", ["evacuation", "terminee"]),
        ("l'hôpital d’Embrun", ["hopital", "embrun"]),
        ("cœur, sœur", ["coeur", "soeur"]),
        ("Straße", ["strasse"]),
        ("route D94 coupée à 8 h", ["route", "d94", "coupee", "8"]),
        ("au refuge, au refuge", ["au", "refuge"]),
        ("a-b_c", []),
        ("٣ ① Ⅷ", ["٣", "1", "viii"]),
        ("", []),
        ("🙂 ?!", []),
    ],
)
def test_words_of_examples(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@given(st.text())
def test_folding_again_changes_nothing(text: str) -> None:
    once = words_of(text)
    assert words_of(" ".join(once)) == once


@given(st.text(alphabet=st.characters(max_codepoint=0x24F)))
def test_case_and_composition_make_no_difference(text: str) -> None:
    folded = words_of(text)
    assert words_of(unicodedata.normalize("NFD", text)) == folded
    assert words_of(unicodedata.normalize("NFC", text)) == folded
    assert words_of(text.casefold()) == folded


@given(st.lists(st.sampled_from(["refuge", "pont", "d94"]), max_size=9))
def test_each_word_once_in_its_order(words: list[str]) -> None:
    assert words_of(" ".join(words)) == list(dict.fromkeys(words))


def test_a_text_has_at_most_so_many_words() -> None:
    many = [f"w{number}" for number in range(WORDS_MAX + 1)]
    assert words_of(" ".join(many[:-1])) == many[:-1]
    assert words_of(" ".join(many)) == many[:-1]


@pytest.mark.parametrize(
    ("question", "whole", "beginnings"),
    [
        ("Héli refuge", [], ["heli", "refuge"]),
        ('"col" de la', ["col", "de", "la"], []),
        ("« col de » héli", ["col", "de"], ["heli"]),
        ("“Col” col", ["col"], []),
        ('d94 "', [], ["d94"]),
        ("8 h", ["8"], []),
        ('""', [], []),
    ],
)
def test_what_is_asked(question: str, whole: list[str], beginnings: list[str]) -> None:
    assert asked_in(question) == (whole, beginnings)


@given(st.text(min_size=1), st.binary(min_size=32, max_size=32))
def test_a_token_depends_on_word_and_key(word: str, key: bytes) -> None:
    found = token(word, key)
    assert -(2**63) <= found < 2**63
    assert found == token(word, key)
    assert found != token(word + "x", key)
    assert found != token(word, bytes(each ^ 1 for each in key))
