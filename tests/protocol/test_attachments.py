"""Manifests of attached files: names that harm nobody, sizes that are true, keys used once."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import canonical
from protocol.attachments import (
    Manifest,
    Media,
    check_thumbnail_untrusted,
    chunk_key,
    decode_manifest_untrusted,
    encode_manifest,
    file_id_of,
    jpeg_size_untrusted,
    manifest_fields,
    may_hold_place,
    picture_size_untrusted,
    safe_name,
    sniff,
)
from protocol.errors import MalformedError, RemoteProtocolError
from protocol.guards import (
    ATTACHMENT_BYTES_MAX,
    ATTACHMENT_NAME_BYTES_MAX,
    CHUNK_BYTES,
    CHUNK_BYTES_MAX,
    CHUNK_BYTES_MIN,
    CHUNKS_MAX,
    MANIFEST_BYTES_MAX,
    THUMBNAIL_BYTES_MAX,
)
from protocol.ids import BundleId, NodeId
from protocol.limits import BODY_BYTES_MAX, CHAIN_MESSAGES_MAX
from tests.reference import codec
from tests.reference.manifests import read_manifest

KEY = bytes(range(32))
JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffc0000b080010001001011100")
WHOLE = Manifest("plan.pdf", Media.PDF, 70_000, bytes(32), KEY, CHUNK_BYTES, JPEG)
ODF = b"PK\x03\x04" + bytes(14) + (39).to_bytes(4, "little") + bytes(8) + b"mimetype"


def changed(place: int, value: canonical.Value) -> bytes:
    """Return the manifest with another field."""
    fields = list(manifest_fields(WHOLE))
    fields[place] = value
    return canonical.encode(fields)


# --- names -------------------------------------------------------------------------------------

ODD = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("./\\ \0\n\t\u202e\u200b\u2028\u00a0\u0301\ud7ffcCoOnN:*"),
    ),
    max_size=200,
)


@given(ODD)
def test_any_text_becomes_a_safe_name_and_a_safe_name_stays(text: str) -> None:
    name = safe_name(text)
    assert safe_name(name) == name
    assert 1 <= len(name.encode()) <= ATTACHMENT_NAME_BYTES_MAX
    assert name == unicodedata.normalize("NFC", name)
    assert not set(name) & set('/\\:*?"<>|')
    assert name[0] not in ". "
    assert name[-1] not in ". "
    assert not any(unicodedata.category(each).startswith("C") for each in name)
    assert name not in (".", "..")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x.pdf", "x.pdf"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("CON.txt", "file CON.txt"),
        ("", "file"),
        ("..", "file"),
        ("été\u00a02026.jpg", "été 2026.jpg"),
        ("e\u0301.odt", "é.odt"),
    ],
)
def test_names_that_people_meet(text: str, name: str) -> None:
    assert safe_name(text) == name


def test_a_long_name_keeps_what_follows_its_last_dot() -> None:
    assert safe_name("é" * 300 + ".jpeg").endswith("é.jpeg")
    assert len(safe_name("x" * 300).encode()) == ATTACHMENT_NAME_BYTES_MAX - 6


@given(ODD)
def test_the_reader_and_the_page_agree_on_names(text: str) -> None:
    raw = changed(0, text.encode("utf-8", "replace"))
    assert _fate(raw) == _reference_fate(raw)


# --- manifests ---------------------------------------------------------------------------------


def _fate(raw: bytes) -> bool:
    try:
        decode_manifest_untrusted(raw)
    except RemoteProtocolError:
        return False
    return True


def _reference_fate(raw: bytes) -> bool:
    try:
        read_manifest(codec.read_record(raw))
    except codec.RefusedError:
        return False
    return True


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert decode_manifest_untrusted(encode_manifest(WHOLE)) == WHOLE
    assert decode_manifest_untrusted(changed(1, 77)).media is Media.OTHER
    assert len(encode_manifest(WHOLE)) < MANIFEST_BYTES_MAX


@pytest.mark.parametrize(
    ("place", "value", "is_taken"),
    [
        (2, 1, True),
        (2, 0, False),
        (2, 2**40, False),
        (2, ATTACHMENT_BYTES_MAX, True),
        (2, ATTACHMENT_BYTES_MAX + 1, False),
        (3, bytes(31), False),
        (4, bytes(33), False),
        (5, CHUNK_BYTES_MIN, True),
        (5, CHUNK_BYTES_MIN - 1, False),
        (5, CHUNK_BYTES_MAX, True),
        (5, CHUNK_BYTES_MAX + 1, False),
        (6, b"GIF89a", False),
        (6, JPEG + bytes(THUMBNAIL_BYTES_MAX - len(JPEG)), True),
        (6, JPEG + bytes(THUMBNAIL_BYTES_MAX + 1 - len(JPEG)), False),
        (6, JPEG.replace(b"\0\x10\0\x10", b"\x01\x00\x01\x00"), True),
        (6, JPEG.replace(b"\0\x10\0\x10", b"\x01\x01\x01\x00"), False),
        (6, JPEG.replace(b"\0\x10\0\x10", b"\0\0\0\x10"), False),
    ],
)
def test_each_bound_at_its_edge(place: int, value: canonical.Value, is_taken: bool) -> None:
    raw = changed(place, value)
    assert _fate(raw) is is_taken
    assert _reference_fate(raw) is is_taken


def test_no_file_has_more_chunks_than_there_are_numbers() -> None:
    assert CHUNKS_MAX == CHAIN_MESSAGES_MAX
    fields = list(manifest_fields(WHOLE))
    fields[2], fields[5] = CHUNKS_MAX * CHUNK_BYTES_MIN, CHUNK_BYTES_MIN
    assert _fate(canonical.encode(fields))
    fields[2] = CHUNKS_MAX * CHUNK_BYTES_MIN + 1
    assert not _fate(canonical.encode(fields))
    assert CHUNK_BYTES_MAX + 16 <= BODY_BYTES_MAX


@given(st.integers(1, ATTACHMENT_BYTES_MAX), st.integers(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX))
def test_the_pieces_make_up_the_file(size_bytes: int, chunk_bytes: int) -> None:
    manifest = Manifest("x", Media.OTHER, size_bytes, bytes(32), KEY, chunk_bytes)
    count = manifest.chunk_count
    whole = (count - 1) * chunk_bytes
    assert all(manifest.piece_bytes(n) == chunk_bytes for n in range(min(3, count - 1)))
    assert whole + manifest.piece_bytes(count - 1) == size_bytes
    assert 1 <= manifest.piece_bytes(count - 1) <= chunk_bytes


@pytest.mark.parametrize(
    "bad",
    [
        Manifest("a/b", Media.PDF, 1, bytes(32), KEY, CHUNK_BYTES),
        Manifest("b", Media.PDF, 0, bytes(32), KEY, CHUNK_BYTES),
        Manifest("b", Media.PDF, 1, bytes(32), KEY, CHUNK_BYTES, bytes(6_001)),
    ],
)
def test_no_manifest_of_ours_is_beyond_its_bounds(bad: Manifest) -> None:
    with pytest.raises(ValueError):
        encode_manifest(bad)


def test_nothing_of_a_manifest_shows_itself() -> None:
    assert "plan" not in repr(WHOLE)
    assert KEY.hex() not in repr(WHOLE)
    assert repr(KEY) not in repr(WHOLE)


# --- keys --------------------------------------------------------------------------------------


def test_no_two_chunks_and_no_two_bundles_share_a_key() -> None:
    author = NodeId(bytes(16))
    names = [BundleId(author, inc, seq) for inc in (0, 1) for seq in (1, 2)]
    keys = {chunk_key(KEY, name, number) for name in names for number in (0, 1, 256)}
    assert len(keys) == 12
    assert len({file_id_of(KEY), file_id_of(bytes(32))}) == 2


# --- content -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "media"),
    [
        (JPEG, Media.JPEG),
        (b"\x89PNG\r\n\x1a\n", Media.PNG),
        (b"%PDF-1.7", Media.PDF),
        (ODF + b"application/vnd.oasis.opendocument.text", Media.ODT),
        (
            b"PK\x03\x04" + bytes(14) + (46).to_bytes(4, "little") + bytes(8) + b"mimetype"
            b"application/vnd.oasis.opendocument.spreadsheet",
            Media.ODS,
        ),
        (ODF + b"application/zip" + bytes(60), Media.OTHER),
        (b"MZ this is a program", Media.OTHER),
        (b"", Media.OTHER),
    ],
)
def test_a_file_is_what_its_content_says(head: bytes, media: Media) -> None:
    assert sniff(head) is media


def test_forms_that_may_tell_a_place_are_known() -> None:
    assert may_hold_place(b"\0\0\0\x18ftypheic")
    assert may_hold_place(b"RIFF\0\0\0\0WEBP")
    assert not may_hold_place(JPEG)
    assert not may_hold_place(b"%PDF-1.7")


SMALL = b"\xff\xc0\0\x0b\x08\0\x02\0\x02\1\1\x11\0"
"""A segment that tells 2 by 2 pixels."""
DIFFERENT = [
    b"\xff\xd8\xff" + bytes((marker,)) + b"\0\x04\0\0" + SMALL
    for marker in (0x00, 0x01, 0xD0, 0xD7, 0xD8, 0xD9, 0xDA, 0xFF)
]
"""A decoder takes no length after these markers, and finds another size than whoever does."""


@pytest.mark.parametrize(
    "raw",
    [b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\0\0", JPEG[:20], b"\x89PNG", *DIFFERENT],
)
def test_what_tells_no_size_is_no_thumbnail(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        check_thumbnail_untrusted(raw)
    with pytest.raises(MalformedError):
        jpeg_size_untrusted(raw)
    for media in (Media.JPEG, Media.PNG):
        with pytest.raises(MalformedError):
            picture_size_untrusted(raw, media)


def test_the_size_of_a_picture_is_what_its_header_says() -> None:
    assert picture_size_untrusted(b"\xff\xd8" + SMALL, Media.JPEG) == (2, 2)
    head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x03\0\0\0\x05"
    assert picture_size_untrusted(head, Media.PNG) == (3, 5)
    with pytest.raises(MalformedError):
        picture_size_untrusted(head[:-1], Media.PNG)
