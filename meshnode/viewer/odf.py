"""Reads ODT and ODS: text, marks, lists and tables; no office program, nothing run or fetched.

The archive's directory is measured before it is read, names of members never become paths, what
is unpacked ends at a bound whatever the archive claims, and a document type, the home of every
entity, is refused. Scripts, forms, objects and links to files are passed over; pictures come out of
the archive alone; what a formula gave when it was saved is shown, and nothing is computed.
Source: OpenDocument 1.3, decision 32.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from functools import partial
from io import BytesIO
from typing import Final
from xml.parsers import expat

from meshnode.viewer.bounds import (
    DOCUMENT_INDEX_BYTES_MAX,
    DOCUMENT_MEMBERS_MAX,
    DOCUMENT_SHOWN_BYTES_MAX,
    DOCUMENT_XML_BYTES_MAX,
)
from meshnode.viewer.document import Document
from meshnode.viewer.odf_content import ContentReader, MetaReader, Reader
from protocol.errors import LimitExceededError, MalformedError

__all__ = ["read_odf_untrusted"]

_TYPES: Final = {
    b"application/vnd.oasis.opendocument.text",
    b"application/vnd.oasis.opendocument.spreadsheet",
}
_END: Final = b"PK\x05\x06"
_END_BYTES: Final = 22
_COMMENT_BYTES_MAX: Final = 65_535
_WIDE: Final = b"PK\x06\x07"
_ENCRYPTED: Final = 1
_PACKED: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_TYPE_BYTES_MAX: Final = 200
_BROKEN: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,
    OSError,
    OverflowError,
    ValueError,
    struct.error,
)
"""What the library raises over an archive that is none, or is damaged."""
_MACROS: Final = ("Basic/", "Scripts/")


def read_odf_untrusted(raw: bytes) -> Document:
    """Return what an ODT or ODS file says.

    Raises: MalformedError if it is none, is damaged, or has a password; LimitExceededError for
    what unpacks to more than is shown. Cost: about 60 ms for ten pages.
    """
    if len(raw) > DOCUMENT_SHOWN_BYTES_MAX:
        raise LimitExceededError("document bytes", DOCUMENT_SHOWN_BYTES_MAX, len(raw))
    _measure_untrusted(raw)
    try:
        with zipfile.ZipFile(BytesIO(raw)) as archive:
            return _read_untrusted(archive)
    except _BROKEN as error:
        raise MalformedError("the document is damaged") from error


def _measure_untrusted(raw: bytes) -> None:
    """Look at the end of the archive before the library reads its whole directory."""
    at = raw.rfind(_END, max(0, len(raw) - _END_BYTES - _COMMENT_BYTES_MAX))
    if at < 0 or len(raw) - at < _END_BYTES or raw[max(0, at - 20) :].startswith(_WIDE):
        raise MalformedError("the document is no archive that ODF knows")
    index_bytes = int.from_bytes(raw[at + 12 : at + 16], "little")
    if index_bytes > DOCUMENT_INDEX_BYTES_MAX:
        raise LimitExceededError("archive index bytes", DOCUMENT_INDEX_BYTES_MAX, index_bytes)


def _read_untrusted(archive: zipfile.ZipFile) -> Document:
    members = _members_untrusted(archive)
    if _unpack(archive, members, "mimetype", _TYPE_BYTES_MAX).strip() not in _TYPES:
        raise MalformedError("the document is neither ODT nor ODS")
    if b"encryption-data" in _unpack(archive, members, "META-INF/manifest.xml"):
        raise MalformedError("the document has a password: save it without one")
    meta, content = MetaReader(), ContentReader(partial(_unpack_picture, archive, members))
    _parse_untrusted(meta, _unpack(archive, members, "meta.xml"))
    _parse_untrusted(content, _unpack(archive, members, "styles.xml"))
    body = _unpack(archive, members, "content.xml")
    if not body:
        raise MalformedError("the document has no content")
    _parse_untrusted(content, body)
    left_out = content.left_out
    left_out["macros"] += sum(name.startswith(_MACROS) for name in members)
    told = {name: count for name, count in sorted(left_out.items()) if count}
    return Document(meta.title, meta.language, meta.keywords, tuple(content.blocks), told)


def _members_untrusted(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the members by name. Raises: MalformedError for names that lead out, or twice."""
    found: dict[str, zipfile.ZipInfo] = {}
    infos = archive.infolist()
    if len(infos) > DOCUMENT_MEMBERS_MAX:
        raise LimitExceededError("archive members", DOCUMENT_MEMBERS_MAX, len(infos))
    for info in infos:
        name = info.orig_filename
        if name.startswith("/") or "\\" in name or "\0" in name or ".." in name.split("/"):
            raise MalformedError("the document names files outside of itself")
        if name in found:
            raise MalformedError("the document has two parts of one name")
        found[name] = info
    return found


def _unpack(
    archive: zipfile.ZipFile,
    members: dict[str, zipfile.ZipInfo],
    name: str,
    bytes_max: int = DOCUMENT_XML_BYTES_MAX,
) -> bytes:
    """Return a member, empty where there is none; what it claims to hold is not believed."""
    info = members.get(name)
    if info is None:
        return b""
    if info.flag_bits & _ENCRYPTED or info.compress_type not in _PACKED:
        raise MalformedError("the document is packed in a way that ODF does not know")
    with archive.open(info) as member:
        found = member.read(bytes_max + 1)
    if len(found) > bytes_max:
        raise LimitExceededError("unpacked document bytes", bytes_max, max(info.file_size, 1))
    return found


def _unpack_picture(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str, bytes_max: int
) -> bytes:
    """Return a picture, empty where there is none of at most so many bytes.

    What a member claims is a bound of what the library reads. Raises: MalformedError if damaged.
    """
    info = members.get(name)
    if info is None or info.file_size > bytes_max:
        return b""
    try:
        return _unpack(archive, members, name, bytes_max)
    except _BROKEN as error:
        raise MalformedError("the picture is damaged") from error


def _parse_untrusted(reader: Reader, xml: bytes) -> None:
    if not xml:
        return
    # The encoding is given: one that the document names could ask for a codec of Python.
    parser = expat.ParserCreate("utf-8", " ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(xml, True)
    except expat.ExpatError as error:
        raise MalformedError("the document is damaged: its XML does not read") from error


def _refuse_doctype(*_told: object) -> None:
    raise MalformedError("the document declares a document type, which no ODF file does")
