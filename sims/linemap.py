"""Says on which line of a TOML text each table and each key stands.

The standard parser gives values without places. This walks over a text that the parser took, so it
may trust its form: what it does not know it need not refuse. Source: TOML 1.0.0.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from typing import Final, TypeAlias

__all__ = ["Path", "map_lines"]

Path: TypeAlias = "tuple[str | int, ...]"
"""Keys from the top down; a number counts within a list, from 0."""

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_STRING: Final = re.compile(
    # A string of several lines may end in one or two quotes of its own.
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}|'
    r"'''(?:[^']|'(?!''))*'{3,5}|"
    r'"(?:[^"\\\n]|\\.)*"|'
    r"'[^'\n]*'",
    re.DOTALL,
)
_SIMPLE: Final = re.compile(r"[^,\]}#\n]*")
"""A number, a flag or a date."""


def map_lines(text: str) -> dict[Path, int]:
    """Return the line, from 1, of every table, key and element of `text`, which is sound TOML.

    A table that is opened more than once stands where it was first named. Cost: O(len(text)).
    """
    return _Walk(text).statements()


class _Walk:
    """One walk over a text, front to back."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._ends = [found.start() for found in re.finditer("\n", text)]
        self._lines: dict[Path, int] = {}
        self._lengths: dict[Path, int] = {}

    def statements(self) -> dict[Path, int]:
        table: Path = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._peek() == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)
        return self._lines

    def _header(self) -> Path:
        is_list = self._text.startswith("[[", self._at)
        line = self._line()
        self._at += 2 if is_list else 1
        keys = self._keys()
        self._at += 2 if is_list else 1
        path: Path = ()
        for key in keys[:-1]:
            path = self._inside((*path, key))
            self._lines.setdefault(path, line)
        path = (*path, keys[-1])
        if is_list:
            self._lengths[path] = self._lengths.get(path, 0) + 1
            self._lines.setdefault(path, line)
            path = self._inside(path)
        self._lines.setdefault(path, line)
        return path

    def _inside(self, path: Path) -> Path:
        """Return the path of the latest element where `path` is a list of tables."""
        length = self._lengths.get(path, 0)
        return (*path, length - 1) if length else path

    def _pair(self, table: Path) -> None:
        line = self._line()
        path = table
        for key in self._keys():
            path = (*path, key)
            self._lines.setdefault(path, line)
        self._at += 1
        self._skip(_SPACE)
        self._value(path)

    def _keys(self) -> list[str]:
        """Take a dotted key and the space around it."""
        keys = [self._key()]
        while self._peek() == ".":
            self._at += 1
            keys.append(self._key())
        return keys

    def _key(self) -> str:
        self._skip(_SPACE)
        bare = _BARE_KEY.match(self._text, self._at)
        if bare is None:
            quoted = self._skip(_STRING)
            key = str(tomllib.loads(f"key = {quoted}")["key"])
        else:
            self._at = bare.end()
            key = bare.group()
        self._skip(_SPACE)
        return key

    def _value(self, path: Path) -> None:
        first = self._peek()
        if first in "\"'":
            self._skip(_STRING)
        elif first == "[":
            self._list(path)
        elif first == "{":
            self._inline(path)
        else:
            self._skip(_SIMPLE)

    def _list(self, path: Path) -> None:
        self._at += 1
        self._skip(_BLANK)
        place = 0
        while self._peek() != "]":
            self._lines[*path, place] = self._line()
            self._value((*path, place))
            place += 1
            self._skip_comma()
        self._at += 1

    def _inline(self, path: Path) -> None:
        self._at += 1
        self._skip(_BLANK)
        while self._peek() != "}":
            self._pair(path)
            self._skip_comma()
        self._at += 1

    def _skip_comma(self) -> None:
        self._skip(_BLANK)
        if self._peek() == ",":
            self._at += 1
            self._skip(_BLANK)

    def _peek(self) -> str:
        assert self._at < len(self._text), "the text is sound TOML"
        return self._text[self._at]

    def _skip(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        assert found is not None, "the text is sound TOML"
        self._at = found.end()
        return found.group()

    def _line(self) -> int:
        return bisect_left(self._ends, self._at) + 1
