"""How commands show things: JSON objects, tables, times, sizes and the words for states.

On a terminal a table has rich's looks; in a pipe it is plain aligned lines that other programs can
cut. Nothing here asks a node anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import typer

from meshnode.cli.language import say
from meshnode.cli.texts import is_terminal

__all__ = [
    "SCHEMA_VERSION",
    "STATES",
    "ago",
    "bar",
    "duration",
    "local_time",
    "print_facts",
    "print_json",
    "print_table",
    "safe",
    "size",
    "state_words",
]

SCHEMA_VERSION: Final = 1
"""Version of every JSON object that a command prints."""

STATES: Final = {
    "waiting": "not sealed yet",
    "queued": "queued here",
    "carried": "carried",
    "pending": "no receipt yet",
    "at gateway": "at the gateway",
    "on device": "on the device",
    "withdrawn": "withdrawn unread",
    "read": "read",
    "delivered": "delivered",
    "expired": "expired",
    "refused": "refused",
    "received": "received",
}
"""States of the node's API, in words for people; never more than is known."""


_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Characters that command a terminal or turn the direction of writing."""


_WIDE: Final = re.compile("[^\\S\u00a0\u202f]+")
"""Space and line breaks, but not the space that keeps a sign with its word."""


def safe(text: str) -> str:
    """Return `text` without what commands a terminal: peers must not move the reader's cursor."""
    return _CONTROLS.sub("\ufffd", text)


def print_json(**fields: Any) -> None:
    """Print one JSON object on one line, with the version of its schema."""
    text = json.dumps({"schema": SCHEMA_VERSION, **fields}, ensure_ascii=False)
    # Still the same JSON; the terminal it may be shown on must not obey it.
    typer.echo(_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Print rows under the names of their columns; a title of its own line where given."""
    # A line break in a message must not break its row in two.
    lines = [
        tuple(safe(_WIDE.sub(" ", cell).strip(" ")) for cell in row) for row in (columns, *rows)
    ]
    if is_terminal():
        _print_rich(lines[0], lines[1:], title)
        return
    if title:
        typer.echo(safe(title))
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        typer.echo("  ".join(padded).rstrip())


def _print_rich(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(escape(column), overflow="fold")
    for row in rows:
        # Text of peers is shown as it is, never read as markup.
        table.add_row(*(escape(cell) for cell in row))
    Console(highlight=False).print(table)


def print_facts(facts: Mapping[str, str]) -> None:
    """Print names and values, one a line."""
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        typer.echo(f"{name.ljust(width)}  {safe(value)}")


def local_time(time_ms: int) -> str:
    """Return Unix milliseconds in local time with its offset, to the second; empty for 0."""
    if not time_ms:
        return ""
    moment = datetime.fromtimestamp(time_ms / 1000, UTC).astimezone()
    return moment.isoformat(sep=" ", timespec="seconds")


def ago(then_ms: int, now_ms: int) -> str:
    """Return how long ago something was, in words."""
    if not then_ms:
        return say("never")
    return say("{duration} ago", duration=duration(max(0, now_ms - then_ms) / 1000))


def duration(seconds: float) -> str:
    """Return a length of time in its two largest units."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest_s = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest_s} s" if rest_s else f"{minutes} min"
    hours, rest_minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {rest_minutes} min" if rest_minutes else f"{hours} h"
    days, rest_hours = divmod(hours, 24)
    word = say("d")
    return f"{days} {word} {rest_hours} h" if rest_hours else f"{days} {word}"


def aged(words: str, value: Mapping[str, Any]) -> str:
    """Return words with the age of the value they tell; one that is stale is marked first."""
    age = say("{duration} ago", duration=duration(value["age_s"]))
    return (
        say("STALE {age}: {words}", age=age, words=words)
        if value["is_stale"]
        else f"{words}, {age}"
    )


def size(size_bytes: int) -> str:
    """Return a number of bytes in decimal units, in the language in use."""
    units, number, step = (say("B"), say("kB"), say("MB"), say("GB")), float(size_bytes), 0
    while number >= 1000 and step < len(units) - 1:
        number, step = number / 1000, step + 1
    return f"{number:.1f} {units[step]}" if step else f"{number:.0f} {units[0]}"


def bar(pct: int, cells: int) -> str:
    """Return a bar of progress, `cells` characters wide, for 0-100 percent."""
    full = cells * pct // 100
    return f"{'█' * full}{'░' * (cells - full)}"


def state_words(state: str, carriers: int | None = None, reason: str = "") -> str:
    """Return a state of the node's API in words for people, with its reason where there is one."""
    if state == "carried" and carriers is not None:
        words = say("carried by {count}", count=carriers)
    else:
        words = say(STATES.get(state, state))
    return f"{words}: {reason}" if reason else words
