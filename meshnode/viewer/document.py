"""A document as it is shown: headings, paragraphs, items, tables, of plain and marked text.

There is no link, no script and no field in it, and a picture is its bytes, so nothing that shows it
can follow, fetch or run any.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias

from protocol.attachments import Media

__all__ = [
    "LEFT_OUT",
    "Block",
    "Cell",
    "Document",
    "Heading",
    "Inline",
    "Item",
    "Paragraph",
    "Picture",
    "PictureCell",
    "Span",
    "Table",
    "printable",
]

LEFT_OUT: Final = MappingProxyType(
    {
        "macros": "Macros: neither run nor shown.",
        "objects": "Objects and forms: {count} not shown.",
        "pictures": "Pictures: {count} not shown.",
    }
)
"""What people read for each sort of thing that a document holds and nobody shows, with how many; in
English."""
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
class Picture:
    """A picture that was looked at: bytes of one that a browser shows, and no address."""

    media: Media
    """JPEG or PNG."""
    raw: bytes = field(repr=False)
    """The file, without what stands beside the picture in it."""
    words: str = field(repr=False)
    """What it shows, as its author put it; may be empty. What `printable` gives, of one line."""
    name: str = field(repr=False)
    """What it is called, where there are no words."""
    width_px: int = 0
    """Pixels of a page, 1 to 2,000; 0 for as wide as it is."""

    @property
    def text(self) -> str:
        """What stands in its place where pictures cannot be shown."""
        return f"[▣ {self.words or self.name}]"


Inline: TypeAlias = Span | Picture
"""What a line is made of."""


@dataclass(frozen=True, slots=True)
class PictureCell:
    """A cell of a table that has pictures in it."""

    parts: tuple[str | Picture, ...] = field(repr=False)
    """Texts and pictures, in order."""

    @property
    def text(self) -> str:
        """All of it as text."""
        return "".join(each if isinstance(each, str) else each.text for each in self.parts)


Cell: TypeAlias = str | PictureCell
"""A cell of a table: mostly a text."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading."""

    level: int
    """1 to 6, 1 the highest."""
    spans: tuple[Inline, ...] = field(repr=False)
    """Its text and pictures."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph."""

    spans: tuple[Inline, ...] = field(repr=False)
    """Its text and pictures."""


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a list."""

    depth: int
    """1 to 6: how many lists it is in."""
    number: int | None
    """Its number; None has a bullet, 0 goes on with the item before."""
    spans: tuple[Inline, ...] = field(repr=False)
    """Its text and pictures."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table, or one sheet of a spreadsheet."""

    name: str = field(repr=False)
    """Its name; may be empty."""
    rows: tuple[tuple[Cell, ...], ...] = field(repr=False)
    """Its cells; a row ends with its last cell that holds something."""


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
    left_out: Mapping[str, int] = field(default_factory=dict)
    """What it holds and nobody shows, and how many: `macros`, `pictures`, `objects`."""

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
