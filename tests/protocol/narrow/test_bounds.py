"""Bounds of narrow links hang together."""

from __future__ import annotations

from protocol.narrow import bounds
from protocol.narrow.frames import PIECE_BYTES_MAX


def test_a_window_fits_into_the_bits_that_tell_of_it() -> None:
    assert bounds.WINDOW_FRAMES <= 16
    assert bounds.LINE_BUFFER_BYTES >= bounds.WINDOW_FRAMES * PIECE_BYTES_MAX


def test_time_outs_are_in_order() -> None:
    assert 2 * bounds.ACK_DELAY_MS < bounds.RETRY_MS_MIN < bounds.RETRY_FIRST_MS
    assert bounds.RETRY_FIRST_MS < bounds.RETRY_MS_MAX < bounds.SILENCE_MS_MAX / 10


def test_a_beacon_hardly_fills_the_slowest_line() -> None:
    # 10 bytes with its framing and what escapes it, at 1,200 bit/s.
    assert bounds.STATION_BEACON_MS / 1000 / 100 > 20 * 10 / 1_200
