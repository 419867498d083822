"""A second reader of records and bundles, written from the wire format page and from nothing else.

Slow and plain: one byte at a time, no library. It judges the node's decoders. It imports nothing
of the product, so that a mistake there cannot hide in here.
"""

from __future__ import annotations

import hashlib

from tests.reference.tracks import every_reading

__all__ = [
    "Record",
    "RefusedError",
    "read_audit_head",
    "read_bundle",
    "read_frames",
    "read_key_request",
    "read_payload",
    "read_prekey",
    "read_record",
    "read_scope",
    "read_shift",
    "read_slot_secret",
    "read_slots",
    "unpad",
    "write_record",
]

Record = int | bytes | tuple["Record", ...]
"""Clause 2.1."""

DAY_S = 86_400


class RefusedError(Exception):
    """The page says that these bytes are malformed; the clause is in the message."""


def demand(condition: bool, clause: str) -> None:
    """Refuse by a clause of the page."""
    if not condition:
        raise RefusedError(clause)


# --- clause 2: canonical records ---------------------------------------------------------------


def read_record(data: bytes) -> Record:
    """Read one record that fills `data` exactly. Source: wire-format 2."""
    value, end = _item(data, 0, 0)
    demand(end == len(data), "2.2 trailing byte")
    return value


def _number(data: bytes, at: int, width: int) -> int:
    demand(at + width <= len(data), "2.2 cut short")
    number = 0
    for byte in data[at : at + width]:
        number = number * 256 + byte
    return number


def _item(data: bytes, at: int, depth: int) -> tuple[Record, int]:
    tag = _number(data, at, 1)
    at += 1
    if tag < 0x80:
        return tag, at
    if 0xCC <= tag <= 0xCF:
        width = 1 << (tag - 0xCC)
        number = _number(data, at, width)
        smallest = 0x80 if width == 1 else 1 << (4 * width)
        demand(number >= smallest, "2.2 shortest form of an integer")
        return number, at + width
    if 0xC4 <= tag <= 0xC6:
        width = 1 << (tag - 0xC4)
        length = _number(data, at, width)
        demand(width == 1 or length >= 1 << (4 * width), "2.2 shortest form of a length")
        end = at + width + length
        demand(end <= len(data), "2.2 cut short")
        return data[at + width : end], end
    if 0x90 <= tag <= 0x9F:
        return _array(data, at, tag - 0x90, depth)
    demand(tag in (0xDC, 0xDD), "2.2 a type that is none of the three")
    width = 2 if tag == 0xDC else 4
    count = _number(data, at, width)
    demand(count >= (16 if width == 2 else 1 << 16), "2.2 shortest form of a count")
    return _array(data, at + width, count, depth)


def _array(data: bytes, at: int, count: int, depth: int) -> tuple[Record, int]:
    demand(depth < 6, "2.2 nesting")
    demand(count <= 16_384, "2.2 items per array")
    items = []
    for _ in range(count):
        item, at = _item(data, at, depth + 1)
        items.append(item)
    return tuple(items), at


def write_record(value: Record) -> bytes:
    """Return the one encoding of a record. Source: wire-format 2."""
    if isinstance(value, int):
        if value < 0x80:
            return bytes([value])
        width = next(width for width in (1, 2, 4, 8) if value < 1 << (8 * width))
        return bytes([{1: 0xCC, 2: 0xCD, 4: 0xCE, 8: 0xCF}[width]]) + value.to_bytes(width, "big")
    if isinstance(value, bytes):
        width = next(width for width in (1, 2, 4) if len(value) < 1 << (8 * width))
        head = bytes([{1: 0xC4, 2: 0xC5, 4: 0xC6}[width]]) + len(value).to_bytes(width, "big")
        return head + value
    head = (
        bytes([0x90 + len(value)]) if len(value) < 16 else b"\xdc" + len(value).to_bytes(2, "big")
    )
    return head + b"".join(write_record(item) for item in value)


def _fields(record: Record, count: int, clause: str) -> tuple[Record, ...]:
    demand(isinstance(record, tuple) and len(record) == count, clause)
    assert isinstance(record, tuple)
    return record


def _uint(record: Record, low: int, high: int, clause: str) -> int:
    demand(isinstance(record, int) and low <= record <= high, clause)
    assert isinstance(record, int)
    return record


def _bin(record: Record, low: int, high: int, clause: str) -> bytes:
    demand(isinstance(record, bytes) and low <= len(record) <= high, clause)
    assert isinstance(record, bytes)
    return record


def _many(record: Record, low: int, high: int, clause: str) -> tuple[Record, ...]:
    demand(isinstance(record, tuple) and low <= len(record) <= high, clause)
    assert isinstance(record, tuple)
    return record


# --- clauses 3 and 4: scopes and bundles -------------------------------------------------------

TARGET_BYTES = {1: 16, 2: 8, 3: 0, 4: 0}
KEYREF_BYTES = {1: {8}, 2: {0, 8}, 3: {8}, 4: {0}, 5: {8}}
CLASS_OF_KIND = {
    1: "sos",
    7: "state",
    8: "state",
    9: "bulk",
    10: "bulk",
    11: "bulk",
    16: "bulk",
    18: "state",
    41: "bulk",
} | dict.fromkeys((2, 3, 4, 5, 6, 12, 13, 14, 15, 30), "message")
USUAL_LIFETIME_S = dict(
    zip(
        (*range(1, 17), 30),
        [
            days * DAY_S // 2
            for days in (6, 14, 60, 18, 18, 6, 2, 1, 14, 6, 14, 4, 180, 18, 18, 60, 18)
        ],
        strict=True,
    )
) | {18: 600, 41: 9 * DAY_S}
"""Half days."""
LIFETIME_DAYS_MAX = {"sos": 7, "message": 90, "state": 7, "bulk": 30}


def read_scope(data: bytes) -> dict[str, object]:
    """Read a scope. Source: wire-format 3.2 and 3.4."""
    demand(len(data) >= 3 and data[0] in TARGET_BYTES, "3.4 type")
    demand(len(data) == 3 + TARGET_BYTES[data[0]], "3.4 length")
    zone = data[1] * 256 + data[2]
    demand(zone >= 1, "3.2 zone")
    return {"type": data[0], "zone": zone, "target": data[3:]}


def _lifetime_s(field: Record, kind: int, longest_s: int) -> int:
    stated_s, usual_s = _uint(field, 0, longest_s, "4.3 lifetime"), USUAL_LIFETIME_S[kind]
    demand(stated_s != usual_s, "4.2 the usual lifetime is 0")
    return stated_s or usual_s


def read_bundle(data: bytes) -> dict[str, object]:
    """Read a container; its signature is not checked. Source: wire-format 4.1-4.4."""
    demand(len(data) <= 65_000, "4.1 size")
    demand(len(data) >= 64, "4.1 signature")
    container = _fields(read_record(b"\x92" + data[:-64]), 2, "4.1 two parts and a signature")
    header_bytes = _bin(container[0], 0, 255, "4.1 header")
    body = _bin(container[1], 0, 64_700, "4.1 body")
    signature = data[-64:]
    fields = _fields(read_record(header_bytes), 10, "4.2 ten fields")
    suite = _uint(fields[0], 1, 5, "4.2 suite")
    kind = _uint(fields[1], 1, max(CLASS_OF_KIND), "4.3 kind")
    demand(kind in CLASS_OF_KIND, "4.3 kind")
    lifetime_s_max = LIFETIME_DAYS_MAX[CLASS_OF_KIND[kind]] * DAY_S
    header: dict[str, object] = {
        "suite": suite,
        "kind": kind,
        "author": _bin(fields[2], 16, 16, "4.2 author"),
        "incarnation": _uint(fields[3], 0, 2**32 - 1, "3.3 incarnation"),
        "seq": _uint(fields[4], 1, 2**64 - 1, "3.3 seq"),
        "hlc": _uint(fields[5], 0, 2**64 - 1, "4.2 hlc"),
        "lifetime_s": _lifetime_s(fields[6], kind, lifetime_s_max),
        "scope": _bin(fields[7], 3, 19, "3.4 length"),
        "keyref": _bin(fields[8], 0, 8, "4.2 keyref"),
        "index": _uint(fields[9], 0, {1: 2_047, 4: 2**32 - 1}.get(suite, 0), "4.2 index"),
    }
    read_scope(_bin(fields[7], 3, 19, "3.4 length"))
    demand(len(_bin(fields[8], 0, 8, "4.2 keyref")) in KEYREF_BYTES[suite], "4.2 keyref")
    signed = b"meshnode bundle 1\0" + header_bytes + hashlib.sha256(body).digest()
    return header | {
        "body": body,
        "signature": signature,
        "signed": signed,
        "digest": hashlib.sha256(signed).digest(),
    }


# --- clauses 4.7-4.13: what is in bodies -------------------------------------------------------


def unpad(data: bytes) -> bytes:
    """Take the padding off. Source: wire-format 4.10."""
    marker = max(data.rfind(b"\x80"), 0)
    demand(data[marker : marker + 1] == b"\x80", "4.10 marker")
    demand(not any(data[marker + 1 :]), "4.10 zeros")
    length, size = marker + 1, 32
    while size < length:
        size = size * 2 if size < 4_096 else size + 4_096
    demand(len(data) == size, "4.10 size class")
    return data[:marker]


def _origin(fields: tuple[Record, ...]) -> None:
    """Refuse four fields that name no earlier message. Source: wire-format 4.31 and 4.37."""
    _uint(fields[0], 0, 2**32 - 1, "4.31 incarnation")
    _uint(fields[1], 1, 2**64 - 1, "4.31 seq")
    _bin(fields[2], 3, 19, "4.31 scope")
    _uint(fields[3], 0, 2**48 - 1, "4.31 time")


def read_payload(padded: bytes, author: bytes, scope: bytes) -> Record:
    """Read a padded payload under a header of `author` and `scope`. Source: wire-format 4.10."""
    record = _many(read_record(unpad(padded)), 5, 10, "4.10 fields")
    demand(record[0] == 1, "1.2 version")
    demand(record[2] == author and record[3] == scope, "4.10 author and scope")
    if record[1] == 3:
        return _network_keys(record)
    if record[1] == 4:
        _fields(record, 8, "4.10 type 4")
        for place, most in ((4, 2**48 - 1), (5, 18 * 10**8), (6, 36 * 10**8), (7, 10**6)):
            _uint(record[place], 0, most, "4.10 a number of a position")
        return record
    if record[1] == 5:
        return _state(_fields(record, 7, "4.10 type 5"))
    if record[1] == 6:
        _fields(record, 5, "4.10 type 6")
        points = every_reading(_bin(record[4], 0, 9_214, "4.21 points"))
        demand(points is not None, "4.21 points")
        return record
    if record[1] == 9:
        return _read_pages(record)
    if record[1] == 10:
        # Imported here: it stands on this file.
        from tests.reference.coverage import read_coverage_map

        return read_coverage_map(record)
    text = _bin(record[4], 0, 16_384, "4.10 text")
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RefusedError("2.1 text is UTF-8") from error
    if record[1] == 1 and len(record) == 9:
        _origin(record[5:])
        return record
    if record[1] == 1:
        return _fields(record, 5, "4.10 type 1")
    if record[1] == 7:
        # Imported here: it stands on this file.
        from tests.reference.manifests import read_manifest

        demand(len(record) in (6, 10), "4.10 type 7")
        read_manifest(record[5])
        if len(record) == 10:
            _origin(record[6:])
        return record
    demand(record[1] == 2, "4.10 type")
    _bin(_many(record, 7, 8, "4.10 type 2")[5], 8, 8, "4.10 alarm id")
    step = _uint(record[6], 0, 15, "4.10 step")
    if len(record) == 7:
        demand(step == 0, "4.19 only a first raising has the short form")
    elif step == 0:
        _raised(record[7])
    else:
        raiser, round_, basis, outcome = _fields(record[7], 4, "4.19 step")
        _bin(raiser, 16, 16, "4.19 raiser")
        for number, most in ((round_, 15), (basis, 3), (outcome, 2)):
            _uint(number, 0, most, "4.19 a number of a step")
    return record


def _state(record: tuple[Record, ...]) -> Record:
    top = 2**48 - 1
    _uint(record[6], 0, top, "4.22 gateway_ms")
    if battery := _many(record[4], 0, 5, "4.22 battery"):
        read, _level, charging, drain, empty = (
            _uint(value, 0, most, "4.22 a number of a battery")
            for value, most in zip(
                _fields(battery, 5, "4.22 battery"), (top, 100, 1, 60_000, top), strict=True
            )
        )
        demand(not charging or drain == empty == 0, "4.22 a forecast while charging")
        demand(empty == 0 or 0 <= empty - read <= 30 * 86_400_000, "4.22 empty_ms")
    if coverage := _many(record[5], 0, 5, "4.22 coverage"):
        read, bearer, unit = (
            _uint(value, 0, most, "4.22 a number of coverage")
            for value, most in zip(coverage[:3], (top, 5, 2), strict=True)
        )
        _fields(coverage, 5, "4.22 coverage")
        strength = _uint(coverage[3], 0, (0, 100, 150)[unit], "4.22 strength")
        raw = _bin(coverage[4], 0, 32, "4.22 operator")
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise RefusedError("2.1 text is UTF-8") from error
        demand(name.isprintable() and name.strip() == name, "4.22 operator prints")
        demand(bearer != 0 or (unit, strength, name) == (0, 0, ""), "4.22 no network")
    return record


def _raised(more: Record) -> None:
    round_, number, place = _fields(more, 3, "4.19 raised")
    _uint(round_, 0, 15, "4.19 round")
    _uint(number, 0, 255, "4.19 number")
    if _many(place, 0, 4, "4.19 place"):
        numbers = _fields(place, 4, "4.19 place")
        for value, most in zip(numbers, (2**48 - 1, 18 * 10**8, 36 * 10**8, 10**6), strict=True):
            _uint(value, 0, most, "4.19 a number of a place")
    demand((round_, number, place) != (0, 0, ()), "4.19 the short form")


def _read_pages(record: tuple[Record, ...]) -> Record:
    _fields(record, 5, "4.32 type 9")
    places = []
    for item in _many(record[4], 1, 64, "4.32 pages"):
        author, incarnation, page, read, withdrawn = _fields(item, 5, "4.32 a page")
        place = (
            _bin(author, 16, 16, "4.32 author"),
            _uint(incarnation, 0, 2**32 - 1, "4.32 incarnation"),
            _uint(page, 0, 2**54 - 1, "4.32 page"),
        )
        _runs(read, 0)
        _runs(withdrawn, 0)
        demand(bool(read) or bool(withdrawn), "4.32 a page says something")
        places.append(place)
    demand(places == sorted(set(places)), "4.32 ascending")
    return record


def _network_keys(record: tuple[Record, ...]) -> Record:
    _fields(record, 5, "4.10 type 3")
    for item in _many(record[4], 1, 32, "4.10 network keys"):
        purpose, epoch, key = _fields(item, 3, "4.10 a network key")
        _uint(purpose, 2, 3, "8.9 purpose")
        _uint(epoch, 0, 2**32 - 1, "8.9 epoch")
        _bin(key, 32, 32, "8.9 key")
    return record


def read_shift(data: bytes) -> Record:
    """Read the body of a shift. Source: wire-format 4.14."""
    demand(len(data) <= 128, "4.14 size")
    record = _fields(read_record(data), 6, "4.14 fields")
    demand(record[0] == 1, "1.2 version")
    _bin(record[1], 8, 8, "4.14 shift id")
    top = 2**48 - 1
    opened, ends, closed = (_uint(record[n], 0, top, "4.14 times") for n in (2, 3, 4))
    start, stop = (
        _uint(each, 0, top, "4.14 times") for each in _fields(record[5], 2, "4.14 before")
    )
    half_day = 12 * 3_600_000
    demand(0 < ends - opened <= half_day, "4.14 length")
    demand(closed == 0 or opened <= closed <= ends, "4.14 closed")
    demand(0 <= stop - start <= half_day and stop <= opened, "4.14 shift before")
    return record


def _runs(value: Record, least: int) -> None:
    covered: set[int] = set()
    for run in _many(value, least, 512, "4.30 runs"):
        first, count = _fields(run, 2, "4.30 a run")
        start = _uint(first, 0, 1_023, "4.30 first")
        end = start + _uint(count, 1, 1_024 - start, "4.30 count")
        demand(not covered or start > max(covered) + 1, "4.30 ascending, disjoint, not adjacent")
        covered |= set(range(start, end))


def read_cancel(data: bytes) -> Record:
    """Read the body of a cancellation. Source: wire-format 4.30."""
    demand(len(data) <= 6_000, "4.30 size")
    record = _fields(read_record(data), 3, "4.30 fields")
    demand(record[0] == 1, "1.2 version")
    _uint(record[1], 0, 2**54 - 1, "4.12 page")
    _runs(record[2], 1)
    return record


def read_key_request(data: bytes) -> Record:
    """Read the body of a key request. Source: wire-format 4.13."""
    demand(len(data) <= 1_024, "4.13 size")
    record = _fields(read_record(data), 2, "4.13 fields")
    demand(record[0] == 1, "1.2 version")
    for chain in _many(record[1], 1, 64, "4.13 chains"):
        _bin(chain, 8, 8, "4.13 chain id")
    return record


def read_audit_head(data: bytes) -> Record:
    """Read the body of an audit head. Source: wire-format 4.17."""
    demand(len(data) <= 64, "4.17 size")
    record = _fields(read_record(data), 3, "4.17 fields")
    demand(record[0] == 1, "1.2 version")
    _uint(record[1], 1, 2**64 - 1, "4.17 number")
    _bin(record[2], 32, 32, "4.17 hash")
    return record


def read_prekey(data: bytes) -> Record:
    """Read the body of a prekey. Source: wire-format 4.11."""
    record = _fields(read_record(data), 6, "4.11 fields")
    demand(record[0] == 1, "1.2 version")
    prekey_id = _bin(record[1], 8, 8, "4.11 id")
    issued_ms = _uint(record[2], 0, 2**48, "4.11 issued_ms")
    _uint(record[3], issued_ms + 1, issued_ms + 9 * DAY_S * 1_000, "4.11 ends_ms")
    _uint(record[3], 0, 2**48, "4.11 ends_ms")
    _uint(record[4], 1, 3, "4.11 suites")
    public = _bin(record[5], 1_216, 1_216, "4.11 public")
    demand(prekey_id == hashlib.sha256(public).digest()[:8], "4.11 the id is that of the key")
    return record


def read_slots(data: bytes) -> Record:
    """Read the body of a kind 4 bundle. Source: wire-format 4.7."""
    demand(len(data) <= 64_700, "4.1 body")
    record = _many(read_record(data), 1, 45, "4.7 slots")
    for slot in record:
        member, prekey_id, sealed = _fields(slot, 3, "4.7 a slot")
        _bin(member, 16, 16, "4.7 member")
        _bin(prekey_id, 8, 8, "4.7 prekey id")
        _bin(sealed, 0, 2_048, "4.7 sealed")
    return record


def read_slot_secret(data: bytes) -> Record:
    """Read the plaintext of a slot. Source: wire-format 4.7."""
    demand(len(data) <= 256, "4.7 size")
    record = _fields(read_record(data), 6, "4.7 fields")
    demand(record[0] == 1, "1.2 version")
    _bin(record[1], 16, 16, "4.7 author")
    _bin(record[2], 8, 8, "4.7 chain id")
    _uint(record[3], 0, 2_047, "4.7 index")
    _bin(record[4], 32, 32, "4.7 seed")
    _bin(record[5], 3, 20, "4.7 scope")
    return record


# --- clauses 6 and 7: frames and documents -----------------------------------------------------

FRAME_TYPES = (
    *(0x01, 0x02, 0x03, 0x04, 0x05, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15),
    *(0x20, 0x21, 0x22, 0x23, 0x30, 0x31, 0x3F),
)


def read_frames(stream: bytes) -> list[tuple[int, bytes]]:
    """Cut a stream into whole frames; a last one that is not whole stays. Source: 6.1 and 6.2."""
    frames = []
    while len(stream) >= 3:
        demand(stream[0] in FRAME_TYPES, "6.1 unknown type")
        end = 3 + stream[1] * 256 + stream[2]
        if len(stream) < end:
            break
        frames.append((stream[0], stream[3:end]))
        stream = stream[end:]
    return frames
