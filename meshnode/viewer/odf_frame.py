"""Frames of ODF: each holds one thing in several forms, of which the first that is known is shown.

Known are JPEG and PNG pictures that lie in the archive under `Pictures/`; what an address names
elsewhere is never looked for. Objects, SVG and metafiles are counted as left out.
Source: OpenDocument 1.3 section 10.4.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from meshnode.viewer.document import Inline, Picture, Span, printable
from meshnode.viewer.pictures import Seen, Shelf

__all__ = ["FrameReader", "Unpack", "one_line"]

Unpack: TypeAlias = Callable[[str, int], bytes]
"""Gives a member of the archive of at most so many bytes; empty where there is none.

Raises: MalformedError if it is damaged.
"""
_SPACE: Final = re.compile(r"[ \t\r\n]+")
_NAME_MAX: Final = 200
_WORDS_MAX: Final = 1_000
_LENGTH: Final = re.compile(r"([0-9]{1,5}(?:\.[0-9]{1,6})?)(cm|mm|in|pt|pc|px)")
_PIXELS: Final = {"cm": 96 / 2.54, "mm": 96 / 25.4, "in": 96, "pt": 96 / 72, "pc": 16, "px": 1}
_WIDTH_PX_MAX: Final = 2_000


def one_line(text: str, characters_max: int = _NAME_MAX) -> str:
    """Return a text as one line that steers no screen."""
    return _SPACE.sub(" ", printable(text)).strip()[:characters_max]


def _width_px(told: str) -> int:
    """Return a length in pixels of a page; 0 where nothing sensible is told."""
    found = _LENGTH.fullmatch(told)
    if found is None:
        return 0
    return min(round(float(found[1]) * _PIXELS[found[2]]), _WIDTH_PX_MAX)


@dataclass(slots=True)
class _Frame:
    """A frame that is being read."""

    name: str
    width_px: int
    seen: Seen | None = None
    """The first form of it that is shown."""
    file: str = ""
    """Where that lay in the archive."""
    has_other: bool = False
    """It has a picture in a form that is not shown."""
    has_object: bool = False
    """It has an object, which is counted already."""
    words: list[str] = field(default_factory=list)
    """Its title and its description, as pieces come."""


class FrameReader:
    """Reads frames, also one inside another: a text box with a picture."""

    def __init__(self, unpack: Unpack | None, left_out: Counter[str]) -> None:
        """Pictures that are not shown are counted in `left_out`."""
        self._shelf = None if unpack is None else Shelf(unpack)
        self._left_out = left_out
        self._frames: list[_Frame] = []
        self._has_words_open = False

    @property
    def has_words_open(self) -> bool:
        """True inside the title or description of a frame."""
        return self._has_words_open

    def begin(self, told: dict[str, str]) -> None:
        """Begin a frame."""
        name = one_line(told.get("draw:name", ""))
        self._frames.append(_Frame(name, _width_px(told.get("svg:width", ""))))

    def found(self, target: str) -> None:
        """A picture, in the frame or, as no program writes it, outside of any."""
        if not self._frames:
            self._left_out["pictures"] += 1
            return
        frame = self._frames[-1]
        if frame.seen is None:
            seen = None if self._shelf is None else self._shelf.take(target)
            frame.seen, frame.file = seen, target.rpartition("/")[2]
            frame.has_other = frame.has_other or seen is None

    def passed_over(self) -> None:
        """Something was left out and counted, perhaps what the frame is there for."""
        if self._frames:
            self._frames[-1].has_object = True

    def begin_words(self) -> None:
        """Begin a title or description."""
        if self._frames:
            self._has_words_open = True
            if self._frames[-1].words:
                self._frames[-1].words.append(": ")

    def add_words(self, data: str) -> None:
        """Add a piece of it."""
        if self._frames:
            self._frames[-1].words.append(data)

    def end_words(self) -> None:
        """End a title or description."""
        self._has_words_open = False

    def end(self) -> Inline | None:
        """End a frame; return what stands in its place, of a picture left out what it shows."""
        frame = self._frames.pop()
        words = one_line("".join(frame.words), _WORDS_MAX)
        if frame.seen is not None:
            name = frame.name or one_line(frame.file)
            return Picture(frame.seen.media, frame.seen.raw, words, name, frame.width_px)
        if frame.has_other and not frame.has_object:
            self._left_out["pictures"] += 1
        return Span(f"[▣ {words}]") if words else None
