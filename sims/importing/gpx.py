"""Reads tracks from GPX files. The only file that imports gpxpy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Final

import gpxpy
from gpxpy.gpx import GPXException

from sims.contacts import TraceError
from sims.importing.tracks import Fixes, make_fixes

if TYPE_CHECKING:
    from gpxpy.gpx import GPX, GPXTrack

__all__ = ["read_gpx"]

_FILE_BYTES_MAX: Final = 50_000_000
"""Of one file: half a million fixes, and a gigabyte of memory while it is read."""
# A declaration of entities could make a small file large, and GPX has none.
_DECLARATION: Final = re.compile(r"<!(DOCTYPE|ENTITY)")
# The library looks for the end of each of these over the whole rest of the file.
_OPEN_NAMESPACE: Final = re.compile(r"xmlns[^=]{100}")


def read_gpx(path: Path, *, is_track_a_node: bool = False) -> tuple[Fixes, ...]:
    """Return the fixes of a file: of one node with the file's name, or of one for each track.

    Points without a time, and those off the earth, are skipped and counted; routes and way points
    are not read. A time without a zone is in UTC. Raises: TraceError that names the file, and the
    line where it is known.
    """
    parsed = _parsed(_text(path), path)
    if not is_track_a_node:
        found = [_fixes(path.stem, parsed.tracks)]
    else:
        names: dict[str, list[GPXTrack]] = {}
        for number, track in enumerate(parsed.tracks, start=1):
            names.setdefault(track.name or f"{path.stem} {number}", []).append(track)
        found = [_fixes(name, tracks) for name, tracks in names.items()]
    known = tuple(fixes for fixes in found if len(fixes.times_s))
    if not known:
        raise TraceError(str(path), "holds no track point with a time")
    return known


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _FILE_BYTES_MAX:
            raise TraceError(str(path), f"has more than {_FILE_BYTES_MAX} bytes: split it")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise TraceError(str(path), f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TraceError(str(path), "is not text in UTF-8") from error
    for pattern in (_DECLARATION, _OPEN_NAMESPACE):
        if match := pattern.search(text):
            line = text.count("\n", 0, match.start()) + 1
            raise TraceError(f"{path} line {line}", "declares what a track does not need")
    return text


def _parsed(text: str, path: Path) -> GPX:
    try:
        return gpxpy.parse(text)
    except GPXException as error:
        position = getattr(error.__cause__, "position", None)
        place = f"{path} line {position[0]}" if position else str(path)
        raise TraceError(place, f"is not GPX: {error}") from error
    except (ValueError, RecursionError) as error:
        raise TraceError(str(path), f"is not GPX: {error}") from error


def _fixes(label: str, tracks: Sequence[GPXTrack]) -> Fixes:
    found, skipped = [], 0
    for track in tracks:
        for segment in track.segments:
            for point in segment.points:
                if point.time is None:
                    skipped += 1
                    continue
                zone = point.time.tzinfo or UTC
                time_s = point.time.replace(tzinfo=zone).timestamp()
                found.append((time_s, point.latitude, point.longitude))
    return make_fixes(label, found, skipped)
