"""A document as it is shown: headings, paragraphs, items, tables, of plain and marked text.

There is no link, no picture, no script and no field in it, so nothing that shows it can follow,
fetch or run any.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias

__all__ = [
    "LEFT_OUT",
    "Block",
    "Document",
    "Heading",
    "Item",
    "Paragraph",
    "Span",
    "Table",
    "printable",
]

LEFT_OUT: Final = MappingProxyType(
    {
        "macros": "Macros: neither run nor shown.",
        "objects": "Objects and forms: not shown.",
        "pictures": "Pictures: not shown.",
    }
)
"""What people read for each sort of thing that a document holds and nobody shows; in English."""
_KEPT: Final = frozenset("\n\t")


@dataclass(frozen=True, slots=True)
class Span:
    """Some text of one kind."""

    text: str = field(repr=False)
    """What `printable` gives; may hold line breaks and tabs."""
    is_bold: bool = False
    """It is shown bold."""
    is_italic: bool = False
    """It is shown in italics."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading."""

    level: int
    """1 to 6, 1 the highest."""
    spans: tuple[Span, ...] = field(repr=False)
    """Its text."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph."""

    spans: tuple[Span, ...] = field(repr=False)
    """Its text."""


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a list."""

    depth: int
    """1 to 6: how many lists it is in."""
    number: int | None
    """Its number; None has a bullet, 0 goes on with the item before."""
    spans: tuple[Span, ...] = field(repr=False)
    """Its text."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table, or one sheet of a spreadsheet."""

    name: str = field(repr=False)
    """Its name; may be empty."""
    rows: tuple[tuple[str, ...], ...] = field(repr=False)
    """Texts of the cells; a row ends with its last cell that holds something."""


Block: TypeAlias = Heading | Paragraph | Item | Table


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says."""

    title: str = field(repr=False)
    """What it calls itself; may be empty."""
    language: str
    """Two letters, or empty where it does not tell."""
    keywords: tuple[str, ...] = field(repr=False)
    """What it shall be found by."""
    blocks: tuple[Block, ...] = field(repr=False)
    """Its content, in order."""
    left_out: tuple[str, ...] = ()
    """What it holds and nobody shows: `macros`, `pictures`, `objects`."""

    @property
    def is_empty(self) -> bool:
        """True where there is nothing to read."""
        return not self.blocks


def printable(text: str) -> str:
    """Return text without anything that steers a screen or turns the direction of writing."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        letter
        for letter in text
        if letter in _KEPT or not unicodedata.category(letter).startswith("C")
    )
