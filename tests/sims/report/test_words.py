"""Both languages are complete, and numbers read as each writes them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims import report
from sims.report.words import LANGUAGES, ReportError, Words, read_texts

SOURCES = "\n".join(
    path.read_text(encoding="utf-8") for path in Path(report.__file__).parent.glob("*.py")
)


def test_each_text_exists_in_both_languages_with_the_same_fields() -> None:
    for key, row in read_texts().items():
        assert set(row) == set(LANGUAGES), key
        assert all(each.strip() for each in row.values()), key
        fields = [sorted(re.findall(r"\{\w*\}", row[language])) for language in LANGUAGES]
        assert fields[0] == fields[1], key


def test_each_text_is_used() -> None:
    prefixes = set(re.findall(r'f"(\w+)\.\{', SOURCES))
    suffixes = set(re.findall(r'f"\{\w+\}(\.\w+)"', SOURCES))
    unused = [
        key
        for key in read_texts()
        if f'"{key}"' not in SOURCES
        and f"'{key}'" not in SOURCES
        and key.split(".")[0] not in prefixes
        and not key.endswith(tuple(suffixes))
    ]
    assert unused == []


def test_each_text_that_is_asked_for_exists() -> None:
    asked = set(re.findall(r"""words\(\s*["']([\w.]+)["']""", SOURCES))
    assert len(asked) > 80
    assert asked <= set(read_texts())


def test_numbers_in_each_language() -> None:
    english, french = Words("en"), Words("fr")
    assert english.number(12345.678, 1) == "12,345.7"
    assert french.number(12345.678, 1) == "12\u202f345,7"
    assert english.percent(0.921) == "92.1%"
    assert french.percent(0.921) == "92,1\u202f%"
    assert english.size(5_000_000) == "5\u00a0MB"
    assert french.size(1_500) == "1,5\u00a0ko"
    assert english.figure(0.8) == "0.8"
    assert english.figure(17.04) == "17"
    assert english.figure(0.001234) == "0.00123"
    assert english.number(float("nan")) == "–"
    assert french.listing(["a", "b", "c"]) == "a, b et c"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (3599, "1 h"),
        (7500, "2 h 05 min"),
        (86_399, "1 d"),
        (100_000, "1 d 4 h"),
        (float("inf"), "–"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float, text: str) -> None:
    assert Words().duration(seconds).replace("\u00a0", " ") == text


@given(st.floats(0, 1e9))
def test_a_moment_lies_on_a_day(seconds: float) -> None:
    found = re.fullmatch(r"day (\d+), (\d\d):(\d\d)", Words().moment(seconds))
    assert found is not None
    day, hour, minute = map(int, found.groups())
    begin = ((day - 1) * 24 + hour) * 3600 + minute * 60
    assert begin <= seconds < begin + 60


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ReportError, match="en and fr"):
        Words("de")  # type: ignore[arg-type]
