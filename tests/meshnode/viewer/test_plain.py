"""Text and Markdown as people write them; any bytes give a document or a named error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.viewer.bounds import DOCUMENT_BLOCKS_MAX, DOCUMENT_CHARACTERS_MAX
from meshnode.viewer.document import Heading, Item, Paragraph, Span, Table
from meshnode.viewer.plain import read_markdown_untrusted, read_text_untrusted
from meshnode.viewer.reading import read_document_untrusted, words_of
from meshnode.viewer.shown import to_html, to_text
from protocol.errors import LimitExceededError, MalformedError
from protocol.sheets import SheetForm

MARKDOWN = """# Homme à la mer

Donner l'alerte **tout de suite**,
puis *rester calme*.

1. Bouée
2. Position
  - GPS

| Signal | Sens |
| ------ | ---- |
| rouge  | danger |
"""


def test_markdown() -> None:
    found = read_markdown_untrusted(MARKDOWN.encode())
    assert found.title == "Homme à la mer"
    assert found.blocks == (
        Heading(1, (Span("Homme à la mer"),)),
        Paragraph(
            (
                Span("Donner l'alerte "),
                Span("tout de suite", is_bold=True),
                Span(", puis "),
                Span("rester calme", is_italic=True),
                Span("."),
            )
        ),
        Item(1, 1, (Span("Bouée"),)),
        Item(1, 2, (Span("Position"),)),
        Item(2, None, (Span("GPS"),)),
        Table("", (("Signal", "Sens"), ("rouge", "danger"))),
    )
    assert "danger" in words_of(found)
    assert to_text(found) == (
        "Homme à la mer\n==============\n\n"
        "Donner l'alerte tout de suite, puis rester calme.\n"
        "  1. Bouée\n  2. Position\n    • GPS\n\n"
        "Signal | Sens\nrouge  | danger\n"
    )
    page = to_html(found, "Fiche", ["Version 2"])
    assert "<strong>tout de suite</strong>" in page
    assert '<p class="item d1">1. Bouée</p>' in page
    assert '<p class="told">Version 2</p>' in page
    assert '<html lang="fr">' in page


def test_text_of_older_windows_and_what_is_no_text() -> None:
    found = read_text_untrusted("Procédure\r\n\r\nœil\x1b[2J".encode("cp1252"))
    assert to_text(found) == "Procédure\n\nœil[2J\n"
    with pytest.raises(MalformedError):
        read_text_untrusted(b"\x81\x8d")


def test_bounds_of_text() -> None:
    assert len(read_text_untrusted(b"x\n\n" * DOCUMENT_BLOCKS_MAX).blocks) == DOCUMENT_BLOCKS_MAX
    for raw in (
        b"x\n\n" * (DOCUMENT_BLOCKS_MAX + 1),
        b"x" * (DOCUMENT_CHARACTERS_MAX + 1),
        b"x" * (4 * DOCUMENT_CHARACTERS_MAX + 1),
    ):
        with pytest.raises(LimitExceededError):
            read_text_untrusted(raw)


@given(st.text(max_size=200), st.sampled_from([SheetForm.TEXT, SheetForm.MARKDOWN]))
def test_nothing_that_is_written_runs_or_steers(text: str, form: SheetForm) -> None:
    raw = text.encode("utf-8", "replace")
    found = read_document_untrusted(raw, form)
    shown, page = to_text(found), to_html(found, text)
    assert not any(letter < " " and letter not in "\n\t" for letter in shown)
    body = page.partition("<body>")[2]
    tags = {each.partition(">")[0].partition(" ")[0] for each in body.split("<")[1:]}
    known = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "strong", "em", "table", "tr", "td"}
    assert tags <= known | {f"/{tag}" for tag in known} | {"/body", "/html"}
