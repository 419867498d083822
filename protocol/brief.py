"""Positions and alarms in few bytes: what is sealed of them, so that they fit a narrow link.

The header says already whose they are and whom they are for, and the seal is bound to it, so
neither is repeated inside; times count back from the stamp of the header. What does not fit the
brief form has the long one of clause 4.10. Source: wire-format 12.1-12.3, security 2.4.
"""

from __future__ import annotations

from typing import Final

from protocol import hlc, payloads
from protocol.bundle import Header
from protocol.envelope import pad, unpad_untrusted
from protocol.errors import LimitExceededError, MalformedError
from protocol.limits import TEXT_BYTES_MAX
from protocol.payloads import (
    ACCURACY_DM_MAX,
    LATITUDE_E7_MAX,
    LONGITUDE_E7_MAX,
    SOS_NUMBER_MAX,
    SOS_ROUND_MAX,
    Payload,
    Position,
    Sos,
    SosPlace,
)

__all__ = [
    "PLACE_BYTES",
    "open_position_untrusted",
    "open_sos_untrusted",
    "seal_position",
    "seal_sos",
]

PLACE_BYTES: Final = 13
"""A place with its accuracy and age."""
_PLACE_VERSION: Final = 1
_SOS_VERSION: Final = 2
_LONG_FORM: Final = 0x80
"""Canonical records begin with an array, whose first byte is this one or greater."""
_AGE_MS_MAX: Final = (1 << 16) - 1
"""Up to here an age is told in milliseconds, up to so many seconds in whole ones."""
_HAS_PLACE, _HAS_NUMBER = 1, 2
_ALARM_ID_BYTES: Final = 8
_RAISER_BYTES: Final = 16


def seal_position(position: Position, header: Header) -> bytes:
    """Return what is sealed of a position under `header`, whose author and scope it has."""
    assert (position.author, position.scope) == (header.author, header.scope.encode())
    place = SosPlace(
        position.taken_ms, position.latitude_e7, position.longitude_e7, position.accuracy_dm
    )
    return _place(place, hlc.wall_ms(header.hlc)) or pad(payloads.encode(position))


def open_position_untrusted(plaintext: bytes, header: Header) -> Payload:
    """Read what `seal_position` gave. Raises: MalformedError, LimitExceededError, TamperedError."""
    if not _is_brief(plaintext):
        return _long(unpad_untrusted(plaintext), header)
    place = _read_place(plaintext, hlc.wall_ms(header.hlc))
    return Position(
        header.author,
        header.scope.encode(),
        place.taken_ms,
        place.latitude_e7,
        place.longitude_e7,
        place.accuracy_dm,
    )


def seal_sos(sos: Sos, header: Header) -> bytes:
    """Return what is sealed of a step of an alarm under `header`, whose author and scope it has."""
    assert (sos.author, sos.scope) == (header.author, header.scope.encode())
    text = sos.text.encode("utf-8")
    if len(text) > TEXT_BYTES_MAX or not 0 <= sos.round <= SOS_ROUND_MAX:
        raise ValueError("an alarm is beyond its bounds")
    first = bytes([_SOS_VERSION << 4 | sos.step])
    if sos.step:
        right = bytes([sos.round << 4 | sos.basis << 2 | sos.outcome])
        return first + right + sos.alarm_id + sos.raiser + text
    place = b"" if sos.place is None else _place(sos.place, hlc.wall_ms(header.hlc))
    if place is None:
        return payloads.encode(sos)
    flags = (_HAS_PLACE if place else 0) | (_HAS_NUMBER if sos.number else 0)
    number = bytes([sos.number]) if sos.number else b""
    return first + bytes([sos.round << 4 | flags]) + sos.alarm_id + number + place + text


def open_sos_untrusted(plaintext: bytes, header: Header) -> Payload:
    """Read what `seal_sos` gave. Raises: MalformedError, LimitExceededError, TamperedError."""
    if not _is_brief(plaintext):
        return _long(plaintext, header)
    if plaintext[0] >> 4 != _SOS_VERSION:
        raise MalformedError("the alarm has an unknown version")
    step, reader = plaintext[0] & 15, _Reader(plaintext[1:])
    about = reader.take(1)[0]
    alarm_id = reader.take(_ALARM_ID_BYTES)
    author, scope, round_ = header.author, header.scope.encode(), about >> 4
    if step:
        raiser, basis, outcome = reader.take(_RAISER_BYTES), about >> 2 & 3, about & 3
        if outcome > payloads.SOS_OUTCOME_MAX:
            raise MalformedError("the outcome of the alarm is unknown")
        more = {"raiser": raiser, "basis": basis, "outcome": outcome, "round": round_}
        return Sos(author, scope, reader.text(), alarm_id, step, **more)  # type: ignore[arg-type]
    if about & 15 & ~(_HAS_PLACE | _HAS_NUMBER):
        raise MalformedError("the alarm has unknown flags")
    number = reader.take(1)[0] if about & _HAS_NUMBER else 0
    if about & _HAS_NUMBER and not number:
        raise MalformedError("the number of the alarm is not in its shortest form")
    place = None
    if about & _HAS_PLACE:
        place = _read_place(reader.take(PLACE_BYTES), hlc.wall_ms(header.hlc))
    text = reader.text()
    return Sos(author, scope, text, alarm_id, step, round=round_, number=number, place=place)


class _Reader:
    """Takes fields off the front of bytes."""

    def __init__(self, raw: bytes) -> None:
        self._rest = raw

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes. Raises: MalformedError."""
        if len(self._rest) < count:
            raise MalformedError("the alarm is cut short")
        found, self._rest = self._rest[:count], self._rest[count:]
        return found

    def text(self) -> str:
        """Return the rest. Raises: MalformedError, LimitExceededError."""
        if len(self._rest) > TEXT_BYTES_MAX:
            raise LimitExceededError("text bytes", TEXT_BYTES_MAX, len(self._rest))
        try:
            return self._rest.decode("utf-8")
        except UnicodeDecodeError as error:
            raise MalformedError("the text of the alarm is no UTF-8") from error


def _is_brief(plaintext: bytes) -> bool:
    return bool(plaintext) and plaintext[0] < _LONG_FORM


def _long(plaintext: bytes, header: Header) -> Payload:
    return payloads.decode_untrusted(plaintext, header.author, header.scope.encode())


# --- places: 4 bits of version, 17 of age, 20 of accuracy, 31 of latitude, 32 of longitude --------


def _place(place: SosPlace, stamp_ms: int) -> bytes | None:
    """Return the 13 bytes of a place; None if its age cannot be told in them."""
    age_ms = stamp_ms - place.taken_ms
    # Told as younger by less than a second, if at all, and so never as of before its shift.
    is_seconds = age_ms // 1000 * 1000 > _AGE_MS_MAX
    age = age_ms // 1000 if is_seconds else min(age_ms, _AGE_MS_MAX)
    if not 0 <= age <= _AGE_MS_MAX:
        return None
    north, east = place.latitude_e7 + LATITUDE_E7_MAX, place.longitude_e7 + LONGITUDE_E7_MAX
    is_fit = 0 <= place.accuracy_dm <= ACCURACY_DM_MAX
    if not (is_fit and 0 <= north <= 2 * LATITUDE_E7_MAX and 0 <= east <= 2 * LONGITUDE_E7_MAX):
        raise ValueError("a place is beyond its bounds")
    number = _PLACE_VERSION << 17 | is_seconds << 16 | age
    number = (number << 20 | place.accuracy_dm) << 31 | north
    return (number << 32 | east).to_bytes(PLACE_BYTES, "big")


def _read_place(raw: bytes, stamp_ms: int) -> SosPlace:
    if len(raw) != PLACE_BYTES or raw[0] >> 4 != _PLACE_VERSION:
        raise MalformedError("the place has an unknown form")
    number = int.from_bytes(raw, "big")
    east, number = number & 0xFFFFFFFF, number >> 32
    north, number = number & 0x7FFFFFFF, number >> 31
    accuracy_dm, number = number & 0xFFFFF, number >> 20
    age = number & 0xFFFF
    age_ms = age * 1000 if number >> 16 & 1 else age
    if number >> 16 & 1 and age_ms <= _AGE_MS_MAX:
        raise MalformedError("the age of the place is not in its shortest form")
    is_fit = accuracy_dm <= ACCURACY_DM_MAX and age_ms <= stamp_ms
    if not is_fit or north > 2 * LATITUDE_E7_MAX or east > 2 * LONGITUDE_E7_MAX:
        raise MalformedError("the place is beyond its bounds")
    return SosPlace(
        stamp_ms - age_ms, north - LATITUDE_E7_MAX, east - LONGITUDE_E7_MAX, accuracy_dm
    )


assert SOS_NUMBER_MAX < 256, "a number is one byte"
