"""Values out of a file: their types, their bounds, and that every error has its line and key."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims.scenario import ScenarioError
from sims.tables import FILE_BYTES_MAX, Table, read_record, read_table

TEXT = """# about
text = "words"
list = [
  "one",
  "two",
]
[inner.most]
number = 1.5
whole = 3
flag = true
span = [1, 2.5]
[[many]]
x = 1
[[many]]
x = 2
"""


def table(text: str = TEXT) -> Table:
    """Return the top of a file."""
    return read_table(text.encode(), "x.toml")


def test_what_a_file_says_is_taken() -> None:
    top = table()
    inner = top.table("inner").table("most")
    assert top.text("text", among=("words", "deeds")) == "words"
    assert top.texts("list") == ["one", "two"]
    assert inner.number("number") == 1.5
    assert inner.number("whole", low=3, high=3) == 3.0
    assert inner.flag("flag") is True
    assert inner.span("span", (0, 0), low=1, high=2.5) == (1.0, 2.5)
    assert [each.whole("x", low=1) for each in top.tables("many")] == [1, 2]
    assert inner.whole("missing", 7) == 7
    inner.end()
    top.end()
    assert "text" in top
    assert top.line("text") == 2
    assert inner.line() == 7


def test_what_is_not_there_has_its_default() -> None:
    empty = table("")
    assert empty.text("a", "b") == "b"
    assert empty.texts("a") == []
    assert empty.number("a", 1.0) == 1.0
    assert empty.flag("a", False) is False
    assert empty.span("a", (1.0, 2.0), low=0, high=3) == (1.0, 2.0)
    assert empty.tables("a") == []
    empty.table("a").end()
    empty.end()


def most(top: Table) -> Table:
    """Return the table [inner.most]."""
    return top.table("inner").table("most")


@pytest.mark.parametrize(
    ("take", "words"),
    [
        (lambda top: top.number("text"), "line 2, text: is a number"),
        (lambda top: top.whole("text"), "line 2, text: is a whole number"),
        (lambda top: top.flag("text"), "line 2, text: is true or false"),
        (lambda top: top.texts("text"), "line 2, text: is a list of texts"),
        (lambda top: top.table("text"), r"line 2, text: is a table: write \[text\]"),
        (lambda top: top.tables("text"), r"text: is a list of tables: write \[\[text\]\]"),
        (lambda top: top.text("text", among=("a", "b")), "line 2, text: is one of a, b"),
        (lambda top: top.text("list"), "line 3, list: is a text in quotes"),
        (lambda top: top.span("list", (0, 1), low=0, high=9), "line 4, list: is a list of two num"),
        (lambda top: most(top).text("number"), r"line 8, inner\.most\.number: is a text"),
        (lambda top: most(top).whole("number"), "line 8, .*is a whole number"),
        (lambda top: most(top).number("number", low=2), "line 8, .*: is at least 2"),
        (lambda top: most(top).number("number", high=1), "line 8, .*: is at most 1"),
        (lambda top: most(top).number("number", low=2, high=3), "8, .*: is between 2 and 3"),
        (lambda top: most(top).number("flag"), "line 10, .*: is a number"),
        (lambda top: most(top).texts("span"), "line 11, .*: is a list of texts"),
        (lambda top: most(top).span("span", (0, 1), low=2, high=9), "11, .* is between 2 and 9"),
        (lambda top: most(top).span("flag", (0, 1), low=2, high=9), "10, .* is a list of two"),
        (lambda top: most(top).number("none"), r"line 7, inner\.most\.none: is missing"),
        (lambda top: most(top).end(), r"line 8, inner\.most\.number: is unknown"),
        (lambda top: top.tables("many")[1].text("x"), r"line 15, many 2\.x: is a text"),
        (lambda top: top.tables("many")[1].text("y"), r"line 14, many 2\.y: is missing"),
        (lambda top: top.end(), "line 2, text: is unknown"),
    ],
)
def test_a_wrong_value_has_its_line_and_key(take: Callable[[Table], object], words: str) -> None:
    with pytest.raises(ScenarioError, match=rf"scenario, x\.toml .*{words}"):
        take(table())


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a = 1\nb = \nc = 2\n", "x.toml line 2", "is not TOML: Invalid value"),
        ("a = 1\na = 2\n", "x.toml line 2", "is not TOML: Cannot overwrite"),
        ('a = 1\nb = """\n\n', "x.toml line 3", "is not TOML: "),
        ("a = 1\r\n\r\n= 3\r\n", "x.toml line 3", "is not TOML: "),
        ("", "x.toml", "has more than"),
    ],
)
def test_what_is_no_toml_has_its_line(text: str, place: str, words: str) -> None:
    raw = text.encode() or b"#" * (FILE_BYTES_MAX + 1)
    with pytest.raises(ScenarioError) as caught:
        read_table(raw, "x.toml")
    assert caught.value.place == place
    assert caught.value.reason.startswith(words)
    assert "line" not in caught.value.reason


def test_a_span_rises() -> None:
    with pytest.raises(ScenarioError, match="begins with the smaller"):
        table("a = [2, 1]").span("a", (0, 1), low=0, high=9)
    assert table("a = [2, 2]").span("a", (0, 1), low=0, high=9) == (2, 2)


def test_numbers_without_end_are_refused_by_their_bound() -> None:
    for text in ("inf", "nan", "1" * 400):
        with pytest.raises(ScenarioError, match="is at most 5"):
            table(f"a = {text}").number("a", high=5)
    with pytest.raises(ScenarioError, match="is at least 5"):
        table(f"a = -{'1' * 400}").number("a", low=5)


@dataclass(frozen=True, slots=True)
class Record:
    """One of each kind of field."""

    few: int = 3
    """A count."""
    share: float = 0.5
    """A share."""
    sizes: tuple[float, float] = (1.0, 2.0)
    """From and to."""


BOUNDS = {"few": (1, 9), "share": (0, 1), "sizes": (0, 100)}


def test_a_record_takes_its_fields_from_a_table() -> None:
    assert read_record(table(""), Record(), BOUNDS) == Record()
    full = table("few = 9\nshare = 1\nsizes = [0, 100]")
    assert read_record(full, Record(), BOUNDS) == Record(9, 1.0, (0.0, 100.0))
    for text, words in (
        ("few = 10", "few: is between 1 and 9"),
        ("few = 2.5", "few: is a whole number"),
        ("share = 1.1", "share: is between 0 and 1"),
        ("sizes = 5", "sizes: is a list of two"),
        ("other = 5", "other: is unknown"),
    ):
        with pytest.raises(ScenarioError, match=f"line 2, {words}"):
            read_record(table(f"\n{text}"), Record(), BOUNDS)


@given(
    before=st.integers(0, 5),
    after=st.integers(0, 5),
    value=st.sampled_from(["-1", "11", "true", '"5"', "[5]", "{}", "1e99"]),
)
def test_whatever_stands_around_it_a_wrong_value_has_its_line(
    before: int, after: int, value: str
) -> None:
    lines = [f'a{number} = """\n"""' for number in range(before)] + [f"wrong = {value}"]
    lines += [f"b{number} = [\n]" for number in range(after)]
    with pytest.raises(ScenarioError) as caught:
        table("[t]\n" + "\n".join(lines)).table("t").number("wrong", low=0, high=10)
    assert caught.value.place == f"x.toml line {2 * before + 2}, t.wrong"


@given(st.binary(max_size=60))
def test_any_bytes_give_a_table_or_the_named_error(raw: bytes) -> None:
    with suppress(ScenarioError):
        top = read_table(raw, "x.toml")
        assert all(top.line(key) >= 1 for key in top.content)
