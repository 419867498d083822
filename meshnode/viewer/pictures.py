"""Pictures of others: looked at by their headers, bounded, and never unpacked here.

Whoever shows them unpacks them, so what they claim is bounded before. What stands beside the
picture, such as places, second pictures and frames that move, is left out. Source: decision 46.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Final

from meshnode.photos import cleaned
from meshnode.viewer.bounds import (
    DOCUMENT_PICTURE_BYTES_MAX,
    DOCUMENT_PICTURE_PIXELS_MAX,
    DOCUMENT_PICTURE_SCANS_MAX,
    DOCUMENT_PICTURES_BYTES_MAX,
    DOCUMENT_PICTURES_MAX,
    DOCUMENT_PICTURES_PIXELS_MAX,
    DOCUMENT_PICTURES_UNPACKED_MAX,
)
from protocol.attachments import Media, picture_size_untrusted, sniff
from protocol.errors import LimitExceededError, MalformedError

__all__ = ["Seen", "Shelf", "see_untrusted"]

_FOLDER: Final = "Pictures/"
_SCAN: Final = b"\xff\xda"
"""Begins a pass of a JPEG; never stands in its compressed data."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture that may be shown."""

    media: Media
    """JPEG or PNG."""
    raw: bytes = field(repr=False)
    """The file, with nothing but the picture in it."""
    pixels: int
    """What it claims, 1 to DOCUMENT_PICTURE_PIXELS_MAX."""


def see_untrusted(raw: bytes) -> Seen:
    """Return a picture as it may be shown.

    Raises: MalformedError if it is neither JPEG nor PNG, or damaged before its end;
    LimitExceededError for one that claims more than a browser should be asked to unpack.
    """
    media = sniff(raw)
    if media not in (Media.JPEG, Media.PNG):
        raise MalformedError("this picture is neither JPEG nor PNG")
    bare = b"".join(cleaned(BytesIO(raw), media))
    # Of what is shown: a header that was left out tells nothing.
    width, height = picture_size_untrusted(bare, media)
    pixels = width * height
    if not 1 <= pixels <= DOCUMENT_PICTURE_PIXELS_MAX:
        raise LimitExceededError("picture pixels", DOCUMENT_PICTURE_PIXELS_MAX, pixels)
    scans = bare.count(_SCAN) if media is Media.JPEG else 0
    if scans > DOCUMENT_PICTURE_SCANS_MAX:
        raise LimitExceededError("picture scans", DOCUMENT_PICTURE_SCANS_MAX, scans)
    return Seen(media, bare, pixels)


class Shelf:
    """The pictures of one document, and how much of its bounds they have used."""

    def __init__(self, unpack: Callable[[str, int], bytes]) -> None:
        """`unpack` gives a member of at most so many bytes, empty where there is none.

        It raises MalformedError for one that is damaged.
        """
        self._unpack = unpack
        self._seen: dict[str, Seen | None] = {}
        self._unpacked = self._count = self._bytes = self._pixels = 0

    def take(self, target: str) -> Seen | None:
        """Return the picture that an address names; None where it is not shown."""
        name = target.removeprefix("./")
        if not name.startswith(_FOLDER) or self._count >= DOCUMENT_PICTURES_MAX:
            return None
        if name not in self._seen:
            self._seen[name] = self._look(name)
        seen = self._seen[name]
        if seen is None:
            return None
        size_bytes, pixels = self._bytes + len(seen.raw), self._pixels + seen.pixels
        if size_bytes > DOCUMENT_PICTURES_BYTES_MAX or pixels > DOCUMENT_PICTURES_PIXELS_MAX:
            return None
        self._count, self._bytes, self._pixels = self._count + 1, size_bytes, pixels
        return seen

    def _look(self, name: str) -> Seen | None:
        room = min(DOCUMENT_PICTURE_BYTES_MAX, DOCUMENT_PICTURES_UNPACKED_MAX - self._unpacked)
        try:
            raw = self._unpack(name, room)
        except MalformedError:
            # How much was unpacked before the damage is not known.
            self._unpacked += room
            return None
        self._unpacked += len(raw)
        try:
            return see_untrusted(raw)
        except (MalformedError, LimitExceededError):
            return None
