"""Reads plain text and Markdown: headings, lists, tables, bold, italics; the rest stands as is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from meshnode.viewer.bounds import DOCUMENT_BLOCKS_MAX, DOCUMENT_CHARACTERS_MAX
from meshnode.viewer.document import (
    Block,
    Document,
    Heading,
    Item,
    Paragraph,
    Span,
    Table,
    printable,
)
from protocol.errors import LimitExceededError, MalformedError

__all__ = ["read_markdown_untrusted", "read_text_untrusted"]

_BYTES_PER_CHARACTER: Final = 4
_HEADING: Final = re.compile(r"(#{1,6})[ \t]+(.*?)[ \t#]*$")
_BULLET: Final = re.compile(r"( {0,20})[-*+][ \t]+(.*)$")
_NUMBER: Final = re.compile(r"( {0,20})(\d{1,4})[.)][ \t]+(.*)$")
_MARKED: Final = re.compile(r"\*\*([^*\n]{1,500})\*\*|\*([^*\s][^*\n]{0,500})\*")
_ROW: Final = re.compile(r"\s*\|.*\|\s*$")
_RULE: Final = re.compile(r"[\s|:-]+$")
_INDENT: Final = 2
_DEPTH_MAX: Final = 6
_COLUMNS_MAX: Final = 64


def read_text_untrusted(raw: bytes) -> Document:
    """Return the paragraphs of a text. Raises: MalformedError, LimitExceededError."""
    lines = _lines_untrusted(raw)
    blocks = (Paragraph((Span("\n".join(each)),)) for each in _paragraphs(lines))
    return Document("", "", (), _bounded(blocks))


def read_markdown_untrusted(raw: bytes) -> Document:
    """Return what a text in Markdown says; its first heading of level 1 is its title.

    Raises: MalformedError, LimitExceededError.
    """
    lines = _lines_untrusted(raw)
    blocks = _bounded(block for each in _paragraphs(lines) for block in _blocks(each))
    top = next((e for e in blocks if isinstance(e, Heading) and e.level == 1), None)
    title = "" if top is None else "".join(span.text for span in top.spans)
    return Document(title, "", (), blocks)


def _bounded(blocks: Iterator[Block]) -> tuple[Block, ...]:
    found = []
    for block in blocks:
        found.append(block)
        if len(found) > DOCUMENT_BLOCKS_MAX:
            raise LimitExceededError("document blocks", DOCUMENT_BLOCKS_MAX, len(found))
    return tuple(found)


def _lines_untrusted(raw: bytes) -> list[str]:
    if len(raw) > _BYTES_PER_CHARACTER * DOCUMENT_CHARACTERS_MAX:
        raise LimitExceededError(
            "document bytes", _BYTES_PER_CHARACTER * DOCUMENT_CHARACTERS_MAX, len(raw)
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = _old_untrusted(raw)
    if len(text) > DOCUMENT_CHARACTERS_MAX:
        raise LimitExceededError("document characters", DOCUMENT_CHARACTERS_MAX, len(text))
    return printable(text.replace("\r\n", "\n").replace("\r", "\n")).split("\n")


def _old_untrusted(raw: bytes) -> str:
    """Read what an older Windows wrote."""
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError as error:
        raise MalformedError("this is no text") from error


def _paragraphs(lines: list[str]) -> Iterator[list[str]]:
    held: list[str] = []
    for line in lines:
        if line.strip():
            held.append(line.rstrip())
        elif held:
            yield held
            held = []
    if held:
        yield held


def _blocks(lines: list[str]) -> Iterator[Block]:
    held: list[str] = []
    rows: list[tuple[str, ...]] = []
    for line in lines:
        found = _alone(line)
        is_row = found is None and _ROW.match(line) is not None
        if held and (found is not None or is_row):
            yield Paragraph(_spans(" ".join(held)))
            held = []
        if rows and not is_row:
            yield Table("", tuple(rows))
            rows = []
        if is_row:
            rows += [] if _RULE.match(line) else [_cells(line)]
        elif found is None:
            held.append(line.strip())
        else:
            yield found
    if rows:
        yield Table("", tuple(rows))
    if held:
        yield Paragraph(_spans(" ".join(held)))


def _cells(line: str) -> tuple[str, ...]:
    parts = line.strip().strip("|").split("|")[:_COLUMNS_MAX]
    return tuple("".join(span.text for span in _spans(each.strip())) for each in parts)


def _alone(line: str) -> Block | None:
    """Return the heading or item that a line is, None for a line of a paragraph."""
    if (found := _HEADING.match(line)) is not None:
        return Heading(len(found[1]), _spans(found[2]))
    if (found := _NUMBER.match(line)) is not None:
        return Item(_depth(found[1]), int(found[2]), _spans(found[3]))
    if (found := _BULLET.match(line)) is not None:
        return Item(_depth(found[1]), None, _spans(found[2]))
    return None


def _depth(indent: str) -> int:
    return min(1 + len(indent) // _INDENT, _DEPTH_MAX)


def _spans(text: str) -> tuple[Span, ...]:
    found, at = [], 0
    for marked in _MARKED.finditer(text):
        if marked.start() > at:
            found.append(Span(text[at : marked.start()]))
        is_bold = marked[1] is not None
        found.append(Span(marked[1] if is_bold else marked[2], is_bold, not is_bold))
        at = marked.end()
    if at < len(text) or not found:
        found.append(Span(text[at:]))
    return tuple(found)
