"""A file that goes with a message: the manifest that tells of it, the keys of its chunks.

Names, sizes and pictures in a manifest are another device's word: a name is the base name that
`safe_name` gives or is refused, the number of chunks follows from sizes and is not told, and a
thumbnail is a small JPEG by its own header. Source: wire-format 4.23, decision 28.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from protocol import canonical
from protocol.canonical import Value
from protocol.errors import MalformedError
from protocol.guards import (
    ATTACHMENT_BYTES_MAX,
    ATTACHMENT_NAME_BYTES_MAX,
    CHUNK_BYTES_MAX,
    CHUNK_BYTES_MIN,
    CHUNKS_MAX,
    MANIFEST_BYTES_MAX,
    THUMBNAIL_BYTES_MAX,
    THUMBNAIL_SIDE_MAX,
)
from protocol.ids import BundleId

__all__ = [
    "FILE_ID_BYTES",
    "Manifest",
    "Media",
    "check_thumbnail_untrusted",
    "chunk_key",
    "decode_manifest_untrusted",
    "encode_manifest",
    "file_id_of",
    "jpeg_size_untrusted",
    "manifest_fields",
    "may_hold_place",
    "picture_size_untrusted",
    "read_manifest_untrusted",
    "safe_name",
    "sniff",
]

FILE_ID_BYTES: Final = 8
_KEY_BYTES: Final = 32
_HASH_BYTES: Final = 32
_FIELDS: Final = 7


class Media(IntEnum):
    """What a file is by its content, never by its name."""

    OTHER = 0
    """Nothing that is known here: kept, and opened by nobody."""
    JPEG = 1
    PNG = 2
    PDF = 3
    ODT = 4
    ODS = 5
    ODP = 6


_ODF: Final = {
    b"application/vnd.oasis.opendocument.text": Media.ODT,
    b"application/vnd.oasis.opendocument.spreadsheet": Media.ODS,
    b"application/vnd.oasis.opendocument.presentation": Media.ODP,
}
_STARTS: Final = (
    (b"\xff\xd8\xff", Media.JPEG),
    (b"\x89PNG\r\n\x1a\n", Media.PNG),
    (b"%PDF-", Media.PDF),
)
_TELL_PLACES: Final = ((0, b"II*\0"), (0, b"MM\0*"), (4, b"ftyp"), (8, b"WEBP"))
"""TIFF, HEIF and MP4, WebP: pictures and films that may hold a position and are not cleaned."""
_SIZE_MARKERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Segments of JPEG that say how large the picture is."""
_NO_SEGMENTS: Final = frozenset({*range(0xC0), *range(0xD0, 0xDB), 0xFF})
"""Markers of JPEG that no length follows, or that no header has before the size."""
_PNG_HEAD: Final = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_RESERVED: Final = frozenset(
    {"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(1, 10))}
)
_FORBIDDEN: Final = frozenset('/\\:*?"<>|')


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the readers of a message are told of the file that goes with it."""

    name: str = field(repr=False)
    """Its base name, as `safe_name` gives it."""
    media: Media
    """What its sender saw in its content."""
    size_bytes: int
    """1 to 52,428,800."""
    content_hash: bytes = field(repr=False)
    """SHA-256 of the whole file, 32 bytes."""
    key: bytes = field(repr=False)
    """32 random bytes of this file alone."""
    chunk_bytes: int
    """Plaintext of every chunk but the last, 16,384 to 61,440."""
    thumbnail: bytes = field(default=b"", repr=False)
    """A JPEG of up to 6,000 bytes and 256 pixels a side, or nothing."""

    @property
    def chunk_count(self) -> int:
        """How many chunks there are; follows from the sizes."""
        return -(-self.size_bytes // self.chunk_bytes)

    def piece_bytes(self, number: int) -> int:
        """Return how long the plaintext of chunk `number`, from 0, is."""
        return min(self.chunk_bytes, self.size_bytes - number * self.chunk_bytes)


def _expand(key: bytes, info: bytes, length: int) -> bytes:
    return HKDFExpand(algorithm=SHA256(), length=length, info=info).derive(key)


def file_id_of(key: bytes) -> bytes:
    """Return the 8 bytes that name a file to relays, and commit to its key."""
    return _expand(key, b"meshnode attachment id 1\0", FILE_ID_BYTES)


def chunk_key(key: bytes, bundle: BundleId, number: int) -> bytes:
    """Return the key of one chunk in one bundle; a chunk that is made again has another."""
    name = bundle.author + bundle.incarnation.to_bytes(4, "big") + bundle.seq.to_bytes(8, "big")
    return _expand(key, b"meshnode chunk 1\0" + name + number.to_bytes(4, "big"), 32)


# --- the record --------------------------------------------------------------------------------


def manifest_fields(manifest: Manifest) -> tuple[Value, ...]:
    """Return the fields of the wire form. Raises: ValueError if one is beyond its bounds."""
    if manifest.name != safe_name(manifest.name):
        raise ValueError("this is no safe name for a file")
    if not 1 <= manifest.size_bytes <= ATTACHMENT_BYTES_MAX:
        raise ValueError("a file has 1 byte to 50 MB")
    if len(manifest.thumbnail) > THUMBNAIL_BYTES_MAX:
        raise ValueError("a thumbnail has at most 6,000 bytes")
    return (
        manifest.name.encode(),
        int(manifest.media),
        manifest.size_bytes,
        manifest.content_hash,
        manifest.key,
        manifest.chunk_bytes,
        manifest.thumbnail,
    )


def read_manifest_untrusted(value: Value) -> Manifest:
    """Read the fields of the wire form. Raises: MalformedError, LimitExceededError."""
    name, media, size, content_hash, key, chunk, thumbnail = canonical.as_array(
        value, "manifest", _FIELDS
    )
    text = canonical.as_text(name, "name of a file", ATTACHMENT_NAME_BYTES_MAX)
    if text != safe_name(text):
        raise MalformedError("the name of the file is none that is safe")
    # A newer sender may know more forms than this reader.
    form = canonical.as_uint(media, "form of a file", 255)
    manifest = Manifest(
        text,
        next((each for each in Media if each == form), Media.OTHER),
        canonical.as_uint(size, "size of a file", ATTACHMENT_BYTES_MAX, 1),
        canonical.as_bytes(content_hash, "hash of a file", _HASH_BYTES),
        canonical.as_bytes(key, "key of a file", _KEY_BYTES),
        canonical.as_uint(chunk, "size of a chunk", CHUNK_BYTES_MAX, CHUNK_BYTES_MIN),
        canonical.as_bytes(thumbnail, "thumbnail", THUMBNAIL_BYTES_MAX, 0),
    )
    if manifest.chunk_count > CHUNKS_MAX:
        raise MalformedError("the file has more chunks than there are numbers")
    if manifest.thumbnail:
        check_thumbnail_untrusted(manifest.thumbnail)
    return manifest


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the bytes that a store keeps. Raises: ValueError."""
    return canonical.encode(manifest_fields(manifest))


def decode_manifest_untrusted(raw: bytes) -> Manifest:
    """Read what `encode_manifest` wrote. Raises: MalformedError, LimitExceededError."""
    return read_manifest_untrusted(canonical.decode_untrusted(raw, max_bytes=MANIFEST_BYTES_MAX))


# --- names -------------------------------------------------------------------------------------


def safe_name(text: str) -> str:
    """Return a base name that no file system and no screen misreads; `safe_name` of it is itself.

    Nothing of a path, no control or invisible characters, none that turn the direction of writing,
    no dot or space at an end, no name that a system keeps for a device; at most 120 bytes.
    """
    base = unicodedata.normalize("NFC", text.replace("\\", "/").rpartition("/")[2])
    plain = "".join(
        " " if letter.isspace() else letter
        for letter in base
        if letter not in _FORBIDDEN
        and (letter.isspace() or not unicodedata.category(letter).startswith("C"))
    )
    name = _shortened(" ".join(plain.split(" ")).strip(". "))
    stem = name.partition(".")[0].strip().lower()
    return f"file {name}" if stem in _RESERVED else name or "file"


def _shortened(name: str) -> str:
    """Return a name of at most so many bytes; what follows its last dot stays, if it is short."""
    if len(name.encode()) <= ATTACHMENT_NAME_BYTES_MAX - len("file "):
        return name
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending.encode()) > 8:
        stem, ending = name, ""
    kept = stem.encode()[: ATTACHMENT_NAME_BYTES_MAX - len("file ") - len(ending.encode()) - 1]
    short = unicodedata.normalize("NFC", kept.decode(errors="ignore")).strip(". ")
    return f"{short}.{ending}" if ending else short


# --- content -----------------------------------------------------------------------------------


def sniff(head: bytes) -> Media:
    """Return what a file is by its first bytes, of which 128 are enough."""
    for start, media in _STARTS:
        if head.startswith(start):
            return media
    if head[:4] == b"PK\x03\x04" and head[30:38] == b"mimetype":
        # ODF has its form in clear as its first member, stored without compression.
        length = int.from_bytes(head[18:22], "little")
        return _ODF.get(head[38 : 38 + min(length, 90)], Media.OTHER)
    return Media.OTHER


def may_hold_place(head: bytes) -> bool:
    """True for forms of pictures and films that may say where they were taken, and stay so."""
    return any(head[at : at + len(mark)] == mark for at, mark in _TELL_PLACES)


def check_thumbnail_untrusted(raw: bytes) -> None:
    """Look at the header of a thumbnail. Raises: MalformedError if it is no small JPEG."""
    width, height = jpeg_size_untrusted(raw)
    if not (1 <= width <= THUMBNAIL_SIDE_MAX and 1 <= height <= THUMBNAIL_SIDE_MAX):
        raise MalformedError("the thumbnail claims to be larger than thumbnails are")


def picture_size_untrusted(raw: bytes, media: Media) -> tuple[int, int]:
    """Return width and height that a JPEG or PNG claims. Raises: MalformedError."""
    if media is Media.JPEG:
        return jpeg_size_untrusted(raw)
    if raw[:16] != _PNG_HEAD or len(raw) < 24:
        raise MalformedError("this picture is no PNG")
    return int.from_bytes(raw[16:20], "big"), int.from_bytes(raw[20:24], "big")


def jpeg_size_untrusted(raw: bytes) -> tuple[int, int]:
    """Return width and height by the first segment that tells them. Raises: MalformedError."""
    if raw[:2] != b"\xff\xd8":
        raise MalformedError("this picture is no JPEG")
    at = 2
    while at + 9 <= len(raw) and raw[at] == 0xFF:
        marker, length = raw[at + 1], int.from_bytes(raw[at + 2 : at + 4], "big")
        if marker in _SIZE_MARKERS:
            height, width = (int.from_bytes(raw[at + n : at + n + 2], "big") for n in (5, 7))
            return width, height
        if length < 2 or marker in _NO_SEGMENTS:
            # A reader of pictures takes no length here, and would find another size than this.
            break
        at += 2 + length
    raise MalformedError("this JPEG does not tell its size")
