"""The seal of the air: opens for members of these weeks, hides what it holds, needs no escapes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import AuthenticationError, LimitExceededError, MalformedError
from protocol.guards import NETWORK_EPOCH_MS
from protocol.narrow.kiss import encode_kiss
from protocol.narrow.radio import (
    SEAL_BYTES,
    keys_to_hear,
    radio_key,
    unwrap_untrusted,
    wrap,
)

KEY = radio_key(bytes(range(32)))
FORM = bytes([0x40]) + bytes(105)


@given(st.binary(min_size=1, max_size=240), st.integers(0, 63))
def test_what_was_sealed_comes_out(form: bytes, start: int) -> None:
    form = bytes([form[0] & 0xC0]) + form[1:]
    sealed = wrap(KEY, form, start)
    assert len(sealed) == len(form) + SEAL_BYTES
    assert unwrap_untrusted(sealed, [radio_key(bytes(32)), KEY]) == form


def test_no_byte_is_escaped_and_repeats_differ() -> None:
    sealed = [wrap(KEY, FORM, start) for start in range(64)]
    assert all(len(encode_kiss(each)) == len(each) + 3 for each in sealed)
    assert len(set(sealed)) > 8


def test_every_flipped_bit_and_every_other_key_is_refused() -> None:
    sealed = wrap(KEY, FORM, 0)
    for bit in range(8 * len(sealed)):
        raw = bytearray(sealed)
        raw[bit // 8] ^= 1 << bit % 8
        with pytest.raises(AuthenticationError):
            unwrap_untrusted(bytes(raw), [KEY])
    with pytest.raises(AuthenticationError):
        unwrap_untrusted(sealed, [radio_key(bytes(32))])
    with pytest.raises(AuthenticationError):
        unwrap_untrusted(sealed, [])
    with pytest.raises(MalformedError):
        unwrap_untrusted(sealed[:SEAL_BYTES], [KEY])
    with pytest.raises(LimitExceededError):
        unwrap_untrusted(bytes(257), [KEY])


def test_keys_of_this_week_and_three_before_are_heard() -> None:
    keys = {week: [bytes([week]) * 32] for week in range(90, 110)}
    expected = [radio_key(bytes([week]) * 32) for week in (100, 99, 98, 97)]
    assert list(keys_to_hear(keys, 100 * NETWORK_EPOCH_MS + 1)) == expected
    early = list(keys_to_hear(keys, 101 * NETWORK_EPOCH_MS - 1))
    assert early[0] == radio_key(bytes([101]) * 32)
