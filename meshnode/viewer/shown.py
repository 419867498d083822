"""Gives a document as text for a terminal, or as one page of HTML that loads and runs nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from html import escape
from types import MappingProxyType
from typing import Final

from meshnode.viewer.document import (
    Block,
    Cell,
    Document,
    Heading,
    Inline,
    Item,
    Paragraph,
    Picture,
    Span,
    Table,
)
from protocol.attachments import Media

__all__ = ["to_html", "to_text"]

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:1rem auto;padding:0 1rem;"
    "color:#111;background:#fff;overflow-wrap:anywhere}"
    "table{border-collapse:collapse;margin:1rem 0;display:block;overflow-x:auto}"
    "td{border:1px solid #888;padding:.2rem .5rem;vertical-align:top;white-space:pre-wrap}"
    "p{white-space:pre-wrap}img{max-width:100%;height:auto}.item{margin:.3rem 0}"
    + "".join(f".d{n}{{margin-left:{1.5 * n}rem}}" for n in range(1, 7))
    + ".told{border:1px solid #888;padding:.5rem;font-size:.9rem}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
_BULLET: Final = "•"
_TYPES: Final = MappingProxyType({Media.JPEG: "image/jpeg", Media.PNG: "image/png"})


def to_html(document: Document, title: str, notes: Iterable[str] = ()) -> str:
    """Return one page of HTML: all text escaped, no script, no link, nothing to load.

    Pictures stand in it whole, each as often as it is shown; the reader bounds their sum.
    `notes` are sentences for people that stand above the content.
    """
    language = document.language or "fr"
    told = "".join(f'<p class="told">{escape(each)}</p>\n' for each in notes)
    body = "\n".join(_html(block) for block in document.blocks)
    return (
        f'<!doctype html>\n<html lang="{escape(language)}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"{told}{body}\n</body>\n</html>\n"
    )


def _html(block: Block) -> str:
    match block:
        case Heading():
            return f"<h{block.level}>{_html_spans(block.spans)}</h{block.level}>"
        case Paragraph():
            return f"<p>{_html_spans(block.spans)}</p>"
        case Item():
            lead = _lead(block)
            return f'<p class="item d{block.depth}">{escape(lead)}{_html_spans(block.spans)}</p>'
        case Table():
            rows = "\n".join(
                "<tr>" + "".join(f"<td>{_html_cell(cell)}</td>" for cell in row) + "</tr>"
                for row in block.rows
            )
            name = f"<h3>{escape(block.name)}</h3>\n" if block.name else ""
            return f"{name}<table>\n{rows}\n</table>"


def _html_cell(cell: Cell) -> str:
    parts = (cell,) if isinstance(cell, str) else cell.parts
    return "".join(escape(e) if isinstance(e, str) else _html_picture(e) for e in parts)


def _html_picture(picture: Picture) -> str:
    width = f' width="{picture.width_px}"' if picture.width_px else ""
    data = base64.b64encode(picture.raw).decode()
    words = escape(picture.words or picture.name)
    return f'<img alt="{words}"{width} src="data:{_TYPES[picture.media]};base64,{data}">'


def _html_spans(spans: Iterable[Inline]) -> str:
    return "".join(
        _html_span(each) if isinstance(each, Span) else _html_picture(each) for each in spans
    )


def _html_span(span: Span) -> str:
    text = escape(span.text)
    if span.is_italic:
        text = f"<em>{text}</em>"
    return f"<strong>{text}</strong>" if span.is_bold else text


def _lead(item: Item) -> str:
    if item.number is None:
        return f"{_BULLET} "
    return f"{item.number}. " if item.number else ""


def to_text(document: Document) -> str:
    """Return the document as lines of text, without anything that steers a screen."""
    return "\n".join(line for block in document.blocks for line in _text(block)).strip("\n") + "\n"


def _text(block: Block) -> Iterator[str]:
    match block:
        case Heading():
            text = _plain(block.spans)
            mark = "=" if block.level == 1 else "-"
            yield from ("", text, mark * min(len(text), 72))
        case Paragraph():
            yield from ("", _plain(block.spans))
        case Item():
            indent = "  " * block.depth
            lead = _lead(block)
            body = _plain(block.spans).replace("\n", "\n" + " " * (len(indent) + len(lead)))
            yield f"{indent}{lead}{body}"
        case Table():
            yield from ("", *([block.name] if block.name else ()))
            yield from _aligned(block.rows)


def _plain(spans: Iterable[Inline]) -> str:
    return "".join(span.text for span in spans)


_WIDTH_MAX: Final = 40
"""A column that is wider does not push the others away: its cells end where they end."""


def _aligned(rows: tuple[tuple[Cell, ...], ...]) -> Iterator[str]:
    texts = ([cell if isinstance(cell, str) else cell.text for cell in row] for row in rows)
    flat = [[text.replace("\n", " / ") for text in row] for row in texts]
    columns = max((len(row) for row in flat), default=0)
    widths = [
        min(max((len(row[n]) for row in flat if n < len(row)), default=0), _WIDTH_MAX)
        for n in range(columns)
    ]
    for row in flat:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        yield " | ".join(cells).rstrip()
