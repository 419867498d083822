"""Tables, times, sizes and words on the screen."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.cli import show
from meshnode.cli.language import speak
from meshnode.cli.show import (
    ago,
    duration,
    local_time,
    print_json,
    print_table,
    safe,
    size,
    state_words,
)


def test_a_table_in_a_pipe_is_aligned_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "text"), [("bob", "a\nb"), ("alexandra", "[red]c")], "title")
    assert capsys.readouterr().out.splitlines() == [
        "title",
        "name       text",
        "bob        a b",
        "alexandra  [red]c",
    ]


def test_a_table_on_a_terminal_shows_text_as_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    print_table(("name", "text"), [("bob", "[red]no markup[/red] \x1b[2J")], "[b]t")
    shown = capsys.readouterr().out
    assert "[red]no markup[/red]" in shown
    assert "[b]t" in shown
    assert "\x1b" not in shown


@given(st.text())
def test_nothing_that_is_shown_commands_a_terminal(text: str) -> None:
    shown = safe(text)
    assert not any(char in shown for char in "\x00\x07\x08\x0b\r\x1b\x7f\x9b\u202e\u2066")
    assert len(shown) == len(text)
    assert safe(shown) == shown


@given(st.text())
def test_json_is_the_same_text_without_raw_controls(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("typer.echo", lines.append)
        print_json(text=text)
    assert json.loads(lines[0]) == {"schema": 1, "text": text}
    assert safe(lines[0]) == lines[0]
    assert "\n" not in lines[0]


def test_times_are_local_with_their_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Paris")
    time.tzset()
    assert local_time(1_795_689_989_586) == "2026-11-26 11:46:29+01:00"
    assert local_time(0) == ""
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3_600, "1 h"),
        (3_720, "1 h 2 min"),
        (86_400, "1 d"),
        (176_400, "2 d 1 h"),
    ],
)
def test_durations_have_two_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_how_long_ago_something_was() -> None:
    assert ago(1_000, 61_000) == "1 min ago"
    assert ago(61_000, 1_000) == "0 s ago"
    assert ago(0, 5) == "never"


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (2_500_000, "2.5 MB"), (10**13, "10000.0 GB")],
)
def test_sizes_have_decimal_units(size_bytes: int, words: str) -> None:
    assert size(size_bytes) == words


def test_sizes_are_french_in_french() -> None:
    speak("fr")
    assert [size(10**power) for power in (1, 4, 6, 12)] == [
        "10 o",
        "10.0 ko",
        "1.0 Mo",
        "1000.0 Go",
    ]


def test_states_say_no_more_than_is_known() -> None:
    assert state_words("carried", 2) == "carried by 2"
    assert state_words("carried") == "carried"
    assert state_words("at gateway") == "at the gateway"
    assert state_words("refused", reason="cancelled") == "refused: cancelled"
