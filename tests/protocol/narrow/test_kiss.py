"""Frames over a line of bytes: what goes in comes out, whatever noise stands between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.narrow.bounds import NARROW_FRAME_BYTES_MAX
from protocol.narrow.kiss import KissDecoder, encode_kiss

FRAMES = st.lists(st.binary(min_size=0, max_size=NARROW_FRAME_BYTES_MAX), max_size=8)
WORST = b"\xc0\xdb" * (NARROW_FRAME_BYTES_MAX // 2)


def decoded(decoder: KissDecoder, line: bytes, step: int) -> list[bytes]:
    found: list[bytes] = []
    for start in range(0, len(line), step):
        found += decoder.feed_untrusted(line[start : start + step])
    return found


@given(FRAMES, st.integers(1, 600))
def test_what_goes_in_comes_out_however_the_line_cuts_it(frames: list[bytes], step: int) -> None:
    decoder = KissDecoder()
    line = b"".join(encode_kiss(frame) for frame in frames)
    assert decoded(decoder, line, step) == frames
    assert decoder.dropped == 0


def test_the_bytes_are_those_of_the_paper() -> None:
    assert encode_kiss(b"TEST") == bytes.fromhex("C0 00 54 45 53 54 C0")
    assert encode_kiss(b"\xc0\xdb") == bytes.fromhex("C0 00 DB DC DB DD C0")


def test_the_longest_frame_of_the_worst_bytes_passes() -> None:
    assert list(KissDecoder().feed_untrusted(encode_kiss(WORST))) == [WORST]


@pytest.mark.parametrize(
    "noise",
    [
        b"\x07\x08",
        b"\x01command of a modem",
        b"\x00\xdb\x41",
        b"\x00\xdb",
        b"\x00" + bytes(NARROW_FRAME_BYTES_MAX + 1),
        b"\x00" + b"\x41" * 100_000,
    ],
)
def test_noise_is_passed_over_and_counted(noise: bytes) -> None:
    decoder = KissDecoder()
    line = encode_kiss(b"before") + noise + b"\xc0" + encode_kiss(b"after")
    assert decoded(decoder, line, 1_000) == [b"before", b"after"]
    assert decoder.dropped == 1


@given(st.binary(max_size=2_000), st.integers(1, 300))
def test_any_line_is_read_without_harm(line: bytes, step: int) -> None:
    decoder = KissDecoder()
    for frame in decoded(decoder, line, step):
        assert len(frame) <= NARROW_FRAME_BYTES_MAX
    assert decoded(decoder, b"\xc0" + encode_kiss(b"after"), step)[-1] == b"after"
