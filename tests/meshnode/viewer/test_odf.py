"""ODT and ODS are read as they were meant; hostile ones give one of two named errors, soon."""

from __future__ import annotations

import zipfile
from io import BytesIO

import pytest

from meshnode.viewer import bounds
from meshnode.viewer.document import Heading, Item, Paragraph, Span, Table
from meshnode.viewer.odf import read_odf_untrusted
from meshnode.viewer.shown import to_html, to_text
from protocol.errors import LimitExceededError, MalformedError
from tests.meshnode.viewer.odf_files import ODS, PROCEDURE, STYLES, content, meta, ods, odt, pack


def cell(text: str, more: str = "") -> str:
    inner = f"<text:p>{text}</text:p>" if text else ""
    return f"<table:table-cell {more}>{inner}</table:table-cell>"


def table(*rows: str, name: str = "Tarifs") -> str:
    return f'<table:table table:name="{name}">{"".join(rows)}</table:table>'


def row(*cells: str, more: str = "") -> str:
    return f"<table:table-row {more}>{''.join(cells)}</table:table-row>"


def test_a_text_document() -> None:
    found = read_odf_untrusted(odt("Contrôle", PROCEDURE, "navire", "bord; montée"))
    assert (found.title, found.language) == ("Contrôle", "fr")
    assert found.keywords == ("navire", "bord", "montée")
    assert found.blocks == (
        Heading(1, (Span("Contrôle d'un navire"),)),
        Paragraph(
            (
                Span("Avant la "),
                Span("montée à bord", is_bold=True),
                Span(", prévenir le CODT."),
            )
        ),
        Item(1, 1, (Span("Relever le pavillon"),)),
        Item(1, 2, (Span("Demander les manifestes"),)),
        Item(2, None, (Span("original"),)),
        Paragraph((Span("Voir la note (https://example.org/x)"),)),
    )


def test_a_spreadsheet_ends_where_its_content_ends() -> None:
    found = read_odf_untrusted(
        ods(
            "Tarifs",
            table(
                row(
                    cell("Produit"), cell("Taux"), cell("", 'table:number-columns-repeated="16000"')
                ),
                row(cell("tabac", 'table:number-columns-repeated="2"'), cell("20 %")),
                row(cell(""), more='table:number-rows-repeated="1048000"'),
                row(cell("", 'table:number-columns-repeated="2"'), cell("fin")),
                row(cell(""), more='table:number-rows-repeated="1048576"'),
            ),
        )
    )
    (only,) = found.blocks
    assert only == Table(
        "Tarifs", (("Produit", "Taux"), ("tabac", "tabac", "20 %"), (), ("", "", "fin"))
    )
    assert "tabac   | tabac | 20 %" in to_text(found)


def test_what_is_not_shown_is_named_and_never_run() -> None:
    body = (
        "<office:scripts><office:script script:language='ooo:Basic'>Sub Main</office:script>"
        "</office:scripts>"
        "<text:p>Texte<draw:frame><draw:image xlink:href='file:///etc/passwd'/></draw:frame>"
        "<text:note><text:note-citation>1</text:note-citation><text:note-body>"
        "<text:p>note</text:p></text:note-body></text:note></text:p>"
        "<text:p><draw:object xlink:href='./Object 1'><text:p>objet</text:p></draw:object></text:p>"
        "<text:p><text:a xlink:href='javascript:alert(1)'>lien</text:a>"
        "<office:annotation><text:p>remarque</text:p></office:annotation></text:p>"
    )
    found = read_odf_untrusted(pack(content(body), {"Basic/Standard/Module1.xml": "Sub Main"}))
    assert found.left_out == {"macros": 2, "objects": 1, "pictures": 1}
    text, page = to_text(found), to_html(found, "Titre <script>")
    assert text.split() == ["Texte", "note", "lien"]
    for word in ("Sub", "passwd", "javascript", "objet", "remarque", "<script", "href", "src="):
        assert word not in page
    assert "default-src 'none'" in page.replace("&#x27;", "'")


def test_text_is_escaped_and_steers_no_screen() -> None:
    found = read_odf_untrusted(
        odt("t", "<text:p>&lt;img src=x onerror=a&gt; \u202eabc\u200b</text:p>")
    )
    assert to_text(found) == "<img src=x onerror=a> abc\n"
    assert "&lt;img src=x" in to_html(found, "t")


# --- hostile ---------------------------------------------------------------------------------


def bomb(size_bytes: int) -> bytes:
    return pack(b"<a>" + b" " * size_bytes + b"</a>")


HOSTILE_XML = {
    "entities": (
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
        + content("<text:p>x</text:p>").partition("?>")[2]
    ),
    "external entity": (
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
        + content("<text:p>&e;</text:p>").partition("?>")[2]
    ),
    "external type": '<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd"><x/>',
    "cut short": content("<text:p>x")[:-80],
    "another encoding": content("<text:p>é</text:p>")
    .replace("UTF-8", "ISO-8859-1")
    .encode("latin-1"),
    "empty": "",
}


@pytest.mark.parametrize("xml", HOSTILE_XML.values(), ids=list(HOSTILE_XML))
def test_xml_that_no_office_program_writes(xml: str | bytes) -> None:
    with pytest.raises(MalformedError):
        read_odf_untrusted(pack(xml))


def test_a_bomb_is_unpacked_to_its_bound_and_no_further() -> None:
    raw = bomb(4 * bounds.DOCUMENT_XML_BYTES_MAX)
    assert len(raw) < 40_000
    with pytest.raises(LimitExceededError) as caught:
        read_odf_untrusted(raw)
    assert caught.value.limit_name == "unpacked document bytes"


@pytest.mark.parametrize(
    ("rows", "limit_name"),
    [
        (row(cell("x", 'table:number-columns-repeated="1000000"')), "table columns"),
        (row(cell("x"), more='table:number-rows-repeated="1000000"'), "table cells"),
        (row(cell("x" * 999), more='table:number-rows-repeated="9000"'), "table characters"),
        (row(cell("", 'table:number-columns-repeated="9999"'), cell("x")), "table columns"),
    ],
)
def test_repeated_cells(rows: str, limit_name: str) -> None:
    with pytest.raises(LimitExceededError) as caught:
        read_odf_untrusted(ods("t", table(rows)))
    assert caught.value.limit_name == limit_name


@pytest.mark.parametrize(
    ("body", "limit_name"),
    [
        ("<text:span>" * 120 + "</text:span>" * 120, "document depth"),
        ("<text:p/>" * (bounds.DOCUMENT_ELEMENTS_MAX + 1), "document elements"),
        ("<text:p>x</text:p>" * (bounds.DOCUMENT_BLOCKS_MAX + 1), "document blocks"),
        ("<text:p>" + "x" * (bounds.DOCUMENT_CHARACTERS_MAX + 1) + "</text:p>", "characters"),
    ],
    ids=["depth", "elements", "blocks", "characters"],
)
def test_content_beyond_its_bounds(body: str, limit_name: str) -> None:
    with pytest.raises(LimitExceededError) as caught:
        read_odf_untrusted(pack(content(body)))
    assert limit_name in caught.value.limit_name


def test_content_at_its_bounds() -> None:
    found = read_odf_untrusted(pack(content("<text:p>x</text:p>" * bounds.DOCUMENT_BLOCKS_MAX)))
    assert len(found.blocks) == bounds.DOCUMENT_BLOCKS_MAX


@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "/etc/passwd", "a/../../b", "C:\\x.exe"])
def test_names_that_lead_out(name: str) -> None:
    with pytest.raises(MalformedError, match="outside"):
        read_odf_untrusted(pack(content("<text:p>x</text:p>"), {name: "x"}))


def test_two_parts_of_one_name() -> None:
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("content.xml", content("<text:p>shown</text:p>"))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("content.xml", content("<text:p>hidden</text:p>"))
    with pytest.raises(MalformedError, match="two parts"):
        read_odf_untrusted(made.getvalue())


def test_a_directory_of_a_million_members_is_not_read() -> None:
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for number in range(5_000):
            archive.writestr(f"{number:040d}", b"")
    with pytest.raises(LimitExceededError, match="index"):
        read_odf_untrusted(made.getvalue())


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_packings(packing: int) -> None:
    made = BytesIO()
    with zipfile.ZipFile(made, "w", packing) as archive:
        archive.writestr("mimetype", ODS)
    with pytest.raises(MalformedError, match="packed"):
        read_odf_untrusted(made.getvalue())


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "archive"),
        (b"PK\x05\x06" + bytes(18), "neither"),
        (pack("<x/>", mime="application/zip"), "neither"),
        (pack("<x/>", {"META-INF/manifest.xml": "<manifest:encryption-data/>"}), "password"),
        (odt("t", PROCEDURE)[:-30], "archive"),
    ],
)
def test_what_is_no_document(raw: bytes, words: str) -> None:
    with pytest.raises(MalformedError, match=words):
        read_odf_untrusted(raw)


def test_styles_of_the_document_hold_where_content_names_them() -> None:
    named = {"styles.xml": content("", STYLES.replace("Strong", "Fort")), "meta.xml": meta("t")}
    body = '<text:p><text:span text:style-name="Fort">gras</text:span></text:p>'
    found = read_odf_untrusted(pack(content(body, ""), named))
    assert found.blocks == (Paragraph((Span("gras", is_bold=True),)),)
