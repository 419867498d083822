"""A place in 13 bytes, as a string of the characters 0 and 1. Source: wire-format 12.1."""

from __future__ import annotations

from protocol.payloads import SosPlace

WIDTHS = {"version": 4, "seconds": 1, "age": 16, "accuracy": 20, "latitude": 31, "longitude": 32}


def encode_place(place: SosPlace, stamp_ms: int) -> bytes | None:
    """Return the bytes, None for a place that is too old or dated ahead."""
    age_ms = stamp_ms - place.taken_ms
    if age_ms < 0 or age_ms >= 65_536_000:
        return None
    values = {
        "version": 1,
        "seconds": int(age_ms >= 65_536),
        "age": age_ms if age_ms < 65_536 else age_ms // 1000,
        "accuracy": place.accuracy_dm,
        "latitude": place.latitude_e7 + 900_000_000,
        "longitude": place.longitude_e7 + 1_800_000_000,
    }
    bits = "".join(f"{values[name]:0{width}b}" for name, width in WIDTHS.items())
    return bytes(int(bits[n : n + 8], 2) for n in range(0, len(bits), 8))
