"""Photos before they leave: without what says where they were taken, and with a small picture.

Positions exist in a shift alone, so a photo must not carry one: of a JPEG or PNG only the picture,
its colours, which way is up and when it was taken stay. Only photos that this agent picked are
unpacked, never what others sent. The only file that imports Pillow, which may be missing.
Source: decision 28, Exif 2.32 section 4.6, PNG 3rd edition section 11.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO, Final

from protocol.attachments import Media, picture_size_untrusted
from protocol.errors import MalformedError
from protocol.guards import (
    PHOTO_HEAD_BYTES_MAX,
    PHOTO_PIXELS_MAX,
    THUMBNAIL_BYTES_MAX,
)

__all__ = ["cleaned", "thumbnail_of"]

_BLOCK_BYTES: Final = 65_536
_SIDE: Final = 160
_QUALITIES: Final = (75, 55, 35, 20, 10)
_SOI, _EOI, _SOS, _COMMENT = 0xD8, 0xD9, 0xDA, 0xFE
_BARE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers of JPEG without a length."""
_APPS: Final = range(0xE0, 0xF0)
_KEPT_APPS: Final = ((0xE0, b"JFIF\0"), (0xE2, b"ICC_PROFILE\0"), (0xEE, b"Adobe"))
_JFIF_BYTES: Final = 14
"""A longer one holds a small picture of its own."""
_KEPT_CHUNKS: Final = frozenset(
    b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP sBIT bKGD pHYs cICP".split()
)
_PNG_START: Final = b"\x89PNG\r\n\x1a\n"
_ORIENTATION, _DATE, _DATE_TAKEN, _EXIF_FOLDER = 0x0112, 0x0132, 0x9003, 0x8769
_ENTRIES_MAX: Final = 200


def cleaned(file: BinaryIO, media: Media) -> Iterator[bytes]:
    """Yield the bytes of a file, of a photo without what was written beside the picture.

    Bounded in memory whatever the file. Raises: MalformedError, OSError.
    """
    match media:
        case Media.JPEG:
            yield from _cleaned_jpeg(file)
        case Media.PNG:
            yield from _cleaned_png(file)
        case _:
            while block := file.read(_BLOCK_BYTES):
                yield block


def _exactly(file: BinaryIO, size: int) -> bytes:
    if size > PHOTO_HEAD_BYTES_MAX:
        raise MalformedError("this photo is damaged")
    found = file.read(size)
    if len(found) != size:
        raise MalformedError("this photo ends too early")
    return found


# --- JPEG ----------------------------------------------------------------------------------------


def _cleaned_jpeg(file: BinaryIO) -> Iterator[bytes]:
    yield _exactly(file, 2)
    marker = _marker(file)
    while marker != _EOI:
        head = bytes((0xFF, marker))
        if marker in _BARE:
            yield head
            marker = _marker(file)
            continue
        size = _exactly(file, 2)
        body = _exactly(file, max(0, int.from_bytes(size, "big") - 2))
        if marker == 0xE1 and body.startswith(b"Exif\0\0"):
            yield _small_exif(body[6:])
        elif _is_picture(marker, body):
            yield head + size + body
        if marker == _SOS:
            scan = _Scan(file)
            yield from scan.blocks()
            marker = scan.marker
        else:
            marker = _marker(file)
    # What stands behind the picture, a film or a second picture, stays here.
    yield bytes((0xFF, _EOI))


def _is_picture(marker: int, body: bytes) -> bool:
    if marker == _COMMENT:
        return False
    if marker not in _APPS:
        return True
    if marker == 0xE0 and len(body) != _JFIF_BYTES:
        return False
    return any(marker == app and body.startswith(start) for app, start in _KEPT_APPS)


def _marker(file: BinaryIO) -> int:
    if _exactly(file, 1) != b"\xff":
        raise MalformedError("this photo is damaged")
    marker = 0xFF
    while marker == 0xFF:
        marker = _exactly(file, 1)[0]
    return marker


class _Scan:
    """The compressed picture: bytes up to a marker, read in blocks."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.marker = _EOI
        """What follows; the end where the file ends first."""

    def blocks(self) -> Iterator[bytes]:
        """Yield the bytes, and leave the file behind the marker."""
        held = b""
        while block := self._file.read(_BLOCK_BYTES):
            block, held = held + block, b""
            end = self._end(block)
            if end is None:
                if block.endswith(b"\xff"):
                    block, held = block[:-1], b"\xff"
                yield block
                continue
            yield block[:end]
            while block[end + 1 : end + 2] == b"\xff":
                end += 1
            self.marker = (block[end + 1 : end + 2] or _exactly(self._file, 1))[0]
            self._file.seek(min(0, end + 2 - len(block)), io.SEEK_CUR)
            return

    @staticmethod
    def _end(block: bytes) -> int | None:
        at = block.find(b"\xff")
        while 0 <= at < len(block) - 1:
            following = block[at + 1]
            if following and following not in _BARE:
                return at
            at = block.find(b"\xff", at + 2)
        return None


# --- Exif ----------------------------------------------------------------------------------------


def _small_exif(tiff: bytes) -> bytes:
    """Return a segment that says which way is up and when, or nothing where neither is told."""
    order = {b"II": "little", b"MM": "big"}.get(tiff[:2])
    if order is None:
        return b""
    first = _folder(tiff, _number(tiff, 4, 4, order), order)
    beyond = first.get(_EXIF_FOLDER, b"")
    more = _folder(tiff, _number(beyond, 0, 4, order), order) if beyond else {}
    up = _number(first.get(_ORIENTATION, b""), 0, 2, order)
    date = _text(tiff, more.get(_DATE_TAKEN) or first.get(_DATE), order)
    entries = []
    if 1 <= up <= 8:
        entries.append((_ORIENTATION, 3, 1, up.to_bytes(2, "big") + bytes(2)))
    if date:
        place = 8 + 2 + 12 * (len(entries) + 1) + 4
        entries.append((_DATE, 2, len(date), place.to_bytes(4, "big")))
    if not entries:
        return b""
    folder = len(entries).to_bytes(2, "big") + b"".join(
        tag.to_bytes(2, "big") + form.to_bytes(2, "big") + count.to_bytes(4, "big") + value
        for tag, form, count, value in entries
    )
    body = b"Exif\0\0MM\0*\0\0\0\x08" + folder + bytes(4) + date
    return b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body


def _number(raw: bytes, at: int, size: int, order: str) -> int:
    return int.from_bytes(raw[at : at + size], "little" if order == "little" else "big")


def _folder(tiff: bytes, at: int, order: str) -> dict[int, bytes]:
    """Return the entries of one folder: tag to what stands in it, 4 bytes."""
    count = min(_number(tiff, at, 2, order), _ENTRIES_MAX)
    starts = (at + 2 + 12 * each for each in range(count))
    return {_number(tiff, each, 2, order): tiff[each + 8 : each + 12] for each in starts}


def _text(tiff: bytes, value: bytes | None, order: str) -> bytes:
    """Return a date of 20 bytes, as in `2026:11:26 08:30:00`, or nothing."""
    at = _number(value or b"", 0, 4, order)
    raw = tiff[at : at + 20] if value else b""
    is_date = len(raw) == 20 and raw[19] == 0 and all(each in b"0123456789: " for each in raw[:19])
    return raw if is_date else b""


# --- PNG -----------------------------------------------------------------------------------------


def _cleaned_png(file: BinaryIO) -> Iterator[bytes]:
    yield _exactly(file, len(_PNG_START))
    name = b""
    while name != b"IEND":
        head = _exactly(file, 8)
        name, left = head[4:], int.from_bytes(head[:4], "big") + 4
        is_kept = name in _KEPT_CHUNKS
        if is_kept:
            yield head
        while left:
            block = _exactly(file, min(left, _BLOCK_BYTES))
            left -= len(block)
            if is_kept:
                yield block


# --- small pictures ------------------------------------------------------------------------------


def thumbnail_of(file: BinaryIO, media: Media) -> bytes:
    """Return a small JPEG of a photo; nothing where there is none, or no Pillow.

    Cost: 150 MB of memory at most, for a PNG of 50 million pixels; a JPEG is read at an eighth.
    """
    if media not in (Media.JPEG, Media.PNG):
        return b""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        return b""
    try:
        width, height = picture_size_untrusted(file.read(PHOTO_HEAD_BYTES_MAX), media)
        if not 1 <= width * height <= PHOTO_PIXELS_MAX:
            return b""
        file.seek(0)
        with Image.open(file, formats=("JPEG", "PNG")) as opened:
            opened.draft("RGB", (2 * _SIDE, 2 * _SIDE))
            picture = ImageOps.exif_transpose(opened).convert("RGB")
        picture.thumbnail((_SIDE, _SIDE))
        for quality in _QUALITIES:
            target = io.BytesIO()
            picture.save(target, "JPEG", quality=quality, optimize=True)
            if len(target.getvalue()) <= THUMBNAIL_BYTES_MAX:
                return target.getvalue()
    except (MalformedError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        # The photo goes without: whoever gets it sees that it is there.
        return b""
    return b""
