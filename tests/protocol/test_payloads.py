"""Payloads: what people read, and that it was written for the header it came under."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.bundle import Scope
from protocol.canonical import Value
from protocol.canonical import encode as encode_record
from protocol.errors import LimitExceededError, MalformedError, TamperedError
from protocol.limits import TEXT_BYTES_MAX
from protocol.network_keys import KeyPurpose, WeeklyKey
from protocol.payloads import (
    NetworkKeys,
    Payload,
    Position,
    Sos,
    SosPlace,
    State,
    Text,
    Track,
    decode_untrusted,
    encode,
)
from protocol.states import Battery, Bearer, Coverage, Unit
from protocol.tracks import TrackPoint
from tests.reference.codec import RefusedError, read_payload
from tests.strategies import mutated, mutated_records, payloads

AUTHOR, SCOPE = bytes(range(16)), Scope.for_codt(7).encode()
TEXT = Text(AUTHOR, SCOPE, "Neige au col")
SOS = Sos(AUTHOR, SCOPE, "À l'aide", b"alarm-id", 0)
STEP = Sos(AUTHOR, SCOPE, "", b"alarm-id", 4, raiser=bytes(16), round=1, basis=3, outcome=1)
WHERE = SosPlace(1_800_000_000_000, 448_900_000, -66_400_000, 50)
AGAIN = Sos(AUTHOR, SCOPE, "À l'aide", b"alarm-id", 0, round=1, number=2, place=WHERE)
KEYS = NetworkKeys(AUTHOR, SCOPE, (WeeklyKey(KeyPurpose.KNOCK, 2_976, b"k" * 32),))
PLACE = Position(AUTHOR, SCOPE, 1_800_000_000_000, 448_900_000, -66_400_000, 50)
STATE = State(
    AUTHOR,
    SCOPE,
    Battery(1_800_000_000_000, 61, False, 85, 1_800_025_000_000),
    Coverage(1_800_000_000_000, Bearer.G4, Unit.MINUS_DBM, 97, "Orange F"),
    1_800_000_000_000,
)
TRACK = Track(AUTHOR, SCOPE, tuple(TrackPoint(9 + 30 * n, 41 * n, 7 * n) for n in range(5)))
SEEDS = [encode(each) for each in (TEXT, SOS, KEYS, PLACE, STATE, TRACK)]
SEEDS = [encode(each) for each in (TEXT, SOS, STEP, AGAIN, KEYS, PLACE)]


def padded(raw: bytes) -> bytes:
    """Pad as the page says, for the second reader."""
    size = 32
    while size < len(raw) + 1:
        size = size * 2 if size < 4_096 else size + 4_096
    return raw + b"\x80" + bytes(size - len(raw) - 1)


@given(payloads())
def test_a_payload_is_read_as_it_was_written(payload: Payload) -> None:
    raw = encode(payload)
    assert decode_untrusted(raw, payload.author, payload.scope) == payload
    record = read_payload(padded(raw), payload.author, payload.scope)
    assert isinstance(record, tuple)
    if isinstance(payload, Text | Sos):
        assert record[4] == payload.text.encode()


@given(mutated(SEEDS) | mutated_records(SEEDS))
def test_both_readers_agree_on_almost_a_payload(raw: bytes) -> None:
    try:
        read_payload(padded(raw), AUTHOR, SCOPE)
    except RefusedError:
        with pytest.raises((MalformedError, LimitExceededError, TamperedError)):
            decode_untrusted(raw, AUTHOR, SCOPE)
        return
    assert encode(decode_untrusted(raw, AUTHOR, SCOPE)) == raw


def test_a_position_fits_the_second_size_class() -> None:
    """64 bytes instead of 128 for every position of every device."""
    assert len(encode(PLACE)) < 64


def test_nothing_secret_of_a_payload_is_printed() -> None:
    assert "448900000" not in repr(PLACE)
    assert "66400000" not in repr(PLACE)
    assert "kkkk" not in repr(KEYS)


def test_a_state_fits_the_third_size_class() -> None:
    assert len(encode(STATE)) < 128


@pytest.mark.parametrize(
    "payload", [TEXT, SOS, KEYS, PLACE, STATE, TRACK], ids=lambda each: type(each).__name__
)
def test_content_under_another_header_does_not_open(payload: Payload) -> None:
    raw = encode(payload)
    for author, scope in (
        (bytes(16), SCOPE),
        (AUTHOR, Scope.for_codt(8).encode()),
        (AUTHOR, Scope.for_zone(7).encode()),
        (AUTHOR, b""),
        (AUTHOR[:15], SCOPE),
    ):
        with pytest.raises(TamperedError):
            decode_untrusted(raw, author, scope)


@pytest.mark.parametrize(
    "fields",
    [
        [2, 1, AUTHOR, SCOPE, b"text"],
        [0, 1, AUTHOR, SCOPE, b"text"],
        [b"", 1, AUTHOR, SCOPE, b"text"],
        [1, 0, AUTHOR, SCOPE, b"text"],
        [1, 3, AUTHOR, SCOPE, b"text"],
        [1, 3, AUTHOR, SCOPE, []],
        [1, 3, AUTHOR, SCOPE, [[1, 5, bytes(32)]]],
        [1, 3, AUTHOR, SCOPE, [[4, 5, bytes(32)]]],
        [1, 3, AUTHOR, SCOPE, [[3, 2**32, bytes(32)]]],
        [1, 3, AUTHOR, SCOPE, [[3, 5, bytes(33)]]],
        [1, 3, AUTHOR, SCOPE, [[3, 5, bytes(32)]] * 33],
        [1, 4, AUTHOR, SCOPE, 1, 0, 0],
        [1, 4, AUTHOR, SCOPE, 2**48, 0, 0, 0],
        [1, 4, AUTHOR, SCOPE, 1, 1_800_000_001, 0, 0],
        [1, 4, AUTHOR, SCOPE, 1, 0, 3_600_000_001, 0],
        [1, 4, AUTHOR, SCOPE, 1, 0, 0, 1_000_001],
        [1, 5, AUTHOR, SCOPE, b"text"],
        [1, b"", AUTHOR, SCOPE, b"text"],
        [1, 1, AUTHOR, SCOPE, b"text", b"alarm-id", 0],
        [1, 1, AUTHOR, SCOPE, b"text", 0],
        [1, 2, AUTHOR, SCOPE, b"text"],
        [1, 2, AUTHOR, SCOPE, b"text", b"alarm-id"],
        [1, 2, AUTHOR, SCOPE, b"text", b"alarm-i", 0],
        [1, 2, AUTHOR, SCOPE, b"text", b"alarm-id.", 0],
        [1, 2, AUTHOR, SCOPE, b"text", b"alarm-id", 16],
        [1, 2, AUTHOR, SCOPE, b"text", b"alarm-id", b""],
        [1, 2, AUTHOR, SCOPE, b"text", b"alarm-id", 0, 0],
        [1, 1, AUTHOR, SCOPE, b"\xff"],
        [1, 1, AUTHOR, SCOPE, 7],
        [1, 1, AUTHOR, SCOPE],
        [1, 1, AUTHOR[:15], SCOPE, b"text"],
        [1, 1, AUTHOR, SCOPE[:2], b"text"],
        [1, 1, AUTHOR, bytes(20), b"text"],
        [],
    ],
    ids=str,
)
def test_odd_payloads_are_refused(fields: list[Value]) -> None:
    raw = encode_record(fields)
    with pytest.raises(RefusedError):
        read_payload(padded(raw), AUTHOR, SCOPE)
    with pytest.raises((MalformedError, LimitExceededError)):
        decode_untrusted(raw, AUTHOR, SCOPE)


def test_text_at_the_limit_and_above() -> None:
    longest = Text(AUTHOR, SCOPE, "é" * (TEXT_BYTES_MAX // 2))
    assert decode_untrusted(encode(longest), AUTHOR, SCOPE) == longest
    with pytest.raises(ValueError, match="16384"):
        encode(Text(AUTHOR, SCOPE, "é" * (TEXT_BYTES_MAX // 2) + "x"))
    above = encode_record([1, 1, AUTHOR, SCOPE, b"x" * (TEXT_BYTES_MAX + 1)])
    with pytest.raises(LimitExceededError):
        decode_untrusted(above, AUTHOR, SCOPE)


@given(st.text(min_size=3, max_size=30))
def test_what_people_write_is_not_printed(text: str) -> None:
    for payload in (Text(bytes(16), b"", text), Sos(bytes(16), b"", text, bytes(8), 0)):
        assert repr(text) not in repr(payload)
