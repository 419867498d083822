"""Makes blocks of the elements of ODF: a reader for content and styles, one for the title.

Called by the XML parser for each element and text; bounded in elements, depth, characters, blocks
and cells. What it does not know it passes through, so text in new elements is still shown.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Protocol

from meshnode.viewer.bounds import (
    DOCUMENT_BLOCKS_MAX,
    DOCUMENT_CHARACTERS_MAX,
    DOCUMENT_DEPTH_MAX,
    DOCUMENT_ELEMENTS_MAX,
    SPACES_MAX,
)
from meshnode.viewer.document import (
    Block,
    Heading,
    Inline,
    Item,
    Paragraph,
    Picture,
    Span,
    printable,
)
from meshnode.viewer.odf_frame import FrameReader, Unpack, one_line
from meshnode.viewer.odf_table import TableReader, repeats
from protocol.errors import LimitExceededError

__all__ = ["ContentReader", "MetaReader", "Reader"]

_PREFIXES: Final = {
    "urn:oasis:names:tc:opendocument:xmlns:office:1.0": "office",
    "urn:oasis:names:tc:opendocument:xmlns:text:1.0": "text",
    "urn:oasis:names:tc:opendocument:xmlns:table:1.0": "table",
    "urn:oasis:names:tc:opendocument:xmlns:style:1.0": "style",
    "urn:oasis:names:tc:opendocument:xmlns:drawing:1.0": "draw",
    "urn:oasis:names:tc:opendocument:xmlns:meta:1.0": "meta",
    "urn:oasis:names:tc:opendocument:xmlns:xsl-fo-compatible:1.0": "fo",
    "urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0": "svg",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://www.w3.org/1999/xlink": "xlink",
}
_SKIPPED: Final = {
    "office:scripts": "macros",
    "office:event-listeners": "macros",
    "office:forms": "objects",
    "draw:object": "objects",
    "draw:object-ole": "objects",
    "draw:plugin": "objects",
    "draw:applet": "objects",
    "draw:floating-frame": "objects",
    "office:annotation": "",
    "text:tracked-changes": "",
    "text:table-of-content": "",
    "text:note-citation": "",
    "table:content-validations": "",
    "office:binary-data": "",
    "style:header": "",
    "style:footer": "",
}
"""Elements of which nothing is shown, and what people are told was left out."""
_SPACE: Final = re.compile(r"[ \t\r\n]+")
_SHOWN_TARGETS: Final = ("http://", "https://", "mailto:", "tel:")
_LEVELS: Final = 6
_NAME_MAX: Final = 200
_KEYWORDS_MAX: Final = 32


class Reader(Protocol):
    """Takes what the XML parser finds."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Take the beginning of an element."""

    def end(self, name: str) -> None:
        """Take the end of an element."""

    def text(self, data: str) -> None:
        """Take text."""


def _short(name: str) -> str:
    """Return a name with the prefix that ODF itself uses; empty where it is not of ODF."""
    space, _, local = name.rpartition(" ")
    prefix = _PREFIXES.get(space)
    return f"{prefix}:{local}" if prefix else ""


class _Counting:
    """Counts elements, depth and characters."""

    def __init__(self) -> None:
        self._elements = 0
        self._depth = 0
        self._characters = 0

    def _enter(self) -> None:
        self._elements += 1
        self._depth += 1
        if self._elements > DOCUMENT_ELEMENTS_MAX:
            raise LimitExceededError("document elements", DOCUMENT_ELEMENTS_MAX, self._elements)
        if self._depth > DOCUMENT_DEPTH_MAX:
            raise LimitExceededError("document depth", DOCUMENT_DEPTH_MAX, self._depth)

    def _leave(self) -> None:
        self._depth -= 1

    def _count(self, text: str) -> str:
        self._characters += len(text)
        if self._characters > DOCUMENT_CHARACTERS_MAX:
            raise LimitExceededError(
                "document characters", DOCUMENT_CHARACTERS_MAX, self._characters
            )
        return text


class MetaReader(_Counting):
    """What a document says of itself."""

    def __init__(self) -> None:
        super().__init__()
        self._name = ""
        self._found: dict[str, list[str]] = {}

    @property
    def title(self) -> str:
        """Its title, or nothing."""
        return one_line("".join(self._found.get("dc:title", [])))

    @property
    def language(self) -> str:
        """Its language in two letters, or nothing."""
        told = "".join(self._found.get("dc:language", []))[:2].lower()
        return told if len(told) == 2 and told.isascii() and told.isalpha() else ""

    @property
    def keywords(self) -> tuple[str, ...]:
        """Its keywords."""
        words = "".join(self._found.get("meta:keyword", [])).replace(";", ",").split(",")
        return tuple(each for word in words if (each := one_line(word)))[:_KEYWORDS_MAX]

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """See `Reader`."""
        self._enter()
        self._name = _short(name)

    def end(self, name: str) -> None:
        """See `Reader`."""
        self._leave()
        if self._name == "meta:keyword":
            self._found.setdefault(self._name, []).append(",")
        self._name = ""

    def text(self, data: str) -> None:
        """See `Reader`."""
        self._found.setdefault(self._name, []).append(self._count(data))


@dataclass(slots=True)
class _List:
    """A list that is being read."""

    style: str
    """Its style, or that of the list around it."""
    count: int = 0
    """Items so far."""
    is_new: bool = False
    """The next paragraph begins an item."""


@dataclass(slots=True)
class _Line:
    """A heading or paragraph that is being read."""

    level: int
    """Of a heading; 0 for a paragraph."""
    spans: list[Inline] = field(default_factory=list)
    """What was read."""
    last: str = " "
    """The last character: spaces at the beginning and beside others are dropped."""


class ContentReader(_Counting):
    """Styles and content of a document, read in this order."""

    def __init__(self, unpack: Unpack | None = None) -> None:
        """`unpack` gives pictures of the archive; without it none is shown."""
        super().__init__()
        self.blocks: list[Block] = []
        self.left_out: Counter[str] = Counter()
        self._frames = FrameReader(unpack, self.left_out)
        self._skip = 0
        self._styles: dict[str, tuple[bool, bool]] = {}
        self._numbered: dict[str, set[int]] = {}
        self._style = self._list_style = ""
        self._marks: list[tuple[bool, bool]] = [(False, False)]
        self._targets: list[str] = []
        self._lists: list[_List] = []
        self._last_count = 0
        self._line: _Line | None = None
        self._nested = 0
        self._table = TableReader()

    # --- what the parser calls --------------------------------------------------------------

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """See `Reader`."""
        self._enter()
        if self._skip:
            self._skip += 1
            return
        short = _short(name)
        if short in _SKIPPED:
            self._skip = 1
            if _SKIPPED[short]:
                self.left_out[_SKIPPED[short]] += 1
                self._frames.passed_over()
            return
        told = {_short(key): value for key, value in attributes.items()}
        begin = getattr(self, _STARTS.get(short, ""), None)
        if begin is not None:
            begin(told)

    def end(self, name: str) -> None:
        """See `Reader`."""
        self._leave()
        if self._skip:
            self._skip -= 1
            return
        finish = getattr(self, _ENDS.get(_short(name), ""), None)
        if finish is not None:
            finish()

    def text(self, data: str) -> None:
        """See `Reader`."""
        if self._skip:
            return
        if self._frames.has_words_open:
            self._frames.add_words(self._count(data))
            return
        if self._line is None:
            return
        plain = _SPACE.sub(" ", data)
        if self._line.last in " \n\t":
            plain = plain.lstrip(" ")
        self._add(plain)

    # --- styles -----------------------------------------------------------------------------

    def _begin_style(self, told: dict[str, str]) -> None:
        self._style = told.get("style:name", "")
        self._styles[self._style] = self._styles.get(told.get("style:parent-style-name", ""), _NONE)

    def _begin_properties(self, told: dict[str, str]) -> None:
        bold, italic = self._styles.get(self._style, _NONE)
        weight, slant = told.get("fo:font-weight"), told.get("fo:font-style")
        self._styles[self._style] = (
            bold if weight is None else weight in ("bold", "600", "700", "800", "900"),
            italic if slant is None else slant in ("italic", "oblique"),
        )

    def _end_style(self) -> None:
        self._style = ""

    def _begin_list_style(self, told: dict[str, str]) -> None:
        self._list_style = told.get("style:name", "")
        self._numbered[self._list_style] = set()

    def _begin_number(self, told: dict[str, str]) -> None:
        if told.get("style:num-format", ""):
            level = repeats(told.get("text:level"), _LEVELS)
            self._numbered.setdefault(self._list_style, set()).add(level)

    # --- lines ------------------------------------------------------------------------------

    def _begin_heading(self, told: dict[str, str]) -> None:
        self._begin_line(told, repeats(told.get("text:outline-level"), _LEVELS))

    def _begin_paragraph(self, told: dict[str, str]) -> None:
        self._begin_line(told, 0)

    def _begin_line(self, told: dict[str, str], level: int) -> None:
        self._nested += 1
        if self._line is None:
            self._line = _Line(level)
            self._marks.append(self._styles.get(told.get("text:style-name", ""), _NONE))
        else:
            # A text box or a note inside a line: it is read as a part of it.
            self._add(" ")

    def _end_line(self) -> None:
        self._nested -= 1
        line = self._line
        if self._nested or line is None:
            return
        self._line = None
        self._marks.pop()
        spans = tuple(line.spans)
        if self._table.is_open:
            self._table.add(_trimmed(spans))
        elif any(span.text.strip() for span in spans):
            self._keep(self._block(line.level, spans))

    def _block(self, level: int, spans: tuple[Inline, ...]) -> Block:
        if level:
            return Heading(level, spans)
        if not self._lists:
            return Paragraph(spans)
        depth, innermost = min(len(self._lists), _LEVELS), self._lists[-1]
        is_first, innermost.is_new = innermost.is_new, False
        if not is_first:
            return Item(depth, 0, spans)
        is_numbered = depth in self._numbered.get(innermost.style, ())
        return Item(depth, innermost.count if is_numbered else None, spans)

    def _keep(self, block: Block) -> None:
        if len(self.blocks) >= DOCUMENT_BLOCKS_MAX:
            raise LimitExceededError("document blocks", DOCUMENT_BLOCKS_MAX, len(self.blocks) + 1)
        self.blocks.append(block)

    # --- inside a line ----------------------------------------------------------------------

    def _add(self, text: str) -> None:
        line = self._line
        if line is None or not text:
            return
        shown, marks = printable(self._count(text)), self._marks[-1]
        line.last = text[-1]
        before = line.spans[-1] if line.spans else None
        # Joined while they are short, so that a long line is not copied for each piece.
        is_joined = (
            isinstance(before, Span)
            and len(before.text) + len(shown) < _NAME_MAX
            and (before.is_bold, before.is_italic) == marks
        )
        if is_joined:
            shown = line.spans.pop().text + shown
        line.spans.append(Span(shown, *marks))

    def _begin_span(self, told: dict[str, str]) -> None:
        own = self._styles.get(told.get("text:style-name", ""), _NONE)
        around = self._marks[-1]
        self._marks.append((own[0] or around[0], own[1] or around[1]))

    def _end_span(self) -> None:
        self._marks.pop()

    def _begin_spaces(self, told: dict[str, str]) -> None:
        self._add(" " * repeats(told.get("text:c"), SPACES_MAX))

    def _begin_tab(self, _told: dict[str, str]) -> None:
        self._add("\t")

    def _begin_break(self, _told: dict[str, str]) -> None:
        self._add("\n")

    def _begin_link(self, told: dict[str, str]) -> None:
        self._targets.append(told.get("xlink:href", ""))

    def _end_link(self) -> None:
        target = self._targets.pop()
        if target.startswith(_SHOWN_TARGETS) and len(target) <= _NAME_MAX:
            self._add(f" ({target})")

    # --- frames -----------------------------------------------------------------------------

    def _begin_frame(self, told: dict[str, str]) -> None:
        self._frames.begin(told)

    def _begin_picture(self, told: dict[str, str]) -> None:
        self._frames.found(told.get("xlink:href", ""))

    def _begin_words(self, _told: dict[str, str]) -> None:
        self._frames.begin_words()

    def _end_words(self) -> None:
        self._frames.end_words()

    def _end_frame(self) -> None:
        shown = self._frames.end()
        if shown is None:
            return
        self._count(shown.text)
        if self._line is not None:
            self._line.spans.append(shown)
            self._line.last = "]"
        elif self._table.is_in_cell:
            self._table.add([shown if isinstance(shown, Picture) else shown.text])
        else:
            self._keep(Paragraph((shown,)))

    # --- lists ------------------------------------------------------------------------------

    def _begin_list(self, told: dict[str, str]) -> None:
        around = self._lists[-1].style if self._lists else ""
        begun = _List(told.get("text:style-name", around))
        goes_on = told.get("text:continue-numbering") == "true" or "text:continue-list" in told
        if goes_on and not self._lists:
            begun.count = self._last_count
        self._lists.append(begun)

    def _begin_item(self, told: dict[str, str]) -> None:
        if self._lists:
            innermost = self._lists[-1]
            first = told.get("text:start-value", "")
            innermost.count = repeats(first, 9_999) if first else innermost.count + 1
            innermost.is_new = True

    def _end_list(self) -> None:
        self._last_count = self._lists.pop().count

    # --- tables -----------------------------------------------------------------------------

    def _begin_table(self, told: dict[str, str]) -> None:
        self._table.begin(one_line(told.get("table:name", "")))

    def _begin_row(self, told: dict[str, str]) -> None:
        self._table.begin_row(told.get("table:number-rows-repeated"))

    def _begin_cell(self, told: dict[str, str]) -> None:
        self._table.begin_cell(told.get("table:number-columns-repeated"))

    def _end_cell(self) -> None:
        self._table.end_cell()

    def _end_row(self) -> None:
        self._table.end_row()

    def _end_table(self) -> None:
        table = self._table.end()
        if table is not None:
            self._keep(table)


def _trimmed(spans: tuple[Inline, ...]) -> list[str | Picture]:
    """Return a line as a cell holds it: without marks, and without spaces at its ends."""
    parts = [each if isinstance(each, Picture) else each.text for each in spans]
    if not any(isinstance(each, Picture) for each in parts):
        return ["".join(each.text for each in spans).strip()]
    if isinstance(parts[0], str):
        parts[0] = parts[0].lstrip()
    if isinstance(parts[-1], str):
        parts[-1] = parts[-1].rstrip()
    return parts


_NONE: Final = (False, False)
_STARTS: Final = {
    "style:style": "_begin_style",
    "style:text-properties": "_begin_properties",
    "text:list-style": "_begin_list_style",
    "text:list-level-style-number": "_begin_number",
    "text:h": "_begin_heading",
    "text:p": "_begin_paragraph",
    "text:span": "_begin_span",
    "text:s": "_begin_spaces",
    "text:tab": "_begin_tab",
    "text:line-break": "_begin_break",
    "text:a": "_begin_link",
    "draw:frame": "_begin_frame",
    "draw:image": "_begin_picture",
    "svg:title": "_begin_words",
    "svg:desc": "_begin_words",
    "text:list": "_begin_list",
    "text:list-item": "_begin_item",
    "table:table": "_begin_table",
    "table:table-row": "_begin_row",
    "table:table-cell": "_begin_cell",
    "table:covered-table-cell": "_begin_cell",
}
_ENDS: Final = {
    "style:style": "_end_style",
    "text:h": "_end_line",
    "text:p": "_end_line",
    "text:span": "_end_span",
    "text:a": "_end_link",
    "draw:frame": "_end_frame",
    "svg:title": "_end_words",
    "svg:desc": "_end_words",
    "text:list": "_end_list",
    "table:table-cell": "_end_cell",
    "table:covered-table-cell": "_end_cell",
    "table:table-row": "_end_row",
    "table:table": "_end_table",
}
