"""Takes values out of a TOML file, one by one; every error names file, line, table and key.

What was not taken when a table ends is unknown, so that a misspelt key is never passed over. It
knows no key of any format.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from sims.errors import ScenarioError
from sims.linemap import map_lines

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from sims.linemap import Path

__all__ = ["FILE_BYTES_MAX", "Table", "read_record", "read_table"]

Record = TypeVar("Record", bound="DataclassInstance")

FILE_BYTES_MAX: Final = 1_000_000
"""Of one scenario: some 20,000 events written out."""
_PLACE: Final = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)")


def read_table(raw: bytes, file: str) -> Table:
    """Return the top table of a TOML text; `file` is how errors call it.

    Raises: ScenarioError that names the line.
    """
    if len(raw) > FILE_BYTES_MAX:
        raise ScenarioError(file, f"has more than {FILE_BYTES_MAX} bytes")
    try:
        text = raw.decode().replace("\r\n", "\n")
        content = tomllib.loads(text)
        return Table(content, (), file, map_lines(text))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ScenarioError(f"{file} line {line}", "is not text in UTF-8") from error
    except RecursionError as error:
        raise ScenarioError(file, "is nested too deeply") from error
    except ValueError as error:
        # Beside its own errors the parser lets through those of numbers with too many digits.
        raise _syntax_error(str(error), text, file) from error


def read_record(table: Table, default: Record, bounds: Mapping[str, tuple[float, float]]) -> Record:
    """Return `default` with the fields that `table` has, each within its bounds.

    A field with a whole number takes one, a pair takes two rising numbers. Every key of the table
    is a name in `bounds`. Raises: ScenarioError.
    """
    found: dict[str, object] = {}
    for name, (low, high) in bounds.items():
        value = getattr(default, name)
        if isinstance(value, tuple):
            found[name] = table.span(name, value, low=low, high=high)
        elif isinstance(value, int):
            found[name] = table.whole(name, value, low=int(low), high=int(high))
        else:
            found[name] = table.number(name, value, low=low, high=high)
    table.end()
    return replace(default, **found)


def _syntax_error(words: str, text: str, file: str) -> ScenarioError:
    found = _PLACE.search(words)
    if found is None:
        return ScenarioError(file, f"is not TOML: {words}")
    line = found.group(1) or max(1, len(text.splitlines()))
    return ScenarioError(f"{file} line {line}", f"is not TOML: {_PLACE.sub('', words)}")


class Table:
    """One table of a file. Each key is taken once; `end` refuses those that are left."""

    def __init__(
        self, content: Mapping[str, object], path: Path, file: str, lines: Mapping[Path, int]
    ) -> None:
        self.content = dict(content)
        """All keys and values, as the file has them."""
        self.path = path
        """Where the table stands, from the top of the file."""
        self.file = file
        """How errors call the file."""
        self._lines = lines
        self._left = dict(content)

    def __contains__(self, key: str) -> bool:
        return key in self.content

    def line(self, key: str = "") -> int:
        """Return the line of a key; where it is missing or empty, that of the table."""
        path: Path = (*self.path, key) if key else self.path
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)

    def error(self, key: str, reason: str) -> ScenarioError:
        """Return the error that says what is wrong with a key; with "" for it, with the table."""
        name = _name((*self.path, key) if key else self.path)
        place = f"{self.file} line {self.line(key)}"
        return ScenarioError(f"{place}, {name}" if name else place, reason)

    def end(self) -> None:
        """Raise ScenarioError if something was not taken."""
        for key in self._left:
            raise self.error(key, "is unknown")

    def text(self, key: str, default: str | None = None, among: Sequence[str] = ()) -> str:
        """Take a text, one of `among` where that is given."""
        value = self._take(key, default)
        if not isinstance(value, str):
            raise self.error(key, "is a text in quotes")
        if among and value not in among:
            raise self.error(key, f"is one of {', '.join(among)}")
        return value

    def texts(self, key: str) -> list[str]:
        """Take a list of texts; empty where it is missing."""
        value = self._take(key, [])
        if not isinstance(value, list):
            raise self.error(key, "is a list of texts")
        for place, each in enumerate(value):
            if not isinstance(each, str):
                raise self._error_in(key, place, "is a list of texts")
        return value

    def flag(self, key: str, default: bool | None = None) -> bool:
        """Take a true or false."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self.error(key, "is true or false")
        return value

    def number(
        self,
        key: str,
        default: float | None = None,
        *,
        low: float | None = None,
        high: float | None = None,
    ) -> float:
        """Take a number, from `low` to `high` where they are given."""
        value = _number(self._take(key, default))
        if value is None:
            raise self.error(key, "is a number")
        self._check_range(key, value, low, high)
        return value

    def whole(
        self,
        key: str,
        default: int | None = None,
        *,
        low: int | None = None,
        high: int | None = None,
    ) -> int:
        """Take a whole number, from `low` to `high` where they are given."""
        value = self._take(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(key, "is a whole number")
        self._check_range(key, value, low, high)
        return value

    def span(
        self, key: str, default: tuple[float, float], *, low: float, high: float
    ) -> tuple[float, float]:
        """Take a list of two rising numbers, each from `low` to `high`."""
        value = self._take(key, list(default))
        if not isinstance(value, list) or len(value) != 2:
            raise self.error(key, "is a list of two numbers, the smaller one first")
        numbers = [_number(each) for each in value]
        for place, each in enumerate(numbers):
            if each is None:
                raise self._error_in(key, place, "is a list of two numbers")
            if not low <= each <= high:
                raise self._error_in(key, place, f"is between {low:.10g} and {high:.10g}")
        first, second = (each for each in numbers if each is not None)
        if first > second:
            raise self.error(key, "begins with the smaller number")
        return first, second

    def table(self, key: str) -> Table:
        """Take a table; empty where it is missing."""
        value = self._take(key, {})
        if not isinstance(value, Mapping):
            raise self.error(key, f"is a table: write [{_name((*self.path, key))}]")
        return Table(value, (*self.path, key), self.file, self._lines)

    def tables(self, key: str) -> list[Table]:
        """Take a list of tables; empty where it is missing."""
        value = self._take(key, [])
        if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
            raise self.error(key, f"is a list of tables: write [[{_name((*self.path, key))}]]")
        return [
            Table(each, (*self.path, key, place), self.file, self._lines)
            for place, each in enumerate(value)
        ]

    def _take(self, key: str, default: object) -> object:
        value = self._left.pop(key, default)
        if value is None:
            raise self.error(key, "is missing")
        return value

    def _error_in(self, key: str, place: int, reason: str) -> ScenarioError:
        """Return the error of a key whose list is wrong at `place`, with the line of that."""
        line = self._lines.get((*self.path, key, place), self.line(key))
        return ScenarioError(f"{self.file} line {line}, {_name((*self.path, key))}", reason)

    def _check_range(self, key: str, value: float, low: float | None, high: float | None) -> None:
        is_low = low is not None and not value >= low
        is_high = high is not None and not value <= high
        if not is_low and not is_high:
            return
        if low is None:
            raise self.error(key, f"is at most {high:.10g}")
        if high is None:
            raise self.error(key, f"is at least {low:.10g}")
        raise self.error(key, f"is between {low:.10g} and {high:.10g}")


def _name(path: Path) -> str:
    """Return how people call a place: `contact 3.start_s`, `mountains.squads`."""
    words = ""
    for each in path:
        if isinstance(each, int):
            words += f" {each + 1}"
        else:
            words += f".{each}" if words else each
    return words


def _number(value: object) -> float | None:
    """Return `value` as a number, infinite where it is too large for one; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int) and abs(value) >= 2**1023:
        return math.inf if value > 0 else -math.inf
    return float(value)
