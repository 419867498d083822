"""AIS sentences about mates, for plotters on board; they are never sent by radio.

Each mate is a craft associated with a parent ship, of class B: message 18 says where it is,
message 24 how it is called, message 14 that it asked for help. Course and speed, which we do not
know, are said to be unknown, and so are its type and its ship. Only file with pyais.
Source: ITU-R M.1371-5 annex 8, 3.12, 3.16 and 3.22; M.585-9 annex 1, section 5; IEC 61162-1 for
the sentence around it.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import Final

from pyais.encode import encode_msg
from pyais.messages import (
    MessageType14,
    MessageType18,
    MessageType24PartA,
    MessageType24PartB,
    Payload,
)

__all__ = ["NAME_CHARS_MAX", "Target", "help_sentence", "lost_sentence", "plain_name", "sentences"]

NAME_CHARS_MAX: Final = 20
"""Letters in a name of AIS."""
AGED_S: Final = 60
"""From this age on the sentence says no second any more, and the name says the minutes."""
_UNITS_PER_DEGREE: Final = 600_000
"""AIS counts in 1/10,000 of a minute."""
_LATITUDE_UNKNOWN: Final = 91.0
_LONGITUDE_UNKNOWN: Final = 181.0
_SPEED_UNKNOWN: Final = 102.3
_COURSE_UNKNOWN: Final = 360.0
_HEADING_UNKNOWN: Final = 511
_SECOND_UNKNOWN: Final = 60
_CARRIER_SENSE_STATE: Final = 393_222
"""Communication state of a class B "CS" station. Source: M.1371-5 annex 8, 3.16, note."""
_SPELT: Final = str.maketrans({"Ø": "O", "Œ": "OE", "Æ": "AE", "Ł": "L", "Đ": "D", "’": "'"})


@dataclass(frozen=True, slots=True)
class Target:
    """What a plotter is told of one mate."""

    mmsi: int
    """Nine digits."""
    name: str = field(repr=False)
    """As people call it; `plain_name` makes it one of AIS."""
    latitude_e7: int = field(repr=False)
    """Ten-millionths of a degree, north positive."""
    longitude_e7: int = field(repr=False)
    """Ten-millionths of a degree, east positive."""
    is_exact: bool
    """True where it is known to 10 m or better."""
    age_s: int
    """How old the place is, seconds."""
    second: int
    """Second of the minute at which it was there, 0-59."""


def sentences(target: Target) -> tuple[bytes, bytes, bytes]:
    """Return where it is and how it is called: three sentences, with their line ends.

    Part B of message 24 says nothing, and some readers wait for it to show the name. From one
    minute on the age stands behind the name, because a plotter counts it from when it heard the
    sentence.
    """
    minutes = target.age_s // 60
    place = _place(
        target.mmsi,
        _degrees(target.latitude_e7),
        _degrees(target.longitude_e7),
        is_exact=target.is_exact,
        second=_SECOND_UNKNOWN if target.age_s >= AGED_S else target.second,
    )
    suffix = f" {minutes}MIN" if minutes else ""
    name = MessageType24PartA.create(mmsi=target.mmsi, shipname=plain_name(target.name, suffix))
    rest = MessageType24PartB.create(mmsi=target.mmsi, partno=1)
    return _sentence(place), _sentence(name), _sentence(rest)


def lost_sentence(mmsi: int) -> bytes:
    """Return the sentence that nobody knows where this craft is now."""
    return _sentence(_place(mmsi, _LATITUDE_UNKNOWN, _LONGITUDE_UNKNOWN))


def help_sentence(mmsi: int, name: str) -> bytes:
    """Return the safety text that a mate asked for help: its name, and no word of the alarm."""
    return _sentence(MessageType14.create(mmsi=mmsi, text=f"SOS {plain_name(name)}"))


def plain_name(name: str, suffix: str = "") -> str:
    """Return a name in the letters of AIS, cut so that `suffix` fits behind it.

    Accents go, letters without a likeness become question marks. Source: M.1371-5 table 47.
    """
    spelt = unicodedata.normalize("NFKD", name.upper().translate(_SPELT))
    bare = " ".join("".join(each for each in spelt if not unicodedata.combining(each)).split())
    # An @ ends a name in AIS.
    letters = "".join(each if " " <= each <= "_" and each != "@" else "?" for each in bare)
    return letters[: NAME_CHARS_MAX - len(suffix)].rstrip() + suffix


def _place(
    mmsi: int,
    latitude: float,
    longitude: float,
    *,
    is_exact: bool = False,
    second: int = _SECOND_UNKNOWN,
) -> Payload:
    return MessageType18.create(
        mmsi=mmsi,
        speed=_SPEED_UNKNOWN,
        accuracy=is_exact,
        lon=longitude,
        lat=latitude,
        course=_COURSE_UNKNOWN,
        heading=_HEADING_UNKNOWN,
        second=second,
        cs=True,
        radio=_CARRIER_SENSE_STATE,
    )


def _degrees(value_e7: int) -> float:
    """Return degrees that are a whole number of AIS units, so that nothing is rounded twice."""
    return round(value_e7 * _UNITS_PER_DEGREE / 10_000_000) / _UNITS_PER_DEGREE


def _sentence(message: Payload) -> bytes:
    (line,) = encode_msg(message, talker_id="AI", sentence_type="VDM")
    return f"{line}\r\n".encode("ascii")
