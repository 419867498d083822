"""What a track says in clear: read as written, in one form, and which stamps fit it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.bundle import Scope
from protocol.errors import LimitExceededError, MalformedError
from protocol.guards import SHIFT_MS_MAX
from protocol.shifts import carried_under, position_subject, track_subject
from protocol.track_bodies import TrackBody, decode_track_body_untrusted, encode_track_body
from tests.reference.codec import RefusedError
from tests.reference.track_bodies import read_track
from tests.strategies import mutated, mutated_records

HOUR_MS = 3_600_000
BODY = TrackBody(b"squad-id", 100 * HOUR_MS, 112 * HOUR_MS, b"sealed points")
SEEDS = [encode_track_body(BODY)]


@st.composite
def bodies(draw: st.DrawFn) -> TrackBody:
    """Any that a reader accepts."""
    opened_ms = draw(st.integers(0, 2**48 - 1))
    over_ms = opened_ms + draw(st.integers(1, SHIFT_MS_MAX))
    squad = draw(st.binary(min_size=8, max_size=8))
    return TrackBody(squad, opened_ms, over_ms, draw(st.binary(min_size=1, max_size=300)))


@given(bodies())
def test_a_track_is_read_as_it_was_written(body: TrackBody) -> None:
    raw = encode_track_body(body)
    assert decode_track_body_untrusted(raw) == body
    length_ms = body.over_ms - body.opened_ms
    assert read_track(raw) == (1, body.squad, body.opened_ms, length_ms, body.sealed)


@given(mutated(SEEDS) | mutated_records(SEEDS))
def test_both_readers_agree_on_almost_a_track(raw: bytes) -> None:
    try:
        read_track(raw)
    except RefusedError:
        with pytest.raises((MalformedError, LimitExceededError)):
            decode_track_body_untrusted(raw)
        return
    assert encode_track_body(decode_track_body_untrusted(raw)) == raw


@given(bodies(), st.integers(-2 * SHIFT_MS_MAX, 2 * SHIFT_MS_MAX))
def test_a_stamp_fits_from_the_opening_to_the_end(body: TrackBody, offset_ms: int) -> None:
    for at_ms in (body.opened_ms + offset_ms, body.over_ms + offset_ms % 3 - 1):
        # The last segment is made in the very millisecond that ends the shift.
        assert body.has_stamp(at_ms) is (at_ms in range(body.opened_ms, body.over_ms + 1))


def test_what_is_sealed_is_not_printed() -> None:
    assert "sealed points" not in repr(BODY)


def test_keys_of_tracks_are_for_the_centre_and_name_no_shift() -> None:
    """Else mates would erase them with the shift, and relays ask for it days later."""
    squad = Scope.for_squad(7, b"squad-id")
    tracks, positions = track_subject(squad, b"shift-id"), position_subject(squad, b"shift-id")
    assert carried_under(tracks) == (Scope.for_codt(7), b"")
    assert carried_under(positions) == (squad, b"shift-id")
    assert carried_under(squad.encode()) == (squad, b"")
