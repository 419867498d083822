"""Cancellations: what they name, and what they may not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.cancels import (
    CANCELLED_KINDS,
    cancelled_seqs,
    decode_cancel_untrusted,
    encode_cancel,
    make_cancel,
)
from protocol.canonical import Value, encode
from protocol.errors import LimitExceededError, MalformedError
from protocol.limits import Kind
from protocol.pages import PAGE


@given(st.integers(0, 2**54 - 1), st.sets(st.integers(0, PAGE - 1), min_size=1))
def test_a_cancellation_is_read_as_it_was_written(page: int, offsets: set[int]) -> None:
    seqs = {page * PAGE + each for each in offsets}
    cancel = decode_cancel_untrusted(encode_cancel(make_cancel(page, seqs)))
    assert (cancel.page, list(cancelled_seqs(cancel))) == (page, sorted(seqs))


def test_nothing_is_not_cancelled() -> None:
    with pytest.raises(ValueError, match="at least one"):
        make_cancel(0, [])
    with pytest.raises(MalformedError):
        decode_cancel_untrusted(encode([1, 0, []]))


def test_the_bounds_of_a_cancellation() -> None:
    odd_ones: tuple[Value, ...] = (
        (2, 0, ((1, 1),)),
        (1, 2**54, ((1, 1),)),
        (1, 0),
        (1, 0, ((1, 1),), 0),
    )
    for odd in odd_ones:
        with pytest.raises((MalformedError, LimitExceededError)):
            decode_cancel_untrusted(encode(odd))
    with pytest.raises(LimitExceededError):
        decode_cancel_untrusted(bytes(6_001))


def test_alarms_and_keys_cannot_be_taken_back() -> None:
    assert {Kind.TEXT, Kind.NOTE} == CANCELLED_KINDS
