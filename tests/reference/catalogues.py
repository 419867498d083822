"""Catalogues of reflex sheets, read slowly by the page alone. Source: wire-format 13."""

from __future__ import annotations

import hashlib
import unicodedata

from tests.reference import codec

__all__ = ["read_catalogue"]

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_PLAIN = _LETTERS + "0123456789"


def read_catalogue(data: bytes) -> codec.Record:
    """Read the plaintext of a catalogue."""
    codec.demand(len(data) <= 61_439, "13.2 size")
    record = codec.read_record(data)
    codec.demand(isinstance(record, tuple) and len(record) == 4, "13.2 fields")
    assert isinstance(record, tuple)
    codec.demand(record[0] == 1, "1.2 version")
    _number(record[1], 2**32 - 1)
    sheets, retracted = record[2], record[3]
    codec.demand(isinstance(sheets, tuple) and len(sheets) <= 256, "13.2 sheets")
    codec.demand(isinstance(retracted, tuple) and len(retracted) <= 1_024, "13.2 retracted")
    assert isinstance(sheets, tuple)
    assert isinstance(retracted, tuple)
    gone: dict[bytes, int] = {}
    for item in retracted:
        codec.demand(isinstance(item, tuple) and len(item) == 2, "13.2 a retracted sheet")
        assert isinstance(item, tuple)
        name = _bytes(item[0], 8, 8)
        codec.demand(all(name > each for each in gone), "13.2 order")
        gone[name] = _number(item[1], 2**32 - 1)
    names: list[bytes] = []
    total = 0
    for item in sheets:
        name, version, size = _sheet(item)
        codec.demand(all(name > each for each in names), "13.2 order")
        names.append(name)
        total += size
        sheet_id = hashlib.sha256(b"meshnode sheet 1\0" + name).digest()[:8]
        codec.demand(version > gone.get(sheet_id, 0), "13.2 retracted and named")
    codec.demand(total <= 20_971_520, "13.2 size of all")
    return record


def _sheet(item: codec.Record) -> tuple[bytes, int, int]:
    codec.demand(isinstance(item, tuple) and len(item) == 9, "13.2 fields of a sheet")
    assert isinstance(item, tuple)
    name = _bytes(item[0], 1, 48)
    parts = name.decode("latin-1").split("-")
    codec.demand(all(part and set(part) <= set(_PLAIN) for part in parts), "13.2 name")
    version = _number(item[1], 2**32 - 1)
    _line(item[2], 160)
    language = _bytes(item[3], 0, 2).decode("latin-1")
    codec.demand(len(language) != 1 and set(language) <= set(_LETTERS), "13.2 language")
    keywords = item[4]
    codec.demand(isinstance(keywords, tuple) and len(keywords) <= 16, "13.2 keywords")
    assert isinstance(keywords, tuple)
    for each in keywords:
        _line(each, 40)
    _number(item[5], 3)
    size = _number(item[6], 8_388_608)
    _bytes(item[7], 32, 32)
    _bytes(item[8], 32, 32)
    return name, version, size


def _line(value: codec.Record, bytes_max: int) -> None:
    raw = _bytes(value, 1, bytes_max)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise codec.RefusedError("13.2 text") from error
    codec.demand(text[0] != " " and text[-1] != " ", "13.2 ends of a line")
    for letter in text:
        category = unicodedata.category(letter)
        codec.demand(letter == " " or category[0] not in "CZ", "13.2 a letter of a line")


def _number(value: codec.Record, most: int) -> int:
    codec.demand(isinstance(value, int) and 1 <= value <= most, "13.2 a number")
    assert isinstance(value, int)
    return value


def _bytes(value: codec.Record, least: int, most: int) -> bytes:
    codec.demand(isinstance(value, bytes) and least <= len(value) <= most, "13.2 bytes")
    assert isinstance(value, bytes)
    return value
