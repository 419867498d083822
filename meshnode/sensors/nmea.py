"""NMEA 0183: sentences RMC and GGA of any talker, merged into positions. Only file with pynmea2.

RMC tells date, speed and course, GGA how good the fix is; a receiver sends both each second. A
sentence without a checksum is refused: on a serial line a lost character is a wrong place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any, Final

import pynmea2

from meshnode.errors import SensorError
from meshnode.sensors.base import SensorSink
from meshnode.sensors.bounds import FIX_SILENT_S
from meshnode.sensors.readings import PositionReading, number

__all__ = ["Fix", "FixMerger", "no_position", "parse_sentence_untrusted"]

_SENTENCE: Final = re.compile(rb"\$[A-OQ-Z][A-Z](?:RMC|GGA),[\x20-\x7e]*")
"""What is read; all other sentences, of AIS and of echo sounders, are not for us. A name that
begins with P is one maker's own, such as Garmin's $PGRMC."""
_M_S_PER_KNOT: Final = 1852 / 3600
_M_PER_DILUTION: Final = 5.0
"""Error of one range of a civil receiver, metres; times the dilution it is that of the fix."""
_GOOD_QUALITIES: Final = frozenset({1, 2, 3, 4, 5, 6})
"""GGA: satellites or reckoning on from them; 0 no fix, 7 typed in, 8 simulated."""
_BAD_MODES: Final = frozenset({"N", "M", "S"})
"""RMC: not valid, typed in, simulated."""
_RMC_WAIT_S: Final = 5.0
"""A talker without RMC for so long is believed by GGA alone."""


@dataclass(frozen=True, slots=True)
class Fix:
    """What one sentence says."""

    is_rmc: bool
    """RMC, else GGA."""
    is_valid: bool
    """The receiver says that it has a fix."""
    clock: time | None
    """Time of the day, UTC."""
    told_ms: int = 0
    """Unix milliseconds; 0 without a date."""
    latitude: float = field(default=0.0, repr=False)
    """Degrees."""
    longitude: float = field(default=0.0, repr=False)
    """Degrees."""
    speed_m_s: float | None = field(default=None, repr=False)
    """Metres per second."""
    course_deg: float | None = field(default=None, repr=False)
    """Degrees."""
    accuracy_m: float = 0.0
    """Metres; 0 where it is not told."""


def parse_sentence_untrusted(line: bytes) -> Fix | None:
    """Return what a line says, None if it is none of our business. Raises: SensorError."""
    start = line.rfind(b"$")
    if start < 0 or not _SENTENCE.match(line, start):
        return None
    # Garbage behind a sentence's head belongs to the sentence, so the checksum must cover it.
    text = line[start:].decode("latin-1")
    try:
        sentence = pynmea2.parse(text, check=True)
        if sentence.sentence_type == "RMC":
            return _read_rmc(sentence)
        return _read_gga(sentence)
    except pynmea2.ChecksumError as error:
        raise SensorError("checksum", "a sentence has a wrong checksum, or none") from error
    except ValueError as error:
        raise SensorError("sentence", "a sentence cannot be read") from error


def _read_rmc(sentence: Any) -> Fix:
    clock = sentence.timestamp if isinstance(sentence.timestamp, time) else None
    if sentence.status != "A" or sentence.mode_indicator in _BAD_MODES:
        return Fix(is_rmc=True, is_valid=False, clock=clock)
    day = sentence.datestamp if isinstance(sentence.datestamp, date) else None
    if clock is None or day is None:
        raise SensorError("time", "a sentence has a fix and no date")
    latitude, longitude = _place(sentence)
    told = datetime.combine(day, clock.replace(tzinfo=None), UTC)
    speed = _optional(sentence.spd_over_grnd, "speed")
    return Fix(
        is_rmc=True,
        is_valid=True,
        clock=clock,
        told_ms=max(1, round(told.timestamp() * 1000)),
        speed_m_s=None if speed is None else speed * _M_S_PER_KNOT,
        course_deg=_optional(sentence.true_course, "course"),
        latitude=latitude,
        longitude=longitude,
    )


def _read_gga(sentence: Any) -> Fix:
    clock = sentence.timestamp if isinstance(sentence.timestamp, time) else None
    if sentence.gps_qual not in _GOOD_QUALITIES:
        return Fix(is_rmc=False, is_valid=False, clock=clock)
    if clock is None:
        raise SensorError("time", "a sentence has a fix and no time")
    latitude, longitude = _place(sentence)
    dilution = sentence.horizontal_dil
    return Fix(
        is_rmc=False,
        is_valid=True,
        clock=clock,
        accuracy_m=number(float(dilution), "dilution") * _M_PER_DILUTION if dilution else 0.0,
        latitude=latitude,
        longitude=longitude,
    )


def _optional(value: object, what: str) -> float | None:
    return None if value is None else number(value, what)


def _place(sentence: Any) -> tuple[float, float]:
    # The library takes a missing half of a place for zero.
    if sentence.lat_dir not in ("N", "S") or sentence.lon_dir not in ("E", "W"):
        raise SensorError("place", "a sentence has a fix and no place")
    if not sentence.lat or not sentence.lon:
        raise SensorError("place", "a sentence has a fix and no place")
    return sentence.latitude, sentence.longitude


def no_position() -> SensorError:
    """Return why a talker that is silent, or speaks of other things, gives nothing."""
    return SensorError("silent", "no sentence with a position came for half a minute")


class FixMerger:
    """Puts the sentences of one talker together and hands on one position per moment."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._gga: Fix | None = None
        self._alone: time | None = None
        """Time of the last GGA that was believed alone: one that repeats it is no news."""
        self._rmc_s: float | None = None
        self.fix_s: float | None = None
        """When a position last passed, by the monotonic clock; None before."""
        self._heard_s: float | None = None

    def hear(self, line: bytes, sink: SensorSink, at_s: float) -> bool:
        """Take one line; True if it gave a position that passed. `at_s` is monotonic.

        A talker that speaks of other things only, such as AIS, is told of after FIX_SILENT_S.
        """
        if self._heard_s is None:
            self._heard_s = at_s
        if at_s - (self.fix_s or self._heard_s) > FIX_SILENT_S and sink.trouble is None:
            sink.explain(no_position())
        try:
            fix = parse_sentence_untrusted(line)
        except SensorError as error:
            sink.refuse(error)
            return False
        build = None if fix is None else self._merged(fix, sink, at_s)
        if build is None or not sink.take(build):
            return False
        self.fix_s = at_s
        return True

    def _merged(
        self, fix: Fix, sink: SensorSink, at_s: float
    ) -> Callable[[], PositionReading] | None:
        # A talker that is new gets the same time for its first RMC: that one has the date.
        if fix.is_rmc or self._rmc_s is None:
            self._rmc_s = at_s
        if not fix.is_rmc:
            self._gga = fix
        if not fix.is_valid:
            sink.explain(SensorError("no-fix", "the receiver has no fix"))
            return None
        has_rmc = at_s - self._rmc_s < _RMC_WAIT_S
        if not fix.is_rmc:
            if has_rmc or fix.clock == self._alone:
                return None
            self._alone = fix.clock
            return lambda: _reading(fix, fix, self._name, sink)
        gga = self._gga
        if gga is None or gga.clock != fix.clock:
            return lambda: _reading(fix, None, self._name, sink)
        # The half that knows better: a fix that was typed in or simulated is none.
        return (lambda: _reading(fix, gga, self._name, sink)) if gga.is_valid else None


def _reading(fix: Fix, quality: Fix | None, name: str, sink: SensorSink) -> PositionReading:
    return PositionReading(
        latitude=fix.latitude,
        longitude=fix.longitude,
        accuracy_m=0.0 if quality is None else quality.accuracy_m,
        taken_ms=sink.runtime.now_ms(),
        source=name,
        speed_m_s=fix.speed_m_s,
        course_deg=fix.course_deg,
        told_ms=fix.told_ms,
    )
