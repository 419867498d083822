"""ODF files made by hand: what an office program writes, and what only a hostile one does."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from io import BytesIO
from xml.sax.saxutils import escape

ODT = "application/vnd.oasis.opendocument.text"
ODS = "application/vnd.oasis.opendocument.spreadsheet"
SPACES = " ".join(
    f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for prefix, name in (
        ("office", "office"),
        ("text", "text"),
        ("table", "table"),
        ("style", "style"),
        ("draw", "drawing"),
        ("meta", "meta"),
        ("fo", "xsl-fo-compatible"),
        ("svg", "svg-compatible"),
        ("script", "script"),
    )
) + (
    ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xlink="http://www.w3.org/1999/xlink"'
    ' xmlns:of="urn:oasis:names:tc:opendocument:xmlns:of:1.2"'
)
STYLES = (
    '<style:style style:name="Strong" style:family="text">'
    '<style:text-properties fo:font-weight="bold"/></style:style>'
    '<text:list-style style:name="Steps">'
    '<text:list-level-style-number text:level="1" style:num-format="1"/></text:list-style>'
)


def content(body: str, styles: str = STYLES, kind: str = "text") -> str:
    """Return `content.xml` around a body."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document-content {SPACES}>'
        f"<office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body><office:{kind}>{body}</office:{kind}></office:body>"
        "</office:document-content>"
    )


def meta(title: str, *keywords: str, language: str = "fr-FR") -> str:
    """Return `meta.xml`."""
    words = "".join(f"<meta:keyword>{escape(each)}</meta:keyword>" for each in keywords)
    return (
        f"<office:document-meta {SPACES}><office:meta><dc:title>{escape(title)}</dc:title>"
        f"{words}<dc:language>{language}</dc:language></office:meta></office:document-meta>"
    )


def pack(
    body: str | bytes, more: Mapping[str, str | bytes] | None = None, *, mime: str = ODT
) -> bytes:
    """Return the archive of a whole `content.xml` and further members."""
    made = BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("mimetype"), mime)
        for name, held in {"content.xml": body, **(more or {})}.items():
            # Dated by hand, so that the same document has the same bytes.
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, held)
    return made.getvalue()


def odt(title: str, body: str, *keywords: str) -> bytes:
    """Return a text document."""
    return pack(content(body), {"meta.xml": meta(title, *keywords)})


def ods(title: str, table: str) -> bytes:
    """Return a spreadsheet."""
    return pack(content(table, kind="spreadsheet"), {"meta.xml": meta(title)}, mime=ODS)


PROCEDURE = (
    '<text:h text:outline-level="1">Contrôle d\'un navire</text:h>'
    '<text:p>Avant la <text:span text:style-name="Strong">montée à bord</text:span>,'
    " prévenir le   CODT.</text:p>"
    '<text:list text:style-name="Steps">'
    "<text:list-item><text:p>Relever le pavillon</text:p></text:list-item>"
    "<text:list-item><text:p>Demander les manifestes</text:p>"
    "<text:list><text:list-item><text:p>original</text:p></text:list-item></text:list>"
    "</text:list-item></text:list>"
    '<text:p>Voir <text:a xlink:href="https://example.org/x">la note</text:a></text:p>'
)
"""A sheet as an agent would write it."""
