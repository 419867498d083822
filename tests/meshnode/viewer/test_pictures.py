"""Pictures of a document stand in its page as bytes; nothing in the page loads or runs."""

from __future__ import annotations

import zipfile
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.viewer import bounds
from meshnode.viewer.document import Document, Heading, Paragraph, Span, Table
from meshnode.viewer.odf import read_odf_untrusted
from meshnode.viewer.pictures import see_untrusted
from meshnode.viewer.reading import words_of
from meshnode.viewer.shown import to_html, to_text
from protocol.errors import LimitExceededError, MalformedError
from tests.meshnode.viewer.odf_files import ODS, content, pack
from tests.meshnode.viewer.picture_files import chunk, frame, jpeg, png, segment
from tests.meshnode.viewer.strict_page import inert

FLAG, SHIP = "Pictures/1.png", "Pictures/2.jpg"
FILES = {FLAG: png(), SHIP: jpeg()}
SVG = "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


def shown(body: str, more: dict[str, str | bytes] | None = None, **packed: str) -> Document:
    return read_odf_untrusted(pack(content(body), FILES if more is None else more, **packed))


def pictures(document: Document) -> list[tuple[str, bytes]]:
    return inert(to_html(document, "t"))


def test_pictures_stand_at_their_place_with_what_they_show() -> None:
    body = (
        f"<text:h>Pavillon {frame(FLAG, words='Drapeau rouge')}</text:h>"
        f"<text:p>Avant {frame('./' + SHIP)} après</text:p>"
        f"{frame(FLAG, words='&lt;b&gt; &quot;fin&quot;', name='')}"
    )
    found = shown(body)
    heading, paragraph, last = found.blocks
    assert isinstance(heading, Heading)
    assert isinstance(paragraph, Paragraph)
    assert isinstance(last, Paragraph)
    assert [each.text for each in paragraph.spans] == ["Avant ", "[▣ Image1]", " après"]
    assert pictures(found) == [
        ("Drapeau rouge", FILES[FLAG]),
        ("Image1", FILES[SHIP]),
        ('<b> "fin"', FILES[FLAG]),
    ]
    assert '<p>Avant <img alt="Image1" width="96" src=' in to_html(found, "t")
    assert "Pavillon [▣ Drapeau rouge]\n" in to_text(found)
    assert "Avant [▣ Image1] après\n" in to_text(found)
    assert found.left_out == {}
    assert "Drapeau rouge" in words_of(found)
    assert "Image1" not in words_of(found), "or a search for images would find every sheet"


def test_pictures_in_cells_are_shown_once_however_often_they_are_repeated() -> None:
    cell = f"<text:p>rouge {frame(FLAG, words='A')}</text:p>{frame(SHIP, words='B')}"
    body = (
        f"<table:table table:name='T'><table:shapes>{frame(FLAG, words='libre')}</table:shapes>"
        "<table:table-row table:number-rows-repeated='2'>"
        f"<table:table-cell table:number-columns-repeated='3'>{cell}</table:table-cell>"
        "</table:table-row></table:table>"
    )
    found = read_odf_untrusted(pack(content(body, kind="spreadsheet"), FILES, mime=ODS))
    assert [words for words, _raw in pictures(found)] == ["libre", "A", "B"]
    table = found.blocks[-1]
    assert isinstance(table, Table)
    assert [len(row) for row in table.rows] == [3, 3]
    assert to_text(found).count("rouge [▣ A] / [▣ B]") == 6
    assert "libre" in words_of(found)


def test_the_first_form_that_is_known_is_shown_and_nothing_is_counted_twice() -> None:
    chart = '<draw:object xlink:href="./Object 1"/>'
    found = shown(
        f"<text:p>{frame('Pictures/3.svg', FLAG, words='Carte')}"
        f"{frame('./ObjectReplacements/Object 1', more=chart, words='Courbe')}"
        f"{frame('Pictures/3.svg', words='Plan')}"
        f"{frame('Pictures/4.emf')}</text:p>",
        {**FILES, "Pictures/3.svg": SVG, "Pictures/4.emf": b"\1\0\0\0", "Object 1/x.xml": "x"},
    )
    assert pictures(found) == [("Carte", FILES[FLAG])]
    assert found.left_out == {"objects": 1, "pictures": 2}
    assert to_text(found) == "[▣ Carte][▣ Courbe][▣ Plan]\n"


def test_pictures_come_without_what_stands_beside_them() -> None:
    place = chunk(b"eXIf", b"48.39N") + chunk(b"acTL", bytes(8)) + chunk(b"tEXt", b"place")
    files: dict[str, str | bytes] = {
        FLAG: png(more=place) + b"<script>",
        SHIP: jpeg(before=segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0place")) + b"PK\3\4",
    }
    assert [raw for _words, raw in pictures(shown(frame(FLAG) + frame(SHIP), files))] == [
        png(),
        jpeg(),
    ]


# --- hostile ---------------------------------------------------------------------------------

ELSEWHERE = [
    "http://192.0.2.1/a.png",
    "//192.0.2.1/Pictures/1.png",
    "file:///etc/passwd",
    "../Pictures/1.png",
    "Pictures/../Pictures/1.png",
    "/Pictures/1.png",
    "Pictures\\1.png",
    "Pictures/1.png?x",
    "Pictures/1.png#x",
    "Pictures%2F1.png",
    "data:image/svg+xml,&lt;svg/&gt;",
    "javascript:alert(1)",
    "content.xml",
    "Thumbnails/thumbnail.png",
    "",
]


@pytest.mark.parametrize("target", ELSEWHERE)
def test_what_lies_elsewhere_is_left_out_and_counted(target: str) -> None:
    found = shown(f"<text:p>{frame(target)}</text:p>", {**FILES, "Thumbnails/thumbnail.png": png()})
    assert found.left_out == {"pictures": 1}
    assert pictures(found) == []


BIG = bounds.DOCUMENT_PICTURE_PIXELS_MAX
LYING = {
    "svg": SVG.encode(),
    "html": b"<script>alert(1)</script>",
    "empty": b"",
    "gif": b"GIF89a" + bytes(20),
    "magic alone": b"\x89PNG\r\n\x1a\n",
    "cut short": png()[:-20],
    "no pixels": png(0, 5, data=b"x"),
    "a bomb of rows": png(BIG, 2, data=b"x"),
    "a bomb of columns": jpeg(65_535, 65_535),
    "no size": b"\xff\xd8" + segment(0xDA, b"") + b"\xff\xd9",
    "passes without end": jpeg(scans=bounds.DOCUMENT_PICTURE_SCANS_MAX + 1),
    # A decoder takes no length after these, and reads the large size that is hidden behind.
    "a length where none is": jpeg(
        before=b"\xff\x01\x00\x0c" + jpeg(65_535, 65_535)[2:12], scans=1
    ),
    "fill": jpeg(before=b"\xff\xff\x00\x0c" + jpeg(65_535, 65_535)[2:12]),
    "another size that is left out": jpeg(65_535, 65_535, before=segment(0xE1, jpeg(2, 2)[2:])),
    "too many bytes": png(data=bytes(bounds.DOCUMENT_PICTURE_BYTES_MAX)),
}


@pytest.mark.parametrize("raw", LYING.values(), ids=list(LYING))
def test_what_no_browser_should_unpack_is_left_out(raw: bytes) -> None:
    found = shown(frame(FLAG) + frame(SHIP), {FLAG: raw, SHIP: jpeg()})
    assert found.left_out == {"pictures": 1}
    assert [raw for _words, raw in pictures(found)] == [jpeg()]


def test_a_picture_that_is_damaged_in_the_archive_takes_nothing_else_with_it() -> None:
    raw = pack(content(frame(FLAG) + frame(SHIP)), FILES)
    with zipfile.ZipFile(BytesIO(raw)) as archive:
        at = archive.getinfo(FLAG).header_offset
    start = at + 30 + len(FLAG)
    found = read_odf_untrusted(raw[:start] + bytes(8) + raw[start + 8 :])
    assert found.left_out == {"pictures": 1}
    assert len(pictures(found)) == 1


def test_ten_thousand_references_to_one_picture() -> None:
    found = shown(frame(FLAG, words="x") * 10_000)
    assert len(pictures(found)) == bounds.DOCUMENT_PICTURES_MAX
    assert found.left_out == {"pictures": 10_000 - bounds.DOCUMENT_PICTURES_MAX}


def test_large_pictures_are_shown_until_the_page_is_full() -> None:
    data = bytes(bounds.DOCUMENT_PICTURES_BYTES_MAX // 4)
    found = shown(frame(FLAG) * 6 + frame(SHIP), {FLAG: png(data=data), SHIP: jpeg()})
    assert [len(raw) for _words, raw in pictures(found)] == 3 * [len(png(data=data))] + [
        len(jpeg())
    ]
    many = shown(frame(FLAG) * 6, {FLAG: png(4_096, 4_096, data=b"x")})
    assert len(pictures(many)) == bounds.DOCUMENT_PICTURES_PIXELS_MAX // 4_096**2 == 4


def test_what_is_unpacked_in_vain_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    def look(raw: bytes) -> None:
        looked.append(len(raw))
        raise MalformedError("none")

    monkeypatch.setattr("meshnode.viewer.pictures.see_untrusted", look)
    files = {f"Pictures/{n}": bytes(bounds.DOCUMENT_PICTURE_BYTES_MAX) for n in range(9)}
    assert shown("".join(map(frame, files)), dict(files)).left_out == {"pictures": 9}
    assert sum(looked) <= bounds.DOCUMENT_PICTURES_UNPACKED_MAX


def test_words_without_end_are_cut_and_counted() -> None:
    (alone,) = shown(frame(FLAG, words="x" * 5_000)).blocks
    assert isinstance(alone, Paragraph)
    assert len(alone.spans[0].text) < 1_100
    with pytest.raises(LimitExceededError, match="characters"):
        shown(frame(FLAG, words="x" * (bounds.DOCUMENT_CHARACTERS_MAX + 1)))


def test_pictures_inside_the_text_are_no_text() -> None:
    inside = "<draw:image><office:binary-data>QUJD</office:binary-data></draw:image>"
    found = shown(f"<text:p>a<draw:frame>{inside}</draw:frame><draw:image/></text:p>")
    assert found.blocks == (Paragraph((Span("a"),)),)
    assert found.left_out == {"pictures": 2}


def test_the_least_that_is_a_picture() -> None:
    assert see_untrusted(png(4_096, 4_096, data=b"x")).pixels == BIG
    with pytest.raises(LimitExceededError):
        see_untrusted(png(4_097, 4_096, data=b"x"))


TAGS = ["draw:frame", "draw:image", "svg:title", "svg:desc", "text:p", "text:h", "text:a"]
TAGS += ["table:table", "table:table-row", "table:table-cell", "draw:text-box", "text:span"]
TEXTS = ['"><script>alert(1)</script>', "<img src=x onerror=a>", "' onload='a", "javascript:a", "x"]
VALUES = [*ELSEWHERE, *TEXTS, FLAG, SHIP, "Pictures/3.svg", "9999999cm", "5cm"]
KEYS = ["xlink:href", "draw:name", "svg:width", "table:name", "text:style-name"]


def escaped(text: str) -> str:
    for sign, name in (("&", "&amp;"), ("<", "&lt;"), ('"', "&quot;")):
        text = text.replace(sign, name)
    return text


def written(tag: str, told: dict[str, str], inner: list[str]) -> str:
    attributes = "".join(f' {key}="{escaped(value)}"' for key, value in told.items())
    return f"<{tag}{attributes}>{''.join(inner)}</{tag}>"


def element(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    values = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=3)
    return st.builds(written, st.sampled_from(TAGS), values, st.lists(inner, max_size=4))


BODIES = st.recursive(st.sampled_from(TEXTS + VALUES).map(escaped), element, max_leaves=20)


@given(st.lists(BODIES, max_size=4), st.lists(st.sampled_from([png(), jpeg(), SVG]), max_size=3))
def test_no_document_makes_a_page_that_loads_or_runs(
    bodies: list[str], files: list[str | bytes]
) -> None:
    members = dict(zip([FLAG, SHIP, "Pictures/3.svg"], files, strict=False))
    found = shown("".join(bodies), members)
    for words, raw in inert(to_html(found, '</title><script src="x">', ["<script>"])):
        assert raw in (png(), jpeg()), words
    assert all(letter >= " " or letter in "\n\t" for letter in to_text(found))
