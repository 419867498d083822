"""Canonical records: one encoding per value, and nothing else gets in."""

from __future__ import annotations

import math
import struct
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import canonical
from protocol.canonical import (
    Value,
    as_array,
    as_bytes,
    as_text,
    as_uint,
    check_der_signature,
    decode_untrusted,
    encode,
)
from protocol.errors import LimitExceededError, MalformedError
from protocol.limits import CANONICAL_DEPTH_MAX, CANONICAL_ITEMS_MAX, FRAME_BYTES_MAX
from tests.reference.codec import Record, RefusedError, read_record, write_record
from tests.strategies import mutated, mutated_records, uints, values

SEEDS = [
    encode((1, b"abc", (2**64 - 1, (), b"", (300, (70_000,))))),
    encode(tuple(range(17))),
    encode((bytes(256), 255, 256)),
    encode(2**32),
]


def read(data: bytes) -> Value:
    return decode_untrusted(data, max_bytes=FRAME_BYTES_MAX)


def nested(depth: int) -> Value:
    value: Value = 0
    for _ in range(depth):
        value = (value,)
    return value


# --- inverse and unique ------------------------------------------------------------------------


@given(values(5))
def test_a_value_is_read_as_it_was_written(value: Value) -> None:
    raw = encode(value)
    assert read(raw) == value
    assert raw == write_record(_record(value))
    assert read_record(raw) == value


def _record(value: Value) -> Record:
    if isinstance(value, int | bytes):
        return value
    return tuple(_record(item) for item in value)


def test_lists_and_tuples_are_written_alike() -> None:
    assert encode([1, [b"x"], ()]) == encode((1, (b"x",), []))


@given(st.binary(max_size=40) | mutated(SEEDS) | mutated_records(SEEDS))
def test_both_readers_agree_on_any_bytes(data: bytes) -> None:
    try:
        expected: Value = read_record(data)
    except RefusedError:
        with pytest.raises(MalformedError):
            read(data)
        return
    assert read(data) == expected
    assert encode(expected) == data


@given(values(3), st.binary(min_size=1, max_size=4))
def test_trailing_and_missing_bytes_are_refused(value: Value, extra: bytes) -> None:
    raw = encode(value)
    with pytest.raises(MalformedError):
        read(raw + extra)
    for end in range(len(raw)):
        with pytest.raises(MalformedError):
            read(raw[:end])


def _long_forms(number: int) -> list[bytes]:
    """Every msgpack form of an unsigned number that is longer than its own, signed ones too."""
    shortest = len(encode(number))
    forms = []
    for tag, code in ((0xCC, "B"), (0xCD, "H"), (0xCE, "I"), (0xCF, "Q")):
        if number < 1 << (8 * struct.calcsize(f">{code}")):
            forms.append(bytes([tag]) + struct.pack(f">{code}", number))
    for tag, code in ((0xD0, "b"), (0xD1, "h"), (0xD2, "i"), (0xD3, "q")):
        if number < 1 << (8 * struct.calcsize(f">{code}") - 1):
            forms.append(bytes([tag]) + struct.pack(f">{code}", number))
    return [form for form in forms if len(form) > shortest or form[0] >= 0xD0]


@given(uints())
def test_a_number_has_no_other_form(number: int) -> None:
    for form in _long_forms(number):
        with pytest.raises(MalformedError):
            read(form)
        with pytest.raises(MalformedError):
            read(b"\x92\x00" + form)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc4",
        b"\xc5\x00\x01a",
        b"\xc5\x00\xff" + bytes(255),
        b"\xc6\x00\x00\x01\x00" + bytes(256),
        b"\xc6\x00\x00\x00\x00",
        b"\xdc\x00\x01\x00",
        b"\xdc\x00\x0f" + bytes(15),
        b"\xdd\x00\x00\x00\x10" + bytes(16),
        b"\xdd\x00\x00\x40\x00" + bytes(16_384),
        b"\xc0",
        b"\xc1",
        b"\xc2",
        b"\xc3",
        b"\xca" + bytes(4),
        b"\xcb" + bytes(8),
        b"\xa0",
        b"\xa1a",
        b"\xd9\x01a",
        b"\xda\x00\x01a",
        b"\xdb\x00\x00\x00\x01a",
        b"\x80",
        b"\x81\x00\x00",
        b"\x81\x90\x00",
        b"\xde\x00\x00",
        b"\xdf\x00\x00\x00\x00",
        b"\xd4\x00\x00",
        b"\xd6\xff" + bytes(4),
        b"\xc7\x00\x00",
        b"\xc8\x00\x01\x00\x00",
        b"\xc9\x00\x00\x00\x01\x00\x00",
        b"\xc7\x0c\xff" + bytes(12),
        b"\xff",
        b"\xe0",
        b"\x91\xc0",
        b"\x92\x00\xa0",
    ],
    ids=lambda data: data[:8].hex() or "empty",
)
def test_other_types_and_forms_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        read(data)


@pytest.mark.parametrize(
    "value",
    ["text", None, True, 1.5, math.nan, {}, {1: 2}, bytearray(b"x"), memoryview(b"x"), -1, 2**64],
    ids=repr,
)
def test_nothing_else_can_be_written(value: Any) -> None:
    for wrapped in (value, (1, value)):
        with pytest.raises((TypeError, ValueError, OverflowError)):
            encode(wrapped)


# --- bounds ------------------------------------------------------------------------------------


def test_nesting_at_the_limit_and_above() -> None:
    assert read(b"\x91" * CANONICAL_DEPTH_MAX + b"\x00") == nested(CANONICAL_DEPTH_MAX)
    assert encode(nested(CANONICAL_DEPTH_MAX)) == b"\x91" * CANONICAL_DEPTH_MAX + b"\x00"
    for depth in (CANONICAL_DEPTH_MAX + 1, 100, 1_023, 1_024, 1_025, 60_000):
        for last in (b"\x00", b"\x90", b""):
            with pytest.raises(MalformedError):
                read(b"\x91" * depth + last)
    with pytest.raises(TypeError):
        encode(nested(CANONICAL_DEPTH_MAX + 1))


def test_items_at_the_limit_and_above() -> None:
    full = (0,) * CANONICAL_ITEMS_MAX
    assert read(encode(full)) == full
    with pytest.raises(MalformedError):
        read(b"\xdc" + struct.pack(">H", CANONICAL_ITEMS_MAX + 1) + bytes(CANONICAL_ITEMS_MAX + 1))
    with pytest.raises(TypeError):
        encode((*full, 0))


def test_size_at_the_limit_and_above() -> None:
    raw = encode(b"x" * 30)
    assert decode_untrusted(raw, max_bytes=len(raw)) == b"x" * 30
    with pytest.raises(LimitExceededError) as caught:
        decode_untrusted(raw, max_bytes=len(raw) - 1)
    assert (caught.value.limit, caught.value.actual) == (len(raw) - 1, len(raw))


@pytest.mark.parametrize(
    "data",
    [
        b"\xdd\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff" + bytes(60_000),
        b"\x91\xdd\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff" * 13_000,
        b"\xdc\x40\x00" * 7,
        b"\xdc\x40\x00" * 1_000,
        b"\xdc\x40\x00" * 21_000,
        b"\xdc\x40\x00" * 6 + bytes(16_384),
        b"\x9f" * 60_000,
        b"\xc6\xff\xff\xff\xff" + bytes(100),
        b"\xdf\xff\xff\xff\xff" + bytes(100),
        b"\xdb\xff\xff\xff\xff" + bytes(100),
        b"\xc9\xff\xff\xff\xff\x00" + bytes(100),
    ],
    ids=lambda data: f"{data[:6].hex()}x{len(data)}",
)
def test_announcements_cost_nothing(data: bytes) -> None:
    """Refused in less than 10 ms and 1 MiB, whatever sizes the bytes announce."""
    tracemalloc.start()
    try:
        with pytest.raises(MalformedError):
            read(data)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_048_576
    times_s = []
    for _ in range(5):
        start_s = time.process_time()
        with pytest.raises(MalformedError):
            read(data)
        times_s.append(time.process_time() - start_s)
    assert min(times_s) < 0.01


# --- fields ------------------------------------------------------------------------------------


@given(uints(), uints(), uints())
def test_integers_are_bounded(value: int, one: int, other: int) -> None:
    low, high = min(one, other), max(one, other)
    if value > high:
        with pytest.raises(LimitExceededError, match="a field"):
            as_uint(value, "a field", high, low)
    elif value < low:
        with pytest.raises(MalformedError, match="a field"):
            as_uint(value, "a field", high, low)
    else:
        assert as_uint(value, "a field", high, low) == value


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.booleans())
def test_lengths_are_bounded(length: int, one: int, other: int, is_exact: bool) -> None:
    low, high = min(one, other), max(one, other)
    minimum = None if is_exact else low
    for value, check in ((b"x" * length, as_bytes), ((0,) * length, as_array)):
        if length > high:
            with pytest.raises(LimitExceededError, match="a field"):
                check(value, "a field", high, minimum)
        elif length < (high if is_exact else low):
            with pytest.raises(MalformedError, match="a field"):
                check(value, "a field", high, minimum)
        else:
            assert check(value, "a field", high, minimum) == value


def test_fields_of_another_type_are_refused() -> None:
    for value in (b"", (), True, None, "1"):
        with pytest.raises(MalformedError):
            as_uint(value, "a field")  # type: ignore[arg-type]
    for other in (0, (), "", bytearray()):
        with pytest.raises(MalformedError):
            as_bytes(other, "a field", 9, 0)
    for another in (0, b"", [1]):
        with pytest.raises(MalformedError):
            as_array(another, "a field", 9, 0)


@given(st.text(max_size=20))
def test_text_is_utf_8_in_bytes(text: str) -> None:
    raw = text.encode()
    assert as_text(raw, "a field", 80) == text
    if raw:
        with pytest.raises(LimitExceededError):
            as_text(raw, "a field", len(raw) - 1)
    for odd in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", raw + b"\xe2\x82"):
        with pytest.raises(MalformedError):
            as_text(odd, "a field", 200)


def test_only_one_file_knows_msgpack() -> None:
    assert set(canonical.__all__) == {
        *("Value", "encode", "decode_untrusted"),
        *("as_array", "as_bytes", "as_text", "as_uint"),
        "check_der_signature",
    }


def test_a_der_signature_is_the_end_and_has_whole_bytes() -> None:
    signature = bytes(range(70))
    good = b"\x30\x81\x99 anything \x03\x47\x00" + signature
    check_der_signature(good, signature)
    for bad in (
        good[:-1],
        good + b"\0",
        good.replace(b"\x03\x47\x00", b"\x03\x47\x01"),
        good.replace(b"\x03\x47", b"\x03\x48"),
        good.replace(b"\x03\x47", b"\x04\x47"),
        b"",
    ):
        with pytest.raises(MalformedError):
            check_der_signature(bad, signature)
    with pytest.raises(ValueError):
        check_der_signature(good, bytes(255))
