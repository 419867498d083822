"""What is printed: plain in a pipe, and never a command to the terminal or to the printer."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from meshnode.demo.report import Report, short
from meshnode.demo.witness import Change


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def printed(change: Change, stream: io.StringIO) -> str:
    """Return what a report prints of one change."""
    Report(stream, lambda: 12.34).change(change)
    return stream.getvalue()


def message(text: str, kind: str = "text") -> dict[str, object]:
    """Return a message in an inbox."""
    return {"kind": kind, "text": text, "to": "codt"}


def test_a_line_says_when_who_and_what() -> None:
    line = printed(Change("centre", "shows", "alice", message("Bonjour")), io.StringIO())
    assert line == "  12.3 s  centre    shows «Bonjour» from alice to codt\n"
    line = printed(Change("centre", "shows", "alice", message("À l'aide", "sos")), io.StringIO())
    assert "shows SOS «À l'aide»" in line
    assert printed(Change("a", "meets", "b", {}), io.StringIO()).endswith("meets b\n")
    assert printed(Change("centre", "shows", "y", message("x", "note")), io.StringIO()) == ""


@given(st.text(max_size=60))
def test_words_of_others_are_words(text: str) -> None:
    change = Change("centre", "shows", "alice", message(text))
    plain = printed(change, io.StringIO())
    assert plain.count("\n") == 1
    assert f"«{short(text)}»" in plain
    assert short(text) in printed(change, Screen()) or not short(text).strip()


def test_markup_and_escapes_are_not_obeyed() -> None:
    change = Change("centre", "shows", "alice", message("[bold]a[/bold]\x1b[2J\u202eb\\"))
    assert "«[bold]a[/bold] [2J b\\»" in printed(change, io.StringIO())
    assert "\x1b[2J" not in printed(change, Screen())


def test_tables_are_aligned_in_a_pipe_and_complete_on_a_screen() -> None:
    pipe, screen = io.StringIO(), Screen()
    rows = [("un", "deux"), ("trois quatre", "[b]")]
    Report(pipe, lambda: 0.0).table(("a", "b"), rows)
    assert pipe.getvalue() == "\n  a             b\n  un            deux\n  trois quatre  [b]\n"
    Report(screen, lambda: 0.0).table(("a", "b"), rows)
    assert all(word in screen.getvalue() for word in ("un", "deux", "trois quatre", "[b]"))


@given(st.text(), st.integers(1, 80))
def test_short_is_short_and_one_line(text: str, most: int) -> None:
    line = short(text, most)
    assert len(line) <= most
    assert len(line.splitlines()) <= 1 or not set("\n\r\x0b\x0c\x1c\x1d\x1e\x85") & set(line)
