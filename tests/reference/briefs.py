"""A place in 13 bytes, as a string of the characters 0 and 1. Source: wire-format 12.1."""

from __future__ import annotations

from protocol.payloads import SosPlace
from tests.reference.codec import demand

WIDTHS = {"version": 4, "seconds": 1, "age": 16, "accuracy": 20, "latitude": 31, "longitude": 32}


def encode_place(place: SosPlace, stamp_ms: int) -> bytes | None:
    """Return the bytes, None for a place that is too old or dated ahead."""
    age_ms = stamp_ms - place.taken_ms
    if age_ms < 0 or age_ms >= 65_536_000:
        return None
    values = {
        "version": 1,
        "seconds": int(age_ms >= 66_000),
        "age": min(age_ms, 65_535) if age_ms < 66_000 else age_ms // 1000,
        "accuracy": place.accuracy_dm,
        "latitude": place.latitude_e7 + 900_000_000,
        "longitude": place.longitude_e7 + 1_800_000_000,
    }
    bits = "".join(f"{values[name]:0{width}b}" for name, width in WIDTHS.items())
    return bytes(int(bits[n : n + 8], 2) for n in range(0, len(bits), 8))


def read_place(raw: bytes, stamp_ms: int) -> list[int]:
    """Return time, latitude, longitude and accuracy of a place."""
    demand(len(raw) == 13, "12.1 length")
    bits, values = "".join(f"{byte:08b}" for byte in raw), dict[str, int]()
    for name, width in WIDTHS.items():
        values[name], bits = int(bits[:width], 2), bits[width:]
    demand(values["version"] == 1, "12.1 version")
    age_ms = values["age"] * (1000 if values["seconds"] else 1)
    demand(not values["seconds"] or age_ms >= 65_536, "12.1 age")
    demand(values["accuracy"] <= 1_000_000, "12.1 accuracy")
    north, east = values["latitude"] - 900_000_000, values["longitude"] - 1_800_000_000
    demand(north <= 900_000_000 and east <= 1_800_000_000, "12.1 bounds")
    return [stamp_ms - age_ms, north, east, values["accuracy"]]


def read_sos(raw: bytes, stamp_ms: int) -> dict[str, object]:
    """Return what a brief alarm says, by name."""
    demand(len(raw) >= 10, "12.3 length")
    demand(raw[0] // 16 == 2, "12.3 version")
    step, low = raw[0] % 16, raw[1] % 16
    said: dict[str, object] = {"step": step, "round": raw[1] // 16, "alarm_id": raw[2:10]}
    rest = raw[10:]
    if step:
        demand(len(rest) >= 16 and low % 4 < 3, "12.3 step")
        said |= {"basis": low // 4, "outcome": low % 4, "raiser": rest[:16]}
        rest = rest[16:]
    else:
        demand(low < 4, "12.3 flags")
        number = 0
        if low & 2:
            demand(rest[:1] > b"\0", "12.3 number")
            number, rest = rest[0], rest[1:]
        said |= {"number": number, "place": None}
        if low & 1:
            said["place"], rest = read_place(rest[:13], stamp_ms), rest[13:]
    try:
        said["text"] = rest.decode("utf-8")
    except UnicodeDecodeError:
        demand(False, "12.3 text")
    return said
