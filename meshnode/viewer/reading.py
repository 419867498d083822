"""Reads a file of any form that can be shown, by its content and never by its name alone."""

from __future__ import annotations

from meshnode.viewer.bounds import DOCUMENT_SHOWN_BYTES_MAX
from meshnode.viewer.document import Block, Cell, Document, Span, Table
from meshnode.viewer.odf import read_odf_untrusted
from meshnode.viewer.plain import read_markdown_untrusted, read_text_untrusted
from protocol.errors import LimitExceededError
from protocol.sheets import SheetForm

__all__ = ["read_document_untrusted", "words_of"]


def read_document_untrusted(raw: bytes, form: SheetForm) -> Document:
    """Return what a document says.

    Raises: MalformedError, LimitExceededError.
    """
    if len(raw) > DOCUMENT_SHOWN_BYTES_MAX:
        raise LimitExceededError("document bytes", DOCUMENT_SHOWN_BYTES_MAX, len(raw))
    match form:
        case SheetForm.ODF:
            return read_odf_untrusted(raw)
        case SheetForm.MARKDOWN:
            return read_markdown_untrusted(raw)
        case SheetForm.TEXT:
            return read_text_untrusted(raw)


def words_of(document: Document) -> str:
    """Return all text of a document, for a search."""
    return "\n".join(_words(block) for block in document.blocks)


def _words(block: Block) -> str:
    if isinstance(block, Table):
        texts = (" ".join(map(_said_in, row)) for row in block.rows)
        return "\n".join([block.name, *texts])
    return "".join(
        each.text if isinstance(each, Span) else f" {each.words} " for each in block.spans
    )


def _said_in(cell: Cell) -> str:
    """Return the text of a cell, of pictures what their author said of them, not their names."""
    if isinstance(cell, str):
        return cell
    return "".join(each if isinstance(each, str) else f" {each.words} " for each in cell.parts)
