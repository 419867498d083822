"""Frames of a narrow link: round trips, and everything that is refused."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedError
from protocol.narrow.bounds import NARROW_FRAME_BYTES_MAX, WINDOW_FRAMES
from protocol.narrow.frames import (
    PIECE_BYTES_MAX,
    Beacon,
    Call,
    Frame,
    FrameKind,
    Piece,
    decode_frame_untrusted,
    encode_frame,
)

STATIONS = st.integers(1, 2**16 - 1)
NUMBERS = st.integers(0, 2**16 - 1)
LINKS = st.integers(0, 2**32 - 1)
ROOMS = st.integers(0, WINDOW_FRAMES)
DATA = st.binary(max_size=PIECE_BYTES_MAX)
FRAMES: st.SearchStrategy[Frame] = st.one_of(
    st.builds(Beacon, STATIONS),
    st.builds(
        Call, LINKS, STATIONS, STATIONS, st.sampled_from([b"", bytes(range(32))]), st.just(False)
    ),
    st.builds(Call, LINKS, STATIONS, STATIONS, st.just(b""), st.just(True)),
    st.builds(Piece, st.just(FrameKind.DATA), LINKS, NUMBERS, NUMBERS, NUMBERS, ROOMS, DATA),
    st.builds(Piece, st.just(FrameKind.END), LINKS, NUMBERS, NUMBERS, NUMBERS, ROOMS, st.just(b"")),
)


def checked(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(4, "big")


@given(FRAMES)
def test_a_frame_comes_back_and_fits(frame: Frame) -> None:
    raw = encode_frame(frame)
    assert len(raw) <= NARROW_FRAME_BYTES_MAX
    assert decode_frame_untrusted(raw) == frame


@given(FRAMES, st.data())
def test_no_single_wrong_bit_is_read(frame: Frame, data: st.DataObject) -> None:
    raw = bytearray(encode_frame(frame))
    place = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[place // 8] ^= 1 << place % 8
    with pytest.raises(MalformedError):
        decode_frame_untrusted(bytes(raw))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        bytes(4),
        checked(b"\x11\x00\x00"),
        checked(b"\x11\x00\x01\x00"),
        checked(b"\x21\x00\x01"),
        checked(b"\x17" + bytes(11)),
        checked(b"\x12" + bytes(8)),
        checked(b"\x12" + b"\1" * 8 + bytes(31)),
        checked(b"\x13" + b"\1" * 8 + bytes(32)),
        checked(b"\x14" + bytes(10)),
        checked(b"\x14" + bytes(10) + b"\x11"),
        checked(b"\x15" + bytes(11) + b"x"),
        checked(b"\x14" + bytes(11) + bytes(PIECE_BYTES_MAX + 1)),
    ],
)
def test_what_no_station_says_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_frame_untrusted(raw)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_are_the_one_form(raw: bytes) -> None:
    for each in (raw, checked(raw)):
        try:
            frame = decode_frame_untrusted(each)
        except MalformedError:
            continue
        assert encode_frame(frame) == each
