"""Writes NMEA 0183 sentences, right ones and wrong ones."""

from __future__ import annotations

from datetime import datetime

__all__ = ["gga", "rmc", "sentence"]


def sentence(body: str) -> bytes:
    """Return `body` between the dollar and its checksum."""
    checksum = 0
    for each in body.encode("latin-1"):
        checksum ^= each
    return f"${body}*{checksum:02X}\r\n".encode("latin-1")


def _degrees(value: float, digits: int, signs: str) -> str:
    whole, minutes = divmod(abs(value) * 60, 60)
    return f"{int(whole):0{digits}d}{minutes:07.4f},{signs[value < 0]}"


def _place(latitude: float, longitude: float) -> str:
    return f"{_degrees(latitude, 2, 'NS')},{_degrees(longitude, 3, 'EW')}"


def rmc(
    latitude: float,
    longitude: float,
    at: datetime,
    *,
    knots: float = 0.0,
    course: float = 0.0,
    status: str = "A",
    mode: str = "A",
    talker: str = "GP",
) -> bytes:
    """Return an RMC sentence; `status` V is no fix."""
    place = _place(latitude, longitude)
    moment = f"{at:%H%M%S}.{at.microsecond // 10_000:02d}"
    return sentence(
        f"{talker}RMC,{moment},{status},{place},{knots:.1f},{course:.1f},{at:%d%m%y},,,{mode}"
    )


def gga(
    latitude: float,
    longitude: float,
    at: datetime,
    *,
    quality: int = 1,
    dilution: str = "0.9",
    talker: str = "GP",
) -> bytes:
    """Return a GGA sentence; `quality` 0 is no fix."""
    place = _place(latitude, longitude)
    moment = f"{at:%H%M%S}.{at.microsecond // 10_000:02d}"
    return sentence(f"{talker}GGA,{moment},{place},{quality},08,{dilution},12.0,M,48.0,M,,")
