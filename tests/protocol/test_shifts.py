"""Shifts: their window, their one form, and what a chain is for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.bundle import Scope
from protocol.canonical import encode
from protocol.errors import LimitExceededError, MalformedError
from protocol.guards import SHIFT_MS_MAX
from protocol.shifts import (
    Shift,
    decode_shift_untrusted,
    encode_shift,
    is_track_subject,
    position_subject,
    split_subject,
    track_subject,
)
from tests.reference.codec import RefusedError, read_shift
from tests.strategies import mutated, mutated_records, scopes

HOUR_MS = 3_600_000
OPENED = Shift(b"shift-id", 100 * HOUR_MS, 112 * HOUR_MS, 0, (80 * HOUR_MS, 90 * HOUR_MS))
CLOSED = Shift(b"shift-id", 100 * HOUR_MS, 112 * HOUR_MS, 105 * HOUR_MS)
SEEDS = [encode_shift(OPENED), encode_shift(CLOSED)]


@st.composite
def shifts(draw: st.DrawFn) -> Shift:
    """Any shift that a reader accepts."""
    opened = draw(st.integers(2 * SHIFT_MS_MAX, 2**47))
    ends = opened + draw(st.integers(1, SHIFT_MS_MAX))
    closed = draw(st.just(0) | st.integers(opened, ends))
    stop = draw(st.integers(opened - SHIFT_MS_MAX, opened))
    start = draw(st.integers(stop - SHIFT_MS_MAX, stop))
    before = draw(st.sampled_from([(0, 0), (start, stop)]))
    return Shift(draw(st.binary(min_size=8, max_size=8)), opened, ends, closed, before)


@given(shifts())
def test_a_shift_is_read_as_it_was_written(shift: Shift) -> None:
    raw = encode_shift(shift)
    assert decode_shift_untrusted(raw) == shift
    assert len(read_shift(raw)) == 6  # type: ignore[arg-type]


@given(mutated(SEEDS) | mutated_records(SEEDS))
def test_both_readers_agree_on_almost_a_shift(raw: bytes) -> None:
    try:
        read_shift(raw)
    except RefusedError:
        with pytest.raises((MalformedError, LimitExceededError)):
            decode_shift_untrusted(raw)
        return
    assert encode_shift(decode_shift_untrusted(raw)) == raw


@given(shifts(), st.integers(-2 * SHIFT_MS_MAX, 2 * SHIFT_MS_MAX))
def test_a_time_is_in_a_shift_from_its_opening_until_before_its_end(
    shift: Shift, offset_ms: int
) -> None:
    at_ms = shift.opened_ms + offset_ms
    end_ms = shift.ends_ms if shift.closed_ms == 0 else shift.closed_ms
    now = at_ms in range(shift.opened_ms, end_ms)
    assert shift.is_open(at_ms) is now
    assert shift.has(at_ms) is (now or at_ms in range(*shift.before))


def test_a_shift_lasts_twelve_hours_and_not_a_millisecond_more() -> None:
    longest = (1, bytes(8), HOUR_MS, HOUR_MS + SHIFT_MS_MAX, 0, (0, 0))
    assert decode_shift_untrusted(encode(longest)).over_ms == HOUR_MS + SHIFT_MS_MAX
    with pytest.raises(MalformedError):
        decode_shift_untrusted(encode((*longest[:3], HOUR_MS + SHIFT_MS_MAX + 1, 0, (0, 0))))


# --- what a chain is for -----------------------------------------------------------------------


@given(scopes())
def test_a_chain_for_messages_names_its_group_alone(scope: Scope) -> None:
    assert split_subject(scope.encode()) == (scope, b"")


def test_a_chain_for_positions_names_squad_and_shift() -> None:
    squad = Scope.for_squad(7, b"squad-id")
    subject = position_subject(squad, b"shift-id")
    assert split_subject(subject) == (squad, b"shift-id")
    device = Scope.for_device(7, b"squad-idshift-id")
    assert len(device.encode()) == len(subject), "the two differ in their type alone"
    assert split_subject(device.encode()) == (device, b"")


def test_a_chain_for_tracks_names_squad_and_shift_too() -> None:
    squad = Scope.for_squad(7, b"squad-id")
    subject = track_subject(squad, b"shift-id")
    assert split_subject(subject) == (squad, b"shift-id")
    assert is_track_subject(subject)
    assert not is_track_subject(position_subject(squad, b"shift-id"))
    assert not is_track_subject(squad.encode())


@pytest.mark.parametrize("subject", [b"", b"\2", bytes(19), b"\2" + bytes(10), b"\5\0\1"])
def test_odd_subjects_are_refused(subject: bytes) -> None:
    with pytest.raises(MalformedError):
        split_subject(subject)


@pytest.mark.parametrize("length", [18, 20])
def test_a_subject_of_another_length_is_refused(length: int) -> None:
    subject = position_subject(Scope.for_squad(7, b"squad-id"), bytes(8))
    with pytest.raises(MalformedError):
        split_subject((subject + b"\0")[:length])
