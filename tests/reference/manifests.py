"""Manifests of attached files, read slowly by the page alone. Source: wire-format 4.23."""

from __future__ import annotations

import unicodedata

from tests.reference import codec

__all__ = ["read_manifest"]

_DEVICES = {"con", "prn", "aux", "nul"} | {f"{n}{d}" for n in ("com", "lpt") for d in "123456789"}


def read_manifest(record: codec.Record) -> None:
    """Refuse a manifest that the clause refuses."""
    codec.demand(isinstance(record, tuple) and len(record) == 7, "4.23 fields")
    assert isinstance(record, tuple)
    name, form, size, content_hash, key, chunk, thumbnail = record
    _name(name)
    codec.demand(isinstance(form, int) and 0 <= form <= 255, "4.23 form")
    codec.demand(isinstance(size, int) and 1 <= size <= 52_428_800, "4.23 size")
    for each in (content_hash, key):
        codec.demand(isinstance(each, bytes) and len(each) == 32, "4.23 hash or key")
    codec.demand(isinstance(chunk, int) and 16_384 <= chunk <= 61_440, "4.23 chunk size")
    assert isinstance(size, int)
    assert isinstance(chunk, int)
    codec.demand((size + chunk - 1) // chunk <= 2_048, "4.23 number of chunks")
    codec.demand(isinstance(thumbnail, bytes) and len(thumbnail) <= 6_000, "4.23 thumbnail")
    assert isinstance(thumbnail, bytes)
    if thumbnail:
        _thumbnail(thumbnail)


def _name(raw: codec.Record) -> None:
    codec.demand(isinstance(raw, bytes) and 1 <= len(raw) <= 120, "4.23 name")
    assert isinstance(raw, bytes)
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise codec.RefusedError("4.23 name") from error
    codec.demand(unicodedata.normalize("NFC", name) == name, "4.23 NFC")
    for letter in name:
        is_bad = letter in '/\\:*?"<>|' or unicodedata.category(letter).startswith("C")
        codec.demand(not is_bad, "4.23 a letter of a name")
        codec.demand(not letter.isspace() or letter == " ", "4.23 a space of a name")
    codec.demand(name[0] not in ". " and name[-1] not in ". ", "4.23 ends of a name")
    codec.demand(name.split(".")[0].strip().lower() not in _DEVICES, "4.23 a device")


def _thumbnail(raw: bytes) -> None:
    codec.demand(raw[:2] == b"\xff\xd8", "4.23 JPEG")
    at = 2
    while True:
        codec.demand(at + 9 <= len(raw) and raw[at] == 255, "4.23 JPEG")
        kind, length = raw[at + 1], raw[at + 2] * 256 + raw[at + 3]
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = raw[at + 5] * 256 + raw[at + 6], raw[at + 7] * 256 + raw[at + 8]
            codec.demand(1 <= width <= 256 and 1 <= height <= 256, "4.23 pixels")
            return
        codec.demand(length >= 2, "4.23 JPEG")
        at += 2 + length
