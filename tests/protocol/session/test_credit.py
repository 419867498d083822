"""The window follows what the peer acknowledges in 0.4 s, within its bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.limits import WINDOW_BYTES_FIRST, WINDOW_BYTES_MAX, WINDOW_BYTES_MIN, WINDOW_MS
from protocol.session.credit import Window


def run(rate_bytes_s: int, bundles: int = 200, size_bytes: int = 10_000) -> Window:
    """Send and acknowledge one by one, as a line of that rate would."""
    window, now_ms = Window(), 0
    for _ in range(bundles):
        window.sent([size_bytes], now_ms)
        now_ms += size_bytes * 1_000 // rate_bytes_s
        window.acknowledged(1, now_ms)
    return window


def test_before_anything_is_known_the_first_window_counts() -> None:
    window = Window()
    assert window.bytes_max == WINDOW_BYTES_FIRST
    window.sent([WINDOW_BYTES_FIRST - 1], 0)
    assert window.room_bytes(is_urgent=False) > 0
    window.sent([1], 0)
    assert window.room_bytes(is_urgent=False) <= 0


def test_the_urgent_pass_by_64_kilobytes_and_no_more() -> None:
    window = Window()
    window.sent([WINDOW_BYTES_FIRST], 0)
    assert window.room_bytes(is_urgent=True) > 0
    window.sent([WINDOW_BYTES_MIN - 1], 0)
    assert window.room_bytes(is_urgent=True) > 0
    window.sent([1], 0)
    assert window.room_bytes(is_urgent=True) <= 0


@pytest.mark.parametrize("rate_bytes_s", [200_000, 1_000_000, 5_000_000])
def test_the_window_is_the_rate_times_its_time(rate_bytes_s: int) -> None:
    expected = rate_bytes_s * WINDOW_MS / 1_000
    assert run(rate_bytes_s).bytes_max == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(
    ("rate_bytes_s", "bytes_max"), [(1_000, WINDOW_BYTES_MIN), (100_000_000, WINDOW_BYTES_MAX)]
)
def test_the_window_has_bounds(rate_bytes_s: int, bytes_max: int) -> None:
    assert run(rate_bytes_s, size_bytes=60_000).bytes_max == bytes_max


def test_a_slower_line_is_noticed_after_a_few_acknowledgements() -> None:
    window = run(4_000_000)
    now_ms = 1_000_000
    for _ in range(8):
        window.sent([10_000], now_ms)
        now_ms += 50
        window.acknowledged(1, now_ms)
    assert window.bytes_max == pytest.approx(200_000 * WINDOW_MS / 1_000, rel=0.05)


def test_an_acknowledgement_of_nothing_changes_nothing() -> None:
    window = Window()
    window.sent([100], 0)
    window.acknowledged(0, 5)
    assert (window.under_way_bytes, window.bytes_max) == (100, WINDOW_BYTES_FIRST)


@given(st.lists(st.tuples(st.integers(1, 70_000), st.integers(0, 1_000)), max_size=40))
def test_what_is_under_way_is_what_was_sent_and_not_acknowledged(
    steps: list[tuple[int, int]],
) -> None:
    window, under_way, now_ms = Window(), [], 0
    for size_bytes, wait_ms in steps:
        window.sent([size_bytes], now_ms)
        under_way.append(size_bytes)
        now_ms += wait_ms
        if wait_ms % 3 == 0:
            window.acknowledged(1, now_ms)
            del under_way[0]
        assert window.under_way_bytes == sum(under_way)
        assert WINDOW_BYTES_MIN <= window.bytes_max <= WINDOW_BYTES_MAX
