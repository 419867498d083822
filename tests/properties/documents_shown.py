"""Parsers of reflex sheets: their catalogues, and the documents that are shown."""

from __future__ import annotations

from meshnode.viewer import odf, pictures, plain, reading
from meshnode.viewer.odf_content import ContentReader, MetaReader
from protocol import attachments, sheets
from protocol.sheets import Catalogue, Sheet, SheetForm
from tests.meshnode.viewer.odf_files import PROCEDURE, content, ods, odt, pack
from tests.meshnode.viewer.picture_files import frame, jpeg, png
from tests.properties.table import Parser

__all__ = ["SHEET_PARSERS"]

SHEET = Sheet(
    "mer", 2, "Homme à la mer", "fr", ("bouée",), SheetForm.ODF, 70_000, b"h" * 32, b"k" * 32
)
CATALOGUE = sheets.encode_catalogue(Catalogue(3, (SHEET,), {sheets.sheet_id_of("x"): 1}))
TABLE = (
    '<table:table table:name="T"><table:table-row table:number-rows-repeated="2">'
    '<table:table-cell table:number-columns-repeated="3"><text:p>x</text:p></table:table-cell>'
    "</table:table-row></table:table>"
)
ODT, ODS = odt("Contrôle", PROCEDURE, "navire"), ods("Tarifs", TABLE)
PICTURED = pack(
    content(
        f"<text:p>{frame('Pictures/1.png', words='Pavillon')}</text:p>{frame('Pictures/2.jpg')}"
    ),
    {"Pictures/1.png": png(), "Pictures/2.jpg": jpeg()},
)
XML = content(PROCEDURE + TABLE + frame("Pictures/1.png", words="Pavillon")).encode()
MARKDOWN = "# Mer\n\n1. **Bouée**\n- *GPS*\n\n| a | b |\n|---|---|\n".encode()


def _parsed(xml: bytes) -> object:
    reader = ContentReader()
    odf._parse_untrusted(reader, xml)
    return reader.blocks


def _told(xml: bytes) -> object:
    reader = MetaReader()
    odf._parse_untrusted(reader, xml)
    return reader.title, reader.language, reader.keywords


SHEET_PARSERS: tuple[Parser, ...] = (
    Parser("sheets.decode_catalogue_untrusted", sheets.decode_catalogue_untrusted, (CATALOGUE,)),
    Parser(
        "sheets.decode_sheet_untrusted",
        sheets.decode_sheet_untrusted,
        (sheets.encode_sheet(SHEET),),
    ),
    Parser("meshnode.viewer.odf.read_odf_untrusted", odf.read_odf_untrusted, (ODT, ODS, PICTURED)),
    Parser("meshnode.viewer.odf._measure_untrusted", odf._measure_untrusted, (ODT,)),
    Parser("meshnode.viewer.odf._read_untrusted", odf.read_odf_untrusted, (ODS, ODT)),
    Parser("meshnode.viewer.odf._members_untrusted", odf.read_odf_untrusted, (ODT,)),
    Parser("meshnode.viewer.odf._parse_untrusted", _parsed, (XML,)),
    Parser("meshnode.viewer.odf meta", _told, (XML,)),
    Parser("meshnode.viewer.pictures.see_untrusted", pictures.see_untrusted, (png(), jpeg())),
    Parser(
        "attachments.picture_size_untrusted",
        lambda data: attachments.picture_size_untrusted(data, attachments.sniff(data)),
        (png(), jpeg()),
    ),
    Parser("meshnode.viewer.plain.read_text_untrusted", plain.read_text_untrusted, (MARKDOWN,)),
    Parser(
        "meshnode.viewer.plain.read_markdown_untrusted",
        plain.read_markdown_untrusted,
        (MARKDOWN,),
    ),
    Parser("meshnode.viewer.plain._lines_untrusted", plain._lines_untrusted, (MARKDOWN,)),
    Parser("meshnode.viewer.plain._old_untrusted", plain._old_untrusted, ("é".encode("cp1252"),)),
    Parser(
        "meshnode.viewer.reading.read_document_untrusted",
        lambda data: reading.read_document_untrusted(data, SheetForm.ODF),
        (ODT, ODS),
    ),
)
