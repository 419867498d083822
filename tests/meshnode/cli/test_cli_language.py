"""Two languages: nothing that people read is missing in French, and the locale chooses."""

from __future__ import annotations

import re

import pytest

from meshnode.cli.language import (
    chosen_language,
    current_language,
    say,
    speak,
    translate_error,
)
from meshnode.language import LANGUAGES, catalogue, translated
from tests.meshnode.cli.sentences import every_sentence

FIELD = re.compile(r"\{\w+\}")


@pytest.fixture
def french() -> None:
    speak("fr")


def test_every_sentence_has_its_french_form() -> None:
    missing = sorted(every_sentence() - set(catalogue("fr")))
    assert missing == [], "translate these in meshnode/locale/fr.json"


def test_no_french_sentence_is_left_over() -> None:
    assert sorted(set(catalogue("fr")) - every_sentence()) == []


def test_both_forms_have_the_same_fields() -> None:
    for english, french in catalogue("fr").items():
        assert sorted(FIELD.findall(english)) == sorted(FIELD.findall(french)), english


def test_no_sentence_holds_a_character_that_does_not_print() -> None:
    for english, french in catalogue("fr").items():
        assert french.replace("\n", "").replace("\u00a0", " ").isprintable(), english


def test_a_squad_and_a_lease_have_one_french_word_each() -> None:
    for english, french in catalogue("fr").items():
        assert "brigade" not in french.lower(), english
        if re.search(r"\blease\b", english):
            assert "délai" not in french, english


def test_a_wrong_number_on_the_command_line_is_explained_in_french(french: None) -> None:
    found = translate_error(
        "Invalid value for 'LAT': Input should be a valid number,"
        " unable to parse string as a number"
    )
    assert found == (
        "valeur refusée pour 'LAT'\u00a0: un nombre est attendu, tel que 44.89"
        " (un point, pas de virgule)"
    )


def test_high_punctuation_keeps_with_its_word() -> None:
    for french in catalogue("fr").values():
        assert not re.search(r" [:;?!»]|« ", french), french


@pytest.mark.parametrize(
    ("arguments", "environment", "language"),
    [
        ([], {}, "en"),
        ([], {"LANG": "fr_FR.UTF-8"}, "fr"),
        ([], {"LANG": "fr_FR.UTF-8", "LC_MESSAGES": "en_GB"}, "en"),
        ([], {"LC_ALL": "fr", "LC_MESSAGES": "de_DE", "LANG": "C"}, "fr"),
        ([], {"LC_ALL": "", "LANG": "fr@euro"}, "fr"),
        ([], {"LANG": "frr_DE"}, "en"),
        (["--lang", "fr", "status"], {"LANG": "C"}, "fr"),
        (["--lang=en"], {"LANG": "fr"}, "en"),
        (["--lang"], {"LANG": "fr"}, "fr"),
        (["--lang", "de"], {"LANG": "fr"}, "en"),
    ],
)
def test_the_option_then_the_locale_chooses(
    arguments: list[str], environment: dict[str, str], language: str
) -> None:
    assert chosen_language(arguments, environment) == language
    assert language in LANGUAGES


def test_english_needs_no_catalogue() -> None:
    speak("en")
    assert say("{count} new ideas", count=3) == "3 new ideas"
    assert dict(catalogue("en")) == {}


def test_what_is_not_translated_is_shown_in_english(french: None) -> None:
    assert current_language() == "fr"
    assert say("{count} new ideas", count=3) == "3 new ideas"
    assert translate_error("no such sentence") == "no such sentence"


def test_an_error_is_translated_by_its_shape(french: None) -> None:
    assert translate_error("the message is empty: write something").startswith("le message est")
    found = translate_error("setting 'links.listen': has at most 64 items")
    assert found == "réglage «\u00a0links.listen\u00a0»\u00a0: a au plus 64 éléments"
    braces = translate_error("no device is called '{0}': see 'authority roster'")
    assert "{0}" in braces


def test_each_sentence_is_told_as_itself_where_another_fits_too() -> None:
    for sentence, words in catalogue("fr").items():
        if "{0}" in sentence:
            fields = [f"word{each}" for each in sorted(set(re.findall(r"\{(\d+)\}", sentence)))]
            assert translated("fr", sentence.format(*fields)) == words.format(*fields)
