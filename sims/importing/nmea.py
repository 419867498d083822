"""Reads positions from logs of NMEA 0183 sentences. The only file that imports pynmea2."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

import pynmea2

from sims.contacts import TraceError
from sims.importing.lines import numbered_lines
from sims.importing.tracks import Fixes, make_fixes

__all__ = ["read_nmea"]

_READ: Final = ("RMC", "GGA")
_HALF_A_DAY: Final = timedelta(hours=12)


def read_nmea(path: Path) -> Fixes:
    """Return the fixes of a log: of RMC sentences, and of GGA ones with the date of the last RMC.

    Before a sentence on its line may stand what loggers and multiplexers put there. Sentences
    without a fix, and of other kinds, are passed over. A line without any sentence, a wrong or
    missing checksum, an impossible value, and a GGA before the first RMC are skipped and counted.
    Raises: TraceError that names the file. Cost: about 2 s for 10⁵ positions.
    """
    found: list[tuple[float, float, float]] = []
    skipped, last = 0, None
    for _, line in numbered_lines(path, is_text=False):
        sentence = line[max(line.rfind("$"), 0) :]
        if sentence[3:6] not in _READ or not sentence.startswith("$"):
            skipped += bool(line.strip()) and "$" not in line and "!" not in line
            continue
        try:
            parsed = pynmea2.parse(sentence, check=True)
            at = _time(parsed, last)
            if parsed.sentence_type == "RMC":
                last = at
            if _has_fix(parsed):
                found.append((at.timestamp(), *_place(parsed)))
        except ValueError:
            # Lines are cut and garbled on every serial line; the good ones around are worth it.
            skipped += 1
    fixes = make_fixes(path.stem, found, skipped)
    if not len(fixes.times_s):
        reason = f"holds no position with a date and a checksum ({fixes.skipped} lines skipped)"
        raise TraceError(str(path), reason)
    return fixes


def _time(sentence: Any, last: datetime | None) -> datetime:
    """Return the time of a sentence in UTC. Raises: ValueError where it tells none."""
    clock = sentence.timestamp
    # The library hands on as text what it cannot read.
    if not isinstance(clock, time):
        raise ValueError("has no time")
    if sentence.sentence_type == "RMC":
        day = sentence.datestamp
        if not isinstance(day, date):
            raise ValueError("has no date")
        return datetime.combine(day, clock, UTC)
    if last is None:
        raise ValueError("has no date before it")
    # Around midnight a GGA belongs to the day that brings it next to the last RMC.
    at = datetime.combine(last.date(), clock, UTC)
    if last - at > _HALF_A_DAY:
        return at + timedelta(days=1)
    return at - timedelta(days=1) if at - last > _HALF_A_DAY else at


def _has_fix(sentence: Any) -> bool:
    if sentence.sentence_type == "RMC":
        return bool(sentence.status == "A")
    return sentence.gps_qual not in (None, 0, "")


def _place(sentence: Any) -> tuple[float, float]:
    """Return latitude and longitude. Raises: ValueError where one is missing."""
    if sentence.lat_dir not in ("N", "S") or sentence.lon_dir not in ("E", "W"):
        raise ValueError("has no place")
    if not sentence.lat or not sentence.lon:
        raise ValueError("has no place")
    return float(sentence.latitude), float(sentence.longitude)
