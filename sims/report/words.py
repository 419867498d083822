"""Texts, numbers and times of the reports, in English or French.

All texts stand in one table, `texts.json`: a key, and for each language a sentence with fields in
braces. Nothing here knows a figure or a page.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeAlias

from protocol.errors import MeshError

__all__ = ["LANGUAGES", "Cell", "Language", "ReportError", "Words", "read_texts"]

Language: TypeAlias = Literal["en", "fr"]
Cell: TypeAlias = str | int | float | None
"""A field of a table: a text, a number, or nothing known."""

LANGUAGES: Final[tuple[Language, ...]] = ("en", "fr")
DAY_S: Final = 86_400

_THIN_SPACE: Final = "\u202f"
_BYTE_STEPS: Final = ((10**9, "unit.gigabyte"), (10**6, "unit.megabyte"), (10**3, "unit.kilobyte"))


class ReportError(MeshError):
    """A report cannot be made from what was given, or cannot be written."""


def read_texts() -> Mapping[str, Mapping[str, str]]:
    """Return the whole table: key, then language, then text."""
    table: dict[str, dict[str, str]] = json.loads(
        Path(__file__).with_name("texts.json").read_text(encoding="utf-8")
    )
    return table


class Words:
    """The texts of one language, and how it writes numbers."""

    def __init__(self, language: Language = "en") -> None:
        if language not in LANGUAGES:
            raise ReportError(f"reports speak {' and '.join(LANGUAGES)}, not '{language}'")
        self.language = language
        self._texts = {key: row[language] for key, row in read_texts().items()}

    def __call__(self, key: str, **fields: str) -> str:
        """Return the text of `key` with its fields filled in. The key must stand in the table."""
        return self._texts[key].format(**fields)

    def template(self, key: str) -> str:
        """Return the text of `key` with its fields left in braces, for a script to fill in."""
        return self._texts[key]

    def heading(self, column: str) -> str:
        """Return what people call a column; a column unknown to the table keeps its name."""
        return self._texts.get(f"column.{column}", column)

    def noun(self, column: str) -> str:
        """Return what a column is about, without its unit."""
        return self.heading(column).split(",")[0]

    # --- numbers -----------------------------------------------------------------------------

    def number(self, value: float, digits: int = 0) -> str:
        """Return a number with `digits` decimals; a dash where it is not finite."""
        if not math.isfinite(value):
            return "–"
        text = f"{value:,.{digits}f}"
        if self.language == "en":
            return text
        return text.replace(",", _THIN_SPACE).replace(".", ",")

    def figure(self, value: float) -> str:
        """Return a number with the three digits that tell most, without zeros at its end."""
        if not math.isfinite(value) or value == 0:
            return self.number(value)
        digits = min(max(2 - math.floor(math.log10(abs(value))), 0), 6)
        while digits and round(value, digits) == round(value, digits - 1):
            digits -= 1
        return self.number(value, digits)

    def percent(self, share: float, digits: int = 1) -> str:
        """Return a share between 0 and 1 in percent."""
        text = self.number(100 * share, digits)
        return text if text == "–" else text + ("%" if self.language == "en" else _THIN_SPACE + "%")

    def size(self, count: float) -> str:
        """Return a number of bytes in the unit that suits it, a thousand to each step."""
        for step, unit in _BYTE_STEPS:
            if count >= step:
                scaled = count / step
                return f"{self.number(scaled, 0 if scaled >= 100 or scaled % 1 == 0 else 1)}" + (
                    f"\u00a0{self(unit)}"
                )
        return f"{self.number(count)}\u00a0{self('unit.byte')}"

    def cell(self, value: Cell) -> str:
        """Return a field of a table as people read it."""
        if value is None:
            return "–"
        if isinstance(value, str):
            return value
        return self.number(value) if isinstance(value, int) else self.figure(value)

    def listing(self, names: list[str]) -> str:
        """Return names joined as in a sentence."""
        if len(names) < 2:
            return "".join(names)
        return ", ".join(names[:-1]) + f" {self('and')} {names[-1]}"

    # --- times -------------------------------------------------------------------------------

    def duration(self, seconds: float) -> str:
        """Return a length of time in at most two units."""
        if not math.isfinite(seconds):
            return "–"
        if seconds < 59.5:
            return f"{self.number(seconds)}\u00a0s"
        minutes = round(seconds / 60)
        if minutes < 60:
            return f"{minutes}\u00a0min"
        hours, minutes = divmod(minutes, 60)
        if hours < 24:
            return f"{hours}\u00a0h" + (f"\u00a0{minutes:02d}\u00a0min" if minutes else "")
        hours = round(seconds / 3600)
        days, hours = divmod(hours, 24)
        return f"{days}\u00a0{self('unit.day')}" + (f"\u00a0{hours}\u00a0h" if hours else "")

    def moment(self, seconds: float) -> str:
        """Return a time of the run as day and hour; the run begins on day 1 at 00:00."""
        day, rest = divmod(int(seconds), DAY_S)
        clock = f"{rest // 3600:02d}:{rest % 3600 // 60:02d}"
        return self("moment", day=str(day + 1), clock=clock)
