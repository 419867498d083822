"""The catalogue of reflex sheets: which there are, which are retracted, and how two become one.

What a device knows of sheets is the union of all catalogues that operators of its zone signed: of
each sheet the newest version, and of each retraction the highest. So the order in which they come
never matters, and nothing that was retracted comes back. Source: wire-format 13, decision 35.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import pairwise
from typing import Final

from protocol import canonical
from protocol.attachments import file_id_of
from protocol.canonical import Value
from protocol.errors import LimitExceededError, MalformedError
from protocol.guards import CHUNK_BYTES
from protocol.sheet_bounds import (
    CATALOGUE_BYTES_MAX,
    SHEET_BYTES_MAX,
    SHEET_KEYWORD_BYTES_MAX,
    SHEET_KEYWORDS_MAX,
    SHEET_NAME_BYTES_MAX,
    SHEET_TITLE_BYTES_MAX,
    SHEET_WITHDRAWN_MAX,
    SHEETS_BYTES_MAX,
    SHEETS_HELD_BYTES_MAX,
    SHEETS_HELD_MAX,
    SHEETS_MAX,
)

__all__ = [
    "NOTHING",
    "SHEET_ID_BYTES",
    "Catalogue",
    "Sheet",
    "SheetForm",
    "decode_catalogue_untrusted",
    "decode_sheet_untrusted",
    "encode_catalogue",
    "encode_sheet",
    "is_sheet_line",
    "merge",
    "sheet_id_of",
    "sheet_name",
]

SHEET_ID_BYTES: Final = 8
_VERSION: Final = 1
_FIELDS: Final = 9
_VERSION_MAX: Final = 2**32 - 1
_NAME: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\Z")
_LANGUAGE: Final = re.compile(r"(?:[a-z]{2})?\Z")
_OTHER: Final = re.compile(r"[^a-z0-9]+")


class SheetForm(IntEnum):
    """How a sheet is read."""

    TEXT = 1
    """Plain text."""
    MARKDOWN = 2
    """Text with headings and lists."""
    ODF = 3
    """ODT or ODS."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet as a catalogue names it."""

    name: str
    """What people type: `a-z0-9` with single hyphens, 1-48."""
    version: int
    """From 1; a higher one takes its place."""
    title: str = field(repr=False)
    """One line, 1-160 bytes."""
    language: str
    """Two letters, or empty."""
    keywords: tuple[str, ...] = field(repr=False)
    """At most 16 of 1-40 bytes."""
    form: SheetForm
    """How it is read."""
    size_bytes: int
    """1 to 8,388,608."""
    content_hash: bytes = field(repr=False)
    """SHA-256 of the file, 32 bytes."""
    key: bytes = field(repr=False)
    """32 random bytes of this version alone."""

    @property
    def sheet_id(self) -> bytes:
        """The 8 bytes by which a retraction names it."""
        return sheet_id_of(self.name)

    @property
    def file_id(self) -> bytes:
        """The 8 bytes that name its chunks to relays."""
        return file_id_of(self.key)

    @property
    def chunk_count(self) -> int:
        """How many chunks there are; follows from the size."""
        return -(-self.size_bytes // CHUNK_BYTES)

    def piece_bytes(self, number: int) -> int:
        """Return how long the plaintext of chunk `number`, from 0, is."""
        return min(CHUNK_BYTES, self.size_bytes - number * CHUNK_BYTES)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All that one device knows of the sheets of its zone."""

    version: int
    """Rises with each publication; 0 where there was none."""
    sheets: tuple[Sheet, ...]
    """Ascending by name; none that is retracted."""
    retracted: Mapping[bytes, int]
    """Sheet id to the highest version that nobody may open."""

    def find(self, name: str) -> Sheet | None:
        """Return the sheet of a name."""
        return next((each for each in self.sheets if each.name == name), None)


NOTHING: Final = Catalogue(0, (), {})


def sheet_id_of(name: str) -> bytes:
    """Return the 8 bytes by which a retraction names a sheet."""
    return hashlib.sha256(b"meshnode sheet 1\0" + name.encode()).digest()[:SHEET_ID_BYTES]


def sheet_name(text: str) -> str:
    """Return the name that a sheet gets by that of its file; the name of a name is itself."""
    flat = unicodedata.normalize("NFKD", text.replace("œ", "oe").replace("Œ", "oe")).lower()
    plain = "".join(letter for letter in flat if not unicodedata.combining(letter))
    return _OTHER.sub("-", plain).strip("-")[:SHEET_NAME_BYTES_MAX].strip("-") or "sheet"


def is_sheet_line(text: str, bytes_max: int) -> bool:
    """True for a title or keyword that may stand in a catalogue: one line that prints."""
    return (
        0 < len(text.encode("utf-8", "replace")) <= bytes_max
        and text.isprintable()
        and text == text.strip()
        and not any(unicodedata.category(letter).startswith("C") for letter in text)
    )


# --- one sheet -------------------------------------------------------------------------------


def _fields(sheet: Sheet) -> tuple[Value, ...]:
    return (
        sheet.name.encode(),
        sheet.version,
        sheet.title.encode(),
        sheet.language.encode(),
        tuple(each.encode() for each in sheet.keywords),
        int(sheet.form),
        sheet.size_bytes,
        sheet.content_hash,
        sheet.key,
    )


def encode_sheet(sheet: Sheet) -> bytes:
    """Return the bytes that a store keeps."""
    return canonical.encode(_fields(sheet))


def decode_sheet_untrusted(raw: bytes) -> Sheet:
    """Read what `encode_sheet` wrote. Raises: MalformedError, LimitExceededError."""
    return _read_sheet(canonical.decode_untrusted(raw, max_bytes=CATALOGUE_BYTES_MAX))


def _read_sheet(value: Value) -> Sheet:
    name, version, title, language, keywords, form, size, content_hash, key = canonical.as_array(
        value, "sheet", _FIELDS
    )
    known = next((each for each in SheetForm if each == form and type(form) is int), None)
    if known is None:
        raise MalformedError("the form of the sheet is not known")
    sheet = Sheet(
        canonical.as_text(name, "name of a sheet", SHEET_NAME_BYTES_MAX),
        canonical.as_uint(version, "version of a sheet", _VERSION_MAX, 1),
        canonical.as_text(title, "title of a sheet", SHEET_TITLE_BYTES_MAX),
        canonical.as_text(language, "language", 2),
        tuple(
            canonical.as_text(each, "keyword", SHEET_KEYWORD_BYTES_MAX)
            for each in canonical.as_array(keywords, "keywords", SHEET_KEYWORDS_MAX, 0)
        ),
        known,
        canonical.as_uint(size, "size of a sheet", SHEET_BYTES_MAX, 1),
        canonical.as_bytes(content_hash, "hash of a sheet", 32),
        canonical.as_bytes(key, "key of a sheet", 32),
    )
    if not _NAME.match(sheet.name) or not _LANGUAGE.match(sheet.language):
        raise MalformedError("the name or the language of the sheet is none")
    lines = [(sheet.title, SHEET_TITLE_BYTES_MAX)]
    lines += [(each, SHEET_KEYWORD_BYTES_MAX) for each in sheet.keywords]
    if not all(is_sheet_line(*each) for each in lines):
        raise MalformedError("a title and keywords are lines that print")
    return sheet


# --- the whole -------------------------------------------------------------------------------


def encode_catalogue(catalogue: Catalogue) -> bytes:
    """Return the canonical bytes. Raises: LimitExceededError if it is more than one can say."""
    raw = canonical.encode(
        (
            _VERSION,
            catalogue.version,
            [_fields(each) for each in catalogue.sheets],
            [(name, version) for name, version in sorted(catalogue.retracted.items())],
        )
    )
    if len(raw) > CATALOGUE_BYTES_MAX:
        raise LimitExceededError("catalogue bytes", CATALOGUE_BYTES_MAX, len(raw))
    _check_size(catalogue.sheets, SHEETS_MAX, SHEETS_BYTES_MAX)
    return raw


def decode_catalogue_untrusted(raw: bytes) -> Catalogue:
    """Read a catalogue. Raises: MalformedError, LimitExceededError. Source: wire-format 13.2."""
    fields = canonical.as_array(
        canonical.decode_untrusted(raw, max_bytes=CATALOGUE_BYTES_MAX), "catalogue", 4
    )
    if fields[0] != _VERSION or type(fields[0]) is not int:
        raise MalformedError("the catalogue has an unknown version")
    version = canonical.as_uint(fields[1], "version of a catalogue", _VERSION_MAX, 1)
    items = canonical.as_array(fields[2], "sheets", SHEETS_MAX, 0)
    sheets = tuple(_read_sheet(each) for each in items)
    if any(one.name >= other.name for one, other in pairwise(sheets)):
        raise MalformedError("sheets are out of order")
    _check_size(sheets, SHEETS_MAX, SHEETS_BYTES_MAX)
    retracted = _read_retracted(fields[3])
    if any(each.version <= retracted.get(each.sheet_id, 0) for each in sheets):
        raise MalformedError("a catalogue names a sheet that it retracts")
    return Catalogue(version, sheets, retracted)


def _read_retracted(value: Value) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    last = b""
    for item in canonical.as_array(value, "retracted sheets", SHEET_WITHDRAWN_MAX, 0):
        name, version = canonical.as_array(item, "retracted sheet", 2)
        sheet_id = canonical.as_bytes(name, "sheet id", SHEET_ID_BYTES)
        if sheet_id <= last:
            raise MalformedError("retracted sheets are out of order")
        last = sheet_id
        found[sheet_id] = canonical.as_uint(version, "version of a sheet", _VERSION_MAX, 1)
    return found


def merge(one: Catalogue, other: Catalogue) -> Catalogue:
    """Return what both say; commutative, associative, idempotent.

    Raises: LimitExceededError if that is more than a device keeps.
    """
    retracted = dict(one.retracted)
    for sheet_id, version in other.retracted.items():
        retracted[sheet_id] = max(version, retracted.get(sheet_id, 0))
    if len(retracted) > SHEET_WITHDRAWN_MAX:
        raise LimitExceededError("retracted sheets", SHEET_WITHDRAWN_MAX, len(retracted))
    newest: dict[str, Sheet] = {}
    for sheet in (*one.sheets, *other.sheets):
        held = newest.get(sheet.name)
        if held is None or _rank(sheet) > _rank(held):
            newest[sheet.name] = sheet
    live = (each for each in newest.values() if each.version > retracted.get(each.sheet_id, 0))
    sheets = tuple(sorted(live, key=lambda each: each.name))
    _check_size(sheets, SHEETS_HELD_MAX, SHEETS_HELD_BYTES_MAX)
    return Catalogue(max(one.version, other.version), sheets, retracted)


def _rank(sheet: Sheet) -> tuple[int, bytes]:
    """Two operators may give one version to different content: everybody takes the same one."""
    return sheet.version, encode_sheet(sheet)


def _check_size(sheets: Iterable[Sheet], count_max: int, bytes_max: int) -> None:
    sizes = [each.size_bytes for each in sheets]
    if len(sizes) > count_max:
        raise LimitExceededError("sheets", count_max, len(sizes))
    if sum(sizes) > bytes_max:
        raise LimitExceededError("bytes of sheets", bytes_max, sum(sizes))
